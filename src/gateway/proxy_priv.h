/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What proxy.c (the request: reading, choosing, admitting), proxy_ask.c (one attempt after the
 * other), proxy_translate.c (for engines that don't speak the client's dialect), proxy_answer.c
 * (the response on its way) and proxy_end.c (the record, the last word) share.
 */
#pragma once

#include "gateway/balance.h"
#include "gateway/body.h"
#include "gateway/limit_headers.h"
#include "gateway/multipart.h"
#include "gateway/proxy.h"
#include "gateway/queue.h"
#include "gateway/scan.h"
#include "gateway/stream_filter.h"
#include "gateway/targets.h"
#include "gateway/translation.h"
#include "http/forward.h"

enum {
    PROXY_SAFETY_HEADERS = 2, /* of answers through a model's own paths */
    /* That a reply gets from us. */
    PROXY_HEADERS_MAX = REQUEST_ID_HEADERS_MAX + PROXY_SAFETY_HEADERS + LIMIT_HEADERS_MAX,
};

/* What is known of the body while it comes; gone once the request is on its way. */
struct reading {
    bool is_form; /* multipart, else JSON */
    union {
        struct scan scan;
        struct multipart form;
    };
    bool has_model; /* it was looked up already */
};

enum answer_kind {
    ANSWER_PLAIN,  /* passes as it is; `usage_scan` reads along */
    ANSWER_EVENTS, /* through `filter` */
    ANSWER_TAKEN,  /* kept to be translated; `usage_scan` reads along */
};

struct proxy {
    struct shard *shard;
    struct http_exchange *ex; /* NULL once it is gone */
    const struct route *route;
    struct request_id id;
    struct entry *user, *key; /* references; key NULL: a session */
    uint64_t snapshot_number; /* of the snapshot by which these and the targets were found */
    struct targets targets;   /* models in the order to be asked, references; empty until known */
    struct entry *model;      /* of these, the one that is asked now; NULL until known */
    const char *name;         /* in `store.request`: as the client wrote it; NULL until known */
    char *engine_path;        /* owned: what the engine is asked for, with the query */
    enum phase phase;
    bool passes_body; /* the body is streamed through, not kept */
    struct live_place live;   /* where it counts for the live figures */
    uint32_t live_tokens;     /* of its response, that were counted there */

    /* The request. */
    struct body body;
    struct reading *reading; /* owned; NULL once the body is complete */
    struct scan_request *request; /* in `store`: what the JSON body says; NULL: it isn't JSON */
    struct scan_span form_model;  /* of a form: where the model's name stands */
    bool is_stream;               /* the client wants events */
    uint64_t request_bytes, prompt_bytes;
    struct buf served_name; /* put into the body of the attempt under way */
    struct translation *translation; /* owned; once made it serves all attempts; NULL: not made */
    struct translating *translating; /* a pool's thread makes it; NULL: none does */
    bool is_translated;              /* the attempt under way is made in its words */
    bool must_translate;             /* the engine has just said that it needs them */

    /* Attempts. */
    struct waiter waiter;
    int64_t wait_until_ms; /* loop time; 0: it hasn't waited yet */
    struct tried tried;
    struct lease lease;
    struct forward *forward; /* of the last attempt; NULL: there was none */
    struct timer first_byte; /* armed while a byte is owed */
    struct http_header reply_headers[PROXY_HEADERS_MAX]; /* our own, then those of limits */
    unsigned own_header_count, limit_header_count;

    /* Limits. */
    struct reservation reservation;       /* of user and key */
    struct reservation model_reservation; /* of the model that is asked now */
    struct limit_denial model_denial;
    bool is_model_limited; /* the last model had a limit that wasn't passed: see model_denial */

    /* The response. */
    enum answer_kind kind;
    struct stream_filter *filter; /* in `store`; ANSWER_EVENTS */
    struct usage_scan *usage_scan; /* in `store`; ANSWER_PLAIN and _TAKEN of JSON */
    int64_t header_tokens; /* of the prompt, as a header of the response tells */
    bool has_header_tokens;
    char *retry_after; /* owned; of a response that is translated; empty: it has none */
    struct timer keepalive;       /* armed while a silent stream gets signs of life */
    int64_t last_piece_ms;        /* loop time, for that */
    bool is_cut;                  /* it ended without its last event, and the client was told */
    unsigned status;              /* as sent to the client; 0: none yet */
    uint64_t response_bytes;

