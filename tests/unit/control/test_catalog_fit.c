/* SPDX-License-Identifier: Apache-2.0 */
/* Which models of the catalog a cluster could run: a real control with workers that are records. */
#include "auth/auth.h"
#include "control/catalog_fit.h"
#include "control/hub_reads.h"
#include "control/shapes.h"
#include "sched/capacity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { CARDS = 8, NODES = 1000, TEST_SECONDS_MAX = 60 };

#define GIB (UINT64_C(1) << 30)

static int64_t skew_ms, longest_us;

static int64_t mono(void *ctx)
{
    return clock_mono_ms(&clock_system) + skew_ms;
}

static int64_t wall(void *ctx)
{
    return clock_wall_ms(&clock_system) + skew_ms;
}

static const struct clock test_clock = {.mono_ms = mono, .wall_ms = wall};

static char folder[64];
static struct loop *loop;
static struct store *store;
static struct control *control;
static struct catalog_fit *fit;

static int set_up(void **state)
{
    struct err err = {0};
    (void)state;
    auth_init();
    snprintf(folder, sizeof folder, "/tmp/gpustack-catalog-XXXXXX");
    assert_non_null(mkdtemp(folder));
    auto_free char *database = mem_printf("%s/database.db", folder);
    loop = loop_new(&test_clock);
    const struct store_options options = {.path = database, .allow_network_fs = true};
    assert_int_equal(store_open(&options, &store, &err), 0);
    const struct control_params params = {.loop = loop, .store = store, .cluster_token = "t"};
    assert_int_equal(control_new(&params, &control, &err), 0);
    fit = control_catalog_fit(control);
    skew_ms = 0;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"database.db", "database.db-wal", "database.db-shm",
                                        "database.db.lock"};
    (void)state;
    store_close(store);
    control_free(control);
    loop_free(loop);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        auto_free char *path = mem_printf("%s/%s", folder, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

static void stop(void *ctx)
{
    loop_stop(ctx);
}

/* ---- the cluster ---- */

static void add_engine(struct worker *worker, const char *name)
{
    worker->engines =
        mem_resize(worker->engines, (worker->engine_count + 1) * sizeof *worker->engines);
    worker->engines[worker->engine_count] = (struct worker_engine){0};
    mem_replace(&worker->engines[worker->engine_count].name, name);
    worker->engines[worker->engine_count++].is_present = true;
}

static void add_cards(struct worker *worker, const char *type, uint64_t bytes)
{
    worker->devices = mem_alloc_array(CARDS, sizeof *worker->devices);
    worker->device_count = CARDS;
    for (int i = 0; i < CARDS; i++) {
        worker->devices[i] = (struct worker_device){.index = i,
                                                    .type = mem_strdup(type),
                                                    .name = mem_strdup("card"),
                                                    .link = mem_strdup("hccs"),
                                                    .total_bytes = bytes,
                                                    .is_healthy = true};
        int_list_add(&worker->device_indexes, i);
        string_list_add(&worker->device_types, type);
    }
}

/* With eight cards, or none where `type` is NULL. */
static void add_node(const char *name, const char *type, uint64_t card_bytes, const char *engine)
{
    struct worker fresh = {0};
    record_init(&worker_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.worker_uuid, name);
    mem_replace(&fresh.ip, "10.0.0.1");
    fresh.memory_total = (int64_t)(256 * GIB);
    fresh.state = WORKER_READY;
    if (type)
        add_cards(&fresh, type, card_bytes);
    if (engine) {
        add_engine(&fresh, engine);
        fresh.knows_engines = true;
    }
    cluster_put(control_cluster(control), KIND_WORKER, &fresh, control_now_ms(control));
    control_when_durable(control, stop, loop);
    alarm(TEST_SECONDS_MAX);
    loop_run(loop);
    alarm(0);
}

/* ---- asking ---- */

static void look(void)
{
    if (catalog_fit_is_fresh(fit))
        return;
    catalog_fit_await(fit, stop, loop);
    alarm(TEST_SECONDS_MAX);
    loop_run(loop);
    alarm(0);
    assert_true(catalog_fit_is_fresh(fit));
}

static const struct fit_row *row_of(const char *key)
{
    size_t count;
    look();
    const struct fit_row *rows = catalog_fit_rows(fit, &count);
    for (size_t i = 0; i < count; i++)
        if ((rows[i].spec->hf_key && strcmp(rows[i].spec->hf_key, key) == 0) ||
            (rows[i].spec->ms_key && strcmp(rows[i].spec->ms_key, key) == 0))
            return &rows[i];
    fail_msg("there is no %s", key);
    return NULL;
}

static void test_nothing_fits_without_workers(void **state)
{
    size_t count;
    (void)state;
    assert_null(catalog_fit_rows(fit, &count));
    assert_int_equal(count, 0);
    look();
    const struct fit_row *rows = catalog_fit_rows(fit, &count);
    assert_int_equal(count, control_catalog(control)->spec_count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].spec->id, i + 1);
        assert_int_equal(rows[i].fit, FIT_NO);
        assert_int_equal(rows[i].reason, REASON_NO_WORKER);
    }
}

