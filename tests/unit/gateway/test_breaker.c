/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/breaker.h"

#include <pthread.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const int64_t start_ms = 7654320000; /* a window's begin */

static bool passes(struct breaker *breaker, int64_t now_ms)
{
    uint64_t probe;
    return breaker_may_pass(breaker, now_ms, &probe) && probe == 0;
}

static uint64_t take_probe(struct breaker *breaker, int64_t now_ms)
{
    uint64_t probe;
    assert_true(breaker_may_pass(breaker, now_ms, &probe));
    assert_int_not_equal(probe, 0);
    assert_int_equal(breaker_state(breaker), BREAKER_HALF_OPEN);
    return probe;
}

static void open_it(struct breaker *breaker, int64_t now_ms)
{
    for (int i = 1; i <= BREAKER_ROW; i++) {
        assert_true(passes(breaker, now_ms));
        assert_int_equal(breaker_failure(breaker, 0, now_ms), i == BREAKER_ROW);
    }
    assert_int_equal(breaker_state(breaker), BREAKER_OPEN);
}

static void test_failures_in_a_row(void **state)
{
    struct breaker breaker = {0};
    for (int round = 0; round < 3; round++) {
        int64_t now_ms = start_ms + (int64_t)round * BREAKER_WINDOW_MS;
        for (int i = 1; i < BREAKER_ROW; i++)
            assert_false(breaker_failure(&breaker, 0, now_ms));
        breaker_success(&breaker, 0, now_ms);
    }
    assert_true(passes(&breaker, start_ms));
    open_it(&breaker, start_ms + 3 * BREAKER_WINDOW_MS);
    assert_false(passes(&breaker, start_ms + 3 * BREAKER_WINDOW_MS));
}

/* Ends the window with `failures` of `answers`, never two in a row if that can be. */
static bool opens_after(int answers, int failures)
{
    struct breaker breaker = {0};
    bool is_open = false;
    for (int i = 0; i < answers - failures; i++)
        breaker_success(&breaker, 0, start_ms);
    for (int i = 0; i < failures; i++) {
        is_open |= breaker_failure(&breaker, 0, start_ms + BREAKER_WINDOW_MS - 1);
        atomic_store(&breaker.row, 0);
    }
    return is_open;
}

static void test_half_of_a_window(void **state)
{
    assert_false(opens_after(BREAKER_WINDOW_MIN - 1, BREAKER_WINDOW_MIN - 1));
    assert_false(opens_after(BREAKER_WINDOW_MIN, BREAKER_WINDOW_MIN / 2 - 1));
    assert_true(opens_after(BREAKER_WINDOW_MIN, BREAKER_WINDOW_MIN / 2));
    assert_false(opens_after(200, 99));
    assert_true(opens_after(200, 100));
    /* More than a window's counts hold. */
    struct breaker busy = {0};
    for (int i = 0; i < 200000; i++) {
        if (i % 3)
            breaker_success(&busy, 0, start_ms);
        else
            assert_false(breaker_failure(&busy, 0, start_ms));
    }
    /* The next window begins with nothing. */
    struct breaker breaker = {0};
    for (int i = 1; i < BREAKER_WINDOW_MIN; i++) {
        breaker_failure(&breaker, 0, start_ms);
        atomic_store(&breaker.row, 0);
    }
    assert_false(breaker_failure(&breaker, 0, start_ms + BREAKER_WINDOW_MS));
}

static void test_open_times(void **state)
{
    static const int64_t seconds[] = {5, 10, 20, 40, 60, 60, 60};
    struct breaker breaker = {0};
    int64_t now_ms = start_ms;
    open_it(&breaker, now_ms);
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        int64_t wait_ms = breaker_due_ms(&breaker) - now_ms;
        assert_in_range(wait_ms, seconds[i] * 900, seconds[i] * 1100);
        assert_false(passes(&breaker, now_ms + wait_ms - 1));
        now_ms += wait_ms;
        uint64_t probe = take_probe(&breaker, now_ms);
        assert_false(passes(&breaker, now_ms)); /* one at a time */
        assert_int_equal(breaker_due_ms(&breaker), INT64_MAX);
        assert_true(breaker_failure(&breaker, probe, now_ms));
    }
}

static void test_jitter_differs(void **state)
{
    struct breaker breakers[50] = {0};
    int64_t least_ms = INT64_MAX, most_ms = 0;
    for (int i = 0; i < 50; i++) {
        open_it(&breakers[i], start_ms);
        int64_t wait_ms = breaker_due_ms(&breakers[i]) - start_ms;
        least_ms = wait_ms < least_ms ? wait_ms : least_ms;
        most_ms = wait_ms > most_ms ? wait_ms : most_ms;
    }
    assert_true(most_ms - least_ms > 400);
}

