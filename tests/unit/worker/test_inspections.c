/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker finds at the paths that control asks for, also where nothing answers. */
#include "../../lib/weights/gguf_writer.h"
#include "base/file.h"
#include "base/log.h"
#include "folder.h"
#include "worker/inspections.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ---- one path ---- */

static void write_gguf(const char *path, const char *architecture, uint64_t columns)
{
    struct gguf_writer w = gguf_writer_begin(architecture);
    char key[64];
    snprintf(key, sizeof key, "%s.block_count", architecture);
    if (strcmp(architecture, "clip") != 0)
        gguf_u32(&w, key, 1);
    else
        gguf_value(&w, "clip.has_vision_encoder", GGUF_BOOL, 1);
    gguf_tensor(&w, "blk.0.x", 0, columns, 1);
    struct buf file = gguf_writer_end(&w);
    assert_int_equal(file_write(path, buf_str(&file), 0644, NULL), 0);
    buf_fini(&file);
}

static void look(const char *folder, const char *name, bool wants_shape, const char *known,
                 struct inspection *ret)
{
    auto_free char *path = mem_printf("%s/%s", folder, name);
    const struct inspection_request request = {
        .path = path, .wants_shape = wants_shape, .known_identity = known};
    *ret = (struct inspection){0};
    inspect_path(&request, ret);
}

static void test_a_model(void **state)
{
    auto_free char *path = mem_printf("%s/m.gguf", (char *)*state);
    auto_fini(inspection_fini) struct inspection seen, read, again;
    write_gguf(path, "llama", 8);
    look(*state, "m.gguf", false, NULL, &seen);
    assert_int_equal(seen.state, INSPECTION_PRESENT);
    assert_null(seen.shape);
    assert_null(seen.message);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(seen.bytes, st.st_size);
    look(*state, "m.gguf", true, NULL, &read);
    assert_string_equal(read.identity, seen.identity);
    assert_non_null(strstr(read.shape, "\"architecture\":\"llama\""));
    assert_null(read.projector);
    look(*state, "m.gguf", true, read.identity, &again);
    assert_false(again.was_read);
    assert_null(again.shape);
}

static void test_a_folder_with_a_projector(void **state)
{
    auto_free char *model = mem_printf("%s/m.gguf", (char *)*state);
    auto_free char *projector = mem_printf("%s/mmproj.gguf", (char *)*state);
    auto_fini(inspection_fini) struct inspection read;
    write_gguf(model, "llama", 8);
    write_gguf(projector, "clip", 8);
    look(*state, "", true, NULL, &read);
    assert_int_equal(read.state, INSPECTION_PRESENT);
    assert_non_null(strstr(read.shape, "\"tensor_bytes\":32"));
    assert_non_null(strstr(read.projector, "\"kind\":\"projector\""));
}

