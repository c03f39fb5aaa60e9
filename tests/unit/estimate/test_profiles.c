/* SPDX-License-Identifier: Apache-2.0 */
#include "shapes.h"

#include "estimate/correction.h"
#include "estimate/profiles.h"

#define GIB (UINT64_C(1) << 30)

static const struct numbers llama3_8b = {32, 32, 8, 128, 4096, 14336, 128256, 8192, 0, 0, false};

struct fixture {
    struct model_shape shape;
    struct estimate_request request;
    struct estimate_limits limits;
    struct estimate_profile profiles[ESTIMATE_PROFILES_MAX];
    int count;
    struct err err;
};

static struct fixture *profiles_of(struct numbers numbers, enum estimate_engine engine,
                                   uint64_t device_gib, unsigned devices, unsigned nodes,
                                   const char *const *argv)
{
    struct fixture *f = calloc(1, sizeof *f);
    shape_of(&numbers, &f->shape);
    for (unsigned il = 0; il < f->shape.layer_count; il++)
        f->shape.layers[il].bytes = 15 * GIB / f->shape.layer_count;
    f->request = (struct estimate_request){.shape = &f->shape, .engine = engine, .argv = argv};
    while (argv && argv[f->request.argc])
        f->request.argc++;
    f->limits = (struct estimate_limits){.device = {.total_bytes = device_gib * GIB},
                                         .devices_per_node = devices, .nodes = nodes,
                                         .may_offload_partly = true, .may_use_processor = true};
    f->count = estimate_profiles(&f->request, &f->limits, f->profiles, &f->err);
    return f;
}

static void fixture_free(struct fixture *f)
{
    free(f->shape.layers);
    free(f);
}

/* 8 devices with 32 heads: 1, 2, 4 and 8 on tensors; 3, 5 and 7 in stages; 6 as 2 x 3. */
static void test_parallel(void **state)
{
    (void)state;
    struct fixture *f = profiles_of(llama3_8b, ESTIMATE_VLLM, 80, 8, 1, NULL);
    static const unsigned tensor[] = {1, 2, 1, 4, 1, 2, 1, 8};
    assert_int_equal(f->count, 8);
    assert_string_equal(f->err.text, ""); /* of ways that couldn't be */
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(f->profiles[i].tensor_parallel, tensor[i]);
        assert_int_equal(f->profiles[i].pipeline_parallel, (i + 1) / tensor[i]);
        assert_int_equal(f->profiles[i].kind, PROFILE_DEVICES);
        assert_true(f->profiles[i].rank_bytes[i] > 0);
        assert_int_equal(f->profiles[i].rank_bytes[i + 1], 0);
        assert_true(f->profiles[i].preferred_bytes[0] - f->profiles[i].rank_bytes[0] >=
                    3 * GIB / (i + 2)); /* a request's cache is 1 GiB over all */
    }
    assert_true(f->profiles[3].rank_bytes[0] < f->profiles[1].rank_bytes[0]);
    fixture_free(f);
}

static void test_nodes(void **state)
{
    (void)state;
    struct fixture *f = profiles_of(llama3_8b, ESTIMATE_VLLM, 80, 2, 2, NULL);
    assert_int_equal(f->count, 4);
    assert_int_equal(f->profiles[3].nodes, 2);
    assert_int_equal(f->profiles[3].tensor_parallel, 2); /* within a worker */
    assert_int_equal(f->profiles[3].pipeline_parallel, 2);
    fixture_free(f);
}

static void test_user_decides(void **state)
{
    (void)state;
    const char *argv[] = {"--tensor-parallel-size", "4", NULL};
    struct fixture *f = profiles_of(llama3_8b, ESTIMATE_VLLM, 80, 8, 1, argv);
    assert_true(f->count >= 1);
    for (int i = 0; i < f->count; i++)
        assert_int_equal(f->profiles[i].tensor_parallel, 4);
    assert_int_equal(f->profiles[0].devices_per_node, 4);
    assert_int_equal(f->profiles[1].devices_per_node, 8); /* two stages of four */
    assert_int_equal(f->profiles[1].pipeline_parallel, 2);
    fixture_free(f);
}

/* What the user fixed may go over several workers, and replicas take devices, too. */
static void test_user_decides_over_nodes(void **state)
{
    (void)state;
    const char *wide[] = {"-tp", "16", NULL};
    struct fixture *f = profiles_of(llama3_8b, ESTIMATE_VLLM, 80, 8, 2, wide);
    assert_int_equal(f->count, 1);
    assert_int_equal(f->profiles[0].nodes, 2);
    assert_int_equal(f->profiles[0].tensor_parallel, 16);
    assert_int_equal(f->profiles[0].pipeline_parallel, 1);
    fixture_free(f);
    const char *flat[] = {"--pipeline-parallel-size=1", NULL};
    f = profiles_of(llama3_8b, ESTIMATE_VLLM, 80, 8, 2, flat);
    assert_int_equal(f->profiles[f->count - 1].tensor_parallel, 16);
    fixture_free(f);
    const char *replicas[] = {"--data-parallel-size", "2", NULL};
    f = profiles_of(llama3_8b, ESTIMATE_VLLM, 80, 4, 1, replicas);
    assert_int_equal(f->count, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(f->profiles[i].devices_per_node, 2 * (i + 1));
        assert_int_equal(f->profiles[i].tensor_parallel, i + 1);
        assert_int_equal(f->profiles[i].data_parallel, 2);
    }
    fixture_free(f);
}