static void test_probe_ends(void **state)
{
    struct breaker breaker = {0};
    open_it(&breaker, start_ms);
    int64_t due_ms = breaker_due_ms(&breaker);
    uint64_t left = take_probe(&breaker, due_ms);
    breaker_abandon(&breaker, left, due_ms + 3);
    uint64_t probe = take_probe(&breaker, due_ms + 3);
    /* Late answers of what passed before change nothing. */
    breaker_success(&breaker, 0, due_ms + 3);
    assert_false(breaker_failure(&breaker, 0, due_ms + 3));
    breaker_abandon(&breaker, 0, due_ms + 3);
    breaker_abandon(&breaker, left, due_ms + 3);
    assert_int_equal(breaker_state(&breaker), BREAKER_HALF_OPEN);
    breaker_success(&breaker, probe, due_ms + 4);
    assert_int_equal(breaker_state(&breaker), BREAKER_CLOSED);
    open_it(&breaker, due_ms + 5); /* and it counts from 0 and waits from 5 s again */
    assert_in_range(breaker_due_ms(&breaker) - due_ms - 5, 4500, 5500);
}

/* A probe that takes its time doesn't shut an engine off; whichever of two ends first tells. */
static void test_slow_probe(void **state)
{
    struct breaker breaker = {0};
    uint64_t none;
    open_it(&breaker, start_ms);
    int64_t due_ms = breaker_due_ms(&breaker);
    uint64_t slow = take_probe(&breaker, due_ms);
    assert_false(breaker_may_pass(&breaker, due_ms + BREAKER_OPEN_MIN_MS - 1, &none));
    uint64_t next = take_probe(&breaker, due_ms + BREAKER_OPEN_MIN_MS);
    assert_int_not_equal(slow, next);
    breaker_abandon(&breaker, slow, due_ms + BREAKER_OPEN_MIN_MS); /* no longer its to tell */
    assert_int_equal(breaker_state(&breaker), BREAKER_HALF_OPEN);
    assert_false(breaker_failure(&breaker, slow, due_ms + BREAKER_OPEN_MIN_MS));
    breaker_success(&breaker, slow, due_ms + BREAKER_OPEN_MIN_MS + 1);
    assert_int_equal(breaker_state(&breaker), BREAKER_CLOSED);
    assert_false(breaker_failure(&breaker, next, due_ms + BREAKER_OPEN_MIN_MS + 2));
    assert_int_equal(breaker_state(&breaker), BREAKER_CLOSED);
}

static void test_early_probe(void **state)
{
    struct breaker breaker = {0};
    uint64_t probe;
    assert_false(breaker_probe_early(&breaker, start_ms, &probe)); /* it is closed */
    assert_int_equal(breaker_due_ms(&breaker), 0);
    open_it(&breaker, start_ms);
    assert_true(breaker_probe_early(&breaker, start_ms, &probe));
    assert_int_not_equal(probe, 0);
    assert_false(breaker_probe_early(&breaker, start_ms, &(uint64_t){0}));
    breaker_success(&breaker, probe, start_ms);
    assert_true(passes(&breaker, start_ms));
}

/* ---- threads: never two probes at once ---- */

enum { THREADS = 4, TRIES = 100000 };

struct shared {
    struct breaker breaker;
    atomic_int probes;
    atomic_int most;
};

static void *hammer(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < TRIES; i++) {
        uint64_t probe;
        if (!breaker_probe_early(&shared->breaker, start_ms + i, &probe))
            continue;
        int now = atomic_fetch_add(&shared->probes, 1) + 1;
        if (now > atomic_load(&shared->most))
            atomic_store(&shared->most, now);
        atomic_fetch_sub(&shared->probes, 1);
        if (i % 2)
            breaker_abandon(&shared->breaker, probe, start_ms + i);
        else
            breaker_failure(&shared->breaker, probe, start_ms + i);
    }
    return NULL;
}

static void test_single_flight(void **state)
{
    struct shared shared = {0};
    pthread_t threads[THREADS];
    open_it(&shared.breaker, start_ms);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &shared), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(shared.most, 1);
    assert_int_equal(breaker_state(&shared.breaker), BREAKER_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_in_a_row), cmocka_unit_test(test_half_of_a_window),
        cmocka_unit_test(test_open_times),        cmocka_unit_test(test_jitter_differs),
        cmocka_unit_test(test_probe_ends),        cmocka_unit_test(test_slow_probe),
        cmocka_unit_test(test_early_probe),
        cmocka_unit_test(test_single_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
