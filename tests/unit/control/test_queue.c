/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits and who doesn't: priority, age, what is kept, refusals, ways out. */
#include "base/num.h"
#include "cluster_fixture.h"
#include "control/needs.h"
#include "control/refusals.h"

#define GIB (INT64_C(1) << 30)

/*
 * The engine isn't known, so a model takes 1.2 times its weights and 2 GiB of a device: LARGE 21.2,
 * MIDDLE 6.8, SMALL 4.4 of the 24 GiB that each device has.
 */
enum { LARGE = 16, MIDDLE = 4, SMALL = 2, DEVICE = 24 };

static enum known known = KNOWN_SHAPE;

/* A model's weights in GiB stand in its description. */
static struct model_shape shapes[32];
static struct layer_shape layers[32];

static struct model_shape *shape_of(const struct model *model)
{
    assert_in_range(model->id, 1, ARRAY_LEN(shapes) - 1);
    struct model_shape *shape = &shapes[model->id];
    uint64_t gib = 0;
    assert_int_equal(num_parse_u64(str_of(model->description), &gib), 0);
    for (size_t i = 0; i < ARRAY_LEN(layers); i++)
        layers[i] = (struct layer_shape){.cache = CACHE_FULL,
                                         .head_count = 32,
                                         .head_count_kv = 8,
                                         .key_length = 128,
                                         .value_length = 128,
                                         .feed_forward_length = 14336,
                                         .bytes = (gib << 30) / ARRAY_LEN(layers)};
    *shape = (struct model_shape){.format = FORMAT_SAFETENSORS,
                                  .kind = KIND_LLM,
                                  .is_causal = true,
                                  .dtype = "bfloat16",
                                  .tensor_bytes = gib << 30,
                                  .file_bytes = gib << 30,
                                  .parameter_count = gib << 29,
                                  .hidden_size = 4096,
                                  .vocabulary_size = 128256,
                                  .context_length = 131072,
                                  .layers = layers,
                                  .layer_count = ARRAY_LEN(layers)};
    return shape;
}

static void source_of(const struct model *model, struct need_source *ret, void *ctx)
{
    (void)ctx;
    *ret = (struct need_source){.known = known, .key = model->name, .message = "no answer"};
    if (known == KNOWN_SHAPE)
        ret->shape = shape_of(model);
}

static int set_up_queue(void **state)
{
    known = KNOWN_SHAPE;
    env.now_ms = 1000;
    env.needs = needs_new(NULL);
    env.source_of = source_of;
    return set_up(state);
}

static int tear_down_queue(void **state)
{
    needs_free(env.needs);
    env.needs = NULL;
    env.source_of = NULL;
    return tear_down(state);
}

/* ---- a cluster ---- */

static void set_used(int64_t worker_id, size_t device, uint64_t used_bytes)
{
    struct worker copy = {0};
    record_copy(&worker_type, &copy, cluster_find(&cluster, KIND_WORKER, worker_id));
    copy.devices[device].used_bytes = used_bytes;
    cluster_put(&cluster, KIND_WORKER, &copy, 2);
}

static int64_t worker_with(const char *name, size_t devices)
{
    int64_t id = add_worker(name, WORKER_READY);
    struct worker copy = {0};
    record_copy(&worker_type, &copy, cluster_find(&cluster, KIND_WORKER, id));
    copy.memory_total = 256 * GIB;
    copy.devices = mem_alloc_array(devices + 1, sizeof *copy.devices);
    copy.device_count = devices;
    for (size_t i = 0; i < devices; i++) {
        copy.devices[i] = (struct worker_device){.index = (int64_t)i,
                                                 .type = mem_strdup("cuda"),
                                                 .name = mem_strdup("L4"),
                                                 .island = 0,
                                                 .total_bytes = (uint64_t)DEVICE << 30,
                                                 .is_healthy = true};
        int_list_add(&copy.device_indexes, (int64_t)i);
        string_list_add(&copy.device_types, "cuda");
    }
    cluster_put(&cluster, KIND_WORKER, &copy, 2);
    return id;
}

