/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/storage.h"

#include "base/file.h"
#include "base/json.h"
#include "base/num.h"
#include "worker/status.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { MOUNTS_MAX_BYTES = 1 << 20 };

bool storage_is_shared(struct str type)
{
    static const char *const names[] = {
        "nfs",      "nfs4",    "cifs",   "smb3",   "smbfs",          "ceph",         "lustre",
        "gpfs",     "beegfs",  "9p",     "ocfs2",  "gfs2",           "afs",          "virtiofs",
        "fuse.ceph-fuse",      "fuse.glusterfs",   "fuse.juicefs",   "fuse.s3fs",    "fuse.sshfs",
        "fuse.mount.beegfs",   "glusterfs"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(type, str_of(names[i])))
            return true;
    return false;
}

/* 36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/sda1 rw */
static bool read_line(struct str line, uint64_t id, struct storage_mount *ret)
{
    struct str word, point = {0};
    int64_t number = -1;
    for (int i = 0; i < 5; i++) {
        if (!str_split(&line, ' ', &word))
            return false;
        if (i == 0 && (num_parse_i64(word, 0, INT64_MAX, &number) < 0 || (uint64_t)number != id))
            return false;
        point = word;
    }
    while (str_split(&line, ' ', &word)) {
        if (!str_eq(word, STR("-")))
            continue;
        struct storage_mount mount = {.point = point};
        if (!str_split(&line, ' ', &mount.type) || !str_split(&line, ' ', &mount.source))
            return false;
        *ret = mount;
        return true;
    }
    return false;
}

bool storage_find_mount(struct str text, uint64_t id, struct storage_mount *ret)
{
    struct str line;
    while (str_split(&text, '\n', &line))
        if (read_line(line, id, ret))
            return true;
    return false;
}

static char *describe(const struct storage_mount *mount, const struct statvfs *room)
{
    struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    auto_free char *point = status_unescape(mount->point);
    auto_free char *source = status_unescape(mount->source);
    auto_free char *type = str_dup(mount->type);
    json_begin_object(&w);
    json_put_string(&w, "mount_point", point);
    json_put_string(&w, "mount_from", source);
    json_put_string(&w, "type", type);
    json_put_bool(&w, "is_shared", storage_is_shared(mount->type));
    json_put_int(&w, "total", (int64_t)(room->f_blocks * room->f_frsize));
    json_put_int(&w, "available", (int64_t)(room->f_bavail * room->f_frsize));
    json_end_object(&w);
    return buf_take(&out);
}

char *storage_of(const char *path)
{
    struct statx at;
    struct statvfs room;
    struct storage_mount mount;
    struct buf text = {0};
    char *told = NULL;
    if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &at) == 0 && (at.stx_mask & STATX_MNT_ID) &&
        statvfs(path, &room) == 0 &&
        file_read("/proc/self/mountinfo", MOUNTS_MAX_BYTES, &text, NULL) == 0 &&
        storage_find_mount(buf_str(&text), at.stx_mnt_id, &mount))
        told = describe(&mount, &room);
    buf_fini(&text);
    return told;
}
