/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf_family_priv.h"

#include "base/mem.h"

/* Types whose published files leave numbers out; those of their configuration class count then. */
static const struct hf_family families[] = {
    /* type, traits, hidden, feed forward, layers, heads, kv heads, head, vocabulary, context,
     * window, period */
    {"llama", 0, 4096, 11008, 32, 32, 0, 0, 32000, 2048, 0, 0},
    {"mistral", 0, 4096, 14336, 32, 32, 8, 0, 32000, 131072, 0, 0},
    {"qwen2", HF_WINDOW_OPT_IN, 4096, 22016, 32, 32, 32, 0, 151936, 32768, 0, 0},
    {"qwen3", HF_WINDOW_OPT_IN, 4096, 22016, 32, 32, 32, 128, 151936, 32768, 0, 0},
    {"gemma", HF_TIED, 3072, 24576, 28, 16, 16, 256, 256000, 8192, 0, 0},
    {"gemma2", HF_TIED, 2304, 9216, 26, 8, 4, 256, 256000, 8192, 4096, 2},
    {"gemma3", HF_TIED | HF_CONTEXT_IS_FINAL, 2304, 9216, 26, 8, 4, 256, 262208, 131072, 4096, 6},
    {"gemma3n", HF_TIED | HF_CONTEXT_IS_FINAL, 2048, 16384, 35, 8, 2, 256, 262400, 32768, 512, 5},
    {"gemma4", HF_TIED | HF_CONTEXT_IS_FINAL, 0, 0, 0, 0, 0, 256, 0, 0, 0, 6},
    {"cohere2", HF_TIED, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4},
    {"gpt_oss", HF_CONTEXT_IS_FINAL, 0, 0, 0, 0, 0, 64, 0, 0, 128, 2},
    {"llama4", HF_SHARED_ALWAYS, 0, 0, 0, 0, 0, 128, 0, 0, 0, 4},
    {"exaone4", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4},
    {"gpt2", HF_PLAIN_MLP | HF_TIED, 768, 0, 12, 12, 0, 0, 50257, 1024, 0, 0},
    {"bert", HF_ENCODER | HF_PLAIN_MLP | HF_TIED, 768, 3072, 12, 12, 0, 0, 30522, 512, 0, 0},
    {"roberta", HF_ENCODER | HF_PLAIN_MLP | HF_TIED, 768, 3072, 12, 12, 0, 0, 50265, 512, 0, 0},
    {"xlm-roberta", HF_ENCODER | HF_PLAIN_MLP | HF_TIED, 768, 3072, 12, 12, 0, 0, 30522, 512, 0, 0},
    {"distilbert", HF_ENCODER | HF_PLAIN_MLP | HF_TIED, 768, 3072, 6, 12, 0, 0, 30522, 512, 0, 0},
    {"clip", HF_ENCODER | HF_PLAIN_MLP | HF_TIED, 512, 2048, 12, 8, 0, 0, 49408, 77, 0, 0},
    {"siglip", HF_ENCODER | HF_PLAIN_MLP | HF_TIED, 768, 3072, 12, 12, 0, 0, 32000, 64, 0, 0},
    {"t5", HF_PLAIN_MLP | HF_TIED, 512, 2048, 6, 8, 0, 64, 32128, 512, 0, 0},
    {"mt5", HF_TIED, 512, 1024, 8, 6, 0, 64, 250112, 0, 0, 0},
    {"whisper", HF_PLAIN_MLP | HF_TIED | HF_WHISPER, 384, 1536, 4, 6, 0, 0, 51865, 448, 0, 0},
};

