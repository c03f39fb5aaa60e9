/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the journal lives, and what it keeps beside its segments:
 *
 *     DATA-DIR/gateway/          0700
 *         lock                   held (flock) by the one gateway that uses the folder; its pid
 *         uuid                   the journal's name to control
 *         usage/SEGMENT.ndjson       segments
 *         usage/applied          number of the last record that control has
 *         usage/rejected.ndjson  what control didn't take, with its words
 *
 * Control passes over numbers that it has seen of a name, so a journal that begins anew has a new
 * name. Blocking calls; one thread at a time.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct journal_home {
    char *dir;       /* DATA-DIR/gateway; owned, as the others */
    char *usage_dir; /* DATA-DIR/gateway/usage */
    char *uuid;      /* NULL until journal_home_name() */
    int lock_fd;     /* -1: not held */
};

enum { JOURNAL_REJECTED_MAX = 16 << 20 }; /* bytes of rejected.ndjson; more is only logged */

/*
 * Makes the folders and takes the lock. ERR_CONFLICT names the pid of the holder. `ret` is to be
 * fini'd in any case.
 */
int journal_home_open(struct journal_home *ret, const char *data_dir, struct err *err) must_check;

/* Lets the lock go. */
void journal_home_fini(struct journal_home *home);

/* Reads the name; makes one when there is none, or when the journal `is_fresh`. */
int journal_home_name(struct journal_home *home, bool is_fresh, struct err *err) must_check;

/* False when the number isn't there or can't be read. */
bool journal_home_read_applied(const struct journal_home *home, uint64_t *ret_seq);

/* Durable on success. */
int journal_home_write_applied(const struct journal_home *home, uint64_t seq,
                               struct err *err) must_check;

/* Appends what was sent and the answer as one line. ERR_TOO_LARGE when there is enough of it. */
int journal_home_reject(const struct journal_home *home, struct str sent, const char *answer,
                        struct err *err) must_check;
