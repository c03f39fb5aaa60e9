/* SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"
#include "domain/record_priv.h"

#include <errno.h>
#include <time.h>

/* Takes a number of exactly `digits` digits and the `end` behind it (0: none) off the front. */
static int take_number(struct str *rest, size_t digits, char end, int *ret)
{
    uint64_t value;
    size_t used = digits + (end ? 1 : 0);
    if (rest->len < used || (end && rest->ptr[digits] != end))
        return -EINVAL;
    if (num_parse_u64(str_sub(rest->ptr, digits), &value) < 0)
        return -EINVAL;
    *rest = str_skip(*rest, used);
    *ret = (int)value;
    return 0;
}

/* ".123456": the milliseconds of it; 0 when there is no fraction. */
static int take_fraction(struct str *rest, int *ret_ms)
{
    *ret_ms = 0;
    if (rest->len == 0 || rest->ptr[0] != '.')
        return 0;
    *rest = str_skip(*rest, 1);
    int scale = 100;
    size_t digits = 0;
    for (; rest->len && rest->ptr[0] >= '0' && rest->ptr[0] <= '9'; digits++, scale /= 10) {
        *ret_ms += (rest->ptr[0] - '0') * scale;
        *rest = str_skip(*rest, 1);
    }
    return digits >= 1 && digits <= 9 ? 0 : -EINVAL;
}

static int take_zone(struct str rest, int *ret_minutes)
{
    *ret_minutes = 0;
    if (str_eq(rest, STR("Z")))
        return 0;
    if (rest.len != 6 || (rest.ptr[0] != '+' && rest.ptr[0] != '-'))
        return -EINVAL;
    int sign = rest.ptr[0] == '+' ? 1 : -1, hours, minutes;
    rest = str_skip(rest, 1);
    if (take_number(&rest, 2, ':', &hours) < 0 || take_number(&rest, 2, 0, &minutes) < 0)
        return -EINVAL;
    *ret_minutes = sign * (hours * 60 + minutes);
    return hours < 24 && minutes < 60 ? 0 : -EINVAL;
}

/* timegm() would turn February 30 into March; a date is right when it comes back unchanged. */
static int seconds_of(struct tm given, int64_t *ret)
{
    struct tm back = given;
    time_t seconds = timegm(&back);
    if (back.tm_mon != given.tm_mon || back.tm_hour != given.tm_hour ||
        back.tm_min != given.tm_min || back.tm_sec != given.tm_sec)
        return -EINVAL;
    *ret = seconds;
    return 0;
}

int timestamp_parse(struct str text, int64_t *ret)
{
    struct tm tm = {0};
    int ms, zone_minutes;
    int64_t seconds;
    if (text.len > 10 && text.ptr[10] != 'T' && text.ptr[10] != ' ')
        return -EINVAL;
    char between = text.len > 10 ? text.ptr[10] : 'T';
    if (take_number(&text, 4, '-', &tm.tm_year) < 0 || take_number(&text, 2, '-', &tm.tm_mon) < 0 ||
        take_number(&text, 2, between, &tm.tm_mday) < 0 ||
        take_number(&text, 2, ':', &tm.tm_hour) < 0 || take_number(&text, 2, ':', &tm.tm_min) < 0 ||
        take_number(&text, 2, 0, &tm.tm_sec) < 0)
        return -EINVAL;
    if (take_fraction(&text, &ms) < 0 || take_zone(text, &zone_minutes) < 0)
        return -EINVAL;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (seconds_of(tm, &seconds) < 0)
        return -EINVAL;
    *ret = (seconds - zone_minutes * 60) * 1000 + ms;
    return 0;
}
