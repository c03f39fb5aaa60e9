/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/authenticate.h"

#include "auth/auth.h"
#include "gateway/tables.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NOW_MS = 1000 };

#define SECRET "00112233445566778899aabbccddeeff"
#define OTHER_SECRET "ffeeddccbbaa99887766554433221100"

static const char *const users[] = {
    "\"id\":1,\"username\":\"anna\",\"is_admin\":false,\"is_active\":true,"
    "\"require_password_change\":false",
    "\"id\":2,\"username\":\"gone\",\"is_admin\":true,\"is_active\":false,"
    "\"require_password_change\":false",
    "\"id\":3,\"username\":\"new\",\"is_admin\":false,\"is_active\":true,"
    "\"require_password_change\":true",
};

static const struct {
    const char *access;
    int user_id, expires_at_ms;
    const char *scope;
    int previous_expires_at_ms; /* 0: it wasn't rotated; else SECRET is the value before */
} keys[] = {
    {"aaaaaaaaaaaaaaaa", 1, 0, "", 0},
    {"bbbbbbbbbbbbbbbb", 1, NOW_MS, "\"*\"", 0},
    {"cccccccccccccccc", 1, NOW_MS + 1, "\"*\"", 0},
    {"dddddddddddddddd", 2, 0, "\"*\"", 0},
    {"eeeeeeeeeeeeeeee", 3, 0, "\"*\"", 0},
    {"ffffffffffffffff", 1, 0, "\"management\"", 0},
    {"1111111111111111", 1, 0, "\"management\",\"inference\"", 0},
    {"2222222222222222", 9, 0, "\"*\"", 0},
    {"3333333333333333", 1, 0, "", NOW_MS + 1},
    {"4444444444444444", 1, 0, "", NOW_MS},
};

static const struct {
    const char *cookie;
    int user_id, expires_at_ms;
} sessions[] = {
    {"good", 1, NOW_MS + 1},
    {"late", 1, NOW_MS},
    {"gone", 2, NOW_MS + 1},
    {"new", 3, NOW_MS + 1},
};

static void apply(struct tables *tables, const char *kind, const char *members)
{
    struct err err = {0};
    auto_free char *line =
        mem_printf("{\"op\":\"put\",\"seq\":1,\"kind\":\"%s\",%s}", kind, members);
    if (tables_apply(tables, str_of(line), &err) < 0)
        fail_msg("%s: %s", line, err.text);
}

static void put_keys(struct tables *tables)
{
    char digest[AUTH_DIGEST_HEX], other[AUTH_DIGEST_HEX];
    auth_digest(STR(SECRET), digest);
    auth_digest(STR(OTHER_SECRET), other);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        bool is_rotated = keys[i].previous_expires_at_ms > 0;
        auto_free char *previous =
            mem_printf("\"previous_digest\":\"%s\",\"previous_expires_at_ms\":%d,", digest,
                       keys[i].previous_expires_at_ms);
        auto_free char *members = mem_printf(
            "\"id\":%zu,\"access_key\":\"%s\",\"secret_digest\":\"%s\",\"user_id\":%d,"
            "%s\"expires_at_ms\":%d,\"scope\":[%s],\"allowed_model_names\":[]",
            i + 1, keys[i].access, is_rotated ? other : digest, keys[i].user_id,
            is_rotated ? previous : "", keys[i].expires_at_ms, keys[i].scope);
        apply(tables, "key", members);
    }
}

static void put_sessions(struct tables *tables)
{
    char digest[AUTH_DIGEST_HEX];
    for (size_t i = 0; i < ARRAY_LEN(sessions); i++) {
        auth_digest(str_of(sessions[i].cookie), digest);
        auto_free char *members =
            mem_printf("\"id\":%zu,\"token_digest\":\"%s\",\"user_id\":%d,\"expires_at_ms\":%d",
                       i + 1, digest, sessions[i].user_id, sessions[i].expires_at_ms);
        apply(tables, "session", members);
    }
}

