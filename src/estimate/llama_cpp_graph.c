/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Size of compute buffers: llama.cpp builds the graph of its largest batch when it starts and lays
 * the tensors out one after the other, each freed after its last use. The same is done here with
 * the tensors that count, for the layers of one place, in the order in which llama.cpp has them.
 * Which tensor is reused in place (ADD, MUL) and which isn't (ROPE of a reshaped one) is as ggml
 * decides it; what is left out are tensors of some bytes a token.
 */
#include "estimate/llama_cpp_graph_priv.h"

enum { INDEX_BYTES = 8 };

int graph_take(struct graph *graph, uint64_t width)
{
    return arena_take(&graph->arena, width * graph->rows * F32_BYTES);
}

void graph_drop(struct graph *graph, int block)
{
    arena_drop(&graph->arena, block);
}

int graph_replace(struct graph *graph, int block, uint64_t width)
{
    const int next = graph_take(graph, width);
    graph_drop(graph, block);
    return next;
}

uint64_t graph_encoder_cells(const struct llama_plan *plan)
{
    return round_up(round_up(plan->tokens, plan->sequences), LLAMA_PAD);
}

static void drop_residual(struct graph *graph)
{
    if (!graph->is_pinned)
        graph_drop(graph, graph->residual);
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
        graph_drop(graph, block);
}

static void share(struct graph *graph, int block)
{
    graph->shared[graph->shared_count++] = block;
}

static bool attends(const struct layer_shape *layer)
{
    return layer->cache != CACHE_STATE;
}

/* Behind the last attention of a place nothing needs them; the host's are copied to the others. */
static void drop_shared(struct graph *graph, uint32_t il)
{
    const struct llama_plan *plan = graph->plan;
    const int device = plan->layer_device[il];
    for (uint32_t i = il + 1; i < plan->shape->layer_count; i++)
        if ((device == ESTIMATE_HOST || plan->layer_device[i] == device) &&
            attends(&plan->shape->layers[i]))
            return;
    for (unsigned i = 0; i < graph->shared_count; i++)
        drop_input(graph, graph->shared[i]);
    graph->shared_count = 0;
}

/* --- feed forward -------------------------------------------------------------------------- */

static int add_dense(struct graph *graph, uint64_t width, int norm, bool is_last_use)
{
    const int gate = graph_take(graph, width);
    const int up = graph_take(graph, width);
    if (is_last_use)
        graph_drop(graph, norm);
    const int product = graph_take(graph, width);
    graph_drop(graph, gate);
    graph_drop(graph, up);
    return graph_replace(graph, product, graph->plan->shape->hidden_size);
}

/* BERT's: nothing gates, and its function is in place. */
static int add_ungated(struct graph *graph, uint64_t width, int norm)
{
    const int up = graph_take(graph, width);
    graph_drop(graph, norm);
    return graph_replace(graph, up, graph->plan->shape->hidden_size);
}

/* Where the matrices of a layer's experts are; of several places the layer's own. */
static int experts_place(const struct llama_plan *plan, uint32_t il)
{
    const struct llama_place *tensors = plan->tensors[il];
    const int place = tensors[LLAMA_UP_EXPS].device;
    const bool is_one = plan->shape->layers[il].is_moe &&
                        tensors[LLAMA_GATE_EXPS].device == place &&
                        tensors[LLAMA_DOWN_EXPS].device == place;
    return is_one ? place : plan->layer_device[il];
}

/* What the experts put out lies side by side until it is added. */
static int add_matrices(struct graph *graph, const struct layer_shape *layer, int norm,
                        bool is_last_use)
{
    const struct model_shape *shape = graph->plan->shape;
    const uint64_t used = max_u64(shape->expert_used_count, 1);
    const uint64_t width = used * layer->feed_forward_length;
    const int gate = graph_take(graph, width);
    const int up = graph_take(graph, width);
    if (is_last_use)
        graph_drop(graph, norm);
    const int product = graph_take(graph, width);
    graph_drop(graph, gate);
    graph_drop(graph, up);
    return graph_replace(graph, product, used * shape->hidden_size);
}

/* The same, but elsewhere: from there comes what they put out. */
static int take_from_experts(struct graph *graph, int norm, bool is_last_use)
{
    const struct model_shape *shape = graph->plan->shape;
    if (is_last_use)
        graph_drop(graph, norm);
    return graph_take(graph, max_u64(shape->expert_used_count, 1) * shape->hidden_size);
}

