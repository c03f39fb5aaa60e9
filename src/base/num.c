/* SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"

#include <errno.h>

int num_parse_u64(struct str s, uint64_t *ret)
{
    if (s.len == 0)
        return -EINVAL;
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned char)s.ptr[i] - '0';
        if (digit > 9)
            return -EINVAL;
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return -ERANGE;
    }
    *ret = value;
    return 0;
}

int num_parse_i64(struct str s, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = s.len && s.ptr[0] == '-';
    uint64_t magnitude;
    int rc = num_parse_u64(negative ? str_skip(s, 1) : s, &magnitude);
    if (rc < 0)
        return rc;
    if (magnitude > (uint64_t)INT64_MAX)
        return -ERANGE;
    int64_t value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    if (value < min || value > max)
        return -ERANGE;
    *ret = value;
    return 0;
}

char *num_format_bytes(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        value /= 1024;
        unit++;
    }
    return mem_printf(unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}
