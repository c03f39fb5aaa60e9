/* SPDX-License-Identifier: Apache-2.0 */
#include "io/loop.h"

#include "io/loop_priv.h"
#include "io/tls_priv.h"

#include <assert.h>
#include <signal.h>

enum { SPARE_TASKS_MAX = 64 };

static void queue_add(struct task_queue *queue, struct task *task)
{
    task->next = NULL;
    if (queue->last)
        queue->last->next = task;
    else
        queue->first = task;
    queue->last = task;
}

static struct task *queue_pop(struct task_queue *queue)
{
    struct task *task = queue->first;
    if (!task)
        return NULL;
    queue->first = task->next;
    if (!queue->first)
        queue->last = NULL;
    return task;
}

static struct task *task_new(void (*fn)(void *), void *arg)
{
    struct task *task = mem_alloc(sizeof *task);
    task->fn = fn;
    task->arg = arg;
    return task;
}

static void mail_run(struct task_queue *mail)
{
    struct task *task;
    while ((task = queue_pop(mail))) {
        task->fn(task->arg);
        free(task);
    }
}

/* Also runs what the calls defer meanwhile. Each turn has some: their memory is kept. */
static void deferred_run(struct loop *loop)
{
    struct task *task;
    while ((task = queue_pop(&loop->deferred))) {
        task->fn(task->arg);
        if (loop->spare_count == SPARE_TASKS_MAX) {
            free(task);
            continue;
        }
        task->next = loop->spare_tasks;
        loop->spare_tasks = task;
        loop->spare_count++;
    }
}

static void free_spare_tasks(struct loop *loop)
{
    struct task *task;
    while ((task = loop->spare_tasks)) {
        loop->spare_tasks = task->next;
        free(task);
    }
}

/* libuv's calls below only fail for lack of descriptors or memory, where nothing can go on. */
static void or_abort(int rc)
{
    if (rc < 0)
        abort();
}

void loop_enter(struct loop *loop)
{
    if (loop->turn_has_time)
        return;
    loop->turn_ms = clock_mono_ms(loop->clock);
    loop->turn_has_time = true;
}

static void ignore_alarm(uv_timer_t *alarm)
{
    (void)alarm; /* it has ended the poll; after_poll() does the rest */
}

/* How long to poll at most, -1 for ever. A virtual clock doesn't run while the loop waits. */
static int64_t alarm_delay_ms(const struct loop *loop)
{
    if (loop->deferred.first)
        return 0;
    int64_t delay = timers_delay_ms(loop);
    bool is_running_clock = loop->clock->mono_ms == clock_system.mono_ms;
    return is_running_clock || delay == 0 ? delay : -1;
}

static void before_poll(uv_prepare_t *handle)
{
    struct loop *loop = handle->data;
    loop->turn_has_time = false;
    int64_t delay = alarm_delay_ms(loop);
    if (delay < 0)
        uv_timer_stop(&loop->alarm);
    else
        uv_timer_start(&loop->alarm, ignore_alarm, (uint64_t)delay, 0);
}

static void after_poll(uv_check_t *handle)
{
    struct loop *loop = handle->data;
    loop_enter(loop);
    timers_run(loop);
    deferred_run(loop);
}

static struct task_queue take_mail(struct loop *loop)
{
    pthread_mutex_lock(&loop->mail_lock);
    struct task_queue mail = loop->mail;
    loop->mail = (struct task_queue){0};
    pthread_mutex_unlock(&loop->mail_lock);
    return mail;
}

static void on_bell(uv_async_t *handle)
{
    struct loop *loop = handle->data;
    loop_enter(loop);
    struct task_queue mail = take_mail(loop);
    mail_run(&mail);
}

struct loop *loop_new(const struct clock *clock)
{
    struct loop *loop = mem_alloc(sizeof *loop);
    loop->clock = clock;
    pthread_mutex_init(&loop->mail_lock, NULL);
    or_abort(uv_loop_init(&loop->uv));
    or_abort(uv_prepare_init(&loop->uv, &loop->before_poll));
    or_abort(uv_check_init(&loop->uv, &loop->after_poll));
    or_abort(uv_timer_init(&loop->uv, &loop->alarm));
    or_abort(uv_async_init(&loop->uv, &loop->bell, on_bell));
    loop->before_poll.data = loop->after_poll.data = loop->bell.data = loop;
    or_abort(uv_prepare_start(&loop->before_poll, before_poll));
    or_abort(uv_check_start(&loop->after_poll, after_poll));
    /* A write to a closed socket, or above the largest size that files may have, is an error code
     * here, never the end of the process. */
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
    return loop;
}

static bool has_mail(struct loop *loop)
{
    pthread_mutex_lock(&loop->mail_lock);
    bool found = loop->mail.first != NULL;
    pthread_mutex_unlock(&loop->mail_lock);
    return found;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    while (loop->working || loop->deferred.first || has_mail(loop))
        uv_run(&loop->uv, UV_RUN_ONCE);
    assert(loop->timer_count == 0 && loop->watches == 0);
    uv_close((uv_handle_t *)&loop->before_poll, NULL);
    uv_close((uv_handle_t *)&loop->after_poll, NULL);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
    uv_close((uv_handle_t *)&loop->bell, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    or_abort(uv_loop_close(&loop->uv));
    tls_forget_settings(loop);
    free_spare_tasks(loop);
    pthread_mutex_destroy(&loop->mail_lock);
    free(loop->heap);
    free(loop);
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    loop->turn_has_time = false;
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

int64_t loop_now_ms(const struct loop *loop)
{
    return loop->turn_has_time ? loop->turn_ms : clock_mono_ms(loop->clock);
}

const struct clock *loop_clock(const struct loop *loop)
{
    return loop->clock;
}

void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    struct task *task = task_new(fn, arg);
    pthread_mutex_lock(&loop->mail_lock);
    queue_add(&loop->mail, task);
    /* Rung under the lock: the loop can't take this mail and be freed before the bell was rung. */
    uv_async_send(&loop->bell);
    pthread_mutex_unlock(&loop->mail_lock);
}

static void stop_by_mail(void *arg)
{
    loop_stop(arg);
}

void loop_wake_stop(struct loop *loop)
{
    loop_post(loop, stop_by_mail, loop);
}

void loop_defer(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    struct task *task = loop->spare_tasks;
    if (task) {
        loop->spare_tasks = task->next;
        loop->spare_count--;
        task->fn = fn;
        task->arg = arg;
    } else {
        task = task_new(fn, arg);
    }
    queue_add(&loop->deferred, task);
}
