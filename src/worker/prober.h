/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps a `gpustack prober` child and its last answer. Vendor libraries may crash, leak or hang:
 * they do so in the child, which prints one JSON line a round and is replaced when it ends or is
 * silent for a minute. The devices of the last good line stay known meanwhile. One loop's thread.
 *
 *     {"devices":[...]}                     a round; "fault":"..." beside it: a vendor failed
 *     {"fault":"fake devices FILE: ..."}    nothing could be detected
 *     {"answers":7}                         that round began after the 7th byte on its stdin
 *
 * It does a round every 5 s, and at once when a byte comes on its stdin: before an engine is
 * started nobody wants to go by what was free five seconds ago.
 */
#pragma once

#include "base/err.h"
#include "domain/device.h"
#include "io/loop.h"

enum {
    PROBER_ROUND_MS = 5000,    /* what the child waits between two rounds */
    PROBER_SILENCE_MS = 60000, /* without a line it is replaced */
    PROBER_RESTART_MIN_MS = 1000,
    PROBER_RESTART_MAX_MS = 60000,
    PROBER_LINE_MAX = 4 << 20, /* bytes */
};

/*
 * Parses a line. 0: `ret` has the devices and `*ret_fault` a partial fault (owned) or NULL;
 * ERR_UNAVAILABLE: the line tells a fault only, now in `err`; ERR_SYNTAX, ERR_INVALID: a bad line.
 * `ret` is zeroed before.
 */
int prober_read_line(struct str line, struct device_list *ret, char **ret_fault,
                     struct err *err) must_check;

/* Writes a line without its end; `fault` may be NULL. For the child. */
void prober_write_line(const struct device_list *devices, const char *fault, struct buf *out);

/* Writes the line, without its end, that tells how many requests for a round are answered. */
void prober_write_answer(uint64_t answers, struct buf *out);

struct prober;

/*
 * Starts the child `argv` (NULL-ended, borrowed for the prober's life) and keeps it running.
 * `on_answer` comes after the first line, whenever a line differs from the one before it, and when
 * what was asked for is answered. Returns owned.
 */
struct prober *prober_new(struct loop *loop, const char *const *argv, void (*on_answer)(void *ctx),
                          void *ctx);

/* Kills the child. NULL is fine. */
void prober_free(struct prober *prober);

/* The last known devices; empty before the first good line. */
const struct device_list *prober_devices(const struct prober *prober);

/* Whether any line, good or bad, has come. */
bool prober_has_answered(const struct prober *prober);

/*
 * Asks for a round that begins after this call. Returns a number to ask prober_has_looked() with;
 * should the child end meanwhile, the next one's first round is the answer.
 */
uint64_t prober_look(struct prober *prober);

/* Whether the round that was asked for is over. */
bool prober_has_looked(const struct prober *prober, uint64_t look);
