/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/body.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FIRST_ROOM = 4096 };

void spool_init(struct spool *spool, const char *dir)
{
    *spool = (struct spool){.dir = mem_strdup(dir ? dir : "/var/tmp")};
}

void spool_fini(struct spool *spool)
{
    free(spool->dir);
    *spool = (struct spool){0};
}

void body_init(struct body *body, struct spool *spool)
{
    *body = (struct body){.spool = spool, .fd = -1};
}

static void note_ebb(struct spool *spool)
{
    if (spool->peak < SPOOL_EBB_MIN || spool->memory_used > spool->peak / 8)
        return;
    spool->peak = spool->memory_used;
    if (spool->on_ebb)
        spool->on_ebb(spool);
}

static void drop_memory(struct body *body)
{
    body->spool->memory_used -= body->memory.len;
    body->spool->announced -= body->announced;
    body->announced = 0;
    buf_fini(&body->memory);
    note_ebb(body->spool);
}

void body_fini(struct body *body)
{
    if (!body->spool)
        return;
    drop_memory(body);
    if (body->map)
        munmap(body->map, body->len);
    if (body->fd >= 0) {
        close(body->fd);
        body->spool->files--;
    }
    *body = (struct body){.fd = -1};
}

void body_expect(struct body *body, uint64_t len)
{
    struct spool *spool = body->spool;
    if (len > BODY_MEMORY_MAX || spool->announced + len > SPOOL_ANNOUNCED_MAX)
        return;
    buf_reserve(&body->memory, (size_t)len);
    body->announced = (size_t)len;
    spool->announced += body->announced;
}

static bool fits_memory(const struct body *body, size_t len)
{
    return body->fd < 0 && body->memory.len + len <= BODY_MEMORY_MAX &&
           body->spool->memory_used + len <= SPOOL_MEMORY_MAX;
}

static void add_to_memory(struct body *body, struct str piece)
{
    struct spool *spool = body->spool;
    if (body->memory.cap - body->memory.len < piece.len)
        buf_reserve(&body->memory, piece.len > FIRST_ROOM ? piece.len : FIRST_ROOM);
    buf_add_str(&body->memory, piece);
    spool->memory_used += piece.len;
    if (spool->memory_used > spool->peak)
        spool->peak = spool->memory_used;
}

static int write_all(struct body *body, struct str piece, struct err *err)
{
    while (piece.len) {
        ssize_t n = write(body->fd, piece.ptr, piece.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "a large body can't be kept in %s", body->spool->dir);
        piece = str_skip(piece, (size_t)n);
    }
    return 0;
}

/* From memory to a file that is gone with its descriptor. */
static int move_to_file(struct body *body, struct err *err)
{
    body->fd = open(body->spool->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (body->fd < 0)
        return err_errno(err, errno, "a large body can't be kept in %s", body->spool->dir);
    body->spool->files++;
    int rc = write_all(body, buf_str(&body->memory), err);
    drop_memory(body);
    return rc;
}

int body_add(struct body *body, struct str piece, struct err *err)
{
    int rc = 0;
    if (fits_memory(body, piece.len)) {
        add_to_memory(body, piece);
    } else {
        if (body->fd < 0)
            rc = move_to_file(body, err);
        if (rc == 0)
            rc = write_all(body, piece, err);
    }
    if (rc == 0)
        body->len += piece.len;
    return rc;
}

int body_finish(struct body *body, struct err *err)
{
    if (body->fd < 0)
        return 0;
    void *map = mmap(NULL, body->len, PROT_READ, MAP_SHARED, body->fd, 0);
    if (map == MAP_FAILED)
        return err_errno(err, errno, "a large body can't be mapped");
    body->map = map;
    return 0;
}

struct str body_str(const struct body *body)
{
    if (body->map)
        return str_sub(body->map, body->len);
    return body->memory.ptr ? buf_str(&body->memory) : STR("");
}
