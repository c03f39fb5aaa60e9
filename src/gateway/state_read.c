/* SPDX-License-Identifier: Apache-2.0 */
/* The reading half of state_file.h. */
#include "gateway/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { PIECE_BYTES = 256 << 10 };

void state_file_identity(const struct http_target *control, const char *token,
                         char ret[AUTH_DIGEST_HEX])
{
    auto_free char *address = mem_printf("%s://%s:%u%s", control->tls ? "https" : "http",
                                         control->host, control->port, control->unix_path);
    auth_hmac(str_of(token), str_of(address), ret);
}

/* ---- lines ---- */

static int read_head(struct state_reader *reader, struct str line, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    int rc = json_read(line, &root, err);
    if (rc < 0)
        return rc;
    const char *identity = json_member_string(root, "identity");
    if (!identity || !str_eq_const_time(str_of(identity), str_of(reader->identity)))
        return err_set(err, ERR_INVALID,
                       "it is the state of another server, or of one with another token");
    reader->has_head = true;
    return 0;
}

static int take_line(struct state_reader *reader, struct str line, struct err *err)
{
    return reader->has_head ? tables_apply(reader->tables, line, err)
                            : read_head(reader, line, err);
}

int state_reader_push(struct state_reader *reader, struct str data, struct err *err)
{
    struct buf *partial = &reader->partial;
    while (data.len) {
        size_t length = str_find(data, '\n');
        if (partial->len + length > STATE_FILE_LINE_MAX)
            return err_set(err, ERR_TOO_LARGE, "a line is longer than %d bytes",
                           STATE_FILE_LINE_MAX);
        buf_add(partial, data.ptr, length);
        if (length == data.len)
            break;
        int rc = take_line(reader, buf_str(partial), err);
        if (rc < 0)
            return rc;
        buf_clear(partial);
        data = str_skip(data, length + 1);
    }
    return 0;
}

int state_reader_end(struct state_reader *reader, struct err *err)
{
    return reader->tables->is_ready ? 0 : err_set(err, ERR_SYNTAX, "it isn't whole");
}

void state_reader_fini(struct state_reader *reader)
{
    if (reader->partial.ptr)
        explicit_bzero(reader->partial.ptr, reader->partial.cap);
    buf_fini(&reader->partial);
}

/* ---- the file ---- */

static int push_file(int fd, struct state_reader *reader, struct err *err)
{
    auto_free char *piece = mem_alloc(PIECE_BYTES);
    int rc = 0;
    while (rc == 0) {
        ssize_t n = read(fd, piece, PIECE_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            rc = n < 0 ? err_errno(err, errno, "can't read it") : 0;
            break;
        }
        rc = state_reader_push(reader, str_sub(piece, (size_t)n), err);
    }
    explicit_bzero(piece, PIECE_BYTES);
    return rc;
}

static int load(int fd, const char *identity, struct tables *tables, struct err *err)
{
    struct state_reader reader = {.identity = identity, .tables = tables};
    int rc = push_file(fd, &reader, err);
    if (rc == 0)
        rc = state_reader_end(&reader, err);
    state_reader_fini(&reader);
    return rc;
}

int state_file_load(const char *path, const char *identity, struct tables *ret,
                    int64_t *ret_changed_ms, struct err *err)
{
    struct stat st;
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "can't open %s", path);
    if (st.st_size > STATE_FILE_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s is larger than %d bytes", path, STATE_FILE_MAX);
    int rc = load(fd, identity, ret, err);
    if (rc < 0) {
        tables_fini(ret);
        return err_wrap(err, rc, "%s", path);
    }
    *ret_changed_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    return 0;
}
