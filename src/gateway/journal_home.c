/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/journal_home.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { LINE_MAX_BYTES = 64, UUID_LENGTH = 36 };

/* ---- folders and lock ---- */

static int make_private(const char *path, struct err *err)
{
    int rc = file_make_dirs(path, 0700, err);
    if (rc == 0 && chmod(path, 0700) < 0 && errno != EROFS)
        return err_errno(err, errno, "can't protect folder %s", path);
    return rc;
}

static int refuse_second(const char *path, const char *dir, struct err *err)
{
    auto_free char *pid = NULL;
    if (file_read_line(path, LINE_MAX_BYTES, &pid, NULL) < 0 || !*pid)
        return err_set(err, ERR_CONFLICT, "another gateway already uses folder %s", dir);
    return err_set(err, ERR_CONFLICT, "another gateway (pid %s) already uses folder %s", pid, dir);
}

static int take_lock(struct journal_home *home, struct err *err)
{
    auto_free char *path = mem_printf("%s/lock", home->dir);
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, errno, "can't open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? refuse_second(path, home->dir, err)
                                    : err_errno(err, errno, "can't lock %s", path);
    /* The pid is for people: a full disk must not keep requests from being served. */
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
        log_warning("usage", "its pid is not in %s: %s", path, strerror(errno));
    home->lock_fd = fd;
    fd = -1;
    return 0;
}

int journal_home_open(struct journal_home *ret, const char *data_dir, struct err *err)
{
    *ret = (struct journal_home){
        .dir = mem_printf("%s/gateway", data_dir),
        .usage_dir = mem_printf("%s/gateway/usage", data_dir),
        .lock_fd = -1,
    };
    int rc = make_private(ret->dir, err);
    if (rc == 0)
        rc = take_lock(ret, err);
    return rc == 0 ? make_private(ret->usage_dir, err) : rc;
}

void journal_home_fini(struct journal_home *home)
{
    if (!home->dir)
        return;
    fd_close_slot(&home->lock_fd);
    free(home->dir);
    free(home->usage_dir);
    free(home->uuid);
    *home = (struct journal_home){.lock_fd = -1};
}

/* ---- name ---- */

static bool is_uuid(const char *text)
{
    return strlen(text) == UUID_LENGTH && strspn(text, "0123456789abcdef-") == UUID_LENGTH;
}

static int make_name(struct journal_home *home, const char *path, struct err *err)
{
    auto_free char *fresh = random_uuid();
    auto_free char *line = mem_printf("%s\n", fresh);
    int rc = file_write(path, str_of(line), 0600, err);
    if (rc == 0)
        home->uuid = TAKE(fresh);
    return rc;
}

int journal_home_name(struct journal_home *home, bool is_fresh, struct err *err)
{
    auto_free char *path = mem_printf("%s/uuid", home->dir);
    auto_free char *kept = NULL;
    if (is_fresh || !file_exists(path))
        return make_name(home, path, err);
    int rc = file_read_line(path, LINE_MAX_BYTES, &kept, err);
    if (rc < 0)
        return rc;
    if (!is_uuid(kept))
        return err_set(err, ERR_INVALID,
                       "%s doesn't hold a UUID; remove it to give this gateway a new name, under "
                       "which control may count the records of the last minute twice",
                       path);
    home->uuid = TAKE(kept);
    return 0;
}

/* ---- what control has ---- */

bool journal_home_read_applied(const struct journal_home *home, uint64_t *ret_seq)
{
    auto_free char *path = mem_printf("%s/applied", home->usage_dir);
    auto_free char *text = NULL;
    return file_read_line(path, LINE_MAX_BYTES, &text, NULL) == 0 &&
           num_parse_u64(str_of(text), ret_seq) == 0 && *ret_seq <= INT64_MAX;
}

int journal_home_write_applied(const struct journal_home *home, uint64_t seq, struct err *err)
{
    auto_free char *path = mem_printf("%s/applied", home->usage_dir);
    auto_free char *line = mem_printf("%" PRIu64 "\n", seq);
    return file_write(path, str_of(line), 0600, err);
}

/* ---- what it didn't take ---- */

static void write_rejected(struct buf *line, struct str sent, const char *answer)
{
    struct json_writer w = json_writer_into(line);
    json_begin_object(&w);
    json_put_string(&w, "answer", answer);
    json_add_key(&w, "sent");
    json_add_raw(&w, sent);
    json_end_object(&w);
    buf_add_char(line, '\n');
}

int journal_home_reject(const struct journal_home *home, struct str sent, const char *answer,
                        struct err *err)
{
    auto_free char *path = mem_printf("%s/rejected.ndjson", home->usage_dir);
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "can't open %s", path);
    if (st.st_size >= JOURNAL_REJECTED_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s has reached %d bytes", path, JOURNAL_REJECTED_MAX);
    struct buf line = {0};
    write_rejected(&line, sent, answer);
    ssize_t n = write(fd, line.ptr, line.len);
    int rc = n == (ssize_t)line.len ? 0 : n < 0 ? -errno : -ENOSPC;
    buf_fini(&line);
    return rc < 0 ? err_errno(err, -rc, "can't write %s", path) : 0;
}
