/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small epoll loop for test programs that need the bare socket: one thread, watches of
 * descriptors, alarms to the nanosecond. The product's own loop is io/loop.h.
 *
 *     struct poller poller;
 *     poller_init(&poller);
 *     poller_watch(&poller, &watch, fd, EPOLLIN, on_event);
 *     poller_run(&poller);
 *
 * Callbacks may stop any watch or alarm. Memory that holds a watch is given to poller_free_later():
 * an event of the same turn may still point to it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

struct poll_watch {
    int fd; /* -1 while not watched */
    uint32_t events;
    void (*cb)(struct poll_watch *watch, uint32_t events);
};

struct alarm {
    int64_t due_ns; /* CLOCK_MONOTONIC */
    size_t slot;    /* place in the heap plus one; 0 while not armed */
    void (*cb)(struct alarm *alarm);
};

struct poller {
    int fd;
    bool is_stopped;
    int64_t now_ns; /* CLOCK_MONOTONIC after the last wait */
    struct alarm **heap;
    size_t alarm_count, alarm_cap;
    void **garbage;
    size_t garbage_count, garbage_cap;
};

/* Aborts when the kernel has no descriptors. Raises the process's limit of them to its maximum. */
void poller_init(struct poller *poller);
void poller_fini(struct poller *poller);

/* Runs until poller_stop(). */
void poller_run(struct poller *poller);

/* Ends poller_run() after the present turn. */
void poller_stop(struct poller *poller);

/* The clock itself; `now_ns` is a little older. */
int64_t poller_clock(void);

/* Watches a descriptor, level-triggered. */
void poller_watch(struct poller *poller, struct poll_watch *watch, int fd, uint32_t events,
                  void (*cb)(struct poll_watch *watch, uint32_t events));

/* Asks for other events; the same again costs nothing. */
void poller_change(struct poller *poller, struct poll_watch *watch, uint32_t events);

/* No further events; the descriptor stays open and is returned, -1 when it wasn't watched. */
int poller_unwatch(struct poller *poller, struct poll_watch *watch);

/* Arms an alarm, or moves it. One that is due already rings in the next turn. */
void poller_alarm(struct poller *poller, struct alarm *alarm, int64_t due_ns);

/* Disarms; an alarm that isn't armed stays so. */
void poller_disarm(struct poller *poller, struct alarm *alarm);

/* free() at the end of this turn. */
void poller_free_later(struct poller *poller, void *memory);