static void test_cards_of_32_gib(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        add_node((char[]){'n', (char)('1' + i), 0}, "npu", 32 * GIB, "mindie");
    const struct fit_row *row = row_of("hf:Qwen/Qwen3-8B");
    assert_int_equal(row->fit, FIT_WHOLE);
    assert_true(row->is_stated && row->fits_empty_cluster);
    assert_string_equal(row->engine, "mindie");
    assert_int_equal(row->devices, 1);
    assert_int_equal(row->replicas, 40);
    assert_true(row->vram_bytes > 2 * row->spec->set->parameter_count);
    row = row_of("ms:vllm-ascend/DeepSeek-R1-0528-W8A8");
    assert_int_equal(row->fit, FIT_WHOLE);
    assert_in_range(row->workers, 3, 5);
    assert_int_equal(row->devices, 8 * row->workers);
    assert_int_equal(row->replicas, 1);
    /* These cards don't compute in FP8, and nobody has llama.cpp. */
    row = row_of("hf:Qwen/Qwen3-8B-FP8");
    assert_int_equal(row->fit, FIT_NO);
    assert_int_equal(row->reason, REASON_NO_WORKER_FITS);
    assert_string_equal(place_refusal_name(row->refusal), "devices_unfit");
    row = row_of("hf:Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf");
    assert_string_equal(place_refusal_name(row->refusal), "engine_missing");
}

static void test_processors_alone(void **state)
{
    (void)state;
    add_node("n1", NULL, 0, "llama.cpp");
    const struct fit_row *row = row_of("hf:Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf");
    assert_int_equal(row->fit, FIT_WHOLE);
    assert_int_equal(row->mode, PLACE_ON_PROCESSOR);
    assert_int_equal(row->devices, 0);
    assert_true(row->ram_bytes > UINT64_C(5030000000) && row->replicas > 4);
    row = row_of("hf:Qwen/Qwen3-8B"); /* vLLM wants devices */
    assert_int_equal(row->fit, FIT_NO);
    assert_int_equal(row->reason, REASON_NO_WORKER_FITS);
    assert_string_equal(place_refusal_name(row->refusal), "devices_unfit");
}

static void test_small_cards_take_a_part(void **state)
{
    (void)state;
    add_node("n1", "cuda", 2 * GIB, "llama.cpp");
    const struct fit_row *row = row_of("hf:bartowski/Llama-3.3-70B-Instruct-GGUF/"
                                       "Llama-3.3-70B-Instruct-Q4_K_M.gguf");
    assert_int_equal(row->fit, FIT_PARTLY);
    assert_true(row->ram_bytes > 20 * GIB);
}

static void deploy(const char *name, const char *repository)
{
    struct model fresh = {0};
    record_init(&model_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.huggingface_repo_id, repository);
    fresh.source = MODEL_HUGGINGFACE;
    fresh.placement_strategy = PLACEMENT_AUTO;
    fresh.replicas = 100;
    fresh.generation = 1;
    cluster_put(control_cluster(control), KIND_MODEL, &fresh, control_now_ms(control));
    control_when_durable(control, stop, loop);
    alarm(TEST_SECONDS_MAX);
    loop_run(loop);
    alarm(0);
}

/* Nobody can reach a hub here (tests/unit/meson.build). */
static void test_a_full_cluster_and_an_empty_one(void **state)
{
    (void)state;
    add_node("n1", "npu", 32 * GIB, "mindie");
    assert_int_equal(row_of("hf:Qwen/Qwen3-8B")->replicas, 8);
    deploy("qwen3-8b", "Qwen/Qwen3-8B");
    assert_false(catalog_fit_is_fresh(fit));
    size_t placed = 0;
    CLUSTER_FOR_EACH(control_cluster(control), KIND_INSTANCE, struct model_instance, instance)
        placed += instance->worker_id != 0;
    assert_true(placed >= 8 && placed < 100);
    const struct fit_row *row = row_of("hf:Qwen/Qwen3-8B");
    assert_int_equal(row->fit, FIT_NO);
    assert_true(row->fits_empty_cluster);
    assert_string_equal(place_refusal_name(row->refusal), "device_memory_short");
    assert_false(row_of("hf:Qwen/Qwen3-235B-A22B")->fits_empty_cluster);
}

/* ---- what is stated, and what is read ---- */

