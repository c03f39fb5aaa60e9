/* SPDX-License-Identifier: Apache-2.0 */
/* The feed's state on disk: written as the lines come, read back whole or not at all. */
#include "base/log.h"
#include "fault_disk.h"
#include "gateway/state_file.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define RESET "{\"op\":\"reset\",\"seq\":1}"
#define MODEL_2                                                                                    \
    "{\"op\":\"put\",\"seq\":1,\"kind\":\"model\",\"id\":2,\"name\":\"hello\",\"created_ms\":7}"
#define READY "{\"op\":\"ready\",\"seq\":1}"
#define MODEL_3                                                                                    \
    "{\"op\":\"put\",\"seq\":2,\"kind\":\"model\",\"id\":3,\"name\":\"more\",\"created_ms\":7}"
#define DELETE_2 "{\"op\":\"del\",\"seq\":3,\"kind\":\"model\",\"id\":2}"
#define HEAD "{\"op\":\"state\",\"identity\":\"me\"}"

enum { WAIT_MS = 20000, TICK_MS = 2 };

struct site {
    char *dir, *path;
    struct loop *loop;
    struct state_file *state;
    struct timer tick;
    unsigned stale; /* on_stale() came */
};

static void on_tick(struct timer *timer, void *ctx)
{
    loop_stop(ctx);
    timer_start(timer, TICK_MS);
}

