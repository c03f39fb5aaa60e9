/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of changes to clients: who watches, how far each was told, and when it may hear more.
 *
 * A watcher is an open exchange with a place in the log of changes (changes.h). Rows are written
 * when its queue has room and from the table as it is then, so what a stalled reader costs is
 * WATCH_QUEUE_MAX bytes, not what it missed. Only durable state is told. A watcher begins with
 * NEWS_RESET and all rows, or with NEWS_RESUME where it left off; NEWS_READY says that what it was
 * told is the whole state. What the news look like on the wire and which rows the client may see
 * is its owner's affair (watcher_ops). Control's thread.
 *
 *     NEWS_RESET (NEWS_PUT)* NEWS_READY (NEWS_PUT | NEWS_DELETE | NEWS_HEARTBEAT)* [NEWS_END]
 *                  ^------------- NEWS_RESET: it fell too far behind -------------'
 */
#pragma once

#include "control/control.h"
#include "http/server.h"

enum {
    WATCH_HEARTBEAT_MS = 5000,
    WATCH_QUEUE_MAX = 32 << 10,  /* bytes that may wait for a watcher before it hears no more */
    WATCHERS_MAX = 2000,         /* in all */
    WATCHERS_PER_USER_MAX = 200, /* so that one can't take all */
};

enum news_op {
    NEWS_RESET,  /* forget what you know, all rows follow */
    NEWS_RESUME, /* what changed since `seq` follows */
    NEWS_PUT,    /* the row is there, as `record` */
    NEWS_DELETE, /* the row is gone, `record` was its last content; it may never have been told */
    NEWS_READY,  /* what was told is the whole state */
    NEWS_HEARTBEAT,
    NEWS_END, /* access was withdrawn; the stream ends */
};

struct news {
    enum news_op op;
    uint64_t seq;       /* the client was told everything up to here, this included */
    enum kind kind;     /* PUT, DELETE */
    const void *record; /* PUT, DELETE; borrowed for the call */
};

struct watcher_ops {
    /* Appends what the client shall read of it to `out`, if anything. */
    void (*write)(const struct news *news, struct buf *out, void *ctx);
    /* Whether the client may still hear this; asked when users, keys or sessions have changed, at
     * the end of that turn, and at each heartbeat. */
    bool (*is_allowed)(void *ctx);
    /* Last call: the stream is closed, from either side. */
    void (*on_close)(void *ctx);
};

struct watch_params {
    unsigned kinds;  /* set of 1 << enum kind */
    int64_t user_id; /* whom it counts for */
    uint64_t since;  /* go on behind this sequence; 0: from the beginning. Unknown ones too */
    bool can_reset;  /* false: who falls too far behind is cut off instead, and comes again */
    const struct watcher_ops *ops;
    void *ctx;
};

/*
 * Answers the exchange with a stream (text/event-stream); it is the watcher's from then on.
 * ERR_UNAVAILABLE when a cap is reached: the exchange and ctx are still the caller's.
 */
int watch_open(struct watch_hub *hub, struct http_exchange *ex, const struct watch_params *params,
               struct err *err) must_check;

/* Tells this life of control from others: sequences of another one mean nothing. 8 hex digits. */
const char *watch_boot(const struct watch_hub *hub);

/* Number of watchers. */
unsigned watch_count(const struct watch_hub *hub);
