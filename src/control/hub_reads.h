/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/ and its tests: reads the headers of models on hubs, a few at a time, each on a
 * thread of its own, for a hub may take its time. Where the hubs are and the tokens for them come
 * from the environment (hub/hub.h). Control's thread.
 */
#pragma once

#include "control/shapes.h"

enum {
    HUB_READS_MAX = 4,           /* at once; others wait */
    HUB_READ_TIMEOUT_MS = 20000, /* for all requests of one */
};

/* How a read ended. */
struct hub_read {
    char *key; /* owned; "hf:REPO[/FILE]" or "ms:REPO[/FILE]" */
    int rc;
    bool is_open;  /* the repository was found: what failed concerns its files */
    struct err err;
    struct model_shape shape, projector; /* owned; when rc is 0 */
    char *identity;                      /* owned; the same */
};

void hub_read_fini(struct hub_read *read);

/* What the outcome makes of an entry. */
enum shape_state hub_read_state(const struct hub_read *read);

struct hub_reads;

/* `done` may take what the read owns. */
struct hub_reads *hub_reads_new(struct loop *loop, void (*done)(struct hub_read *read, void *ctx),
                                void *ctx);

/* Reads that are under way are left to themselves. NULL is fine. */
void hub_reads_free(struct hub_reads *reads);

/* Begins to read, now or when it is its turn. `done` comes later, but at once when the system has
 * no thread left. */
void hub_reads_ask(struct hub_reads *reads, const char *key);
