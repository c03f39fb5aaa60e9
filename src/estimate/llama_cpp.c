/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llama-server: which layers lie where, and what that adds up to. doc/estimates.md has the rules.
 */
#include "estimate/llama_cpp_priv.h"

/* Of a projector; what a patch is made of are colours twice, as an image and in columns. */
enum {
    PATCHES_MAX = 4 << 20,    /* so that scores of all with all don't overflow */
    PATCHES_OF_TOKEN = 4,     /* unless the file tells: 2 x 2 in most models */
    PATCHES_MIN = 8464,       /* 1472 x 1472, which llama-server prepares for by itself */
    PATCH_BYTES = 14 * 14 * 3 * 4 * 2,
    PATCH_WIDTH_BYTES = 32,   /* the feed-forward part, four times as wide, and four others */
};

static uint64_t runtime_bytes(const struct estimate_device *device)
{
    return device->is_unified ? 250 * MIB : 500 * MIB;
}

/* --- weights ------------------------------------------------------------------------------- */

struct weights_sum {
    uint64_t layers, experts, output, input;
    unsigned layer_count;
};

enum { PLACES = ESTIMATE_DEVICES_MAX + 1 }; /* the host is the first */

static void sum_layer(const struct llama_plan *plan, uint32_t il, struct weights_sum *sums)
{
    uint64_t bytes[LLAMA_TENSOR_COUNT];
    llama_layer_tensors(plan->shape, il, bytes);
    sums[plan->layer_device[il] + 1].layer_count++;
    for (unsigned i = 0; i < LLAMA_TENSOR_COUNT; i++) {
        struct weights_sum *sum = &sums[plan->tensors[il][i].device + 1];
        if (i < LLAMA_GATE_EXPS)
            sum->layers += bytes[i];
        else
            sum->experts += bytes[i];
    }
}

static void sum_weights(const struct llama_plan *plan, struct weights_sum sums[PLACES])
{
    const struct model_shape *shape = plan->shape;
    const int output = plan->layer_device[shape->layer_count];
    for (uint32_t il = 0; il < shape->layer_count; il++)
        sum_layer(plan, il, sums);
    sums[plan->output.device + 1].output += shape->output_bytes;
    if (shape->is_tied && output != ESTIMATE_HOST) /* a second copy of the embedding */
        sums[output + 1].output += shape->input_bytes;
    sums[output + 1].layers += shape->draft_bytes;
    sums[plan->embedding.device + 1].input = shape->input_bytes;
}

static void add_weights(const struct llama_plan *plan, int place, const struct weights_sum *sum,
                        struct estimate *ret)
{
    const struct model_shape *shape = plan->shape;
    const bool has_copy = shape->is_tied && place != ESTIMATE_HOST;
    estimate_add(ret, place, ESTIMATE_WEIGHTS, sum->layers, "%u of %u layers%s%s",
                 sum->layer_count, shape->layer_count, sum->experts ? ", without experts" : "",
                 plan->options.overrides.count ? ", as --override-tensor moves them" : "");
    estimate_add(ret, place, ESTIMATE_WEIGHTS, sum->experts, "experts of %llu",
                 (unsigned long long)shape->expert_count);
    estimate_add(ret, place, ESTIMATE_WEIGHTS, sum->output, "output matrix and norm%s",
                 has_copy ? ", with a copy of the embedding" : "");
    estimate_add(ret, place, ESTIMATE_WEIGHTS, sum->input, "token embedding%s",
                 place == ESTIMATE_HOST ? ": on the host unless it is moved" : "");
}

/* Tensors of no layer go where the first layer is. */
static void add_all_weights(const struct llama_plan *plan, struct estimate *ret)
{
    struct weights_sum sums[PLACES] = {0};
    sum_weights(plan, sums);
    for (int place = ESTIMATE_HOST; place < (int)ret->device_count; place++)
        add_weights(plan, place, &sums[place + 1], ret);
    estimate_add(ret, plan->layer_device[0], ESTIMATE_WEIGHTS,
                 plan->shape->other_bytes - llama_projector_part(plan->shape),
                 "tensors of no layer");
    estimate_add(ret, plan->layer_device[plan->shape->layer_count], ESTIMATE_WEIGHTS,
                 plan->request->lora_bytes, "adapters");
    const bool is_mapped = plan->options.mmap && (str_eq(plan->options.load_mode, STR("auto")) ||
                                                  str_eq(plan->options.load_mode, STR("mmap")));
    if (is_mapped && plan->device_count > 0)
        ret->host_reclaimable_bytes += plan->shape->file_bytes;
}

