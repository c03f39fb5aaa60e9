/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking work on libuv's pool of threads. */
#include "io/loop_priv.h"

struct job {
    uv_work_t request;
    struct loop *loop;
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void on_pool_thread(uv_work_t *request)
{
    struct job *job = request->data;
    job->work(job->arg);
}

static void on_loop_thread(uv_work_t *request, int status)
{
    (void)status; /* never cancelled */
    struct job *job = request->data;
    loop_enter(job->loop);
    job->loop->working--;
    job->done(job->arg);
    free(job);
}

void loop_work(struct loop *loop, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    struct job *job = mem_alloc(sizeof *job);
    *job = (struct job){.loop = loop, .work = work, .done = done, .arg = arg};
    job->request.data = job;
    if (uv_queue_work(&loop->uv, &job->request, on_pool_thread, on_loop_thread) < 0)
        abort(); /* fails for want of a function only */
    loop->working++;
}
