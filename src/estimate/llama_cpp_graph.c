/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Size of compute buffers: llama.cpp builds the graph of its largest batch when it starts and lays
 * the tensors out one after the other, each freed after its last use. The same is done here with
 * the tensors that count, for the layers of one place, in the order in which llama.cpp has them.
 * Which tensor is reused in place (ADD, MUL) and which isn't (ROPE of a reshaped one) is as ggml
 * decides it; what is left out are tensors of some bytes a token.
 */
#include "estimate/llama_cpp_priv.h"

#include "estimate/arena_priv.h"

enum { F32_BYTES = 4, F16_BYTES = 2, INDEX_BYTES = 8 };

/* Dimensions of MLA that the cache doesn't show: those of all DeepSeek and Kimi models. */
enum { LATENT_ROPE = 64, LATENT_NOPE = 128, LATENT_VALUE = 128, CONVOLUTION = 3 };

enum { SHARED_MAX = 16 };

struct graph {
    const struct llama_plan *plan;
    struct arena arena;
    int residual;     /* what enters a layer */
    bool is_pinned;   /* the residual is an input that stays */
    uint64_t rows;    /* tokens at this point: fewer behind the last layer's attention */
    int shared[SHARED_MAX]; /* masks and the like, which all layers use */
    unsigned shared_count;
};

static int take(struct graph *graph, uint64_t width)
{
    return arena_take(&graph->arena, width * graph->rows * F32_BYTES);
}

static void drop(struct graph *graph, int block)
{
    arena_drop(&graph->arena, block);
}

/* A tensor that replaces another. */
static int replace(struct graph *graph, int block, uint64_t width)
{
    const int next = take(graph, width);
    drop(graph, block);
    return next;
}

static void drop_residual(struct graph *graph)
{
    if (!graph->is_pinned)
        drop(graph, graph->residual);
    graph->is_pinned = false;
}

/* An input, as often as there are copies of it. */
static int take_input(struct graph *graph, uint64_t bytes)
{
    for (unsigned copy = 1; copy < graph->plan->copies; copy++)
        arena_take(&graph->arena, bytes);
    return arena_take(&graph->arena, bytes);
}

static void drop_input(struct graph *graph, int block)
{
    if (graph->plan->copies == 1) /* with several they stay */
        drop(graph, block);
}

static void share(struct graph *graph, int block)
{
    graph->shared[graph->shared_count++] = block;
}

/* Behind the last attention nothing needs them any more. */
static void drop_shared(struct graph *graph)
{
    for (unsigned i = 0; i < graph->shared_count; i++)
        drop_input(graph, graph->shared[i]);
    graph->shared_count = 0;
}

/* --- attention ----------------------------------------------------------------------------- */

static int attend_fused(struct graph *graph, int queries, uint64_t out_width)
{
    const int out = take(graph, out_width);
    drop(graph, queries);
    return out;
}

/* Tokens that an encoder's tokens see: those of the batch, as many for each slot. */
static uint64_t encoder_cells(const struct llama_plan *plan)
{
    return round_up(round_up(plan->tokens, plan->sequences), LLAMA_PAD);
}

/* Scores of all heads with all cells; the softmax is in place. */
static int attend_plain(struct graph *graph, const struct layer_shape *layer, int queries,
                        uint64_t out_width)
{
    const uint64_t cells = graph->plan->is_encoder ? encoder_cells(graph->plan)
                                                   : llama_layer_cells(graph->plan, layer);
    const int scores = take(graph, cells * layer->head_count);
    drop(graph, queries);
    const int values = take(graph, out_width);
    drop(graph, scores);
    return replace(graph, values, out_width);
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
    const int norm = take(graph, hidden);
    const int queries = replace(graph, take(graph, query_width), query_width);
    const int values = take(graph, value_width);
    const int raw_keys = take(graph, key_width);
    drop(graph, norm);
    const int keys = replace(graph, raw_keys, key_width);
    drop(graph, keys);
    drop(graph, values);
    return replace(graph, attend(graph, layer, queries, out_width), hidden);
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
    const int scores = take(graph, cells * layer->head_count);
    drop(graph, queries);
    const int values = take(graph, layer->head_count * latent);
    drop(graph, turned);
    drop(graph, scores);
    return values;
}

