/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/limit.h"

#include "base/mem.h"
#include "gateway/limit_headers.h"

#include <pthread.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MINUTE INT64_C(60000000)

static const int64_t now_us = 5000000000, wall_ms = INT64_C(1795435200000);

/* A key, a user and a model. */
struct world {
    struct limits limits[LIMIT_KINDS];
    struct limit_subject subjects[LIMIT_KINDS];
};

static void set_up(struct world *w)
{
    *w = (struct world){0};
    for (int i = 0; i < LIMIT_KINDS; i++)
        w->subjects[i] =
            (struct limit_subject){(enum limit_kind)i, &w->limits[i], limit_state_new()};
    for (int i = 0; i < LIMIT_KINDS; i++)
        budget_use(&w->subjects[i].state->budget, BUDGET_DAY);
}

static void tear_down(struct world *w)
{
    for (int i = 0; i < LIMIT_KINDS; i++) {
        assert_int_equal(limit_state_concurrent(w->subjects[i].state), 0);
        assert_int_equal(w->subjects[i].state->users, 1);
        limit_state_unref(w->subjects[i].state);
    }
}

static bool reserve(struct world *w, struct reservation *ret, int64_t tokens, int64_t at_us,
                    struct limit_denial *denial)
{
    return limit_reserve(ret, w->subjects, LIMIT_KINDS, tokens, at_us, wall_ms, denial);
}

static void expect_untouched(const struct limit_subject *subject)
{
    struct limit_state *state = subject->state;
    assert_int_equal(limit_state_concurrent(state), 0);
    assert_int_equal(rate_reset_us(&state->requests, now_us), 0);
    assert_int_equal(rate_reset_us(&state->tokens, now_us), 0);
    assert_int_equal(budget_taken(&state->budget, wall_ms), 0);
}

static void test_requests(void **state)
{
    struct world w;
    struct reservation r;
    struct limit_denial denial;
    set_up(&w);
    w.limits[LIMIT_USER].requests_per_minute = 3;
    for (int i = 0; i < 3; i++) {
        assert_true(reserve(&w, &r, 10, now_us, &denial));
        limit_release(&r, now_us);
        limit_release(&r, now_us); /* never twice */
    }
    assert_false(reserve(&w, &r, 10, now_us, &denial));
    assert_int_equal(r.count, 0);
    assert_int_equal(denial.subject, LIMIT_USER);
    assert_int_equal(denial.name, LIMIT_REQUESTS);
    assert_int_equal(denial.limit, 3);
    assert_int_equal(denial.remaining, 0);
    assert_int_equal(denial.retry_after_ms, 20000);
    expect_untouched(&w.subjects[LIMIT_KEY]);
    assert_false(reserve(&w, &r, 10, now_us + 19999000, &denial));
    assert_int_equal(denial.retry_after_ms, 1);
    assert_true(reserve(&w, &r, 10, now_us + 20000000, &denial));
    limit_settle(&r, 5, now_us);
    tear_down(&w);
}

static void test_tokens(void **state)
{
    struct world w;
    struct reservation a, b;
    struct limit_denial denial;
    set_up(&w);
    w.limits[LIMIT_MODEL].tokens_per_minute = 1000;
    assert_false(reserve(&w, &a, 1001, now_us, &denial));
    assert_int_equal(denial.retry_after_ms, -1);
    auto_free char *never = limit_denial_text(&denial);
    assert_string_equal(never, "tokens_per_minute of this model is 1000, and the request may need "
                               "1001: it can never pass; ask for fewer tokens");
    assert_true(reserve(&w, &a, 1000, now_us, &denial));
    assert_false(reserve(&w, &b, 1, now_us, &denial));
    limit_settle(&a, 400, now_us);
    assert_false(reserve(&w, &b, 601, now_us, &denial));
    assert_int_equal(denial.name, LIMIT_TOKENS);
    assert_int_equal(denial.remaining, 600);
    assert_int_equal(denial.requested, 601);
    assert_int_equal(denial.retry_after_ms, 60);
    auto_free char *text = limit_denial_text(&denial);
    assert_string_equal(text, "tokens_per_minute of this model is 1000: 600 are left, and the "
                              "request may need 601");
    assert_int_equal(limit_state_concurrent(w.subjects[LIMIT_KEY].state), 0);
    assert_true(reserve(&w, &b, 600, now_us, &denial));
    limit_settle(&b, 600, now_us);
    tear_down(&w);
}

