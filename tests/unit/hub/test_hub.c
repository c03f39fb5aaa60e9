/* SPDX-License-Identifier: Apache-2.0 */
/* Models of hubs: what is asked of servers, and how much, against a server on this machine. */
#include "hub/hub.h"

#include "../../lib/weights/gguf_writer.h"
#include "hub/fetch.h"
#include "range_server.h"
#include "weights/weights.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- files ---- */

static void add_strings(struct gguf_writer *w, const char *key, unsigned count, int length)
{
    struct buf *out = gguf_array(w, key, GGUF_STRING, count);
    for (unsigned i = 0; i < count; i++) {
        char text[64];
        snprintf(text, sizeof text, "%0*u", length, i);
        gguf_text(w, out, str_of(text));
    }
}

/* As a model of the Qwen3 family: 151,936 tokens, as many merges, 36 layers; 6 MB of header. */
static struct buf large_vocabulary(void)
{
    struct gguf_writer w = gguf_writer_begin("qwen3");
    gguf_u32(&w, "qwen3.block_count", 36);
    gguf_u32(&w, "qwen3.embedding_length", 256);
    gguf_u32(&w, "qwen3.attention.head_count", 32);
    gguf_u32(&w, "qwen3.attention.head_count_kv", 8);
    gguf_u32(&w, "qwen3.attention.key_length", 128);
    gguf_u32(&w, "qwen3.attention.value_length", 128);
    add_strings(&w, "tokenizer.ggml.tokens", 151936, 7);
    struct buf *types = gguf_array(&w, "tokenizer.ggml.token_type", GGUF_INT32, 151936);
    const size_t bytes = 151936 * 4;
    memset(buf_reserve(types, bytes), 0, bytes);
    buf_grew(types, bytes);
    add_strings(&w, "tokenizer.ggml.merges", 151387, 12);
    for (unsigned layer = 0; layer < 36; layer++)
        for (unsigned i = 0; i < 11; i++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%u.some_tensor_%u.weight", layer, i);
            gguf_tensor(&w, name, 0, 8, 1);
        }
    return gguf_writer_header(&w);
}

static struct buf small_model(void)
{
    struct gguf_writer w = gguf_writer_begin("llama");
    gguf_u32(&w, "llama.block_count", 1);
    gguf_tensor(&w, "blk.0.x", 0, 8, 1);
    return gguf_writer_end(&w);
}

/* ---- a server and a client ---- */

struct world {
    struct range_server server;
    struct buf file;
    char base[64];
    struct hub_params params;
    struct source *source;
    struct model_shape shape;
    struct err err;
};

/* Takes the file. */
static void begin(struct world *world, const char *name, struct buf file)
{
    *world = (struct world){.file = file};
    world->server.files[0] = (struct range_file){.name = name, .content = buf_str(&world->file)};
    range_server_start(&world->server);
    snprintf(world->base, sizeof world->base, "http://127.0.0.1:%u", world->server.port);
    world->params = (struct hub_params){.hugging_face_url = "http://127.0.0.1:1",
                                        .modelscope_url = "http://127.0.0.1:1",
                                        .hugging_face_token = "hf_secret"};
}

/* The server is Hugging Face. */
static void be_hugging_face(struct world *world)
{
    world->params.hugging_face_url = world->base;
}

/* Opens a place, whose "BASE" is the server, and reads its model. */
static int read_place(struct world *world, const char *place)
{
    auto_free char *text = str_has_prefix(str_of(place), STR("/"))
                               ? mem_printf("%s%s", world->base, place)
                               : mem_strdup(place);
    int rc = hub_open(text, &world->params, &world->source, &world->err);
    if (rc == 0)
        rc = weights_read(world->source, "", &world->shape, &world->err);
    return rc;
}

/* The server has ended when this returns: its counts may be read. */
static void finish(struct world *world)
{
    source_free(TAKE(world->source));
    range_server_stop(&world->server);
}

