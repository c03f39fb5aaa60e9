/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/llama_cpp_graph_priv.h"

/* Of Mamba: tokens that its convolution looks back, and the width of its steps. */
enum { CONVOLUTION = 3, RANK_PART = 16 };

/* Convolution states of all slots, unless the layer before has gathered them already. */
static void gather_states(struct graph *graph, const struct layer_shape *layer)
{
    const uint64_t bytes = layer->state_conv * graph->plan->sequences * F32_BYTES;
    if (!graph->has_states)
        graph->states = arena_take(&graph->arena, bytes);
    graph->has_states = true;
}

/* They are expanded before what the layer before doesn't need for its own states. */
static void gather_ahead(struct graph *graph, uint32_t il)
{
    const struct llama_plan *plan = graph->plan;
    const uint32_t next = il + 1;
    if (next < plan->shape->layer_count && plan->layer_device[next] == plan->layer_device[il] &&
        plan->shape->layers[next].state_conv > 0)
        gather_states(graph, &plan->shape->layers[next]);
}

static int attend_fused(struct graph *graph, int queries, uint64_t out_width)
{
    const int out = graph_take(graph, out_width);
    graph_drop(graph, queries);
    return out;
}

/* Scores of all heads with all cells; the softmax is in place. */
static int attend_plain(struct graph *graph, const struct layer_shape *layer, int queries,
                        uint64_t out_width)
{
    const uint64_t cells = graph->plan->is_encoder ? graph_encoder_cells(graph->plan)
                                                   : llama_layer_cells(graph->plan, layer);
    const int scores = graph_take(graph, cells * layer->head_count);
    graph_drop(graph, queries);
    const int values = graph_take(graph, out_width);
    graph_drop(graph, scores);
    return graph_replace(graph, values, out_width);
}

static int attend(struct graph *graph, const struct layer_shape *layer, int queries,
                  uint64_t out_width)
{
    return graph->plan->flash_attention ? attend_fused(graph, queries, out_width)
                                        : attend_plain(graph, layer, queries, out_width);
}

static int add_attention(struct graph *graph, uint32_t il)
{
    const struct model_shape *shape = graph->plan->shape;
    const struct layer_shape *layer = &shape->layers[il];
    const uint64_t hidden = shape->hidden_size;
    const uint64_t query_width = (uint64_t)layer->head_count * layer->key_length;
    const uint64_t key_width = (uint64_t)layer->head_count_kv * layer->key_length;
    const uint64_t value_width = (uint64_t)layer->head_count_kv * layer->value_length;
    const uint64_t out_width = (uint64_t)layer->head_count * layer->value_length;
    const bool has_rope = !estimate_contains(shape->architecture, "jamba") &&
                          !estimate_contains(shape->architecture, "nemotron_h");
    const int norm = graph_take(graph, hidden);
    const int raw_queries = graph_take(graph, query_width);
    const int queries = has_rope ? graph_replace(graph, raw_queries, query_width) : raw_queries;
    const int values = graph_take(graph, value_width);
    const int raw_keys = graph_take(graph, key_width);
    graph_drop(graph, norm);
    const int keys = has_rope ? graph_replace(graph, raw_keys, key_width) : raw_keys;
    graph_drop(graph, keys);
    graph_drop(graph, values);
    const int out = attend(graph, layer, queries, out_width);
    gather_ahead(graph, il);
    return graph_replace(graph, out, hidden);
}

/* Without flash attention, values of MLA are the keys, which have to be turned first. */
static int attend_latent(struct graph *graph, const struct layer_shape *layer, int queries,
                         uint64_t latent)
{
    const struct llama_plan *plan = graph->plan;
    const uint64_t cells = plan->context;
    if (plan->flash_attention)
        return attend_fused(graph, queries, layer->head_count * latent);
    const int turned = arena_take(&graph->arena, cells * plan->streams * latent * F16_BYTES);
    const int scores = graph_take(graph, cells * layer->head_count);
    graph_drop(graph, queries);
    const int values = graph_take(graph, layer->head_count * latent);
    graph_drop(graph, turned);
    graph_drop(graph, scores);
    return values;
}

/* Queries, by way of a vector of low rank where the model has one. */
static int add_latent_queries(struct graph *graph, uint64_t heads)
{
    const struct model_shape *shape = graph->plan->shape;
    const uint64_t width = heads * (shape->qk_nope_head_dim + shape->qk_rope_head_dim);
    return shape->q_lora_rank ? graph_replace(graph, graph_take(graph, shape->q_lora_rank), width)
                              : graph_take(graph, width);
}

/* What goes into the cache: the latent vector and keys with positions, side by side. */
static void add_latent_keys(struct graph *graph, int norm)
{
    const uint64_t latent = graph->plan->shape->kv_lora_rank;
    const uint64_t rope = graph->plan->shape->qk_rope_head_dim;
    const int compressed = graph_take(graph, latent + rope);
    graph_drop(graph, norm);
    const int key_norm = graph_take(graph, latent);
    const int key_rope = graph_take(graph, rope);
    graph_drop(graph, compressed);
    const int keys = graph_take(graph, latent + rope);
    graph_drop(graph, key_rope);
    graph_drop(graph, key_norm);
    graph_drop(graph, keys);
}

