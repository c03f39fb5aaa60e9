/* SPDX-License-Identifier: Apache-2.0 */
/* From the journal to a scripted control: in order, again after failures, past what it refuses. */
#include "auth/auth.h"
#include "base/log.h"
#include "fault_disk.h"
#include "gateway/usage_send.h"
#include "http/server.h"

enum { WAIT_MS = 20000, TICK_MS = 2, SEEN_MAX = 5000, NONE = -1 };

struct site {
    char *dir, *socket;
    struct loop *loop;
    struct http_pool *pool;
    struct http_server *control;
    struct feed *feed;
    struct journal *journal;
    struct journal_outbox *outbox;
    struct usage_send *send;
    struct timer tick;
    uint64_t told;   /* by on_applied() */
    bool is_drained; /* on_done() came */

    /* control's */
    unsigned status;   /* 0: the usual answer; 1: none at all */
    int64_t bad;       /* number of the record that it refuses */
    bool says_which;   /* it names that one */
    const char *reply; /* instead of the usual body of a 200 */
    uint64_t highest;
    uint64_t seen[SEEN_MAX];
    size_t seen_count;
    unsigned posts;
    struct buf body;
    struct http_exchange *held;
};

/* ---- control ---- */

static void answer(struct http_exchange *ex, unsigned status, const char *body)
{
    http_reply(ex, status, &(struct http_header){STR("Content-Type"), STR("application/json")}, 1,
               str_of(body));
}

static void take_records(struct site *site, const json_t *records)
{
    for (size_t i = 0; i < json_array_size(records); i++) {
        uint64_t seq = (uint64_t)json_member_int(json_array_get(records, i), "seq", 0);
        if (seq <= site->highest)
            continue;
        assert_true(site->seen_count < SEEN_MAX);
        site->seen[site->seen_count++] = site->highest = seq;
    }
}

/* Its place in the batch, or -1. */
static int find_bad(const struct site *site, const json_t *records)
{
    for (size_t i = 0; i < json_array_size(records); i++)
        if (json_member_int(json_array_get(records, i), "seq", 0) == site->bad)
            return (int)i;
    return -1;
}

static void answer_records(struct site *site, struct http_exchange *ex, const json_t *root)
{
    const json_t *records = json_object_get(root, "records");
    assert_string_equal(json_member_string(root, "gateway"), journal_uuid(site->journal));
    assert_true(json_array_size(records) > 0 && json_array_size(records) <= JOURNAL_BATCH_MAX);
    int bad = find_bad(site, records);
    if (bad >= 0) {
        auto_free char *text = site->says_which
                                   ? mem_printf("{\"message\":\"records[%d].model is bad\"}", bad)
                                   : mem_strdup("{\"code\":400}");
        answer(ex, 400, text);
        return;
    }
    take_records(site, records);
    auto_free char *text = mem_printf("{\"applied\":%llu}", (unsigned long long)site->highest);
    answer(ex, 200, site->reply ? site->reply : text);
}

static void on_end(struct http_exchange *ex, void *ctx)
{
    struct site *site = ctx;
    const struct http_request_head *head = http_exchange_head(ex);
    assert_true(str_eq(http_headers_get(&head->headers, "Authorization"), STR("Bearer cluster")));
    if (str_eq(head->path, STR("/v2/gateway-feed"))) {
        http_reply_start(ex, 200, NULL, 0, -1);
        return;
    }
    assert_true(str_eq(head->path, STR("/v2/usage-records")));
    assert_int_equal(head->method, HTTP_POST);
    site->posts++;
    json_t *root = NULL;
    if (site->status == 1)
        site->held = ex;
    else if (site->status)
        answer(ex, site->status, "{}");
    else if (json_read(buf_str(&site->body), &root, NULL) == 0)
        answer_records(site, ex, root);
    else
        fail_msg("not JSON: %s", site->body.ptr);
    json_decref(root);
}

static void on_body(struct http_exchange *ex, struct str data, void *ctx)
{
    struct site *site = ctx;
    buf_add_str(&site->body, data);
}

static void on_close(struct http_exchange *ex, bool gone, void *ctx)
{
    struct site *site = ctx;
    if (site->held == ex)
        site->held = NULL;
}

static void on_request(struct http_exchange *ex, void *ctx)
{
    static const struct http_exchange_ops ops = {
        .on_body = on_body, .on_end = on_end, .on_close = on_close};
    struct site *site = ctx;
    buf_clear(&site->body);
    http_exchange_set_ops(ex, &ops, site);
}

static void control_up(struct site *site)
{
    site->control = http_server_new(site->loop, on_request, site);
    assert_int_equal(http_server_listen_unix(site->control, site->socket, NULL), 0);
}

