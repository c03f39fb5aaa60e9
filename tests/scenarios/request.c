/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked for: bytes as they stand there, or a model and what control makes of it. */
#include "scenario.h"

/* ---- by bytes ---- */

static void add_way(struct scenario *scenario, const node *way, size_t class)
{
    struct place_ways *ways = &scenario->ways[class];
    if (ways->count == PROFILES_MAX)
        tree_fail(way, "more than %d ways", PROFILES_MAX);
    struct estimate_profile *profile = &scenario->profiles[class][ways->count++];
    *profile = (struct estimate_profile){
        .kind = tree_is(way, "partly", false) ? PROFILE_PARTIAL : PROFILE_DEVICES,
        .nodes = (unsigned)tree_number(way, "workers", 1),
        .devices_per_node = (unsigned)tree_number(way, "devices", 1),
        .host_bytes = tree_bytes(way, "host", UINT64_C(1) << 30)};
    const node *bytes = tree_need(way, "memory");
    const unsigned ranks = profile->nodes * profile->devices_per_node;
    if (ranks == 0 || ranks > ESTIMATE_PROFILE_RANKS_MAX)
        tree_fail(way, "%u devices in all; 1 to %d", ranks, ESTIMATE_PROFILE_RANKS_MAX);
    for (unsigned i = 0; i < ranks; i++) {
        const node *own = tree_item(bytes, i < tree_count(bytes) ? i : tree_count(bytes) - 1);
        profile->rank_bytes[i] = node_bytes(own);
        profile->preferred_bytes[i] = tree_bytes(way, "wants", profile->rank_bytes[i]);
    }
    profile->tensor_parallel = profile->devices_per_node;
    profile->pipeline_parallel = profile->nodes;
    ways->profiles = scenario->profiles[class];
}

/* A way is for the devices whose name stands in `on`, or for all. */
static void read_way(struct scenario *scenario, const node *way)
{
    tree_check_keys(way, "on devices workers memory wants host partly processor");
    const node *on = tree_get(way, "on");
    if (tree_is(way, "processor", false)) {
        scenario->processor = (struct estimate_profile){.kind = PROFILE_PROCESSOR,
                                                        .nodes = 1,
                                                        .host_bytes =
                                                            node_bytes(tree_need(way, "host"))};
        scenario->request.processor = &scenario->processor;
        return;
    }
    bool is_found = false;
    for (size_t c = 0; c < scenario->view.class_count; c++) {
        if (on && strcmp(node_text(on), scenario->view.classes[c].name) != 0)
            continue;
        add_way(scenario, way, c);
        is_found = true;
    }
    if (on && !is_found)
        tree_fail(on, "no worker has a device \"%s\"", node_text(on));
}

static void read_needs(struct scenario *scenario, const node *needs)
{
    scenario->request.is_known = true;
    scenario->request.ways = scenario->ways;
    for (size_t i = 0; i < tree_count(needs); i++)
        read_way(scenario, tree_item(needs, i));
}

/* ---- by a model ---- */

static uint8_t cache_of(const node *shape, uint64_t layer)
{
    const uint64_t period = tree_number(shape, "full_every", 0);
    const bool has_window = tree_get(shape, "window") && period && (layer + 1) % period != 0;
    return tree_is(shape, "latent", false) ? CACHE_LATENT : has_window ? CACHE_WINDOW : CACHE_FULL;
}

static void read_layers(const node *from, struct model_shape *shape)
{
    const uint64_t heads = node_number(tree_need(from, "heads"));
    const uint64_t length = node_number(tree_need(from, "head_size"));
    shape->layer_count = (uint32_t)node_number(tree_need(from, "layers"));
    if (shape->layer_count == 0 || shape->layer_count > MODEL_SHAPE_LAYERS_MAX)
        tree_fail(tree_get(from, "layers"), "1 to %d layers", MODEL_SHAPE_LAYERS_MAX);
    shape->layers = mem_alloc_array(shape->layer_count, sizeof *shape->layers);
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        const uint8_t cache = cache_of(from, i);
        const bool is_latent = cache == CACHE_LATENT;
        shape->layers[i] = (struct layer_shape){
            .cache = cache,
            .head_count = (uint32_t)heads,
            .head_count_kv = is_latent ? 1 : (uint32_t)tree_number(from, "kv_heads", heads),
            .key_length = (uint32_t)length,
            .value_length = is_latent ? 0 : (uint32_t)length,
            .window = cache == CACHE_WINDOW ? tree_number(from, "window", 0) : 0,
            .feed_forward_length = tree_number(from, "feed_forward", 4 * heads * length),
            .bytes = shape->tensor_bytes / shape->layer_count};
    }
}

