/* SPDX-License-Identifier: Apache-2.0 */
#include "io/loop.h"

#include "base/buf.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A clock that stands still until a test moves it. */
static int64_t virtual_ms;

static int64_t read_virtual(void *ctx)
{
    (void)ctx;
    return virtual_ms;
}

static const struct clock virtual_clock = {.mono_ms = read_virtual, .wall_ms = read_virtual};

static void stop(void *arg)
{
    loop_stop(arg);
}

/* One turn: mail is handled, due timers run, then the loop ends. */
static void turn(struct loop *loop)
{
    loop_post(loop, stop, loop);
    loop_run(loop);
}

/* ---- timers ---- */

static struct buf trace; /* what ran, in order */

static void on_traced(struct timer *timer, void *ctx)
{
    (void)timer;
    buf_add_cstr(&trace, ctx);
}

static void assert_trace(const char *expected)
{
    assert_string_equal(trace.ptr ? trace.ptr : "", expected);
    buf_fini(&trace);
}

static char names[][2] = {"a", "b", "c", "d"};

static void test_timers_run_by_due_time_then_by_order(void **state)
{
    (void)state;
    static const struct {
        int64_t delay_ms[4];
        int64_t move_ms;
        const char *expected;
    } cases[] = {
        {{30, 10, 20, 40}, 100, "bcad"}, {{10, 10, 10, 10}, 10, "abcd"},
        {{10, 5, 10, 5}, 10, "bdac"},    {{0, 50, 51, 0}, 50, "adb"},
        {{7, 8, 9, 10}, 6, ""},          {{INT64_MAX, 1, INT64_MAX, 2}, 1000000, "bd"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct loop *loop = loop_new(&virtual_clock);
        struct timer timers[4];
        for (size_t k = 0; k < 4; k++) {
            timer_init(&timers[k], loop, on_traced, names[k]);
            timer_start(&timers[k], cases[i].delay_ms[k]);
        }
        virtual_ms += cases[i].move_ms;
        turn(loop);
        assert_trace(cases[i].expected);
        for (size_t k = 0; k < 4; k++)
            timer_stop(&timers[k]);
        loop_free(loop);
    }
}

static void test_many_timers_keep_heap_order(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    struct loop *loop = loop_new(&virtual_clock);
    static struct timer timers[COUNT];
    unsigned seed = 1;
    for (size_t i = 0; i < COUNT; i++) {
        seed = seed * 1103515245u + 12345u;
        timer_init(&timers[i], loop, on_traced, names[0]);
        timer_start(&timers[i], 1 + seed / 65536 % 100);
    }
    for (size_t i = 0; i < COUNT; i += 3)
        timer_stop(&timers[i]);
    for (int step = 0; step < 101; step++) {
        virtual_ms++;
        turn(loop);
        for (size_t i = 0; i < COUNT; i++)
            assert_true(timer_is_armed(&timers[i]) ==
                        (i % 3 != 0 && timers[i].due_ms > virtual_ms));
    }
    assert_int_equal(trace.len, COUNT - (COUNT + 2) / 3);
    buf_fini(&trace);
    loop_free(loop);
}

static void on_stop_other(struct timer *timer, void *ctx)
{
    (void)timer;
    buf_add_cstr(&trace, "stop ");
    timer_stop(ctx);
}

static void test_timer_stopped_in_a_callback_does_not_run(void **state)
{
    (void)state;
    struct loop *loop = loop_new(&virtual_clock);
    struct timer first, second;
    timer_init(&second, loop, on_traced, names[1]);
    timer_init(&first, loop, on_stop_other, &second);
    timer_start(&first, 5);
    timer_start(&second, 5);
    virtual_ms += 5;
    turn(loop);
    assert_trace("stop ");
    loop_free(loop);
}

static void on_again(struct timer *timer, void *ctx)
{
    (void)ctx;
    buf_add_cstr(&trace, "x");
    timer_start(timer, 0);
}

static void test_timer_armed_meanwhile_waits_for_the_next_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new(&virtual_clock);
    struct timer timer;
    timer_init(&timer, loop, on_again, NULL);
    timer_start(&timer, 0);
    turn(loop);
    assert_int_equal(trace.len, 1);
    turn(loop);
    assert_trace("xx");
    timer_stop(&timer);
    loop_free(loop);
}

static void on_stop_loop(struct timer *timer, void *ctx)
{
    (void)ctx;
    loop_stop(timer->loop);
}

static void test_system_clock_wakes_the_loop(void **state)
{
    (void)state;
    struct loop *loop = loop_new(&clock_system);
    struct timer timer = {0};
    timer_stop(&timer);
    timer_init(&timer, loop, on_stop_loop, NULL);
    int64_t start = loop_now_ms(loop);
    timer_start(&timer, 20);
    loop_run(loop);
    assert_true(loop_now_ms(loop) - start >= 20);
    loop_free(loop);
}