/* MLA: queries are brought into the latent space, which makes them large. */
static int add_latent_attention(struct graph *graph, const struct layer_shape *layer)
{
    const uint64_t hidden = graph->plan->shape->hidden_size;
    const uint64_t width = layer->key_length, heads = layer->head_count;
    const uint64_t latent = width > LATENT_ROPE ? width - LATENT_ROPE : width;
    const int norm = take(graph, hidden);
    const int narrow = take(graph, hidden * 3 / 4); /* whatever it is, it is narrower */
    const int raw = take(graph, heads * (LATENT_NOPE + LATENT_ROPE));
    drop(graph, narrow);
    const int absorbed = take(graph, heads * latent);
    const int rope = take(graph, heads * LATENT_ROPE);
    drop(graph, raw);
    const int queries = take(graph, heads * width);
    drop(graph, absorbed);
    drop(graph, rope);
    const int compressed = take(graph, width);
    drop(graph, norm);
    const int key_norm = take(graph, latent);
    const int key_rope = take(graph, LATENT_ROPE);
    drop(graph, compressed);
    const int keys = take(graph, width);
    drop(graph, key_rope);
    drop(graph, key_norm);
    drop(graph, keys);
    int out = attend_latent(graph, layer, queries, latent);
    out = replace(graph, out, heads * LATENT_VALUE);
    out = replace(graph, out, heads * LATENT_VALUE);
    return replace(graph, out, hidden);
}

/* Recurrent layers, after Mamba's: the inner width follows from that of the convolution. */
static int add_recurrence(struct graph *graph, const struct layer_shape *layer)
{
    const uint64_t hidden = graph->plan->shape->hidden_size;
    const uint64_t inner = max_u64(layer->state_conv / CONVOLUTION, hidden);
    const uint64_t state = layer->state_ssm * graph->plan->sequences * F32_BYTES;
    const int norm = take(graph, hidden);
    const int both = take(graph, 2 * inner);
    drop(graph, norm);
    const int joined = take(graph, inner);
    const int convolved = take(graph, inner);
    drop(graph, joined);
    const int steps = take(graph, inner);
    const int states = arena_take(&graph->arena, state);
    const int scanned = take(graph, inner);
    drop(graph, steps);
    const int gate = take(graph, inner);
    drop(graph, both);
    const int skipped = take(graph, inner);
    drop(graph, convolved);
    const int gated = take(graph, inner);
    drop(graph, scanned);
    drop(graph, states);
    drop(graph, gate);
    drop(graph, skipped);
    return replace(graph, gated, hidden);
}

