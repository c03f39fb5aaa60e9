/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway.h"

#include "base/log.h"
#include "gateway/key_uses.h"
#include "gateway/shard.h"
#include "io/certificate_watch.h"
#include "io/listener.h"
#include "io/stream.h"

#include <assert.h>

enum { DRAIN_CHECK_MS = 20 };

struct gateway {
    struct loop *loop;
    struct shard_shared shared;
    struct shard *shards[GATEWAY_THREADS_MAX];
    unsigned shard_count;
    unsigned port;
    struct http_pool *pool; /* the feed's */
    struct feed *feed;
    struct key_uses *key_uses;
    struct certificate_watch *certificate_watch; /* NULL: in the clear */
    struct timer drain_timer;
    void (*on_drained)(void *ctx);
    void *drained_ctx;
};

static void on_snapshot(struct feed *feed, struct snapshot *snapshot, void *ctx)
{
    struct gateway *gateway = ctx;
    key_uses_take(gateway->key_uses, snapshot);
    for (unsigned i = 0; i < gateway->shard_count; i++)
        shard_publish(gateway->shards[i], snapshot);
}

static void on_connected(struct feed *feed, bool is_connected, void *ctx)
{
    struct gateway *gateway = ctx;
    atomic_store_explicit(&gateway->shared.is_connected, is_connected, memory_order_relaxed);
}

/* ---- TLS ---- */

static void warn_of(const struct certificate *certificate)
{
    if (certificate_warning(certificate))
        log_warning("gateway", "%s", certificate_warning(certificate));
}

static void on_certificate(int rc, struct certificate *fresh, const char *text, void *ctx)
{
    struct gateway *gateway = ctx;
    if (rc < 0) {
        log_error("gateway", "the certificate was not replaced, the former one stays: %s", text);
        return;
    }
    for (unsigned i = 0; i < gateway->shard_count; i++)
        shard_replace_certificate(gateway->shards[i], fresh);
    log_info("gateway", "certificate loaded: %s", certificate_text(fresh));
    warn_of(fresh);
}

/* Before the shards listen. */
static int load_certificate(struct gateway *gateway, const struct gateway_params *params,
                            struct err *err)
{
    struct certificate *certificate = NULL;
    if (!params->chain_path)
        return 0;
    gateway->certificate_watch = certificate_watch_new(
        params->loop, params->chain_path, params->key_path, on_certificate, gateway);
    int rc = certificate_load(params->chain_path, params->key_path, &certificate, err);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < gateway->shard_count; i++)
        shard_set_certificate(gateway->shards[i], certificate);
    warn_of(certificate);
    certificate_unref(certificate);
    return 0;
}

static int trust_authorities(struct gateway *gateway, const struct gateway_params *params,
                             struct err *err)
{
    int rc = 0;
    if (params->ca_path)
        rc = stream_trust_file(params->loop, params->ca_path, err);
    for (unsigned i = 0; params->ca_path && rc == 0 && i < gateway->shard_count; i++)
        rc = stream_trust_file(gateway->shards[i]->loop, params->ca_path, err);
    return rc;
}

void gateway_reload(struct gateway *gateway)
{
    if (gateway->certificate_watch)
        certificate_watch_reload(gateway->certificate_watch);
}

/* ---- listening ---- */

static void ignore_connection(struct listener *listener, int fd, const char *peer, int64_t peer_uid,
                              void *ctx)
{
    close(fd);
}

/*
 * Sockets that share a port with SO_REUSEPORT don't notice another process that does the same, and
 * connections would be dealt out between the two. A plain listener does notice.
 */
static int check_port_is_free(const struct gateway_params *params, struct err *err)
{
    struct listener *probe = NULL;
    if (params->port == 0)
        return 0;
    int rc = listener_tcp(params->loop, params->host, params->port, false, ignore_connection, NULL,
                          &probe, NULL, err);
    listener_free(probe);
    return rc;
}

