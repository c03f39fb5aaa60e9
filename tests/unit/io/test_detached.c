/* SPDX-License-Identifier: Apache-2.0 */
/* Work on a thread of its own: it comes back to the loop, or it is left to itself. */
#include "io/detached.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

/* What a test and the thread share. */
struct task {
    struct loop *loop; /* NULL: it is being freed */
    struct detached_job *job;
    sem_t may_end;     /* the work waits for it */
    sem_t was_dropped;
    bool was_done;
    pthread_t worker;
};

static void work(void *arg)
{
    struct task *task = arg;
    task->worker = pthread_self();
    while (sem_wait(&task->may_end) < 0)
        continue;
}

static void done(void *arg)
{
    struct task *task = arg;
    task->was_done = true;
    task->job = NULL;
    if (task->loop)
        loop_stop(task->loop);
}

static void drop(void *arg)
{
    struct task *task = arg;
    sem_post(&task->was_dropped);
}

static const struct detached_ops ops = {.work = work, .done = done, .drop = drop};

static struct task *task_start(void)
{
    struct task *task = mem_alloc(sizeof *task);
    task->loop = loop_new(&clock_system);
    sem_init(&task->may_end, 0, 0);
    sem_init(&task->was_dropped, 0, 0);
    assert_int_equal(detached_job_start(task->loop, &ops, task, &task->job, NULL), 0);
    return task;
}

static void task_free(struct task *task)
{
    loop_free(task->loop);
    sem_destroy(&task->may_end);
    sem_destroy(&task->was_dropped);
    free(task);
}

static void wait_for_drop(struct task *task)
{
    while (sem_wait(&task->was_dropped) < 0)
        continue;
}

static void test_work_comes_back_to_the_loop(void **state)
{
    struct task *task = task_start();
    sem_post(&task->may_end);
    loop_run(task->loop);
    assert_true(task->was_done);
    assert_false(pthread_equal(task->worker, pthread_self()));
    task_free(task);
}

static void test_abandoned_work_outlives_the_loop(void **state)
{
    struct task *task = task_start();
    detached_job_abandon(TAKE(task->job));
    loop_free(TAKE(task->loop));
    sem_post(&task->may_end);
    wait_for_drop(task);
    assert_false(task->was_done);
    task_free(task);
}

static void abandon(void *arg)
{
    struct task *task = arg;
    detached_job_abandon(TAKE(task->job));
}

/* Whichever comes first, the end of the work or the loop's, it is dropped once. */
static void test_work_that_ends_as_it_is_abandoned(void **state)
{
    for (int i = 0; i < 100; i++) {
        struct task *task = task_start();
        sem_post(&task->may_end);
        loop_post(task->loop, abandon, task);
        loop_free(TAKE(task->loop));
        if (!task->was_done)
            wait_for_drop(task);
        task_free(task);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_work_comes_back_to_the_loop),
        cmocka_unit_test(test_abandoned_work_outlives_the_loop),
        cmocka_unit_test(test_work_that_ends_as_it_is_abandoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
