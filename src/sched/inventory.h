/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scoring sees of a cluster: per node what is free of its processors, main memory and devices,
 * and which models it holds. Compact, so that claims are tried and taken back in nanoseconds.
 *
 * A device has units: bytes of its memory in the product, thousandths of a device in the traces of
 * the benchmark. Nothing here knows which. Hard constraints other than room (labels, health, files)
 * are the planner's; it passes only nodes that meet them.
 *
 *     struct inventory inventory = {0};
 *     size_t node = inventory_add_node(&inventory, &(struct inventory_node){.cpu_free = 64000,
 *                                      .ram_free = 1 << 30, .class_bit = 1});
 *     inventory_add_device(&inventory, (struct inventory_device){.total = 1000, .free = 1000});
 *     inventory_apply(&inventory, &claim);
 *     inventory_undo(&inventory, &claim); // as before
 *     inventory_fini(&inventory);
 *
 * Owned by one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    INVENTORY_NODES_MAX = 100000,
    INVENTORY_DEVICES_MAX = 64, /* of a node: the bits of a device set */
    INVENTORY_CLASSES_MAX = 32, /* kinds of devices: the bits of a class set */
};

/* What one instance asks of a node. A zero class set allows every class. */
struct demand {
    uint64_t cpu;       /* in the units of cpu_free */
    uint64_t ram;       /* in the units of ram_free */
    uint64_t units;     /* of each device that it gets */
    uint32_t devices;   /* how many; 0: none */
    uint32_t class_set; /* bits of the classes that it can run on */
};

struct inventory_device {
    uint64_t total, free; /* units */
    uint8_t island;       /* devices of an island reach each other by their fastest links */
};

struct inventory_node {
    uint64_t cpu_free, ram_free;
    uint32_t class_bit;      /* one bit: which class its devices are of */
    uint32_t failure_domain; /* nodes with the same number fail together */
    uint32_t first_device;   /* index in inventory.devices; set by inventory_add_node() */
    uint32_t device_count;   /* counted by inventory_add_device() */
    uint32_t first_holding;  /* index + 1 in inventory.holdings, the latest; 0: holds nothing */
    uint32_t version;        /* changes with each claim */
};

/* Something that a node holds. Models are numbered by the caller. */
struct inventory_holding {
    uint32_t next; /* index + 1 of the node's next one, or of the next unused one; 0: the last */
    uint32_t model;
    uint64_t device_set;
};

/* A demand met on one node with these devices (bit i: the node's i-th). */
struct inventory_claim {
    struct demand demand;
    uint32_t node;
    uint32_t model;
    uint64_t device_set;
};

/* The zero value is empty. */
struct inventory {
    struct inventory_node *nodes; /* owned */
    size_t node_count;
    struct inventory_device *devices; /* owned; those of a node stand together */
    size_t device_count;
    struct inventory_holding *holdings; /* owned; chained per node */
    size_t holding_count;               /* with the unused ones */
    uint32_t unused_holding;            /* index + 1 of the first unused one */
};

/* How many instances a node holds; see inventory_count(). */
struct inventory_company {
    unsigned same, others;
    unsigned same_on[INVENTORY_DEVICES_MAX], others_on[INVENTORY_DEVICES_MAX];
};

/* Adds a node without devices and gives its index. */
size_t inventory_add_node(struct inventory *inventory, const struct inventory_node *node);

/* Adds a device to the node that was added last. */
void inventory_add_device(struct inventory *inventory, struct inventory_device device);

void inventory_fini(struct inventory *inventory);

/* The devices of a node. NULL: no node has any. */
static inline struct inventory_device *inventory_devices(const struct inventory *inventory,
                                                         size_t node)
{
    return inventory->devices ? inventory->devices + inventory->nodes[node].first_device : NULL;
}

/* Units that are free on all devices of a node. */
uint64_t inventory_free_units(const struct inventory *inventory, size_t node);

/* Whether the node has room for one more: processors, memory, class, enough devices. */
bool inventory_fits(const struct inventory *inventory, size_t node, const struct demand *demand);

/* Takes from the node what the claim says; it has to fit. */
void inventory_apply(struct inventory *inventory, const struct inventory_claim *claim);

/* Gives back what the same claim has taken. Claims may be taken back in any order. */
void inventory_undo(struct inventory *inventory, const struct inventory_claim *claim);

/* Instances of `model` and of others on a node, and per device. */
void inventory_count(const struct inventory *inventory, size_t node, uint32_t model,
                     struct inventory_company *ret);