static void test_concurrent(void **state)
{
    struct world w;
    struct reservation r[3];
    struct limit_denial denial;
    set_up(&w);
    assert_true(reserve(&w, &r[0], 1, now_us, &denial)); /* counts before there is a limit */
    w.limits[LIMIT_KEY].concurrent_requests = 2;
    assert_true(reserve(&w, &r[1], 1, now_us, &denial));
    assert_false(reserve(&w, &r[2], 1, now_us, &denial));
    assert_int_equal(denial.name, LIMIT_CONCURRENT);
    assert_int_equal(denial.retry_after_ms, LIMIT_CONCURRENT_RETRY_MS);
    limit_settle(&r[0], 0, now_us);
    limit_settle(&r[0], 0, now_us);
    assert_true(reserve(&w, &r[2], 1, now_us, &denial));
    limit_release(&r[1], now_us);
    limit_release(&r[2], now_us);
    tear_down(&w);
}

static void test_budget(void **state)
{
    struct world w;
    struct reservation r;
    struct limit_denial denial;
    int64_t end_ms = budget_period_end(BUDGET_DAY, wall_ms);
    set_up(&w);
    w.limits[LIMIT_KEY].token_budget = 100;
    w.limits[LIMIT_KEY].budget_period = BUDGET_DAY;
    assert_true(reserve(&w, &r, 100, now_us, &denial));
    limit_settle(&r, 60, now_us);
    assert_false(reserve(&w, &r, 41, now_us, &denial));
    assert_int_equal(denial.name, LIMIT_BUDGET);
    assert_int_equal(denial.remaining, 40);
    assert_int_equal(denial.retry_after_ms, end_ms - wall_ms);
    auto_free char *text = limit_denial_text(&denial);
    assert_string_equal(
        text, "token_budget of this key is 100 (day): 40 are left, and the request may need 41");
    assert_true(reserve(&w, &r, 40, now_us, &denial));
    limit_settle(&r, 40, now_us);
    assert_false(reserve(&w, &r, 1, now_us, &denial));
    assert_false(limit_reserve(&r, w.subjects, 3, 101, now_us, end_ms, &denial));
    assert_int_equal(denial.retry_after_ms, -1); /* larger than the whole budget */
    assert_true(limit_reserve(&r, w.subjects, 3, 100, now_us, end_ms, &denial));
    limit_release(&r, now_us);
    tear_down(&w);
}

static void test_later_refusal_gives_back(void **state)
{
    static const struct limits tight[] = {
        {.tokens_per_minute = 50},
        {.concurrent_requests = 1},
        {.token_budget = 50, .budget_period = BUDGET_DAY},
    };
    for (size_t i = 0; i < ARRAY_LEN(tight); i++) {
        struct world w;
        struct reservation held, r;
        struct limit_denial denial;
        set_up(&w);
        w.limits[LIMIT_MODEL] = tight[i];
        assert_true(limit_reserve(&held, &w.subjects[LIMIT_MODEL], 1, 30, now_us, wall_ms,
                                  &denial));
        for (int k = LIMIT_KEY; k <= LIMIT_USER; k++)
            w.limits[k] = (struct limits){.requests_per_minute = 10,
                                          .tokens_per_minute = 1000,
                                          .concurrent_requests = 5,
                                          .token_budget = 1000,
                                          .budget_period = BUDGET_DAY};
        assert_false(reserve(&w, &r, 30, now_us, &denial));
        assert_int_equal(denial.subject, LIMIT_MODEL);
        expect_untouched(&w.subjects[LIMIT_KEY]);
        expect_untouched(&w.subjects[LIMIT_USER]);
        assert_int_equal(limit_state_concurrent(w.subjects[LIMIT_MODEL].state), 1);
        limit_settle(&held, 0, now_us);
        expect_untouched(&w.subjects[LIMIT_MODEL]);
        tear_down(&w);
    }
}

