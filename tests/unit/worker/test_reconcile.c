/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/reconcile.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NOW = 1000000, SAME = 3, OTHER = 4 };

static struct desired_instance wanted_1 = {
    .id = 1, .model_generation = SAME, .restart_on_error = true};

/* One instance, id 1, in every phase against every kind of desired state. */
static const struct {
    const char *name;
    enum { UNKNOWN, EMPTY, LISTED, LISTED_NO_RESTART, OUTDATED } desired;
    enum runner_phase phase;
    int64_t retry_at_ms, progress_at_ms;
    int effect; /* -1: none */
    enum stop_reason stop;
    int64_t wake_ms;
} rows[] = {
    {"nothing is started before control spoke", UNKNOWN, PHASE_NEW, 0, 0, -1, 0, INT64_MAX},
    {"a dead one isn't started before control spoke", UNKNOWN, PHASE_FAILED, NOW - 1, 0, -1, 0,
     INT64_MAX},
    {"a serving one is kept before control spoke", UNKNOWN, PHASE_SERVING, 0, 0, -1, 0, INT64_MAX},
    {"a starting one is kept before control spoke", UNKNOWN, PHASE_STARTING, 0, NOW - 1, -1, 0,
     NOW - 1 + STALL_MS},
    {"a new one is started", LISTED, PHASE_NEW, 0, 0, EFFECT_START, 0, INT64_MAX},
    {"a new one is started whatever restart_on_error says", LISTED_NO_RESTART, PHASE_NEW, 0, 0,
     EFFECT_START, 0, INT64_MAX},
    {"prepared waits before control spoke", UNKNOWN, PHASE_PREPARED, 0, 0, -1, 0, INT64_MAX},
    {"preparing is left alone", LISTED, PHASE_PREPARING, 0, 0, -1, 0, INT64_MAX},
    {"starting has time", LISTED, PHASE_STARTING, 0, NOW, -1, 0, NOW + STALL_MS},
    {"starting has time to the last moment", LISTED, PHASE_STARTING, 0, NOW - STALL_MS + 1, -1, 0,
     NOW + 1},
    {"starting without progress is stopped", LISTED, PHASE_STARTING, 0, NOW - STALL_MS, EFFECT_STOP,
     STOP_STALLED, INT64_MAX},
    {"serving is left alone however old", LISTED, PHASE_SERVING, 0, NOW - 2 * STALL_MS, -1, 0,
     INT64_MAX},
    {"stopping is left alone", LISTED, PHASE_STOPPING, 0, 0, -1, 0, INT64_MAX},
    {"a failed one waits", LISTED, PHASE_FAILED, NOW + 5, 0, -1, 0, NOW + 5},
    {"a failed one is started when due", LISTED, PHASE_FAILED, NOW, 0, EFFECT_START, 0, INT64_MAX},
    {"a failed one stays so", LISTED_NO_RESTART, PHASE_FAILED, NOW, 0, -1, 0, INT64_MAX},
    {"unlisted and new", EMPTY, PHASE_NEW, 0, 0, EFFECT_REMOVE, 0, INT64_MAX},
    {"unlisted and preparing", EMPTY, PHASE_PREPARING, 0, 0, EFFECT_REMOVE, 0, INT64_MAX},
    {"unlisted and prepared", EMPTY, PHASE_PREPARED, 0, 0, EFFECT_REMOVE, 0, INT64_MAX},
    {"unlisted and starting", EMPTY, PHASE_STARTING, 0, NOW, EFFECT_STOP, STOP_UNWANTED, INT64_MAX},
    {"unlisted and serving", EMPTY, PHASE_SERVING, 0, 0, EFFECT_STOP, STOP_UNWANTED, INT64_MAX},
    {"unlisted and stopping", EMPTY, PHASE_STOPPING, 0, 0, -1, 0, INT64_MAX},
    {"unlisted and failed", EMPTY, PHASE_FAILED, NOW + 5, 0, EFFECT_REMOVE, 0, INT64_MAX},
    {"outdated and new", OUTDATED, PHASE_NEW, 0, 0, EFFECT_RENEW, 0, INT64_MAX},
    {"outdated and preparing", OUTDATED, PHASE_PREPARING, 0, 0, EFFECT_RENEW, 0, INT64_MAX},
    {"outdated and serving", OUTDATED, PHASE_SERVING, 0, 0, EFFECT_STOP, STOP_UNWANTED, INT64_MAX},
    {"outdated and failed", OUTDATED, PHASE_FAILED, NOW + 5, 0, EFFECT_RENEW, 0, INT64_MAX},
};