static void hub_says(const char *key, int rc, uint64_t parameters)
{
    struct hub_read read = {.key = mem_strdup(key), .rc = rc};
    if (rc < 0) {
        (void)err_set(&read.err, rc, "no answer");
    } else {
        read.shape = (struct model_shape){.format = FORMAT_SAFETENSORS,
                                          .kind = KIND_LLM,
                                          .parameter_count = parameters,
                                          .architecture = "Qwen3ForCausalLM"};
        read.identity = mem_strdup("7-0-1");
    }
    shapes_take_hub(control_shapes(control), &read);
    hub_read_fini(&read);
}

/* The catalog's word serves until the hub is read, and while that fails. */
static void test_what_is_read_replaces_what_is_stated(void **state)
{
    (void)state;
    struct shapes *shapes = control_shapes(control);
    struct cluster *cluster = control_cluster(control);
    deploy("m", "Qwen/Qwen3-8B");
    const struct model *model = cluster_model_by_name(cluster, "m");
    const struct shape_entry *entry = shapes_of(shapes, model);
    assert_ptr_equal(shapes_peek(shapes, model), entry);
    assert_true(entry->state == SHAPE_KNOWN && entry->is_stated);
    assert_in_range(entry->shape->parameter_count, 8100000000, 8300000000);
    assert_null(cluster_metadata_by_key(cluster, entry->key));
    hub_says(entry->key, ERR_NOT_FOUND, 0);
    assert_true(entry->state == SHAPE_KNOWN && entry->is_stated);
    hub_says(entry->key, 0, 600);
    assert_true(entry->state == SHAPE_KNOWN && !entry->is_stated);
    assert_int_equal(entry->shape->parameter_count, 600);
    assert_non_null(cluster_metadata_by_key(cluster, entry->key));
    char repository[] = "Qwen/Unheard-of";
    struct model other = {.source = MODEL_HUGGINGFACE, .huggingface_repo_id = repository};
    assert_null(shapes_peek(shapes, &other));
    assert_int_equal(shapes_of(shapes, &other)->state, SHAPE_AWAITED);
}

static void test_fit_goes_by_what_was_read(void **state)
{
    (void)state;
    add_node("n1", "npu", 32 * GIB, "mindie");
    deploy("m", "Qwen/Qwen3-14B");
    assert_true(row_of("hf:Qwen/Qwen3-14B")->is_stated);
    hub_says("hf:Qwen/Qwen3-14B", 0, 600);
    skew_ms += FIT_FRESH_MS;
    loop_post(loop, stop, loop);
    loop_run(loop);
    assert_false(row_of("hf:Qwen/Qwen3-14B")->is_stated);
    assert_true(row_of("hf:Qwen/Qwen3-32B")->is_stated);
}

static void test_answers_grow_old(void **state)
{
    (void)state;
    add_node("n1", "npu", 32 * GIB, "mindie");
    look();
    skew_ms += FIT_FRESH_MS - 1000;
    loop_post(loop, stop, loop);
    loop_run(loop);
    assert_true(catalog_fit_is_fresh(fit));
    skew_ms += 1000;
    loop_post(loop, stop, loop);
    loop_run(loop);
    assert_false(catalog_fit_is_fresh(fit));
}

/* ---- time ---- */

static int64_t cpu_us(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t turn_began_us;
static unsigned turns;

/* Runs once in each turn of the loop. */
static void on_turn(struct timer *timer, void *ctx)
{
    const int64_t now_us = cpu_us();
    if (turn_began_us && now_us - turn_began_us > longest_us)
        longest_us = now_us - turn_began_us;
    turn_began_us = now_us;
    turns++;
    timer_start(timer, 0);
}

static void test_a_thousand_workers_in_slices(void **state)
{
    (void)state;
    struct timer timer;
    for (int i = 0; i < NODES; i++) {
        auto_free char *name = mem_printf("n%d", i);
        add_node(name, "npu", 32 * GIB, "mindie");
    }
    longest_us = turn_began_us = 0;
    turns = 0;
    timer_init(&timer, loop, on_turn, NULL);
    timer_start(&timer, 0);
    const int64_t begin_us = cpu_us();
    look();
    print_message("# %lld ms, longest turn %lld ms, %u turns\n",
                  (long long)(cpu_us() - begin_us) / 1000, (long long)longest_us / 1000, turns);
    timer_stop(&timer);
    assert_int_equal(row_of("hf:Qwen/Qwen3-8B")->replicas, PLACE_CAPACITY_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_fits_without_workers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cards_of_32_gib, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_processors_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_small_cards_take_a_part, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_cluster_and_an_empty_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_read_replaces_what_is_stated, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_fit_goes_by_what_was_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answers_grow_old, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_thousand_workers_in_slices, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
