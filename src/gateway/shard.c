/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/shard.h"

#include "base/log.h"
#include "auth/auth.h"
#include "gateway/dispatch.h"
#include "gateway/pass.h"
#include "gateway/proxy.h"

#include <malloc.h>

enum {
    STACK_BYTES = 512 << 10,
    DRAIN_CHECK_MS = 20,
    TRIM_DELAY_MS = 1000, /* after a burst of large bodies: another may follow */
};

/* A message to a shard; freed by the function that it is handed to. */
struct mail {
    struct shard *shard;
    struct snapshot *snapshot; /* publish: a reference */
    struct certificate *certificate; /* replace_certificate: a reference */
    int64_t max_ms;            /* drain */
};

static void on_request(struct http_exchange *ex, void *ctx)
{
    dispatch_request(ctx, ex);
}

static void end_drain(struct shard *shard)
{
    if (shard->outbox)
        journal_outbox_flush(shard->outbox);
    atomic_store_explicit(&shard->is_drained, true, memory_order_relaxed);
}

static void check_drain(struct timer *timer, void *ctx)
{
    struct shard *shard = ctx;
    if (http_server_active(shard->server) == 0 || loop_now_ms(shard->loop) >= shard->drain_until_ms)
        end_drain(shard);
    else
        timer_start(timer, DRAIN_CHECK_MS);
}

static void on_trouble(const char *text, void *ctx)
{
    log_warning("gateway", "%s", text);
}

/* The allocator keeps what was freed below something that still lives; it may take milliseconds. */
static void trim(void *arg)
{
    (void)arg;
    malloc_trim(0);
}

static void on_trimmed(void *arg)
{
    (void)arg;
}

static void on_trim_due(struct timer *timer, void *ctx)
{
    struct shard *shard = ctx;
    (void)timer;
    loop_work(shard->loop, trim, on_trimmed, shard);
}

static void on_ebb(struct spool *spool)
{
    struct shard *shard = CONTAINER_OF(spool, struct shard, spool);
    if (!timer_is_armed(&shard->trim_timer))
        timer_start(&shard->trim_timer, TRIM_DELAY_MS);
}

static void on_count(int by, void *ctx)
{
    struct shard *shard = ctx;
    metrics_move(shard->metrics, METRICS_OPEN, by);
    if (by > 0)
        metrics_add(shard->metrics, METRICS_CONNECTIONS, 1);
}

struct shard *shard_new(const struct shard_shared *shared, const struct clock *clock)
{
    struct shard *shard = mem_alloc(sizeof *shard);
    shard->shared = shared;
    shard->loop = loop_new(clock);
    shard->server = http_server_new(shard->loop, on_request, shard);
    http_server_set_on_trouble(shard->server, on_trouble, shard);
    http_server_set_on_count(shard->server, on_count, shard);
    shard->pool = http_pool_new(shard->loop);
    if (shared->journal)
        shard->outbox = journal_outbox_new(shared->journal, shard->loop);
    list_init(&shard->passes);
    queue_init(&shard->queue, shard->loop, shared->settings.queue_max, proxy_is_servable);
    spool_init(&shard->spool, shared->spool_dir);
    shard->spool.on_ebb = on_ebb;
    timer_init(&shard->trim_timer, shard->loop, on_trim_due, shard);
    shard->metrics = shard_metrics_new();
    shard->live = live_new();
    shard->auth_cache = auth_cache_new();
    timer_init(&shard->drain_timer, shard->loop, check_drain, shard);
    return shard;
}

int shard_listen(struct shard *shard, const char *host, unsigned port, bool reuse_port,
                 struct err *err)
{
    return http_server_listen_tcp(shard->server, host, port, reuse_port, err);
}

int shard_listen_unix(struct shard *shard, const char *path, struct err *err)
{
    return http_server_listen_unix(shard->server, path, err);
}

void shard_set_certificate(struct shard *shard, struct certificate *certificate)
{
    http_server_set_certificate(shard->server, certificate);
}

static void *run(void *arg)
{
    struct shard *shard = arg;
    loop_run(shard->loop);
    return NULL;
}

int shard_start(struct shard *shard, struct err *err)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int rc = pthread_create(&shard->thread, &attr, run, shard);
    pthread_attr_destroy(&attr);
    if (rc != 0)
        return err_errno(err, rc, "can't start a gateway thread");
    shard->is_running = true;
    return 0;
}

static void replace_snapshot(struct shard *shard, struct snapshot *fresh)
{
    snapshot_unref(shard->snapshot);
    shard->snapshot = fresh;
}

static void take_snapshot(void *arg)
{
    struct mail *mail = arg;
    replace_snapshot(mail->shard, mail->snapshot);
    queue_wake(&mail->shard->queue);
    free(mail);
}

void shard_note_record(struct shard *shard, const struct usage_record *record,
                       struct token_times tokens, const struct access_request *request)
{
    metrics_note(shard->metrics, record, tokens);
    if (shard->outbox)
        journal_add(shard->outbox, record);
    if (shard->shared->access_log)
        access_log_note(shard->shared->access_log, shard->index, record, request);
}

void shard_publish(struct shard *shard, struct snapshot *snapshot)
{
    if (!shard->is_running) {
        replace_snapshot(shard, snapshot_ref(snapshot));
        return;
    }
    struct mail *mail = mem_alloc(sizeof *mail);
    *mail = (struct mail){.shard = shard, .snapshot = snapshot_ref(snapshot)};
    loop_post(shard->loop, take_snapshot, mail);
}

static void take_certificate(void *arg)
{
    struct mail *mail = arg;
    http_server_set_certificate(mail->shard->server, mail->certificate);
    certificate_unref(mail->certificate);
    free(mail);
}

void shard_replace_certificate(struct shard *shard, struct certificate *certificate)
{
    struct mail *mail = mem_alloc(sizeof *mail);
    *mail = (struct mail){.shard = shard, .certificate = certificate_ref(certificate)};
    loop_post(shard->loop, take_certificate, mail);
}

static void start_drain(void *arg)
{
    struct mail *mail = arg;
    struct shard *shard = mail->shard;
    shard->drain_until_ms = loop_now_ms(shard->loop) + mail->max_ms;
    free(mail);
    http_server_drain(shard->server);
    pass_end_streams(shard);
    check_drain(&shard->drain_timer, shard);
}

void shard_drain(struct shard *shard, int64_t max_ms)
{
    struct mail *mail = mem_alloc(sizeof *mail);
    *mail = (struct mail){.shard = shard, .max_ms = max_ms};
    loop_post(shard->loop, start_drain, mail);
}

static void free_spares(struct shard *shard)
{
    struct spare *spare;
    while ((spare = shard->spare_proxies)) {
        shard->spare_proxies = spare->next;
        free(spare);
    }
    free(shard->spare_reading);
}

void shard_free(struct shard *shard)
{
    if (!shard)
        return;
    if (shard->is_running) {
        loop_wake_stop(shard->loop);
        pthread_join(shard->thread, NULL);
    }
    timer_stop(&shard->drain_timer);
    http_server_free(shard->server);
    queue_fini(&shard->queue);
    http_pool_free(shard->pool);
    timer_stop(&shard->trim_timer); /* the last bodies may have armed it */
    shard->spool.on_ebb = NULL;     /* those that the pool's threads still read end below */
    journal_outbox_free(shard->outbox);
    loop_free(shard->loop);
    spool_fini(&shard->spool);
    free_spares(shard);
    auth_cache_free(shard->auth_cache);
    shard_metrics_free(shard->metrics);
    live_free(shard->live);
    snapshot_unref(shard->snapshot);
    free(shard);
}