static void test_every_phase(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct desired_instance item = wanted_1;
        item.restart_on_error = rows[i].desired != LISTED_NO_RESTART;
        item.model_generation = rows[i].desired == OUTDATED ? OTHER : SAME;
        struct desired_state desired = {.known = rows[i].desired != UNKNOWN,
                                        .items = &item,
                                        .count = rows[i].desired >= LISTED};
        struct observed_instance seen = {.id = 1,
                                         .model_generation = SAME,
                                         .phase = rows[i].phase,
                                         .retry_at_ms = rows[i].retry_at_ms,
                                         .progress_at_ms = rows[i].progress_at_ms};
        struct effects effects = {0};
        int64_t wake_ms = worker_reconcile(&desired, &seen, 1, NOW, &effects);
        if (wake_ms != rows[i].wake_ms || effects.count != (rows[i].effect < 0 ? 0 : 1) ||
            (effects.count && (int)effects.items[0].kind != rows[i].effect) ||
            (effects.count && rows[i].effect == EFFECT_STOP &&
             effects.items[0].stop != rows[i].stop))
            fail_msg("%s: %zu effects, kind %d, wake %lld", rows[i].name, effects.count,
                     effects.count ? (int)effects.items[0].kind : -1, (long long)wake_ms);
        effects_fini(&effects);
    }
}