/* Many workers leave room for the ways with the host. */
static void test_many_nodes(void **state)
{
    (void)state;
    struct fixture *f = profiles_of(llama3_8b, ESTIMATE_LLAMA_CPP, 4, 8, 16, NULL);
    assert_in_range(f->count, 40, ESTIMATE_PROFILES_MAX);
    assert_int_equal(f->profiles[f->count - 1].kind, PROFILE_PROCESSOR);
    assert_int_equal(f->profiles[f->count - 2].kind, PROFILE_PARTIAL);
    for (int i = 0; i < f->count; i++)
        for (unsigned d = 0; d < f->profiles[i].nodes * f->profiles[i].devices_per_node; d++)
            assert_true(f->profiles[i].rank_bytes[d] > 0); /* none that idles */
    fixture_free(f);
    f = profiles_of(llama3_8b, ESTIMATE_VLLM, 80, 8, 2, NULL);
    assert_int_equal(f->profiles[f->count - 1].nodes, 2);
    assert_true(f->profiles[f->count - 1].host_bytes == 10 * GIB); /* the first worker's */
    fixture_free(f);
}

static void test_too_many_parameters(void **state)
{
    (void)state;
    static const char *argv[2 * ESTIMATE_PARAMETERS_MAX];
    for (size_t i = 0; i + 1 < sizeof argv / sizeof argv[0]; i++)
        argv[i] = "--verbose";
    struct fixture *f = profiles_of(llama3_8b, ESTIMATE_VLLM, 80, 8, 2, argv);
    assert_int_equal(f->count, ERR_TOO_LARGE);
    fixture_free(f);
}

/* 15 GiB on devices of 10: two devices, or some layers, or none. */
static void test_llama_cpp(void **state)
{
    (void)state;
    struct fixture *f = profiles_of(llama3_8b, ESTIMATE_LLAMA_CPP, 10, 2, 1, NULL);
    assert_int_equal(f->count, 4);
    assert_true(f->profiles[0].rank_bytes[0] > 10 * GIB);
    assert_true(f->profiles[1].rank_bytes[0] < 10 * GIB);
    assert_int_equal(f->profiles[2].kind, PROFILE_PARTIAL);
    assert_true(f->profiles[2].rank_bytes[0] <= 10 * GIB);
    assert_true(f->profiles[2].layers_offloaded > 10 && f->profiles[2].layers_offloaded < 32);
    assert_int_equal(f->profiles[3].kind, PROFILE_PROCESSOR);
    assert_int_equal(f->profiles[3].devices_per_node, 0);
    assert_true(f->profiles[3].host_bytes > 15 * GIB);
    fixture_free(f);
}

/* 15 GiB on two of 5: some layers on one, more on two. */
static void test_partly_on_several(void **state)
{
    (void)state;
    struct fixture *f = profiles_of(llama3_8b, ESTIMATE_LLAMA_CPP, 5, 2, 1, NULL);
    assert_int_equal(f->count, 5);
    assert_int_equal(f->profiles[2].kind, PROFILE_PARTIAL);
    assert_int_equal(f->profiles[2].devices_per_node, 1);
    assert_int_equal(f->profiles[3].kind, PROFILE_PARTIAL);
    assert_int_equal(f->profiles[3].devices_per_node, 2);
    assert_true(f->profiles[3].layers_offloaded > f->profiles[2].layers_offloaded + 5);
    assert_true(f->profiles[3].rank_bytes[0] <= 5 * GIB && f->profiles[3].rank_bytes[1] <= 5 * GIB);
    fixture_free(f);
}

/* The user's number of layers makes all ways partial ones, or leaves the processor alone. */
static void test_user_decides_on_layers(void **state)
{
    (void)state;
    const char *some[] = {"-ngl", "10", NULL}, *none[] = {"-ngl=0", NULL}, *all[] = {"-ngl", "99",
                                                                                   NULL};
    struct fixture *f = profiles_of(llama3_8b, ESTIMATE_LLAMA_CPP, 80, 2, 1, some);
    assert_int_equal(f->count, 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(f->profiles[i].kind, PROFILE_PARTIAL);
        assert_int_equal(f->profiles[i].layers_offloaded, 10);
    }
    fixture_free(f);
    f = profiles_of(llama3_8b, ESTIMATE_LLAMA_CPP, 80, 2, 1, none);
    assert_int_equal(f->count, 1);
    assert_int_equal(f->profiles[0].kind, PROFILE_PROCESSOR);
    fixture_free(f);
    f = profiles_of(llama3_8b, ESTIMATE_LLAMA_CPP, 8, 2, 1, all);
    assert_int_equal(f->count, 3);
    assert_int_equal(f->profiles[0].kind, PROFILE_DEVICES);
    assert_int_equal(f->profiles[1].kind, PROFILE_DEVICES);
    fixture_free(f);
}

