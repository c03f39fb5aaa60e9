/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_page.h"

#include "base/log.h"
#include "gateway/authenticate.h"
#include "gateway/management.h"
#include "gateway/process_stats.h"

enum { INSTANCES_MAX = 10000 }; /* that are told one by one; doc/metrics.md says so */

/* Not one that another proxy on this machine passes on for somebody else. */
static bool is_from_here(const struct http_exchange *ex)
{
    const char *peer = http_exchange_peer(ex);
    const struct http_headers *headers = &http_exchange_head(ex)->headers;
    bool is_loopback = strncmp(peer, "127.", 4) == 0 || strcmp(peer, "::1") == 0 ||
                       strncmp(peer, "::ffff:127.", 11) == 0;
    return is_loopback && !http_headers_get(headers, "X-Forwarded-For").ptr &&
           !http_headers_get(headers, "Forwarded").ptr;
}

static bool is_admin(const struct shard *shard, const struct http_exchange *ex)
{
    struct identity identity;
    return shard->snapshot &&
           authenticate(shard->snapshot, shard->auth_cache, &http_exchange_head(ex)->headers,
                        clock_wall_ms(loop_clock(shard->loop)), &identity, NULL) == 0 &&
           identity.user->user.is_admin;
}

/* Instances of the snapshot; `ret` has room for INSTANCES_MAX. */
static size_t list_instances(const struct snapshot *snapshot, struct metrics_instance *ret)
{
    struct entry_span models = {0};
    size_t count = 0;
    if (snapshot)
        models = snapshot_models(snapshot);
    for (size_t i = 0; i < models.count; i++) {
        struct entry_span endpoints = snapshot_endpoints(snapshot, models.items[i]->id);
        for (size_t k = 0; k < endpoints.count && count < INSTANCES_MAX; k++) {
            const struct endpoint_entry *endpoint = &endpoints.items[k]->endpoint;
            ret[count++] = (struct metrics_instance){
                .model = models.items[i]->model.name,
                .name = endpoint->name,
                .breaker = breaker_state(&endpoint->load->breaker),
                .outstanding =
                    atomic_load_explicit(&endpoint->load->outstanding, memory_order_relaxed),
            };
        }
    }
    return count;
}

static void write_page(const struct shard *shard, struct buf *out)
{
    const struct shard_shared *shared = shard->shared;
    const struct shard_metrics *of[GATEWAY_THREADS_MAX];
    auto_free struct metrics_instance *instances =
        mem_alloc_array(INSTANCES_MAX, sizeof instances[0]);
    struct journal_stats journal = {0};
    struct err err = {0};
    struct process_stats process = {0};
    for (unsigned i = 0; i < shared->shard_count; i++)
        of[i] = shared->shards[i]->metrics;
    if (shared->journal)
        journal_measure(shared->journal, &journal);
    if (process_stats_read(&process, &err) < 0)
        log_debug("gateway", "%s", err.text);
    int64_t at_ms = atomic_load_explicit(&shared->snapshot_ms, memory_order_relaxed);
    const struct metrics_view view = {
        .shards = of,
        .shard_count = shared->shard_count,
        .instances = instances,
        .instance_count = list_instances(shard->snapshot, instances),
        .is_connected = atomic_load_explicit(&shared->is_connected, memory_order_relaxed),
        .snapshot_seq = atomic_load_explicit(&shared->snapshot_seq, memory_order_relaxed),
        .snapshot_age_ms = clock_mono_ms(loop_clock(shard->loop)) - at_ms,
        .journal_unsent = journal.unsent,
        .journal_dropped = journal.dropped,
        .journal_disk_errors = journal.disk_errors,
        .access_log_dropped = access_log_dropped(shared->access_log),
        .process = &process,
    };
    metrics_write(&view, out);
}

void metrics_page_reply(const struct shard *shard, struct http_exchange *ex)
{
    const struct http_header headers[] = {{STR("Content-Type"), STR(METRICS_CONTENT_TYPE)},
                                          {STR("Cache-Control"), STR("no-store")}};
    struct buf page = {0};
    if (!is_from_here(ex) && !is_admin(shard, ex)) {
        management_reply_error(ex, 401,
                               "metrics are told on this machine itself, and elsewhere to an "
                               "administrator's API key", NULL);
        return;
    }
    write_page(shard, &page);
    http_reply(ex, 200, headers, ARRAY_LEN(headers), buf_str(&page));
    buf_fini(&page);
}