/* Every token goes through some of the experts. */
static int add_experts(struct graph *graph, uint32_t il, int norm, bool has_shared, bool are_here)
{
    const struct model_shape *shape = graph->plan->shape;
    const struct layer_shape *layer = &shape->layers[il];
    const int scores = graph_take(graph, shape->expert_count);
    const int order = graph_take(graph, shape->expert_count);
    const int factors = graph_take(graph, max_u64(shape->expert_used_count, 1));
    graph_drop(graph, scores);
    const int sum = graph_replace(graph, graph_take(graph, 1), 1); /* bounded */
    graph_drop(graph, sum);
    const int outputs = are_here ? add_matrices(graph, layer, norm, !has_shared)
                                 : take_from_experts(graph, norm, !has_shared);
    graph_drop(graph, order);
    graph_drop(graph, factors);
    const int out = graph_replace(graph, outputs, shape->hidden_size);
    if (has_shared)
        graph_drop(graph, add_dense(graph, shape->expert_shared_count * layer->feed_forward_length,
                                    norm, true));
    return out;
}

/* The host leaves all that is behind the scores to the device that has the experts. */
static int leave_experts(struct graph *graph, int norm)
{
    const struct model_shape *shape = graph->plan->shape;
    graph_drop(graph, graph_take(graph, shape->expert_count));
    return graph_replace(graph, norm, shape->hidden_size);
}

/* --- layers -------------------------------------------------------------------------------- */

/* Only tokens whose logits are wanted go through what is left of the last layer. */
static int keep_outputs(struct graph *graph, int attended)
{
    const uint64_t hidden = graph->plan->shape->hidden_size;
    graph->rows = graph->plan->outputs;
    const int kept = graph_replace(graph, attended, hidden);
    const int residual = graph_take(graph, hidden);
    drop_residual(graph);
    graph->residual = residual;
    return kept;
}

/*
 * What a part of a layer puts out is added in its own place. Only where it is a reshaped view, or
 * stands second (Jamba), the residual's place is taken; unless that is an input that stays.
 */
static void add_residual(struct graph *graph, int out, bool is_view)
{
    const struct model_shape *shape = graph->plan->shape;
    const bool is_second = estimate_contains(shape->architecture, "jamba");
    if (!is_view && (!is_second || graph->is_pinned)) {
        drop_residual(graph);
        graph->residual = out;
    } else if (graph->is_pinned) {
        graph->is_pinned = false;
        graph->residual = graph_replace(graph, out, shape->hidden_size);
    } else {
        graph_drop(graph, out);
    }
}

static void add_layer(struct graph *graph, uint32_t il)
{
    const struct model_shape *shape = graph->plan->shape;
    const struct layer_shape *layer = &shape->layers[il];
    const bool is_last = il == shape->layer_count - 1;
    int middle = graph_add_mixer(graph, il);
    drop_shared(graph, il);
    if (is_last)
        middle = keep_outputs(graph, middle);
    add_residual(graph, middle, !is_last && layer->cache == CACHE_STATE);
    if (layer->feed_forward_length == 0)
        return;
    const int norm = graph_take(graph, shape->hidden_size);
    int out;
    const int place = experts_place(graph->plan, il), own = graph->plan->layer_device[il];
    if (layer->is_moe && own == ESTIMATE_HOST && place != own)
        out = leave_experts(graph, norm);
    else if (layer->is_moe)
        out = add_experts(graph, il, norm, shape->expert_shared_count > 0, place == own);
    else if (strcmp(shape->architecture, "bert") == 0)
        out = add_ungated(graph, layer->feed_forward_length, norm);
    else
        out = add_dense(graph, layer->feed_forward_length, norm, true);
    add_residual(graph, out, false);
}

/* The last norm is in place. */
static void add_output(struct graph *graph)
{
    const struct model_shape *shape = graph->plan->shape;
    graph->rows = graph->plan->outputs;
    if (!graph->plan->is_encoder)
        graph_take(graph, shape->vocabulary_size);
}

/* --- inputs -------------------------------------------------------------------------------- */

/* Which of a batch's tokens see which cells. */
static void take_mask(struct graph *graph, uint64_t cells)
{
    const struct llama_plan *plan = graph->plan;
    const bool is_half = plan->flash_attention && plan->rules.mask_is_half;
    const uint64_t bytes = cells * graph->tokens;
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
    share(graph, take_input(graph, graph->tokens * F32_BYTES));
    for (int i = 0; i < has_full + has_window && !plan->is_encoder; i++) {
        share(graph, take_input(graph, graph->tokens * INDEX_BYTES));
        share(graph, take_input(graph, graph->tokens * value_width * INDEX_BYTES));
    }
    if (has_full)
        take_mask(graph, plan->is_encoder ? graph_encoder_cells(plan) : plan->context);
    if (has_window)
        take_mask(graph, window_cells);
    graph->chosen = take_input(graph, plan->outputs * F32_BYTES);
    share(graph, graph->chosen);
}

