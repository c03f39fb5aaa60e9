/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/access_log.h"

#include "base/log.h"
#include "gateway/access_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

enum { STACK_BYTES = 256 << 10, POLL_MS = 100, PEER_MAX = 64, BATCH_BYTES = 64 << 10 };

struct access_log {
    char *path; /* owned */
    unsigned shard_count;
    struct access_ring *rings; /* owned; one a shard */
    int wake_fd;               /* eventfd */
    atomic_bool is_asleep;     /* the thread waits at wake_fd and wants to hear of a line */
    atomic_bool shall_stop;
    atomic_bool shall_reopen;
    pthread_t thread;
    /* The thread's own: */
    struct buf lines; /* made and not yet written */
    int fd;
    bool is_file;        /* a plain one: writing doesn't wait for a reader */
    bool is_torn;        /* half of a line stands there since a write failed */
    bool has_complained; /* the present trouble was logged */
    _Atomic uint64_t unwritten; /* lines */
};

/* How a line travels; path and peer follow. It becomes JSON on the thread, off the shards. */
struct item {
    struct usage_record record;
    const char *method; /* static */
    size_t path_len, peer_len;
};

/* ---- shards ---- */

static void wake(struct access_log *log)
{
    uint64_t one = 1;
    ssize_t ignored = write(log->wake_fd, &one, sizeof one); /* full: it is awake */
    (void)ignored;
}

void access_log_note(struct access_log *log, unsigned shard, const struct usage_record *record,
                     const struct access_request *request)
{
    if (!log)
        return;
    struct str path = str_sub(request->target.ptr, str_find(request->target, '?'));
    struct str peer = str_of(request->peer);
    if (path.len > ACCESS_LOG_PATH_MAX)
        path.len = ACCESS_LOG_PATH_MAX;
    if (peer.len > PEER_MAX)
        peer.len = PEER_MAX;
    const struct item item = {*record, request->method, path.len, peer.len};
    const struct str parts[] = {str_sub((const char *)&item, sizeof item), path, peer};
    if (access_ring_put(&log->rings[shard], parts, ARRAY_LEN(parts)) &&
        atomic_load(&log->is_asleep) && atomic_exchange(&log->is_asleep, false))
        wake(log);
}

/* ---- the file; the thread ---- */

static int open_file(const char *path, int *ret_fd, bool *ret_is_file, struct err *err)
{
    struct stat stat;
    bool is_stdout = strcmp(path, "-") == 0;
    int fd = is_stdout ? STDOUT_FILENO
                       : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd < 0)
        return err_errno(err, errno, "access log %s", path);
    *ret_fd = fd;
    *ret_is_file = fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
    return 0;
}

static void close_file(struct access_log *log)
{
    if (log->fd != STDOUT_FILENO)
        close(log->fd);
}

static void reopen(struct access_log *log)
{
    struct err err = {0};
    int fd;
    bool is_file;
    if (open_file(log->path, &fd, &is_file, &err) < 0) {
        log_error("access", "the log goes on in its old file: %s", err.text);
        return;
    }
    close_file(log);
    log->fd = fd;
    log->is_file = is_file;
    log->is_torn = false;
    log_info("access", "the log was opened anew: %s", log->path);
}

/* Waits for a reader; false when there is none in time and the log shall end. */
static bool wait_writable(struct access_log *log)
{
    struct pollfd poll_fd = {.fd = log->fd, .events = POLLOUT};
    for (int waited_ms = 0; !log->is_file; waited_ms += POLL_MS) {
        if (poll(&poll_fd, 1, POLL_MS) > 0)
            return true;
        if (atomic_load(&log->shall_stop) && waited_ms >= ACCESS_LOG_STOP_MS)
            return false;
    }
    return true;
}

/* Bytes written, or -errno. A pipe that is writable takes PIPE_BUF bytes without waiting. */
static ssize_t write_some(struct access_log *log, struct str text)
{
    size_t n = !log->is_file && text.len > PIPE_BUF ? PIPE_BUF : text.len;
    for (;;) {
        if (!wait_writable(log))
            return -ETIMEDOUT;
        ssize_t written = write(log->fd, text.ptr, n);
        if (written > 0)
            return written;
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
    }
}

static void drop(struct access_log *log, struct str text, int code)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    atomic_fetch_add_explicit(&log->unwritten, lines, memory_order_relaxed);
    if (!log->has_complained)
        log_error("access", "lines are dropped: %s: %s", log->path, strerror(-code));
    log->has_complained = true;
}

/* Ends the half of a line that stands there since a write failed. */
static int mend(struct access_log *log)
{
    if (!log->is_torn)
        return 0;
    ssize_t written = write_some(log, STR("\n"));
    log->is_torn = written < 0;
    return written < 0 ? (int)written : 0;
}

/* Writes, or drops, the lines that were made. */
static void write_lines(struct access_log *log)
{
    struct str text = buf_str(&log->lines);
    int rc = mend(log);
    while (rc == 0 && text.len > 0) {
        ssize_t written = write_some(log, text);
        if (written < 0) {
            log->is_torn = text.len < log->lines.len && text.ptr[-1] != '\n';
            rc = (int)written;
        } else {
            text = str_skip(text, (size_t)written);
        }
    }
    if (rc < 0)
        drop(log, text, rc);
    else
        log->has_complained = false;
    buf_clear(&log->lines);
}

