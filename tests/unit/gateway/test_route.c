/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/route.h"

#include "base/mem.h"
#include "gateway/engine_target.h"
#include "gateway/header_drop.h"
#include "gateway/request_id.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NOTHING = -1 };

static const struct {
    enum http_method method;
    const char *path;
    int action; /* NOTHING: no such path */
    enum dialect dialect;
    const char *engine_path;
    const char *allow; /* the method is refused with it */
} paths[] = {
    {HTTP_POST, "/v1/chat/completions", ROUTE_INFER, DIALECT_OPENAI, "/v1/chat/completions", 0},
    {HTTP_POST, "/v1-openai/chat/completions", ROUTE_INFER, DIALECT_OPENAI,
     "/v1/chat/completions", 0},
    {HTTP_POST, "/v1/completions", ROUTE_INFER, DIALECT_OPENAI, "/v1/completions", 0},
    {HTTP_POST, "/v1/embeddings", ROUTE_INFER, DIALECT_OPENAI, "/v1/embeddings", 0},
    {HTTP_POST, "/v1/rerank", ROUTE_INFER, DIALECT_OPENAI, "/v1/rerank", 0},
    {HTTP_POST, "/v2/rerank", ROUTE_INFER, DIALECT_COHERE, "/v1/rerank", 0},
    {HTTP_POST, "/rerank", ROUTE_INFER, DIALECT_OPENAI, "/v1/rerank", 0},
    {HTTP_POST, "/v1/responses", ROUTE_INFER, DIALECT_RESPONSES, "/v1/responses", 0},
    {HTTP_POST, "/v1/messages", ROUTE_INFER, DIALECT_ANTHROPIC, "/v1/messages", 0},
    {HTTP_POST, "/v1/responses/input_tokens", ROUTE_INFER, DIALECT_OPENAI,
     "/v1/responses/input_tokens", 0},
    {HTTP_POST, "/v1/messages/count_tokens", ROUTE_INFER, DIALECT_ANTHROPIC,
     "/v1/messages/count_tokens", 0},
    {HTTP_POST, "/v1/messages/batches", NOTHING, DIALECT_ANTHROPIC, 0, 0},
    {HTTP_POST, "/v1/tokenize", ROUTE_INFER, DIALECT_OPENAI, "/tokenize", 0},
    {HTTP_POST, "/detokenize", ROUTE_INFER, DIALECT_OPENAI, "/detokenize", 0},
    {HTTP_POST, "/v1/images/edits", ROUTE_INFER, DIALECT_OPENAI, "/v1/images/edits", 0},
    {HTTP_POST, "/v1/audio/speech", ROUTE_INFER, DIALECT_OPENAI, "/v1/audio/speech", 0},
    {HTTP_PUT, "/model/proxy/a/b", ROUTE_PROXY, DIALECT_OPENAI, 0, 0},
    {HTTP_GET, "/metrics", ROUTE_METRICS, DIALECT_MANAGEMENT, 0, 0},
    {HTTP_GET, "/v1/models", ROUTE_MODELS, DIALECT_OPENAI, 0, 0},
    {HTTP_HEAD, "/v1-openai/models", ROUTE_MODELS, DIALECT_OPENAI, 0, 0},
    {HTTP_GET, "/v1/models/a/b", ROUTE_MODEL, DIALECT_OPENAI, 0, 0},
    {HTTP_PATCH, "/v2/models/1", ROUTE_CONTROL, DIALECT_MANAGEMENT, 0, 0},
    {HTTP_POST, "/auth/login", ROUTE_CONTROL, DIALECT_MANAGEMENT, 0, 0},
    {HTTP_GET, "/docs", ROUTE_CONTROL, DIALECT_MANAGEMENT, 0, 0},
    {HTTP_GET, "/openapi.json", ROUTE_CONTROL, DIALECT_MANAGEMENT, 0, 0},
    {HTTP_PUT, "/debug/log_level", ROUTE_CONTROL, DIALECT_MANAGEMENT, 0, 0},
    {HTTP_GET, "/version", ROUTE_CONTROL, DIALECT_MANAGEMENT, 0, 0},
    {HTTP_GET, "/healthz", ROUTE_HEALTH, DIALECT_MANAGEMENT, 0, 0},
    {HTTP_GET, "/readyz", ROUTE_READY, DIALECT_MANAGEMENT, 0, 0},
    {HTTP_GET, "/", ROUTE_HOME, DIALECT_MANAGEMENT, 0, 0},
    {HTTP_GET, "/v1/chat/completions", ROUTE_INFER, DIALECT_OPENAI, "/v1/chat/completions",
     "POST"},
    {HTTP_DELETE, "/v1/models", ROUTE_MODELS, DIALECT_OPENAI, 0, "GET, HEAD"},
    {HTTP_POST, "/healthz", ROUTE_HEALTH, DIALECT_MANAGEMENT, 0, "GET, HEAD"},
    {HTTP_GET, "/v2/rerank", ROUTE_INFER, DIALECT_COHERE, "/v1/rerank", "POST"},
    {HTTP_POST, "/v1/chat/completions/", NOTHING, DIALECT_OPENAI, 0, 0},
    {HTTP_GET, "/v1/models/", NOTHING, DIALECT_OPENAI, 0, 0},
    {HTTP_POST, "/v1/../v2/models", NOTHING, DIALECT_OPENAI, 0, 0},
    {HTTP_POST, "/v1/sleep", NOTHING, DIALECT_OPENAI, 0, 0},
    {HTTP_GET, "/v2", NOTHING, DIALECT_MANAGEMENT, 0, 0},
    {HTTP_GET, "/v2/", NOTHING, DIALECT_MANAGEMENT, 0, 0},
    {HTTP_GET, "/proxy/v1/models", NOTHING, DIALECT_MANAGEMENT, 0, 0},
    {HTTP_GET, "", NOTHING, DIALECT_MANAGEMENT, 0, 0},
};