/* On one device, that of that name or any (NULL). */
static struct model *model_of(const char *name, int weights_gib, int64_t priority, const char *gpu)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, add_model(name, 1));
    mem_replace(&copy.backend, "own-engine");
    auto_free char *weights = mem_printf("%d", weights_gib);
    mem_replace(&copy.description, weights);
    auto_free char *selector = gpu ? mem_printf("{\"gpu_ids\":[\"%s\"]}", gpu)
                                   : mem_strdup("{\"gpus_per_replica\":1}");
    mem_replace(&copy.gpu_selector, selector);
    copy.priority = priority;
    copy.cpu_offloading = false;
    copy.distributed_inference_across_workers = false;
    return cluster_put(&cluster, KIND_MODEL, &copy, 2);
}

/* On as many devices as it likes, or on processors where there are none. */
static void model_anywhere(const char *name, int weights_gib)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, model_of(name, weights_gib, 0, NULL));
    mem_replace(&copy.gpu_selector, NULL);
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
}

/* The only instance of a model. */
static struct model_instance *of(const char *name)
{
    for (size_t i = 0; i < instance_count(); i++)
        if (strcmp(instance_at(i)->model_name, name) == 0)
            return instance_at(i);
    fail_msg("no instance of %s", name);
    return NULL;
}

static void assert_on(const char *name, int64_t worker_id, int64_t device)
{
    assert_int_equal(of(name)->worker_id, worker_id);
    assert_int_equal(of(name)->gpu_indexes.count, 1);
    if (device >= 0)
        assert_int_equal(of(name)->gpu_indexes.items[0], device);
}

static void assert_waits(const char *name)
{
    assert_int_equal(of(name)->worker_id, 0);
    assert_int_equal(of(name)->state, INSTANCE_PENDING);
    assert_int_equal(of(name)->state_reason, REASON_NO_WORKER_FITS);
}

static void stop(const char *name)
{
    const int64_t id = of(name)->id, model_id = of(name)->model_id;
    cluster_delete(&cluster, KIND_INSTANCE, id);
    cluster_delete(&cluster, KIND_MODEL, model_id);
}

/* ---- order ---- */

static void test_priority_before_age(void **state)
{
    model_of("old", LARGE, 0, NULL);
    model_of("high", LARGE, 5, NULL);
    settle();
    int64_t a = worker_with("a", 1);
    settle();
    assert_on("high", a, 0);
    assert_waits("old");
}

static void test_age_among_equals(void **state)
{
    model_of("z", LARGE, 3, NULL);
    settle();
    model_of("a", LARGE, 3, NULL);
    settle();
    int64_t worker = worker_with("w", 1);
    settle();
    assert_on("z", worker, 0);
    assert_waits("a");
}

/* ---- what is kept ---- */

/* Two devices, each with 17.2 GiB left, and a large one that waits for one of them. */
static int64_t large_waits(int64_t priority)
{
    int64_t a = worker_with("a", 2);
    model_of("resident0", MIDDLE, 0, "a:cuda:0");
    model_of("resident1", MIDDLE, 0, "a:cuda:1");
    settle();
    assert_on("resident0", a, 0);
    assert_on("resident1", a, 1);
    model_of("large", LARGE, priority, NULL);
    settle();
    assert_waits("large");
    return a;
}

static void test_small_ones_fill_what_the_head_does_not_wait_for(void **state)
{
    static const char *const names[] = {"s0", "s1", "s2", "s3"};
    int64_t a = large_waits(0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        model_of(names[i], SMALL, 0, NULL);
        settle();
    }
    for (size_t i = 0; i < 3; i++) /* 3 x 4.4 of 17.2 GiB */
        assert_on(names[i], a, of("s0")->gpu_indexes.items[0]);
    assert_waits("s3");
    /* Its device comes free, and is its own. */
    int64_t kept = 1 - of("s0")->gpu_indexes.items[0];
    stop(kept ? "resident1" : "resident0");
    settle();
    assert_on("large", a, kept);
    assert_waits("s3");
}

static void test_a_head_of_lower_priority_blocks_nobody(void **state)
{
    static const char *const names[] = {"s0", "s1", "s2", "s3"};
    int64_t a = large_waits(0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        model_of(names[i], SMALL, 1, NULL);
        settle();
        assert_on(names[i], a, -1);
    }
    assert_waits("large");
}

