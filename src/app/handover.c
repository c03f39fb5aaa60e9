/* SPDX-License-Identifier: Apache-2.0 */
#include "app/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { HANDOVER_MAX_BYTES = 64 << 10 };

static void release_secret(struct buf *text)
{
    if (text->cap)
        explicit_bzero(text->ptr, text->cap);
    buf_fini(text);
}

static int write_text(int fd, struct str text)
{
    size_t done = 0;
    while (done < text.len) {
        ssize_t n = pwrite(fd, text.ptr + done, text.len - done, (off_t)done);
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int handover_update(struct handover *handover, const struct config *config, struct err *err)
{
    struct stat before;
    if (fstat(handover->write_fd, &before) < 0)
        return err_errno(err, errno, "memory file for the configuration");
    struct buf text = {0};
    config_write(config, &text);
    while (text.len < (size_t)before.st_size)
        buf_add_char(&text, ' ');
    int rc = write_text(handover->write_fd, buf_str(&text));
    release_secret(&text);
    return rc < 0 ? err_errno(err, -rc, "can't write the memory file for the configuration") : 0;
}

int handover_init(struct handover *handover, const struct config *config, struct err *err)
{
    *handover = (struct handover){-1, -1};
    handover->write_fd = memfd_create("gpustack-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (handover->write_fd < 0)
        return err_errno(err, errno, "can't make a memory file for the configuration");
    auto_free char *path = mem_printf("/proc/self/fd/%d", handover->write_fd);
    handover->read_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (handover->read_fd < 0 ||
        fcntl(handover->write_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        int rc = err_errno(err, errno, "can't protect the memory file for the configuration");
        handover_fini(handover);
        return rc;
    }
    int rc = handover_update(handover, config, err);
    if (rc < 0)
        handover_fini(handover);
    return rc;
}

void handover_fini(struct handover *handover)
{
    fd_close_slot(&handover->read_fd);
    fd_close_slot(&handover->write_fd);
    *handover = (struct handover){-1, -1};
}

/* Reads by offset: the roles share the descriptor's position. */
static int read_all(int fd, struct buf *text)
{
    for (;;) {
        enum { STEP = 4096 };
        ssize_t n = pread(fd, buf_reserve(text, STEP), STEP, (off_t)text->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        buf_grew(text, (size_t)n);
        if (text->len > HANDOVER_MAX_BYTES)
            return -EFBIG;
    }
}

int handover_read(int fd, struct config *ret, struct err *err)
{
    struct buf text = {0};
    int rc = read_all(fd, &text);
    if (rc < 0)
        err_errno(err, -rc, "can't read the configuration from descriptor %d", fd);
    else
        rc = config_read(buf_str(&text), ret, err);
    release_secret(&text);
    return rc;
}
