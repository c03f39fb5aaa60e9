/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can go wrong with an inference request on our side, and how it is told: one table of
 * statuses and codes, and the words around them in the dialect of the path that was called. The
 * exchange's thread; the writers are pure.
 */
#pragma once

#include "gateway/request_id.h"
#include "gateway/route.h"
#include "http/server.h"

/* fault.c has status, type, code and param of each in one table. */
enum fault {
    FAULT_BAD_BODY,        /* 400 */
    FAULT_BAD_CREDENTIALS, /* 401 */
    FAULT_NOT_PERMITTED,   /* 403 */
    FAULT_MODEL_FORBIDDEN, /* 403 */
    FAULT_PROXY_OFF,       /* 403: the model has no path of its own */
    FAULT_MODEL_UNKNOWN,   /* 404 */
    FAULT_PATH_UNKNOWN,    /* 404 */
    FAULT_METHOD_UNKNOWN,  /* 405 */
    FAULT_BODY_TOO_LARGE,  /* 413 */
    FAULT_RATE_LIMITED,    /* 429: a limit per minute, or of concurrent requests */
    FAULT_QUOTA,           /* 429: a budget is used up, or the request exceeds a whole limit */
    FAULT_ENGINE_FAILED,   /* 502: it broke the exchange off */
    FAULT_ENGINE_AWAY,     /* 503: it can't be connected to */
    FAULT_NO_INSTANCE,     /* 503: no instance is ready */
    FAULT_QUEUE_FULL,      /* 503: too many requests wait for one */
    FAULT_NOT_READY,       /* 503: this gateway knows nothing yet */
    FAULT_NO_ROOM,         /* 503: no disk for a large body */
    FAULT_TIMEOUT,         /* 504: the engine took too long */
    FAULT_COUNT
};

enum { FAULT_HEADERS_MAX = 16 };

/* What a reply says beside the message. The zero value says nothing. */
struct fault_extra {
    const char *allow;                 /* value of Allow, for a 405 */
    int64_t retry_after_ms;            /* 0: what the table has for this fault */
    const struct http_header *headers; /* more; borrowed */
    unsigned header_count;             /* at most FAULT_HEADERS_MAX */
};

/* The HTTP status that tells it. */
unsigned fault_status(enum fault fault);

/*
 * The error as one JSON object without a line's end: {"error":{message,type,code,param}} for
 * OpenAI, {"type":"error","error":{type,message},"request_id"} for Anthropic, and for Cohere
 * {"message"} beside OpenAI's.
 */
void fault_write(enum fault fault, enum dialect dialect, const char *message,
                 const struct request_id *id, struct buf *out);

/*
 * The same as the last event of a stream, empty line included; in a stream of Responses
 * {"type":"error",code,message,param,"error"}.
 */
void fault_write_event(enum fault fault, enum dialect dialect, const char *message,
                       const struct request_id *id, struct buf *out);

/* Replies with the error; returns the bytes of its body. `extra` may be NULL. */
size_t fault_reply(struct http_exchange *ex, enum fault fault, enum dialect dialect,
                   const char *message, const struct request_id *id,
                   const struct fault_extra *extra);