static void test_none(void **state)
{
    (void)state;
    const char *argv[] = {"--gpu-memory-utilization", "7", NULL};
    struct fixture *f = profiles_of(llama3_8b, ESTIMATE_VLLM, 80, 2, 1, argv);
    assert_int_equal(f->count, ERR_INVALID);
    assert_non_null(strstr(f->err.text, "from 0.01 to 1"));
    fixture_free(f);
}

/* --- learning -------------------------------------------------------------------------------- */

static void test_correction(void **state)
{
    (void)state;
    struct correction_table table = {0};
    const struct correction_key key = correction_key_of("vllm", "0.10.2", "qwen3");
    const struct correction_key other = correction_key_of("vllm", "0.10.2", "llama");
    assert_int_equal(correction_apply(&table, &key, 1000), 1000);
    for (int i = 1; i <= 20; i++)
        correction_add(&table, &key, 1000, 1000 + (uint64_t)i);
    assert_int_equal(correction_apply(&table, &key, 1000), 1019); /* the 19th of 20 */
    assert_int_equal(correction_apply(&table, &other, 1000), 1000);
    for (int i = 0; i < CORRECTION_SAMPLES_MAX; i++) /* old ones are forgotten */
        correction_add(&table, &key, 1000, 1005);
    assert_int_equal(correction_apply(&table, &key, 1000), 1005);
    correction_table_fini(&table);
}

static void test_correction_bounds(void **state)
{
    (void)state;
    struct correction_table table = {0};
    const struct correction_key key = correction_key_of("llama.cpp", NULL, "qwen3");
    correction_add(&table, &key, 1000, 900);
    assert_int_equal(correction_apply(&table, &key, 1000), 1000); /* one isn't trusted */
    for (int i = 1; i < CORRECTION_TRUSTED; i++)
        correction_add(&table, &key, 1000, 900);
    assert_int_equal(correction_apply(&table, &key, 1000), 900);
    for (int i = 0; i < CORRECTION_SAMPLES_MAX; i++)
        correction_add(&table, &key, 1000, 100);
    assert_int_equal(correction_apply(&table, &key, 1000), 750);
    for (int i = 0; i < CORRECTION_SAMPLES_MAX; i++)
        correction_add(&table, &key, 1000, 90000);
    assert_int_equal(correction_apply(&table, &key, 1000), 2000);
    correction_table_fini(&table);
}

/* A neighbour's memory that was measured once, too, is forgotten about. */
static void test_correction_outlier(void **state)
{
    (void)state;
    struct correction_table table = {0};
    const struct correction_key key = correction_key_of("vllm", "0.10.2", "llama");
    correction_add(&table, &key, 1000, 90000);
    assert_int_equal(correction_apply(&table, &key, 1000), 2000); /* nothing else is known */
    for (int i = 1; i < CORRECTION_SAMPLES_MAX; i++) {
        correction_add(&table, &key, 1000, 1010);
        if (i + 1 >= CORRECTION_TRUSTED)
            assert_int_equal(correction_apply(&table, &key, 1000), 1010);
    }
    correction_table_fini(&table);
}

/* 100 of a large model are 10 of one that is a tenth of it; those of a small one stay. */
static void test_correction_of_other_sizes(void **state)
{
    (void)state;
    struct correction_table table = {0};
    const struct correction_key key = correction_key_of("vllm", "0.10.2", "qwen3");
    correction_add(&table, &key, 1000, 1100);
    assert_int_equal(correction_apply(&table, &key, 100), 110);
    assert_int_equal(correction_apply(&table, &key, 5000), 5100);
    for (int i = 0; i < CORRECTION_SAMPLES_MAX; i++)
        correction_add(&table, &key, 1000, 900);
    assert_int_equal(correction_apply(&table, &key, 100), 90);
    correction_table_fini(&table);
}

static void test_correction_keys(void **state)
{
    (void)state;
    struct correction_table table = {0};
    struct correction_key first = {0};
    for (int i = 0; i <= CORRECTION_KEYS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "a%d", i);
        const struct correction_key key = correction_key_of("vllm", "1", name);
        correction_add(&table, &key, 10, 11);
        if (i == 0)
            first = key;
    }
    assert_int_equal(table.count, CORRECTION_KEYS_MAX);
    assert_null(correction_find(&table, &first));
    correction_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_user_decides),
        cmocka_unit_test(test_user_decides_over_nodes),
        cmocka_unit_test(test_many_nodes),
        cmocka_unit_test(test_too_many_parameters),
        cmocka_unit_test(test_llama_cpp),
        cmocka_unit_test(test_partly_on_several),
        cmocka_unit_test(test_user_decides_on_layers),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_correction),
        cmocka_unit_test(test_correction_bounds),
        cmocka_unit_test(test_correction_outlier),
        cmocka_unit_test(test_correction_of_other_sizes),
        cmocka_unit_test(test_correction_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