/* ---- the site ---- */

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

static void ignore_snapshot(struct feed *feed, struct snapshot *snapshot, void *ctx)
{
}

static void ignore_connected(struct feed *feed, bool is_connected, void *ctx)
{
}

static void on_applied(uint64_t seq, void *ctx)
{
    struct site *site = ctx;
    site->told = seq;
}

static void on_drained(void *ctx)
{
    struct site *site = ctx;
    assert_false(site->is_drained);
    site->is_drained = true;
}

static struct http_target target_of(const struct site *site)
{
    struct http_target target = {.host = "control"};
    snprintf(target.unix_path, sizeof target.unix_path, "%s", site->socket);
    return target;
}

static void start(struct site *site)
{
    const struct journal_params params = {.loop = site->loop, .data_dir = site->dir};
    struct err err = {0};
    if (journal_open(&params, &site->journal, &err) < 0 || journal_start(site->journal, &err) < 0)
        fail_msg("%s", err.text);
    site->outbox = journal_outbox_new(site->journal, site->loop);
    site->send = usage_send_new(&(struct usage_send_params){.loop = site->loop,
                                                            .pool = site->pool,
                                                            .feed = site->feed,
                                                            .journal = site->journal,
                                                            .control = target_of(site),
                                                            .on_applied = on_applied,
                                                            .ctx = site});
}

static void stop(struct site *site)
{
    usage_send_free(TAKE(site->send));
    journal_outbox_free(TAKE(site->outbox));
    journal_free(TAKE(site->journal));
}

static void site_init(struct site *site)
{
    *site = (struct site){.dir = folder_new(), .loop = loop_new(&clock_system), .bad = NONE};
    site->socket = mem_printf("%s/control.sock", site->dir);
    site->pool = http_pool_new(site->loop);
    timer_init(&site->tick, site->loop, on_tick, site->loop);
    timer_start(&site->tick, TICK_MS);
    control_up(site);
    site->feed = feed_new(&(struct feed_params){.loop = site->loop,
                                                .pool = site->pool,
                                                .control = target_of(site),
                                                .token = "cluster",
                                                .on_snapshot = ignore_snapshot,
                                                .on_connected = ignore_connected});
    start(site);
}

static void site_fini(struct site *site)
{
    stop(site);
    feed_free(site->feed);
    http_pool_free(site->pool);
    http_server_free(site->control);
    timer_stop(&site->tick);
    loop_free(site->loop);
    buf_fini(&site->body);
    free(site->socket);
    folder_free(site->dir);
}

static void add(struct site *site, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        journal_add(site->outbox, &(struct usage_record){.model = "hello", .started_ms = 77});
}

/* Does what a second would bring. */
static void add_now(struct site *site, unsigned count)
{
    add(site, count);
    journal_outbox_flush(site->outbox);
    journal_flush(site->journal);
}

static uint64_t unsent(struct site *site)
{
    struct journal_stats stats;
    journal_measure(site->journal, &stats);
    return stats.unsent;
}

/* Control has seen 1 to `last`, but for `missing`, each once and in order. */
static void expect_seen(const struct site *site, uint64_t last, int64_t missing)
{
    size_t i = 0;
    for (uint64_t seq = 1; seq <= last; seq++)
        if ((int64_t)seq != missing)
            assert_int_equal(site->seen[i++], seq);
    assert_int_equal(site->seen_count, i);
}

/* ---- tests ---- */

static void test_sends_by_itself(void **state)
{
    struct site s;
    site_init(&s);
    add(&s, 3);
    WAIT_UNTIL(&s, s.told == 3);
    expect_seen(&s, 3, NONE);
    WAIT_UNTIL(&s, unsent(&s) == 0);
    WAIT_UNTIL(&s, usage_send_oldest_ms(s.send) == 0);
    add_now(&s, 2500);
    WAIT_UNTIL(&s, s.told == 2503);
    expect_seen(&s, 2503, NONE);
    assert_true(s.posts >= 4);
    site_fini(&s);
}

static void test_keeps_while_control_fails(void **state)
{
    struct site s;
    site_init(&s);
    s.status = 503;
    add_now(&s, 5);
    WAIT_UNTIL(&s, s.posts >= 2);
    assert_int_equal(unsent(&s), 5);
    assert_int_equal(usage_send_oldest_ms(s.send), 77);
    http_server_free(TAKE(s.control));
    add_now(&s, 5);
    control_up(&s);
    s.status = 0;
    WAIT_UNTIL(&s, s.told == 10);
    expect_seen(&s, 10, NONE);
    site_fini(&s);
}

