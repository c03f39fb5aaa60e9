/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway.h"

#include "base/log.h"
#include "gateway/key_uses.h"
#include "gateway/limit_book.h"
#include "gateway/live_send.h"
#include "gateway/shard.h"
#include "io/certificate_watch.h"
#include "gateway/usage_send.h"
#include "io/listener.h"
#include "io/stream.h"

#include <assert.h>

enum {
    DRAIN_CHECK_MS = 20,
    LAST_SEND_MS = 2000, /* of a drain, for what control doesn't know yet */
};

static const struct site no_site = {0};

struct gateway {
    struct loop *loop;
    struct shard_shared shared;
    struct shard *shards[GATEWAY_THREADS_MAX];
    unsigned shard_count;
    unsigned port;
    struct http_pool *pool; /* the feed's */
    struct feed *feed;
    struct key_uses *key_uses;
    struct live_send *live_send;
    struct certificate_watch *certificate_watch; /* NULL: in the clear */
    struct journal *journal;       /* NULL: usage isn't recorded; so the next */
    struct usage_send *usage_send;
    struct timer drain_timer;
    int64_t drain_until_ms; /* loop time */
    void (*on_drained)(void *ctx);
    void *drained_ctx;
};

static void on_snapshot(struct feed *feed, struct snapshot *snapshot, void *ctx)
{
    struct gateway *gateway = ctx;
    key_uses_take(gateway->key_uses, snapshot);
    atomic_store_explicit(&gateway->shared.snapshot_seq, feed_seq(feed), memory_order_relaxed);
    atomic_store_explicit(&gateway->shared.snapshot_ms, loop_now_ms(gateway->loop),
                          memory_order_relaxed);
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

static void start_sending(struct gateway *gateway, const struct gateway_params *params)
{
    gateway->usage_send = usage_send_new(&(struct usage_send_params){
        .loop = params->loop,
        .pool = gateway->pool,
        .feed = gateway->feed,
        .journal = gateway->journal,
        .control = params->control,
    });
}

static void start_live(struct gateway *gateway, const struct gateway_params *params)
{
    struct live *lives[GATEWAY_THREADS_MAX];
    for (unsigned i = 0; i < gateway->shard_count; i++)
        lives[i] = gateway->shards[i]->live;
    gateway->live_send = live_send_new(&(struct live_send_params){
        .loop = params->loop,
        .pool = gateway->pool,
        .feed = gateway->feed,
        .control = params->control,
        .lives = lives,
        .live_count = gateway->shard_count,
    });
}

static void start_feed(struct gateway *gateway, const struct gateway_params *params)
{
    auto_free char *state_path =
        params->data_dir ? mem_printf("%s/gateway/state.ndjson", params->data_dir) : NULL;
    gateway->pool = http_pool_new(params->loop);
    gateway->feed = feed_new(&(struct feed_params){
        .loop = params->loop,
        .pool = gateway->pool,
        .control = params->control,
        .token = params->token,
        .token_path = params->token_path,
        .gateway = gateway->journal ? journal_uuid(gateway->journal) : NULL,
        .state_path = state_path,
        .on_snapshot = on_snapshot,
        .on_connected = on_connected,
        .ctx = gateway,
    });
    gateway->key_uses =
        key_uses_new(params->loop, gateway->pool, gateway->feed, &params->control);
    start_live(gateway, params);
    if (gateway->journal)
        start_sending(gateway, params);
    feed_publish_kept(gateway->feed);
}

static bool all_drained(const struct gateway *gateway)
{
    for (unsigned i = 0; i < gateway->shard_count; i++)
        if (!atomic_load_explicit(&gateway->shards[i]->is_drained, memory_order_relaxed))
            return false;
    return true;
}

/* Requests have ended, or their time has. */
static void send_last(struct gateway *gateway)
{
    int64_t left_ms = gateway->drain_until_ms - loop_now_ms(gateway->loop);
    if (left_ms > LAST_SEND_MS)
        left_ms = LAST_SEND_MS;
    if (gateway->usage_send)
        usage_send_drain(gateway->usage_send, left_ms > 0 ? left_ms : 0, gateway->on_drained,
                         gateway->drained_ctx);
    else
        gateway->on_drained(gateway->drained_ctx);
}

static void check_drain(struct timer *timer, void *ctx)
{
    struct gateway *gateway = ctx;
    if (all_drained(gateway))
        send_last(gateway);
    else
        timer_start(timer, DRAIN_CHECK_MS);
}

static void on_numbered(const struct usage_spent *spent, size_t count, void *ctx)
{
    struct gateway *gateway = ctx;
    limit_book_written(feed_limits(gateway->feed), spent, count);
}

static int open_journal(struct gateway *gateway, const struct gateway_params *params,
                        struct err *err)
{
    const struct journal_params journal_params = {.loop = params->loop,
                                                  .data_dir = params->data_dir,
                                                  .disk_max_bytes = params->journal_max_bytes,
                                                  .on_numbered = on_numbered,
                                                  .ctx = gateway};
    int rc = journal_open(&journal_params, &gateway->journal, err);
    gateway->shared.journal = gateway->journal;
    return rc;
}

static void on_recovered(const struct usage_record *record, void *ctx)
{
    struct gateway *gateway = ctx;
    struct usage_spent spent = usage_spent_of(record);
    limit_book_recovered(feed_limits(gateway->feed), &spent);
}

/* What an earlier process left behind counts for budgets until control has it. */
static int start_journal(struct gateway *gateway, struct err *err)
{
    struct err cause = {0};
    if (journal_replay(gateway->journal, on_recovered, gateway, &cause) < 0)
        log_warning("usage", "what was left unsent isn't counted for budgets: %s", cause.text);
    return journal_start(gateway->journal, err);
}

static void make_shards(struct gateway *gateway, const struct gateway_params *params)
{
    while (gateway->shard_count < params->threads) {
        struct shard *shard = shard_new(&gateway->shared, loop_clock(params->loop));
        if (params->connections_max)
            http_server_set_connections_max(shard->server, params->connections_max);
        gateway->shards[gateway->shard_count++] = shard;
    }
    gateway->shared.shard_count = gateway->shard_count;
    for (unsigned i = 0; i < gateway->shard_count; i++)
        gateway->shards[i]->index = i;
}

/* From then on clients connect, and wait until the shards start. */
static int open_shards(struct gateway *gateway, const struct gateway_params *params,
                       struct err *err)
{
    make_shards(gateway, params);
    int rc = load_certificate(gateway, params, err);
    if (rc == 0)
        rc = trust_authorities(gateway, params, err);
    return rc < 0 ? rc : listen_all(gateway, params, err);
}

/* What was kept is in force, limits included, before the first request is read. */
static int start(struct gateway *gateway, const struct gateway_params *params, struct err *err)
{
    int rc = open_shards(gateway, params, err);
    if (rc < 0)
        return rc;
    start_feed(gateway, params);
    rc = gateway->journal ? start_journal(gateway, err) : 0;
    return rc < 0 ? rc : start_all(gateway, err);
}

int gateway_new(const struct gateway_params *params, struct gateway **ret, struct err *err)
{
    assert(params->threads >= 1 && params->threads <= GATEWAY_THREADS_MAX);
    struct gateway *gateway = mem_alloc(sizeof *gateway);
    gateway->loop = params->loop;
    gateway->shared.control = params->control;
    gateway->shared.netns_id = mem_strdup(params->netns_id);
    gateway->shared.settings = params->settings;
    gateway->shared.site = params->site ? params->site : &no_site;
    if (params->data_dir)
        gateway->shared.spool_dir = mem_printf("%s/gateway", params->data_dir);
    gateway->shared.shards = gateway->shards;
    atomic_init(&gateway->shared.snapshot_seq, -1);
    timer_init(&gateway->drain_timer, params->loop, check_drain, gateway);
    int rc = params->data_dir ? open_journal(gateway, params, err) : 0;
    if (rc == 0 && params->access_log)
        rc = access_log_open(params->access_log, params->threads, &gateway->shared.access_log,
                             err);
    if (rc == 0)
        rc = start(gateway, params, err);
    if (rc < 0) {
        gateway_free(gateway);
        return rc;
    }
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
    gateway->drain_until_ms = loop_now_ms(gateway->loop) + max_ms;
    for (unsigned i = 0; i < gateway->shard_count; i++)
        shard_drain(gateway->shards[i], max_ms);
    timer_start(&gateway->drain_timer, DRAIN_CHECK_MS);
}

void gateway_free(struct gateway *gateway)
{
    if (!gateway)
        return;
    certificate_watch_free(gateway->certificate_watch);
    usage_send_free(gateway->usage_send);
    key_uses_free(gateway->key_uses);
    live_send_free(gateway->live_send);
    feed_free(gateway->feed);
    http_pool_free(gateway->pool);
    timer_stop(&gateway->drain_timer);
    for (unsigned i = 0; i < gateway->shard_count; i++)
        shard_free(gateway->shards[i]);
    journal_free(gateway->journal);
    access_log_free(gateway->shared.access_log);
    free(gateway->shared.netns_id);
    free(gateway->shared.spool_dir);
    free(gateway);
}