static void end(struct world *world)
{
    model_shape_fini(&world->shape);
    range_server_fini(&world->server);
    buf_fini(&world->file);
}

static unsigned count_of(const struct buf *text, const char *part)
{
    unsigned count = 0;
    for (const char *at = text->ptr; at && (at = strstr(at, part)); at++)
        count++;
    return count;
}

/* ---- how much is read ---- */

static void test_a_large_vocabulary_takes_four_requests(void **state)
{
    (void)state;
    struct world world;
    begin(&world, "m.gguf", large_vocabulary());
    assert_in_range(world.file.len, 5500000, 7500000);
    world.server.files[0].claimed = (UINT64_C(5) << 30) + 1; /* of which nothing is asked for */
    assert_int_equal(read_place(&world, "/good/m.gguf"), 0);
    assert_int_equal(world.shape.layer_count, 36);
    assert_int_equal(world.shape.vocabulary_size, 151936);
    assert_int_equal(world.shape.file_bytes, (UINT64_C(5) << 30) + 1);
    assert_int_equal(world.shape.layers[35].bytes, 11 * 32);
    assert_int_equal(model_shape_kv_bytes_per_token(&world.shape, 16, 16), 147456);
    assert_in_range(world.source->read_count, 1, 4);
    assert_in_range(world.source->read_bytes, 1, 8000000);
    finish(&world);
    assert_in_range(world.server.requests, 1, 4);
    assert_in_range(world.server.sent, 1, 8000000);
    end(&world);
}

static void test_a_server_without_ranges_is_read_once(void **state)
{
    (void)state;
    struct world world;
    struct buf file = large_vocabulary();
    const size_t data = 64 << 20; /* of which some is on its way when reading stops */
    memset(buf_reserve(&file, data), 0, data);
    buf_grew(&file, data);
    begin(&world, "m.gguf", file);
    assert_int_equal(read_place(&world, "/full/m.gguf"), 0);
    assert_int_equal(world.shape.vocabulary_size, 151936);
    finish(&world);
    assert_int_equal(world.server.requests, 1);
    assert_in_range(world.server.sent, 5500000, 40 << 20);
    end(&world);
}

static void test_parts_cost_a_request_each(void **state)
{
    (void)state;
    struct buf files[2];
    for (unsigned i = 0; i < 2; i++) {
        struct gguf_writer w = gguf_writer_begin("llama");
        gguf_u32(&w, "llama.block_count", 1);
        gguf_value(&w, "split.no", GGUF_UINT16, i);
        gguf_value(&w, "split.count", GGUF_UINT16, 2);
        gguf_value(&w, "split.tensors.count", GGUF_INT32, 2);
        gguf_tensor(&w, i ? "blk.0.x" : "token_embd.weight", 0, 8, 1);
        files[i] = gguf_writer_end(&w);
    }
    struct world world;
    begin(&world, "m-00001-of-00002.gguf", files[0]);
    world.server.files[1] =
        (struct range_file){.name = "m-00002-of-00002.gguf", .content = buf_str(&files[1])};
    assert_int_equal(read_place(&world, "/good/sub/m-00002-of-00002.gguf?download=true"), 0);
    assert_true(world.shape.is_split);
    assert_int_equal(world.shape.tensor_bytes, 64);
    finish(&world);
    assert_int_equal(world.server.requests, 2);
    assert_int_equal(count_of(&world.server.seen, "gguf?download=true HTTP"), 2);
    buf_fini(&files[1]);
    end(&world);
}

/* ---- redirects and tokens ---- */

static void test_redirects_keep_the_range_and_are_remembered(void **state)
{
    (void)state;
    struct world world;
    begin(&world, "m.gguf", large_vocabulary());
    world.server.files[0].claimed = UINT64_C(5) << 30;
    assert_int_equal(read_place(&world, "/hop/3/m.gguf"), 0);
    finish(&world);
    assert_int_equal(count_of(&world.server.seen, "GET /hop/"), 4);
    assert_int_equal(count_of(&world.server.seen, "Range: bytes=0-524287\r\n"), 5);
    assert_in_range(count_of(&world.server.seen, "GET /good/"), 2, 4);
    end(&world);
}

