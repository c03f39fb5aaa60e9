/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a repository are fetched. */
#include "hub/selection.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct row {
    const char *files;   /* names with blanks between, each of 1 byte */
    const char *pattern; /* NULL: none */
    const char *chosen;  /* as `files`; NULL: an error */
    const char *entry;   /* NULL: the folder */
    const char *error;   /* part of its text */
};

static const struct row rows[] = {
    {"a.gguf README.md", NULL, "a.gguf", "a.gguf", NULL},
    {"a-Q4_K_M.gguf a-Q8_0.gguf", "*Q8_0*", "a-Q8_0.gguf", "a-Q8_0.gguf", NULL},
    {"a-Q4_K_M.gguf a-Q4_K_S.gguf", "*Q4_K*", "a-Q4_K_M.gguf", "a-Q4_K_M.gguf", NULL},
    {"a-Q4_K_M.gguf a-Q8_0.gguf", NULL, NULL, NULL, "2 GGUF models, name one: a-Q4_K_M.gguf, a-Q8"},
    {"q/a-00001-of-00002.gguf q/a-00002-of-00002.gguf b.gguf", "*00001*",
     "q/a-00001-of-00002.gguf q/a-00002-of-00002.gguf", "q/a-00001-of-00002.gguf", NULL},
    {"a-00001-of-00002.gguf a-00002-of-00002.gguf", NULL,
     "a-00001-of-00002.gguf a-00002-of-00002.gguf", "a-00001-of-00002.gguf", NULL},
    {"a-00001-of-00003.gguf a-00003-of-00003.gguf", NULL, NULL, NULL, "only 2 are in"},
    {"a.gguf mmproj-Q8_0.gguf mmproj-f16.gguf", NULL, "a.gguf mmproj-f16.gguf", "a.gguf", NULL},
    {"q/a.gguf mmproj-f16.gguf", "*a.gguf", "q/a.gguf", "q/a.gguf", NULL},
    {"config.json model.safetensors original/x.pth pytorch_model.bin", NULL,
     "config.json model.safetensors", NULL, NULL},
    {"config.json pytorch_model.bin", NULL, "config.json pytorch_model.bin", NULL, NULL},
    {"config.json model.safetensors", "*.json", "config.json", NULL, NULL},
    {"a b c d e f g", "*Q9*", NULL, NULL, "matches \"*Q9*\"; there are a, b, c, d, e and 2 more"},
    {"", NULL, NULL, NULL, "has no files"},
};

static void fill(struct listing *listing, const char *names)
{
    struct str rest = str_of(names), name;
    while (str_split(&rest, ' ', &name)) {
        auto_free char *text = str_dup(name);
        const struct listed_text file = {.name = text, .bytes = 1};
        assert_int_equal(listing_add(listing, &file, NULL), 0);
    }
    listing_sort(listing);
}

static char *chosen_names(const struct listing *listing, const struct selection *selection)
{
    struct buf text = {0};
    for (size_t i = 0; i < listing->count; i++)
        if (selection->chosen[i])
            buf_printf(&text, "%s%s", text.len ? " " : "", listing->files[i].name);
    return text.len ? buf_take(&text) : mem_strdup("");
}

static void test_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        auto_fini(listing_fini) struct listing listing = {0};
        auto_fini(selection_fini) struct selection selection = {0};
        struct err err = {0};
        fill(&listing, row->files);
        const int rc = selection_make(&listing, row->pattern, &selection, &err);
        if (!row->chosen) {
            assert_true(rc < 0);
            if (!strstr(err.text, row->error))
                fail_msg("\"%s\" is not in \"%s\"", row->error, err.text);
            continue;
        }
        assert_int_equal(rc, 0);
        auto_free char *names = chosen_names(&listing, &selection);
        assert_string_equal(names, row->chosen);
        assert_int_equal(selection.bytes, selection.count);
        assert_string_equal(selection.entry ? selection.entry : "-", row->entry ? row->entry : "-");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