/* Weights that are on devices so far, and the one that has them. */
static uint64_t device_weights(const struct estimate *estimate, int *ret_device)
{
    uint64_t bytes = 0;
    *ret_device = ESTIMATE_HOST;
    for (size_t i = 0; i < estimate->line_count; i++) {
        const struct estimate_line *line = &estimate->lines[i];
        if (line->device < 0 || line->part != ESTIMATE_WEIGHTS)
            continue;
        bytes += line->bytes;
        *ret_device = line->device;
    }
    return bytes;
}

static void take_weights(struct estimate *estimate, int device, uint64_t bytes)
{
    estimate->devices[device].parts[ESTIMATE_WEIGHTS] -= bytes;
    for (size_t i = 0; i < estimate->line_count && bytes > 0; i++) {
        struct estimate_line *line = &estimate->lines[i];
        if (line->device != device || line->part != ESTIMATE_WEIGHTS)
            continue;
        const uint64_t part = min_u64(line->bytes, bytes);
        line->bytes -= part;
        bytes -= part;
    }
}

/* Rows of all matrices lie over all devices by their shares; the rest stays on the main one. */
static void spread_rows(const struct llama_plan *plan, struct estimate *ret)
{
    int main_device;
    uint64_t given = 0;
    const uint64_t all = device_weights(ret, &main_device);
    if (main_device < 0)
        return;
    for (size_t i = 0; i < plan->order_count; i++) {
        const float share = plan->shares[i] - (i ? plan->shares[i - 1] : 0);
        const uint64_t part = (uint64_t)((double)all * (double)share);
        if (plan->order[i] == main_device)
            continue;
        given += part;
        estimate_add(ret, plan->order[i], ESTIMATE_WEIGHTS, part,
                     "rows of all matrices: %.1f %% of %llu B", 100 * (double)share,
                     (unsigned long long)all);
    }
    take_weights(ret, main_device, min_u64(given, all));
}

/* --- buffers ------------------------------------------------------------------------------- */

/* For large batches the host's weights are brought to the first device, one at a time. */
static uint64_t largest_host_tensor(const struct llama_plan *plan)
{
    uint64_t largest = 0, bytes[LLAMA_TENSOR_COUNT];
    for (uint32_t il = 0; il < plan->shape->layer_count; il++) {
        llama_layer_tensors(plan->shape, il, bytes);
        for (unsigned i = 0; i < LLAMA_TENSOR_COUNT; i++)
            if (plan->tensors[il][i].device == ESTIMATE_HOST)
                largest = max_u64(largest, bytes[i]);
    }
    return largest;
}

static void add_buffers(const struct llama_plan *plan, struct estimate *ret)
{
    const struct estimate_request *request = plan->request;
    for (int place = ESTIMATE_HOST; place < (int)ret->device_count; place++)
        estimate_add(ret, place, ESTIMATE_COMPUTE, llama_compute_bytes(plan, place),
                     "graph of %llu tokens, %llu outputs, %llu cells%s%s",
                     (unsigned long long)plan->tokens, (unsigned long long)plan->outputs,
                     (unsigned long long)plan->context,
                     plan->flash_attention ? ", flash attention" : "",
                     plan->copies > 1 ? ", inputs 4 times" : "");
    const uint64_t values = plan->shape->vocabulary_size +
                            (plan->embeds ? plan->shape->hidden_size : 0);
    const uint64_t kept = plan->is_encoder || plan->rules.outputs_by_sequence ? plan->sequences
                                                                              : plan->tokens;
    estimate_add(ret, ESTIMATE_HOST, ESTIMATE_COMPUTE, values * kept * 4,
                 "outputs: %llu values x %llu sequences x 4 B", (unsigned long long)values,
                 (unsigned long long)kept);
    const uint64_t streamed = largest_host_tensor(plan);
    if (plan->device_count > 0 && !request->devices[0].is_remote)
        estimate_add(ret, 0, ESTIMATE_COMPUTE, streamed,
                     "largest tensor of the layers on the host, for large batches");
}

