/* SPDX-License-Identifier: Apache-2.0 */
#include "folder.h"
#include "worker/prepare.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct row {
    const char *name;
    const char *files[5]; /* each of 10 bytes */
    const char *asked;    /* "": the folder */
    const char *found;    /* "": the folder; NULL: a fault */
    int64_t bytes;
    const char *fault;
};

static const struct row rows[] = {
    {"a file", {"m.gguf"}, "m.gguf", "m.gguf", 10, NULL},
    {"the only one", {"m.gguf", "README.md"}, "", "m.gguf", 10, NULL},
    {"a projector doesn't count", {"m.gguf", "mmproj-m.gguf"}, "", "m.gguf", 10, NULL},
    {"two models", {"a.gguf", "b.gguf"}, "", NULL, 0, "2 models"},
    {"split",
     {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"},
     "",
     "m-00001-of-00002.gguf",
     20,
     NULL},
    {"split by its first part",
     {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf", "b.gguf"},
     "m-00001-of-00003.gguf",
     "m-00001-of-00003.gguf",
     30,
     NULL},
    {"a part is missing", {"m-00001-of-00002.gguf"}, "", NULL, 0, "m-00002-of-00002.gguf"},
    {"the first part is missing", {"m-00002-of-00002.gguf"}, "", "", 10, NULL},
    {"other formats: the folder", {"model.safetensors", "config.json"}, "", "", 20, NULL},
    {"no such file", {"m.gguf"}, "n.gguf", NULL, 0, "n.gguf: No such file"},
};

static char *path_in(const char *dir, const char *name)
{
    return *name ? mem_printf("%s/%s", dir, name) : mem_strdup(dir);
}

static void check(const struct row *row)
{
    char *dir = folder_new();
    for (size_t i = 0; i < ARRAY_LEN(row->files) && row->files[i]; i++)
        folder_write(dir, row->files[i], NULL, 10);
    auto_free char *asked = path_in(dir, row->asked);
    auto_free char *found = NULL;
    int64_t bytes = 0;
    struct err err = {0};
    int rc = local_files_find(asked, &found, &bytes, &err);
    if (row->found) {
        auto_free char *expected = path_in(dir, row->found);
        if (rc != 0)
            fail_msg("%s: %s", row->name, err.text);
        assert_string_equal(found, expected);
        assert_int_equal(bytes, row->bytes);
    } else if (rc == 0 || !strstr(err.text, row->fault)) {
        fail_msg("%s: rc %d \"%s\"", row->name, rc, err.text);
    }
    folder_free(dir);
}

static void test_finds_what_the_engine_gets(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(&rows[i]);
}

static void prepare(const char *source, const char *path, struct trouble *fault)
{
    struct desired_instance wanted = {
        .name = mem_strdup("m-a"), .source = mem_strdup(source), .local_path = mem_strdup(path)};
    struct prepare_request request = {&wanted, "/nonexistent", "w1"};
    struct prepared prepared = {0};
    trouble_fini(fault);
    assert_true(prepare_engine(&request, &prepared, fault) < 0);
    desired_instance_fini(&wanted);
    prepared_fini(&prepared);
}

static void test_faults_name_path_and_worker(void **state)
{
    struct trouble fault = {0};
    prepare("local_path", "/nonexistent/m.gguf", &fault);
    assert_int_equal(fault.reason, REASON_MODEL_PATH_MISSING);
    assert_string_equal(fault.args, "{\"path\":\"/nonexistent/m.gguf\",\"worker\":\"w1\"}");
    assert_non_null(strstr(fault.text, "/nonexistent/m.gguf"));
    assert_non_null(strstr(fault.text, "w1"));
    prepare("huggingface", NULL, &fault);
    assert_int_equal(fault.reason, REASON_SOURCE_UNSUPPORTED);
    assert_string_equal(fault.args, "{\"source\":\"huggingface\"}");
    assert_string_equal(fault.text,
                        "source huggingface is not supported by this version; use local_path");
    prepare("local_path", NULL, &fault);
    assert_int_equal(fault.reason, REASON_MODEL_PATH_MISSING);
    prepare("local_path", "/dev/null", &fault);
    assert_int_equal(fault.reason, REASON_MODEL_FILE_INVALID);
    trouble_fini(&fault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_what_the_engine_gets),
        cmocka_unit_test(test_faults_name_path_and_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
