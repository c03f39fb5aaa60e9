/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting until it is known what models are made of. */
#include "control/shapes_priv.h"

struct shape_wait {
    struct list_node node;
    struct shapes *shapes;
    struct timer timer;
    const struct model *models;
    size_t count;
    void (*done)(void *ctx);
    void *ctx;
};

static void end(struct shape_wait *wait)
{
    list_remove(&wait->node);
    timer_stop(&wait->timer);
    wait->done(wait->ctx);
    free(wait);
}

static void on_timeout(struct timer *timer, void *ctx)
{
    end(ctx);
}

bool shapes_are_awaited(struct shapes *shapes, const struct model *models, size_t count)
{
    bool is_one = false; /* all are asked for: that starts what has to be started */
    for (size_t i = 0; i < count; i++)
        is_one = (shapes_of(shapes, &models[i])->state == SHAPE_AWAITED) | is_one;
    return is_one;
}

void shapes_await(struct shapes *shapes, const struct model *models, size_t count,
                  int64_t timeout_ms, void (*done)(void *ctx), void *ctx)
{
    struct shape_wait *wait = mem_alloc(sizeof *wait);
    *wait = (struct shape_wait){
        .shapes = shapes, .models = models, .count = count, .done = done, .ctx = ctx};
    list_add_tail(&shapes->waits, &wait->node);
    timer_init(&wait->timer, shapes->params.loop, on_timeout, wait);
    timer_start(&wait->timer, timeout_ms);
    shapes->are_waits_due = true;
    shapes->params.wake(shapes->params.ctx); /* it may be known already */
}

void shapes_end_waits(struct shapes *shapes)
{
    if (!shapes->are_waits_due)
        return;
    shapes->are_waits_due = false;
    LIST_FOR_EACH(struct shape_wait, wait, &shapes->waits, node) {
        if (!shapes_are_awaited(shapes, wait->models, wait->count))
            end(wait);
    }
}

void waits_end(struct shapes *shapes)
{
    LIST_FOR_EACH(struct shape_wait, wait, &shapes->waits, node)
        end(wait);
}
