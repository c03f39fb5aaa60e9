/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_priv.h"

#include "base/num.h"

#include <errno.h>

/* Sorted by path. A row without an access rule keeps control from starting. */
const struct api_route api_routes[] = {
    {HTTP_POST, "/auth/login", ACCESS_PUBLIC, auth_login},
    {HTTP_POST, "/auth/logout", ACCESS_SELF, auth_logout},
    {HTTP_POST, "/auth/update-password", ACCESS_SELF, auth_update_password},
    {HTTP_GET, "/v2/api-keys", ACCESS_USER, api_keys_list},
    {HTTP_POST, "/v2/api-keys", ACCESS_USER, api_keys_create},
    {HTTP_GET, "/v2/api-keys/{id}", ACCESS_USER, api_keys_get},
    {HTTP_PUT, "/v2/api-keys/{id}", ACCESS_USER, api_keys_update},
    {HTTP_DELETE, "/v2/api-keys/{id}", ACCESS_USER, api_keys_delete},
    {HTTP_GET, "/v2/events", ACCESS_ADMIN, events_list},
    {HTTP_GET, "/v2/gateway-feed", ACCESS_CLUSTER, gateway_feed},
    {HTTP_GET, "/v2/gpu-devices", ACCESS_ADMIN, gpu_devices_list},
    {HTTP_GET, "/v2/gpu-devices/{text}", ACCESS_ADMIN, gpu_devices_get},
    {HTTP_POST, "/v2/key-uses", ACCESS_CLUSTER, api_keys_uses},
    {HTTP_GET, "/v2/model-instances", ACCESS_ADMIN, instances_list},
    {HTTP_GET, "/v2/model-instances/{id}", ACCESS_ADMIN, instances_get},
    {HTTP_DELETE, "/v2/model-instances/{id}", ACCESS_ADMIN, instances_delete},
    {HTTP_GET, "/v2/model-instances/{id}/log-options", ACCESS_ADMIN, instances_log_options},
    {HTTP_GET, "/v2/model-instances/{id}/logs", ACCESS_ADMIN, instances_logs},
    {HTTP_GET, "/v2/model-instances/{id}/timeline", ACCESS_ADMIN, instances_timeline},
    {HTTP_GET, "/v2/models", ACCESS_ADMIN, models_list},
    {HTTP_POST, "/v2/models", ACCESS_ADMIN, models_create},
    {HTTP_GET, "/v2/models/{id}", ACCESS_ADMIN, models_get},
    {HTTP_PUT, "/v2/models/{id}", ACCESS_ADMIN, models_update},
    {HTTP_DELETE, "/v2/models/{id}", ACCESS_ADMIN, models_delete},
    {HTTP_GET, "/v2/models/{id}/instances", ACCESS_ADMIN, models_instances},
    {HTTP_GET, "/v2/models/{id}/revisions", ACCESS_ADMIN, models_revisions},
    {HTTP_POST, "/v2/models/{id}/rollback", ACCESS_ADMIN, models_rollback},
    {HTTP_POST, "/v2/models/{id}/start", ACCESS_ADMIN, models_start},
    {HTTP_POST, "/v2/models/{id}/stop", ACCESS_ADMIN, models_stop},
    {HTTP_GET, "/v2/stream", ACCESS_USER, stream_open},
    {HTTP_GET, "/v2/users", ACCESS_ADMIN, users_list},
    {HTTP_POST, "/v2/users", ACCESS_ADMIN, users_create},
    {HTTP_GET, "/v2/users/me", ACCESS_SELF, users_me},
    {HTTP_PUT, "/v2/users/me", ACCESS_USER, users_update_me},
    {HTTP_GET, "/v2/users/{id}", ACCESS_ADMIN, users_get},
    {HTTP_PUT, "/v2/users/{id}", ACCESS_ADMIN, users_update},
    {HTTP_DELETE, "/v2/users/{id}", ACCESS_ADMIN, users_delete},
    {HTTP_PATCH, "/v2/users/{id}/activation", ACCESS_ADMIN, users_activate},
    {HTTP_POST, "/v2/worker-status", ACCESS_WORKER, workers_status},
    {HTTP_GET, "/v2/workers", ACCESS_ADMIN, workers_list},
    {HTTP_POST, "/v2/workers", ACCESS_CLUSTER, workers_register},
    {HTTP_GET, "/v2/workers/{id}", ACCESS_ADMIN, workers_get},
    {HTTP_PUT, "/v2/workers/{id}", ACCESS_ADMIN, workers_update},
    {HTTP_DELETE, "/v2/workers/{id}", ACCESS_ADMIN, workers_delete},
    {HTTP_GET, "/v2/workers/{id}/desired", ACCESS_WORKER, workers_desired},
    {HTTP_GET, "/version", ACCESS_PUBLIC, version_get},
    {0},
};

/* Whether `path` has the shape of `pattern`; the number at {id} goes to `*ret_id`. */
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
                return false;
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
    for (const struct api_route *route = api_routes; route->path; route++) {
        if (!matches(route->path, path, ret_id))
            continue;
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
