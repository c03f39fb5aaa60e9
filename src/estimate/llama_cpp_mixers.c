/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/llama_cpp_graph_priv.h"

/* Dimensions of MLA that the cache doesn't show: those of all DeepSeek and Kimi models. */
enum { LATENT_ROPE = 64, LATENT_NOPE = 128, LATENT_VALUE = 128, CONVOLUTION = 3 };

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

static int add_attention(struct graph *graph, const struct layer_shape *layer)
{
    const uint64_t hidden = graph->plan->shape->hidden_size;
    const uint64_t query_width = (uint64_t)layer->head_count * layer->key_length;
    const uint64_t key_width = (uint64_t)layer->head_count_kv * layer->key_length;
    const uint64_t value_width = (uint64_t)layer->head_count_kv * layer->value_length;
    const uint64_t out_width = (uint64_t)layer->head_count * layer->value_length;
    const int norm = graph_take(graph, hidden);
    const int queries = graph_replace(graph, graph_take(graph, query_width), query_width);
    const int values = graph_take(graph, value_width);
    const int raw_keys = graph_take(graph, key_width);
    graph_drop(graph, norm);
    const int keys = graph_replace(graph, raw_keys, key_width);
    graph_drop(graph, keys);
    graph_drop(graph, values);
    return graph_replace(graph, attend(graph, layer, queries, out_width), hidden);
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

/* MLA: queries are brought into the latent space, which makes them large. */
static int add_latent_attention(struct graph *graph, const struct layer_shape *layer)
{
    const uint64_t hidden = graph->plan->shape->hidden_size;
    const uint64_t width = layer->key_length, heads = layer->head_count;
    const uint64_t latent = width > LATENT_ROPE ? width - LATENT_ROPE : width;
    const int norm = graph_take(graph, hidden);
    const int narrow = graph_take(graph, hidden * 3 / 4); /* whatever it is, it is narrower */
    const int raw = graph_take(graph, heads * (LATENT_NOPE + LATENT_ROPE));
    graph_drop(graph, narrow);
    const int absorbed = graph_take(graph, heads * latent);
    const int rope = graph_take(graph, heads * LATENT_ROPE);
    graph_drop(graph, raw);
    const int queries = graph_take(graph, heads * width);
    graph_drop(graph, absorbed);
    graph_drop(graph, rope);
    const int compressed = graph_take(graph, width);
    graph_drop(graph, norm);
    const int key_norm = graph_take(graph, latent);
    const int key_rope = graph_take(graph, LATENT_ROPE);
    graph_drop(graph, compressed);
    const int keys = graph_take(graph, width);
    graph_drop(graph, key_rope);
    graph_drop(graph, key_norm);
    graph_drop(graph, keys);
    int out = attend_latent(graph, layer, queries, latent);
    out = graph_replace(graph, out, heads * LATENT_VALUE);
    out = graph_replace(graph, out, heads * LATENT_VALUE);
    return graph_replace(graph, out, hidden);
}

/* Recurrent layers, after Mamba's: the inner width follows from that of the convolution. */
static int add_recurrence(struct graph *graph, const struct layer_shape *layer)
{
    const uint64_t hidden = graph->plan->shape->hidden_size;
    const uint64_t inner = max_u64(layer->state_conv / CONVOLUTION, hidden);
    const uint64_t state = layer->state_ssm * graph->plan->sequences * F32_BYTES;
    const int norm = graph_take(graph, hidden);
    const int both = graph_take(graph, 2 * inner);
    graph_drop(graph, norm);
    const int joined = graph_take(graph, inner);
    const int convolved = graph_take(graph, inner);
    graph_drop(graph, joined);
    const int steps = graph_take(graph, inner);
    const int states = arena_take(&graph->arena, state);
    const int scanned = graph_take(graph, inner);
    graph_drop(graph, steps);
    const int gate = graph_take(graph, inner);
    graph_drop(graph, both);
    const int skipped = graph_take(graph, inner);
    graph_drop(graph, convolved);
    const int gated = graph_take(graph, inner);
    graph_drop(graph, scanned);
    graph_drop(graph, states);
    graph_drop(graph, gate);
    graph_drop(graph, skipped);
    return graph_replace(graph, gated, hidden);
}

int graph_add_mixer(struct graph *graph, uint32_t il)
{
    const struct layer_shape *layer = &graph->plan->shape->layers[il];
    int other, out;
    switch ((enum layer_cache)layer->cache) {
    case CACHE_STATE:
        return add_recurrence(graph, layer);
    case CACHE_LATENT:
        return add_latent_attention(graph, layer);
    case CACHE_FULL_AND_STATE:
        other = add_recurrence(graph, layer);
        out = add_attention(graph, layer);
        graph_drop(graph, other);
        return out;
    case CACHE_NONE:
    case CACHE_FULL:
    case CACHE_WINDOW:
    case CACHE_CHUNK:
    case LAYER_CACHE_COUNT:
        break;
    }
    return add_attention(graph, layer);
}

