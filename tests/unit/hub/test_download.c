/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads into a cache, against a server on this machine, and their removal. */
#include "hub/download.h"

#include "../worker/folder.h"
#include "base/file.h"
#include "base/random.h"
#include "hub/checksum.h"
#include "hub/manifest.h"
#include "range_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cmocka.h>

enum { LARGE = 300000 };

#define MODEL "m-Q8_0.gguf"

/* ---- a hub and a cache ---- */

struct world {
    struct range_server server;
    struct range_page pages[4];
    char *texts[4]; /* owned */
    struct buf model;
    char sum[SUM_TEXT_MAX];
    char base[64], *folder;
    struct cache cache;
    struct hub_params hub;
    struct download_progress *progress;
    struct download_result result;
};

static void sum_of(struct str content, char ret[SUM_TEXT_MAX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    assert_int_equal(EVP_Digest(content.ptr, content.len, digest, &length, EVP_sha256(), NULL), 1);
    hex_encode(digest, length, ret);
}

/* The repository OWNER/tiny; the owner's name says how the server misbehaves. */
static void begin(struct world *world, const char *owner, const char *sum)
{
    *world = (struct world){.folder = folder_new(), .progress = download_progress_new()};
    for (int i = 0; i < LARGE; i++)
        buf_add_char(&world->model, (char)('a' + i % 23));
    sum_of(buf_str(&world->model), world->sum);
    world->texts[0] = mem_printf("/api/models/%s/tiny/revision/main", owner);
    world->texts[1] = mem_printf("/api/models/%s/tiny/tree/c0ffee?recursive=true", owner);
    world->texts[2] = mem_printf(
        "[{\"type\":\"file\",\"path\":\"" MODEL "\",\"size\":%d,\"lfs\":{\"oid\":\"%s\"}},"
        "{\"type\":\"file\",\"path\":\"README.md\",\"size\":2,\"oid\":"
        "\"32f95c0d1244a78b2be1bab8de17906fabb2c4a8\"}]", LARGE, sum ? sum : world->sum);
    world->pages[0] = (struct range_page){world->texts[0], "", "{\"sha\":\"c0ffee\"}"};
    world->pages[1] = (struct range_page){world->texts[1], "", world->texts[2]};
    world->server.pages = world->pages;
    world->server.files[0] = (struct range_file){MODEL, buf_str(&world->model), 0};
    world->server.files[1] = (struct range_file){"README.md", STR("hi"), 0};
    range_server_start(&world->server);
    snprintf(world->base, sizeof world->base, "http://127.0.0.1:%u", world->server.port);
    world->hub = (struct hub_params){.hugging_face_url = world->base,
                                     .modelscope_url = "http://127.0.0.1:1"};
    assert_int_equal(cache_open(world->folder, &world->cache, NULL), 0);
}

static enum download_fault run(struct world *world, const char *place, const char *pattern,
                               int64_t lease)
{
    const struct download_request request = {
        .place = place, .pattern = pattern, .lease = lease, .hub = &world->hub};
    download_result_fini(&world->result);
    download_progress_free(world->progress);
    world->progress = download_progress_new();
    download_run(&world->cache, &request, world->progress, &world->result);
    return world->result.fault;
}

static void end(struct world *world)
{
    range_server_stop(&world->server);
    range_server_fini(&world->server);
    download_progress_free(world->progress);
    download_result_fini(&world->result);
    cache_close(&world->cache);
    for (size_t i = 0; i < ARRAY_LEN(world->texts); i++)
        free(world->texts[i]);
    buf_fini(&world->model);
    folder_free(world->folder);
}

static bool is_there(const struct world *world, const char *path)
{
    auto_free char *full = mem_printf("%s/%s", world->folder, path);
    return file_exists(full);
}

static void put(const struct world *world, const char *path, struct str content)
{
    assert_int_equal(cache_write(&world->cache, path, content, NULL), 0);
}

static char *part_path(const struct world *world, int lease)
{
    return mem_printf(CACHE_PARTS "/%s-%d.part", world->sum, lease);
}

static uint64_t sent(struct world *world)
{
    pthread_mutex_lock(&world->server.lock);
    const uint64_t bytes = world->server.sent;
    pthread_mutex_unlock(&world->server.lock);
    return bytes;
}

#define PLACE "hf:good/tiny"
#define TARGET "huggingface/good/tiny/" MODEL

/* ---- fetching ---- */

static void test_what_is_whole_is_not_fetched_again(void **state)
{
    struct world world;
    struct buf content = {0};
    begin(&world, "good", NULL);
    if (run(&world, PLACE, "*Q8_0*", 1) != DOWNLOAD_DONE)
        fail_msg("%s", world.result.err.text);
    assert_string_equal(world.result.resolved_path, TARGET);
    assert_string_equal(world.result.revision, "c0ffee");
    assert_int_equal(world.result.bytes, LARGE);
    assert_int_equal(cache_read(&world.cache, TARGET, LARGE, &content, NULL), 0);
    assert_true(str_eq(buf_str(&content), buf_str(&world.model)));
    buf_fini(&content);
    auto_free char *part = part_path(&world, 1);
    assert_false(is_there(&world, part));
    const unsigned requests = world.server.requests;
    assert_int_equal(run(&world, PLACE, "*Q8_0*", 2), DOWNLOAD_DONE);
    assert_int_equal(world.server.requests, requests); /* not even asked for */
    /* Under another pattern the file is known by its checksum. */
    const uint64_t before = sent(&world);
    assert_int_equal(run(&world, PLACE, MODEL, 1), DOWNLOAD_DONE);
    assert_in_range(sent(&world) - before, 1, 2000); /* the list */
    end(&world);
}

static void test_an_older_part_is_taken_over(void **state)
{
    enum { HAD = 200000 };
    struct world world;
    begin(&world, "good", NULL);
    auto_free char *older = part_path(&world, 1);
    put(&world, older, str_sub(world.model.ptr, HAD));
    assert_int_equal(run(&world, PLACE, NULL, 3), DOWNLOAD_DONE);
    assert_false(is_there(&world, older));
    assert_in_range(sent(&world), LARGE - HAD, LARGE - HAD + 2000);
    end(&world);
}

static void test_a_newer_part_is_left_alone(void **state)
{
    struct world world;
    begin(&world, "good", NULL);
    auto_free char *newer = part_path(&world, 9);
    put(&world, newer, STR("a"));
    assert_int_equal(run(&world, PLACE, NULL, 3), DOWNLOAD_LOST);
    assert_true(is_there(&world, newer));
    assert_false(is_there(&world, TARGET));
    end(&world);
}

static void test_another_content_is_not_shown(void **state)
{
    struct world world;
    char wrong[SUM_TEXT_MAX];
    memset(wrong, '0', sizeof wrong - 1);
    wrong[sizeof wrong - 1] = '\0';
    begin(&world, "good", wrong);
    assert_int_equal(run(&world, PLACE, NULL, 1), DOWNLOAD_CHECKSUM_MISMATCH);
    assert_string_equal(world.result.file, MODEL);
    assert_false(is_there(&world, TARGET));
    auto_free char *part = mem_printf(CACHE_PARTS "/%s-1.part", wrong);
    assert_false(is_there(&world, part));
    end(&world);
}

static void test_faults(void **state)
{
    static const struct {
        const char *owner, *place, *pattern;
        enum download_fault fault;
        const char *words;
    } rows[] = {
        {"good", "hf:good/other", NULL, DOWNLOAD_FILE_MISSING, "doesn't exist"},
        {"good", PLACE, "*Q4*", DOWNLOAD_FILE_MISSING, "there are README.md, " MODEL},
        {"good", "hf:good", NULL, DOWNLOAD_FILE_MISSING, "must be like"},
        {"good", "ms:good/tiny", NULL, DOWNLOAD_HUB_UNREACHABLE, "127.0.0.1:1"},
        {"short", "hf:short/tiny", NULL, DOWNLOAD_HUB_UNREACHABLE, ""},
        {"wrong", "hf:wrong/tiny", NULL, DOWNLOAD_HUB_UNREACHABLE, "another size"},
        {"full", "hf:full/tiny", NULL, DOWNLOAD_DONE, ""},  /* knows no ranges */
        {"away", "hf:away/tiny", NULL, DOWNLOAD_DONE, ""},  /* to another server */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world world;
        begin(&world, rows[i].owner, NULL);
        world.server.away_port = world.server.port;
        const enum download_fault fault = run(&world, rows[i].place, rows[i].pattern, 1);
        if (fault != rows[i].fault || !strstr(world.result.err.text, rows[i].words))
            fail_msg("%s: %d %s", rows[i].place, (int)fault, world.result.err.text);
        end(&world);
    }
}

static void test_room(void **state)
{
    struct world world;
    begin(&world, "good", NULL);
    const struct download_request request = {
        .place = PLACE, .lease = 1, .hub = &world.hub, .room_bytes = LARGE};
    download_run(&world.cache, &request, world.progress, &world.result);
    assert_int_equal(world.result.fault, DOWNLOAD_DISK_FULL);
    assert_int_equal(world.result.needs_bytes, LARGE + DOWNLOAD_RESERVE_BYTES);
    end(&world);
}

static void test_stop(void **state)
{
    struct world world;
    begin(&world, "good", NULL);
    const struct download_request request = {.place = PLACE, .lease = 1, .hub = &world.hub};
    download_stop(world.progress);
    download_run(&world.cache, &request, world.progress, &world.result);
    assert_int_equal(world.result.fault, DOWNLOAD_STOPPED);
    assert_false(is_there(&world, TARGET));
    end(&world);
}

/* ---- removing ---- */

static void test_only_what_is_listed_is_removed(void **state)
{
    struct world world;
    begin(&world, "good", NULL);
    assert_int_equal(run(&world, PLACE, "*Q8_0*", 1), DOWNLOAD_DONE);
    assert_int_equal(run(&world, PLACE, MODEL, 1), DOWNLOAD_DONE);
    put(&world, "huggingface/good/tiny/mine.txt", STR("x"));
    assert_int_equal(download_delete(&world.cache, PLACE, "*Q8_0*", NULL), 0);
    assert_true(is_there(&world, TARGET)); /* the other one needs it */
    assert_int_equal(download_delete(&world.cache, PLACE, MODEL, NULL), 0);
    assert_false(is_there(&world, TARGET));
    assert_true(is_there(&world, "huggingface/good/tiny/mine.txt"));
    assert_int_equal(download_delete(&world.cache, PLACE, MODEL, NULL), 0); /* again */
    assert_int_equal(run(&world, PLACE, MODEL, 2), DOWNLOAD_DONE);
    put(&world, TARGET, STR("somebody else's"));
    assert_int_equal(download_delete(&world.cache, PLACE, MODEL, NULL), 0);
    assert_true(is_there(&world, TARGET));
    end(&world);
}

static void test_links_lead_nowhere(void **state)
{
    struct world world;
    begin(&world, "good", NULL);
    assert_int_equal(run(&world, PLACE, NULL, 1), DOWNLOAD_DONE);
    char *outside = folder_new();
    auto_free char *victim = mem_printf("%s/tiny/" MODEL, outside);
    auto_free char *victim_folder = mem_printf("%s/tiny", outside);
    auto_free char *owner = mem_printf("%s/huggingface/good", world.folder);
    auto_free char *moved = mem_printf("%s/moved", world.folder);
    assert_int_equal(file_make_dirs(victim_folder, 0755, NULL), 0);
    assert_int_equal(file_write(victim, STR("x"), 0644, NULL), 0);
    assert_int_equal(rename(owner, moved), 0);
    assert_int_equal(symlink(outside, owner), 0);
    assert_true(download_delete(&world.cache, PLACE, NULL, NULL) < 0);
    assert_true(file_exists(victim));
    /* Nor is anything written there. */
    assert_int_equal(run(&world, PLACE, NULL, 2), DOWNLOAD_STORAGE_UNUSABLE);
    folder_free(outside);
    end(&world);
}

static void test_discard(void **state)
{
    struct world world;
    begin(&world, "short", NULL);
    assert_int_equal(run(&world, "hf:short/tiny", NULL, 4), DOWNLOAD_HUB_UNREACHABLE);
    auto_free char *own = part_path(&world, 4);
    auto_free char *other = part_path(&world, 5);
    put(&world, other, STR("x"));
    assert_true(is_there(&world, own));
    download_discard(&world.cache, "hf:short/tiny", NULL, 4);
    assert_false(is_there(&world, own));
    assert_true(is_there(&world, other));
    end(&world);
}

/* ---- the storage's name ---- */

static void test_storage_id(void **state)
{
    struct world world;
    char id[CACHE_ID_MAX], again[CACHE_ID_MAX];
    struct err err = {0};
    begin(&world, "good", NULL);
    assert_int_equal(cache_storage_id(&world.cache, id, NULL), 0);
    assert_int_equal(strlen(id), CACHE_ID_MAX - 1);
    assert_int_equal(cache_storage_id(&world.cache, again, NULL), 0);
    assert_string_equal(id, again);
    put(&world, ".gpustack-storage", STR("no uuid\n"));
    assert_int_equal(cache_storage_id(&world.cache, again, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "holds no uuid"));
    end(&world);
}

/* ---- checksums and manifests ---- */

static void test_checksums(void **state)
{
    static const struct {
        enum sum_kind kind;
        const char *sum;
    } rows[] = {
        /* printf hi | sha256sum; printf hi | git hash-object --stdin */
        {SUM_SHA256, "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"},
        {SUM_GIT_SHA1, "32f95c0d1244a78b2be1bab8de17906fabb2c4a8"},
        {SUM_NONE, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct checksum *checksum = checksum_new(rows[i].kind, 2);
        checksum_add(checksum, STR("h"));
        checksum_add(checksum, STR("i"));
        assert_true(checksum_matches(checksum, rows[i].sum));
        checksum_free(checksum);
    }
    struct checksum *checksum = checksum_new(SUM_SHA256, 2);
    assert_false(checksum_matches(checksum, rows[0].sum));
    checksum_free(checksum);
}

#define HEAD "{\"version\":1,\"place\":\"hf:a/b\",\"folder\":\"huggingface/a/b\","

static void test_manifests(void **state)
{
    static const char *const bad[] = {
        "", "[]", "{}", HEAD "\"files\":[]}",
        HEAD "\"files\":[{\"name\":\"../x\",\"size\":1}]}",
        HEAD "\"files\":[{\"name\":\"x\"}]}",
        HEAD "\"entry\":\"y\",\"files\":[{\"name\":\"x\",\"size\":1}]}",
        "{\"version\":2,\"place\":\"hf:a/b\",\"folder\":\"a\",\"files\":[]}",
        "{\"version\":1,\"place\":\"p\",\"folder\":\"/\",\"files\":[{\"name\":\"x\",\"size\":1}]}",
    };
    struct manifest manifest = {0};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (manifest_read(str_of(bad[i]), &manifest, NULL) == 0)
            fail_msg("%s", bad[i]);
    const char *good = HEAD "\"entry\":\"x\",\"files\":[{\"name\":\"x\",\"size\":1}]}";
    assert_int_equal(manifest_read(str_of(good), &manifest, NULL), 0);
    struct buf text = {0};
    struct manifest again = {0};
    manifest_write(&manifest, &text);
    assert_int_equal(manifest_read(buf_str(&text), &again, NULL), 0);
    assert_string_equal(again.entry, "x");
    assert_null(again.pattern);
    manifest_fini(&manifest);
    manifest_fini(&again);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_whole_is_not_fetched_again),
        cmocka_unit_test(test_an_older_part_is_taken_over),
        cmocka_unit_test(test_a_newer_part_is_left_alone),
        cmocka_unit_test(test_another_content_is_not_shown),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_only_what_is_listed_is_removed),
        cmocka_unit_test(test_links_lead_nowhere),
        cmocka_unit_test(test_discard),
        cmocka_unit_test(test_storage_id),
        cmocka_unit_test(test_checksums),
        cmocka_unit_test(test_manifests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
