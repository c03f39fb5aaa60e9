/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_priv.h"

#include "base/num.h"

#include <errno.h>

/* Whether `path` has the shape of `pattern`; the number at {id} goes to `*ret_id`, 0 when there is
 * something else. */
static bool matches(const char *pattern, const char *path, int64_t *ret_id)
{
    struct str want = str_of(pattern), have = str_of(path), want_part, have_part;
    int64_t id = 0;
    for (;;) {
        bool more_want = str_split(&want, '/', &want_part);
        bool more_have = str_split(&have, '/', &have_part);
        if (more_want != more_have)
            return false;
        if (!more_want)
            break;
        if (str_eq(want_part, STR("{text}"))) {
            if (have_part.len == 0)
                return false;
        } else if (str_eq(want_part, STR("{id}"))) {
            if (num_parse_i64(have_part, 1, INT64_MAX, &id) < 0)
                id = 0;
        } else if (!str_eq(want_part, have_part)) {
            return false;
        }
    }
    *ret_id = id;
    return true;
}

int api_route_find(enum http_method method, const char *path, const struct api_route **ret,
                   int64_t *ret_id, char **ret_allow, struct err *err)
{
    struct buf allow = {0};
    const char *found = NULL; /* the first fit counts: "me" is no {id} */
    for (const struct api_route *route = api_routes; route->path; route++) {
        if (found ? strcmp(route->path, found) != 0 : !matches(route->path, path, ret_id))
            continue;
        found = route->path;
        if (route->method == method) {
            *ret = route;
            buf_fini(&allow);
            return 0;
        }
        buf_printf(&allow, "%s%s", allow.len ? ", " : "", http_method_name(route->method));
    }
    if (!allow.len)
        return err_set(err, ERR_NOT_FOUND, "there is no %s", path);
    *ret_allow = buf_take(&allow);
    return err_set(err, -EPERM, "%s takes %s, not %s", path, *ret_allow, http_method_name(method));
}