/* What turns images into tokens: a file of its own, or read together with the model's. */
struct projector {
    uint64_t bytes, patches, hidden, heads;
};

/* Files tell the tokens of an image of the trained size; larger ones are taken, too. */
static struct projector projector_of(const struct llama_plan *plan)
{
    const struct model_shape *beside = plan->request->projector;
    const struct model_shape *numbers = beside ? beside : plan->shape;
    const uint64_t tokens = plan->options.image_tokens;
    const uint64_t merged = numbers->vision_token_patches ? numbers->vision_token_patches
                                                          : PATCHES_OF_TOKEN;
    struct projector projector = {
        .bytes = beside ? beside->tensor_bytes : llama_projector_part(plan->shape),
        .patches = min_u64(min_u64(merged, PATCHES_MAX) *
                               (tokens ? tokens : numbers->vision_tokens_max), PATCHES_MAX),
        .hidden = numbers->vision_hidden_size,
        .heads = numbers->vision_head_count};
    if (tokens == 0)
        projector.patches = max_u64(projector.patches, PATCHES_MIN);
    if (beside)
        projector.hidden = max_u64(projector.hidden, beside->hidden_size);
    return projector;
}

static void add_projector(const struct llama_plan *plan, struct estimate *ret)
{
    const struct estimate_request *request = plan->request;
    const struct projector projector = projector_of(plan);
    if (projector.bytes == 0 || !plan->options.projector)
        return;
    int place = ESTIMATE_HOST;
    for (size_t i = request->device_count; plan->options.projector_offload && i > 0; i--)
        if (!request->devices[i - 1].is_remote)
            place = (int)i - 1;
    const uint64_t patches = projector.patches, hidden = projector.hidden;
    const uint64_t heads = plan->flash_attention ? 0 : projector.heads;
    estimate_add(ret, place, ESTIMATE_WEIGHTS, projector.bytes, "projector");
    estimate_add(ret, place, ESTIMATE_COMPUTE,
                 patches * (hidden * PATCH_WIDTH_BYTES + PATCH_BYTES), "projector: %llu patches x "
                 "(%llu x %d B + %d B)", (unsigned long long)patches, (unsigned long long)hidden,
                 PATCH_WIDTH_BYTES, PATCH_BYTES);
    estimate_add(ret, place, ESTIMATE_COMPUTE, patches * patches * heads * 4,
                 "projector: scores of %llu patches^2 x %llu heads x 4 B",
                 (unsigned long long)patches, (unsigned long long)heads);
}

static void add_runtime(const struct llama_plan *plan, struct estimate *ret)
{
    for (size_t i = 0; i < ret->device_count; i++)
        if (estimate_place_bytes(&ret->devices[i]) > 0)
            estimate_add(ret, (int)i, ESTIMATE_RUNTIME, runtime_bytes(&plan->request->devices[i]),
                         "context and libraries of the device");
    estimate_add(ret, ESTIMATE_HOST, ESTIMATE_RUNTIME, 150 * MIB, "process, vocabulary, buffers");
    const uint64_t cache_mib = plan->options.cache_ram_mib;
    estimate_add(ret, ESTIMATE_HOST, ESTIMATE_CACHE, cache_mib * MIB,
                 "prompt cache in main memory: --cache-ram %llu MiB",
                 (unsigned long long)cache_mib);
}

/* What a model takes by itself: the one that is served, or one that drafts for it. */
static void add_model(const struct llama_plan *plan, struct estimate *ret)
{
    add_all_weights(plan, ret);
    if (str_eq(plan->options.split_mode, STR("row")))
        spread_rows(plan, ret);
    llama_add_caches(plan, ret);
    add_buffers(plan, ret);
}

