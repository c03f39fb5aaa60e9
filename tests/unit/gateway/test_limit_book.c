/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/limit_book.h"

#include "gateway/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define US "5b6c1f0e-0000-4000-8000-000000000001"
#define THEM "5b6c1f0e-0000-4000-8000-000000000002"

static const int64_t day_ms = 20780 * DAY, noon_ms = 20780 * DAY + 12 * HOUR;
static const struct limits daily = {.token_budget = 1000, .budget_period = BUDGET_DAY};

/* One key with a budget, and a request's way through it. */
struct world {
    struct limit_book book;
    struct limit_state *key; /* a reference */
    uint64_t seq;            /* of the last record */
};

static void set_up(struct world *w)
{
    *w = (struct world){0};
    limit_book_set_gateway(&w->book, US);
    w->key = limit_book_state(&w->book, LIMIT_KEY, 3, &daily);
}

static void tear_down(struct world *w)
{
    limit_state_unref(w->key);
    limit_book_fini(&w->book);
}

static int64_t taken(struct world *w, int64_t wall_ms)
{
    return budget_taken(&w->key->budget, wall_ms);
}

static void use(struct world *w, int64_t tokens, int64_t wall_ms)
{
    const struct limit_subject subject = {LIMIT_KEY, &daily, w->key};
    struct reservation r;
    struct limit_denial denial;
    assert_true(limit_reserve(&r, &subject, 1, tokens, 0, wall_ms, &denial));
    limit_settle(&r, tokens, 0);
}

static struct usage_spent record(uint64_t seq, int64_t tokens, int64_t wall_ms)
{
    return (struct usage_spent){.seq = seq, .key_id = 3, .started_ms = wall_ms,
                                .tokens = tokens};
}

static void write_record(struct world *w, int64_t tokens, int64_t wall_ms)
{
    struct usage_spent written = record(++w->seq, tokens, wall_ms);
    limit_book_written(&w->book, &written, 1);
}

static void tell(struct world *w, const char *gateway, uint64_t applied, int64_t tokens,
                 int64_t start_ms)
{
    struct spending line = {.subject = LIMIT_KEY, .id = 3, .period_start_ms = start_ms,
                            .tokens = tokens, .applied = applied};
    memcpy(line.gateway, gateway, strlen(gateway) + 1);
    limit_book_apply(&w->book, &line);
}

static void test_own_records_count_once(void **state)
{
    struct world w;
    set_up(&w);
    use(&w, 10, noon_ms);
    write_record(&w, 10, noon_ms);
    use(&w, 20, noon_ms);
    write_record(&w, 20, noon_ms);
    use(&w, 30, noon_ms); /* not written yet */
    assert_int_equal(taken(&w, noon_ms), 60);
    tell(&w, US, 1, 10, day_ms);
    assert_int_equal(taken(&w, noon_ms), 60);
    tell(&w, US, 2, 130, day_ms); /* 100 of others */
    assert_int_equal(taken(&w, noon_ms), 160);
    tell(&w, US, 2, 130, day_ms); /* as in a snapshot */
    assert_int_equal(taken(&w, noon_ms), 160);
    tell(&w, THEM, 77, 150, day_ms);
    assert_int_equal(taken(&w, noon_ms), 180);
    write_record(&w, 30, noon_ms);
    tell(&w, US, 3, 180, day_ms);
    assert_int_equal(taken(&w, noon_ms), 180);
    tear_down(&w);
}

/* Control's line may be there before we hear that the record was written. */
static void test_written_late(void **state)
{
    struct world w;
    set_up(&w);
    use(&w, 10, noon_ms);
    tell(&w, US, 1, 10, day_ms);
    assert_int_equal(taken(&w, noon_ms), 20);
    write_record(&w, 10, noon_ms);
    assert_int_equal(taken(&w, noon_ms), 10);
    tear_down(&w);
}

