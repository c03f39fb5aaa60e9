/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual clock: a queue of events, run in the order of their times and, among equal times, of
 * their making. Time passes only from one event to the next.
 *
 * An event can't be taken back: its `tag` says for which life, request or timer it was made, and
 * its function ignores it when that is over.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_event {
    int64_t due_ms;
    uint64_t seq; /* order of making */
    void (*fn)(struct sim_event *event);
    void *ctx;
    uint64_t tag;
    int64_t number;
    char *bearer, *text; /* owned */
};

struct events {
    struct sim_event *heap; /* owned */
    size_t count, cap;
    uint64_t last_seq;
    int64_t now_ms;
};

/* The event is in the queue; its other members may be set until the next call. */
struct sim_event *events_add(struct events *events, int64_t delay_ms,
                             void (*fn)(struct sim_event *event), void *ctx);

/* Runs the next event; false when there is none. */
bool events_step(struct events *events);
void events_fini(struct events *events);