/* ---- mailbox, end of turn, work ---- */

enum { POSTERS = 4, LETTERS = 2000 };

struct post_office {
    struct loop *loop;
    unsigned arrived;
};

static void on_letter(void *arg)
{
    struct post_office *office = arg;
    if (++office->arrived == POSTERS * LETTERS)
        loop_stop(office->loop);
}

static void *post_letters(void *arg)
{
    struct post_office *office = arg;
    for (int i = 0; i < LETTERS; i++)
        loop_post(office->loop, on_letter, office);
    return NULL;
}

static void test_post_from_threads(void **state)
{
    (void)state;
    struct post_office office = {.loop = loop_new(&clock_system)};
    pthread_t threads[POSTERS];
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_letters, &office), 0);
    loop_run(office.loop);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(office.arrived, POSTERS * LETTERS);
    loop_free(office.loop);
}

static void add_text(void *arg)
{
    buf_add_cstr(&trace, arg);
}

static void test_mail_and_deferred_calls_run_before_free(void **state)
{
    (void)state;
    static char mail[] = "mail ", late[] = "late";
    struct loop *loop = loop_new(&clock_system);
    loop_post(loop, add_text, mail);
    loop_defer(loop, add_text, late);
    loop_free(loop);
    assert_trace("mail late");
    loop_free(NULL);
}

static void on_defer(struct timer *timer, void *ctx)
{
    loop_defer(timer->loop, add_text, ctx);
    buf_add_cstr(&trace, "timer ");
    loop_stop(timer->loop);
}

static void test_deferred_in_a_timer_runs_in_the_same_turn(void **state)
{
    (void)state;
    static char one[] = "one ", two[] = "two";
    struct loop *loop = loop_new(&virtual_clock);
    struct timer first, second;
    timer_init(&first, loop, on_defer, one);
    timer_init(&second, loop, on_defer, two);
    timer_start(&first, 0);
    timer_start(&second, 0);
    turn(loop);
    assert_trace("timer timer one two");
    loop_free(loop);
}

static void test_deferred_outside_a_turn_does_not_wait(void **state)
{
    (void)state;
    struct loop *loop = loop_new(&clock_system);
    loop_defer(loop, stop, loop); /* hangs when the first turn polls without an end */
    loop_run(loop);
    loop_free(loop);
}

struct job {
    struct loop *loop;
    pthread_t worker;
    bool is_done;
};

static void do_work(void *arg)
{
    struct job *job = arg;
    job->worker = pthread_self();
}

static void on_worked(void *arg)
{
    struct job *job = arg;
    job->is_done = true;
    loop_stop(job->loop);
}

static void test_work_runs_elsewhere_and_is_done_here(void **state)
{
    (void)state;
    struct job job = {.loop = loop_new(&clock_system)};
    loop_work(job.loop, do_work, on_worked, &job);
    loop_run(job.loop);
    assert_true(job.is_done);
    assert_false(pthread_equal(job.worker, pthread_self()));
    job.is_done = false;
    loop_work(job.loop, do_work, on_worked, &job);
    loop_free(job.loop);
    assert_true(job.is_done);
}

static void *wake_stop(void *arg)
{
    loop_wake_stop(arg);
    return NULL;
}

static void test_wake_stop_from_a_thread(void **state)
{
    (void)state;
    struct loop *loop = loop_new(&clock_system);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_stop, loop), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    loop_free(loop);
}

/* ---- watches ---- */

struct seen {
    struct loop *loop;
    int fd;
    unsigned events;
    unsigned calls;
};

static void on_seen(struct watch *watch, unsigned events, void *ctx)
{
    (void)watch;
    struct seen *seen = ctx;
    seen->events |= events;
    seen->calls++;
    loop_stop(seen->loop);
}

