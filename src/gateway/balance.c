/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/balance.h"

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

static struct entry *choose(struct entry_span endpoints, const struct tried *tried, unsigned *turn)
{
    struct entry *best = NULL;
    unsigned least = 0;
    size_t start = endpoints.count ? (*turn)++ % endpoints.count : 0;
    for (size_t i = 0; i < endpoints.count; i++) {
        struct entry *one = endpoints.items[(start + i) % endpoints.count];
        unsigned load = outstanding(one);
        if ((best && load >= least) || was_tried(tried, one->id))
            continue;
        best = one;
        least = load;
    }
    return best;
}

bool lease_is_possible(struct entry_span endpoints, const struct tried *tried)
{
    for (size_t i = 0; tried->count < LEASE_TRIED_MAX && i < endpoints.count; i++)
        if (!was_tried(tried, endpoints.items[i]->id))
            return true;
    return false;
}

bool lease_take(struct lease *lease, struct entry_span endpoints, struct tried *tried,
                unsigned *turn, int64_t now_ms)
{
    struct entry *best = tried->count < LEASE_TRIED_MAX ? choose(endpoints, tried, turn) : NULL;
    if (!best)
        return false;
    tried->ids[tried->count++] = best->id;
    atomic_fetch_add_explicit(&best->endpoint.load->outstanding, 1, memory_order_relaxed);
    *lease = (struct lease){.endpoint = entry_ref(best)};
    return true;
}

void lease_end(struct lease *lease, enum lease_end end, int64_t now_ms)
{
    struct entry *endpoint = TAKE(lease->endpoint);
    if (!endpoint)
        return;
    atomic_fetch_sub_explicit(&endpoint->endpoint.load->outstanding, 1, memory_order_relaxed);
    entry_unref(endpoint);
}
