/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/llama_cpp_priv.h"

#include "base/num.h"

#define AT(member) offsetof(struct llama_options, member)

static const struct parameter table[] = {
    {"ctx-size", "-c --n-ctx", PARAMETER_COUNT, AT(context), 0, ESTIMATE_CONTEXT_MAX},
    {"batch-size", "-b", PARAMETER_COUNT, AT(batch), 1, ESTIMATE_BATCH_MAX},
    {"ubatch-size", "-ub", PARAMETER_COUNT, AT(ubatch), 1, ESTIMATE_BATCH_MAX},
    {"parallel", "-np", PARAMETER_NUMBER, AT(parallel), -1, 256},
    {"cache-type-k", "-ctk", PARAMETER_TEXT, AT(type_k), 0, 0},
    {"cache-type-v", "-ctv", PARAMETER_TEXT, AT(type_v), 0, 0},
    {"flash-attn", "-fa", PARAMETER_SWITCH, AT(flash_attention), 0, 0},
    {"n-gpu-layers", "-ngl --gpu-layers", PARAMETER_TEXT, AT(gpu_layers), 0, 0},
    {"tensor-split", "-ts", PARAMETER_TEXT, AT(tensor_split), 0, 0},
    {"split-mode", "-sm", PARAMETER_TEXT, AT(split_mode), 0, 0},
    {"main-gpu", "-mg", PARAMETER_COUNT, AT(main_gpu), 0, ESTIMATE_DEVICES_MAX - 1},
    {"device", "-dev", PARAMETER_TEXT, AT(device), 0, 0},
    {"load-mode", "-lm", PARAMETER_TEXT, AT(load_mode), 0, 0},
    {"mmap", NULL, PARAMETER_ON, AT(mmap), 0, 0},
    {"no-mmap", NULL, PARAMETER_OFF, AT(mmap), 0, 0},
    {"swa-full", NULL, PARAMETER_ON, AT(swa_full), 0, 0},
    {"kv-unified", "-kvu", PARAMETER_ON, AT(unified), 0, 0},
    {"no-kv-unified", "-no-kvu", PARAMETER_ON, AT(separate), 0, 0},
    {"kv-offload", "-kvo", PARAMETER_ON, AT(kv_offload), 0, 0},
    {"no-kv-offload", "-nkvo", PARAMETER_OFF, AT(kv_offload), 0, 0},
    {"cpu-moe", "-cmoe", PARAMETER_ON, AT(cpu_moe), 0, 0},
    {"n-cpu-moe", "-ncmoe", PARAMETER_COUNT, AT(cpu_moe_layers), 0, MODEL_SHAPE_LAYERS_MAX},
    {"override-tensor", "-ot", PARAMETER_LIST, AT(overrides), 0, 0},
    {"override-tensor-draft", "-otd --spec-draft-override-tensor", PARAMETER_LIST,
     AT(draft.overrides), 0, 0},
    {"embedding", "--embeddings", PARAMETER_ON, AT(embedding), 0, 0},
    {"reranking", "--rerank", PARAMETER_ON, AT(reranking), 0, 0},
    {"no-mmproj", "--no-mmproj-auto", PARAMETER_OFF, AT(projector), 0, 0},
    {"image-max-tokens", NULL, PARAMETER_COUNT, AT(image_tokens), 0, 1 << 20},
    {"no-mmproj-offload", NULL, PARAMETER_OFF, AT(projector_offload), 0, 0},
    {"cache-type-k-draft", "-ctkd --spec-draft-type-k", PARAMETER_TEXT, AT(draft.type_k), 0, 0},
    {"cache-type-v-draft", "-ctvd --spec-draft-type-v", PARAMETER_TEXT, AT(draft.type_v), 0, 0},
    {"n-gpu-layers-draft", "-ngld --gpu-layers-draft --spec-draft-ngl", PARAMETER_TEXT,
     AT(draft.gpu_layers), 0, 0},
    {"cpu-moe-draft", "-cmoed --spec-draft-cpu-moe", PARAMETER_ON, AT(draft.cpu_moe), 0, 0},
    {"n-cpu-moe-draft", "-ncmoed --spec-draft-n-cpu-moe --spec-draft-ncmoe", PARAMETER_COUNT,
     AT(draft.cpu_moe_layers), 0, MODEL_SHAPE_LAYERS_MAX},
    {"spec-draft-n-ubatch", NULL, PARAMETER_COUNT, AT(draft.ubatch), 0, ESTIMATE_BATCH_MAX},
    {"cache-ram", "-cram", PARAMETER_COUNT, AT(cache_ram_mib), 0, 1 << 24},
    {0},
};

static const struct llama_type types[] = {
    {"f32", 1, 4},    {"f16", 1, 2},    {"bf16", 1, 2},   {"q8_0", 32, 34}, {"q4_0", 32, 18},
    {"q4_1", 32, 20}, {"q5_0", 32, 22}, {"q5_1", 32, 24}, {"iq4_nl", 32, 18},
};

const struct llama_type *llama_type_of(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_eq_nocase(name, str_of(types[i].name)))
            return &types[i];
    return NULL;
}