static void make_line(struct buf *out, const struct item *item, struct str path, struct str peer)
{
    buf_add_char(out, '{');
    usage_record_write_members(&item->record, out);
    buf_add_str(out, STR(",\"method\":"));
    json_quote(str_of(item->method), out);
    buf_add_str(out, STR(",\"path\":"));
    json_quote(path, out);
    buf_add_str(out, STR(",\"peer\":"));
    json_quote(peer, out);
    buf_add_str(out, STR("}\n"));
}

/* Makes a line of the next item; false when there is none. */
static bool take_line(struct access_log *log, struct access_ring *ring)
{
    struct item item;
    char path[ACCESS_LOG_PATH_MAX], peer[PEER_MAX];
    if (access_ring_ready(ring) == 0)
        return false;
    access_ring_take(ring, &item, sizeof item);
    access_ring_take(ring, path, item.path_len);
    access_ring_take(ring, peer, item.peer_len);
    make_line(&log->lines, &item, str_sub(path, item.path_len), str_sub(peer, item.peer_len));
    return true;
}

/* One ring's worth at most: what comes meanwhile waits for the next time. */
static void drain(struct access_log *log, struct access_ring *ring)
{
    size_t left = ACCESS_RING_BYTES / sizeof(struct item);
    while (left-- > 0 && take_line(log, ring))
        if (log->lines.len >= BATCH_BYTES)
            write_lines(log);
}

static void drain_all(struct access_log *log)
{
    for (unsigned i = 0; i < log->shard_count; i++)
        drain(log, &log->rings[i]);
    if (log->lines.len > 0)
        write_lines(log);
}

static bool has_lines(const struct access_log *log)
{
    for (unsigned i = 0; i < log->shard_count; i++)
        if (access_ring_ready(&log->rings[i]) > 0)
            return true;
    return false;
}

static void wait_at(struct access_log *log, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = log->wake_fd, .events = POLLIN};
    uint64_t count;
    if (poll(&poll_fd, 1, timeout_ms) > 0) {
        ssize_t ignored = read(log->wake_fd, &count, sizeof count);
        (void)ignored;
    }
}

static bool is_called(struct access_log *log)
{
    return atomic_load(&log->shall_stop) || atomic_load(&log->shall_reopen);
}

/* A first line ends the sleep; then more are waited for, but a call is answered at once. */
static void wait_for_work(struct access_log *log)
{
    atomic_store(&log->is_asleep, true);
    if (!has_lines(log) && !is_called(log))
        wait_at(log, -1);
    atomic_store(&log->is_asleep, false);
    if (!is_called(log))
        wait_at(log, ACCESS_LOG_LINGER_MS);
}

static void *run(void *arg)
{
    struct access_log *log = arg;
    bool shall_stop;
    do {
        wait_for_work(log);
        shall_stop = atomic_load(&log->shall_stop);
        /* Lines of before the call still go into the file of before. */
        bool shall_reopen = atomic_exchange(&log->shall_reopen, false);
        drain_all(log);
        if (shall_reopen)
            reopen(log);
    } while (!shall_stop);
    return NULL;
}

/* ---- life ---- */

static int start(struct access_log *log, struct err *err)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int rc = pthread_create(&log->thread, &attr, run, log);
    pthread_attr_destroy(&attr);
    return rc ? err_errno(err, rc, "can't start the access log's thread") : 0;
}

static void log_fini(struct access_log *log)
{
    close_file(log);
    if (log->wake_fd >= 0)
        close(log->wake_fd);
    for (unsigned i = 0; i < log->shard_count; i++)
        access_ring_fini(&log->rings[i]);
    free(log->rings);
    buf_fini(&log->lines);
    free(log->path);
    free(log);
}

static struct access_ring *new_rings(unsigned count)
{
    size_t bytes = count * sizeof(struct access_ring);
    struct access_ring *rings = aligned_alloc(_Alignof(struct access_ring), bytes);
    if (!rings)
        abort();
    for (unsigned i = 0; i < count; i++) {
        rings[i] = (struct access_ring){0};
        access_ring_init(&rings[i]);
    }
    return rings;
}

int access_log_open(const char *path, unsigned shard_count, struct access_log **ret,
                    struct err *err)
{
    int fd;
    bool is_file;
    int rc = open_file(path, &fd, &is_file, err);
    if (rc < 0)
        return rc;
    struct access_log *log = mem_alloc(sizeof *log);
    log->path = mem_strdup(path);
    log->fd = fd;
    log->is_file = is_file;
    log->shard_count = shard_count;
    log->rings = new_rings(shard_count);
    log->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = log->wake_fd < 0 ? err_errno(err, errno, "access log") : start(log, err);
    if (rc < 0) {
        log_fini(log);
        return rc;
    }
    *ret = log;
    return 0;
}

void access_log_free(struct access_log *log)
{
    if (!log)
        return;
    atomic_store(&log->shall_stop, true);
    wake(log);
    pthread_join(log->thread, NULL);
    log_fini(log);
}

void access_log_reopen(struct access_log *log)
{
    if (!log)
        return;
    atomic_store(&log->shall_reopen, true);
    wake(log);
}

uint64_t access_log_dropped(const struct access_log *log)
{
    if (!log)
        return 0;
    uint64_t sum = atomic_load_explicit(&log->unwritten, memory_order_relaxed);
    for (unsigned i = 0; i < log->shard_count; i++)
        sum += atomic_load_explicit(&log->rings[i].dropped, memory_order_relaxed);
    return sum;
}