static void make_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void send_byte(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

static void shut_down(int fd)
{
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
}

static void test_watch_tells_what_is_ready(void **state)
{
    (void)state;
    static const struct {
        unsigned wanted;
        void (*peer)(int fd);
        unsigned expected;
    } cases[] = {
        {WATCH_READ, send_byte, WATCH_READ},
        {WATCH_WRITE, send_byte, WATCH_WRITE},
        {WATCH_READ | WATCH_WRITE, send_byte, WATCH_READ | WATCH_WRITE},
        {WATCH_HANGUP, shut_down, WATCH_HANGUP},
        {WATCH_READ | WATCH_HANGUP, shut_down, WATCH_READ | WATCH_HANGUP},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fds[2];
        make_pair(fds);
        struct seen seen = {.loop = loop_new(&clock_system)};
        struct watch *watch = watch_new(seen.loop, fds[0], on_seen, &seen);
        watch_set(watch, cases[i].wanted);
        cases[i].peer(fds[1]);
        loop_run(seen.loop);
        assert_int_equal(seen.events, cases[i].expected);
        watch_free(watch);
        close(fds[0]);
        close(fds[1]);
        loop_free(seen.loop);
    }
}

static void test_hangup_alone_ignores_bytes(void **state)
{
    (void)state;
    int fds[2];
    make_pair(fds);
    struct seen seen = {.loop = loop_new(&clock_system)};
    struct watch *watch = watch_new(seen.loop, fds[0], on_seen, &seen);
    watch_set(watch, WATCH_HANGUP);
    send_byte(fds[1]);
    turn(seen.loop);
    assert_int_equal(seen.calls, 0);
    watch_set(watch, WATCH_READ);
    watch_set(watch, 0);
    turn(seen.loop);
    assert_int_equal(seen.calls, 0);
    watch_free(watch);
    close(fds[0]);
    close(fds[1]);
    loop_free(seen.loop);
}

static void on_free_and_close(struct watch *watch, unsigned events, void *ctx)
{
    (void)events;
    struct seen *seen = ctx;
    seen->calls++;
    watch_free(watch);
    close(seen->fd);
    /* The same descriptor number at once, with something to read, must not be mistaken. */
    int fds[2];
    make_pair(fds);
    send_byte(fds[1]);
    assert_int_equal(fds[0], seen->fd);
    struct watch *next = watch_new(seen->loop, fds[0], on_seen, seen);
    watch_set(next, WATCH_READ);
    seen->fd = fds[1];
    watch_free(next);
    close(fds[0]);
    loop_stop(seen->loop);
}

static void test_watch_freed_in_its_callback(void **state)
{
    (void)state;
    int fds[2];
    make_pair(fds);
    struct seen seen = {.loop = loop_new(&clock_system), .fd = fds[0]};
    struct watch *watch = watch_new(seen.loop, fds[0], on_free_and_close, &seen);
    watch_set(watch, WATCH_READ);
    send_byte(fds[1]);
    loop_run(seen.loop);
    turn(seen.loop);
    assert_int_equal(seen.calls, 1);
    close(fds[1]);
    close(seen.fd);
    loop_free(seen.loop);
    watch_free(NULL);
}

static void test_file_that_cannot_be_watched_is_ready(void **state)
{
    (void)state;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct seen seen = {.loop = loop_new(&clock_system)};
    struct watch *watch = watch_new(seen.loop, fd, on_seen, &seen);
    turn(seen.loop);
    assert_int_equal(seen.calls, 0);
    watch_set(watch, WATCH_READ);
    loop_run(seen.loop);
    loop_run(seen.loop);
    assert_int_equal(seen.events, WATCH_READ | WATCH_WRITE);
    assert_int_equal(seen.calls, 2);
    watch_free(watch);
    close(fd);
    loop_free(seen.loop);
}

static void on_signal(int signum, void *ctx)
{
    struct seen *seen = ctx;
    seen->calls++;
    seen->events = (unsigned)signum;
    loop_stop(seen->loop);
}

static void test_signals_arrive_and_sigpipe_is_ignored(void **state)
{
    (void)state;
    struct seen seen = {.loop = loop_new(&clock_system)};
    struct signal_watch *watch = signal_watch_new(seen.loop, SIGUSR1, on_signal, &seen);
    raise(SIGPIPE);
    raise(SIGUSR1);
    loop_run(seen.loop);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.events, SIGUSR1);
    signal_watch_free(watch);
    signal_watch_free(NULL);
    loop_free(seen.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_run_by_due_time_then_by_order),
        cmocka_unit_test(test_many_timers_keep_heap_order),
        cmocka_unit_test(test_timer_stopped_in_a_callback_does_not_run),
        cmocka_unit_test(test_timer_armed_meanwhile_waits_for_the_next_turn),
        cmocka_unit_test(test_system_clock_wakes_the_loop),
        cmocka_unit_test(test_post_from_threads),
        cmocka_unit_test(test_mail_and_deferred_calls_run_before_free),
        cmocka_unit_test(test_deferred_in_a_timer_runs_in_the_same_turn),
        cmocka_unit_test(test_deferred_outside_a_turn_does_not_wait),
        cmocka_unit_test(test_work_runs_elsewhere_and_is_done_here),
        cmocka_unit_test(test_wake_stop_from_a_thread),
        cmocka_unit_test(test_watch_tells_what_is_ready),
        cmocka_unit_test(test_hangup_alone_ignores_bytes),
        cmocka_unit_test(test_watch_freed_in_its_callback),
        cmocka_unit_test(test_file_that_cannot_be_watched_is_ready),
        cmocka_unit_test(test_signals_arrive_and_sigpipe_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
