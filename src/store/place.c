/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/num.h"
#include "store/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

/* File systems of the network by statfs(2)'s f_type. FUSE may be local or not: it is let through.
 */
static const struct {
    uint64_t magic;
    const char *name;
} network_fs[] = {
    {0x6969, "NFS"},     {0x517b, "SMB"},        {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"},
    {0x5346414f, "AFS"}, {0x73757245, "Coda"},   {0x564c, "NCP"},      {0x00c36400, "CephFS"},
    {0x01021997, "9P"},  {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"}, {0x19830326, "BeeGFS"},
};

int place_check(const char *path, uint64_t magic, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(network_fs); i++)
        if (network_fs[i].magic == magic)
            return err_set(err, ERR_INVALID,
                           "database %s stands on %s, where locks and fsync can't be relied on: "
                           "move it to a local disk, or give --force-network-database",
                           path, network_fs[i].name);
    return 0;
}

/* For a human's error text only; the lock itself is what counts. */
static void write_pid(int fd)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0)
        log_debug("store", "can't note the pid in the lock file: %s", strerror(errno));
}

static int refuse(const char *path, int fd, struct err *err)
{
    char text[24];
    int64_t pid;
    ssize_t n = pread(fd, text, sizeof text, 0);
    if (n > 0 && num_parse_i64(str_trim(str_sub(text, (size_t)n)), 1, INT32_MAX, &pid) == 0)
        return err_set(err, ERR_CONFLICT, "database %s is in use by process %lld", path,
                       (long long)pid);
    return err_set(err, ERR_CONFLICT, "database %s is in use by another process", path);
}

int place_lock(const char *path, int *ret_fd, struct err *err)
{
    auto_free char *lock = mem_printf("%s.lock", path);
    auto_close int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, errno, "can't open %s", lock);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? refuse(path, fd, err)
                                    : err_errno(err, errno, "can't lock %s", lock);
    write_pid(fd);
    *ret_fd = fd;
    fd = -1;
    return 0;
}
