/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker does about files that control wants, against a hub on this machine. */
#include "worker/downloads.h"

#include "../hub/range_server.h"
#include "base/file.h"
#include "folder.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define CONTENT "GGUF, more or less"

static struct loop *loop;
static char *cache;
static struct range_server server;
/* Each test's own: what a test leaves behind may still read its URL. */
static char urls[8][64];
static char *url = urls[0];

/* The first part of a repository's name says how its file is served, see range_server.h. */
#define PAGES_OF(repo)                                                                             \
    {"/api/models/" repo "/revision/main", "", "{\"sha\":\"c0ffee\"}"},                            \
    {"/api/models/" repo "/tree/c0ffee?recursive=true", "", LISTING}

#define LISTING "[{\"type\":\"file\",\"path\":\"m.gguf\",\"size\":18}]"

static const struct range_page pages[] = {
    PAGES_OF("good/m"), PAGES_OF("silent/m"), PAGES_OF("status/401"), PAGES_OF("status/500"), {0}};

static void on_change(void *ctx)
{
    (void)ctx;
    loop_stop(loop);
}

static int set_up(void **state)
{
    (void)state;
    loop = loop_new(&clock_system);
    cache = folder_new();
    server = (struct range_server){.pages = pages};
    server.files[0] = (struct range_file){.name = "m.gguf", .content = STR(CONTENT)};
    range_server_start(&server);
    url += sizeof urls[0];
    assert_true(url < (char *)&urls[ARRAY_LEN(urls)]);
    snprintf(url, sizeof urls[0], "http://127.0.0.1:%u", server.port);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    range_server_stop(&server);
    range_server_fini(&server);
    loop_free(loop);
    folder_free(cache);
    return 0;
}

static struct downloads *begin(int64_t retry_min_ms)
{
    static struct hub_params hub;
    hub = (struct hub_params){.hugging_face_url = url, .modelscope_url = url};
    const struct downloads_params params = {
        .loop = loop,
        .cache_dir = cache,
        .hub = &hub,
        .on_change = on_change,
        .retry_ms = retry_min_ms};
    return downloads_new(&params);
}

static struct desired_model_file wish(int64_t id, int64_t lease, char *repo,
                                      enum model_file_action action)
{
    static char source[] = "huggingface";
    return (struct desired_model_file){
        .id = id, .lease = lease, .source = source, .repo_id = repo, .action = action};
}

static char *report(struct downloads *downloads)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    downloads_write_report(downloads, &w);
    return buf_take(&text);
}

/* Runs until the report says that. */
static void wait_for(struct downloads *downloads, const char *what)
{
    for (;;) {
        auto_free char *text = report(downloads);
        if (strstr(text, what))
            return;
        loop_run(loop);
    }
}

static bool has(const char *path)
{
    auto_free char *whole = mem_printf("%s/%s", cache, path);
    return file_exists(whole);
}

static char good[] = "good/m", silent[] = "silent/m", refused[] = "status/401",
            broken[] = "status/500";

static void test_a_wish_comes_and_goes(void **state)
{
    (void)state;
    struct downloads *downloads = begin(0);
    struct desired_model_file wanted = wish(7, 3, good, MODEL_FILE_DOWNLOAD);
    downloads_want(downloads, &wanted, 1);
    wait_for(downloads, "\"id\":7,\"lease\":3,\"state\":\"ready\",\"size\":18,\"downloaded\":18,");
    auto_free char *text = report(downloads);
    assert_non_null(strstr(text, "\"revision\":\"c0ffee\","
                                 "\"resolved_path\":\"huggingface/good/m/m.gguf\","
                                 "\"reason\":null,\"args\":{},\"message\":\"\",\"retry_in_s\":null,"
                                 "\"files\":[{\"name\":\"m.gguf\",\"size\":18,"
                                 "\"downloaded\":18}]"));
    wanted.action = MODEL_FILE_PAUSE; /* there is nothing to be paused */
    downloads_want(downloads, &wanted, 1);
    wait_for(downloads, "\"state\":\"ready\"");
    wanted.action = MODEL_FILE_DELETE;
    downloads_want(downloads, &wanted, 1);
    wait_for(downloads, "\"state\":\"deleted\"");
    assert_false(has("huggingface/good/m/m.gguf"));
    wanted.action = MODEL_FILE_DOWNLOAD; /* and once more after all */
    downloads_want(downloads, &wanted, 1);
    wait_for(downloads, "\"state\":\"ready\"");
    downloads_want(downloads, NULL, 0);
    auto_free char *nothing = report(downloads);
    assert_string_equal(nothing, "[]");
    assert_true(has("huggingface/good/m/m.gguf"));
    downloads_free(downloads);
}

