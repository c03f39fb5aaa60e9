/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/estimate_priv.h"

#include "base/num.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const engine_names[ESTIMATE_ENGINE_COUNT] = {
    [ESTIMATE_AUTO] = "auto",     [ESTIMATE_LLAMA_CPP] = "llama.cpp", [ESTIMATE_VLLM] = "vllm",
    [ESTIMATE_SGLANG] = "sglang", [ESTIMATE_MINDIE] = "mindie",       [ESTIMATE_AUDIO] = "audio",
    [ESTIMATE_DIFFUSION] = "diffusion",                               [ESTIMATE_CUSTOM] = "custom",
};

static const struct {
    const char *name;
    enum estimate_engine engine;
} aliases[] = {
    {"llama-box", ESTIMATE_LLAMA_CPP},   {"llama-server", ESTIMATE_LLAMA_CPP},
    {"vox-box", ESTIMATE_AUDIO},         {"whisper.cpp", ESTIMATE_AUDIO},
    {"faster-whisper", ESTIMATE_AUDIO},  {"ascend-mindie", ESTIMATE_MINDIE},
    {"diffusers", ESTIMATE_DIFFUSION},   {"stable-diffusion.cpp", ESTIMATE_DIFFUSION},
    {"", ESTIMATE_AUTO},
};

static const char *const part_names[ESTIMATE_PART_COUNT] = {
    [ESTIMATE_WEIGHTS] = "weights", [ESTIMATE_CACHE] = "cache",   [ESTIMATE_STATE] = "state",
    [ESTIMATE_COMPUTE] = "compute", [ESTIMATE_GRAPHS] = "graphs", [ESTIMATE_RUNTIME] = "runtime",
};

const char *estimate_engine_name(enum estimate_engine engine)
{
    return engine_names[engine];
}

const char *estimate_part_name(enum estimate_part part)
{
    return part_names[part];
}

enum estimate_engine estimate_engine_of(struct str name)
{
    for (int i = 0; i < ESTIMATE_ENGINE_COUNT; i++)
        if (str_eq_nocase(name, str_of(engine_names[i])))
            return (enum estimate_engine)i;
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (str_eq_nocase(name, str_of(aliases[i].name)))
            return aliases[i].engine;
    return ESTIMATE_CUSTOM;
}

enum estimate_engine estimate_usual_engine(const struct model_shape *shape)
{
    switch ((enum model_kind)shape->kind) {
    case KIND_WHISPER:
    case KIND_TTS:
        return ESTIMATE_AUDIO;
    case KIND_DIFFUSION:
        return ESTIMATE_DIFFUSION;
    case KIND_LLM:
    case KIND_EMBEDDING:
    case KIND_RERANKER:
        return shape->format == FORMAT_GGUF ? ESTIMATE_LLAMA_CPP : ESTIMATE_VLLM;
    case KIND_UNKNOWN:
    case KIND_PROJECTOR:
    case KIND_ADAPTER:
    case MODEL_KIND_COUNT:
        break;
    }
    return shape->format == FORMAT_GGUF && shape->layer_count > 0 ? ESTIMATE_LLAMA_CPP
                                                                  : ESTIMATE_CUSTOM;
}

void estimate_add(struct estimate *estimate, int device, enum estimate_part part, uint64_t bytes,
                  const char *fmt, ...)
{
    if (bytes == 0)
        return;
    assert(estimate->line_count < ESTIMATE_LINES_MAX);
    assert(device < (int)estimate->device_count);
    const size_t count = estimate->line_count;
    if ((count & (count - 1)) == 0) /* full at powers of two */
        estimate->lines = mem_resize(estimate->lines,
                                     (count ? 2 * count : 1) * sizeof estimate->lines[0]);
    struct estimate_line *line = &estimate->lines[estimate->line_count++];
    *line = (struct estimate_line){.device = device, .part = part, .bytes = bytes};
    va_list args;
    va_start(args, fmt);
    vsnprintf(line->formula, sizeof line->formula, fmt, args);
    va_end(args);
    struct estimate_place *place = device < 0 ? &estimate->host : &estimate->devices[device];
    place->parts[part] += bytes;
}