static int add_mixer(struct graph *graph, const struct layer_shape *layer)
{
    int other, out;
    switch ((enum layer_cache)layer->cache) {
    case CACHE_STATE:
        return add_recurrence(graph, layer);
    case CACHE_LATENT:
        return add_latent_attention(graph, layer);
    case CACHE_FULL_AND_STATE:
        other = add_recurrence(graph, layer);
        out = add_attention(graph, layer);
        drop(graph, other);
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

/* --- feed forward -------------------------------------------------------------------------- */

static int add_dense(struct graph *graph, uint64_t width, int norm, bool is_last_use)
{
    const int gate = take(graph, width);
    const int up = take(graph, width);
    if (is_last_use)
        drop(graph, norm);
    const int product = take(graph, width);
    drop(graph, gate);
    drop(graph, up);
    return replace(graph, product, graph->plan->shape->hidden_size);
}

/* BERT's: nothing gates, and its function is in place. */
static int add_ungated(struct graph *graph, uint64_t width, int norm)
{
    const int up = take(graph, width);
    drop(graph, norm);
    return replace(graph, up, graph->plan->shape->hidden_size);
}

/* Every token goes through `used` experts; their outputs lie side by side until they are added. */
static int add_experts(struct graph *graph, const struct layer_shape *layer, int norm)
{
    const struct model_shape *shape = graph->plan->shape;
    const uint64_t used = max_u64(shape->expert_used_count, 1);
    const uint64_t width = used * layer->feed_forward_length;
    const bool has_shared = shape->expert_shared_count > 0;
    const int scores = take(graph, shape->expert_count);
    const int order = take(graph, shape->expert_count);
    const int raw_factors = take(graph, used);
    drop(graph, scores);
    const int sum = take(graph, 1);
    const int factors = take(graph, used);
    drop(graph, sum);
    const int gate = take(graph, width);
    const int up = take(graph, width);
    if (!has_shared)
        drop(graph, norm);
    const int product = take(graph, width);
    drop(graph, gate);
    drop(graph, up);
    const int outputs = replace(graph, product, used * shape->hidden_size);
    drop(graph, order);
    const int out = replace(graph, outputs, shape->hidden_size);
    drop(graph, raw_factors);
    drop(graph, factors);
    if (has_shared)
        drop(graph, add_dense(graph, shape->expert_shared_count * layer->feed_forward_length,
                              norm, true));
    return out;
}

/* --- layers -------------------------------------------------------------------------------- */

/* Only tokens whose logits are wanted go through what is left of the last layer. */
static int keep_outputs(struct graph *graph, int attended)
{
    const uint64_t hidden = graph->plan->shape->hidden_size;
    graph->rows = graph->plan->outputs;
    const int kept = replace(graph, attended, hidden);
    const int residual = take(graph, hidden);
    drop_residual(graph);
    graph->residual = residual;
    return kept;
}

static void add_layer(struct graph *graph, uint32_t il)
{
    const struct model_shape *shape = graph->plan->shape;
    const struct layer_shape *layer = &shape->layers[il];
    int middle = add_mixer(graph, layer);
    if (il == shape->layer_count - 1) {
        drop_shared(graph);
        middle = keep_outputs(graph, middle);
    }
    drop_residual(graph);
    graph->residual = middle;
    if (layer->feed_forward_length == 0)
        return;
    const int norm = take(graph, shape->hidden_size);
    int out;
    if (layer->is_moe)
        out = add_experts(graph, layer, norm);
    else if (strcmp(shape->architecture, "bert") == 0)
        out = add_ungated(graph, layer->feed_forward_length, norm);
    else
        out = add_dense(graph, layer->feed_forward_length, norm, true);
    drop_residual(graph);
    graph->residual = out;
}

/* The last norm is in place. */
static void add_output(struct graph *graph)
{
    const struct model_shape *shape = graph->plan->shape;
    graph->rows = graph->plan->outputs;
    if (!graph->plan->is_encoder)
        take(graph, shape->vocabulary_size);
}

/* --- inputs -------------------------------------------------------------------------------- */

/* Which of a batch's tokens see which cells. */
static void take_mask(struct graph *graph, uint64_t cells)
{
    const struct llama_plan *plan = graph->plan;
    const bool is_half = plan->flash_attention && plan->rules.mask_is_half;
    const uint64_t bytes = cells * plan->tokens;
    const int mask = take_input(graph, bytes * (is_half ? F16_BYTES : F32_BYTES));
    if (!plan->flash_attention || plan->rules.mask_is_half) {
        share(graph, mask);
        return;
    }
    share(graph, arena_take(&graph->arena, bytes * F16_BYTES));
    drop_input(graph, mask);
}

/* Positions, indexes of cells and masks: one set for each kind of cache that is at that place. */
static void take_cache_inputs(struct graph *graph, int device)
{
    const struct llama_plan *plan = graph->plan;
    bool has_full = plan->is_encoder, has_window = false;
    uint64_t window_cells = 0, value_width = 1;
    for (uint32_t il = 0; il < plan->shape->layer_count; il++) {
        const struct layer_shape *layer = &plan->shape->layers[il];
        if (device != ESTIMATE_HOST && plan->layer_device[il] != device)
            continue; /* the host has all of them */
        if (layer->cache == CACHE_WINDOW || layer->cache == CACHE_CHUNK) {
            has_window = true;
            window_cells = llama_layer_cells(plan, layer);
        } else if (layer->cache != CACHE_STATE && layer->cache != CACHE_NONE) {
            has_full = true;
        }
        if (!plan->flash_attention)
            value_width = max_u64(value_width,
                                  (uint64_t)layer->value_length * layer->head_count_kv);
    }
    share(graph, take_input(graph, plan->tokens * F32_BYTES));
    for (int i = 0; i < has_full + has_window && !plan->is_encoder; i++) {
        share(graph, take_input(graph, plan->tokens * INDEX_BYTES));
        share(graph, take_input(graph, plan->tokens * value_width * INDEX_BYTES));
    }
    if (has_full)
        take_mask(graph, plan->is_encoder ? encoder_cells(plan) : plan->context);
    if (has_window)
        take_mask(graph, window_cells);
    share(graph, take_input(graph, plan->outputs * F32_BYTES));
}

/* What encoders add to their tokens: positions, looked up as well. */
static void take_positions(struct graph *graph)
{
    if (graph->plan->is_encoder)
        take(graph, graph->plan->shape->hidden_size);
}

/* The host's buffer has all inputs, and looks tokens up whose layers are elsewhere. */
static void begin_on_host(struct graph *graph)
{
    const struct llama_plan *plan = graph->plan;
    const uint64_t hidden = plan->shape->hidden_size * plan->tokens * F32_BYTES;
    take_input(graph, plan->tokens * F32_BYTES);
    int mixed = -1, slots = -1;
    if (plan->rules.mixes_inputs) {
        take_input(graph, plan->tokens * F32_BYTES);
        take_input(graph, hidden);
        mixed = take_input(graph, hidden);
        slots = take_input(graph, plan->tokens * INDEX_BYTES);
    }
    take_positions(graph);
    take_cache_inputs(graph, ESTIMATE_HOST);
    graph->residual = take(graph, plan->shape->hidden_size);
    if (!plan->rules.mixes_inputs)
        return;
    const int looked_up = take(graph, plan->shape->hidden_size);
    if (plan->layers_on_host == 0)
        return;
    take(graph, plan->shape->hidden_size); /* a copy that nothing frees */
    drop_input(graph, mixed);
    drop(graph, looked_up);
    drop_input(graph, slots);
}

/* The first device does what the host would have done with mixed inputs. */
static void begin_on_first_device(struct graph *graph, int device)
{
    const struct llama_plan *plan = graph->plan;
    const uint64_t hidden = plan->shape->hidden_size * plan->tokens * F32_BYTES;
    int mixed = -1, looked_up = -1, slots = -1;
    if (plan->rules.mixes_inputs) {
        mixed = take_input(graph, hidden);
        looked_up = take_input(graph, hidden);
        slots = take_input(graph, plan->tokens * INDEX_BYTES);
    }
    graph->residual = take_input(graph, hidden);
    graph->is_pinned = plan->copies > 1;
    take_positions(graph);
    take_cache_inputs(graph, device);
    if (plan->rules.mixes_inputs) {
        take(graph, plan->shape->hidden_size);
        drop_input(graph, mixed);
        drop_input(graph, looked_up);
        drop_input(graph, slots);
    }
    if (graph->is_pinned && estimate_contains(plan->shape->architecture, "gemma")) {
        graph->residual = take(graph, plan->shape->hidden_size); /* scaled, but not in place */
        graph->is_pinned = false;
    }
}

/*
 * From the host come the two sides of a layer's last addition, of experts all that are to be added
 * up; from a device comes the sum.
 */
static void begin_behind(struct graph *graph, int device, unsigned first)
{
    const struct llama_plan *plan = graph->plan;
    const bool is_behind_host = plan->layer_device[first - 1] == ESTIMATE_HOST;
    const uint64_t hidden = plan->shape->hidden_size * plan->tokens * F32_BYTES;
    const bool has_experts = is_behind_host && plan->shape->layers[first - 1].is_moe;
    const uint64_t used = has_experts ? max_u64(plan->shape->expert_used_count, 1) : 1;
    graph->residual = take_input(graph, hidden * used);
    graph->is_pinned = plan->copies > 1;
    const int other = is_behind_host ? take_input(graph, hidden) : -1;
    take_cache_inputs(graph, device);
    if (has_experts)
        graph->residual = replace(graph, graph->residual, plan->shape->hidden_size);
    if (is_behind_host)
        drop_input(graph, other);
}

/* A device with nothing but the output matrix. */
static void begin_at_output(struct graph *graph)
{
    const struct llama_plan *plan = graph->plan;
    graph->residual = take_input(graph, plan->shape->hidden_size * plan->outputs * F32_BYTES);
}

uint64_t llama_compute_bytes(const struct llama_plan *plan, int device)
{
    const unsigned last = plan->shape->layer_count;
    unsigned first = 0;
    struct graph graph = {.plan = plan, .rows = plan->tokens};
    while (first < last && plan->layer_device[first] != device)
        first++;
    const bool has_output = plan->layer_device[last] == device;
    if (device == ESTIMATE_HOST)
        begin_on_host(&graph);
    else if (first == last && !has_output)
        return 0;
    else if (first == 0)
        begin_on_first_device(&graph, device);
    else if (first == last)
        begin_at_output(&graph);
    else
        begin_behind(&graph, device, first);
    for (unsigned il = first; il < last && plan->layer_device[il] == device; il++)
        add_layer(&graph, il);
    if (has_output)
        add_output(&graph);
    return graph.arena.peak;
}
