/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data plane: the public port on several threads, fed by control. Wiring of the shards
 * (shard.h) and the feed (feed.h); the role's process around it is app/cmd_gateway.c.
 *
 * Owned by the main loop's thread, which must run for the feed and the drain; the shards run beside
 * it. Usage:
 *
 *     gateway_new(&params, &gateway, &err);
 *     loop_run(loop);              // on a signal: gateway_drain(gateway, max_ms, stop, ctx)
 *     gateway_free(gateway);
 */
#pragma once

#include "gateway/shard.h"
#include "http/client.h"

struct gateway;

struct gateway_params {
    struct loop *loop;          /* main loop; its clock is used everywhere */
    const char *host;           /* numeric address to listen on */
    unsigned port;              /* 0 picks one */
    unsigned threads;           /* 1-GATEWAY_THREADS_MAX */
    struct gateway_settings settings;
    unsigned connections_max;   /* of clients, per thread; 0: HTTP_CONNECTIONS_MAX */
    struct http_target control; /* where the feed comes from and management requests go */
    const char *token;          /* cluster token; NULL: read from token_path */
    const char *token_path;     /* may be NULL when there is a token */
    const char *netns_id;       /* of this process: netns_id() */
    const char *chain_path;     /* certificate chain and key: the port speaks HTTPS; both NULL: */
    const char *key_path;       /* in the clear */
    const char *socket_path;    /* unix socket for this machine's programs, in the clear; NULL */
    const char *ca_path;        /* authorities to trust besides the system's, for `control`; NULL */
    const char *data_dir;       /* for usage records, the last state and large
                                   bodies; NULL: neither is kept, bodies go to /var/tmp */
    uint64_t journal_max_bytes; /* of usage records on the disk; 0: JOURNAL_DISK_MAX */
    const char *access_log;     /* file, "-" or NULL: access_log_open() */
    const struct site *site;    /* the web UI; NULL: there is none */
};

/*
 * Listens and starts. All but `site` is copied. -EADDRINUSE names port and holder, also when the
 * holder is another gateway; ERR_CONFLICT names the gateway that uses the data folder. Returns
 * owned.
 */
int gateway_new(const struct gateway_params *params, struct gateway **ret,
                struct err *err) must_check;

/* Takes up the certificate's files as they are now; they are also followed on their own. */
void gateway_reload(struct gateway *gateway);
/* Goes on in fresh log files: the old ones were moved away. */
void gateway_reopen_logs(struct gateway *gateway);

unsigned gateway_port(const struct gateway *gateway);

/*
 * Stops listening at once, lets running requests finish for at most `max_ms` and sends usage
 * records in what is left of these; then calls on_drained(), once.
 */
void gateway_drain(struct gateway *gateway, int64_t max_ms, void (*on_drained)(void *ctx),
                   void *ctx);

/* Breaks off what runs and frees. NULL is fine. */
void gateway_free(struct gateway *gateway);