static void test_changes_on_a_live_subject(void **state)
{
    struct world w;
    struct reservation a, b;
    struct limit_denial denial;
    set_up(&w);
    struct limits *limits = &w.limits[LIMIT_KEY];
    *limits = (struct limits){.requests_per_minute = 10, .tokens_per_minute = 100,
                              .token_budget = 100, .budget_period = BUDGET_DAY};
    assert_true(reserve(&w, &a, 50, now_us, &denial));
    *limits = (struct limits){0}; /* taken away while it runs */
    assert_true(reserve(&w, &b, 1000, now_us, &denial));
    limit_settle(&b, 70, now_us);
    limit_settle(&a, 20, now_us);
    *limits = (struct limits){.tokens_per_minute = 100, .token_budget = 100,
                              .budget_period = BUDGET_DAY};
    assert_false(reserve(&w, &a, 11, now_us, &denial)); /* 70 + 20 are spent */
    assert_int_equal(denial.name, LIMIT_BUDGET);
    assert_int_equal(denial.remaining, 10);
    limits->token_budget = 1000;
    assert_false(reserve(&w, &a, 81, now_us, &denial)); /* 20 were taken of the limit */
    assert_int_equal(denial.name, LIMIT_TOKENS);
    assert_true(reserve(&w, &a, 80, now_us, &denial));
    limit_release(&a, now_us);
    tear_down(&w);
}

static void test_undone(void **state)
{
    struct world w;
    struct reservation r;
    struct limit_denial denial;
    set_up(&w);
    w.limits[LIMIT_KEY] = (struct limits){.requests_per_minute = 1,
                                          .tokens_per_minute = 100,
                                          .concurrent_requests = 1,
                                          .token_budget = 100,
                                          .budget_period = BUDGET_DAY};
    for (int i = 0; i < 3; i++) {
        assert_true(reserve(&w, &r, 100, now_us, &denial));
        limit_undo(&r, now_us);
        expect_untouched(&w.subjects[LIMIT_KEY]);
    }
    tear_down(&w);
}

static void test_missing_subjects(void **state)
{
    struct reservation r;
    struct limit_denial denial;
    struct limits limits = {.requests_per_minute = 1};
    struct limit_subject none = {LIMIT_KEY, &limits, NULL};
    for (int i = 0; i < 3; i++) {
        assert_true(limit_reserve(&r, &none, 1, 5, now_us, wall_ms, &denial));
        limit_settle(&r, 5, now_us);
    }
    struct reservation zero = {0};
    limit_settle(&zero, 5, now_us);
}

/* ---- headers ---- */

static const char *header(const struct limit_headers *headers, const char *name, char text[64])
{
    for (unsigned i = 0; i < headers->count; i++) {
        struct str value = headers->items[i].value;
        if (!str_eq(headers->items[i].name, str_of(name)))
            continue;
        memcpy(text, value.ptr, value.len);
        text[value.len] = '\0';
        return text;
    }
    return NULL;
}

static void expect_header(const struct limit_headers *headers, const char *name, const char *value)
{
    char text[64];
    const char *found = header(headers, name, text);
    assert_non_null(found);
    assert_string_equal(found, value);
}

static void test_openai_headers(void **state)
{
    struct world w;
    struct reservation r;
    struct limit_denial denial;
    struct http_header room[LIMIT_HEADERS_MAX];
    struct limit_headers headers = {.items = room};
    set_up(&w);
    limit_headers_add(&headers, w.subjects, 3, LIMIT_HEADERS_OPENAI, now_us, wall_ms);
    assert_int_equal(headers.count, 0);
    w.limits[LIMIT_KEY] = (struct limits){.requests_per_minute = 60, .tokens_per_minute = 8000};
    w.limits[LIMIT_USER] = (struct limits){.requests_per_minute = 6};
    assert_true(reserve(&w, &r, 200, now_us, &denial));
    limit_headers_add(&headers, w.subjects, 3, LIMIT_HEADERS_OPENAI, now_us, wall_ms);
    assert_int_equal(headers.count, 6);
    expect_header(&headers, "x-ratelimit-limit-requests", "6");
    expect_header(&headers, "x-ratelimit-remaining-requests", "5");
    expect_header(&headers, "x-ratelimit-reset-requests", "10s");
    expect_header(&headers, "x-ratelimit-limit-tokens", "8000");
    expect_header(&headers, "x-ratelimit-remaining-tokens", "7800");
    expect_header(&headers, "x-ratelimit-reset-tokens", "1.5s");
    denial.retry_after_ms = 1001;
    limit_headers_add_retry(&headers, &denial);
    expect_header(&headers, "Retry-After", "2");
    expect_header(&headers, "retry-after-ms", "1001");
    limit_release(&r, now_us);
    tear_down(&w);
}