/* Drains, limits and gangs: the same, with what is wanted and what is seen said in whole. */
static const struct {
    const char *name;
    struct desired_instance wanted; /* id, generation and restart_on_error are filled in */
    struct observed_instance seen;  /* the first two as well */
    int effect;                     /* -1: none */
    enum stop_reason stop;
    int64_t wake_ms;
} cases[] = {
    {"prepared is launched", {0}, {.phase = PHASE_PREPARED}, EFFECT_LAUNCH, 0, INT64_MAX},
    {"prepared waits for the devices",
     {0},
     {.phase = PHASE_PREPARED, .launch_at_ms = NOW + 7},
     -1,
     0,
     NOW + 7},
    {"devices are known",
     {0},
     {.phase = PHASE_PREPARED, .launch_at_ms = NOW},
     EFFECT_LAUNCH,
     0,
     INT64_MAX},
    {"refused: looks again in time",
     {0},
     {.phase = PHASE_FAILED, .is_refused = true, .retry_at_ms = NOW + 9},
     -1,
     0,
     NOW + 9},
    {"refused: limits are for failures",
     {.max_restarts = 3},
     {.phase = PHASE_FAILED, .is_refused = true, .failures = 3, .retry_at_ms = NOW},
     EFFECT_START,
     0,
     INT64_MAX},
    /* limits */
    {"below the limit",
     {.max_restarts = 3},
     {.phase = PHASE_FAILED, .failures = 2, .retry_at_ms = NOW},
     EFFECT_START,
     0,
     INT64_MAX},
    {"at the limit",
     {.max_restarts = 3},
     {.phase = PHASE_FAILED, .failures = 3, .retry_at_ms = NOW},
     -1,
     0,
     INT64_MAX},
    {"no limit",
     {0},
     {.phase = PHASE_FAILED, .failures = 3000, .retry_at_ms = NOW},
     EFFECT_START,
     0,
     INT64_MAX},
    /* drains */
    {"draining starts nothing", {.draining = true}, {.phase = PHASE_NEW}, -1, 0, INT64_MAX},
    {"draining tries nothing again", {.draining = true}, {.phase = PHASE_FAILED}, -1, 0, INT64_MAX},
    {"draining looks up nothing",
     {.draining = true},
     {.phase = PHASE_PREPARING},
     EFFECT_RENEW,
     0,
     INT64_MAX},
    {"draining launches nothing",
     {.draining = true},
     {.phase = PHASE_PREPARED},
     EFFECT_RENEW,
     0,
     INT64_MAX},
    {"draining with requests",
     {.draining = true},
     {.phase = PHASE_SERVING, .quiet_since_ms = INT64_MAX, .drain_deadline_ms = NOW + 9},
     -1,
     0,
     NOW + 9},
    {"draining and quiet for too short",
     {.draining = true},
     {.phase = PHASE_SERVING, .quiet_since_ms = NOW, .drain_deadline_ms = NOW + 9000},
     -1,
     0,
     NOW + DRAIN_QUIET_MS},
    {"draining and quiet",
     {.draining = true},
     {.phase = PHASE_SERVING,
      .quiet_since_ms = NOW - DRAIN_QUIET_MS,
      .drain_deadline_ms = NOW + 9000},
     EFFECT_STOP,
     STOP_DRAINED,
     INT64_MAX},
    {"draining, requests, too late",
     {.draining = true},
     {.phase = PHASE_SERVING, .quiet_since_ms = INT64_MAX, .drain_deadline_ms = NOW},
     EFFECT_STOP,
     STOP_DRAINED,
     INT64_MAX},
    {"draining while starting",
     {.draining = true},
     {.phase = PHASE_STARTING, .quiet_since_ms = INT64_MAX, .progress_at_ms = NOW},
     EFFECT_STOP,
     STOP_DRAINED,
     INT64_MAX},
    {"draining and stopping", {.draining = true}, {.phase = PHASE_STOPPING}, -1, 0, INT64_MAX},
    {"draining before other settings",
     {.draining = true, .model_generation = OTHER},
     {.phase = PHASE_SERVING, .quiet_since_ms = INT64_MAX, .drain_deadline_ms = NOW + 9},
     -1,
     0,
     NOW + 9},
    {"drained, and other settings",
     {.draining = true, .model_generation = OTHER},
     {.phase = PHASE_NEW},
     EFFECT_RENEW,
     0,
     INT64_MAX},
    {"drained no longer", {0}, {.phase = PHASE_NEW}, EFFECT_START, 0, INT64_MAX},
    {"serves on when drained no longer",
     {0},
     {.phase = PHASE_SERVING, .quiet_since_ms = INT64_MAX, .drain_deadline_ms = INT64_MAX},
     -1,
     0,
     INT64_MAX},
    /* gangs */
    {"a rank prepares without go",
     {.rank = 1, .rank_count = 2, .gang_epoch = 4},
     {.rank = 1, .gang_epoch = 4, .phase = PHASE_NEW},
     EFFECT_START,
     0,
     INT64_MAX},
    {"a prepared rank waits",
     {.rank = 1, .rank_count = 2, .gang_epoch = 4},
     {.rank = 1, .gang_epoch = 4, .phase = PHASE_PREPARED},
     -1,
     0,
     INT64_MAX},
    {"a prepared rank goes",
     {.rank = 1, .rank_count = 2, .gang_epoch = 4, .go = true},
     {.rank = 1, .gang_epoch = 4, .phase = PHASE_PREPARED},
     EFFECT_LAUNCH,
     0,
     INT64_MAX},
    {"go is not for another epoch",
     {.rank = 1, .rank_count = 2, .gang_epoch = 5, .go = true},
     {.rank = 1, .gang_epoch = 4, .phase = PHASE_PREPARED},
     EFFECT_RENEW,
     0,
     INT64_MAX},
    {"another epoch stops",
     {.rank = 1, .rank_count = 2, .gang_epoch = 5},
     {.rank = 1, .gang_epoch = 4, .phase = PHASE_SERVING},
     EFFECT_STOP,
     STOP_UNWANTED,
     INT64_MAX},
    {"another epoch stops what starts",
     {.rank = 1, .rank_count = 2, .gang_epoch = 5},
     {.rank = 1, .gang_epoch = 4, .phase = PHASE_STARTING, .progress_at_ms = NOW},
     EFFECT_STOP,
     STOP_UNWANTED,
     INT64_MAX},
    {"an epoch that is over isn't drained",
     {.rank = 1, .rank_count = 2, .gang_epoch = 5, .draining = true},
     {.rank = 1,
      .gang_epoch = 4,
      .phase = PHASE_SERVING,
      .quiet_since_ms = INT64_MAX,
      .drain_deadline_ms = NOW + 9},
     EFFECT_STOP,
     STOP_UNWANTED,
     INT64_MAX},
    {"a failed rank makes no try",
     {.rank = 1, .rank_count = 2, .gang_epoch = 4, .go = true},
     {.rank = 1, .gang_epoch = 4, .phase = PHASE_FAILED, .failures = 1, .retry_at_ms = NOW - 1},
     -1,
     0,
     INT64_MAX},
    {"a failed rank in another epoch",
     {.rank = 1, .rank_count = 2, .gang_epoch = 5},
     {.rank = 1, .gang_epoch = 4, .phase = PHASE_FAILED, .failures = 1},
     EFFECT_RENEW,
     0,
     INT64_MAX},
    {"another rank is another try",
     {.rank = 0, .rank_count = 2, .gang_epoch = 4},
     {.rank = 1, .gang_epoch = 4, .phase = PHASE_SERVING},
     EFFECT_STOP,
     STOP_UNWANTED,
     INT64_MAX},
};