    /* Times by the clock's microseconds, and of the wall. */
    int64_t started_us, queued_us, waited_us, first_byte_us;
    int64_t started_ms;

    /* For the access log; NULL when there is none. */
    const char *method;
    char *target, *peer; /* owned */

    /* What most requests need, so that it isn't allocated by itself. Last: it isn't zeroed. */
    struct {
        struct scan_request request; /* of another body only the model's name */
        union {
            struct usage_scan usage_scan;
            struct stream_filter filter;
        };
        struct limit_headers limit_headers;
    } store;
};

enum { PROXY_SPARES_MAX = 64 }; /* that a shard keeps for the next requests */

/* ---- proxy.c ---- */

/* Keeps the memory of an ended request for the next one. */
void proxy_recycle(struct proxy *p);

/* Sets the phase: what a client's leaving is booked under, and what is shown live. */
void proxy_set_phase(struct proxy *p, enum phase phase);

/* For the time in which nothing is wanted of the client but that it stays; ctx is the proxy. */
extern const struct http_exchange_ops proxy_waiting_ops;

/* Refuses a body that is larger than what is taken. */
void proxy_refuse_size(struct proxy *p);

/* Gives the references to its targets back. */
void proxy_forget_targets(struct proxy *p);

/* Finds an instance, or queues, or refuses. */
void proxy_choose(struct proxy *p);

/* ---- proxy_limits.c ---- */

/* Tokens of the prompt, where nobody has counted them. */
int64_t proxy_estimate_prompt(const struct proxy *p);

/* Takes what the request may need of its user's and key's limits; false when it was refused. */
bool proxy_reserve(struct proxy *p);

/*
 * The same of a model, instead of the one before; false when that doesn't let it pass. Once for all
 * attempts at a model.
 */
bool proxy_reserve_model(struct proxy *p, const struct entry *model);

/* Refuses the request for the limit that proxy_reserve_model() has met. */
void proxy_refuse_model(struct proxy *p);

/* The request is over: `tokens` were used. */
void proxy_settle(struct proxy *p, int64_t tokens, int64_t now_us);

/* What is left of limits per minute, for the reply; `denial` is NULL or why it is a 429. */
void proxy_add_limit_headers(struct proxy *p, const struct limit_denial *denial);

/* ---- proxy_ask.c ---- */

/* Whether one more instance may be asked for this request, and there is one. */
bool proxy_may_ask_again(const struct proxy *p);

/* Takes an instance of the models in their order; false when none is left. */
bool proxy_take_instance(struct proxy *p);

/* Forwards to the instance in p->lease. */
void proxy_ask(struct proxy *p);

/* ---- proxy_translate.c ---- */

/*
 * Sees to it that the request is there in words that the instance in p->lease knows, and sets
 * p->is_translated. False: not now; a long body is translated on a pool's thread, and proxy_ask()
 * is called again when that is done, or the request was refused and `p` is gone.
 */
bool proxy_translate(struct proxy *p);

/* The instance in p->lease has said that it doesn't know what was asked. */
void proxy_must_translate(struct proxy *p);

/* The request is over: what a pool's thread still makes of it is thrown away. */
void proxy_abandon_translation(struct proxy *p);

/* ---- proxy_answer.c: callbacks of the forward ---- */

/* As in forward_params. `ctx` is the proxy. */
void proxy_on_head(struct forward *forward, const struct http_response_head *head, void *ctx);
/* Each piece is passed on in some way. */
void proxy_on_body(struct forward *forward, struct str data, void *ctx);
/* Tells the client when a stream ended without its last event. */
void proxy_on_end(struct forward *forward, void *ctx);

/* The whole response was kept: it is translated and sent. */
void proxy_end_taken(struct proxy *p);

/* Upstream broke off after its response had begun. */
void proxy_end_cut(struct proxy *p, int code, const char *text);

/* ---- proxy_keepalive.c ---- */

/* A stream of events begins: while the engine is silent in it, the client hears something now and
 * then, if the operator wants that. */
void proxy_keepalive_start(struct proxy *p);

/* ---- proxy_end.c ---- */

/* Replies with an error of ours, books the request as `outcome`, and lets go of it. */
void proxy_fail(struct proxy *p, enum fault fault, enum outcome outcome, const char *message);

/* What a response that went out whole was. */
enum outcome proxy_outcome(const struct proxy *p);

/* The request is over: writes its record, gives everything back and frees. */
void proxy_end(struct proxy *p, enum outcome outcome);

/* The client left in the present phase. */
void proxy_abort(struct proxy *p);