static struct snapshot *make_snapshot(void)
{
    struct tables tables = {0};
    assert_int_equal(tables_apply(&tables, STR("{\"op\":\"reset\",\"seq\":1}"), NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(users); i++)
        apply(&tables, "user", users[i]);
    put_keys(&tables);
    put_sessions(&tables);
    struct snapshot *snapshot = snapshot_build(tables.kinds, tables.dirty, NULL);
    tables_fini(&tables);
    return snapshot;
}

#define BEARER(access) "Authorization", "Bearer gpustack_" access "_" SECRET

static void test_credentials(void **state)
{
    static const struct {
        const char *name, *value;
        int code;
        int64_t user_id;
        const char *text;
    } rows[] = {
        {BEARER("aaaaaaaaaaaaaaaa"), 0, 1, NULL},
        {"X-API-Key", "gpustack_aaaaaaaaaaaaaaaa_" SECRET, 0, 1, NULL},
        {BEARER("bbbbbbbbbbbbbbbb"), ERR_UNAUTHORIZED, 0, "not valid or has expired"},
        {BEARER("3333333333333333"), 0, 1, NULL},
        {BEARER("4444444444444444"), ERR_UNAUTHORIZED, 0, "not valid or has expired"},
        {"X-API-Key", "gpustack_3333333333333333_" OTHER_SECRET, 0, 1, NULL},
        {"X-API-Key", "gpustack_4444444444444444_" OTHER_SECRET, 0, 1, NULL},
        {"X-API-Key", "gpustack_aaaaaaaaaaaaaaaa_" OTHER_SECRET, ERR_UNAUTHORIZED, 0, "not valid"},
        {BEARER("cccccccccccccccc"), 0, 1, NULL},
        {BEARER("dddddddddddddddd"), ERR_UNAUTHORIZED, 0, "not valid or has expired"},
        {BEARER("eeeeeeeeeeeeeeee"), 0, 3, NULL},
        {BEARER("ffffffffffffffff"), ERR_FORBIDDEN, 0, "scope"},
        {BEARER("1111111111111111"), 0, 1, NULL},
        {BEARER("2222222222222222"), ERR_UNAUTHORIZED, 0, "not valid"},
        {BEARER("9999999999999999"), ERR_UNAUTHORIZED, 0, "not valid"},
        {"Authorization", "Bearer gpustack_aaaaaaaaaaaaaaaa_10112233445566778899aabbccddeeff",
         ERR_UNAUTHORIZED, 0, "not valid"},
        {"Authorization", "Bearer gpustack_aaaaaaaaaaaaaaaa_", ERR_UNAUTHORIZED, 0, "not valid"},
        {"Authorization", "Bearer sk-1234", ERR_UNAUTHORIZED, 0, "not valid"},
        {"Authorization", "Basic YW5uYTpwdw==", ERR_UNAUTHORIZED, 0, "user name and password"},
        {"Accept", "text/html", ERR_UNAUTHORIZED, 0, "no API key"},
        {"Cookie", "gpustack_session=good", 0, 1, NULL},
        {"Cookie", "gpustack_session=late", ERR_UNAUTHORIZED, 0, "session is not valid"},
        {"Cookie", "gpustack_session=gone", ERR_UNAUTHORIZED, 0, "session is not valid"},
        {"Cookie", "gpustack_session=other", ERR_UNAUTHORIZED, 0, "session is not valid"},
        {"Cookie", "gpustack_session=new", ERR_FORBIDDEN, 0, "password must be changed"},
    };
    struct snapshot *snapshot = make_snapshot();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_headers headers = {.count = 1};
        struct identity who = {0};
        struct err err = {0};
        headers.items[0] = (struct http_header){str_of(rows[i].name), str_of(rows[i].value)};
        int rc = authenticate(snapshot, NULL, &headers, NOW_MS, &who, &err);
        if (rc != rows[i].code || (rc < 0 && !strstr(err.text, rows[i].text)))
            fail_msg("%s: %d %s", rows[i].value, rc, err.text);
        assert_null(strstr(err.text, "gpustack_"));
        assert_int_equal(who.user ? who.user->id : 0, rows[i].user_id);
    }
    snapshot_unref(snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credentials),
    };
    auth_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
