/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/events.h"

#include "base/mem.h"

#include <assert.h>

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->due_ms < b->due_ms || (a->due_ms == b->due_ms && a->seq < b->seq);
}

static void swap(struct sim_event *a, struct sim_event *b)
{
    struct sim_event kept = *a;
    *a = *b;
    *b = kept;
}

static size_t sift_up(struct sim_event *heap, size_t at)
{
    for (; at > 0 && is_before(&heap[at], &heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&heap[at], &heap[(at - 1) / 2]);
    return at;
}

static void sift_down(struct sim_event *heap, size_t count)
{
    for (size_t at = 0;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < count && is_before(&heap[child + 1], &heap[child]))
            child++;
        if (child >= count || !is_before(&heap[child], &heap[at]))
            return;
        swap(&heap[at], &heap[child]);
        at = child;
    }
}

struct sim_event *events_add(struct events *events, int64_t delay_ms,
                             void (*fn)(struct sim_event *event), void *ctx)
{
    assert(delay_ms >= 0);
    if (events->count == events->cap) {
        events->cap = events->cap ? 2 * events->cap : 64;
        events->heap = mem_resize(events->heap, events->cap * sizeof *events->heap);
    }
    events->heap[events->count] = (struct sim_event){
        .due_ms = events->now_ms + delay_ms, .seq = ++events->last_seq, .fn = fn, .ctx = ctx};
    return &events->heap[sift_up(events->heap, events->count++)];
}

static void release(struct sim_event *event)
{
    free(event->bearer);
    free(event->text);
}

bool events_step(struct events *events)
{
    if (!events->count)
        return false;
    struct sim_event event = events->heap[0];
    events->heap[0] = events->heap[--events->count];
    sift_down(events->heap, events->count);
    events->now_ms = event.due_ms;
    event.fn(&event);
    release(&event);
    return true;
}

void events_fini(struct events *events)
{
    for (size_t i = 0; i < events->count; i++)
        release(&events->heap[i]);
    free(events->heap);
    *events = (struct events){0};
}
