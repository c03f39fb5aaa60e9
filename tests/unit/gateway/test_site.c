/* SPDX-License-Identifier: Apache-2.0 */
/* The web UI: which file a request gets and in which form, alone and from a whole gateway. */
#include "gateway/site.h"
#include "world.h"

enum { LARGE = 3 << 20 };

#define HTML "text/html; charset=utf-8"
#define PAGE "<!doctype html><title>the UI</title>"
#define BROWSER "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

static char large[LARGE];

/* What stands for compressed bytes needs not be any. */
static const struct site_file files[] = {
    {"/assets/app-1a.js", "text/javascript; charset=utf-8", "W/\"app\"", STR("plain app"),
     STR("gzip app")},
    {"/assets/font-2b.woff2", "font/woff2", "W/\"font\"", {large, LARGE}, {0}},
    {"/favicon.svg", "image/svg+xml", "W/\"icon\"", STR("<svg/>"), {0}},
    {"/index.html", HTML, "W/\"page\"", STR(PAGE), STR("gzip page")},
};
static const struct site site = {files, ARRAY_LEN(files)};
static const struct site no_site = {0};

static void test_paths(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        assert_ptr_equal(site_find(&site, str_of(files[i].path)), &files[i]);
    assert_ptr_equal(site_find(&site, STR("/")), &files[3]);
    static const char *const others[] = {"", "/a", "/assets/", "/assets/app-1a.j", "/index.htm",
                                         "/assets/app-1a.js2", "/z", "/assets", "index.html"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_null(site_find(&site, str_of(others[i])));
    assert_null(site_find(&no_site, STR("/")));
}

static struct site_answer answer_to(enum http_method method, const char *path, const char *name,
                                    const char *value)
{
    static struct http_request_head head;
    head = (struct http_request_head){.method = method, .path = str_of(path)};
    head.headers.items[head.headers.count++] = (struct http_header){str_of(name), str_of(value)};
    return site_answer(&site, &head);
}

/* A browser that goes to a page of the UI; everybody else means something else. */
static void test_history(void **state)
{
    static const struct {
        enum http_method method;
        const char *path, *accept, *file; /* NULL: nothing */
    } rows[] = {
        {HTTP_GET, "/models", BROWSER, "/index.html"},
        {HTTP_HEAD, "/instances/7", BROWSER, "/index.html"},
        {HTTP_GET, "/a/b/c.html", "text/html;q=0.1", "/index.html"},
        {HTTP_GET, "/models", "*/*", NULL},
        {HTTP_GET, "/models", "text/html;q=0, */*", NULL},
        {HTTP_GET, "/models", "application/json", NULL},
        {HTTP_POST, "/models", BROWSER, NULL},
        {HTTP_OPTIONS, "/", BROWSER, NULL},
        {HTTP_POST, "/favicon.svg", "*/*", NULL},
        {HTTP_GET, "/", "application/json", "/index.html"},
        {HTTP_GET, "/favicon.svg", "image/svg+xml", "/favicon.svg"},
        {HTTP_GET, "/favicon.svg", BROWSER, "/favicon.svg"},
        {HTTP_GET, "/assets/app-1a.js", "*/*", "/assets/app-1a.js"},
        {HTTP_GET, "/assets/app-0a.js", BROWSER, NULL},
        {HTTP_GET, "/assets/", BROWSER, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct site_answer answer =
            answer_to(rows[i].method, rows[i].path, "Accept", rows[i].accept);
        if (!answer.file != !rows[i].file)
            fail_msg("%s with %s", rows[i].path, rows[i].accept);
        if (answer.file)
            assert_string_equal(answer.file->path, rows[i].file);
    }
}

static void test_forms(void **state)
{
    static const struct {
        const char *path, *accept;
        bool is_gzip;
    } rows[] = {
        {"/", "gzip, deflate, br", true},        {"/", "", false},
        {"/", "identity", false},                {"/", "gzip;q=0", false},
        {"/", "*", true},                        {"/", "*;q=0", false},
        {"/", "*, gzip;q=0", false},             {"/", "gzip;q=0.5, identity", false},
        {"/", "gzip;q=0.5, identity;q=0.5", true}, {"/", "br", false},
        {"/favicon.svg", "gzip", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (answer_to(HTTP_GET, rows[i].path, "Accept-Encoding", rows[i].accept).is_gzip !=
            rows[i].is_gzip)
            fail_msg("%s with '%s'", rows[i].path, rows[i].accept);
    assert_false(answer_to(HTTP_GET, "/", "Accept", "gzip").is_gzip);
}

static void test_what_the_client_has(void **state)
{
    static const struct {
        const char *tags;
        bool is_known;
    } rows[] = {
        {"W/\"page\"", true}, {"\"page\"", true}, {"\"a\", W/\"page\" ,\"b\"", true},
        {"*", true},          {"", false},        {"page", false},
        {"\"Page\"", false},  {"\"a\"", false},   {"W/\"page", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (answer_to(HTTP_GET, "/models/..", "If-None-Match", rows[i].tags).file ||
            answer_to(HTTP_GET, "/", "If-None-Match", rows[i].tags).is_known != rows[i].is_known)
            fail_msg("%s", rows[i].tags);
}

/* ---- from a gateway ---- */

/* As ask(), with one more header. */
static void ask_with(struct world *w, struct answer *a, enum http_method method, const char *path,
                     const char *name, const char *value)
{
    struct http_call_params params = answer_init(w, a, path, NULL);
    a->headers[params.header_count++] = (struct http_header){str_of(name), str_of(value)};
    params.method = method;
    a->call = http_call_start(w->pool, &params, &answer_ops, a);
    WAIT_UNTIL(w, a->is_ended);
    assert_int_equal(a->error, 0);
}

static void expect_guarded(const struct buf *head)
{
    expect_in(head, "Content-Security-Policy: default-src 'self'; ");
    expect_in(head, "; frame-ancestors 'none'\n");
    expect_in(head, "X-Content-Type-Options: nosniff\n");
    expect_in(head, "Referrer-Policy: same-origin\n");
    expect_in(head, "Vary: Accept-Encoding\n");
}

static void test_page(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.site = &site;
    world_start(&w, 1);
    ask(&w, &a, HTTP_GET, "/", NULL, NULL);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body.ptr, PAGE);
    expect_in(&a.head, "Content-Type: " HTML "\n");
    expect_in(&a.head, "Cache-Control: no-cache\n");
    expect_in(&a.head, "ETag: W/\"page\"\n");
    expect_not_in(&a.head, "Content-Encoding");
    expect_guarded(&a.head);
    answer_fini(&a);
    ask_with(&w, &a, HTTP_GET, "/instances/7?tab=logs", "Accept", BROWSER);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body.ptr, PAGE);
    answer_fini(&a);
    ask_with(&w, &a, HTTP_GET, "/", "If-None-Match", "W/\"page\"");
    assert_int_equal(a.status, 304);
    assert_int_equal(a.body.len, 0);
    expect_in(&a.head, "ETag: W/\"page\"\n");
    expect_in(&a.head, "Cache-Control: no-cache\n");
    expect_not_in(&a.head, "Content-Length");
    expect_not_in(&a.head, HTML);
    expect_guarded(&a.head);
    answer_fini(&a);
    world_fini(&w);
}

static void test_assets(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.site = &site;
    world_start(&w, 1);
    ask_with(&w, &a, HTTP_GET, "/assets/app-1a.js", "Accept-Encoding", "gzip");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body.ptr, "gzip app");
    expect_in(&a.head, "Content-Encoding: gzip\n");
    expect_in(&a.head, "Cache-Control: public, max-age=31536000, immutable\n");
    expect_guarded(&a.head);
    answer_fini(&a);
    ask_with(&w, &a, HTTP_HEAD, "/assets/app-1a.js", "Accept-Encoding", "gzip");
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body.len, 0);
    expect_in(&a.head, "Content-Length: 8\n");
    answer_fini(&a);
    memset(large, 'x', LARGE);
    large[LARGE - 1] = 'y';
    ask(&w, &a, HTTP_GET, "/assets/font-2b.woff2", NULL, NULL);
    assert_int_equal(a.body.len, LARGE);
    assert_memory_equal(a.body.ptr, large, LARGE);
    answer_fini(&a);
    ask(&w, &a, HTTP_HEAD, "/assets/font-2b.woff2", NULL, NULL);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body.len, 0);
    answer_fini(&a);
    world_fini(&w);
}

/* Leaves in the middle of a file that doesn't fit into the socket. */
static void test_a_client_leaves(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.site = &site;
    world_start(&w, 1);
    ask_start(&w, &a, HTTP_GET, "/assets/font-2b.woff2", NULL, NULL);
    WAIT_UNTIL(&w, a.body.len > 0);
    answer_fini(&a);
    ask(&w, &a, HTTP_GET, "/healthz", NULL, NULL);
    assert_int_equal(a.status, 200);
    answer_fini(&a);
    world_fini(&w);
}

/* The UI takes nothing away from the APIs. */
static void test_errors_stay(void **state)
{
    static const struct {
        enum http_method method;
        const char *path;
        unsigned status;
        const char *text;
    } rows[] = {
        {HTTP_GET, "/v1/nothing", 404, "\"code\":\"unknown_url\""},
        {HTTP_GET, "/v1", 404, "\"reason\":\"NotFound\""},
        {HTTP_GET, "/v2", 404, "\"reason\":\"NotFound\""},
        {HTTP_GET, "/auth/", 404, "\"reason\":\"NotFound\""},
        {HTTP_GET, "/docs/x", 404, "there is nothing at /docs/x"},
        {HTTP_GET, "/assets/old.js", 404, "there is nothing at /assets/old.js"},
        {HTTP_GET, "/model/proxy", 404, "\"reason\":\"NotFound\""},
        {HTTP_GET, "/v1/chat/completions", 405, "only POST"},
        {HTTP_POST, "/models", 404, "there is nothing at /models"},
        {HTTP_POST, "/", 405, "only GET, HEAD"},
        {HTTP_GET, "/healthz", 200, "ok"},
        {HTTP_GET, "/version", 201, "{\"from\":\"control\"}"},
        {HTTP_GET, "/docs", 201, "{\"from\":\"control\"}"},
        {HTTP_GET, "/openapi.json", 201, "{\"from\":\"control\"}"},
        {HTTP_GET, "/metrics", 200, "# HELP"},
    };
    struct world w;
    struct answer a;
    world_init(&w);
    w.site = &site;
    world_start(&w, 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ask_with(&w, &a, rows[i].method, rows[i].path, "Accept", BROWSER);
        if (a.status != rows[i].status)
            fail_msg("%s: %u", rows[i].path, a.status);
        expect_in(&a.body, rows[i].text);
        expect_not_in(&a.head, "Content-Security-Policy");
        answer_fini(&a);
    }
    world_fini(&w);
}

static void test_without_a_site(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    world_start(&w, 1);
    ask_with(&w, &a, HTTP_GET, "/models", "Accept", BROWSER);
    assert_int_equal(a.status, 404);
    answer_fini(&a);
    ask_with(&w, &a, HTTP_GET, "/", "Accept", BROWSER);
    assert_int_equal(a.status, 200);
    expect_in(&a.body, "gpustack " GPUSTACK_VERSION);
    answer_fini(&a);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),           cmocka_unit_test(test_history),
        cmocka_unit_test(test_forms),           cmocka_unit_test(test_what_the_client_has),
        cmocka_unit_test(test_page),            cmocka_unit_test(test_assets),
        cmocka_unit_test(test_a_client_leaves), cmocka_unit_test(test_errors_stay),
        cmocka_unit_test(test_without_a_site),
    };
    auth_init();
    log_set_level(getenv("DEBUG") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
