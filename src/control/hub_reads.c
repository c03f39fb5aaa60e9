/* SPDX-License-Identifier: Apache-2.0 */
#include "control/hub_reads.h"

#include "hub/hub.h"
#include "io/detached.h"
#include "weights/weights.h"

/* One read, waiting or under way. While its thread works, `read` is the thread's. */
struct task {
    struct list_node node;
    struct hub_reads *reads;
    struct detached_job *job; /* NULL: waits */
    struct hub_params params;
    struct hub_read read;
};

struct hub_reads {
    struct loop *loop;
    struct hub_params params;
    void (*done)(struct hub_read *read, void *ctx);
    void *ctx;
    struct list_node waiting, running; /* struct task */
    unsigned running_count;
};

void hub_read_fini(struct hub_read *read)
{
    model_shape_fini(&read->shape);
    model_shape_fini(&read->projector);
    free(read->key);
    free(read->identity);
    *read = (struct hub_read){0};
}

static bool names_file(const char *key);

enum shape_state hub_read_state(const struct hub_read *read)
{
    switch (read->rc) {
    case 0:
        return SHAPE_KNOWN;
    case ERR_NOT_FOUND: /* no such repository or file; or a repository without a model */
        return read->is_open && !names_file(read->key) ? SHAPE_UNREADABLE : SHAPE_MISSING;
    case ERR_UNAUTHORIZED:
    case ERR_FORBIDDEN: /* hubs say so of what doesn't exist, too */
        return SHAPE_MISSING;
    case ERR_INVALID:
        return read->is_open ? SHAPE_UNREADABLE : SHAPE_MISSING;
    case ERR_SYNTAX:
        return read->is_open ? SHAPE_UNREADABLE : SHAPE_UNREACHABLE;
    case ERR_TOO_LARGE:
        return SHAPE_UNREADABLE;
    default:
        return SHAPE_UNREACHABLE;
    }
}

/* ---- on the thread ---- */

/* Bytes of "hf:OWNER/NAME" at the front of a key; behind it, a '/' and the file may follow. */
static size_t place_length(const char *key)
{
    const size_t owner = strcspn(key, "/");
    return key[owner] ? owner + 1 + strcspn(key + owner + 1, "/") : owner;
}

static bool names_file(const char *key)
{
    return key[place_length(key)] == '/';
}

static int read_source(struct source *source, const char *file, struct hub_read *read)
{
    read->is_open = true;
    const int rc = weights_read_apart(source, file, &read->shape, &read->projector, &read->err);
    if (rc == 0)
        read->identity = source_identity(source);
    return rc;
}

static void work(void *arg)
{
    struct task *task = arg;
    struct hub_read *read = &task->read;
    const size_t length = place_length(read->key);
    auto_free char *place = mem_strndup(read->key, length);
    struct source *source = NULL;
    read->rc = hub_open(place, &task->params, &source, &read->err);
    if (read->rc == 0)
        read->rc = read_source(source, names_file(read->key) ? read->key + length + 1 : "", read);
    source_free(source);
}

/* ---- on control's ---- */

static void task_free(void *arg)
{
    struct task *task = arg;
    hub_read_fini(&task->read);
    free(task);
}

static void begin_waiting(struct hub_reads *reads);

static void finish(struct task *task)
{
    struct hub_reads *reads = task->reads;
    list_remove(&task->node);
    reads->done(&task->read, reads->ctx);
    task_free(task);
}

static void done(void *arg)
{
    struct task *task = arg;
    struct hub_reads *reads = task->reads;
    reads->running_count--;
    finish(task);
    begin_waiting(reads);
}

static void begin(struct hub_reads *reads, struct task *task)
{
    static const struct detached_ops ops = {.work = work, .done = done, .drop = task_free};
    list_remove(&task->node);
    list_add_tail(&reads->running, &task->node);
    struct err err = {0};
    const int rc = detached_job_start(reads->loop, &ops, task, &task->job, &err);
    if (rc == 0) {
        reads->running_count++;
        return;
    }
    task->read.rc = rc; /* no thread has it */
    task->read.err = err;
    finish(task);
}

static void begin_waiting(struct hub_reads *reads)
{
    struct task *task;
    while (reads->running_count < HUB_READS_MAX &&
           (task = LIST_FIRST(&reads->waiting, struct task, node)))
        begin(reads, task);
}

void hub_reads_ask(struct hub_reads *reads, const char *key)
{
    struct task *task = mem_alloc(sizeof *task);
    task->reads = reads;
    task->params = reads->params;
    task->read.key = mem_strdup(key);
    list_add_tail(&reads->waiting, &task->node);
    begin_waiting(reads);
}

struct hub_reads *hub_reads_new(struct loop *loop,
                                void (*done_fn)(struct hub_read *read, void *ctx), void *ctx)
{
    struct hub_reads *reads = mem_alloc(sizeof *reads);
    reads->loop = loop;
    reads->done = done_fn;
    reads->ctx = ctx;
    hub_params_from_environment(&reads->params);
    reads->params.hubs_only = true; /* clients say what is read */
    reads->params.timeout_ms = HUB_READ_TIMEOUT_MS;
    list_init(&reads->waiting);
    list_init(&reads->running);
    return reads;
}

void hub_reads_free(struct hub_reads *reads)
{
    if (!reads)
        return;
    LIST_FOR_EACH(struct task, waiting, &reads->waiting, node)
        task_free(waiting);
    LIST_FOR_EACH(struct task, running, &reads->running, node)
        detached_job_abandon(running->job);
    free(reads);
}
