/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/fragment.h"

uint64_t fragment_of_kind(const struct inventory *inventory, size_t node, const struct demand *kind)
{
    const struct inventory_device *devices = inventory_devices(inventory, node);
    bool is_usable = kind->devices && inventory_fits(inventory, node, kind);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < inventory->nodes[node].device_count; i++)
        if (!is_usable || devices[i].free < kind->units)
            sum += devices[i].free;
    return sum;
}

double fragment_of_node(const struct inventory *inventory, size_t node, const struct mix *mix)
{
    double sum = 0;
    for (size_t i = 0; i < mix->count; i++)
        sum += mix->kinds[i].weight *
               (double)fragment_of_kind(inventory, node, &mix->kinds[i].demand);
    return sum;
}

double fragment_gradient(struct inventory *inventory, const struct inventory_claim *claim,
                         const struct mix *mix)
{
    double before = fragment_of_node(inventory, claim->node, mix);
    inventory_apply(inventory, claim);
    double after = fragment_of_node(inventory, claim->node, mix);
    inventory_undo(inventory, claim);
    return after - before;
}