static void test_too_many_redirects_are_refused(void **state)
{
    (void)state;
    struct world world;
    begin(&world, "m.gguf", small_model());
    assert_int_equal(read_place(&world, "/hop/4/m.gguf"), 0); /* five in all */
    source_free(TAKE(world.source));
    model_shape_fini(&world.shape);
    assert_int_equal(read_place(&world, "/hop/5/m.gguf"), ERR_PROTOCOL);
    assert_non_null(strstr(world.err.text, "redirects more than 5 times"));
    finish(&world);
    end(&world);
}

static void test_a_token_stays_with_its_hub(void **state)
{
    (void)state;
    struct world world, away;
    begin(&away, "m.gguf", large_vocabulary());
    away.server.files[0].claimed = UINT64_C(5) << 30;
    begin(&world, "m.gguf", small_model());
    world.server.away_port = away.server.port;
    be_hugging_face(&world);
    world.params.hugging_face_token = "hf_secret\n"; /* as a file's content */
    /* The hub's own form of a URL: the server redirects all files below "away". */
    assert_int_equal(read_place(&world, "/away/repo/resolve/main/m.gguf"), 0);
    assert_int_equal(world.shape.vocabulary_size, 151936);
    finish(&world);
    finish(&away);
    assert_int_equal(count_of(&world.server.seen, "Authorization: Bearer hf_secret\r\n"), 1);
    assert_int_equal(count_of(&away.server.seen, "Authorization"), 0);
    assert_in_range(count_of(&away.server.seen, "?signature=secret"), 2, 4);
    end(&world);
    end(&away);
}

/* What a server opens for others. */
static void test_hubs_only(void **state)
{
    (void)state;
    static const struct {
        const char *place;
        int code;
        const char *text;
    } cases[] = {
        {"/good/repo/resolve/main/m.gguf", 0, ""},
        {"hf:good/repo/m.gguf", 0, ""},
        {"http://127.0.0.1:1/m.gguf", ERR_FORBIDDEN, "models are opened of http://127.0.0.1:"},
        {"https://user@127.0.0.1:1/a/b/resolve/main/m.gguf", ERR_FORBIDDEN, "models are opened of"},
        {"/m.gguf", ERR_FORBIDDEN, "models are opened of"},
        {"/away/repo/resolve/main/m.gguf", ERR_FORBIDDEN, "isn't asked for: it is neither on 127"},
        {"/tls/repo/resolve/main/m.gguf", -ECONNREFUSED, ""},
        {"hf:next/repo", ERR_FORBIDDEN, "isn't asked for"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world world, away;
        begin(&away, "m.gguf", small_model());
        begin(&world, "m.gguf", small_model());
        world.server.away_port = away.server.port;
        auto_free char *link = mem_printf("Link: <http://127.0.0.1:%u/next>; rel=\"next\"\r\n",
                                          away.server.port);
        const struct range_page pages[] = {
            {"/api/models/next/repo/tree/main?recursive=true", link, "[]"}, {0}};
        world.server.pages = pages;
        be_hugging_face(&world);
        world.params.hubs_only = true;
        const int rc = read_place(&world, cases[i].place);
        finish(&world);
        finish(&away);
        if (rc != cases[i].code || (rc < 0 && !strstr(world.err.text, cases[i].text)) ||
            away.server.requests != 0)
            fail_msg("%s: %d %s", cases[i].place, rc, world.err.text);
        end(&world);
        end(&away);
    }
}

/* "hf:../x" would be another folder of the hub, with its token. */
static void test_paths_stay_in_their_repository(void **state)
{
    (void)state;
    static const char *const places[] = {
        "hf:../secret/m.gguf", "hf:a/../m.gguf", "hf:a/b/c/../../m.gguf", "hf:./b/m.gguf",
        "/good/repo/resolve/main/%2e%2E/m.gguf", "/good/repo/resolve/.%2e/m.gguf",
        "/good/repo/tree/..",
    };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct world world;
        begin(&world, "m.gguf", small_model());
        be_hugging_face(&world);
        const int rc = read_place(&world, places[i]);
        finish(&world);
        if (rc != ERR_INVALID || world.server.requests != 0)
            fail_msg("%s: %d %s", places[i], rc, world.err.text);
        end(&world);
    }
}

