/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* 1, 2, ... in the order in which names come; 0: none is given. */
static uint32_t number_of(struct string_list *names, const char *name)
{
    if (!name)
        return 0;
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return (uint32_t)i + 1;
    string_list_add(names, name);
    return (uint32_t)names->count;
}

static struct string_map *read_map(const node *map)
{
    struct string_map *ret = mem_alloc(sizeof *ret);
    for (size_t i = 0; i < tree_pairs(map); i++) {
        const node *value;
        const char *key = tree_pair(map, i, &value);
        string_map_set(ret, key, node_text(value));
    }
    return ret;
}

static const struct string_list *read_list(const node *list)
{
    struct string_list *ret = mem_alloc(sizeof *ret);
    for (size_t i = 0; i < tree_count(list); i++)
        string_list_add(ret, node_text(tree_item(list, i)));
    return ret;
}

static void read_engines(struct scenario *scenario, const node *list, struct place_worker *worker)
{
    worker->knows_engines = list != NULL;
    worker->engines = &scenario->engines[scenario->engine_count];
    for (size_t i = 0; i < tree_count(list); i++) {
        const node *one = tree_item(list, i);
        tree_check_keys(one, "name version devices present");
        if (scenario->engine_count == ENGINES_MAX)
            tree_fail(one, "more than %d engines", ENGINES_MAX);
        scenario->engines[scenario->engine_count++] =
            (struct place_engine){.name = node_text(tree_need(one, "name")),
                                  .version = tree_text(one, "version", NULL),
                                  .device_types = read_list(tree_get(one, "devices")),
                                  .is_present = tree_is(one, "present", true)};
        worker->engine_count++;
    }
}

static void read_state(const node *on, struct place_worker *worker)
{
    const char *state = tree_text(on, "state", "ready");
    worker->is_ready = strcmp(state, "ready") == 0;
    worker->is_in_maintenance = strcmp(state, "maintenance") == 0;
    if (!worker->is_ready && !worker->is_in_maintenance && strcmp(state, "not_ready") != 0)
        tree_fail(tree_get(on, "state"), "\"%s\" is neither ready, not_ready nor maintenance",
                  state);
}

/* A row of like devices: they follow those before them. */
static void read_devices(struct scenario *scenario, const node *row, struct place_worker *worker)
{
    tree_check_keys(row, "count type name vendor memory used healthy unified island links islands");
    const uint64_t count = tree_number(row, "count", 1);
    const uint64_t islands = tree_number(row, "islands", 1);
    const char *links = tree_text(row, "links", "pcie");
    for (uint64_t i = 0; i < count; i++)
        place_view_add_device(
            &scenario->view,
            &(struct place_device){
                .index = (int64_t)worker->device_count + (int64_t)i,
                .type = tree_text(row, "type", "cuda"),
                .name = node_text(tree_need(row, "name")),
                .vendor = tree_text(row, "vendor", NULL),
                .total_bytes = node_bytes(tree_need(row, "memory")),
                .foreign_bytes = tree_bytes(row, "used", 0),
                .is_unhealthy = !tree_is(row, "healthy", true),
                .is_unified = tree_is(row, "unified", false),
                .island = (uint8_t)(tree_number(row, "island", 0) + i * islands / count),
                .has_fast_links = strcmp(links, "pcie") != 0});
    worker->device_count += count;
}

/* A model that runs there. */
static void read_instance(struct scenario *scenario, const node *one)
{
    tree_check_keys(one, "model devices bytes memory whole");
    const size_t at = scenario->view.count - 1;
    const char *name = node_text(tree_need(one, "model"));
    const char *asked = tree_text(tree_need(scenario->root, "request"), "model", "asked");
    struct place_holding holding = {.model_id = strcmp(name, asked) == 0 ? 1 : 2,
                                    .model_name = name,
                                    .device = PLACE_HOST,
                                    .bytes = tree_bytes(one, "memory", 0),
                                    .is_first = true};
    place_hold(&scenario->view, at, &holding);
    holding.is_first = false;
    holding.is_whole = tree_is(one, "whole", false);
    holding.bytes = tree_bytes(one, "bytes", 0);
    const node *devices = tree_get(one, "devices");
    for (size_t i = 0; i < tree_count(devices); i++) {
        const node *index = tree_item(devices, i);
        holding.device = place_device_at(&scenario->view.workers[at], (int64_t)node_number(index));
        if (holding.device < 0)
            tree_fail(index, "the worker has no device %s", node_text(index));
        place_hold(&scenario->view, at, &holding);
    }
}

/* `copy`: 1, 2, ... of several like workers, added to the name; 0: there is only one. */
static void read_worker(struct scenario *scenario, const node *on, uint64_t copy)
{
    tree_check_keys(on, "worker copies memory used reserved device_reserved state labels rack zone "
                        "engines devices instances");
    const char *name = node_text(tree_need(on, "worker"));
    struct place_worker worker = {
        .id = (int64_t)scenario->view.count + 1,
        .name = copy ? mem_printf("%s%llu", name, (unsigned long long)copy) : name,
        .labels = read_map(tree_get(on, "labels")),
        .ram_total_bytes = node_bytes(tree_need(on, "memory")),
        .ram_foreign_bytes = tree_bytes(on, "used", 0),
        .ram_reserved_bytes = tree_bytes(on, "reserved", 0),
        .vram_reserved_bytes = tree_bytes(on, "device_reserved", 0),
        .rack = number_of(&scenario->racks, tree_text(on, "rack", NULL)),
        .zone = number_of(&scenario->zones, tree_text(on, "zone", NULL))};
    read_state(on, &worker);
    read_engines(scenario, tree_get(on, "engines"), &worker);
    place_view_add_worker(&scenario->view, &worker);
    const node *devices = tree_get(on, "devices"), *instances = tree_get(on, "instances");
    for (size_t i = 0; i < tree_count(devices); i++)
        read_devices(scenario, tree_item(devices, i), &worker);
    for (size_t i = 0; i < tree_count(instances); i++)
        read_instance(scenario, tree_item(instances, i));
}

void scenario_read_cluster(struct scenario *scenario)
{
    const node *cluster = tree_need(scenario->root, "cluster");
    for (size_t i = 0; i < tree_count(cluster); i++) {
        const node *on = tree_item(cluster, i);
        const uint64_t copies = tree_number(on, "copies", 0);
        for (uint64_t k = copies ? 1 : 0; k <= copies; k++)
            read_worker(scenario, on, k);
    }
}

size_t scenario_worker(const struct scenario *scenario, const node *name)
{
    for (size_t i = 0; i < scenario->view.count; i++)
        if (strcmp(scenario->view.workers[i].name, node_text(name)) == 0)
            return i;
    tree_fail(name, "there is no worker \"%s\"", node_text(name));
}
