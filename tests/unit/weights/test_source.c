/* SPDX-License-Identifier: Apache-2.0 */
/* Sources of files on this machine, and the choice of a model among the files of a source. */
#include "weights/weights.h"

#include "../../lib/weights/gguf_writer.h"
#include "../../lib/weights/memory_source.h"
#include "round_trip.h"

#include "base/file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ---- files of this machine ---- */

static char folder[64];

static char *path_of(const char *name)
{
    return mem_printf("%s/%s", folder, name);
}

static void put_file(const char *name, const char *content)
{
    auto_free char *path = path_of(name);
    assert_int_equal(file_write(path, str_of(content), 0600, NULL), 0);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_source.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"sub/deep/c.json", "sub/b.bin", "sub/deep", "sub", "a.json",
                                        "link", "nowhere", "up", ".hidden", "m-00001-of-00002.gguf",
                                        "m-00002-of-00002.gguf", ""};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        auto_free char *path = path_of(names[i]);
        (void)remove(path);
    }
    return 0;
}

static void make_folder(const char *name)
{
    auto_free char *path = path_of(name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void make_link(const char *name, const char *target)
{
    auto_free char *path = path_of(name);
    assert_int_equal(symlink(target, path), 0);
}

static void assert_names(const struct source *source, const char *expected)
{
    auto_fini(buf_fini) struct buf names = {0};
    for (size_t i = 0; i < source->file_count; i++)
        buf_printf(&names, "%s %llu\n", source->files[i].name,
                   (unsigned long long)source->files[i].bytes);
    assert_string_equal(names.ptr, expected);
}

static void test_a_folder_has_all_files_below_it(void **state)
{
    (void)state;
    make_folder("sub");
    make_folder("sub/deep");
    put_file("sub/deep/c.json", "{}");
    put_file("sub/b.bin", "12345");
    put_file("a.json", "1");
    put_file(".hidden", "x");
    make_link("link", "sub/b.bin"); /* a file: as in a Hugging Face cache */
    make_link("nowhere", "missing");
    make_link("up", ".."); /* a folder: not followed */
    struct source *source = NULL;
    assert_int_equal(source_open_path(folder, &source, NULL), 0);
    assert_names(source, "a.json 1\nlink 5\nsub/b.bin 5\nsub/deep/c.json 2\n");
    auto_fini(buf_fini) struct buf out = {0};
    const struct source_file *file = source_find(source, "sub/b.bin");
    assert_int_equal(source_read(source, file, 1, 3, &out, NULL), 0);
    assert_int_equal(source_read(source, file, 4, 100, &out, NULL), 0);
    assert_string_equal(out.ptr, "2345");
    assert_int_equal(source_read_small(source, source_find(source, "link"), &out, NULL), 0);
    assert_string_equal(out.ptr, "234512345");
    assert_int_equal(source->read_bytes, 9);
    assert_int_equal(source->read_count, 3);
    assert_null(source_find(source, "up"));
    source_free(source);
}

static void test_a_part_brings_its_siblings(void **state)
{
    (void)state;
    put_file("m-00001-of-00002.gguf", "one");
    put_file("m-00002-of-00002.gguf", "three");
    auto_free char *path = path_of("m-00002-of-00002.gguf");
    struct source *source = NULL;
    assert_int_equal(source_open_path(path, &source, NULL), 0);
    assert_names(source, "m-00001-of-00002.gguf 3\nm-00002-of-00002.gguf 5\n");
    source_free(source);
    auto_free char *first = path_of("m-00001-of-00002.gguf");
    assert_int_equal(remove(first), 0);
    struct err err = {0};
    assert_int_equal(source_open_path(path, &source, &err), -ENOENT);
    assert_non_null(strstr(err.text, "m-00001-of-00002.gguf"));
}

static void test_errors_name_the_path(void **state)
{
    (void)state;
    struct source *source = NULL;
    struct err err = {0};
    assert_int_equal(source_open_path("/nonexistent/x.gguf", &source, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/x.gguf"));
    assert_int_equal(source_open_path("/dev/null", &source, &err), ERR_INVALID);
    assert_string_equal(err.text, "/dev/null is neither a file nor a folder");
    source_free(NULL);
}

static void test_small_files_have_a_limit(void **state)
{
    (void)state;
    struct memory_source memory;
    struct err err = {0};
    auto_fini(buf_fini) struct buf out = {0};
    memory_source_init(&memory);
    memory_source_add(&memory, "config.json", STR("{}"));
    memory.files[0].bytes = SOURCE_SMALL_MAX + 1;
    assert_int_equal(source_read_small(&memory.base, memory.files, &out, &err), ERR_TOO_LARGE);
    memory.files[0].bytes = 3;
    assert_int_equal(source_read_small(&memory.base, memory.files, &out, &err), ERR_SYNTAX);
    memory_source_fini(&memory);
}

/* ---- which file ---- */

static struct buf make_gguf(const char *architecture)
{
    struct gguf_writer w = gguf_writer_begin(architecture);
    char key[64];
    snprintf(key, sizeof key, "%s.block_count", architecture);
    if (strcmp(architecture, "clip") != 0)
        gguf_u32(&w, key, 1);
    else
        gguf_value(&w, "clip.has_vision_encoder", GGUF_BOOL, 1);
    gguf_tensor(&w, "t", 0, 8, 1);
    return gguf_writer_end(&w);
}

/* Reads a source with files of these names; those with mmproj in it are projectors. */
static int choose(const char *const *names, const char *wanted, struct model_shape *ret,
                  struct err *err)
{
    auto_fini(buf_fini) struct buf model = make_gguf("llama");
    auto_fini(buf_fini) struct buf projector = make_gguf("clip");
    struct memory_source memory;
    memory_source_init(&memory);
    for (; *names; names++)
        memory_source_add(&memory, *names,
                          !strstr(*names, "gguf") && !strstr(*names, "sha") ? STR("{}")
                          : strstr(*names, "mmproj")                        ? buf_str(&projector)
                                                                            : buf_str(&model));
    const int rc = weights_read(&memory.base, wanted, ret, err);
    if (rc == 0)
        check_round_trip(ret);
    memory_source_fini(&memory);
    return rc;
}

static void test_the_model_of_a_source(void **state)
{
    (void)state;
    static const struct {
        const char *names[5], *wanted;
        int rc;
        const char *text; /* of the error, or of the architecture */
    } cases[] = {
        {{"README.md", "a.gguf"}, "", 0, "llama"},
        {{"sha256-1234"}, "", 0, "llama"},
        {{"mmproj.gguf"}, "", 0, "clip"},
        {{"a.gguf", "b.gguf"}, "", ERR_INVALID, "2 models, name one of them: a.gguf, b.gguf"},
        {{"a.gguf", "b.gguf"}, "b.gguf", 0, "llama"},
        {{"x-Q4_K_M.gguf", "x-Q8_0.gguf"}, "*Q4_K_M*", 0, "llama"},
        {{"sub/x-Q4_K_M.gguf", "x-Q8_0.gguf"}, "*Q4_K_M*.gguf", 0, "llama"},
        {{"x-Q4_K_M.gguf", "x-Q4_K_S.gguf"}, "*Q4_K*", ERR_INVALID, "x-Q4_K_M.gguf, x-Q4_K_S"},
        {{"mmproj-F16.gguf", "x-F16.gguf"}, "*F16*", 0, "llama"},
        {{"mmproj-F16.gguf", "x-F16.gguf"}, "mmproj*", 0, "clip"},
        {{"x-F16.gguf", "x.mmproj-F16.gguf"}, "", 0, "llama"},
        {{"imatrix_x.gguf", "mtp-x-Q8_0.gguf", "x-Q8_0.gguf", "x-imatrix.gguf"}, "", 0, "llama"},
        {{"mtp-x-Q8_0.gguf", "x-Q8_0.gguf"}, "*Q8_0*", 0, "llama"},
        {{"mtp-x-Q8_0.gguf", "mtp-y.gguf", "x-Q8_0.gguf"}, "mtp*", ERR_INVALID, "2 models"},
        {{"mtp-x.gguf"}, "", 0, "llama"},
        {{"a.gguf"}, "*Q4*", ERR_NOT_FOUND, "no .gguf file matches \"*Q4*\""},
        {{NULL}, "", ERR_NOT_FOUND, "there are no files"},
        {{"README.md", "config.json"}, "", ERR_NOT_FOUND, "config.json states no layers"},
        {{"README.md"}, "", ERR_NOT_FOUND, "no model among 1 files"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        struct err err = {0};
        const int rc = choose(cases[i].names, cases[i].wanted, &shape, &err);
        if (rc != cases[i].rc || !strstr(rc < 0 ? err.text : shape.architecture, cases[i].text))
            fail_msg("%zu: %d %s %s", i, rc, err.text, shape.architecture);
    }
}

static void test_a_projector_belongs_to_the_model_beside_it(void **state)
{
    (void)state;
    static const char *const names[] = {"a.gguf", "mmproj-BF16.gguf", "mmproj-F16.gguf",
                                        "mmproj-F32.gguf", NULL};
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct err err = {0};
    assert_int_equal(choose(names, "", &shape, &err), 0);
    assert_string_equal(shape.architecture, "llama");
    assert_true(shape.has_vision);
    assert_int_equal(shape.part_count, 1);
    assert_string_equal(shape.parts[0].name, "projector");
    assert_int_equal(shape.parts[0].bytes, 32);
    assert_int_equal(shape.other_bytes, 64);
    assert_int_equal(shape.tensor_bytes, 64);
}

static void test_a_projector_is_read_apart(void **state)
{
    (void)state;
    auto_fini(buf_fini) struct buf model = make_gguf("llama"), beside = make_gguf("clip");
    auto_fini(model_shape_fini) struct model_shape shape = {0}, projector = {0};
    struct memory_source memory;
    struct err err = {0};
    memory_source_init(&memory);
    memory_source_add(&memory, "a.gguf", buf_str(&model));
    memory_source_add(&memory, "mmproj.gguf", buf_str(&beside));
    assert_int_equal(weights_read_apart(&memory.base, "", &shape, &projector, &err), 0);
    assert_int_equal(shape.tensor_bytes, 32);
    assert_int_equal(shape.part_count, 0);
    assert_false(shape.has_vision);
    assert_int_equal(projector.kind, KIND_PROJECTOR);
    assert_int_equal(projector.tensor_bytes, 32);
    memory_source_fini(&memory);
}

static void test_the_identity_tells_contents_apart(void **state)
{
    (void)state;
    struct memory_source memory;
    memory_source_init(&memory);
    memory_source_add(&memory, "a.gguf", STR("1234"));
    memory_source_add(&memory, "b.gguf", STR("12"));
    auto_free char *before = source_identity(&memory.base);
    assert_true(str_has_prefix(str_of(before), STR("6-0-")));
    memory.base.files[1].modified_ns = 17;
    auto_free char *touched = source_identity(&memory.base);
    assert_true(str_has_prefix(str_of(touched), STR("6-17-")));
    memory.base.files[1].modified_ns = 0;
    memory.base.files[0].bytes = 2;
    memory.base.files[1].bytes = 4;
    auto_free char *swapped = source_identity(&memory.base);
    assert_true(str_has_prefix(str_of(swapped), STR("6-0-")));
    assert_string_not_equal(swapped, before);
    memory_source_fini(&memory);
}

/* Of the same folder, or of one above: parts often have a folder of their own. */
static void test_projectors_of_other_folders_are_others(void **state)
{
    (void)state;
    static const struct {
        const char *names[4];
        unsigned parts;
    } cases[] = {
        {{"a/m.gguf", "b/mmproj.gguf"}, 0},
        {{"m.gguf", "b/mmproj.gguf"}, 0},
        {{"aa/m.gguf", "a/mmproj.gguf"}, 0},
        {{"a/m.gguf", "a/mmproj.gguf"}, 1},
        {{"a/m.gguf", "mmproj.gguf"}, 1},
        {{"m.gguf", "m.mmproj-F16.gguf"}, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        struct err err = {0};
        if (choose(cases[i].names, "", &shape, &err) < 0 || shape.part_count != cases[i].parts)
            fail_msg("%zu: %u parts %s", i, shape.part_count, err.text);
    }
}

static void test_names_of_enums(void **state)
{
    (void)state;
    for (int i = 0; i < FORMAT_COUNT; i++)
        assert_non_null(model_format_name((enum model_format)i));
    for (int i = 0; i < MODEL_KIND_COUNT; i++)
        assert_non_null(model_kind_name((enum model_kind)i));
    for (int i = 0; i < LAYER_CACHE_COUNT; i++)
        assert_non_null(layer_cache_name((enum layer_cache)i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_folder_has_all_files_below_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_part_brings_its_siblings, set_up, tear_down),
        cmocka_unit_test(test_errors_name_the_path),
        cmocka_unit_test(test_small_files_have_a_limit),
        cmocka_unit_test(test_the_model_of_a_source),
        cmocka_unit_test(test_a_projector_belongs_to_the_model_beside_it),
        cmocka_unit_test(test_a_projector_is_read_apart),
        cmocka_unit_test(test_the_identity_tells_contents_apart),
        cmocka_unit_test(test_projectors_of_other_folders_are_others),
        cmocka_unit_test(test_names_of_enums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