uint64_t estimate_place_bytes(const struct estimate_place *place)
{
    uint64_t sum = 0;
    for (int i = 0; i < ESTIMATE_PART_COUNT; i++)
        sum += place->parts[i];
    return sum;
}

uint64_t estimate_capacity(const struct estimate_device *device)
{
    return device->free_bytes ? device->free_bytes : device->total_bytes;
}

size_t estimate_local_devices(const struct estimate_request *request)
{
    size_t count = 0;
    for (size_t i = 0; i < request->device_count; i++)
        count += !request->devices[i].is_remote;
    return count;
}

void estimate_judge(const struct estimate_request *request, struct estimate *estimate)
{
    estimate->fits = true;
    for (size_t i = 0; i < estimate->device_count; i++) {
        const uint64_t capacity = estimate_capacity(&request->devices[i]);
        const uint64_t bytes = estimate_place_bytes(&estimate->devices[i]);
        if (capacity == 0 || bytes <= capacity)
            continue;
        estimate->fits = false;
        auto_free char *needed = num_format_bytes(bytes);
        auto_free char *present = num_format_bytes(capacity);
        snprintf(estimate->advice, sizeof estimate->advice, "device %zu has %s, %s are needed", i,
                 present, needed);
        return;
    }
}

uint64_t estimate_dtype_bytes(struct str dtype, uint64_t fallback)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } types[] = {{"float32", 4}, {"float", 4},      {"fp32", 4},     {"float16", 2}, {"half", 2},
                 {"fp16", 2},    {"bfloat16", 2},   {"bf16", 2},     {"fp8", 1},     {"int8", 1},
                 {"fp8_e4m3", 1}, {"fp8_e5m2", 1},  {"fp8_inc", 1}};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_eq_nocase(dtype, str_of(types[i].name)))
            return types[i].bytes;
    return fallback;
}

bool estimate_is_encoder(const struct model_shape *shape)
{
    return !shape->is_causal && (shape->kind == KIND_EMBEDDING || shape->kind == KIND_RERANKER);
}

void estimate_latent_elements(const struct model_shape *shape, const struct layer_shape *layer,
                              double ret[LATENT_MATRIX_COUNT])
{
    const double hidden = (double)shape->hidden_size, heads = layer->head_count;
    const double latent = (double)shape->kv_lora_rank, rank = (double)shape->q_lora_rank;
    const double rope = (double)shape->qk_rope_head_dim, nope = (double)shape->qk_nope_head_dim;
    const double value = (double)shape->v_head_dim;
    ret[LATENT_QUERIES_DOWN] = hidden * rank;
    ret[LATENT_QUERIES_UP] = (rank > 0 ? rank : hidden) * heads * (nope + rope);
    ret[LATENT_KEYS_DOWN] = hidden * (latent + rope);
    ret[LATENT_KEYS_UP] = latent * heads * (nope + value);
    ret[LATENT_OUTPUT] = heads * value * hidden;
}

bool estimate_contains(const char *text, const char *word)
{
    const size_t n = strlen(word);
    for (size_t left = strlen(text); left >= n; left--, text++)
        if (str_same_nocase(text, word, n))
            return true;
    return false;
}

uint64_t estimate_trained_context(const struct model_shape *shape, uint64_t fallback)
{
    const uint64_t context = min_u64(shape->context_length, ESTIMATE_CONTEXT_MAX);
    return context ? context : fallback;
}

static int check_request(const struct estimate_request *request, struct err *err)
{
    if (request->device_count > ESTIMATE_DEVICES_MAX)
        return err_set(err, ERR_TOO_LARGE, "%zu devices, at most %d are possible",
                       request->device_count, ESTIMATE_DEVICES_MAX);
    if (request->argc > ESTIMATE_PARAMETERS_MAX)
        return err_set(err, ERR_TOO_LARGE, "%zu parameters, at most %d are possible",
                       request->argc, ESTIMATE_PARAMETERS_MAX);
    return 0;
}

