/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of struct loop, shared by the files of io/ only. */
#pragma once

#include "io/loop.h"

#include <pthread.h>
#include <uv.h>

struct task {
    void (*fn)(void *arg);
    void *arg;
    struct task *next;
};

/* Calls to make, first in first out. The zero value is empty. */
struct task_queue {
    struct task *first, *last;
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t before_poll; /* sets the alarm */
    uv_check_t after_poll;    /* runs due timers, then what was deferred */
    uv_timer_t alarm;         /* ends the poll when the earliest timer is due */
    uv_async_t bell;          /* ends the poll when there is mail */

    const struct clock *clock; /* borrowed */
    int64_t turn_ms;           /* time of this turn; meaningful while turn_has_time */
    bool turn_has_time;        /* false while polling and outside loop_run() */

    struct timer **heap; /* owned; the timers themselves are not */
    size_t timer_count;
    size_t timer_cap;
    uint64_t timer_seq; /* next timer's place among those due at the same time */

    struct task_queue deferred;
    struct task *spare_tasks; /* of calls that were made, to be used again */
    unsigned spare_count;
    pthread_mutex_t mail_lock; /* guards `mail`, the one thing other threads touch */
    struct task_queue mail;

    unsigned watches; /* descriptor and signal watches that were not freed */
    unsigned working; /* pieces of blocking work under way */

    struct ssl_ctx_st *tls; /* owned; NULL until the first TLS connection */
};

/* Takes the turn's time if that wasn't done; first thing in every callback from libuv. */
void loop_enter(struct loop *loop);

/* Runs the timers that are due, except those armed meanwhile. */
void timers_run(struct loop *loop);

/* Milliseconds until the earliest timer is due (>= 0), or -1 when there is none. */
int64_t timers_delay_ms(const struct loop *loop);