/* A lower priority never takes what a higher one waits for, the same only after a while. */
static void test_what_is_kept_comes_free_for_its_own_priority(void **state)
{
    static const char *const names[] = {"s0", "s1", "s2", "s3"};
    int64_t a = large_waits(0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        model_of(names[i], SMALL, 0, NULL);
    settle();
    assert_waits("s3");
    env.now_ms += RECONCILE_RESERVE_MS;
    settle();
    assert_on("s3", a, -1);
    assert_waits("large");
}

static void test_what_is_kept_stays_so_for_a_higher_priority(void **state)
{
    static const char *const names[] = {"s0", "s1", "s2", "s3"};
    large_waits(1);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        model_of(names[i], SMALL, 0, NULL);
    env.now_ms += 10 * (int64_t)RECONCILE_RESERVE_MS;
    settle();
    assert_waits("s3");
}

/* Nothing has come free, and only the new model is looked at: what is kept is kept from it, too. */
static void test_a_new_model_does_not_take_what_is_kept(void **state)
{
    worker_with("a", 1);
    model_of("resident", MIDDLE, 0, "a:cuda:0");
    settle();
    model_of("large", LARGE, 0, NULL);
    settle();
    assert_waits("large");
    struct dirty dirty = {0};
    dirty_note(&dirty, &cluster, KIND_MODEL, model_of("small", SMALL, 0, NULL), true, false);
    while (dirty_has_work(&dirty))
        reconcile(&cluster, &env, &dirty);
    assert_waits("small");
    dirty_fini(&dirty);
}

/* One that fits nowhere, however long it waits, keeps nothing; who comes next does. */
static void test_a_head_without_hope_is_passed_over(void **state)
{
    worker_with("a", 1);
    model_of("resident", MIDDLE, 0, "a:cuda:0");
    settle();
    model_of("hopeless", 8 * LARGE, 0, NULL);
    model_of("large", LARGE, 0, NULL);
    model_of("small", SMALL, 0, NULL);
    settle();
    assert_waits("hopeless");
    assert_waits("large");
    assert_waits("small");
}

/* On processors as well: main memory is kept, not given to many small ones. */
static void test_main_memory_is_kept(void **state)
{
    int64_t a = add_worker("a", WORKER_READY); /* 16 GiB */
    set_memory(a, 27 * GIB);
    model_anywhere("resident", MIDDLE);
    settle();
    assert_int_equal(of("resident")->worker_id, a);
    model_anywhere("large", LARGE);
    settle();
    assert_waits("large");
    model_anywhere("small", SMALL);
    settle();
    assert_waits("small");
    env.now_ms += RECONCILE_RESERVE_MS;
    settle();
    assert_int_equal(of("small")->worker_id, a);
}

/* ---- gangs ---- */

/* Over two workers with one device each. */
static void gang_of_two(const char *name)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, model_of(name, 36, 0, NULL));
    mem_replace(&copy.backend, "vllm");
    mem_replace(&copy.gpu_selector, NULL);
    string_list_add(&copy.backend_parameters, "--max-model-len=2048");
    copy.distributed_inference_across_workers = true;
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
}

static void test_gangs_get_all_or_nothing(void **state)
{
    int64_t a = worker_with("a", 1), b = worker_with("b", 1);
    model_of("resident", MIDDLE, 0, "b:cuda:0");
    settle();
    gang_of_two("first");
    gang_of_two("second");
    settle();
    assert_waits("first");
    assert_waits("second");
    model_of("small", SMALL, 0, NULL); /* would fit, and would make the gang wait for longer */
    settle();
    assert_waits("small");
    stop("resident");
    settle();
    assert_int_equal(of("first")->subordinate_worker_ids.count, 1);
    assert_int_equal(of("first")->worker_id + of("first")->subordinate_worker_ids.items[0], a + b);
    assert_waits("second");
}

/* ---- room that comes free ---- */

static void test_freed_room_is_used_in_the_same_turn(void **state)
{
    int64_t a = large_waits(0);
    struct dirty dirty = {0};
    dirty_note(&dirty, &cluster, KIND_INSTANCE, of("resident1"), true, true);
    stop("resident1");
    reconcile(&cluster, &env, &dirty);
    assert_on("large", a, 1);
    dirty_fini(&dirty);
}

/* ---- refusals ---- */

