/* SPDX-License-Identifier: Apache-2.0 */
/* Timers of a loop: a binary heap of pointers, the earliest on top; each timer knows its slot. */
#include "io/loop_priv.h"

#include <assert.h>

enum { HEAP_MIN = 16 };

static bool is_before(const struct timer *a, const struct timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->seq < b->seq;
}

static void put(struct loop *loop, size_t index, struct timer *timer)
{
    loop->heap[index] = timer;
    timer->slot = index + 1;
}

static void sift_up(struct loop *loop, size_t index)
{
    struct timer *timer = loop->heap[index];
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!is_before(timer, loop->heap[parent]))
            break;
        put(loop, index, loop->heap[parent]);
        index = parent;
    }
    put(loop, index, timer);
}

static void sift_down(struct loop *loop, size_t index)
{
    struct timer *timer = loop->heap[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= loop->timer_count)
            break;
        if (child + 1 < loop->timer_count && is_before(loop->heap[child + 1], loop->heap[child]))
            child++;
        if (!is_before(loop->heap[child], timer))
            break;
        put(loop, index, loop->heap[child]);
        index = child;
    }
    put(loop, index, timer);
}

void timer_init(struct timer *timer, struct loop *loop, void (*cb)(struct timer *, void *),
                void *ctx)
{
    *timer = (struct timer){.loop = loop, .cb = cb, .ctx = ctx};
}

void timer_start(struct timer *timer, int64_t delay_ms)
{
    struct loop *loop = timer->loop;
    assert(delay_ms >= 0);
    timer_stop(timer);
    if (loop->timer_count == loop->timer_cap) {
        loop->timer_cap = loop->timer_cap ? 2 * loop->timer_cap : HEAP_MIN;
        loop->heap = mem_resize(loop->heap, loop->timer_cap * sizeof(struct timer *));
    }
    /* A delay beyond the end of time means never. */
    if (__builtin_add_overflow(loop_now_ms(loop), delay_ms, &timer->due_ms))
        timer->due_ms = INT64_MAX;
    timer->seq = loop->timer_seq++;
    put(loop, loop->timer_count++, timer);
    sift_up(loop, timer->slot - 1);
}

void timer_stop(struct timer *timer)
{
    if (timer->slot == 0)
        return;
    struct loop *loop = timer->loop;
    size_t index = timer->slot - 1;
    timer->slot = 0;
    struct timer *last = loop->heap[--loop->timer_count];
    if (last == timer)
        return;
    put(loop, index, last);
    sift_up(loop, index);
    sift_down(loop, last->slot - 1);
}

void timers_run(struct loop *loop)
{
    uint64_t end = loop->timer_seq;
    while (loop->timer_count) {
        struct timer *timer = loop->heap[0];
        if (timer->due_ms > loop->turn_ms || timer->seq >= end)
            break;
        timer_stop(timer);
        timer->cb(timer, timer->ctx);
    }
}

int64_t timers_delay_ms(const struct loop *loop)
{
    if (loop->timer_count == 0)
        return -1;
    int64_t delay = loop->heap[0]->due_ms - clock_mono_ms(loop->clock);
    return delay > 0 ? delay : 0;
}