static void test_drains_limits_and_gangs(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct desired_instance item = cases[i].wanted;
        struct observed_instance seen = cases[i].seen;
        item.id = seen.id = 1;
        item.restart_on_error = true;
        item.model_generation = item.model_generation ? item.model_generation : SAME;
        seen.model_generation = SAME;
        struct desired_state desired = {.known = true, .items = &item, .count = 1};
        struct effects effects = {0};
        int64_t wake_ms = worker_reconcile(&desired, &seen, 1, NOW, &effects);
        if (wake_ms != cases[i].wake_ms || effects.count != (cases[i].effect < 0 ? 0 : 1) ||
            (effects.count && (int)effects.items[0].kind != cases[i].effect) ||
            (effects.count && cases[i].effect == EFFECT_STOP &&
             effects.items[0].stop != cases[i].stop))
            fail_msg("%s: %zu effects, kind %d, wake %lld", cases[i].name, effects.count,
                     effects.count ? (int)effects.items[0].kind : -1, (long long)wake_ms);
        effects_fini(&effects);
    }
}

/* After a restart of the worker it goes on as it was until control speaks. */
static void test_a_drain_stops_nothing_before_control_spoke(void **state)
{
    struct desired_state unknown = {0};
    struct observed_instance seen = {
        .id = 1, .model_generation = SAME, .phase = PHASE_SERVING, .quiet_since_ms = 0};
    struct effects effects = {0};
    assert_int_equal(worker_reconcile(&unknown, &seen, 1, NOW, &effects), INT64_MAX);
    assert_int_equal(effects.count, 0);
}

static void test_many_at_once(void **state)
{
    struct desired_instance items[] = {{.id = 2, .model_generation = SAME},
                                       {.id = 5, .model_generation = SAME},
                                       {.id = 9, .model_generation = SAME}};
    struct desired_state desired = {.known = true, .items = items, .count = 3};
    struct observed_instance seen[] = {
        {.id = 9, .model_generation = SAME, .phase = PHASE_SERVING},
        {.id = 7, .model_generation = SAME, .phase = PHASE_SERVING},
        {.id = 2, .model_generation = SAME, .phase = PHASE_NEW},
    };
    struct effects effects = {0};
    worker_reconcile(&desired, seen, 3, NOW, &effects);
    assert_int_equal(effects.count, 3);
    assert_int_equal(effects.items[0].kind, EFFECT_STOP);
    assert_int_equal(effects.items[0].id, 7);
    assert_int_equal(effects.items[1].kind, EFFECT_START);
    assert_ptr_equal(effects.items[1].desired, &items[0]);
    assert_int_equal(effects.items[2].kind, EFFECT_ADD);
    assert_ptr_equal(effects.items[2].desired, &items[1]);
    effects_fini(&effects);
}

static void test_back_off(void **state)
{
    static const int64_t delays_s[] = {10, 20, 40, 80, 160, 300, 300};
    for (unsigned i = 0; i < ARRAY_LEN(delays_s); i++)
        assert_int_equal(restart_delay_ms(i + 1), delays_s[i] * 1000);
    assert_int_equal(restart_delay_ms(4000000000U), RESTART_DELAY_MAX_MS);
    struct desired_instance gang = {.rank_count = 2}, off = {.max_restarts = 1};
    struct desired_instance limited = {.restart_on_error = true, .max_restarts = 2};
    assert_int_equal(restart_judge(&gang, 1), RESTART_BY_GANG);
    assert_int_equal(restart_judge(&off, 1), RESTART_NEVER);
    assert_int_equal(restart_judge(&limited, 1), RESTART_LATER);
    assert_int_equal(restart_judge(&limited, 2), RESTART_LIMITED);
    assert_int_equal(restart_failures(3, RESTART_HEALTHY_MS - 1), 4);
    assert_int_equal(restart_failures(3, RESTART_HEALTHY_MS), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_phase),
        cmocka_unit_test(test_drains_limits_and_gangs),
        cmocka_unit_test(test_a_drain_stops_nothing_before_control_spoke),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_back_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