/* What encoders add to their tokens: positions, looked up as well. */
static void take_positions(struct graph *graph)
{
    if (graph->plan->is_encoder)
        graph_take(graph, graph->plan->shape->hidden_size);
}

/* The host's buffer has all inputs, and looks tokens up whose layers are elsewhere. */
static void begin_on_host(struct graph *graph)
{
    const struct llama_plan *plan = graph->plan;
    const uint64_t hidden = plan->shape->hidden_size * graph->tokens * F32_BYTES;
    take_input(graph, graph->tokens * F32_BYTES);
    int mixed = -1, slots = -1;
    if (plan->rules.mixes_inputs) {
        take_input(graph, graph->tokens * F32_BYTES);
        take_input(graph, hidden);
        mixed = take_input(graph, hidden);
        slots = take_input(graph, graph->tokens * INDEX_BYTES);
    }
    take_positions(graph);
    take_cache_inputs(graph, ESTIMATE_HOST);
    graph->residual = graph_take(graph, plan->shape->hidden_size);
    if (!plan->rules.mixes_inputs)
        return;
    const int looked_up = graph_take(graph, plan->shape->hidden_size);
    if (plan->layers_on_host == 0)
        return;
    graph_take(graph, plan->shape->hidden_size); /* a copy that nothing frees */
    drop_input(graph, mixed);
    graph_drop(graph, looked_up);
    drop_input(graph, slots);
}

/* The first device does what the host would have done with mixed inputs. */
static void begin_on_first_device(struct graph *graph, int device)
{
    const struct llama_plan *plan = graph->plan;
    const uint64_t hidden = plan->shape->hidden_size * graph->tokens * F32_BYTES;
    int mixed = -1, looked_up = -1, slots = -1;
    if (plan->rules.mixes_inputs) {
        mixed = take_input(graph, hidden);
        looked_up = take_input(graph, hidden);
        slots = take_input(graph, graph->tokens * INDEX_BYTES);
    }
    graph->residual = take_input(graph, hidden);
    graph->is_pinned = plan->copies > 1;
    take_positions(graph);
    take_cache_inputs(graph, device);
    if (plan->rules.mixes_inputs) {
        graph_take(graph, plan->shape->hidden_size);
        drop_input(graph, mixed);
        drop_input(graph, looked_up);
        drop_input(graph, slots);
    }
    if (graph->is_pinned && estimate_contains(plan->shape->architecture, "gemma")) {
        graph->residual = graph_take(graph, plan->shape->hidden_size); /* scaled: a new one */
        graph->is_pinned = false;
    }
}

/* For the device before, whose last layer waits for it. */
static void turn_gate(struct graph *graph, const struct layer_shape *layer)
{
    const uint64_t inner = graph_inner(graph->plan, layer);
    const int both = take_input(graph, (2 * graph->tokens - 1) * inner * F32_BYTES);
    graph_drop(graph, graph_take(graph, inner));
    drop_input(graph, both);
}

/*
 * From the host come the two sides of a layer's last addition: of experts all that are to be added
 * up, or what they and the shared one put out; from a device comes the sum.
 */
static void begin_behind(struct graph *graph, int device, unsigned first)
{
    const struct llama_plan *plan = graph->plan;
    const struct model_shape *shape = plan->shape;
    const bool is_behind_host = plan->layer_device[first - 1] == ESTIMATE_HOST;
    const uint64_t hidden = shape->hidden_size * graph->tokens * F32_BYTES;
    const bool has_experts = is_behind_host && shape->layers[first - 1].is_moe;
    const bool has_shared = has_experts && shape->expert_shared_count > 0;
    const bool has_parts = has_experts && !has_shared;
    const uint64_t parts = has_parts ? max_u64(shape->expert_used_count, 1) : 1;
    graph->residual = take_input(graph, hidden * parts);
    graph->is_pinned = plan->copies > 1;
    const int other = is_behind_host ? take_input(graph, hidden) : -1;
    const int shared = has_shared ? take_input(graph, hidden) : -1;
    if (graph_lends_gate(plan, first - 1))
        turn_gate(graph, &shape->layers[first - 1]);
    take_cache_inputs(graph, device);
    if (has_parts)
        graph->residual = graph_replace(graph, graph->residual, shape->hidden_size);
    if (has_shared)
        drop_input(graph, shared);
    if (is_behind_host)
        drop_input(graph, other);
}