static void test_paths(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct route_match match = route_find(paths[i].method, str_of(paths[i].path));
        int action = match.route ? (int)match.route->action : NOTHING;
        if (action != paths[i].action || match.dialect != paths[i].dialect)
            fail_msg("%s: action %d dialect %d", paths[i].path, action, (int)match.dialect);
        assert_int_equal(match.is_allowed, match.route && !paths[i].allow);
        if (paths[i].engine_path)
            assert_string_equal(match.route->engine_path, paths[i].engine_path);
        if (paths[i].allow) {
            auto_free char *allow = route_allow(match.route);
            assert_string_equal(allow, paths[i].allow);
        }
    }
}

/* What the web UI may have. */
static void test_free_paths(void **state)
{
    static const struct {
        const char *path;
        bool is_free;
    } rows[] = {
        {"/models", true},     {"/instances/7", true}, {"/model-files", true}, {"/routes", true},
        {"/assets/a.js", true}, {"/v", true},          {"/v3/models", true},   {"/a.html", true},
        {"/", false},          {"", false},            {"//models", false},    {"/v1", false},
        {"/v1/", false},       {"/v1/x", false},       {"/v1-openai/x", false}, {"/v2", false},
        {"/v2/", false},       {"/v2/models", false},  {"/auth", false},       {"/auth/", false},
        {"/model/x", false},   {"/docs/x", false},     {"/metrics/", false},   {"/healthz/", false},
        {"/debug", false},     {"/rerank", false},     {"/tokenize/x", false}, {"/version", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (route_find(HTTP_GET, str_of(rows[i].path)).is_free != rows[i].is_free)
            fail_msg("%s", rows[i].path);
}

static void test_rest_is_the_name(void **state)
{
    struct route_match match = route_find(HTTP_GET, STR("/v1-openai/models/Qwen/Qwen3"));
    assert_true(str_eq(match.rest, STR("Qwen/Qwen3")));
}

static void test_paths_of_a_models_own(void **state)
{
    static const struct {
        const char *rest, *model, *path; /* model NULL: refused */
    } rows[] = {
        {"hello/infill", "hello", "/infill"},
        {"Qwen%2FQwen3/v1/audio/voices", "Qwen%2FQwen3", "/v1/audio/voices"},
        {"hello/health", "hello", "/health"},
        {"hello", NULL, NULL},
        {"hello/", NULL, NULL},
        {"/x", NULL, NULL},
        {"hello/a//b", NULL, NULL},
        {"hello/../v2/models", NULL, NULL},
        {"hello/a/./b", NULL, NULL},
        {"hello/a/..", NULL, NULL},
        {"hello/a/b/", NULL, NULL},
        {"hello/a%2e%2e/b", NULL, NULL},
        {"hello/%73leep", NULL, NULL},
        {"hello/a\\b", NULL, NULL},
        {"hello/a;b", NULL, NULL},
        {"hello/sleep", NULL, NULL},
        {"hello/v1/Load_LoRA_adapter", NULL, NULL},
        {"hello/collective_rpc", NULL, NULL},
        {"hello/slots/0", NULL, NULL},
        {"hello/v1/chat/completions/control", NULL, NULL},
        {"hello/v1/stream/somebodys", NULL, NULL},
        {"hello/v1/streams/lookup", NULL, NULL},
        {"hello/cors-proxy", NULL, NULL},
        {"hello/tools", NULL, NULL},
        {"hello/v2/repository/index", NULL, NULL},
        {"hello/stopService", NULL, NULL},
        {"hello/abort_request", NULL, NULL},
        {"hello/update_weights_from_ipc", NULL, NULL},
        {"hello/Weights_Checker", NULL, NULL},
        {"hello/load_lora_adapter_from_tensors", NULL, NULL},
        {"hello/hicache/storage-backend/clear", NULL, NULL},
        {"hello/get_server_info", NULL, NULL},
        {"hello/close_session", NULL, NULL},
        {"hello/slow_down", NULL, NULL},
        {"hello/v1/images/generations", "hello", "/v1/images/generations"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str model, path;
        bool is_good = route_split_proxy(str_of(rows[i].rest), &model, &path);
        if (is_good != (rows[i].model != NULL))
            fail_msg("%s: %d", rows[i].rest, is_good);
        if (is_good) {
            assert_true(str_eq(model, str_of(rows[i].model)));
            assert_true(str_eq(path, str_of(rows[i].path)));
        }
    }
}

static void test_request_ids(void **state)
{
    static const struct {
        const char *sent;
        bool is_taken;
    } rows[] = {
        {"abc-1", true}, {"", false}, {"a b", false}, {"a\xc3\xa4", false}, {"\x7f", false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_headers headers = {.count = 1};
        struct request_id id;
        headers.items[0] = (struct http_header){STR("x-request-ID"), str_of(rows[i].sent)};
        request_id_set(&id, &headers);
        assert_int_equal(strcmp(id.text, rows[i].sent) == 0, rows[i].is_taken);
        if (!rows[i].is_taken)
            assert_int_equal(strlen(id.text), 4 + 32);
    }
}

static void test_request_id_length(void **state)
{
    char sent[REQUEST_ID_MAX + 2];
    struct http_headers headers = {.count = 1};
    struct request_id id;
    memset(sent, 'a', sizeof sent);
    headers.items[0] = (struct http_header){STR("X-Request-Id"), str_sub(sent, REQUEST_ID_MAX)};
    request_id_set(&id, &headers);
    assert_int_equal(strlen(id.text), REQUEST_ID_MAX);
    headers.items[0].value.len++;
    request_id_set(&id, &headers);
    assert_int_equal(strlen(id.text), 4 + 32);
}

static void test_dropped_headers(void **state)
{
    static const struct {
        const char *name;
        bool is_ours, is_kept;
    } cases[] = {
        {"x-gpustack-user", true, true}, {"X-GPUStack-Model-Instance", true, true},
        {"Accept", false, false},        {"X-GPUStack-", false, false},
        {"X-GPUStackx", false, false},   {"cookie", false, true},
        {"X-API-Key", false, true},      {"Accept-Encoding", false, true},
        {"traceparent", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(header_is_ours(str_of(cases[i].name)), cases[i].is_ours);
        assert_int_equal(header_is_kept_from_engines(str_of(cases[i].name)), cases[i].is_kept);
    }
}

static void test_engine_targets(void **state)
{
    char host[] = "10.0.0.5", netns[] = "boot:net", bearer[] = "Bearer tok", name[] = "a";
    struct entry entry = {.kind = ENTRY_ENDPOINT, .id = 7};
    struct engine_target to;
    entry.endpoint = (struct endpoint_entry){.name = name,
                                             .host = host,
                                             .port = 10150,
                                             .local_port = 40000,
                                             .netns_id = netns,
                                             .bearer = bearer};
    engine_target_init(&to, &entry, "boot:net", STR("/v1/x"));
    assert_string_equal(to.target.host, "127.0.0.1");
    assert_int_equal(to.target.port, 40000);
    assert_true(str_eq(to.path, STR("/v1/x")));
    assert_int_equal(to.header_count, 1);
    assert_string_equal(to.headers[0].value.ptr, "Bearer tok");
    engine_target_fini(&to);

    engine_target_init(&to, &entry, "boot:other", STR("/v1/x"));
    assert_string_equal(to.target.host, "10.0.0.5");
    assert_int_equal(to.target.port, 10150);
    assert_true(str_eq(to.path, STR("/proxy/v1/x")));
    assert_int_equal(to.header_count, 2);
    assert_string_equal(to.headers[1].value.ptr, "7");
    engine_target_fini(&to);

    netns[0] = '\0';
    engine_target_init(&to, &entry, "", STR("/v1/x"));
    assert_string_equal(to.target.host, "10.0.0.5");
    engine_target_fini(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),           cmocka_unit_test(test_rest_is_the_name),
        cmocka_unit_test(test_free_paths),
        cmocka_unit_test(test_request_ids),     cmocka_unit_test(test_request_id_length),
        cmocka_unit_test(test_paths_of_a_models_own),
        cmocka_unit_test(test_dropped_headers), cmocka_unit_test(test_engine_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