static void test_next_period(void **state)
{
    struct world w;
    set_up(&w);
    use(&w, 500, noon_ms);
    write_record(&w, 500, noon_ms);
    tell(&w, THEM, 1, 300, day_ms);
    assert_int_equal(taken(&w, noon_ms), 800);
    use(&w, 5, noon_ms + DAY); /* the shard sees midnight first */
    write_record(&w, 5, noon_ms + DAY);
    tell(&w, US, 1, 800, day_ms); /* of yesterday */
    assert_int_equal(taken(&w, noon_ms + DAY), 5);
    tell(&w, US, 2, 25, day_ms + DAY);
    assert_int_equal(taken(&w, noon_ms + DAY), 25);
    write_record(&w, 7, noon_ms); /* began yesterday */
    tell(&w, US, 3, 25, day_ms + DAY);
    assert_int_equal(taken(&w, noon_ms + DAY), 25);
    tell(&w, THEM, 2, 40, day_ms + 2 * DAY); /* control sees midnight first */
    assert_int_equal(taken(&w, noon_ms + 2 * DAY), 40);
    tear_down(&w);
}

static void test_line_before_entry(void **state)
{
    struct world w = {0};
    limit_book_set_gateway(&w.book, US);
    tell(&w, US, 5, 400, day_ms);
    w.key = limit_book_state(&w.book, LIMIT_KEY, 3, &daily);
    assert_int_equal(taken(&w, noon_ms), 400);
    w.seq = 5;
    use(&w, 10, noon_ms);
    write_record(&w, 10, noon_ms);
    tell(&w, US, 6, 410, day_ms);
    assert_int_equal(taken(&w, noon_ms), 410);
    tear_down(&w);
}

static void test_changed_budget(void **state)
{
    static const struct limits none = {0};
    static const struct limits monthly = {.token_budget = 9000, .budget_period = BUDGET_MONTH};
    int64_t month_ms = budget_period_start(BUDGET_MONTH, noon_ms);
    struct world w;
    set_up(&w);
    use(&w, 10, noon_ms);
    write_record(&w, 10, noon_ms);
    tell(&w, US, 1, 110, day_ms);
    limit_state_unref(limit_book_state(&w.book, LIMIT_KEY, 3, &none));
    use(&w, 10, noon_ms);
    write_record(&w, 10, noon_ms);
    limit_state_unref(limit_book_state(&w.book, LIMIT_KEY, 3, &daily));
    assert_int_equal(taken(&w, noon_ms), 120);
    tell(&w, US, 2, 130, day_ms);
    assert_int_equal(taken(&w, noon_ms), 130);
    limit_state_unref(limit_book_state(&w.book, LIMIT_KEY, 3, &monthly));
    tell(&w, US, 2, 130, day_ms); /* of the kind that it was */
    assert_int_equal(taken(&w, noon_ms), 0);
    tell(&w, US, 2, 5000, month_ms);
    assert_int_equal(taken(&w, noon_ms), 5000);
    tear_down(&w);
}

static void test_recovered(void **state)
{
    struct world w;
    set_up(&w);
    for (uint64_t seq = 5; seq <= 6; seq++) {
        struct usage_spent left = record(seq, 20, noon_ms);
        limit_book_recovered(&w.book, &left);
    }
    w.seq = 6;
    tell(&w, US, 4, 100, day_ms);
    assert_int_equal(taken(&w, noon_ms), 140);
    use(&w, 1, noon_ms);
    write_record(&w, 1, noon_ms);
    tell(&w, US, 6, 140, day_ms);
    assert_int_equal(taken(&w, noon_ms), 141);
    tear_down(&w);

    set_up(&w); /* all of it is in the first line */
    struct usage_spent left = record(5, 20, noon_ms);
    limit_book_recovered(&w.book, &left);
    tell(&w, US, 5, 120, day_ms);
    assert_int_equal(taken(&w, noon_ms), 120);
    tear_down(&w);
}

