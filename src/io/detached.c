/* SPDX-License-Identifier: Apache-2.0 */
#include "io/detached.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum { STACK_BYTES = 1 << 20 };

struct detached_job {
    const struct detached_ops *ops;
    void *arg;
    struct loop *loop;    /* touched under the lock, and only while it isn't abandoned */
    pthread_mutex_t lock; /* of what follows */
    bool is_abandoned;
    bool is_posted;      /* the owner's hold is the mail's now */
    atomic_uint holders; /* the thread and the owner */
};

static void release(struct detached_job *job)
{
    if (atomic_fetch_sub(&job->holders, 1) > 1)
        return;
    pthread_mutex_destroy(&job->lock);
    free(job);
}

static bool is_abandoned(struct detached_job *job)
{
    pthread_mutex_lock(&job->lock);
    const bool was = job->is_abandoned;
    pthread_mutex_unlock(&job->lock);
    return was;
}

/* On the loop's thread. */
static void deliver(void *arg)
{
    struct detached_job *job = arg;
    const struct detached_ops *ops = job->ops;
    void *work = job->arg;
    const bool is_dropped = is_abandoned(job);
    release(job);
    if (is_dropped)
        ops->drop(work);
    else
        ops->done(work);
}

/* Posted under the lock: the owner abandons its jobs before it frees the loop. */
static void *run(void *arg)
{
    struct detached_job *job = arg;
    job->ops->work(job->arg);
    pthread_mutex_lock(&job->lock);
    const bool is_dropped = job->is_abandoned;
    job->is_posted = !is_dropped;
    if (job->is_posted)
        loop_post(job->loop, deliver, job);
    pthread_mutex_unlock(&job->lock);
    if (is_dropped)
        job->ops->drop(job->arg);
    release(job);
    return NULL;
}

/* Signals are for the thread that has the loop. */
static int start_thread(struct detached_job *job)
{
    sigset_t all, before;
    pthread_attr_t attr;
    pthread_t thread;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&thread, &attr, run, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

int detached_job_start(struct loop *loop, const struct detached_ops *ops, void *arg,
                       struct detached_job **ret, struct err *err)
{
    struct detached_job *job = mem_alloc(sizeof *job);
    job->ops = ops;
    job->arg = arg;
    job->loop = loop;
    pthread_mutex_init(&job->lock, NULL);
    atomic_init(&job->holders, 2);
    const int rc = start_thread(job);
    if (rc != 0) {
        pthread_mutex_destroy(&job->lock);
        free(job);
        return err_errno(err, rc, "can't start a thread");
    }
    *ret = job;
    return 0;
}

void detached_job_abandon(struct detached_job *job)
{
    if (!job)
        return;
    pthread_mutex_lock(&job->lock);
    job->is_abandoned = true;
    const bool is_posted = job->is_posted;
    pthread_mutex_unlock(&job->lock);
    if (!is_posted)
        release(job);
}