static void refuse(const char *name, const char *args)
{
    const struct model_instance *one = of(name);
    auto_free char *more = mem_printf(",\"state_reason\":\"device_memory_taken\","
                                      "\"state_message\":\"taken\",\"state_args\":%s",
                                      args);
    assert_int_equal(report_more(one->worker_id, one->id, "error", more), 0);
}

#define TAKEN "{\"gpu_index\":0,\"needs\":22763317657,\"free\":10737418240}"

static void test_a_refusal_moves_it(void **state)
{
    int64_t a = worker_with("a", 1), b = worker_with("b", 1);
    model_of("large", LARGE, 0, NULL);
    settle();
    assert_on("large", a, 0);
    int64_t first = of("large")->id;
    refuse("large", TAKEN); /* the worker's last report said that all is free */
    settle();
    assert_on("large", b, 0);
    assert_int_not_equal(of("large")->id, first);
    assert_non_null(strstr(of("large")->refusals, "\"worker_id\":1,\"gpu_index\":0"));
    assert_non_null(strstr(of("large")->refusals, "\"free\":10737418240"));
    assert_true(has_event(EVENT_MOVED));
}

/* Nowhere else is room: it waits until the worker says that what it lacked is there. */
static void test_a_refusal_is_forgotten_when_memory_is_free(void **state)
{
    int64_t a = worker_with("a", 1);
    set_used(a, 0, 1);
    model_of("large", LARGE, 0, NULL);
    settle();
    refuse("large", TAKEN);
    set_used(a, 0, 14 * (uint64_t)GIB);
    settle();
    assert_waits("large");
    set_used(a, 0, 0);
    env.now_ms += 1000;
    settle();
    assert_on("large", a, 0);
}

static void test_a_refusal_lasts_for_a_while(void **state)
{
    int64_t a = worker_with("a", 1);
    model_of("large", LARGE, 0, NULL);
    settle();
    refuse("large", "{\"gpu_index\":0,\"needs\":99999999999,\"free\":1}"); /* more than there is */
    settle();
    assert_int_equal(of("large")->worker_id, 0);
    env.now_ms += REFUSAL_LASTS_MS - 1;
    settle();
    assert_int_equal(of("large")->worker_id, 0);
    env.now_ms++;
    settle();
    assert_on("large", a, 0);
}

/* ---- what isn't known ---- */

static void test_unknown_size_is_not_zero(void **state)
{
    int64_t a = worker_with("a", 1);
    model_anywhere("m", LARGE);
    known = KNOWN_SOON;
    settle();
    assert_int_equal(of("m")->state_reason, REASON_READING_MODEL);
    known = KNOWN_UNREACHABLE;
    settle();
    assert_int_equal(of("m")->worker_id, 0);
    assert_int_equal(of("m")->state_reason, REASON_MODEL_UNREACHABLE);
    assert_non_null(strstr(of("m")->state_message, "no answer"));
    known = KNOWN_SHAPE;
    settle();
    assert_on("m", a, 0);
}

/* ---- ways out ---- */

/* Whether a way out of that code is told; its words in `ret_words` until the next call. */
static bool has_way_out(const char *name, const char *code, char *ret_words, size_t size)
{
    auto_fini(json_release) json_t *args = NULL;
    size_t i;
    json_t *way;
    assert_int_equal(json_read(str_of(of(name)->state_args), &args, NULL), 0);
    json_array_foreach(json_object_get(args, "ways_out"), i, way) {
        if (strcmp(json_member_string(way, "code"), code) != 0)
            continue;
        snprintf(ret_words, size, "%s", json_member_string(way, "message"));
        return true;
    }
    return false;
}