/* A control that has none of our records yet tells no line. */
static void test_recovered_without_a_line(void **state)
{
    for (int ready_first = 0; ready_first < 2; ready_first++) {
        struct world w;
        set_up(&w);
        if (ready_first)
            limit_book_ready(&w.book);
        struct usage_spent left = record(1, 20, noon_ms);
        limit_book_recovered(&w.book, &left);
        if (!ready_first) {
            assert_int_equal(taken(&w, noon_ms), 0); /* the line may still come */
            limit_book_ready(&w.book);
        }
        assert_int_equal(taken(&w, noon_ms), 20);
        limit_book_ready(&w.book);
        assert_int_equal(taken(&w, noon_ms), 20);
        tell(&w, US, 1, 20, day_ms);
        assert_int_equal(taken(&w, noon_ms), 20);
        assert_int_equal(taken(&w, noon_ms + DAY), 0);
        tear_down(&w);
    }
}

/* More records than there are sums: the last ones are known together. */
static void test_many_unsent(void **state)
{
    struct world w;
    set_up(&w);
    for (int i = 0; i < LIMIT_BOOK_SUMS + 36; i++) {
        use(&w, 2, noon_ms);
        write_record(&w, 2, noon_ms);
    }
    tell(&w, US, 50, 100, day_ms);
    assert_int_equal(taken(&w, noon_ms), 200);
    tell(&w, US, 99, 198, day_ms); /* the last 37 count twice but for the one that is due */
    assert_in_range(taken(&w, noon_ms), 200, 274);
    tell(&w, US, 100, 200, day_ms);
    assert_int_equal(taken(&w, noon_ms), 200);
    tear_down(&w);
}

/* Random batches, late notices and foreign lines: never less than is spent, and exact at rest. */
static void test_random(void **state)
{
    uint32_t dice = 1;
    struct world w;
    int64_t tokens[2000], sum = 0, others = 0, applied_sum = 0;
    uint64_t made = 0, applied = 0;
    set_up(&w);
    for (int step = 0; step < 4000; step++) {
        dice = dice * 1664525u + 1013904223u;
        unsigned what = dice >> 24;
        if (what < 120 && made < 2000) {
            tokens[made] = (dice >> 8) & 3;
            struct budget_hold nothing = {0};
            budget_settle(&w.key->budget, &nothing, tokens[made], noon_ms);
            sum += tokens[made++];
        } else if (what < 180 && w.seq < made) {
            write_record(&w, tokens[w.seq], noon_ms);
        } else if (what < 200 && applied < w.seq) {
            applied_sum += tokens[applied++];
            while (applied < w.seq && (dice & 0x300))
                applied_sum += tokens[applied++], dice >>= 1;
            tell(&w, US, applied, applied_sum + others, day_ms);
        } else {
            others += dice & 1;
            tell(&w, THEM, 1, applied_sum + others, day_ms);
        }
        assert_true(taken(&w, noon_ms) >= sum + others);
    }
    while (w.seq < made)
        write_record(&w, tokens[w.seq], noon_ms);
    tell(&w, US, made, sum + others, day_ms);
    assert_int_equal(taken(&w, noon_ms), sum + others);
    tear_down(&w);
}

/* ---- through the feed's lines ---- */

#define RESET "{\"op\":\"reset\",\"seq\":1}"
#define READY "{\"op\":\"ready\",\"seq\":1}"
#define USER(limits)                                                                               \
    "{\"op\":\"put\",\"seq\":1,\"kind\":\"user\",\"id\":1,\"username\":\"admin\","                 \
    "\"is_admin\":true,\"is_active\":true,\"require_password_change\":false" limits "}"
#define MODEL(id, name)                                                                            \
    "{\"op\":\"put\",\"seq\":1,\"kind\":\"model\",\"id\":" id ",\"name\":\"" name "\","            \
    "\"created_ms\":5000,\"requests_per_minute\":5,\"tokens_per_minute\":null}"