static bool is_layer_plausible(const struct layer_shape *layer)
{
    const uint64_t length = max_u64(layer->key_length, layer->value_length);
    return layer->head_count <= ESTIMATE_HEADS_MAX && layer->head_count_kv <= ESTIMATE_HEADS_MAX &&
           length * max_u64(layer->head_count, layer->head_count_kv) <= ESTIMATE_WIDTH_MAX &&
           layer->indexer_length <= ESTIMATE_WIDTH_MAX &&
           layer->feed_forward_length <= ESTIMATE_FORWARD_MAX &&
           layer->window <= MODEL_SHAPE_DIM_MAX && layer->state_conv <= MODEL_SHAPE_DIM_MAX &&
           layer->state_ssm <= MODEL_SHAPE_DIM_MAX;
}

/* What a damaged file may say of itself, but no model is. */
static int check_shape(const struct model_shape *shape, struct err *err)
{
    const bool is_plausible = shape->layer_count <= MODEL_SHAPE_LAYERS_MAX &&
                              shape->expert_count <= MODEL_SHAPE_EXPERTS_MAX &&
                              shape->expert_used_count <= MODEL_SHAPE_EXPERTS_MAX &&
                              shape->expert_shared_count <= MODEL_SHAPE_EXPERTS_MAX &&
                              shape->hidden_size <= ESTIMATE_WIDTH_MAX &&
                              shape->vision_hidden_size <= ESTIMATE_WIDTH_MAX &&
                              shape->vision_tokens_max <= ESTIMATE_IMAGE_MAX &&
                              shape->vision_head_count <= ESTIMATE_HEADS_MAX &&
                              shape->vocabulary_size <= ESTIMATE_VOCABULARY_MAX;
    if (!is_plausible)
        return err_set(err, ERR_TOO_LARGE,
                       "a hidden size of %llu, %llu experts or %llu tokens: at most %d, %d and %d "
                       "are possible",
                       (unsigned long long)shape->hidden_size,
                       (unsigned long long)shape->expert_count,
                       (unsigned long long)shape->vocabulary_size, ESTIMATE_WIDTH_MAX,
                       MODEL_SHAPE_EXPERTS_MAX, ESTIMATE_VOCABULARY_MAX);
    for (uint32_t il = 0; il < shape->layer_count; il++)
        if (!is_layer_plausible(&shape->layers[il]))
            return err_set(err, ERR_TOO_LARGE,
                           "layer %u: at most %d heads, %d x their length and a feed-forward width "
                           "of %d are possible",
                           il, ESTIMATE_HEADS_MAX, ESTIMATE_WIDTH_MAX, ESTIMATE_FORWARD_MAX);
    return 0;
}

static int run_engine(const struct estimate_request *request, struct estimate *ret,
                      struct err *err)
{
    switch (ret->engine) {
    case ESTIMATE_LLAMA_CPP:
        return estimate_llama_cpp(request, ret, err);
    case ESTIMATE_VLLM:
        return estimate_vllm(request, ret, err);
    case ESTIMATE_SGLANG:
        return estimate_sglang(request, ret, err);
    case ESTIMATE_MINDIE:
        return estimate_mindie(request, ret, err);
    case ESTIMATE_AUDIO:
        return estimate_audio(request, ret, err);
    case ESTIMATE_DIFFUSION:
        return estimate_diffusion(request, ret, err);
    case ESTIMATE_AUTO:
    case ESTIMATE_CUSTOM:
    case ESTIMATE_ENGINE_COUNT:
        break;
    }
    return estimate_custom(request, ret, err);
}

int estimate_model(const struct estimate_request *request, struct estimate *ret, struct err *err)
{
    int rc = check_request(request, err);
    if (rc == 0)
        rc = check_shape(request->shape, err);
    if (rc == 0 && request->projector)
        rc = check_shape(request->projector, err);
    if (rc == 0 && request->draft)
        rc = check_shape(request->draft, err);
    if (rc < 0)
        return rc;
    struct estimate made = {.engine = request->engine, .device_count = request->device_count,
                            .tensor_parallel = 1, .pipeline_parallel = 1, .data_parallel = 1};
    if (made.engine == ESTIMATE_AUTO)
        made.engine = estimate_usual_engine(request->shape);
    rc = run_engine(request, &made, err);
    if (rc < 0)
        estimate_fini(&made);
    else
        *ret = made;
    return rc < 0 ? rc : 0;
}

void estimate_fini(struct estimate *estimate)
{
    free(estimate->lines);
    *estimate = (struct estimate){0};
}
