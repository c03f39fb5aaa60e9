/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/content_range.h"

#include "base/num.h"

/* Takes a number and what follows it. */
static bool take(struct str *rest, char end, uint64_t *ret)
{
    struct str piece;
    return str_split(rest, end, &piece) && num_parse_u64(piece, ret) == 0;
}

bool content_range_parse(struct str value, struct content_range *ret)
{
    struct content_range range;
    if (!str_has_prefix(value, STR("bytes ")))
        return false;
    struct str rest = str_skip(value, STR("bytes ").len);
    if (!take(&rest, '-', &range.first) || !take(&rest, '/', &range.last) ||
        num_parse_u64(rest, &range.total) < 0)
        return false;
    if (range.first > range.last || range.last >= range.total)
        return false;
    *ret = range;
    return true;
}
