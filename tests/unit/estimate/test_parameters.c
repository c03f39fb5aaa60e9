/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/parameters.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>
#include <cmocka.h>

struct values {
    uint64_t context;
    int64_t slots, length;
    double fraction;
    struct str type, flash;
    bool eager, mmap;
    struct parameter_list overrides;
};

static const struct parameter table[] = {
    {"ctx-size", "-c --n-ctx", PARAMETER_COUNT, offsetof(struct values, context), 0, 1 << 20},
    {"parallel", "-np", PARAMETER_NUMBER, offsetof(struct values, slots), -1, 64},
    {"max-model-len", NULL, PARAMETER_TOKENS, offsetof(struct values, length), -1, 1 << 30},
    {"memory", NULL, PARAMETER_REAL, offsetof(struct values, fraction), 0, 1},
    {"cache-type-k", "-ctk", PARAMETER_TEXT, offsetof(struct values, type), 0, 0},
    {"flash-attn", "-fa", PARAMETER_SWITCH, offsetof(struct values, flash), 0, 0},
    {"enforce-eager", NULL, PARAMETER_ON, offsetof(struct values, eager), 0, 0},
    {"no-mmap", NULL, PARAMETER_OFF, offsetof(struct values, mmap), 0, 0},
    {"override-tensor", "-ot", PARAMETER_LIST, offsetof(struct values, overrides), 0, 0},
    {0},
};

static struct values read_all(size_t argc, const char *const *argv)
{
    struct values values = {.mmap = true};
    struct err err = {0};
    if (parameters_read(table, argv, argc, &values, &err) < 0)
        fail_msg("%s", err.text);
    return values;
}

#define READ(...)                                                                                  \
    read_all(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static void test_forms(void **state)
{
    (void)state;
    assert_int_equal(READ("--ctx-size", "4096").context, 4096);
    assert_int_equal(READ("--ctx-size=4096").context, 4096);
    assert_int_equal(READ("--ctx-size 4096").context, 4096);
    assert_int_equal(READ("--ctx_size", "4096").context, 4096);
    assert_int_equal(READ("-c", "4096").context, 4096);
    assert_int_equal(READ("--n_ctx=4096").context, 4096);
    assert_int_equal(READ("-c", "1", "--ctx-size=2").context, 2);
    assert_int_equal(READ("--unknown", "-c", "7").context, 7);
    assert_int_equal(READ("--unknown", "value", "--unknown=3", "-c", "7").context, 7);
}

static void test_kinds(void **state)
{
    (void)state;
    assert_int_equal(READ("-np", "-1").slots, -1);
    assert_int_equal(READ("--max-model-len", "32k").length, 32000);
    assert_int_equal(READ("--max-model-len=32K").length, 32768);
    assert_int_equal(READ("--max-model-len", "25.6k").length, 25600);
    assert_int_equal(READ("--max-model-len", "0.001t").length, 1000000000);
    assert_int_equal(READ("--max-model-len", "auto").length, -1);
    assert_true(READ("--memory", "0.85").fraction == 0.85);
    assert_true(str_eq(READ("-ctk", "q8_0").type, STR("q8_0")));
    assert_true(READ("--enforce-eager").eager);
    assert_false(READ("--no-mmap").mmap);
    assert_true(READ("-c", "1").mmap);
    assert_true(str_eq(READ("-fa").flash, STR("on")));
    assert_true(str_eq(READ("-fa", "off").flash, STR("off")));
    struct values values = READ("-fa", "--ctx-size", "9");
    assert_true(str_eq(values.flash, STR("on")));
    assert_int_equal(values.context, 9);
}

/* All of a list count, in their order. */
static void test_lists(void **state)
{
    (void)state;
    const struct values values = READ("-ot", "a=CPU", "-c", "1", "--override_tensor=b=CUDA0");
    assert_int_equal(values.overrides.count, 2);
    assert_true(str_eq(values.overrides.items[0], STR("a=CPU")));
    assert_true(str_eq(values.overrides.items[1], STR("b=CUDA0")));
}

static void assert_refused(const char *a, const char *b, const char *words)
{
    struct values values = {0};
    struct err err = {0};
    const char *argv[] = {a, b};
    assert_int_equal(parameters_read(table, argv, b ? 2 : 1, &values, &err), ERR_INVALID);
    assert_string_equal(err.text, words);
}

static void test_faults(void **state)
{
    (void)state;
    assert_refused("--memory", "1.5", "--memory must be a number from 0 to 1, not \"1.5\"");
    assert_refused("--memory", "nan", "--memory must be a number from 0 to 1, not \"nan\"");
    assert_refused("-c", "many", "--ctx-size must be an integer from 0 to 1048576, not \"many\"");
    assert_refused("-c", "9999999999999",
                   "--ctx-size must be an integer from 0 to 1048576, not \"9999999999999\"");
    assert_refused("--max-model-len", "k",
                   "--max-model-len must be an integer from -1 to 1073741824, not \"k\"");
    assert_refused("--ctx-size", NULL, "--ctx-size needs a value");
    assert_refused("--ctx-size", "--enforce-eager", "--ctx-size needs a value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
