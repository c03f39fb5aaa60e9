/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_priv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_only_what_tells_nothing_of_the_cluster_is_public(void **state)
{
    static const char *const open[] = {"/auth/config", "/auth/login", "/docs", "/openapi.json",
                                       "/version"};
    for (const struct api_route *route = api_routes; route->path; route++) {
        bool is_public = route->access == ACCESS_PUBLIC;
        bool may_be = false;
        for (size_t i = 0; i < ARRAY_LEN(open); i++)
            may_be = may_be || strcmp(route->path, open[i]) == 0;
        assert_true(!is_public || may_be);
    }
}

static void test_finding(void **state)
{
    static const struct {
        enum http_method method;
        const char *path;
        int want;
        const char *pattern; /* of the found route, or the allowed methods of a refusal */
        int64_t id;
    } rows[] = {
        {HTTP_GET, "/v2/models", 0, "/v2/models", 0},
        {HTTP_GET, "/v2/models/7", 0, "/v2/models/{id}", 7},
        {HTTP_GET, "/v2/models/7/instances", 0, "/v2/models/{id}/instances", 7},
        {HTTP_GET, "/v2/users/me", 0, "/v2/users/me", 0},
        {HTTP_GET, "/v2/users/8", 0, "/v2/users/{id}", 8},
        {HTTP_PATCH, "/v2/models/7", -EPERM, "GET, PUT, DELETE", 0},
        {HTTP_DELETE, "/v2/models", -EPERM, "GET, POST", 0},
        {HTTP_DELETE, "/v2/users/me", -EPERM, "GET, PUT", 0},
        {HTTP_GET, "/v2/models/x", 0, "/v2/models/{id}", 0},
        {HTTP_GET, "/v2/models/0", 0, "/v2/models/{id}", 0},
        {HTTP_GET, "/v2/models/-1", 0, "/v2/models/{id}", 0},
        {HTTP_GET, "/v2/models/99999999999999999999", 0, "/v2/models/{id}", 0},
        {HTTP_GET, "/v2/models/7/logs/x", ERR_NOT_FOUND, NULL, 0},
        {HTTP_GET, "/v2", ERR_NOT_FOUND, NULL, 0},
        {HTTP_GET, "", ERR_NOT_FOUND, NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct api_route *route = NULL;
        int64_t id = 0;
        auto_free char *allow = NULL;
        struct err err = {0};
        int rc = api_route_find(rows[i].method, rows[i].path, &route, &id, &allow, &err);
        assert_int_equal(rc, rows[i].want);
        if (rc == 0) {
            assert_string_equal(route->path, rows[i].pattern);
            assert_int_equal(id, rows[i].id);
        } else if (rc == -EPERM) {
            assert_string_equal(allow, rows[i].pattern);
        }
    }
}

static void test_problems(void **state)
{
    static const struct {
        int code;
        unsigned status;
        const char *want;
    } rows[] = {
        {ERR_NOT_FOUND, 404, "{\"code\":404,\"reason\":\"NotFound\",\"message\":\"x\"}"},
        {ERR_EXISTS, 409, "{\"code\":409,\"reason\":\"AlreadyExists\",\"message\":\"x\"}"},
        {ERR_INVALID, 422, "{\"code\":422,\"reason\":\"Invalid\",\"message\":\"x\"}"},
        {ERR_SYNTAX, 400, "{\"code\":400,\"reason\":\"BadRequest\",\"message\":\"x\"}"},
        {-EPERM, 405, "{\"code\":405,\"reason\":\"MethodNotAllowed\",\"message\":\"x\"}"},
        {-EIO, 500, "{\"code\":500,\"reason\":\"InternalServerError\",\"message\":\"x\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf body = {0};
        problem_write(&(struct problem){rows[i].code, "x", NULL}, &body);
        assert_int_equal(problem_status(rows[i].code), rows[i].status);
        assert_string_equal(body.ptr, rows[i].want);
        buf_fini(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_tells_nothing_of_the_cluster_is_public),
        cmocka_unit_test(test_finding),
        cmocka_unit_test(test_problems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