#define SPENDING(subject, id, tokens)                                                              \
    "{\"op\":\"put\",\"seq\":1,\"kind\":\"spending\",\"subject\":" subject ",\"id\":" id           \
    ",\"period_start_ms\":0,\"tokens\":" tokens ",\"gateway\":\"g\",\"applied\":0}"

static int apply(struct tables *tables, const char *line)
{
    struct err err = {0};
    return tables_apply(tables, str_of(line), &err);
}

static struct entry *model_of(struct tables *tables, int64_t id)
{
    return map_get(&tables->kinds[ENTRY_MODEL], str_sub((const char *)&id, sizeof id));
}

static void test_counts_stay_with_the_id(void **state)
{
    struct tables tables = {0};
    assert_int_equal(apply(&tables, RESET), 0);
    assert_int_equal(apply(&tables, MODEL("2", "hello")), 0);
    assert_int_equal(apply(&tables, MODEL("3", "other")), 0);
    assert_int_equal(apply(&tables, READY), 0);
    struct limit_state *counts = limit_state_ref(model_of(&tables, 2)->model.limit);
    assert_int_equal(model_of(&tables, 2)->model.limits.requests_per_minute, 5);
    assert_ptr_not_equal(model_of(&tables, 3)->model.limit, counts);
    assert_int_equal(apply(&tables, MODEL("2", "renamed")), 0);
    assert_ptr_equal(model_of(&tables, 2)->model.limit, counts);
    tables_clear(&tables); /* the feed's stream is opened anew */
    assert_int_equal(apply(&tables, RESET), 0);
    assert_int_equal(apply(&tables, MODEL("2", "hello")), 0);
    assert_int_equal(apply(&tables, READY), 0);
    assert_ptr_equal(model_of(&tables, 2)->model.limit, counts);
    assert_int_equal(tables.limits.items.count, 1); /* the other one is gone */
    assert_int_equal(apply(&tables, "{\"op\":\"del\",\"seq\":2,\"kind\":\"model\",\"id\":2}"), 0);
    assert_int_equal(apply(&tables, MODEL("2", "hello")), ERR_PROTOCOL); /* seq goes back */
    tables_fini(&tables);
    assert_int_equal(counts->users, 1);
    limit_state_unref(counts);
}

static void test_lines_of_spending(void **state)
{
    static const char *const bad[] = {
        SPENDING("\"keys\"", "1", "5"), SPENDING("null", "1", "5"),  SPENDING("\"key\"", "0", "5"),
        SPENDING("\"key\"", "1", "-1"), SPENDING("\"key\"", "1", "1.5"),
    };
    struct tables tables = {0};
    assert_int_equal(apply(&tables, RESET), 0);
    assert_int_equal(apply(&tables, SPENDING("\"user\"", "1", "500")), 0);
    assert_int_equal(apply(&tables, USER(",\"token_budget\":1000,\"budget_period\":\"never\"")), 0);
    int64_t id = 1;
    struct entry *user =
        map_get(&tables.kinds[ENTRY_USER], str_sub((const char *)&id, sizeof id));
    assert_int_equal(budget_taken(&user->user.limit->budget, noon_ms), 500);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(apply(&tables, bad[i]), ERR_INVALID);
    assert_int_equal(apply(&tables, USER(",\"budget_period\":\"year\"")), ERR_INVALID);
    assert_int_equal(apply(&tables, USER(",\"token_budget\":-1")), ERR_INVALID);
    assert_int_equal(apply(&tables, USER(",\"tokens_per_minute\":1000000001")), ERR_INVALID);
    tables_fini(&tables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_records_count_once),
        cmocka_unit_test(test_written_late),
        cmocka_unit_test(test_next_period),
        cmocka_unit_test(test_line_before_entry),
        cmocka_unit_test(test_changed_budget),
        cmocka_unit_test(test_recovered),
        cmocka_unit_test(test_recovered_without_a_line),
        cmocka_unit_test(test_many_unsent),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_counts_stay_with_the_id),
        cmocka_unit_test(test_lines_of_spending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