static void test_other_servers_get_no_token(void **state)
{
    (void)state;
    struct world world;
    begin(&world, "m.gguf", small_model());
    assert_int_equal(read_place(&world, "/good/repo/resolve/main/m.gguf"), 0);
    finish(&world);
    assert_int_equal(count_of(&world.server.seen, "Authorization"), 0);
    end(&world);
}

/* ---- repositories ---- */

static void test_repositories_are_listed(void **state)
{
    (void)state;
    struct world world;
    begin(&world, "m 1.gguf", small_model());
    world.server.files[0].name = "m%201.gguf";
    auto_free char *body = mem_printf("[{\"type\":\"file\",\"path\":\"m 1.gguf\",\"size\":%zu}]",
                                      world.file.len);
    auto_free char *link = mem_printf("Link: <%s/next?cursor=1>; rel=\"next\"\r\n", world.base);
    const struct range_page pages[] = {
        {"/api/models/good/repo/tree/main?recursive=true", link,
         "[{\"type\":\"file\",\"path\":\"README.md\",\"size\":3}]"},
        {"/next?cursor=1", "", body},
        {0},
    };
    world.server.pages = pages;
    be_hugging_face(&world);
    assert_int_equal(read_place(&world, "hf:good/repo"), 0);
    assert_int_equal(world.source->file_count, 2);
    assert_string_equal(world.source->files[0].name, "README.md");
    assert_string_equal(world.shape.architecture, "llama");
    finish(&world);
    assert_int_equal(count_of(&world.server.seen, "/good/repo/resolve/main/m%201.gguf HTTP"), 1);
    assert_int_equal(count_of(&world.server.seen, "Bearer hf_secret"), 3);
    end(&world);
}

static void test_forms_of_places(void **state)
{
    (void)state;
    static const struct {
        const char *place, *request;
    } cases[] = {
        {"hf:good/repo/m.gguf", "GET /good/repo/resolve/main/m.gguf "},
        {"/good/repo/blob/v2/m.gguf?x", "GET /good/repo/resolve/v2/m.gguf "},
        {"/good/repo/resolve/main/a%20b/m.gguf", "GET /good/repo/resolve/main/a%20b/m.gguf "},
        {"ms:good/repo/a b/m.gguf", "GET /models/good/repo/resolve/master/a%20b/m.gguf "},
        {"/models/good/repo/resolve/master/m.gguf",
         "GET /models/good/repo/resolve/master/m.gguf "},
        {"/a/b/c/m.gguf?y=1", "GET /a/b/c/m.gguf?y=1 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world world;
        begin(&world, "m.gguf", small_model());
        be_hugging_face(&world);
        if (strstr(cases[i].request, "/models/"))
            world.params = (struct hub_params){.hugging_face_url = "http://127.0.0.1:1",
                                               .modelscope_url = world.base};
        const int rc = read_place(&world, cases[i].place);
        finish(&world);
        if (rc < 0 || count_of(&world.server.seen, cases[i].request) != 1)
            fail_msg("%s: %s, %s", cases[i].place, world.err.text, world.server.seen.ptr);
        end(&world);
    }
}

/* HF_ENDPOINT is written with it as often as without. */
static void test_a_slash_behind_a_hub(void **state)
{
    (void)state;
    static const char *const places[] = {"hf:good/repo/m.gguf", "/good/repo/blob/main/m.gguf"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct world world;
        begin(&world, "m.gguf", small_model());
        auto_free char *hub = mem_printf("%s/", world.base);
        world.params.hugging_face_url = hub;
        const int rc = read_place(&world, places[i]);
        finish(&world);
        if (rc < 0 || count_of(&world.server.seen, "GET /good/repo/resolve/main/m.gguf ") != 1)
            fail_msg("%s: %s, %s", places[i], world.err.text, world.server.seen.ptr);
        end(&world);
    }
}

static void test_modelscope_lists_its_files(void **state)
{
    (void)state;
    struct world world;
    begin(&world, "m.gguf", small_model());
    auto_free char *body = mem_printf(
        "{\"Data\":{\"Files\":[{\"Type\":\"blob\",\"Path\":\"m.gguf\",\"Size\":%zu}]}}",
        world.file.len);
    const struct range_page pages[] = {
        {"/api/v1/models/good/repo/repo/files?Revision=master&Recursive=true", "", body}, {0}};
    world.server.pages = pages;
    world.params = (struct hub_params){.hugging_face_url = "http://127.0.0.1:1",
                                       .modelscope_url = world.base};
    assert_int_equal(read_place(&world, "ms:good/repo"), 0);
    assert_int_equal(world.shape.layer_count, 1);
    finish(&world);
    end(&world);
}

static void test_places_that_are_none(void **state)
{
    (void)state;
    static const char *const cases[] = {"hf:", "hf:owner", "hf:/x", "ms:owner/", "http://"};
    struct hub_params params;
    hub_params_from_environment(&params);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct source *source = NULL;
        struct err err = {0};
        assert_true(hub_is_place(cases[i]));
        if (hub_open(cases[i], &params, &source, &err) != ERR_INVALID)
            fail_msg("%s", cases[i]);
    }
    assert_false(hub_is_place("/models/x.gguf"));
    assert_false(hub_is_place("hf/x.gguf"));
}

