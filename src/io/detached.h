/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocking work that may take for ever (a network file system that is dead, a server that
 * trickles), each piece on a thread of its own, so that it holds up neither loop_work()'s pool nor
 * whoever started it. It may be abandoned: the thread goes on until the work ends by itself, and
 * nobody hears of it.
 *
 *     detached_job_start(loop, &ops, arg, &job, err);
 *     ...
 *     detached_job_abandon(TAKE(job));      // `done` isn't called any more, `drop` will be
 *
 * The loop's thread; the loop must live until the job is done or abandoned.
 */
#pragma once

#include "io/loop.h"

struct detached_job;

struct detached_ops {
    void (*work)(void *arg); /* on the thread */
    void (*done)(void *arg); /* then, on the loop's: the job is gone, `arg` the owner's */
    void (*drop)(void *arg); /* instead, when it was abandoned: frees `arg`; on any thread */
};

/* Starts work(arg). Negative when the system has no thread left: then nothing is called. */
int detached_job_start(struct loop *loop, const struct detached_ops *ops, void *arg,
                       struct detached_job **ret, struct err *err) must_check;

/* Leaves it to itself. NULL is fine. */
void detached_job_abandon(struct detached_job *job);
