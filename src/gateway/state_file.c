/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/state_file.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>

/* What one go of the pool does; the pool's while it runs. */
struct work {
    struct buf text;
    bool is_new;   /* begins a file beside the old one */
    bool is_whole; /* which takes its place behind this text */
    int fd;        /* of the file that is written; -1: none */
    int rc;
};

struct state_file {
    struct loop *loop;
    char *path, *fresh_path; /* owned; the second: of a snapshot that isn't whole yet */
    void (*on_stale)(void *ctx);
    void *ctx;
    struct timer stale_timer;

    struct buf pending; /* waits for the pool; with what is to be done with it: */
    bool is_new, is_whole;
    struct work work;
    bool is_working;
    bool is_closing;

    bool is_writing; /* from a snapshot's beginning to a failure: lines are taken */
    bool is_ready;   /* the snapshot is whole: what comes now are changes */
    size_t snapshot_bytes, change_bytes;
    bool has_complained; /* the present trouble was logged */
};

/* Text with tokens in it. */
static void wipe(struct buf *text)
{
    if (text->ptr)
        explicit_bzero(text->ptr, text->cap);
    buf_fini(text);
}

/* ---- on the pool's thread ---- */

static int write_all(int fd, struct str text)
{
    while (text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text = str_skip(text, (size_t)n);
    }
    return 0;
}

static void close_file(struct work *work)
{
    fd_close_slot(&work->fd);
    work->fd = -1;
}

static int open_fresh(struct state_file *state)
{
    struct work *work = &state->work;
    close_file(work);
    if (unlink(state->fresh_path) < 0 && errno != ENOENT)
        return -errno;
    work->fd = open(state->fresh_path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    return work->fd < 0 ? -errno : 0;
}

static int put_in_place(const struct state_file *state)
{
    auto_free char *copy = mem_strdup(state->path);
    auto_close int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fdatasync(state->work.fd) < 0 || rename(state->fresh_path, state->path) < 0)
        return -errno;
    if (folder >= 0)
        (void)fsync(folder); /* after a power cut it may be the old state; nothing worse */
    return 0;
}

static void do_work(void *arg)
{
    struct state_file *state = arg;
    struct work *work = &state->work;
    work->rc = work->is_new ? open_fresh(state) : 0;
    if (work->rc == 0)
        work->rc = write_all(work->fd, buf_str(&work->text));
    if (work->rc == 0 && work->is_whole)
        work->rc = put_in_place(state);
    if (work->rc < 0)
        close_file(work);
}

/* ---- on the main thread ---- */

static void start_work(struct state_file *state);

static void forget_pending(struct state_file *state)
{
    wipe(&state->pending);
    state->is_new = state->is_whole = false;
}

/* What is on the disk stays as it is, until a fresh snapshot can be written. */
static void fail(struct state_file *state, const char *text)
{
    state->is_writing = false;
    forget_pending(state);
    timer_start(&state->stale_timer, STATE_FILE_RETRY_MS);
    if (state->has_complained)
        return;
    state->has_complained = true;
    log_error("feed",
              "the state can't be kept in %s: %s; a restart while control is away would "
              "bring back an older one",
              state->path, text);
}

static void release(struct state_file *state)
{
    wipe(&state->pending);
    close_file(&state->work);
    free(state->path);
    free(state->fresh_path);
    free(state);
}

static void on_work_done(void *arg)
{
    struct state_file *state = arg;
    struct work *work = &state->work;
    bool was_whole = work->is_whole;
    wipe(&work->text);
    state->is_working = false;
    /* A snapshot that began meanwhile has nothing to do with the old one's failure. */
    if (work->rc < 0 && !state->is_new && !state->is_closing)
        fail(state, strerror(-work->rc));
    if (work->rc == 0 && was_whole && state->has_complained) {
        state->has_complained = false;
        log_info("feed", "the state is kept in %s again", state->path);
    }
    bool is_due = state->pending.len || state->is_whole;
    if (is_due && (work->fd >= 0 || state->is_new))
        start_work(state);
    else if (state->is_closing)
        release(state);
}

static void start_work(struct state_file *state)
{
    state->work.text = state->pending;
    state->work.is_new = state->is_new;
    state->work.is_whole = state->is_whole;
    state->pending = (struct buf){0};
    state->is_new = state->is_whole = false;
    state->is_working = true;
    loop_work(state->loop, do_work, on_work_done, state);
}

static void on_stale_timer(struct timer *timer, void *ctx)
{
    struct state_file *state = ctx;
    state->on_stale(state->ctx);
}

struct state_file *state_file_new(const struct state_file_params *params)
{
    struct state_file *state = mem_alloc(sizeof *state);
    *state = (struct state_file){
        .loop = params->loop,
        .path = mem_strdup(params->path),
        .fresh_path = mem_printf("%s.new", params->path),
        .on_stale = params->on_stale,
        .ctx = params->ctx,
        .work.fd = -1,
    };
    timer_init(&state->stale_timer, params->loop, on_stale_timer, state);
    return state;
}

void state_file_begin(struct state_file *state, const char *identity)
{
    forget_pending(state);
    timer_stop(&state->stale_timer);
    state->is_writing = true;
    state->is_new = true;
    state->is_ready = false;
    state->snapshot_bytes = state->change_bytes = 0;
    buf_printf(&state->pending, "{\"op\":\"state\",\"identity\":\"%s\"}\n", identity);
}

static void count(struct state_file *state, size_t bytes)
{
    if (!state->is_ready) {
        state->snapshot_bytes += bytes;
        return;
    }
    size_t limit = STATE_FILE_CHANGES_TIMES * state->snapshot_bytes;
    if (limit < STATE_FILE_CHANGES_MIN)
        limit = STATE_FILE_CHANGES_MIN;
    state->change_bytes += bytes;
    if (state->change_bytes > limit && !timer_is_armed(&state->stale_timer))
        timer_start(&state->stale_timer, 0);
}

void state_file_add(struct state_file *state, struct str line)
{
    if (!state->is_writing)
        return;
    if (state->pending.len + line.len > STATE_FILE_PENDING_MAX) {
        fail(state, "the disk is too slow");
        return;
    }
    buf_add_str(&state->pending, line);
    buf_add_char(&state->pending, '\n');
    count(state, line.len + 1);
    if (!state->is_working)
        start_work(state);
}

void state_file_ready(struct state_file *state)
{
    if (!state->is_writing || state->is_ready)
        return;
    state->is_ready = true;
    state->is_whole = true;
    if (!state->is_working)
        start_work(state);
}

void state_file_free(struct state_file *state)
{
    if (!state)
        return;
    timer_stop(&state->stale_timer);
    state->is_closing = true;
    if (!state->is_working)
        release(state);
}
