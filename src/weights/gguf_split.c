/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/gguf_split.h"

#include "base/mem.h"
#include "base/num.h"

enum { DIGITS = 5 };

#define TAIL_LEN (STR("-00001-of-00001.gguf").len)

bool gguf_split_parse(struct str name, struct gguf_split *ret)
{
    int64_t part, count;
    if (name.len <= TAIL_LEN || !str_has_suffix(name, STR(".gguf")))
        return false;
    const struct str tail = str_skip(name, name.len - TAIL_LEN);
    if (tail.ptr[0] != '-' || !str_eq(str_sub(tail.ptr + 1 + DIGITS, 4), STR("-of-")) ||
        num_parse_i64(str_sub(tail.ptr + 1, DIGITS), 1, GGUF_PARTS_MAX, &part) < 0 ||
        num_parse_i64(str_sub(tail.ptr + 5 + DIGITS, DIGITS), 1, GGUF_PARTS_MAX, &count) < 0 ||
        part > count)
        return false;
    ret->stem = str_sub(name.ptr, name.len - TAIL_LEN);
    ret->part = (unsigned)part;
    ret->count = (unsigned)count;
    return true;
}

char *gguf_split_name(const struct gguf_split *split, unsigned part)
{
    return mem_printf("%.*s-%05u-of-%05u.gguf", STR_ARGS(split->stem), part, split->count);
}
