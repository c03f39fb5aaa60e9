/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/balance.h"

#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum { WARN_MS = 1000 };

static unsigned outstanding(const struct entry *endpoint)
{
    return atomic_load_explicit(&endpoint->endpoint.load->outstanding, memory_order_relaxed);
}

static bool was_tried(const struct tried *tried, int64_t id)
{
    for (unsigned i = 0; i < tried->count; i++)
        if (tried->ids[i] == id)
            return true;
    return false;
}

static uint64_t last_lease(const struct entry *endpoint)
{
    return atomic_load_explicit(&endpoint->endpoint.load->last_lease, memory_order_relaxed);
}

/*
 * Numbers grow with each lease of any of them: the least is that of the one that was taken longest
 * ago. A place in the list that moves on with each request would give whom stands behind one that
 * is left out the share of both, and stand still for two models that are asked by turns.
 */
static void number(struct entry_span endpoints, struct entry *taken)
{
    uint64_t last = 0;
    for (size_t i = 0; i < endpoints.count; i++) {
        uint64_t one = last_lease(endpoints.items[i]);
        last = one > last ? one : last;
    }
    atomic_store_explicit(&taken->endpoint.load->last_lease, last + 1, memory_order_relaxed);
}

/* The least loaded whose breaker lets this request pass; among equals each in turn. */
static struct entry *choose(struct entry_span endpoints, const struct tried *tried, int64_t now_ms,
                            uint64_t *ret_probe)
{
    struct entry *best = NULL;
    unsigned least = 0;
    for (size_t i = 0; i < endpoints.count; i++) {
        struct entry *one = endpoints.items[i];
        unsigned load = outstanding(one);
        uint64_t probe;
        bool is_better = !best || load < least ||
                         (load == least && last_lease(one) < last_lease(best));
        if (!is_better || was_tried(tried, one->id) ||
            !breaker_may_pass(&one->endpoint.load->breaker, now_ms, &probe))
            continue;
        if (best) /* who was chosen before gets its pass back */
            breaker_abandon(&best->endpoint.load->breaker, *ret_probe, now_ms);
        best = one;
        least = load;
        *ret_probe = probe;
    }
    return best;
}

/* All are shut off: the one whose time comes first is tried before it. */
static struct entry *choose_early(struct entry_span endpoints, const struct tried *tried,
                                  int64_t now_ms, uint64_t *ret_probe)
{
    struct entry *best = NULL;
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < endpoints.count; i++) {
        struct entry *one = endpoints.items[i];
        int64_t due = breaker_due_ms(&one->endpoint.load->breaker);
        if (due < least && !was_tried(tried, one->id)) {
            best = one;
            least = due;
        }
    }
    if (best && breaker_probe_early(&best->endpoint.load->breaker, now_ms, ret_probe))
        return best;
    return NULL;
}

bool lease_is_possible(struct entry_span endpoints, const struct tried *tried)
{
    for (size_t i = 0; tried->count < LEASE_TRIED_MAX && i < endpoints.count; i++)
        if (!was_tried(tried, endpoints.items[i]->id))
            return true;
    return false;
}

bool lease_take(struct lease *lease, struct entry_span endpoints, struct tried *tried,
                int64_t now_ms)
{
    uint64_t probe = 0;
    if (!lease_is_possible(endpoints, tried))
        return false;
    struct entry *best = choose(endpoints, tried, now_ms, &probe);
    if (!best)
        best = choose_early(endpoints, tried, now_ms, &probe);
    if (!best)
        return false;
    tried->ids[tried->count++] = best->id;
    number(endpoints, best);
    atomic_fetch_add_explicit(&best->endpoint.load->outstanding, 1, memory_order_relaxed);
    *lease = (struct lease){.endpoint = entry_ref(best), .probe = probe};
    return true;
}

/* Tells the breaker; true when that has opened it. */
static bool tell_breaker(const struct lease *lease, enum lease_end end, int64_t now_ms)
{
    struct breaker *breaker = &lease->endpoint->endpoint.load->breaker;
    switch (end) {
    case LEASE_SERVED:
        breaker_success(breaker, lease->probe, now_ms);
        break;
    case LEASE_FAILED:
        return breaker_failure(breaker, lease->probe, now_ms);
    case LEASE_ABANDONED:
        breaker_abandon(breaker, lease->probe, now_ms);
        break;
    }
    return false;
}

void lease_answered(struct lease *lease, int64_t now_ms)
{
    if (lease->is_told)
        return;
    lease->is_told = true;
    (void)tell_breaker(lease, LEASE_SERVED, now_ms);
}

void lease_warn(const struct lease *lease, int64_t now_ms, const char *fmt, ...)
{
    struct endpoint_load *load = lease->endpoint->endpoint.load;
    int64_t told_ms = atomic_load_explicit(&load->told_ms, memory_order_relaxed);
    if ((told_ms && now_ms - told_ms < WARN_MS) ||
        !atomic_compare_exchange_strong_explicit(&load->told_ms, &told_ms, now_ms,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&load->untold, 1, memory_order_relaxed);
        return;
    }
    unsigned untold = atomic_exchange_explicit(&load->untold, 0, memory_order_relaxed);
    char more[48] = "";
    if (untold)
        snprintf(more, sizeof more, " (and %u times before)", untold);
    va_list args;
    va_start(args, fmt);
    auto_free char *text = mem_vprintf(fmt, args);
    va_end(args);
    log_warning("instance", "%s: %s%s", lease->endpoint->endpoint.name, text, more);
}

void lease_end(struct lease *lease, enum lease_end end, int64_t now_ms)
{
    if (!lease->endpoint)
        return;
    struct endpoint_entry *endpoint = &lease->endpoint->endpoint;
    if (!lease->is_told && tell_breaker(lease, end, now_ms))
        log_warning("instance", "%s: too many failures: requests go elsewhere for a while",
                    endpoint->name);
    atomic_fetch_sub_explicit(&endpoint->load->outstanding, 1, memory_order_relaxed);
    entry_unref(TAKE(lease->endpoint));
    *lease = (struct lease){.endpoint = NULL};
}

void lease_give_back(struct lease *lease, struct tried *tried, int64_t now_ms)
{
    assert(lease->endpoint && tried->count && tried->ids[tried->count - 1] == lease->endpoint->id);
    tried->count--;
    lease_end(lease, LEASE_ABANDONED, now_ms);
}
