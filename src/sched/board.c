/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/board_priv.h"

#include "base/mem.h"

#include <string.h>

/* The class that the node of a worker is of; nodes of a worker are in the order of classes. */
static int class_of_node(const struct place_board *board, size_t node)
{
    return __builtin_ctz(board->inventory.nodes[node].class_bit);
}

/* What it would give without any claim: more than that no demand can have. */
static uint64_t units_total(const struct place_worker *worker, const struct place_device *device)
{
    return device->total_bytes > worker->vram_reserved_bytes
               ? device->total_bytes - worker->vram_reserved_bytes
               : 0;
}

static uint64_t units_free(const struct place_worker *worker, const struct place_device *device)
{
    uint64_t left = place_device_free(worker, device), total = units_total(worker, device);
    return left < total ? left : total;
}

static void add_nodes(struct place_board *board, const struct place_worker *worker)
{
    uint32_t classes = 0;
    for (size_t i = 0; i < worker->device_count; i++)
        if (worker->devices[i].class >= 0)
            classes |= UINT32_C(1) << worker->devices[i].class;
    for (; classes; classes &= classes - 1) {
        int class = __builtin_ctz(classes);
        inventory_add_node(&board->inventory,
                           &(struct inventory_node){.ram_free = place_ram_free(worker),
                                                    .class_bit = UINT32_C(1) << class,
                                                    .failure_domain = worker->rack});
        for (size_t i = 0; i < worker->device_count; i++) {
            const struct place_device *device = &worker->devices[i];
            if (device->class == class)
                inventory_add_device(&board->inventory, (struct inventory_device){
                                                            .total = units_total(worker, device),
                                                            .free = units_free(worker, device),
                                                            .island = device->island});
        }
    }
}

struct place_board *place_board_new(struct place_view *view, const struct mix *mix)
{
    struct place_board *board = mem_alloc(sizeof *board);
    board->view = view;
    board->first_node = mem_alloc_array(view->count + 1, sizeof *board->first_node);
    for (size_t i = 0; i < view->count; i++) {
        board->first_node[i] = board->inventory.node_count;
        add_nodes(board, &view->workers[i]);
    }
    board->first_node[view->count] = board->inventory.node_count;
    for (size_t i = 0; i < board->inventory.device_count; i++)
        board->units += (double)board->inventory.devices[i].total;
    if (board->inventory.device_count == 0)
        return board;
    for (size_t i = 0; mix && i < mix->count; i++)
        mix_add(&board->mix, &mix->kinds[i].demand, mix->kinds[i].weight);
    if (board->mix.count == 0)
        mix_add_prior(&board->mix, &board->inventory);
    mix_finish(&board->mix, MIX_COVERAGE, MIX_COVERAGE);
    board->outlook = outlook_new(&board->inventory, &board->mix);
    return board;
}

void place_board_free(struct place_board *board)
{
    if (!board)
        return;
    outlook_free(board->outlook);
    inventory_fini(&board->inventory);
    mix_fini(&board->mix);
    free(board->first_node);
    free(board);
}

void board_update(struct place_board *board, size_t worker)
{
    const struct place_worker *on = &board->view->workers[worker];
    for (size_t n = board->first_node[worker]; n < board->first_node[worker + 1]; n++) {
        struct inventory_device *devices = inventory_devices(&board->inventory, n);
        int class = class_of_node(board, n);
        size_t at = 0;
        board->inventory.nodes[n].ram_free = place_ram_free(on);
        for (size_t i = 0; i < on->device_count; i++)
            if (on->devices[i].class == class)
                devices[at++].free = units_free(on, &on->devices[i]);
        outlook_update(board->outlook, n);
    }
}

/* Devices of the worker as bits of the node of their class. */
static uint64_t node_set(const struct place_worker *worker, int class, uint64_t device_set)
{
    uint64_t set = 0;
    unsigned at = 0;
    for (size_t i = 0; i < worker->device_count; i++) {
        if (worker->devices[i].class != class)
            continue;
        set |= (device_set >> i & 1) << at;
        at++;
    }
    return set;
}

double board_loss(struct place_board *board, size_t worker, int class, uint64_t device_set,
                  uint64_t units, uint64_t ram_bytes)
{
    const struct place_worker *on = &board->view->workers[worker];
    size_t node = board->first_node[worker];
    while (node < board->first_node[worker + 1] && class_of_node(board, node) != class)
        node++;
    if (!board->outlook || node == board->first_node[worker + 1])
        return 0;
    uint64_t ram_free = place_ram_free(on);
    const struct inventory_claim claim = {
        .demand = {.units = units,
                   .devices = (uint32_t)__builtin_popcountll(device_set),
                   .ram = ram_bytes < ram_free ? ram_bytes : ram_free},
        .node = (uint32_t)node,
        .device_set = node_set(on, class, device_set)};
    return -(double)outlook_score(board->outlook, &claim) * board->units / 1e9;
}