static int listen_all(struct gateway *gateway, const struct gateway_params *params, struct err *err)
{
    int rc = check_port_is_free(params, err);
    gateway->port = params->port;
    for (unsigned i = 0; rc >= 0 && i < gateway->shard_count; i++) {
        rc = shard_listen(gateway->shards[i], params->host, gateway->port, true, err);
        if (rc > 0)
            gateway->port = (unsigned)rc;
    }
    /* One thread is enough for what this machine's own programs ask. */
    if (rc >= 0 && params->socket_path)
        rc = shard_listen_unix(gateway->shards[0], params->socket_path, err);
    return rc < 0 ? rc : 0;
}

static int start_all(struct gateway *gateway, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < gateway->shard_count; i++)
        rc = shard_start(gateway->shards[i], err);
    return rc;
}

static void start_feed(struct gateway *gateway, const struct gateway_params *params)
{
    gateway->pool = http_pool_new(params->loop);
    gateway->feed = feed_new(&(struct feed_params){
        .loop = params->loop,
        .pool = gateway->pool,
        .control = params->control,
        .token = params->token,
        .token_path = params->token_path,
        .on_snapshot = on_snapshot,
        .on_connected = on_connected,
        .ctx = gateway,
    });
    gateway->key_uses =
        key_uses_new(params->loop, gateway->pool, gateway->feed, &params->control);
}

static bool all_drained(const struct gateway *gateway)
{
    for (unsigned i = 0; i < gateway->shard_count; i++)
        if (!atomic_load_explicit(&gateway->shards[i]->is_drained, memory_order_relaxed))
            return false;
    return true;
}

static void check_drain(struct timer *timer, void *ctx)
{
    struct gateway *gateway = ctx;
    if (all_drained(gateway))
        gateway->on_drained(gateway->drained_ctx);
    else
        timer_start(timer, DRAIN_CHECK_MS);
}

int gateway_new(const struct gateway_params *params, struct gateway **ret, struct err *err)
{
    assert(params->threads >= 1 && params->threads <= GATEWAY_THREADS_MAX);
    struct gateway *gateway = mem_alloc(sizeof *gateway);
    gateway->loop = params->loop;
    gateway->shared.control = params->control;
    gateway->shared.netns_id = mem_strdup(params->netns_id);
    timer_init(&gateway->drain_timer, params->loop, check_drain, gateway);
    while (gateway->shard_count < params->threads) {
        struct shard *shard = shard_new(&gateway->shared, loop_clock(params->loop));
        if (params->connections_max)
            http_server_set_connections_max(shard->server, params->connections_max);
        gateway->shards[gateway->shard_count++] = shard;
    }
    int rc = load_certificate(gateway, params, err);
    if (rc == 0)
        rc = trust_authorities(gateway, params, err);
    if (rc == 0)
        rc = listen_all(gateway, params, err);
    if (rc == 0)
        rc = start_all(gateway, err);
    if (rc < 0) {
        gateway_free(gateway);
        return rc;
    }
    start_feed(gateway, params);
    *ret = gateway;
    return 0;
}

unsigned gateway_port(const struct gateway *gateway)
{
    return gateway->port;
}

void gateway_drain(struct gateway *gateway, int64_t max_ms, void (*on_drained)(void *ctx),
                   void *ctx)
{
    gateway->on_drained = on_drained;
    gateway->drained_ctx = ctx;
    for (unsigned i = 0; i < gateway->shard_count; i++)
        shard_drain(gateway->shards[i], max_ms);
    timer_start(&gateway->drain_timer, DRAIN_CHECK_MS);
}

void gateway_free(struct gateway *gateway)
{
    if (!gateway)
        return;
    certificate_watch_free(gateway->certificate_watch);
    key_uses_free(gateway->key_uses);
    feed_free(gateway->feed);
    http_pool_free(gateway->pool);
    timer_stop(&gateway->drain_timer);
    for (unsigned i = 0; i < gateway->shard_count; i++)
        shard_free(gateway->shards[i]);
    free(gateway->shared.netns_id);
    free(gateway);
}
