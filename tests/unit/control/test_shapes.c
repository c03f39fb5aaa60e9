/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue of what models are made of, with hubs and workers played by the test. */
#include "base/log.h"
#include "control/hub_reads.h"
#include "control/shapes.h"
#include "weights/shape_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- a world without sockets ---- */

static int64_t clock_ms; /* both clocks */

static int64_t read_clock(void *ctx)
{
    (void)ctx;
    return clock_ms;
}

static const struct clock test_clock = {.mono_ms = read_clock, .wall_ms = read_clock};

static struct cluster cluster;
static struct loop *loop;
static struct shapes *shapes;
static struct string_list reads; /* keys that were to be read of a hub */
static unsigned wakes;

static void read_hub(const char *key, void *ctx)
{
    (void)ctx;
    string_list_add(&reads, key);
}

static void wake(void *ctx)
{
    (void)ctx;
    wakes++;
}

static void on_put(enum kind kind, const void *record, bool durable, void *ctx)
{
    if (durable && shapes)
        shapes_note_change(shapes, kind);
}

static void on_delete(enum kind kind, const void *record, void *ctx)
{
    if (shapes)
        shapes_note_change(shapes, kind);
}

static const struct cluster_sink sink = {.on_put = on_put, .on_delete = on_delete};

static void start(void)
{
    const struct shapes_params params = {
        .loop = loop, .cluster = &cluster, .read_hub = read_hub, .wake = wake};
    shapes = shapes_new(&params);
}

static void restart(void)
{
    shapes_free(TAKE(shapes));
    string_list_fini(&reads);
    start();
}

static int set_up(void **state)
{
    clock_ms = 1000000000;
    loop = loop_new(&test_clock);
    cluster_init(&cluster);
    cluster.sink = &sink;
    wakes = 0;
    start();
    return 0;
}

