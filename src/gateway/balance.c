/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/balance.h"

static unsigned outstanding(const struct entry *endpoint)
{
    return atomic_load_explicit(&endpoint->endpoint.load->outstanding, memory_order_relaxed);
}

struct entry *balance_take(struct entry_span endpoints, int64_t except, unsigned *turn)
{
    struct entry *best = NULL;
    unsigned least = 0;
    size_t start = endpoints.count ? (*turn)++ % endpoints.count : 0;
    for (size_t i = 0; i < endpoints.count; i++) {
        struct entry *one = endpoints.items[(start + i) % endpoints.count];
        unsigned load = outstanding(one);
        if (one->id == except || (best && load >= least))
            continue;
        best = one;
        least = load;
    }
    if (!best)
        return NULL;
    atomic_fetch_add_explicit(&best->endpoint.load->outstanding, 1, memory_order_relaxed);
    return entry_ref(best);
}

void balance_release(struct entry *endpoint)
{
    if (!endpoint)
        return;
    atomic_fetch_sub_explicit(&endpoint->endpoint.load->outstanding, 1, memory_order_relaxed);
    entry_unref(endpoint);
}