static void test_faults_are_told(void **state)
{
    (void)state;
    struct downloads *downloads = begin(1);
    struct desired_model_file wanted[] = {wish(1, 1, refused, MODEL_FILE_DOWNLOAD),
                                          wish(2, 1, broken, MODEL_FILE_DOWNLOAD)};
    downloads_want(downloads, wanted, 2);
    wait_for(downloads, "\"reason\":\"hub_refused\",\"args\":{\"variable\":\"HF_TOKEN\"}");
    wait_for(downloads, "\"reason\":\"hub_unreachable\"");
    auto_free char *text = report(downloads);
    assert_non_null(strstr(text, "\"retry_in_s\":null"));
    wanted[1] = wish(2, 2, good, MODEL_FILE_DOWNLOAD); /* another wish begins at once */
    downloads_want(downloads, wanted, 2);
    wait_for(downloads, "\"id\":2,\"lease\":2,\"state\":\"ready\"");
    downloads_free(downloads);
}

static void test_two_at_once(void **state)
{
    (void)state;
    struct downloads *downloads = begin(0);
    struct desired_model_file wanted[] = {wish(1, 1, silent, MODEL_FILE_DOWNLOAD),
                                          wish(2, 1, silent, MODEL_FILE_DOWNLOAD),
                                          wish(3, 1, good, MODEL_FILE_DOWNLOAD)};
    downloads_want(downloads, wanted, 3);
    wait_for(downloads, "\"id\":1,\"lease\":1,\"state\":\"downloading\"");
    wait_for(downloads, "\"id\":2,\"lease\":1,\"state\":\"downloading\"");
    wait_for(downloads, "\"id\":3,\"lease\":1,\"state\":\"waiting\"");
    wanted[0].action = MODEL_FILE_PAUSE;
    downloads_want(downloads, wanted, 3);
    wait_for(downloads, "\"id\":3,\"lease\":1,\"state\":\"ready\"");
    wait_for(downloads, "\"id\":1,\"lease\":1,\"state\":\"paused\"");
    downloads_want(downloads, wanted + 2, 1);
    wait_for(downloads, "[{\"id\":3,");
    downloads_free(downloads);
}

/* ---- the storage ---- */

static char *cache_report(const struct downloads *downloads)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    downloads_write_cache(downloads, &w);
    return buf_take(&text);
}

static void test_the_storage_is_told(void **state)
{
    struct downloads *downloads = begin(0);
    auto_free char *before = cache_report(downloads);
    assert_string_equal(before, "null");
    loop_run(loop);
    auto_free char *after = cache_report(downloads);
    assert_non_null(strstr(after, "\"error\":null"));
    assert_null(strstr(after, "\"storage_id\":null"));
    downloads_free(downloads);
    folder_write(cache, ".gpustack-storage", "no uuid\n", 0);
    downloads = begin(0);
    loop_run(loop);
    auto_free char *bad = cache_report(downloads);
    assert_non_null(strstr(bad, "\"storage_id\":null"));
    assert_non_null(strstr(bad, "holds no uuid"));
    downloads_free(downloads);
}

static void *look(void *arg)
{
    struct cache one;
    assert_int_equal(cache_open(cache, &one, NULL), 0);
    assert_int_equal(cache_storage_id(&one, arg, NULL), 0);
    cache_close(&one);
    return NULL;
}

static void test_of_many_workers_one_names_the_storage(void **state)
{
    enum { MANY = 8 };
    char ids[MANY][CACHE_ID_MAX];
    pthread_t threads[MANY];
    for (int i = 0; i < MANY; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look, ids[i]), 0);
    for (int i = 0; i < MANY; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < MANY; i++)
        assert_string_equal(ids[i], ids[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_wish_comes_and_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_faults_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_of_many_workers_one_names_the_storage, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_storage_is_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
