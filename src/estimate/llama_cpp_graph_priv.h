/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only llama_cpp_graph.c and llama_cpp_mixers.c may include this: the graph whose tensors are laid
 * out, as far as it is built. Lives for one call of llama_compute_bytes().
 */
#pragma once

#include "estimate/arena_priv.h"
#include "estimate/llama_cpp_priv.h"

enum { F32_BYTES = 4, F16_BYTES = 2, GRAPH_SHARED_MAX = 16 };

struct graph {
    const struct llama_plan *plan;
    struct arena arena;
    int residual;   /* what enters a layer */
    bool is_pinned;   /* the residual is an input that stays */
    uint64_t tokens;  /* of the batch */
    uint64_t rows;    /* tokens at this point: fewer behind the last layer's attention */
    int shared[GRAPH_SHARED_MAX]; /* masks and the like, which all layers use */
    unsigned shared_count;
    int chosen;       /* input: which tokens' logits are wanted */
    int states;       /* convolution states of the next recurrent layer, once it has_states */
    bool has_states;
    int gate;         /* an input: what the device behind has turned for the last layer here */
};

/* A tensor of so many elements a row; returns its block. */
int graph_take(struct graph *graph, uint64_t width);

/* Behind its last use. */
void graph_drop(struct graph *graph, int block);

/* A tensor that replaces another, but not in its place; returns its block. */
int graph_replace(struct graph *graph, int block, uint64_t width);

/* Tokens that an encoder's tokens see: those of the batch, as many for each slot. */
uint64_t graph_encoder_cells(const struct llama_plan *plan);

/* Mamba's inner width, as its convolution's state has it. */
uint64_t graph_inner(const struct llama_plan *plan, const struct layer_shape *layer);

/*
 * Whether a device leaves it to the one behind to lay out the gate of its last layer: it is what
 * stands between two recurrent layers' states without weights that would hold it.
 */
bool graph_lends_gate(const struct llama_plan *plan, uint32_t il);

/* A layer's attention or recurrence, with its norm; returns the block of what it puts out. */
int graph_add_mixer(struct graph *graph, uint32_t il);
