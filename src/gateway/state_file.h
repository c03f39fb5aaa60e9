/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The feed's state on disk, by which a gateway serves again after a restart while control is away:
 * a line that says whose state it is, then the feed's own lines as they came. A snapshot is written
 * beside the file and takes its place when it is whole; changes are appended. All writing is the
 * pool's. The file holds tokens: mode 0600.
 *
 * A last line that is torn is passed over; anything else that isn't right makes the whole file
 * worthless, since a change that is missing could be a key that was taken away.
 *
 * When changes outweigh the snapshot, or a while after a failure, the owner is asked for a fresh
 * snapshot, which means to open the feed again. Failures are logged and never fatal. Main thread.
 *
 *     state_file_load(path, identity, &tables, &changed_ms, &err);
 *     state = state_file_new(&params);
 *     state_file_begin(state, identity); state_file_add(state, line); ... state_file_ready(state);
 */
#pragma once

#include "auth/auth.h"
#include "gateway/tables.h"
#include "http/client.h"

enum {
    STATE_FILE_MAX = 1 << 30,          /* bytes that are loaded at most */
    STATE_FILE_LINE_MAX = 8 << 20,     /* as in http/lines.h */
    STATE_FILE_CHANGES_MIN = 1 << 20,  /* bytes of changes that are never too many */
    STATE_FILE_CHANGES_TIMES = 4,      /* above these: so many times the snapshot's */
    STATE_FILE_PENDING_MAX = 64 << 20, /* bytes that wait for the disk */
    STATE_FILE_RETRY_MS = 60000,       /* after a failure */
};

/*
 * Whose state it is: a digest of the server's address under the cluster token. `ret` is hex. A
 * state of another server, or from before the token was changed, is not ours.
 */
void state_file_identity(const struct http_target *control, const char *token,
                         char ret[AUTH_DIGEST_HEX]);

/* ---- reading ---- */

/* Zeroed but for identity and tables at the start. */
struct state_reader {
    const char *identity;  /* borrowed */
    struct tables *tables; /* empty at the start; to be freed by the caller in any case */
    struct buf partial;    /* owned: start of a line whose end hasn't come */
    bool has_head;
};

/*
 * Takes the next bytes of a file. ERR_INVALID: another's state; or as tables_apply(); ERR_TOO_LARGE
 * when a line is.
 */
int state_reader_push(struct state_reader *reader, struct str data, struct err *err) must_check;

/* The end. ERR_SYNTAX when no whole snapshot came. */
int state_reader_end(struct state_reader *reader, struct err *err) must_check;

void state_reader_fini(struct state_reader *reader);

/*
 * Loads a file into empty tables, which stay empty on failure; blocks on the disk.
 * `ret_changed_ms`: wall time of the last change. -ENOENT when there is none, else as above.
 */
int state_file_load(const char *path, const char *identity, struct tables *ret,
                    int64_t *ret_changed_ms, struct err *err) must_check;

/* ---- writing ---- */

struct state_file;

struct state_file_params {
    struct loop *loop;
    const char *path; /* copied; its folder exists */
    /* A fresh snapshot is wanted; never from inside. */
    void (*on_stale)(void *ctx);
    void *ctx;
};

/* Nothing is written before state_file_begin(). Returns owned. */
struct state_file *state_file_new(const struct state_file_params *params);

/* A snapshot begins; one that isn't whole yet is forgotten. */
void state_file_begin(struct state_file *state, const char *identity);

/* A line without its end, which the tables took. */
void state_file_add(struct state_file *state, struct str line);

/* The snapshot is whole with the line that was added last. */
void state_file_ready(struct state_file *state);

/* Writes what is left, while its loop lives. NULL is fine. */
void state_file_free(struct state_file *state);
