/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/port_watch.h"

struct port_look {
    struct port_watch *watch; /* NULL: it was stopped meanwhile */
    unsigned port;
    int rc;
    struct port_use use;
};

static void look_on_pool(void *arg)
{
    struct port_look *look = arg;
    look->rc = port_use_read(look->port, &look->use);
}

static void on_looked(void *arg)
{
    struct port_look *look = arg;
    struct port_watch *watch = look->watch;
    if (watch) {
        watch->look = NULL;
        timer_start(&watch->timer, watch->interval_ms);
        watch->cb(watch, look->rc == 0 ? &look->use : NULL, watch->ctx);
    }
    free(look);
}

static void on_due(struct timer *timer, void *ctx)
{
    struct port_watch *watch = ctx;
    struct port_look *look = mem_alloc(sizeof *look);
    *look = (struct port_look){.watch = watch, .port = watch->port};
    watch->look = look;
    loop_work(watch->loop, look_on_pool, on_looked, look);
}

void port_watch_init(struct port_watch *watch, struct loop *loop, port_watch_cb *cb, void *ctx)
{
    watch->loop = loop;
    watch->cb = cb;
    watch->ctx = ctx;
    timer_init(&watch->timer, loop, on_due, watch);
}

void port_watch_start(struct port_watch *watch, unsigned port, int64_t interval_ms)
{
    port_watch_stop(watch);
    watch->port = port;
    watch->interval_ms = interval_ms;
    timer_start(&watch->timer, 0);
}

bool port_watch_runs(const struct port_watch *watch)
{
    return watch->port != 0;
}

void port_watch_stop(struct port_watch *watch)
{
    timer_stop(&watch->timer);
    if (watch->look)
        watch->look->watch = NULL;
    watch->look = NULL;
    watch->port = 0;
}