/* MLA: queries are brought into the latent space, which makes them large. */
static int add_latent_attention(struct graph *graph, const struct layer_shape *layer)
{
    const struct model_shape *shape = graph->plan->shape;
    const uint64_t heads = layer->head_count, latent = shape->kv_lora_rank;
    const uint64_t values = heads * shape->v_head_dim;
    const int norm = graph_take(graph, shape->hidden_size);
    const int raw = add_latent_queries(graph, heads);
    const int absorbed = graph_take(graph, heads * latent);
    const int rope = graph_take(graph, heads * shape->qk_rope_head_dim);
    graph_drop(graph, raw);
    const int queries = graph_take(graph, heads * (latent + shape->qk_rope_head_dim));
    graph_drop(graph, absorbed);
    graph_drop(graph, rope);
    add_latent_keys(graph, norm);
    int out = attend_latent(graph, layer, queries, latent);
    out = graph_replace(graph, out, values);
    out = graph_replace(graph, out, values); /* heads in the order of tokens */
    return graph_replace(graph, out, shape->hidden_size);
}

uint64_t graph_inner(const struct llama_plan *plan, const struct layer_shape *layer)
{
    return max_u64(layer->state_conv / CONVOLUTION, plan->shape->hidden_size);
}

bool graph_lends_gate(const struct llama_plan *plan, uint32_t il)
{
    const struct layer_shape *layers = plan->shape->layers;
    const int *devices = plan->layer_device;
    return il + 1 < plan->shape->layer_count && devices[il] != devices[il + 1] &&
           devices[il] != ESTIMATE_HOST && devices[il + 1] != ESTIMATE_HOST &&
           layers[il].cache == CACHE_STATE && layers[il + 1].cache == CACHE_STATE;
}

/*
 * Mamba's scan; steps come by way of a low rank, together with two vectors of a state's width,
 * which Jamba norms.
 */
static int add_scan(struct graph *graph, const struct layer_shape *layer, uint64_t inner)
{
    const struct llama_plan *plan = graph->plan;
    const bool has_norms = estimate_contains(plan->shape->architecture, "jamba");
    const uint64_t rank = ceil_div(plan->shape->hidden_size, RANK_PART);
    const uint64_t width = layer->state_ssm / inner;
    const uint64_t state = layer->state_ssm * F32_BYTES;
    int factors = graph_take(graph, rank + 2 * width), second = -1;
    const int steps = graph_replace(graph, graph_take(graph, rank), inner);
    if (has_norms) {
        const int first = graph_take(graph, width);
        second = graph_replace(graph, factors, width);
        factors = first;
    }
    const int scanned = arena_take(&graph->arena, inner * graph->rows * F32_BYTES +
                                                      state * plan->sequences);
    graph_drop(graph, factors);
    graph_drop(graph, steps);
    if (has_norms)
        graph_drop(graph, second);
    graph_drop(graph, arena_take(&graph->arena, state * (plan->sequences - 1)));
    return scanned;
}

/* Recurrent layers, after Mamba's: the inner width follows from that of the convolution. */
static int add_recurrence(struct graph *graph, uint32_t il)
{
    const struct llama_plan *plan = graph->plan;
    const struct layer_shape *layer = &plan->shape->layers[il];
    const uint64_t inner = graph_inner(plan, layer);
    const bool is_lent = plan->copies > 1 && graph_lends_gate(plan, il);
    gather_states(graph, layer);
    const int norm = graph_take(graph, plan->shape->hidden_size);
    const int both = graph_take(graph, 2 * inner);
    graph_drop(graph, norm);
    const int joined = arena_take(&graph->arena, (inner * graph->rows +
                                                  layer->state_conv * plan->sequences) * F32_BYTES);
    graph_drop(graph, graph->states);
    graph->has_states = false;
    const int convolved = graph_take(graph, inner);
    graph_drop(graph, joined);
    const int scanned = add_scan(graph, layer, inner);
    gather_ahead(graph, il);
    const int gate = is_lent ? graph->gate : graph_take(graph, inner);
    graph_drop(graph, both);
    graph_drop(graph, convolved);
    const int gated = graph_take(graph, inner);
    if (!is_lent)
        graph_drop(graph, gate);
    graph_drop(graph, scanned);
    return graph_replace(graph, gated, plan->shape->hidden_size);
}

int graph_add_mixer(struct graph *graph, uint32_t il)
{
    const struct layer_shape *layer = &graph->plan->shape->layers[il];
    int other, out;
    switch ((enum layer_cache)layer->cache) {
    case CACHE_STATE:
        return add_recurrence(graph, il);
    case CACHE_LATENT:
        return add_latent_attention(graph, layer);
    case CACHE_FULL_AND_STATE:
        other = add_recurrence(graph, il);
        out = add_attention(graph, il);
        graph_drop(graph, other);
        return out;
    case CACHE_NONE:
    case CACHE_FULL:
    case CACHE_WINDOW:
    case CACHE_CHUNK:
    case LAYER_CACHE_COUNT:
        break;
    }
    return add_attention(graph, il);
}

