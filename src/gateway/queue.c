/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/queue.h"

static void on_look(struct timer *timer, void *ctx)
{
    struct queue *queue = ctx;
    (void)timer;
    queue_wake(queue);
}

void queue_init(struct queue *queue, struct loop *loop, unsigned max,
                bool (*is_served)(struct waiter *waiter))
{
    *queue = (struct queue){.loop = loop, .max = max, .is_served = is_served};
    list_init(&queue->waiters);
    timer_init(&queue->look, loop, on_look, queue);
}

void queue_fini(struct queue *queue)
{
    timer_stop(&queue->look);
}

static unsigned count_of(const struct queue *queue, int64_t model_id)
{
    unsigned count = 0;
    LIST_FOR_EACH (struct waiter, waiter, &queue->waiters, node)
        count += waiter->model_id == model_id;
    return count;
}

static void on_deadline(struct timer *timer, void *ctx)
{
    struct waiter *waiter = ctx;
    (void)timer;
    queue_leave(waiter);
    waiter->cb(waiter, true);
}

bool queue_enter(struct queue *queue, struct waiter *waiter, int64_t model_id, int64_t timeout_ms,
                 void (*cb)(struct waiter *waiter, bool is_late))
{
    if (count_of(queue, model_id) >= queue->max)
        return false;
    waiter->queue = queue;
    waiter->model_id = model_id;
    waiter->cb = cb;
    list_add_tail(&queue->waiters, &waiter->node);
    queue->count++;
    timer_init(&waiter->deadline, queue->loop, on_deadline, waiter);
    timer_start(&waiter->deadline, timeout_ms);
    if (!timer_is_armed(&queue->look))
        timer_start(&queue->look, QUEUE_LOOK_MS);
    return true;
}

void queue_leave(struct waiter *waiter)
{
    if (!list_is_linked(&waiter->node))
        return;
    list_remove(&waiter->node);
    timer_stop(&waiter->deadline);
    waiter->queue->count--;
}

void queue_wake(struct queue *queue)
{
    struct list_node all;
    list_init(&all);
    /* Taken out first: who is called may enter again, behind those that came before. */
    LIST_FOR_EACH (struct waiter, waiter, &queue->waiters, node) {
        if (!queue->is_served(waiter))
            continue;
        queue_leave(waiter);
        list_add_tail(&all, &waiter->node);
    }
    struct waiter *waiter;
    while ((waiter = LIST_FIRST(&all, struct waiter, node))) {
        list_remove(&waiter->node);
        waiter->cb(waiter, false);
    }
    if (queue->count)
        timer_start(&queue->look, QUEUE_LOOK_MS);
    else
        timer_stop(&queue->look);
}