/* An answer that never came: the records are sent again, and after a restart once more. */
static void test_sends_again(void **state)
{
    struct site s;
    site_init(&s);
    s.status = 1;
    add_now(&s, 4);
    WAIT_UNTIL(&s, s.held);
    stop(&s);
    s.status = 0;
    s.highest = s.seen_count = 2; /* it had taken half of them */
    s.seen[0] = 1;
    s.seen[1] = 2;
    start(&s);
    WAIT_UNTIL(&s, s.told == 4);
    expect_seen(&s, 4, NONE);
    stop(&s);
    unsigned posts = s.posts;
    start(&s);
    add_now(&s, 1);
    WAIT_UNTIL(&s, s.told == 5);
    assert_int_equal(s.posts, posts + 1);
    site_fini(&s);
}

static void refuse_one(bool says_which, unsigned posts_max)
{
    struct site s;
    site_init(&s);
    s.bad = 400;
    s.says_which = says_which;
    add_now(&s, 1000);
    WAIT_UNTIL(&s, s.told == 1000);
    expect_seen(&s, 1000, 400);
    if (s.posts > posts_max)
        fail_msg("%u requests", s.posts);
    struct journal_stats stats;
    journal_measure(s.journal, &stats);
    assert_int_equal(stats.rejected, 1);
    auto_free char *kept = content_of(s.dir, "gateway/usage/rejected.ndjson");
    assert_non_null(strstr(kept, "\"seq\":400,"));
    assert_int_equal(str_find(str_of(kept), '\n'), strlen(kept) - 1);
    site_fini(&s);
}

static void test_named_bad_record(void **state)
{
    refuse_one(true, 20);
}

static void test_unnamed_bad_record(void **state)
{
    refuse_one(false, 60);
}

static void test_older_control(void **state)
{
    struct site s;
    site_init(&s);
    s.status = 404;
    add_now(&s, 3);
    WAIT_UNTIL(&s, s.posts == 1);
    s.status = 0;
    do { /* doesn't wait for the next try; the first one may still get that 404 */
        s.is_drained = false;
        usage_send_drain(s.send, WAIT_MS, on_drained, &s);
        WAIT_UNTIL(&s, s.is_drained);
    } while (s.posts == 1);
    expect_seen(&s, 3, NONE);
    site_fini(&s);
}

static void test_useless_answers(void **state)
{
    static const char *const replies[] = {"{}", "x", "{\"applied\":-1}", "{\"applied\":0}"};
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct site s;
        site_init(&s);
        s.reply = replies[i];
        add_now(&s, 3);
        WAIT_UNTIL(&s, s.posts == 1);
        assert_int_equal(unsent(&s), 3);
        s.reply = NULL;
        WAIT_UNTIL(&s, s.told == 3);
        site_fini(&s);
    }
}

static void test_drain_sends_the_rest(void **state)
{
    struct site s;
    site_init(&s);
    add(&s, 1200);
    journal_outbox_flush(s.outbox);
    usage_send_drain(s.send, WAIT_MS, on_drained, &s);
    assert_false(s.is_drained);
    WAIT_UNTIL(&s, s.is_drained);
    expect_seen(&s, 1200, NONE);
    site_fini(&s);
}

static void test_drain_ends_without_control(void **state)
{
    struct site s;
    site_init(&s);
    http_server_free(TAKE(s.control));
    add_now(&s, 1);
    usage_send_drain(s.send, INT64_MAX / 2, on_drained, &s);
    WAIT_UNTIL(&s, s.is_drained);
    assert_int_equal(unsent(&s), 1);
    site_fini(&s);
}

static void test_drain_ends_in_time(void **state)
{
    struct site s;
    site_init(&s);
    s.status = 1;
    add_now(&s, 1);
    WAIT_UNTIL(&s, s.held);
    usage_send_drain(s.send, 1, on_drained, &s);
    WAIT_UNTIL(&s, s.is_drained);
    site_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sends_by_itself),
        cmocka_unit_test(test_keeps_while_control_fails),
        cmocka_unit_test(test_sends_again),
        cmocka_unit_test(test_named_bad_record),
        cmocka_unit_test(test_unnamed_bad_record),
        cmocka_unit_test(test_older_control),
        cmocka_unit_test(test_useless_answers),
        cmocka_unit_test(test_drain_sends_the_rest),
        cmocka_unit_test(test_drain_ends_without_control),
        cmocka_unit_test(test_drain_ends_in_time),
    };
    auth_init();
    /* Control's refusals are errors in the log. */
    log_set_level(getenv("DEBUG") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