/* ---- servers that don't keep to it ---- */

static void test_answers_to_something_else_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int code;
        const char *text;
    } cases[] = {
        {"/wrong/m.gguf", ERR_PROTOCOL, "another part of the file"},
        {"/long/m.gguf", ERR_PROTOCOL, "another part of the file"},
        {"/short/m.gguf", ERR_PROTOCOL, "another part of the file"},
        {"/less/m.gguf", ERR_PROTOCOL, "another part of the file"},
        {"/gzip/m.gguf", ERR_PROTOCOL, "in a coding that wasn't asked for"},
        {"/chunked/m.gguf", ERR_PROTOCOL, "doesn't say how large"},
        {"/good/other.gguf", ERR_NOT_FOUND, "/good/other.gguf doesn't exist"},
        {"/status/401/m.gguf", ERR_UNAUTHORIZED, "wants a token"},
        {"/status/403/m.gguf", ERR_FORBIDDEN, "is not allowed"},
        {"/status/429/m.gguf", ERR_TOO_OFTEN, "too often"},
        {"/status/503/m.gguf", ERR_UNAVAILABLE, "status 503"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world world;
        begin(&world, "m.gguf", small_model());
        auto_free char *path = mem_printf("%s?signature=secret", cases[i].path);
        const int rc = read_place(&world, path);
        finish(&world);
        if (rc != cases[i].code || !strstr(world.err.text, cases[i].text) ||
            strstr(world.err.text, "secret") ||
            world.server.requests != (rc == ERR_UNAVAILABLE ? 2 : 1))
            fail_msg("%s: %d %s", cases[i].path, rc, world.err.text);
        end(&world);
    }
}

static void test_a_bad_moment_is_tried_again(void **state)
{
    (void)state;
    static const char *const paths[] = {"/once/503/m.gguf", "/once/500/m.gguf", "/once/1/m.gguf",
                                        "/once/2/m.gguf"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct world world;
        begin(&world, "m.gguf", small_model());
        const int rc = read_place(&world, paths[i]);
        finish(&world);
        if (rc < 0 || world.server.requests != 2)
            fail_msg("%s: %u requests, %s", paths[i], world.server.requests, world.err.text);
        assert_int_equal(world.shape.layer_count, 1);
        end(&world);
    }
}