/* A device with nothing but the output matrix, and the choice of tokens behind a lone mixer. */
static void begin_at_output(struct graph *graph)
{
    const struct llama_plan *plan = graph->plan;
    const struct layer_shape *layer = &plan->shape->layers[plan->shape->layer_count - 1];
    const bool chooses = layer->cache == CACHE_STATE && layer->feed_forward_length == 0;
    const uint64_t hidden = plan->shape->hidden_size * F32_BYTES;
    graph->residual = take_input(graph, hidden * (chooses ? graph->tokens : plan->outputs));
    if (chooses)
        take_input(graph, hidden * graph->tokens);
}

/* --- experts that are elsewhere than their layers --------------------------------------------- */

static void set_rows(struct graph *graph, uint32_t il)
{
    const bool is_last = il == graph->plan->shape->layer_count - 1;
    graph->rows = is_last ? graph->plan->outputs : graph->tokens;
}

/* On the host: nothing but the matrices. The first device has copies of all inputs by then. */
static void add_experts_on_host(struct graph *graph)
{
    const struct llama_plan *plan = graph->plan;
    const struct model_shape *shape = plan->shape;
    for (uint32_t il = 0; il < shape->layer_count; il++) {
        if (plan->layer_device[il] == ESTIMATE_HOST ||
            experts_place(plan, il) != ESTIMATE_HOST)
            continue;
        if (plan->device_count == 1)
            arena_drop_others(&graph->arena, graph->chosen);
        set_rows(graph, il);
        const int norm = graph_take(graph, shape->hidden_size);
        const int order = graph_take(graph, shape->expert_count);
        const int out = add_matrices(graph, &shape->layers[il], norm, true);
        graph_drop(graph, order);
        graph_drop(graph, out);
    }
}

/*
 * On a device, up to the next layer's norm: of a layer on the host, where a shared expert and all
 * behind it stay. Returns what is put out.
 */
static int add_experts_of_host(struct graph *graph, uint32_t il, int device)
{
    const struct llama_plan *plan = graph->plan;
    const bool has_shared = plan->shape->expert_shared_count > 0;
    set_rows(graph, il);
    const int norm = graph_take(graph, plan->shape->hidden_size);
    const int residual = has_shared ? -1 : graph_take(graph, plan->shape->hidden_size);
    const bool goes_on = il + 1 < plan->shape->layer_count && plan->layer_device[il + 1] == device;
    if (goes_on && !has_shared)
        take_cache_inputs(graph, device);
    const int out = add_experts(graph, il, norm, false, true);
    if (!has_shared) {
        graph_drop(graph, residual);
        graph_drop(graph, graph_take(graph, plan->shape->hidden_size));
    }
    graph->rows = graph->tokens;
    return out;
}

static void add_all_experts_of_host(struct graph *graph, unsigned end, int device)
{
    const struct llama_plan *plan = graph->plan;
    for (uint32_t il = 0; il < end; il++)
        if (plan->layer_device[il] == ESTIMATE_HOST && experts_place(plan, il) == device)
            graph_drop(graph, add_experts_of_host(graph, il, device));
}

static void begin_on_device(struct graph *graph, int device, unsigned first)
{
    const struct llama_plan *plan = graph->plan;
    const struct model_shape *shape = plan->shape;
    const bool begins_with_experts =
        first > 0 && first < shape->layer_count && shape->expert_shared_count == 0 &&
        plan->layer_device[first - 1] == ESTIMATE_HOST && experts_place(plan, first - 1) == device;
    add_all_experts_of_host(graph, first - begins_with_experts, device);
    if (begins_with_experts)
        graph->residual = add_experts_of_host(graph, first - 1, device);
    else if (first == 0)
        begin_on_first_device(graph, device);
    else if (first < shape->layer_count)
        begin_behind(graph, device, first);
    else if (plan->layer_device[first] == device)
        begin_at_output(graph);
}

uint64_t llama_compute_bytes(const struct llama_plan *plan, int device)
{
    const unsigned last = plan->shape->layer_count;
    const uint64_t tokens = round_up(plan->tokens, plan->sequences); /* as many of each slot */
    struct graph graph = {.plan = plan, .tokens = tokens, .rows = tokens};
    unsigned first = 0, end;
    while (first < last && plan->layer_device[first] != device)
        first++;
    for (end = first; end < last && plan->layer_device[end] == device;)
        end++;
    if (device == ESTIMATE_HOST)
        begin_on_host(&graph);
    else
        begin_on_device(&graph, device, first);
    if (plan->copies > 1 && end > first && graph_lends_gate(plan, end - 1))
        graph.gate = take_input(&graph, graph_inner(plan, &plan->shape->layers[end - 1]) *
                                            tokens * F32_BYTES);
    for (unsigned il = first; il < end; il++)
        add_layer(&graph, il);
    if (plan->layer_device[last] == device)
        add_output(&graph);
    if (device == ESTIMATE_HOST)
        add_experts_on_host(&graph);
    return graph.arena.peak;
}