#define WAIT_UNTIL(site, condition)                                                                \
    do {                                                                                           \
        int64_t until_ = clock_mono_ms(&clock_system) + WAIT_MS;                                   \
        while (!(condition)) {                                                                     \
            if (clock_mono_ms(&clock_system) > until_)                                             \
                fail_msg("waited too long for " #condition);                                       \
            loop_run((site)->loop);                                                                \
        }                                                                                          \
    } while (0)

static void on_stale(void *ctx)
{
    struct site *site = ctx;
    site->stale++;
}

static void site_init(struct site *site)
{
    *site = (struct site){.dir = folder_new(), .loop = loop_new(&clock_system)};
    site->path = mem_printf("%s/state.ndjson", site->dir);
    timer_init(&site->tick, site->loop, on_tick, site->loop);
    timer_start(&site->tick, TICK_MS);
    site->state = state_file_new(&(struct state_file_params){
        .loop = site->loop, .path = site->path, .on_stale = on_stale, .ctx = site});
}

static void site_fini(struct site *site)
{
    state_file_free(site->state);
    timer_stop(&site->tick);
    loop_free(site->loop);
    free(site->path);
    folder_free(site->dir);
}

static void add(struct site *site, const char *line)
{
    state_file_add(site->state, str_of(line));
}

static void add_snapshot(struct site *site)
{
    state_file_begin(site->state, "me");
    add(site, RESET);
    add(site, MODEL_2);
    add(site, READY);
    state_file_ready(site->state);
}

static int load(const char *path, struct tables *tables, struct err *err)
{
    int64_t changed_ms = -1;
    *tables = (struct tables){0};
    int rc = state_file_load(path, "me", tables, &changed_ms, err);
    assert_true(rc < 0 || changed_ms > 0);
    return rc;
}

/* How many models the file holds; -1: it isn't there or isn't whole. */
static int models(const struct site *site)
{
    struct tables tables;
    int rc = load(site->path, &tables, NULL);
    int count = rc < 0 ? -1 : (int)tables.kinds[ENTRY_MODEL].count;
    assert_true(rc == 0 || !tables.is_ready);
    tables_fini(&tables);
    return count;
}

/* ---- writing ---- */

static void test_snapshot_and_changes(void **state)
{
    struct site s;
    struct stat st;
    site_init(&s);
    state_file_begin(s.state, "me");
    add(&s, RESET);
    add(&s, MODEL_2);
    assert_int_equal(models(&s), -1);
    add(&s, READY);
    state_file_ready(s.state);
    WAIT_UNTIL(&s, models(&s) == 1);
    assert_int_equal(stat(s.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    add(&s, MODEL_3);
    WAIT_UNTIL(&s, models(&s) == 2);
    add(&s, DELETE_2);
    WAIT_UNTIL(&s, models(&s) == 1);
    auto_free char *content = content_of(s.dir, "state.ndjson");
    assert_string_equal(content,
                        HEAD "\n" RESET "\n" MODEL_2 "\n" READY "\n" MODEL_3 "\n" DELETE_2 "\n");
    site_fini(&s);
}

/* The old state stays until the new one is whole; one that breaks off leaves nothing. */
static void test_next_snapshot(void **state)
{
    struct site s;
    site_init(&s);
    add_snapshot(&s);
    add(&s, MODEL_3);
    WAIT_UNTIL(&s, models(&s) == 2);
    state_file_begin(s.state, "me");
    add(&s, RESET);
    auto_free char *fresh = mem_printf("%s.new", s.path);
    WAIT_UNTIL(&s, file_exists(fresh));
    assert_int_equal(models(&s), 2);
    add_snapshot(&s);
    WAIT_UNTIL(&s, models(&s) == 1);
    assert_false(file_exists(fresh));
    site_fini(&s);
}

static void test_ends_with_all_written(void **state)
{
    struct site s;
    site_init(&s);
    add_snapshot(&s);
    add(&s, MODEL_3);
    state_file_free(TAKE(s.state));
    timer_stop(&s.tick);
    loop_free(TAKE(s.loop));
    assert_int_equal(models(&s), 2);
    free(s.path);
    folder_free(s.dir);
}

static void test_asks_for_a_snapshot(void **state)
{
    struct site s;
    auto_free char *change =
        mem_printf("{\"op\":\"put\",\"seq\":2,\"kind\":\"later\",\"x\":\"%*s\"}",
                   STATE_FILE_CHANGES_MIN / 4, "");
    site_init(&s);
    add_snapshot(&s);
    for (int i = 0; i < 3; i++)
        add(&s, change);
    loop_run(s.loop);
    assert_int_equal(s.stale, 0);
    add(&s, change);
    WAIT_UNTIL(&s, s.stale == 1);
    add_snapshot(&s);
    struct stat st;
    WAIT_UNTIL(&s, stat(s.path, &st) == 0 && st.st_size > 0 && st.st_size < 1000);
    assert_int_equal(models(&s), 1);
    site_fini(&s);
}

static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* What can't be written leaves the file that is there; the next snapshot starts over. */
static void test_write_error(void **state)
{
    struct site s;
    site_init(&s);
    add_snapshot(&s);
    WAIT_UNTIL(&s, models(&s) == 1);
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGXFSZ, &ignore, NULL);
    set_file_limit(10);
    auto_free char *fresh = mem_printf("%s.new", s.path);
    state_file_begin(s.state, "me");
    add(&s, RESET);
    add(&s, MODEL_2);
    WAIT_UNTIL(&s, file_exists(fresh));
    add(&s, MODEL_3);
    add(&s, READY);
    state_file_ready(s.state);
    set_file_limit(RLIM_INFINITY);
    add_snapshot(&s);
    add(&s, MODEL_3);
    WAIT_UNTIL(&s, models(&s) == 2);
    site_fini(&s);
}

static void test_folder_is_gone(void **state)
{
    struct site s;
    site_init(&s);
    folder_free(mem_strdup(s.dir));
    add_snapshot(&s);
    add(&s, MODEL_3);
    loop_run(s.loop);
    assert_int_equal(mkdir(s.dir, 0700), 0);
    add_snapshot(&s);
    WAIT_UNTIL(&s, models(&s) == 1);
    site_fini(&s);
}

/* ---- reading ---- */

static void test_reads_whole_or_not(void **state)
{
    static const struct {
        const char *content;
        int code;
        const char *text;
    } rows[] = {
        {HEAD "\n" RESET "\n" READY "\n", 0, NULL},
        {HEAD "\n" RESET "\n" READY "\n{\"op\":\"put\",\"seq\":2,\"ki", 0, NULL},
        {HEAD "\n" RESET "\n" MODEL_2 "\n", ERR_SYNTAX, "isn't whole"},
        {HEAD "\n" RESET "\n" READY, ERR_SYNTAX, "isn't whole"},
        {"", ERR_SYNTAX, "isn't whole"},
        {HEAD "\n" RESET "\n" READY "\nx\n" MODEL_2 "\n", ERR_SYNTAX, "line 1"},
        {HEAD "\n" READY "\n", ERR_PROTOCOL, "reset"},
        {RESET "\n" READY "\n", ERR_INVALID, "another server"},
        {"{\"op\":\"state\",\"identity\":\"you\"}\n" RESET "\n" READY "\n", ERR_INVALID,
         "another server"},
    };
    char *dir = folder_new();
    auto_free char *path = mem_printf("%s/state", dir);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tables tables;
        struct err err = {0};
        assert_int_equal(file_write(path, str_of(rows[i].content), 0600, NULL), 0);
        int rc = load(path, &tables, &err);
        if (rc != rows[i].code || (rc < 0 && !strstr(err.text, rows[i].text)))
            fail_msg("row %zu: %d %s", i, rc, err.text);
        assert_int_equal(tables.is_ready, rc == 0);
        tables_fini(&tables);
    }
    assert_int_equal(unlink(path), 0);
    struct tables tables;
    assert_int_equal(load(path, &tables, NULL), -ENOENT);
    folder_free(dir);
}

static void test_identity(void **state)
{
    struct http_target socket = {.host = "localhost", .unix_path = "/run/control.sock"};
    struct http_target url = {.host = "server", .port = 80}, tls = url;
    char digests[4][AUTH_DIGEST_HEX], again[AUTH_DIGEST_HEX];
    tls.tls = true;
    state_file_identity(&socket, "token", digests[0]);
    state_file_identity(&url, "token", digests[1]);
    state_file_identity(&tls, "token", digests[2]);
    state_file_identity(&url, "other", digests[3]);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(digests[i], digests[j]);
    state_file_identity(&url, "token", again);
    assert_string_equal(again, digests[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot_and_changes),  cmocka_unit_test(test_next_snapshot),
        cmocka_unit_test(test_ends_with_all_written), cmocka_unit_test(test_asks_for_a_snapshot),
        cmocka_unit_test(test_write_error),           cmocka_unit_test(test_folder_is_gone),
        cmocka_unit_test(test_reads_whole_or_not),    cmocka_unit_test(test_identity),
    };
    auth_init();
    log_set_level(getenv("DEBUG") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