static void test_a_file_that_changes_meanwhile_is_refused(void **state)
{
    (void)state;
    struct world world;
    begin(&world, "m.gguf", large_vocabulary());
    world.server.files[0].claimed = UINT64_C(5) << 30;
    assert_int_equal(read_place(&world, "/other/m.gguf"), ERR_PROTOCOL);
    assert_non_null(strstr(world.err.text, "has 5368709121 bytes now instead of 5368709120"));
    finish(&world);
    end(&world);
}

static void test_nobody_answers(void **state)
{
    (void)state;
    struct world world;
    begin(&world, "m.gguf", small_model());
    range_server_stop(&world.server);
    assert_int_equal(read_place(&world, "/good/m.gguf"), -ECONNREFUSED);
    end(&world);
}

static void test_all_requests_together_have_a_limit(void **state)
{
    (void)state;
    struct world world;
    begin(&world, "m.gguf", small_model());
    world.params.timeout_ms = 1;
    assert_int_equal(read_place(&world, "/silent/m.gguf"), ERR_TIMEOUT);
    assert_non_null(strstr(world.err.text, "didn't finish within"));
    finish(&world);
    end(&world);
}

static void test_whole_files_have_a_limit(void **state)
{
    (void)state;
    struct world world;
    begin(&world, "m.gguf", small_model());
    struct fetcher *fetcher = NULL;
    struct fetch_reply reply = {0};
    auto_fini(buf_fini) struct buf out = {0};
    auto_free char *url = mem_printf("%s/good/m.gguf", world.base);
    const struct fetch_request request = {.url = url};
    assert_int_equal(fetcher_new(NULL, &fetcher, NULL), 0);
    assert_int_equal(fetch_all(fetcher, &request, world.file.len - 1, &out, &reply, NULL),
                     ERR_TOO_LARGE);
    buf_clear(&out);
    assert_int_equal(fetch_all(fetcher, &request, world.file.len, &out, &reply, NULL), 0);
    assert_int_equal(out.len, world.file.len);
    fetch_reply_fini(&reply);
    fetcher_free(fetcher);
    finish(&world);
    end(&world);
}

static void test_authorities_that_cannot_be_read(void **state)
{
    (void)state;
    struct world world;
    begin(&world, "m.gguf", small_model());
    world.params.ca_file = "/nonexistent/ca.pem";
    assert_true(read_place(&world, "/good/m.gguf") < 0);
    assert_non_null(strstr(world.err.text, "/nonexistent/ca.pem"));
    finish(&world);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_large_vocabulary_takes_four_requests),
        cmocka_unit_test(test_a_server_without_ranges_is_read_once),
        cmocka_unit_test(test_parts_cost_a_request_each),
        cmocka_unit_test(test_redirects_keep_the_range_and_are_remembered),
        cmocka_unit_test(test_too_many_redirects_are_refused),
        cmocka_unit_test(test_a_token_stays_with_its_hub),
        cmocka_unit_test(test_hubs_only),
        cmocka_unit_test(test_paths_stay_in_their_repository),
        cmocka_unit_test(test_other_servers_get_no_token),
        cmocka_unit_test(test_repositories_are_listed),
        cmocka_unit_test(test_forms_of_places),
        cmocka_unit_test(test_a_slash_behind_a_hub),
        cmocka_unit_test(test_modelscope_lists_its_files),
        cmocka_unit_test(test_places_that_are_none),
        cmocka_unit_test(test_answers_to_something_else_are_refused),
        cmocka_unit_test(test_a_bad_moment_is_tried_again),
        cmocka_unit_test(test_a_file_that_changes_meanwhile_is_refused),
        cmocka_unit_test(test_nobody_answers),
        cmocka_unit_test(test_all_requests_together_have_a_limit),
        cmocka_unit_test(test_whole_files_have_a_limit),
        cmocka_unit_test(test_authorities_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