static void test_ways_out_are_true(void **state)
{
    char words[256];
    worker_with("a", 1);
    model_of("resident", 2 * MIDDLE, 0, NULL);
    settle();
    struct model copy = {0};
    record_copy(&model_type, &copy, model_of("asked", MIDDLE, 0, NULL));
    mem_replace(&copy.backend, "vllm");
    string_list_add(&copy.backend_parameters, "--max-model-len=131072");
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
    settle();
    assert_waits("asked"); /* 16 GiB of cache beside 4 of weights, 12.4 are free */
    assert_true(has_way_out("asked", "stop_model", words, sizeof words));
    assert_string_equal(words, "stop model resident, which holds 13.6 GiB"); /* 2 of the host */
    assert_true(has_way_out("asked", "shorter_context", words, sizeof words));
    const char *parameter = strstr(words, "--max-model-len=");
    assert_string_equal(parameter, "--max-model-len=32768)"); /* a half is still too long */
    assert_false(has_way_out("asked", "span_workers", words + 200, 50));
    auto_free char *shorter = mem_strdup(parameter);
    shorter[strcspn(shorter, ")")] = '\0';
    copy = (struct model){0};
    record_copy(&model_type, &copy, cluster_find(&cluster, KIND_MODEL, of("asked")->model_id));
    string_list_add(&copy.backend_parameters, shorter);
    copy.generation++;
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
    settle();
    assert_on("asked", 1, 0);
}

static void test_a_stopped_model_makes_the_room_that_was_told(void **state)
{
    char words[256];
    worker_with("a", 1);
    struct model *resident = model_of("resident", MIDDLE, 0, NULL);
    settle();
    model_of("asked", LARGE, 0, NULL);
    settle();
    assert_true(has_way_out("asked", "stop_model", words, sizeof words));
    assert_non_null(strstr(words, "resident"));
    set_replicas(resident, 0);
    settle();
    assert_on("asked", 1, 0);
}

/* No way is told that wouldn't help: even alone it doesn't fit. */
static void test_ways_that_do_not_help_are_not_told(void **state)
{
    char words[256];
    worker_with("a", 1);
    model_of("resident", MIDDLE, 0, NULL);
    settle();
    model_of("asked", 4 * LARGE, 0, NULL);
    settle();
    assert_waits("asked");
    assert_false(has_way_out("asked", "stop_model", words, sizeof words));
    assert_false(has_way_out("asked", "drop_label", words, sizeof words));
}

/* A model of higher priority isn't stopped for one of lower. */
static void test_more_important_ones_are_not_to_be_stopped(void **state)
{
    char words[256];
    worker_with("a", 1);
    model_of("resident", MIDDLE, 7, NULL);
    settle();
    model_of("asked", LARGE, 6, NULL);
    settle();
    assert_waits("asked");
    assert_false(has_way_out("asked", "stop_model", words, sizeof words));
}

/* ---- who goes ---- */

static void test_shrinking_sees_other_models(void **state)
{
    int64_t a = worker_with("a", 1), b = worker_with("b", 1);
    struct model *model = model_of("m", SMALL, 0, NULL);
    set_replicas(model, 2);
    settle();
    assert_int_equal(instance_at(0)->worker_id, a);
    assert_int_equal(instance_at(1)->worker_id, b);
    model_of("other", SMALL, 0, "a:cuda:0");
    settle();
    assert_on("other", a, 0);
    set_replicas(cluster_find(&cluster, KIND_MODEL, 1), 1);
    settle();
    assert_int_equal(of("m")->worker_id, b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_queue, tear_down_queue)
    const struct CMUnitTest tests[] = {
        TEST(test_priority_before_age),
        TEST(test_age_among_equals),
        TEST(test_small_ones_fill_what_the_head_does_not_wait_for),
        TEST(test_a_head_of_lower_priority_blocks_nobody),
        TEST(test_what_is_kept_comes_free_for_its_own_priority),
        TEST(test_what_is_kept_stays_so_for_a_higher_priority),
        TEST(test_a_new_model_does_not_take_what_is_kept),
        TEST(test_a_head_without_hope_is_passed_over),
        TEST(test_main_memory_is_kept),
        TEST(test_gangs_get_all_or_nothing),
        TEST(test_freed_room_is_used_in_the_same_turn),
        TEST(test_a_refusal_moves_it),
        TEST(test_a_refusal_is_forgotten_when_memory_is_free),
        TEST(test_a_refusal_lasts_for_a_while),
        TEST(test_unknown_size_is_not_zero),
        TEST(test_ways_out_are_true),
        TEST(test_a_stopped_model_makes_the_room_that_was_told),
        TEST(test_ways_that_do_not_help_are_not_told),
        TEST(test_more_important_ones_are_not_to_be_stopped),
        TEST(test_shrinking_sees_other_models),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
