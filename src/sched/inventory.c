/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/inventory.h"

#include "base/mem.h"

#include <assert.h>

/* Room for one more item: arrays grow to the powers of two. */
static void *grow(void *items, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return items;
    return mem_resize(items, (count ? count * 2 : 1) * size);
}

size_t inventory_add_node(struct inventory *inventory, const struct inventory_node *node)
{
    assert(inventory->node_count < INVENTORY_NODES_MAX);
    inventory->nodes = grow(inventory->nodes, inventory->node_count, sizeof *inventory->nodes);
    struct inventory_node *added = &inventory->nodes[inventory->node_count];
    *added = *node;
    added->first_device = (uint32_t)inventory->device_count;
    added->device_count = 0;
    added->first_holding = 0;
    return inventory->node_count++;
}

void inventory_add_device(struct inventory *inventory, struct inventory_device device)
{
    assert(inventory->node_count > 0);
    struct inventory_node *node = &inventory->nodes[inventory->node_count - 1];
    assert(node->device_count < INVENTORY_DEVICES_MAX && device.free <= device.total);
    inventory->devices =
        grow(inventory->devices, inventory->device_count, sizeof *inventory->devices);
    inventory->devices[inventory->device_count++] = device;
    node->device_count++;
}

void inventory_fini(struct inventory *inventory)
{
    free(inventory->nodes);
    free(inventory->devices);
    free(inventory->holdings);
    *inventory = (struct inventory){0};
}

uint64_t inventory_free_units(const struct inventory *inventory, size_t node)
{
    const struct inventory_device *devices = inventory_devices(inventory, node);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < inventory->nodes[node].device_count; i++)
        sum += devices[i].free;
    return sum;
}

bool inventory_fits(const struct inventory *inventory, size_t node, const struct demand *demand)
{
    const struct inventory_node *on = &inventory->nodes[node];
    if (on->cpu_free < demand->cpu || on->ram_free < demand->ram)
        return false;
    if (demand->devices == 0)
        return true;
    if (demand->class_set && !(demand->class_set & on->class_bit))
        return false;
    const struct inventory_device *devices = inventory_devices(inventory, node);
    uint32_t found = 0;
    for (uint32_t i = 0; i < on->device_count && found < demand->devices; i++)
        found += devices[i].free >= demand->units;
    return found == demand->devices;
}

/* ---- claims ---- */

static void hold(struct inventory *inventory, const struct inventory_claim *claim)
{
    struct inventory_node *node = &inventory->nodes[claim->node];
    uint32_t slot = inventory->unused_holding;
    if (slot) {
        inventory->unused_holding = inventory->holdings[slot - 1].next;
    } else {
        inventory->holdings =
            grow(inventory->holdings, inventory->holding_count, sizeof *inventory->holdings);
        slot = (uint32_t)++inventory->holding_count;
    }
    inventory->holdings[slot - 1] = (struct inventory_holding){
        .next = node->first_holding, .model = claim->model, .device_set = claim->device_set};
    node->first_holding = slot;
}

static void release(struct inventory *inventory, const struct inventory_claim *claim)
{
    uint32_t *link = &inventory->nodes[claim->node].first_holding;
    for (; *link; link = &inventory->holdings[*link - 1].next) {
        uint32_t slot = *link;
        struct inventory_holding *holding = &inventory->holdings[slot - 1];
        if (holding->model == claim->model && holding->device_set == claim->device_set) {
            *link = holding->next;
            holding->next = inventory->unused_holding;
            inventory->unused_holding = slot;
            return;
        }
    }
    assert(!"what is taken back was claimed");
}

void inventory_apply(struct inventory *inventory, const struct inventory_claim *claim)
{
    struct inventory_node *node = &inventory->nodes[claim->node];
    struct inventory_device *devices = inventory_devices(inventory, claim->node);
    assert(node->cpu_free >= claim->demand.cpu && node->ram_free >= claim->demand.ram);
    node->cpu_free -= claim->demand.cpu;
    node->ram_free -= claim->demand.ram;
    for (uint64_t left = claim->device_set; left; left &= left - 1) {
        struct inventory_device *device = &devices[__builtin_ctzll(left)];
        assert(device->free >= claim->demand.units);
        device->free -= claim->demand.units;
    }
    node->version++;
    hold(inventory, claim);
}

void inventory_undo(struct inventory *inventory, const struct inventory_claim *claim)
{
    struct inventory_node *node = &inventory->nodes[claim->node];
    struct inventory_device *devices = inventory_devices(inventory, claim->node);
    node->cpu_free += claim->demand.cpu;
    node->ram_free += claim->demand.ram;
    for (uint64_t left = claim->device_set; left; left &= left - 1)
        devices[__builtin_ctzll(left)].free += claim->demand.units;
    node->version++;
    release(inventory, claim);
}

void inventory_count(const struct inventory *inventory, size_t node, uint32_t model,
                     struct inventory_company *ret)
{
    *ret = (struct inventory_company){0};
    uint32_t slot = inventory->nodes[node].first_holding;
    for (; slot; slot = inventory->holdings[slot - 1].next) {
        const struct inventory_holding *holding = &inventory->holdings[slot - 1];
        bool is_same = holding->model == model;
        (*(is_same ? &ret->same : &ret->others))++;
        unsigned *on = is_same ? ret->same_on : ret->others_on;
        for (uint64_t left = holding->device_set; left; left &= left - 1)
            on[__builtin_ctzll(left)]++;
    }
}
