/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptor and signal watches of a loop. Their memory lives until libuv has closed the handle.
 *
 * A change of what the kernel watches costs two system calls in libuv. A connection that is kept
 * loses its interest in input and gains it again with each request; so what is no longer of
 * interest stays watched until it happens, and only then the kernel is told. Room to write is
 * nearly always there: that one is told at once.
 */
#include "io/loop_priv.h"

struct watch {
    uv_poll_t poll;
    struct loop *loop;
    watch_cb *cb;
    void *ctx;
    unsigned events; /* of interest */
    unsigned armed;  /* what the kernel watches: at least `events` */
    bool can_poll;   /* false: the kernel can't watch this descriptor, `unwatched` is used */
    struct timer unwatched;
};

static void free_handle(uv_handle_t *handle)
{
    free(handle->data);
}

static int to_uv(unsigned events)
{
    return (events & WATCH_READ ? UV_READABLE : 0) | (events & WATCH_WRITE ? UV_WRITABLE : 0) |
           (events & WATCH_HANGUP ? UV_DISCONNECT : 0);
}

static unsigned from_uv(int events)
{
    return (events & UV_READABLE ? (unsigned)WATCH_READ : 0) |
           (events & UV_WRITABLE ? (unsigned)WATCH_WRITE : 0) |
           (events & UV_DISCONNECT ? (unsigned)WATCH_HANGUP : 0);
}

static void on_poll(uv_poll_t *handle, int status, int events);

static void arm(struct watch *watch, unsigned events)
{
    /* Whoever reads may soon want to know of the end only. */
    watch->armed = events & WATCH_READ ? events | WATCH_HANGUP : events;
    uv_poll_start(&watch->poll, to_uv(watch->armed), on_poll); /* no events: the same as stop */
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct watch *watch = handle->data;
    unsigned ready = status < 0 ? WATCH_READ | WATCH_WRITE : from_uv(events) & watch->events;
    loop_enter(watch->loop);
    /* On an error libuv has stopped the handle. What is left to read is told of, turn by turn. */
    if (status < 0 || !ready)
        arm(watch, watch->events);
    if (ready && watch->events)
        watch->cb(watch, ready, watch->ctx);
}

static void on_unwatched(struct timer *timer, void *ctx)
{
    struct watch *watch = ctx;
    timer_start(timer, 0);
    watch->cb(watch, WATCH_READ | WATCH_WRITE, watch->ctx);
}

struct watch *watch_new(struct loop *loop, int fd, watch_cb *cb, void *ctx)
{
    struct watch *watch = mem_alloc(sizeof *watch);
    watch->loop = loop;
    watch->cb = cb;
    watch->ctx = ctx;
    watch->can_poll = uv_poll_init(&loop->uv, &watch->poll, fd) == 0;
    watch->poll.data = watch;
    timer_init(&watch->unwatched, loop, on_unwatched, watch);
    loop->watches++;
    return watch;
}

void watch_set(struct watch *watch, unsigned events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    if (watch->can_poll) {
        bool is_covered = (events & ~watch->armed) == 0;
        if (!is_covered || (watch->armed & ~events & WATCH_WRITE))
            arm(watch, events);
    } else if (events) {
        timer_start(&watch->unwatched, 0);
    } else {
        timer_stop(&watch->unwatched);
    }
}

void watch_free(struct watch *watch)
{
    if (!watch)
        return;
    watch->loop->watches--;
    timer_stop(&watch->unwatched);
    if (watch->can_poll)
        uv_close((uv_handle_t *)&watch->poll, free_handle);
    else
        free(watch);
}

struct signal_watch {
    uv_signal_t handle;
    struct loop *loop;
    void (*cb)(int signum, void *ctx);
    void *ctx;
};

static void on_signal(uv_signal_t *handle, int signum)
{
    struct signal_watch *watch = handle->data;
    loop_enter(watch->loop);
    watch->cb(signum, watch->ctx);
}

struct signal_watch *signal_watch_new(struct loop *loop, int signum,
                                      void (*cb)(int signum, void *ctx), void *ctx)
{
    struct signal_watch *watch = mem_alloc(sizeof *watch);
    watch->loop = loop;
    watch->cb = cb;
    watch->ctx = ctx;
    watch->handle.data = watch;
    if (uv_signal_init(&loop->uv, &watch->handle) < 0 ||
        uv_signal_start(&watch->handle, on_signal, signum) < 0)
        abort(); /* only for a number that is no catchable signal, a bug of the caller's */
    loop->watches++;
    return watch;
}

void signal_watch_free(struct signal_watch *watch)
{
    if (!watch)
        return;
    watch->loop->watches--;
    uv_close((uv_handle_t *)&watch->handle, free_handle);
}
