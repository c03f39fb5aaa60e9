/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway.h"

#include "gateway/key_uses.h"
#include "gateway/shard.h"
#include "io/listener.h"

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
    while (gateway->shard_count < params->threads)
        gateway->shards[gateway->shard_count++] =
            shard_new(&gateway->shared, loop_clock(params->loop));
    for (unsigned i = 0; i < gateway->shard_count; i++)
        gateway->shards[i]->index = i;
    int rc = listen_all(gateway, params, err);
    if (rc == 0 && params->access_log)
        rc = access_log_open(params->access_log, params->threads, &gateway->shared.access_log, err);
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

void gateway_reopen_logs(struct gateway *gateway)
{
    access_log_reopen(gateway->shared.access_log);
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
    key_uses_free(gateway->key_uses);
    feed_free(gateway->feed);
    http_pool_free(gateway->pool);
    timer_stop(&gateway->drain_timer);
    for (unsigned i = 0; i < gateway->shard_count; i++)
        shard_free(gateway->shards[i]);
    access_log_free(gateway->shared.access_log);
    free(gateway->shared.netns_id);
    free(gateway);
}