static int tear_down(void **state)
{
    shapes_free(TAKE(shapes));
    cluster_fini(&cluster);
    string_list_fini(&reads);
    loop_free(loop);
    return 0;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

/* Time goes on; the timers that are due run. */
static void pass(int64_t ms)
{
    clock_ms += ms;
    loop_post(loop, stop, loop);
    loop_run(loop);
}

/* A turn's end. The ids of models that must be looked at, as text. */
static const char *settle(void)
{
    static char text[256];
    struct id_set models = {0};
    text[0] = '\0';
    shapes_settle(shapes, &models);
    for (size_t i = 0; i < models.count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%lld ",
                 (long long)models.items[i]);
    id_set_fini(&models);
    return text;
}

static struct model *add_model(const char *name, enum model_source source, const char *place,
                               const char *file)
{
    struct model fresh = {0};
    record_init(&model_type, &fresh);
    mem_replace(&fresh.name, name);
    fresh.source = source;
    mem_replace(source == MODEL_LOCAL_PATH    ? &fresh.local_path
                : source == MODEL_HUGGINGFACE ? &fresh.huggingface_repo_id
                                              : &fresh.model_scope_model_id,
                place);
    mem_replace(source == MODEL_HUGGINGFACE ? &fresh.huggingface_filename
                                            : &fresh.model_scope_file_path,
                file);
    return cluster_put(&cluster, KIND_MODEL, &fresh, 1);
}

static int64_t add_worker(const char *name, bool inspects)
{
    struct worker fresh = {0};
    record_init(&worker_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.worker_uuid, name);
    fresh.state = WORKER_READY;
    fresh.inspects = inspects;
    return record_id(cluster_put(&cluster, KIND_WORKER, &fresh, 1));
}

static void set_state(int64_t worker_id, enum worker_state state)
{
    struct worker copy = {0};
    record_copy(&worker_type, &copy, cluster_find(&cluster, KIND_WORKER, worker_id));
    copy.state = (int)state;
    cluster_put(&cluster, KIND_WORKER, &copy, 1);
}

/* The end of a hub's read. */
static void hub_says(const char *key, int rc, bool is_open, const char *text, uint64_t parameters)
{
    struct hub_read read = {.key = mem_strdup(key), .rc = rc, .is_open = is_open};
    if (rc < 0) {
        (void)err_set(&read.err, rc, "%s", text);
    } else {
        read.shape = (struct model_shape){.format = FORMAT_GGUF,
                                          .kind = KIND_LLM,
                                          .parameter_count = parameters,
                                          .architecture = "qwen3"};
        read.identity = mem_strdup(text);
    }
    shapes_take_hub(shapes, &read);
    hub_read_fini(&read);
}

#define SHAPE                                                                                      \
    "\"shape\":{\"version\":1,\"format\":\"gguf\",\"kind\":\"llm\",\"parameter_count\":%d}"

static void worker_says(int64_t worker_id, const char *items)
{
    auto_free char *text = mem_printf("[%s]", items);
    auto_fini(json_release) json_t *root = NULL;
    assert_int_equal(json_read(str_of(text), &root, NULL), 0);
    shapes_take_report(shapes, worker_id, root);
}

/* About /m.gguf; with `parameters` it tells what it is made of. */
static void says(int64_t worker_id, const char *state, const char *identity, int parameters)
{
    auto_free char *shape = parameters ? mem_printf("," SHAPE, parameters) : mem_strdup("");
    auto_free char *item = mem_printf("{\"path\":\"/m.gguf\",\"state\":\"%s\",\"identity\":\"%s\","
                                      "\"message\":\"so it is\"%s}",
                                      state, identity, shape);
    worker_says(worker_id, item);
}

static const char *questions(int64_t worker_id)
{
    static char text[512];
    struct buf out = {0};
    (void)shapes_take_questions_news(shapes);
    shapes_write_questions(shapes, worker_id, &out);
    snprintf(text, sizeof text, "%s", out.ptr);
    buf_fini(&out);
    return text;
}

static void assert_ids(const struct int_list *list, size_t count, int64_t first)
{
    assert_int_equal(list->count, count);
    if (count)
        assert_int_equal(list->items[0], first);
}

#define ASKED "[{\"path\":\"/m.gguf\",\"shape\":false}]"
#define ASKED_SHAPE "[{\"path\":\"/m.gguf\",\"shape\":true}]"

/* ---- hubs ---- */

static void test_a_hub_is_read_once(void **state)
{
    const struct model *model = add_model("m", MODEL_HUGGINGFACE, "Qwen/Qwen3", "*Q4*");
    const struct shape_entry *entry = shapes_of(shapes, model);
    assert_string_equal(entry->key, "hf:Qwen/Qwen3/*Q4*");
    assert_int_equal(entry->state, SHAPE_AWAITED);
    assert_false(entry->is_local);
    assert_null(entry->shape);
    settle();
    assert_ptr_equal(shapes_of(shapes, model), entry);
    assert_int_equal(reads.count, 1);
    hub_says(entry->key, 0, true, "7-0-1", 600);
    assert_int_equal(entry->state, SHAPE_KNOWN);
    assert_int_equal(entry->shape->parameter_count, 600);
    assert_null(entry->projector);
    assert_string_equal(settle(), "1 ");
    assert_string_equal(settle(), "");
}

static void test_models_are_read_without_being_asked_for(void **state)
{
    add_model("m", MODEL_HUGGINGFACE, "a/b", NULL);
    add_model("n", MODEL_MODEL_SCOPE, "a/b", "x.gguf");
    add_model("o", MODEL_HUGGINGFACE, "a/b", NULL);
    settle();
    assert_int_equal(reads.count, 2);
    assert_string_equal(reads.items[0], "hf:a/b");
    assert_string_equal(reads.items[1], "ms:a/b/x.gguf");
    hub_says("hf:a/b", 0, true, "7-0-1", 1);
    assert_string_equal(settle(), "1 3 ");
}

static void test_what_a_hub_says(void **state)
{
    static const struct {
        int rc;
        bool is_open;
        const char *key;
        enum shape_state state;
    } cases[] = {
        {ERR_NOT_FOUND, false, "hf:a/b", SHAPE_MISSING},
        {ERR_NOT_FOUND, true, "hf:a/b", SHAPE_UNREADABLE},
        {ERR_NOT_FOUND, true, "hf:a/b/x.gguf", SHAPE_MISSING},
        {ERR_UNAUTHORIZED, false, "hf:a/b", SHAPE_MISSING},
        {ERR_FORBIDDEN, false, "hf:a/b", SHAPE_MISSING},
        {ERR_INVALID, false, "hf:a", SHAPE_MISSING},
        {ERR_INVALID, true, "hf:a/b", SHAPE_UNREADABLE},
        {ERR_SYNTAX, true, "hf:a/b", SHAPE_UNREADABLE},
        {ERR_SYNTAX, false, "hf:a/b", SHAPE_UNREACHABLE},
        {ERR_TOO_LARGE, true, "hf:a/b", SHAPE_UNREADABLE},
        {ERR_TIMEOUT, false, "hf:a/b", SHAPE_UNREACHABLE},
        {ERR_TOO_OFTEN, false, "hf:a/b", SHAPE_UNREACHABLE},
        {-111, false, "hf:a/b", SHAPE_UNREACHABLE},
        {0, true, "hf:a/b", SHAPE_KNOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_free char *key = mem_strdup(cases[i].key);
        const struct hub_read read = {
            .key = key, .rc = cases[i].rc, .is_open = cases[i].is_open};
        if (hub_read_state(&read) != cases[i].state)
            fail_msg("%zu: %s", i, shape_state_name(hub_read_state(&read)));
    }
}

static void test_a_hub_that_is_down_is_tried_ever_later(void **state)
{
    static const int64_t delays[] = {5000, 10000, 20000, 40000, 80000, 160000, 320000, 600000,
                                     600000};
    add_model("m", MODEL_HUGGINGFACE, "a/b", NULL);
    settle();
    const struct model *model = cluster_find(&cluster, KIND_MODEL, 1);
    for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
        assert_int_equal(reads.count, i + 1);
        hub_says("hf:a/b", -111, false, "refused", 0);
        const struct shape_entry *entry = shapes_of(shapes, model);
        assert_int_equal(entry->state, SHAPE_UNREACHABLE);
        assert_string_equal(entry->message, "refused");
        pass(delays[i] - 1000);
        assert_int_equal(reads.count, i + 1);
        pass(1000);
    }
    hub_says("hf:a/b", 0, true, "7-0-1", 5);
    assert_int_equal(shapes_of(shapes, model)->state, SHAPE_KNOWN);
    assert_string_equal(settle(), "1 ");
}

static void test_what_was_read_serves_after_a_restart(void **state)
{
    const struct model *model = add_model("m", MODEL_HUGGINGFACE, "a/b", NULL);
    settle();
    hub_says("hf:a/b", 0, true, "7-0-1", 600);
    const struct model_metadata *row = cluster_metadata_by_key(&cluster, "hf:a/b");
    assert_string_equal(row->identity, "7-0-1");
    assert_int_equal(row->read_at, clock_ms);
    restart();
    const struct shape_entry *entry = shapes_of(shapes, model);
    assert_int_equal(entry->state, SHAPE_KNOWN);
    assert_int_equal(entry->shape->parameter_count, 600);
    settle();
    assert_int_equal(reads.count, 0);
    pass(SHAPES_FRESH_MS);
    assert_int_equal(reads.count, 1);
    hub_says("hf:a/b", -111, false, "refused", 0); /* it stays known */
    assert_int_equal(entry->state, SHAPE_KNOWN);
    hub_says("hf:a/b", ERR_SYNTAX, true, "no model any more", 0);
    assert_int_equal(entry->state, SHAPE_UNREADABLE);
    assert_null(entry->shape);
}

static void test_what_cannot_be_understood_is_read_anew(void **state)
{
    struct model_metadata row = {.key = mem_strdup("hf:a/b"),
                                 .shape = mem_strdup("{\"version\":99}"),
                                 .identity = mem_strdup("1-0-1"),
                                 .read_at = clock_ms};
    cluster_put(&cluster, KIND_MODEL_METADATA, &row, 1);
    const struct model *model = add_model("m", MODEL_HUGGINGFACE, "a/b", NULL);
    assert_int_equal(shapes_of(shapes, model)->state, SHAPE_AWAITED);
    assert_int_equal(reads.count, 1);
}

static void test_the_store_keeps_what_is_used(void **state)
{
    for (int i = 0; i < SHAPES_KEPT_MAX; i++) {
        struct model_metadata row = {.key = mem_printf("hf:old/%d", i),
                                     .shape = mem_strdup("{}"),
                                     .identity = mem_strdup("1-0-1"),
                                     .used_at = i == 7 ? 1 : 1000 + i};
        cluster_put(&cluster, KIND_MODEL_METADATA, &row, 1);
    }
    add_model("m", MODEL_HUGGINGFACE, "old/7", NULL); /* unused for longest, but a model has it */
    add_model("n", MODEL_HUGGINGFACE, "a/b", NULL);
    settle();
    hub_says("hf:a/b", 0, true, "7-0-1", 600);
    assert_int_equal(cluster.tables[KIND_MODEL_METADATA].count, SHAPES_KEPT_MAX);
    assert_non_null(cluster_metadata_by_key(&cluster, "hf:old/7"));
    assert_null(cluster_metadata_by_key(&cluster, "hf:old/0"));
    pass(1000);
    assert_int_equal(cluster_metadata_by_key(&cluster, "hf:old/7")->used_at, clock_ms);
}

static void test_what_nobody_wants_is_forgotten(void **state)
{
    struct model asked = {.source = MODEL_HUGGINGFACE};
    asked.huggingface_repo_id = mem_strdup("a/b");
    shapes_of(shapes, &asked);
    hub_says("hf:a/b", 0, true, "7-0-1", 600);
    size_t count;
    pass(SHAPES_ASKED_MS - 1000);
    free(shapes_list(shapes, &count));
    assert_int_equal(count, 1);
    pass(1000);
    free(shapes_list(shapes, &count));
    assert_int_equal(count, 0);
    assert_non_null(cluster_metadata_by_key(&cluster, "hf:a/b"));
    free(asked.huggingface_repo_id);
}

static void test_a_model_without_files(void **state)
{
    const struct model model = {.source = MODEL_LOCAL_PATH};
    const struct shape_entry *entry = shapes_of(shapes, &model);
    assert_int_equal(entry->state, SHAPE_MISSING);
    assert_string_equal(entry->message, "the model names no files");
}

/* ---- paths ---- */

static void test_nobody_can_tell(void **state)
{
    const struct model *model = add_model("m", MODEL_LOCAL_PATH, "/m.gguf", NULL);
    add_worker("old", false);
    settle();
    const struct shape_entry *entry = shapes_of(shapes, model);
    assert_int_equal(entry->state, SHAPE_UNASKED);
    assert_true(entry->is_local);
    assert_string_equal(entry->message, "no worker that can tell is in contact");
    const int64_t a = add_worker("a", true);
    assert_string_equal(settle(), "1 ");
    assert_int_equal(entry->state, SHAPE_AWAITED);
    set_state(a, WORKER_NOT_READY);
    assert_string_equal(settle(), "1 ");
    assert_int_equal(entry->state, SHAPE_UNASKED);
}

static void test_all_are_asked_and_one_reads(void **state)
{
    const int64_t a = add_worker("a", true), b = add_worker("b", true), c = add_worker("c", true);
    const struct model *model = add_model("m", MODEL_LOCAL_PATH, "/m.gguf", NULL);
    settle();
    assert_true(shapes_take_questions_news(shapes));
    const struct shape_entry *entry = shapes_of(shapes, model);
    assert_int_equal(entry->state, SHAPE_AWAITED);
    assert_string_equal(questions(a), ASKED);
    says(a, "missing", "", 0);
    says(b, "present", "7-1-1", 0);
    assert_true(shapes_take_questions_news(shapes));
    assert_string_equal(questions(a), ASKED);
    assert_string_equal(questions(b), ASKED_SHAPE);
    assert_string_equal(questions(c), ASKED);
    says(c, "present", "7-2-1", 99); /* it wasn't asked for that */
    assert_int_equal(entry->state, SHAPE_AWAITED);
    says(b, "present", "7-1-1", 600);
    assert_int_equal(entry->state, SHAPE_KNOWN);
    assert_int_equal(entry->shape->parameter_count, 600);
    assert_ids(&entry->present_on, 2, b);
    assert_ids(&entry->absent_on, 1, a);
    assert_string_equal(questions(b), ASKED);
    assert_string_equal(settle(), "1 ");
    says(b, "present", "7-1-1", 0);
    assert_string_equal(settle(), "");
    assert_int_equal(cluster_metadata_by_key(&cluster, "path:/m.gguf")->worker_id, b);
}

static void test_a_changed_file_is_read_again(void **state)
{
    const int64_t a = add_worker("a", true), b = add_worker("b", true);
    const struct model *model = add_model("m", MODEL_LOCAL_PATH, "/m.gguf", NULL);
    const struct shape_entry *entry = shapes_of(shapes, model);
    settle();
    says(a, "present", "7-1-1", 0);
    says(a, "present", "7-1-1", 600);
    says(b, "present", "9-9-9", 0); /* another machine's file has another time */
    assert_string_equal(questions(a), ASKED);
    assert_string_equal(questions(b), ASKED);
    says(a, "present", "8-2-2", 0);
    assert_string_equal(questions(a), ASKED_SHAPE);
    assert_int_equal(entry->shape->parameter_count, 600);
    says(a, "present", "8-2-2", 700);
    assert_int_equal(entry->shape->parameter_count, 700);
    says(a, "missing", "", 0); /* now the other one's word counts */
    assert_string_equal(questions(b), ASKED_SHAPE);
    says(b, "present", "9-9-9", 800);
    assert_int_equal(entry->shape->parameter_count, 800);
    assert_ids(&entry->present_on, 1, b);
}

static void test_nobody_has_it(void **state)
{
    const int64_t a = add_worker("a", true), b = add_worker("b", true);
    const struct model *model = add_model("m", MODEL_LOCAL_PATH, "/m.gguf", NULL);
    const struct shape_entry *entry = shapes_of(shapes, model);
    settle();
    says(a, "missing", "", 0);
    assert_int_equal(entry->state, SHAPE_AWAITED);
    says(b, "forbidden", "", 0);
    assert_int_equal(entry->state, SHAPE_MISSING);
    assert_string_equal(entry->message,
                        "not on any of the workers that were asked; worker b: so it is");
    assert_ids(&entry->absent_on, 2, a);
    says(a, "present", "7-1-1", 0);
    assert_int_equal(entry->state, SHAPE_AWAITED);
    says(a, "present", "7-1-1", 600);
    says(a, "missing", "", 0); /* it was known, and is gone */
    assert_int_equal(entry->state, SHAPE_MISSING);
    assert_null(entry->shape);
}

static void test_no_model_is_there_all_the_same(void **state)
{
    const int64_t a = add_worker("a", true);
    const struct model *model = add_model("m", MODEL_LOCAL_PATH, "/m.gguf", NULL);
    const struct shape_entry *entry = shapes_of(shapes, model);
    settle();
    says(a, "present", "7-1-1", 0);
    says(a, "unreadable", "7-1-1", 0);
    assert_int_equal(entry->state, SHAPE_UNREADABLE);
    assert_string_equal(entry->message, "worker a: so it is");
    assert_ids(&entry->present_on, 1, a);
    assert_string_equal(questions(a), ASKED);
    says(a, "present", "7-1-1", 0); /* a worker that has restarted has forgotten that */
    assert_int_equal(entry->state, SHAPE_UNREADABLE);
    says(a, "present", "7-2-1", 0);
    assert_string_equal(questions(a), ASKED_SHAPE);
}

static void test_a_file_system_that_does_not_answer(void **state)
{
    const int64_t a = add_worker("a", true);
    const struct model *model = add_model("m", MODEL_LOCAL_PATH, "/m.gguf", NULL);
    const struct shape_entry *entry = shapes_of(shapes, model);
    settle();
    says(a, "unreadable", "", 0);
    assert_int_equal(entry->state, SHAPE_UNREADABLE);
    assert_ids(&entry->present_on, 0, 0);
    assert_ids(&entry->absent_on, 0, 0);
    says(a, "present", "7-1-1", 0);
    says(a, "present", "7-1-1", 600);
    says(a, "unreadable", "", 0); /* what was known stays so */
    assert_int_equal(entry->state, SHAPE_KNOWN);
    assert_ids(&entry->present_on, 0, 0);
}

static void test_a_path_is_known_after_a_restart(void **state)
{
    const int64_t a = add_worker("a", true), b = add_worker("b", true);
    const struct model *model = add_model("m", MODEL_LOCAL_PATH, "/m.gguf", NULL);
    settle();
    says(a, "present", "7-1-1", 0);
    says(a, "present", "7-1-1", 600);
    restart();
    settle();
    const struct shape_entry *entry = shapes_of(shapes, model);
    assert_int_equal(entry->state, SHAPE_KNOWN);
    says(b, "present", "9-9-9", 0);
    assert_string_equal(questions(b), ASKED); /* the one that has read it hasn't spoken yet */
    says(a, "present", "7-1-1", 0);
    assert_string_equal(questions(a), ASKED);
    cluster_delete(&cluster, KIND_WORKER, a);
    settle();
    assert_string_equal(questions(b), ASKED_SHAPE);
    assert_ids(&entry->present_on, 1, b);
}

static void test_words_of_workers_that_mean_nothing(void **state)
{
    const int64_t a = add_worker("a", true);
    const struct model *model = add_model("m", MODEL_LOCAL_PATH, "/m.gguf", NULL);
    const struct shape_entry *entry = shapes_of(shapes, model);
    settle();
    worker_says(a, "7,{},{\"path\":\"/m.gguf\"},{\"path\":\"/m.gguf\",\"state\":\"gone\"},"
                   "{\"path\":\"/etc/passwd\",\"state\":\"present\"}");
    shapes_take_report(shapes, a, NULL);
    assert_int_equal(entry->state, SHAPE_AWAITED);
    says(a, "present", "7-1-1", 0);
    worker_says(a, "{\"path\":\"/m.gguf\",\"state\":\"present\",\"identity\":\"7-1-1\","
                   "\"shape\":{\"version\":2}}");
    assert_int_equal(entry->state, SHAPE_UNREADABLE);
    assert_non_null(strstr(entry->message, "in another way: a shape of version 2"));
    size_t count;
    free(shapes_list(shapes, &count));
    assert_int_equal(count, 1);
}

static void test_paths_have_a_limit(void **state)
{
    add_worker("a", true);
    for (int i = 0; i < SHAPES_PATHS_MAX; i++) {
        auto_free char *path = mem_printf("/asked/%d", i);
        const struct model model = {.source = MODEL_LOCAL_PATH, .local_path = path};
        assert_int_equal(shapes_of(shapes, &model)->state, SHAPE_AWAITED);
    }
    settle();
    const struct model *model = add_model("m", MODEL_LOCAL_PATH, "/m.gguf", NULL);
    settle();
    assert_int_equal(shapes_of(shapes, model)->state, SHAPE_AWAITED); /* models go first */
    auto_free char *last = mem_printf("/asked/%d", SHAPES_PATHS_MAX - 1);
    const struct model left_out = {.source = MODEL_LOCAL_PATH, .local_path = last};
    const struct shape_entry *entry = shapes_of(shapes, &left_out);
    assert_int_equal(entry->state, SHAPE_UNASKED);
    assert_string_equal(entry->message, "workers are asked for 256 paths at most");
    pass(SHAPES_ASKED_MS);
    assert_string_equal(questions(1), ASKED);
}

/* ---- waiting ---- */

enum { WAIT_MS = 3000 };

static void count_end(void *ctx)
{
    (*(int *)ctx)++;
}

/* The end of a turn. */
static void turn(void)
{
    settle();
    shapes_end_waits(shapes);
}

/* Two specs that aren't the cluster's, of two repositories. */
static struct model specs[2];

static void make_specs(void)
{
    for (size_t i = 0; i < 2; i++) {
        specs[i] = (struct model){0};
        specs[i].source = MODEL_HUGGINGFACE;
        mem_replace(&specs[i].huggingface_repo_id, i ? "a/y" : "a/x");
    }
}

static void free_specs(void)
{
    for (size_t i = 0; i < 2; i++)
        record_fini(&model_type, &specs[i]);
}

static void test_a_wait_ends_when_all_is_known(void **state)
{
    int ends = 0;
    make_specs();
    assert_true(shapes_are_awaited(shapes, specs, 2));
    assert_int_equal(reads.count, 2); /* asking has started both */
    shapes_await(shapes, specs, 2, WAIT_MS, count_end, &ends);
    turn();
    hub_says("hf:a/x", 0, true, "1", 600);
    turn();
    assert_int_equal(ends, 0);
    hub_says("hf:a/y", -111, false, "refused", 0); /* nothing more comes of it now */
    assert_int_equal(ends, 0);
    turn();
    assert_int_equal(ends, 1);
    assert_false(shapes_are_awaited(shapes, specs, 2));
    pass(2 * WAIT_MS);
    assert_int_equal(ends, 1);
    free_specs();
}

static void test_a_wait_ends_in_time(void **state)
{
    int ends = 0;
    make_specs();
    shapes_await(shapes, specs, 2, WAIT_MS, count_end, &ends);
    turn();
    pass(WAIT_MS - 1);
    assert_int_equal(ends, 0);
    pass(1);
    assert_int_equal(ends, 1);
    hub_says("hf:a/x", 0, true, "1", 600);
    turn();
    assert_int_equal(ends, 1);
    free_specs();
}

static void test_a_wait_for_nothing_ends_with_the_turn(void **state)
{
    int ends = 0;
    make_specs();
    shapes_await(shapes, specs, 0, WAIT_MS, count_end, &ends);
    assert_int_equal(ends, 0);
    turn();
    assert_int_equal(ends, 1);
    free_specs();
}

static void test_waits_end_with_the_catalogue(void **state)
{
    int ends = 0;
    make_specs();
    shapes_await(shapes, specs, 2, WAIT_MS, count_end, &ends);
    shapes_await(shapes, specs, 1, WAIT_MS, count_end, &ends);
    turn();
    restart();
    assert_int_equal(ends, 2);
    free_specs();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(test_a_hub_is_read_once),
        TEST(test_models_are_read_without_being_asked_for),
        TEST(test_what_a_hub_says),
        TEST(test_a_hub_that_is_down_is_tried_ever_later),
        TEST(test_what_was_read_serves_after_a_restart),
        TEST(test_what_cannot_be_understood_is_read_anew),
        TEST(test_the_store_keeps_what_is_used),
        TEST(test_what_nobody_wants_is_forgotten),
        TEST(test_a_model_without_files),
        TEST(test_nobody_can_tell),
        TEST(test_all_are_asked_and_one_reads),
        TEST(test_a_changed_file_is_read_again),
        TEST(test_nobody_has_it),
        TEST(test_no_model_is_there_all_the_same),
        TEST(test_a_file_system_that_does_not_answer),
        TEST(test_a_path_is_known_after_a_restart),
        TEST(test_words_of_workers_that_mean_nothing),
        TEST(test_paths_have_a_limit),
        TEST(test_a_wait_ends_when_all_is_known),
        TEST(test_a_wait_ends_in_time),
        TEST(test_a_wait_for_nothing_ends_with_the_turn),
        TEST(test_waits_end_with_the_catalogue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