static void read_shape(struct scenario *scenario, const node *from)
{
    tree_check_keys(from, "format weights parameters layers heads kv_heads head_size hidden "
                          "feed_forward vocabulary context window full_every latent");
    struct model_shape *shape = &scenario->shape;
    const bool is_gguf = strcmp(tree_text(from, "format", "safetensors"), "gguf") == 0;
    *shape = (struct model_shape){.format = is_gguf ? FORMAT_GGUF : FORMAT_SAFETENSORS,
                                  .kind = KIND_LLM,
                                  .is_causal = true,
                                  .architecture = "scenario",
                                  .tensor_bytes = node_bytes(tree_need(from, "weights")),
                                  .parameter_count = tree_number(from, "parameters", 0),
                                  .context_length = tree_number(from, "context", 8192),
                                  .vocabulary_size = tree_number(from, "vocabulary", 128256)};
    snprintf(shape->dtype, sizeof shape->dtype, "%s", is_gguf ? "" : "bfloat16");
    shape->file_bytes = shape->tensor_bytes;
    shape->hidden_size = tree_number(from, "hidden", node_number(tree_need(from, "heads")) *
                                                         node_number(tree_need(from, "head_size")));
    read_layers(from, shape);
    scenario->source = (struct need_source){
        .known = KNOWN_SHAPE, .key = "scenario", .shape = shape};
}

/* The model as its owner would deploy it, and what control finds that it needs. */
static void read_model(struct scenario *scenario, const node *from)
{
    const node *parameters = tree_get(from, "parameters");
    struct model *model = &scenario->model;
    record_init(&model_type, model);
    model->id = 1;
    mem_replace(&model->name, tree_text(from, "model", "asked"));
    mem_replace(&model->backend, tree_text(from, "engine", NULL));
    mem_replace(&model->backend_version, tree_text(from, "engine_version", NULL));
    model->cpu_offloading = tree_is(from, "cpu_offloading", false);
    model->distributed_inference_across_workers = tree_is(from, "may_span", false);
    for (size_t i = 0; i < tree_count(parameters); i++)
        string_list_add(&model->backend_parameters, node_text(tree_item(parameters, i)));
    scenario->source.absent_on = &scenario->absent;
    scenario->needs = needs_new(NULL);
    needs_of(scenario->needs, model, &scenario->source, &scenario->view, &scenario->need);
    need_fill(&scenario->need, &scenario->request);
}

/* ---- constraints ---- */

static void read_workers(const struct scenario *scenario, const node *names, struct int_list *ret)
{
    for (size_t i = 0; i < tree_count(names); i++)
        int_list_add(ret, (int64_t)scenario_worker(scenario, tree_item(names, i)) + 1);
}

static void read_start(struct scenario *scenario, const node *seconds)
{
    scenario->start_seconds =
        mem_alloc_array(scenario->view.count + 1, sizeof *scenario->start_seconds);
    for (size_t i = 0; i < scenario->view.count; i++)
        scenario->start_seconds[i] =
            (uint32_t)tree_number(seconds, scenario->view.workers[i].name, 0);
    scenario->request.start_seconds = scenario->start_seconds;
}

static enum place_strategy strategy_of(const node *from)
{
    static const char *const names[PLACE_STRATEGY_COUNT] = {
        [PLACE_CHEAPEST] = "auto", [PLACE_SPREAD] = "spread", [PLACE_BINPACK] = "binpack"};
    const char *name = tree_text(from, "strategy", "auto");
    for (int i = 0; i < PLACE_STRATEGY_COUNT; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum place_strategy)i;
    tree_fail(tree_get(from, "strategy"), "\"%s\" is neither auto, spread nor binpack", name);
}

static const struct string_map *selector_of(const node *labels)
{
    struct string_map *ret = mem_alloc(sizeof *ret);
    for (size_t i = 0; i < tree_pairs(labels); i++) {
        const node *value;
        const char *key = tree_pair(labels, i, &value);
        string_map_set(ret, key, node_text(value));
    }
    return ret;
}

static void read_constraints(struct scenario *scenario, const node *from)
{
    struct place_request *request = &scenario->request;
    const node *ids = tree_get(from, "gpu_ids");
    for (size_t i = 0; i < tree_count(ids); i++)
        string_list_add(&scenario->gpu_ids, node_text(tree_item(ids, i)));
    read_workers(scenario, tree_get(from, "avoid"), &scenario->avoid);
    read_workers(scenario, tree_get(from, "absent"), &scenario->absent);
    request->selector = selector_of(tree_get(from, "labels"));
    request->gpu_ids = &scenario->gpu_ids;
    request->avoid_worker_ids = &scenario->avoid;
    request->absent_on = &scenario->absent;
    request->device_count = tree_number(from, "devices", 0);
    request->may_span = tree_is(from, "may_span", false);
    request->strategy = strategy_of(from);
    request->ram_bytes = tree_bytes(from, "memory", 0);
    read_start(scenario, tree_get(from, "start_seconds"));
}

void scenario_read_request(struct scenario *scenario)
{
    const node *from = tree_need(scenario->root, "request");
    tree_check_keys(from, "model needs shape engine engine_version parameters may_span "
                          "cpu_offloading labels gpu_ids devices avoid absent strategy memory "
                          "start_seconds replicas");
    scenario->request = (struct place_request){
        .model_id = 1, .model_name = tree_text(from, "model", "asked")};
    scenario->replicas = tree_number(from, "replicas", 1);
    read_constraints(scenario, from);
    if (tree_get(from, "shape"))
        read_shape(scenario, tree_get(from, "shape"));
    read_model(scenario, from);
    if (tree_get(from, "needs"))
        read_needs(scenario, tree_get(from, "needs"));
}
