/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/header_drop.h"

#include "base/mem.h"

static bool is_ours(struct str name)
{
    static const struct str prefix = STR("X-GPUStack-");
    return name.len > prefix.len && str_eq_nocase(str_sub(name.ptr, prefix.len), prefix);
}

const char **header_drop_new(const struct http_headers *headers, const char *const *fixed)
{
    size_t count = 0, bytes = 0;
    while (fixed[count])
        count++;
    size_t fixed_count = count;
    for (unsigned i = 0; i < headers->count; i++) {
        if (is_ours(headers->items[i].name)) {
            count++;
            bytes += headers->items[i].name.len + 1;
        }
    }
    const char **names = mem_alloc((count + 1) * sizeof names[0] + bytes);
    memcpy(names, fixed, fixed_count * sizeof names[0]);
    /* The texts stand behind the list; the block is zeroed, so each ends in a NUL. */
    char *text = (char *)&names[count + 1];
    for (unsigned i = 0, at = (unsigned)fixed_count; i < headers->count; i++) {
        struct str name = headers->items[i].name;
        if (!is_ours(name))
            continue;
        memcpy(text, name.ptr, name.len);
        names[at++] = text;
        text += name.len + 1;
    }
    return names;
}
