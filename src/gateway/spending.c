/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/spending.h"

#define WALL_MS_MAX INT64_C(253402300799999) /* end of the year 9999 */

static int read_subject(const json_t *object, enum limit_kind *ret, struct err *err)
{
    const char *name = json_member_string(object, "subject");
    for (int kind = 0; name && kind < LIMIT_KINDS; kind++) {
        if (strcmp(name, limit_kind_names[kind]) == 0) {
            *ret = (enum limit_kind)kind;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "subject must be \"key\", \"user\" or \"model\", not %.32s",
                   name ? name : "absent");
}

static int read_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *ret,
                    struct err *err)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max)
        return err_set(err, ERR_INVALID, "%s must be an integer of %lld to %lld", key,
                       (long long)min, (long long)max);
    *ret = (int64_t)json_integer_value(value);
    return 0;
}

static int read_gateway(const json_t *object, struct spending *ret, struct err *err)
{
    const json_t *value = json_object_get(object, "gateway");
    if (!json_is_string(value) || json_string_length(value) > SPENDING_GATEWAY_MAX)
        return err_set(err, ERR_INVALID, "gateway must be a string of at most %d bytes",
                       SPENDING_GATEWAY_MAX);
    memcpy(ret->gateway, json_string_value(value), json_string_length(value) + 1);
    return 0;
}

int spending_read(const json_t *object, struct spending *ret, struct err *err)
{
    struct spending line = {0};
    int64_t applied = 0;
    int rc = read_subject(object, &line.subject, err);
    if (rc == 0)
        rc = read_int(object, "id", 1, INT64_MAX, &line.id, err);
    if (rc == 0)
        rc = read_int(object, "period_start_ms", 0, WALL_MS_MAX, &line.period_start_ms, err);
    if (rc == 0)
        rc = read_int(object, "tokens", 0, INT64_MAX, &line.tokens, err);
    if (rc == 0)
        rc = read_gateway(object, &line, err);
    if (rc == 0)
        rc = read_int(object, "applied", 0, INT64_MAX, &applied, err);
    if (rc < 0)
        return rc;
    line.applied = (uint64_t)applied;
    *ret = line;
    return 0;
}
