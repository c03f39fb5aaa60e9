/* SPDX-License-Identifier: Apache-2.0 */
/* Which engines are told of, and that new ones are seen. */
#include "base/json.h"
#include "engine_stub.h"
#include "folder.h"
#include "worker/engines_seen.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void on_change(struct engines_seen *seen, void *ctx)
{
    int *changes = ctx;
    ++*changes;
    loop_stop(seen->loop);
}

/* The engine of that version, NULL meaning the one on PATH, or NULL. Borrows from `engines`. */
static const json_t *find(const json_t *engines, const char *version)
{
    size_t i;
    json_t *engine;
    json_array_foreach(engines, i, engine) {
        const char *own = json_member_string(engine, "version");
        bool is_it = version && own ? strcmp(own, version) == 0 : version == own;
        if (is_it && strcmp(json_member_string(engine, "name"), "llama.cpp") == 0)
            return engine;
    }
    return NULL;
}

static json_t *read_engines(const struct engines_seen *seen)
{
    json_t *engines = NULL;
    assert_int_equal(json_read(str_of(seen->text), &engines, NULL), 0);
    return engines;
}

static void add_copy(const char *bin_dir, const char *name, const char *yaml)
{
    auto_free char *dir = mem_printf("%s/%s", bin_dir, name);
    assert_int_equal(mkdir(dir, 0755), 0);
    folder_write(dir, "engine.yaml", yaml, 0);
}

static void test_installed_engines_are_told(void **state)
{
    auto_free char *dir = mem_printf("%s", *(char **)state);
    auto_free char *bin_dir = mem_printf("%s/bin", dir);
    engine_stub_install(bin_dir);
    add_copy(bin_dir, "llama.cpp_2.0",
             "command: [/nowhere/llama-server]\ndevice_types: [cuda, rocm]\n");
    int changes = 0;
    struct loop *loop = loop_new(&clock_system);
    struct engines_seen seen = {
        .loop = loop, .bin_dir = bin_dir, .on_change = on_change, .ctx = &changes};
    engines_seen_start(&seen);
    assert_null(seen.text);
    while (!changes)
        loop_run(loop);

    auto_fini(json_release) json_t *engines = read_engines(&seen);
    const json_t *stub = find(engines, "1.0"), *missing = find(engines, "2.0");
    assert_non_null(find(engines, NULL));
    assert_true(json_is_true(json_object_get(stub, "present")));
    assert_true(json_is_true(json_object_get(stub, "distributable")));
    assert_null(json_object_get(stub, "device_types"));
    assert_true(json_is_false(json_object_get(missing, "present")));
    assert_true(json_is_false(json_object_get(missing, "distributable")));
    assert_int_equal(json_array_size(json_object_get(missing, "device_types")), 2);

    /* Another folder is seen at the next look; 30 s haven't passed. */
    add_copy(bin_dir, "llama.cpp_3.0", "backend: llama.cpp\n");
    timer_start(&seen.timer, 0);
    while (changes < 2)
        loop_run(loop);
    auto_fini(json_release) json_t *more = read_engines(&seen);
    assert_non_null(find(more, "3.0"));
    engines_seen_fini(&seen);
    loop_free(loop);
}

static void test_a_bad_file_leaves_none(void **state)
{
    auto_free char *bin_dir = mem_printf("%s/bad", *(char **)state);
    assert_int_equal(mkdir(bin_dir, 0755), 0);
    add_copy(bin_dir, "llama.cpp_2.0", "colour: blue\n");
    int changes = 0;
    struct loop *loop = loop_new(&clock_system);
    struct engines_seen seen = {
        .loop = loop, .bin_dir = bin_dir, .on_change = on_change, .ctx = &changes};
    engines_seen_start(&seen);
    while (!changes)
        loop_run(loop);
    assert_string_equal(seen.text, "[]");
    assert_non_null(strstr(seen.faults.last, "colour"));
    engines_seen_fini(&seen);
    loop_free(loop);
}

static int set_up(void **state)
{
    *state = folder_new();
    return 0;
}

static int tear_down(void **state)
{
    folder_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_installed_engines_are_told),
        cmocka_unit_test(test_a_bad_file_leaves_none),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
