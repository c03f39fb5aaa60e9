/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/header_drop.h"

#include "base/mem.h"

bool header_is_ours(struct str name)
{
    static const struct str prefix = STR("X-GPUStack-");
    return name.len > prefix.len && str_eq_nocase(str_sub(name.ptr, prefix.len), prefix);
}

bool header_is_kept_from_engines(struct str name)
{
    static const struct str kept[] = {STR("Cookie"), STR("X-API-Key"), STR("Accept-Encoding")};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (str_eq_nocase(name, kept[i]))
            return true;
    return header_is_ours(name);
}

bool header_is_kept_from_clients(struct str name)
{
    return header_is_ours(name) || str_eq_nocase(name, STR("Set-Cookie"));
}