static void test_durations(void **state)
{
    static const struct {
        int64_t taken, after_us;
        const char *text;
    } cases[] = {
        {60, 0, "1m0s"},       {60, 59000000, "1s"}, {60, 59880000, "120ms"}, {60, MINUTE, "0s"},
        {60, 500000, "59.5s"}, {60, 1, "1m0s"},      {60, 1001, "59.999s"},   {1, 999001, "1ms"},
        {60, 30010000, "29.99s"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;
        struct http_header room[LIMIT_HEADERS_MAX];
        struct limit_headers headers = {.items = room};
        struct rate_hold hold;
        int64_t wait_us;
        set_up(&w);
        w.limits[LIMIT_KEY].requests_per_minute = 60;
        assert_true(rate_take(&w.subjects[LIMIT_KEY].state->requests, 60, cases[i].taken, now_us,
                              &hold, &wait_us));
        limit_headers_add(&headers, w.subjects, 1, LIMIT_HEADERS_OPENAI,
                          now_us + cases[i].after_us, wall_ms);
        expect_header(&headers, "x-ratelimit-reset-requests", cases[i].text);
        tear_down(&w);
    }
}

static void test_anthropic_headers(void **state)
{
    struct world w;
    struct reservation r;
    struct limit_denial denial = {.retry_after_ms = -1};
    struct http_header room[LIMIT_HEADERS_MAX];
    struct limit_headers headers = {.items = room};
    set_up(&w);
    w.limits[LIMIT_MODEL] = (struct limits){.requests_per_minute = 1000000000,
                                            .tokens_per_minute = 1000000000};
    assert_true(reserve(&w, &r, 1000000000, now_us, &denial));
    limit_headers_add(&headers, w.subjects, 3, LIMIT_HEADERS_ANTHROPIC, now_us, wall_ms + 1);
    limit_headers_add_retry(&headers, &denial);
    assert_int_equal(headers.count, 6);
    expect_header(&headers, "anthropic-ratelimit-requests-limit", "1000000000");
    expect_header(&headers, "anthropic-ratelimit-requests-remaining", "999999999");
    expect_header(&headers, "anthropic-ratelimit-requests-reset", "2026-11-23T12:00:01Z");
    expect_header(&headers, "anthropic-ratelimit-tokens-remaining", "0");
    expect_header(&headers, "anthropic-ratelimit-tokens-reset", "2026-11-23T12:01:01Z");
    limit_release(&r, now_us);
    tear_down(&w);
}

/* ---- against a model: plain sums, one subject after the other ---- */

enum { STEPS = 20000, HELD_MAX = 50 };

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

struct sums {
    int64_t concurrent[LIMIT_KINDS], budget[LIMIT_KINDS];
};

static bool sums_let_pass(const struct world *w, const struct sums *sums, int64_t tokens)
{
    for (int i = 0; i < LIMIT_KINDS; i++) {
        const struct limits *limits = &w->limits[i];
        if (limits->token_budget && sums->budget[i] + tokens > limits->token_budget)
            return false;
        if (limits->concurrent_requests && sums->concurrent[i] >= limits->concurrent_requests)
            return false;
    }
    return true;
}

static void expect_sums(struct world *w, const struct sums *sums)
{
    for (int i = 0; i < LIMIT_KINDS; i++) {
        struct limit_state *state = w->subjects[i].state;
        assert_int_equal(limit_state_concurrent(state), sums->concurrent[i]);
        assert_int_equal(budget_taken(&state->budget, wall_ms), sums->budget[i]);
    }
}

static void add_to_sums(struct sums *sums, int64_t tokens, int requests)
{
    for (int i = 0; i < LIMIT_KINDS; i++) {
        sums->budget[i] += tokens;
        sums->concurrent[i] += requests;
    }
}

static void test_random_against_sums(void **state)
{
    for (uint32_t seed = 1; seed <= 5; seed++) {
        struct world w;
        struct sums sums = {{0}, {0}};
        struct reservation held[HELD_MAX];
        unsigned count = 0;
        uint32_t dice = seed;
        set_up(&w);
        for (int i = 0; i < LIMIT_KINDS; i++)
            w.limits[i] = (struct limits){.concurrent_requests = 10 + draw(&dice, 30),
                                          .token_budget = 500000 + draw(&dice, 500000),
                                          .budget_period = BUDGET_DAY};
        for (int step = 0; step < STEPS; step++) {
            int64_t tokens = draw(&dice, 1000);
            struct limit_denial denial;
            if (count < HELD_MAX && draw(&dice, 2) == 0) {
                bool expected = sums_let_pass(&w, &sums, tokens);
                assert_int_equal(reserve(&w, &held[count], tokens, now_us + step, &denial),
                                 expected);
                count += expected;
                add_to_sums(&sums, expected ? tokens : 0, expected);
            } else if (count > 0) {
                unsigned which = draw(&dice, count);
                int64_t used = draw(&dice, 200);
                add_to_sums(&sums, used - held[which].tokens, -1);
                limit_settle(&held[which], used, now_us + step);
                held[which] = held[--count];
            }
            expect_sums(&w, &sums);
        }
        while (count > 0) {
            add_to_sums(&sums, -held[--count].tokens, -1);
            limit_release(&held[count], now_us + STEPS);
        }
        expect_sums(&w, &sums);
        tear_down(&w);
    }
}

/*
 * What is used never exceeds a burst and what the time since then allows, in any span of time from
 * a request on, as long as nothing is settled late; and the clock comes to rest.
 */
static void test_random_rate(void **state)
{
    struct world w;
    uint32_t dice = 77;
    int64_t at_us = now_us, used_sum = 0;
    set_up(&w);
    w.limits[LIMIT_KEY].tokens_per_minute = 6000; /* 100 a second */
    for (int step = 0; step < STEPS; step++) {
        struct reservation r;
        struct limit_denial denial;
        int64_t tokens = 1 + draw(&dice, 500), used = draw(&dice, (uint32_t)tokens + 1);
        at_us += draw(&dice, 1000000);
        if (!reserve(&w, &r, tokens, at_us, &denial)) {
            assert_false(reserve(&w, &r, tokens, at_us + denial.retry_after_ms * 1000 - 1001,
                                 &(struct limit_denial){0}));
            continue;
        }
        limit_settle(&r, used, at_us);
        used_sum += used;
        assert_true(used_sum <= 6000 + (at_us - now_us) / 10000 + 1);
    }
    assert_int_equal(rate_remaining(&w.subjects[LIMIT_KEY].state->tokens, 6000, at_us + MINUTE),
                     6000);
    tear_down(&w);
}

/* ---- threads ---- */

enum { THREADS = 4, TRIES = 20000 };

struct hammer {
    struct world *w;
    unsigned passed;
    pthread_t thread;
};

static void *hammer_run(void *arg)
{
    struct hammer *h = arg;
    for (int i = 0; i < TRIES; i++) {
        struct reservation r;
        struct limit_denial denial;
        if (!reserve(h->w, &r, 7, now_us, &denial))
            continue;
        h->passed++;
        limit_settle(&r, 7, now_us);
    }
    return NULL;
}

static unsigned hammer(struct world *w)
{
    struct hammer hammers[THREADS];
    unsigned passed = 0;
    for (int i = 0; i < THREADS; i++) {
        hammers[i] = (struct hammer){.w = w};
        assert_int_equal(pthread_create(&hammers[i].thread, NULL, hammer_run, &hammers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(hammers[i].thread, NULL);
        passed += hammers[i].passed;
    }
    return passed;
}

static void test_threads_pass_exactly_the_limit(void **state)
{
    static const struct limits limits[] = {
        {.requests_per_minute = 12345},
        {.tokens_per_minute = 7 * 12345},
        {.token_budget = 7 * 12345, .budget_period = BUDGET_DAY},
    };
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        for (int kind = 0; kind < LIMIT_KINDS; kind++) {
            struct world w;
            set_up(&w);
            w.limits[kind] = limits[i];
            assert_int_equal(hammer(&w), 12345);
            tear_down(&w);
        }
    }
}

static void test_threads_give_all_places_back(void **state)
{
    struct world w;
    set_up(&w);
    w.limits[LIMIT_KEY] = (struct limits){.concurrent_requests = 2};
    w.limits[LIMIT_USER] = (struct limits){.token_budget = INT64_C(1) << 40,
                                           .budget_period = BUDGET_DAY};
    unsigned passed = hammer(&w);
    assert_true(passed > 0);
    assert_int_equal(budget_taken(&w.subjects[LIMIT_USER].state->budget, wall_ms), 7 * passed);
    tear_down(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_concurrent),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_later_refusal_gives_back),
        cmocka_unit_test(test_changes_on_a_live_subject),
        cmocka_unit_test(test_undone),
        cmocka_unit_test(test_missing_subjects),
        cmocka_unit_test(test_openai_headers),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_anthropic_headers),
        cmocka_unit_test(test_random_against_sums),
        cmocka_unit_test(test_random_rate),
        cmocka_unit_test(test_threads_pass_exactly_the_limit),
        cmocka_unit_test(test_threads_give_all_places_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