/* The draft model has as many slots of the same length, but layers and types of its own. */
static int add_draft(const struct estimate_request *request, struct estimate *ret, struct err *err)
{
    if (!request->draft)
        return 0;
    struct estimate_request inner = *request;
    inner.shape = request->draft;
    inner.lora_bytes = 0;
    struct llama_plan plan;
    const int rc = llama_plan_make(&inner, true, &plan, err);
    if (rc < 0)
        return err_wrap(err, rc, "draft model");
    auto_fini(estimate_fini) struct estimate draft = {.device_count = request->device_count};
    add_model(&plan, &draft);
    for (size_t i = 0; i < draft.line_count; i++) {
        const struct estimate_line *line = &draft.lines[i];
        estimate_add(ret, line->device, line->part, line->bytes, "draft model: %.180s",
                     line->formula);
    }
    ret->host_reclaimable_bytes += draft.host_reclaimable_bytes;
    return 0;
}

static int add_lines(const struct estimate_request *request, struct estimate *ret, struct err *err)
{
    struct llama_plan plan;
    int rc = llama_plan_make(request, false, &plan, err);
    if (rc < 0)
        return rc;
    add_model(&plan, ret);
    add_projector(&plan, ret);
    rc = add_draft(request, ret, err);
    add_runtime(&plan, ret);
    ret->context_length = plan.context;
    ret->cache_tokens = plan.context * plan.streams;
    ret->sequences = plan.sequences;
    ret->layers_offloaded = request->shape->layer_count + 1 - plan.layers_on_host;
    return rc;
}

/* --- the largest context ------------------------------------------------------------------- */

/* Whether it fits when "--ctx-size context" is said last. */
static bool fits_with(const struct estimate_request *request, uint64_t context)
{
    const char *argv[ESTIMATE_PARAMETERS_MAX + 2];
    char number[32];
    snprintf(number, sizeof number, "%llu", (unsigned long long)context);
    if (request->argc > 0)
        memcpy(argv, request->argv, request->argc * sizeof argv[0]);
    argv[request->argc] = "--ctx-size";
    argv[request->argc + 1] = number;
    struct estimate_request inner = *request;
    inner.argv = argv;
    inner.argc = request->argc + 2;
    auto_fini(estimate_fini) struct estimate estimate = {.device_count = request->device_count};
    if (add_lines(&inner, &estimate, NULL) < 0)
        return false;
    estimate_judge(&inner, &estimate);
    return estimate.fits;
}

static uint64_t largest_context(const struct estimate_request *request, uint64_t limit)
{
    uint64_t low = 0, high = limit / LLAMA_PAD; /* in multiples of it */
    while (low < high) {
        const uint64_t middle = high - (high - low) / 2;
        if (fits_with(request, middle * LLAMA_PAD))
            low = middle;
        else
            high = middle - 1;
    }
    return low * LLAMA_PAD;
}

/* Of what doesn't fit, says which context would. */
static void advise(const struct estimate_request *request, struct estimate *ret)
{
    const uint64_t streams = ret->cache_tokens / ret->context_length;
    const uint64_t longest = largest_context(request, ret->cache_tokens);
    const size_t used = strlen(ret->advice);
    ret->context_fits = longest / streams;
    if (longest > 0)
        snprintf(ret->advice + used, sizeof ret->advice - used, "; --ctx-size %llu would fit",
                 (unsigned long long)longest);
    else
        snprintf(ret->advice + used, sizeof ret->advice - used, "; no context fits");
}

int estimate_llama_cpp(const struct estimate_request *request, struct estimate *ret,
                       struct err *err)
{
    if (request->shape->is_big_endian)
        return err_set(err, ERR_INVALID, "the file is big-endian, which llama.cpp can't run here");
    const int rc = add_lines(request, ret, err);
    if (rc < 0)
        return rc;
    estimate_judge(request, ret);
    if (ret->fits)
        ret->context_fits = ret->context_length;
    else if (!request->is_minimal)
        advise(request, ret);
    return 0;
}