/* Where the number begins that counts builds, and what it is; 0: none was found. */
static uint64_t build_of(struct str version)
{
    const char *word = "build ";
    for (size_t i = 0; i + strlen(word) < version.len; i++)
        if (memcmp(version.ptr + i, word, strlen(word)) == 0)
            version = str_skip(version, i + strlen(word));
    if (version.len > 1 && (version.ptr[0] == 'b' || version.ptr[0] == 'B'))
        version = str_skip(version, 1);
    size_t digits = 0;
    while (digits < version.len && version.ptr[digits] >= '0' && version.ptr[digits] <= '9')
        digits++;
    uint64_t build = 0;
    const bool is_whole = digits == version.len || version.ptr[digits] != '.';
    if (!is_whole || digits == 0 || num_parse_u64(str_sub(version.ptr, digits), &build) < 0)
        return 0;
    return build;
}

/*
 * Builds count up; releases are "0.7.0" since 2026 and newer than all numbers below. Slots are
 * chosen automatically since b6900 (end of 2025). The other three came some time before b11669:
 * before b11000 the larger needs of older ones are assumed.
 */
struct llama_rules llama_rules_of(const char *version)
{
    const uint64_t build = build_of(str_of(version));
    const bool is_new = build == 0 || build >= 11000;
    return (struct llama_rules){.has_auto_parallel = build == 0 || build >= 6900,
                                .outputs_by_sequence = is_new,
                                .mask_is_half = is_new,
                                .mixes_inputs = is_new};
}

static bool is_one_of(struct str text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(text, str_of(words[i])))
            return true;
    return false;
}

bool llama_is_off(struct str text)
{
    static const char *const words[] = {"off", "0", "false", "disabled"};
    return is_one_of(text, words, ARRAY_LEN(words));
}

static int check_types(const struct llama_options *options, const struct model_shape *shape,
                       struct err *err)
{
    const struct str names[] = {options->type_k, options->type_v};
    for (int i = 0; i < 2; i++) {
        const struct llama_type *type = llama_type_of(names[i]);
        if (!type)
            return err_set(err, ERR_INVALID,
                           "--cache-type-%c must be one of f32, f16, bf16, q8_0, q4_0, q4_1, "
                           "iq4_nl, q5_0, q5_1, not \"%.*s\"",
                           "kv"[i], (int)min_u64(names[i].len, 80), names[i].ptr);
        for (uint32_t il = 0; il < shape->layer_count; il++) {
            const struct layer_shape *layer = &shape->layers[il];
            const uint32_t width = i ? layer->value_length : layer->key_length;
            if (width % type->elements != 0)
                return err_set(err, ERR_INVALID,
                               "--cache-type-%c %s takes %u values at a time, which doesn't divide "
                               "the %u of a head; f16 does",
                               "kv"[i], type->name, type->elements, width);
        }
    }
    if (llama_type_of(options->type_v)->elements > 1 &&
        llama_is_off(options->flash_attention))
        return err_set(err, ERR_INVALID,
                       "--cache-type-v %.*s needs flash attention, but --flash-attn is off; "
                       "f16 does without",
                       STR_ARGS(options->type_v));
    return 0;
}

static int check_words(const struct llama_options *options, struct err *err)
{
    static const char *const modes[] = {"none", "layer", "row", "tensor"};
    static const char *const attentions[] = {"on", "auto", "1", "-1", "true", "enabled"};
    if (!is_one_of(options->split_mode, modes, ARRAY_LEN(modes)))
        return err_set(err, ERR_INVALID,
                       "--split-mode must be one of none, layer, row, tensor, not \"%.*s\"",
                       (int)min_u64(options->split_mode.len, 80), options->split_mode.ptr);
    if (!llama_is_off(options->flash_attention) &&
        !is_one_of(options->flash_attention, attentions, ARRAY_LEN(attentions)))
        return err_set(err, ERR_INVALID, "--flash-attn must be one of on, off, auto, not \"%.*s\"",
                       (int)min_u64(options->flash_attention.len, 80),
                       options->flash_attention.ptr);
    if (options->parallel == 0)
        return err_set(err, ERR_INVALID, "--parallel must not be 0; 1 is the least, -1 lets the "
                                         "engine choose");
    return 0;
}

static void take_draft_options(struct llama_options *options)
{
    options->type_k = options->draft.type_k;
    options->type_v = options->draft.type_v;
    options->gpu_layers = options->draft.gpu_layers;
    options->overrides = options->draft.overrides;
    options->cpu_moe = options->draft.cpu_moe;
    options->cpu_moe_layers = options->draft.cpu_moe_layers;
    if (options->draft.ubatch)
        options->ubatch = options->draft.ubatch;
}

int llama_options_read(const struct estimate_request *request, bool is_draft,
                       struct llama_options *ret, struct err *err)
{
    *ret = (struct llama_options){.batch = 2048,
                                  .ubatch = 512,
                                  .parallel = -1,
                                  .type_k = STR("f16"),
                                  .type_v = STR("f16"),
                                  .flash_attention = STR("auto"),
                                  .gpu_layers = STR("auto"),
                                  .split_mode = STR("layer"),
                                  .load_mode = STR("auto"),
                                  .mmap = true,
                                  .kv_offload = true,
                                  .projector = true,
                                  .projector_offload = true,
                                  .draft = {.type_k = STR("f16"), .type_v = STR("f16"),
                                            .gpu_layers = STR("auto")}};
    int rc = parameters_read(table, request->argv, request->argc, ret, err);
    if (rc == 0 && is_draft)
        take_draft_options(ret);
    if (rc == 0)
        rc = check_words(ret, err);
    return rc < 0 ? rc : check_types(ret, request->shape, err);
}