/* Types with traits only. */
static const struct {
    const char *model_type;
    unsigned traits;
} traits[] = {
    /* decoders */
    {"qwen2_moe", HF_WINDOW_OPT_IN},
    {"qwen2_vl", HF_WINDOW_OPT_IN},
    {"qwen2_5_vl", HF_WINDOW_OPT_IN},
    {"qwen3_moe", HF_WINDOW_OPT_IN},
    {"cohere", HF_TIED},
    {"phi", HF_PLAIN_MLP},
    {"starcoder2", HF_PLAIN_MLP | HF_TIED},
    {"gpt_bigcode", HF_PLAIN_MLP | HF_TIED},
    {"gpt_neox", HF_PLAIN_MLP},
    {"gpt_neo", HF_PLAIN_MLP | HF_TIED},
    {"gptj", HF_PLAIN_MLP},
    {"codegen", HF_PLAIN_MLP},
    {"falcon", HF_PLAIN_MLP | HF_TIED},
    {"bloom", HF_PLAIN_MLP | HF_TIED},
    {"mpt", HF_PLAIN_MLP | HF_TIED},
    {"opt", HF_PLAIN_MLP | HF_TIED},
    {"nemotron", HF_PLAIN_MLP},
    {"longcat_flash", HF_TWICE},
    /* recurrent and hybrid */
    {"mamba", HF_ALL_STATE | HF_NO_MLP | HF_TIED},
    {"falcon_mamba", HF_ALL_STATE | HF_NO_MLP},
    {"mamba2", HF_ALL_STATE | HF_NO_MLP},
    {"rwkv", HF_ALL_STATE},
    {"rwkv5", HF_ALL_STATE},
    {"rwkv6", HF_ALL_STATE},
    {"rwkv7", HF_ALL_STATE},
    {"falcon_h1", HF_STATE_BESIDE},
    {"hymba", HF_STATE_BESIDE},
    {"nemotron_h", HF_PLAIN_MLP | HF_NO_MLP},
    {"qwen3_next", HF_GATED_QUERY},
    {"qwen3_5", HF_GATED_QUERY},
    {"qwen3_5_moe", HF_GATED_QUERY},
    /* encoders */
    {"camembert", HF_ENCODER | HF_PLAIN_MLP | HF_TIED},
    {"albert", HF_ENCODER | HF_PLAIN_MLP | HF_TIED},
    {"mpnet", HF_ENCODER | HF_PLAIN_MLP | HF_TIED},
    {"electra", HF_ENCODER | HF_PLAIN_MLP | HF_TIED},
    {"deberta", HF_ENCODER | HF_PLAIN_MLP | HF_TIED},
    {"deberta-v2", HF_ENCODER | HF_PLAIN_MLP | HF_TIED},
    {"modernbert", HF_ENCODER | HF_TIED},
    {"nomic_bert", HF_ENCODER | HF_TIED},
    {"new", HF_ENCODER | HF_TIED},
    {"clip_text_model", HF_ENCODER | HF_PLAIN_MLP | HF_TIED},
    /* encoder with decoder */
    {"bart", HF_PLAIN_MLP | HF_TIED},
    {"mbart", HF_PLAIN_MLP | HF_TIED},
    {"moonshine", HF_TIED | HF_WHISPER},
    /* speech */
    {"bark", HF_TTS | HF_PLAIN_MLP},
    {"dia", HF_TTS},
    {"csm", HF_TTS},
    {"vits", HF_TTS},
    {"speecht5", HF_TTS | HF_PLAIN_MLP},
    {"parler_tts", HF_TTS},
    {"voxcpm", HF_TTS},
    {"xtts", HF_TTS},
    {"qwen3_tts", HF_TTS},
};

static struct hf_family find(struct str type)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        if (str_eq(type, str_of(families[i].model_type)))
            return families[i];
    for (size_t i = 0; i < ARRAY_LEN(traits); i++)
        if (str_eq(type, str_of(traits[i].model_type)))
            return (struct hf_family){.model_type = traits[i].model_type,
                                      .traits = traits[i].traits};
    return (struct hf_family){0};
}

struct hf_family hf_family_of(const char *model_type)
{
    struct str type = str_of(model_type);
    const struct hf_family found = find(type);
    if (found.model_type || !str_has_suffix(type, STR("_text")))
        return found;
    type.len -= strlen("_text");
    return find(type);
}