static void test_what_is_no_model(void **state)
{
    const char *folder = *state;
    folder_write(folder, "text", "hello", 0);
    auto_free char *fifo = mem_printf("%s/fifo", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    static const struct {
        const char *name;
        enum inspection_state state;
        bool has_identity;
        const char *message;
    } cases[] = {
        {"none", INSPECTION_MISSING, false, "No such file"},
        {"text/below", INSPECTION_MISSING, false, "Not a directory"},
        {"text", INSPECTION_UNREADABLE, true, ""},
        {"fifo", INSPECTION_UNREADABLE, false, "neither a file nor a folder"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(inspection_fini) struct inspection found;
        look(folder, cases[i].name, true, NULL, &found);
        if (found.state != cases[i].state || (*found.identity != '\0') != cases[i].has_identity ||
            !strstr(found.message, cases[i].message))
            fail_msg("%s: %s \"%s\" %s", cases[i].name, inspection_state_name(found.state),
                     found.identity, found.message);
    }
}

/* ---- many ---- */

static struct loop *loop;
static unsigned changes;

static void on_change(void *ctx)
{
    changes++;
    loop_stop(loop);
}

static int set_up(void **state)
{
    loop = loop_new(&clock_system);
    changes = 0;
    *state = folder_new();
    return 0;
}

static int tear_down(void **state)
{
    loop_free(loop);
    folder_free(*state);
    return 0;
}

typedef void inspect_fn(const struct inspection_request *request, struct inspection *ret);

static struct inspections *begin(int64_t stuck_ms, inspect_fn *inspect)
{
    const struct inspections_params params = {
        .loop = loop, .on_change = on_change, .stuck_ms = stuck_ms, .inspect = inspect};
    return inspections_new(&params);
}

/* Asks for paths, NULL-ended; of those that begin with "+" the shape too. */
static void want(struct inspections *inspections, const char *const *paths)
{
    struct desired_inspection wanted[8] = {0};
    size_t count = 0;
    for (; paths[count]; count++) {
        const bool shape = paths[count][0] == '+';
        wanted[count] =
            (struct desired_inspection){.path = mem_strdup(paths[count] + shape), .shape = shape};
    }
    inspections_want(inspections, wanted, count);
    for (size_t i = 0; i < count; i++)
        free(wanted[i].path);
}

static char *report(const struct inspections *inspections)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    inspections_write_report(inspections, &w);
    return buf_take(&text);
}

/* Runs until the report says that. */
static void wait_for(const struct inspections *inspections, const char *what)
{
    for (;;) {
        auto_free char *text = report(inspections);
        if (strstr(text, what))
            return;
        loop_run(loop);
    }
}

static void test_what_is_asked_for_is_told(void **state)
{
    auto_free char *path = mem_printf("%s/m.gguf", (char *)*state);
    auto_free char *more = mem_printf("+%s", path);
    write_gguf(path, "llama", 8);
    struct inspections *inspections = begin(0, NULL);
    auto_free char *nothing = report(inspections);
    assert_string_equal(nothing, "[]");
    want(inspections, (const char *const[]){path, "/nonexistent/m.gguf", NULL});
    wait_for(inspections, "\"state\":\"missing\"");
    auto_free char *seen = report(inspections);
    assert_non_null(strstr(seen, "\"state\":\"present\""));
    assert_null(strstr(seen, "\"shape\""));
    assert_int_equal(changes, 2);
    want(inspections, (const char *const[]){more, NULL});
    wait_for(inspections, "\"shape\":{\"version\":1");
    assert_int_equal(changes, 3);
    want(inspections, (const char *const[]){path, NULL}); /* control has it */
    auto_free char *dropped = report(inspections);
    assert_null(strstr(dropped, "\"shape\""));
    assert_non_null(strstr(dropped, "\"state\":\"present\""));
    assert_null(strstr(dropped, "nonexistent"));
    want(inspections, (const char *const[]){more, NULL}); /* and has lost it */
    wait_for(inspections, "\"shape\":{\"version\":1");
    inspections_free(inspections);
}

/* ---- what doesn't answer ---- */

static sem_t answers; /* looks at "/stuck..." wait for one each */
static sem_t ended;

static void inspect_slowly(const struct inspection_request *request, struct inspection *ret)
{
    if (!strstr(request->path, "stuck")) {
        inspect_path(request, ret);
        return;
    }
    while (sem_wait(&answers) < 0)
        continue;
    inspect_path(request, ret);
    sem_post(&ended);
}

static void test_a_path_that_does_not_answer_holds_up_nobody(void **state)
{
    sem_init(&answers, 0, 0);
    sem_init(&ended, 0, 0);
    struct inspections *inspections = begin(20, inspect_slowly);
    want(inspections, (const char *const[]){"/stuck/a", "/nonexistent", NULL});
    wait_for(inspections, "\"path\":\"/stuck/a\",\"state\":\"unreadable\","
                          "\"message\":\"takes longer than 0 s\"");
    wait_for(inspections, "\"path\":\"/nonexistent\",\"state\":\"missing\"");
    sem_post(&answers); /* it comes back after all */
    wait_for(inspections, "\"path\":\"/stuck/a\",\"state\":\"missing\"");
    inspections_free(inspections);
}

/* A worker that was told that nobody needs the shape still knows that there is none. */
static void test_what_was_no_model_stays_none(void **state)
{
    sem_init(&answers, 0, 3);
    sem_init(&ended, 0, 0);
    folder_write(*state, "stuck", "hello", 0);
    auto_free char *path = mem_printf("+%s/stuck", (char *)*state);
    const struct inspections_params params = {.loop = loop,
                                              .on_change = on_change,
                                              .stuck_ms = 1000,
                                              .again_ms = 1,
                                              .inspect = inspect_slowly};
    struct inspections *inspections = inspections_new(&params);
    want(inspections, (const char *const[]){path, NULL});
    wait_for(inspections, "there is no model");
    want(inspections, (const char *const[]){path + 1, NULL});
    wait_for(inspections, "takes longer"); /* the fourth time */
    assert_int_equal(changes, 2);          /* the second and third told nothing new */
    inspections_free(inspections);
    sem_post(&answers);
    for (int i = 0; i < 4; i++)
        while (sem_wait(&ended) < 0)
            continue;
}

static void test_only_so_many_may_be_stuck(void **state)
{
    sem_init(&answers, 0, 0);
    sem_init(&ended, 0, 0);
    struct inspections *inspections = begin(10, inspect_slowly);
    want(inspections, (const char *const[]){"/stuck/a", "/stuck/b", "/stuck/c", "/stuck/d",
                                            "/nonexistent", NULL});
    wait_for(inspections, "\"path\":\"/nonexistent\",\"state\":\"unreadable\","
                          "\"message\":\"4 other paths don't answer");
    want(inspections, (const char *const[]){"/nonexistent", NULL}); /* nobody wants them any more */
    sem_post(&answers);
    wait_for(inspections, "\"path\":\"/nonexistent\",\"state\":\"missing\"");
    inspections_free(inspections); /* three are under way, and are left alone */
    for (int i = 0; i < 3; i++)
        sem_post(&answers);
    for (int i = 0; i < 4; i++)
        while (sem_wait(&ended) < 0)
            continue;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(test_a_model),
        TEST(test_a_folder_with_a_projector),
        TEST(test_what_is_no_model),
        TEST(test_what_is_asked_for_is_told),
        TEST(test_what_was_no_model_stays_none),
        TEST(test_a_path_that_does_not_answer_holds_up_nobody),
        TEST(test_only_so_many_may_be_stuck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
