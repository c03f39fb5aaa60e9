/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: reads a request, has the reply made, writes it at the pace and with the faults of
 * its script, and goes on with the next one. conn.c reads, writes and ends; reply.c decides what is
 * to be written when.
 */
#pragma once

#include "lib/engine/content.h"
#include "lib/engine/engine.h"
#include "lib/engine/wire.h"

enum conn_state {
    CONN_READING, /* idle too */
    CONN_REPLYING,
    CONN_ENDING, /* we have sent FIN; the client's is awaited */
};

enum reply_step { STEP_HEAD, STEP_FIRST, STEP_BODY, STEP_OVER };

struct reply {
    enum reply_step step;
    struct content content;
    bool is_stream;
    bool is_kept;     /* the connection goes on */
    struct buf body;  /* of a response that is no stream, or of a file */
    size_t put;       /* bytes of `body` that were taken */
    int64_t size;     /* bytes of the body; of a stream: not known */
    int64_t event;    /* next one with content */
    int64_t due_ns;   /* when it is due */
};

struct conn {
    struct poll_watch watch;
    struct engine *engine;
    enum conn_state state;
    uint64_t number;
    unsigned requests;
    struct request request;
    bool is_whole;      /* all of the request was read */
    struct buf rest;    /* input behind the present request */
    struct script script;
    struct log_entry *entry; /* of the present request, or NULL */
    struct wire wire;
    struct reply reply;
    struct alarm step_alarm;    /* the reply's next step, or the end of an idle connection */
    struct alarm trickle_alarm; /* the next few bytes */
};

/* Begins the reply to the request; its body need not be there when the script says so. */
void reply_start(struct conn *conn, const struct members *members, const struct err *bad_script);

/* Goes on with it, as far as time and the socket allow. */
void reply_run(struct conn *conn);

/* Frees what a reply has; a zeroed one has nothing. */
void reply_fini(struct reply *reply);

/*
 * Writes what is pending. True when nothing is left; the connection may be closed otherwise, so
 * that the caller has to return.
 */
bool conn_flush(struct conn *conn);

/* The response is complete and written: the next request, or the end. */
void conn_replied(struct conn *conn);
