/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: one per thread, over libuv, with timers, descriptor watches, signals, a mailbox
 * and a pool for blocking work. Nothing outside io/ includes uv.h.
 *
 * Everything here belongs to the loop's thread except loop_post() and loop_wake_stop(). Callbacks
 * run on that thread, never from inside the call that registers them. An object may be freed inside
 * its own callback when its watch, timer or signal was stopped first: after stop no callback comes.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

/*
 * `clock` is borrowed for the loop's life. With clock_system the loop wakes for its timers; with
 * any other clock due timers run in every turn, and whoever moves that clock wakes the loop with
 * loop_post(). Ignores SIGPIPE and SIGXFSZ for the process. Returns owned; aborts when the kernel
 * has no descriptors.
 */
struct loop *loop_new(const struct clock *clock);

/*
 * Frees a loop that isn't running. All watches, timers and signals must have been stopped. Mail,
 * deferred calls and blocking work that are left are run to their end first. NULL is fine.
 */
void loop_free(struct loop *loop);

/* Runs until loop_stop(). */
void loop_run(struct loop *loop);

/* Ends loop_run() after the current turn. */
void loop_stop(struct loop *loop);

/* The clock's monotonic time at the start of this turn. */
int64_t loop_now_ms(const struct loop *loop);

const struct clock *loop_clock(const struct loop *loop);

/* ---- timers: plain structs in the caller's memory, no allocation ---- */

struct timer {
    struct loop *loop;
    void (*cb)(struct timer *timer, void *ctx);
    void *ctx;
    int64_t due_ms; /* loop time; meaningful while armed */
    uint64_t seq;   /* order of arming; decides among timers due at the same time */
    size_t slot;    /* place in the loop's heap plus one; 0 while not armed */
};

void timer_init(struct timer *timer, struct loop *loop, void (*cb)(struct timer *, void *),
                void *ctx);

/* One shot in `delay_ms` (>= 0); arming again moves it. */
void timer_start(struct timer *timer, int64_t delay_ms);

/* Not armed is fine; so is a zeroed timer. */
void timer_stop(struct timer *timer);

static inline bool timer_is_armed(const struct timer *timer)
{
    return timer->slot != 0;
}

/* ---- descriptor watches ---- */

enum watch_events {
    WATCH_READ = 1,
    WATCH_WRITE = 2,
    WATCH_HANGUP = 4, /* the peer closed or shut down its side (EPOLLRDHUP); also asked for alone */
};

struct watch;

/* `events` in the callback are those that are ready; an error is given as READ | WRITE. */
typedef void watch_cb(struct watch *watch, unsigned events, void *ctx);

/*
 * Watches `fd` (borrowed; not yet watched by this loop). Makes it non-blocking. A descriptor that
 * the kernel can't watch (a regular file) is ready in every turn: READ | WRITE. Returns owned.
 */
struct watch *watch_new(struct loop *loop, int fd, watch_cb *cb, void *ctx);

/* Sets the events of interest; 0 pauses. Cheap when nothing changes. */
void watch_set(struct watch *watch, unsigned events);

/* Ends the watch; `fd` may be closed right after. NULL is fine. */
void watch_free(struct watch *watch);

/* ---- signals ---- */

struct signal_watch;
struct signal_watch *signal_watch_new(struct loop *loop, int signum,
                                      void (*cb)(int signum, void *ctx), void *ctx);
void signal_watch_free(struct signal_watch *watch);

/* ---- mailbox and end of turn ---- */

/* Any thread: runs fn(arg) on the loop's thread soon. loop_free() first runs what was posted. */
void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg);

/* Any thread: loop_stop() by mail. */
void loop_wake_stop(struct loop *loop);

/*
 * Loop thread: runs fn(arg) at the end of this turn, in the order of the calls; what those defer
 * runs in the same turn too. For freeing objects.
 */
void loop_defer(struct loop *loop, void (*fn)(void *arg), void *arg);

/* ---- blocking work ---- */

/*
 * Runs work(arg) on a pool thread, then done(arg) on the loop's thread. The pool is shared by all
 * loops of the process (4 threads). For getaddrinfo, password hashing, slow files; never for waits
 * without an end.
 */
void loop_work(struct loop *loop, void (*work)(void *arg), void (*done)(void *arg), void *arg);
