/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/net/poller.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

enum { EVENTS_PER_TURN = 512 };

int64_t poller_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void poller_init(struct poller *poller)
{
    *poller = (struct poller){.fd = epoll_create1(EPOLL_CLOEXEC), .now_ns = poller_clock()};
    if (poller->fd < 0)
        abort();
    raise_descriptor_limit();
}

static void free_garbage(struct poller *poller)
{
    while (poller->garbage_count > 0)
        free(poller->garbage[--poller->garbage_count]);
}

void poller_fini(struct poller *poller)
{
    free_garbage(poller);
    free(poller->garbage);
    free(poller->heap);
    close(poller->fd);
}

void poller_free_later(struct poller *poller, void *memory)
{
    if (poller->garbage_count == poller->garbage_cap) {
        poller->garbage_cap = poller->garbage_cap * 2 + 64;
        poller->garbage = mem_resize(poller->garbage,
                                      poller->garbage_cap * sizeof poller->garbage[0]);
    }
    poller->garbage[poller->garbage_count++] = memory;
}

/* ---- watches ---- */

static void control(struct poller *poller, int op, struct poll_watch *watch)
{
    struct epoll_event event = {.events = watch->events, .data.ptr = watch};
    if (epoll_ctl(poller->fd, op, watch->fd, &event) < 0)
        abort();
}

void poller_watch(struct poller *poller, struct poll_watch *watch, int fd, uint32_t events,
                  void (*cb)(struct poll_watch *watch, uint32_t events))
{
    *watch = (struct poll_watch){.fd = fd, .events = events, .cb = cb};
    control(poller, EPOLL_CTL_ADD, watch);
}

void poller_change(struct poller *poller, struct poll_watch *watch, uint32_t events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    control(poller, EPOLL_CTL_MOD, watch);
}

int poller_unwatch(struct poller *poller, struct poll_watch *watch)
{
    int fd = watch->fd;
    if (fd >= 0)
        control(poller, EPOLL_CTL_DEL, watch);
    watch->fd = -1;
    return fd;
}

/* ---- alarms: a binary heap, the earliest first ---- */

static void place(struct poller *poller, struct alarm *alarm, size_t index)
{
    poller->heap[index] = alarm;
    alarm->slot = index + 1;
}

static void sift_up(struct poller *poller, struct alarm *alarm, size_t index)
{
    while (index > 0 && poller->heap[(index - 1) / 2]->due_ns > alarm->due_ns) {
        place(poller, poller->heap[(index - 1) / 2], index);
        index = (index - 1) / 2;
    }
    place(poller, alarm, index);
}

static void sift_down(struct poller *poller, struct alarm *alarm, size_t index)
{
    for (;;) {
        size_t child = index * 2 + 1;
        if (child >= poller->alarm_count)
            break;
        if (child + 1 < poller->alarm_count &&
            poller->heap[child + 1]->due_ns < poller->heap[child]->due_ns)
            child++;
        if (poller->heap[child]->due_ns >= alarm->due_ns)
            break;
        place(poller, poller->heap[child], index);
        index = child;
    }
    place(poller, alarm, index);
}

void poller_alarm(struct poller *poller, struct alarm *alarm, int64_t due_ns)
{
    poller_disarm(poller, alarm);
    if (poller->alarm_count == poller->alarm_cap) {
        poller->alarm_cap = poller->alarm_cap * 2 + 64;
        poller->heap = mem_resize(poller->heap, poller->alarm_cap * sizeof poller->heap[0]);
    }
    alarm->due_ns = due_ns;
    sift_up(poller, alarm, poller->alarm_count++);
}

void poller_disarm(struct poller *poller, struct alarm *alarm)
{
    if (alarm->slot == 0)
        return;
    size_t index = alarm->slot - 1;
    struct alarm *last = poller->heap[--poller->alarm_count];
    alarm->slot = 0;
    if (last == alarm)
        return;
    if (index > 0 && poller->heap[(index - 1) / 2]->due_ns > last->due_ns)
        sift_up(poller, last, index);
    else
        sift_down(poller, last, index);
}

/* Only those that are due by now: one that its callback arms again for now has to wait a turn. */
static void ring(struct poller *poller)
{
    int64_t now_ns = poller->now_ns;
    while (poller->alarm_count > 0 && poller->heap[0]->due_ns <= now_ns) {
        struct alarm *alarm = poller->heap[0];
        poller_disarm(poller, alarm);
        alarm->cb(alarm);
    }
}

/* ---- the loop ---- */

static int wait(struct poller *poller, struct epoll_event *events)
{
    struct timespec timeout = {0};
    if (poller->alarm_count == 0)
        return epoll_wait(poller->fd, events, EVENTS_PER_TURN, -1);
    int64_t wait_ns = poller->heap[0]->due_ns - poller_clock();
    if (wait_ns > 0)
        timeout = (struct timespec){.tv_sec = wait_ns / NS_PER_S, .tv_nsec = wait_ns % NS_PER_S};
    return epoll_pwait2(poller->fd, events, EVENTS_PER_TURN, &timeout, NULL);
}

void poller_run(struct poller *poller)
{
    struct epoll_event events[EVENTS_PER_TURN];
    while (!poller->is_stopped) {
        int count = wait(poller, events);
        poller->now_ns = poller_clock();
        for (int i = 0; i < count; i++) {
            struct poll_watch *watch = events[i].data.ptr;
            if (watch->fd >= 0)
                watch->cb(watch, events[i].events);
        }
        ring(poller);
        free_garbage(poller);
    }
}

void poller_stop(struct poller *poller)
{
    poller->is_stopped = true;
}
