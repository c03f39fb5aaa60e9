/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf_model_priv.h"

#include "weights/json_view.h"

static bool ends_in_any(const char *word, const char *const *suffixes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_has_suffix(str_of(word), str_of(suffixes[i])))
            return true;
    return false;
}

#define ENDS_IN_ANY(word, ...)                                                                     \
    ends_in_any(word, (const char *const[]){__VA_ARGS__},                                          \
                ARRAY_LEN(((const char *const[]){__VA_ARGS__})))

static bool has_prefixed(const struct source *source, const char *prefix)
{
    for (size_t i = 0; i < source->file_count; i++)
        if (str_has_prefix(str_of(source->files[i].name), str_of(prefix)))
            return true;
    return false;
}

/* Files of speech models that have no config.json, or none that tells. */
static bool is_speech_folder(const struct source *source)
{
    return has_prefixed(source, "cosyvoice") || has_prefixed(source, "speakers_xtts") ||
           has_prefixed(source, "kokoro");
}

static bool is_tts(const struct hf_config *config, const struct source *source)
{
    struct str value;
    return (config->family.traits | hf_family_of(config->outer_type).traits) & HF_TTS ||
           ENDS_IN_ANY(config->architecture, "TTS", "TTSModel", "TextToSpeech") ||
           strcasestr(config->outer_type, "tts") || hf_config_find(config, "istftnet", &value) ||
           is_speech_folder(source);
}

/* Whisper, also as faster-whisper keeps it: no model type, but the heads that align words. */
static bool is_whisper(const struct hf_config *config)
{
    struct str value;
    return (config->family.traits | hf_family_of(config->outer_type).traits) & HF_WHISPER ||
           (!config->model_type[0] && hf_config_find(config, "alignment_heads", &value)) ||
           ENDS_IN_ANY(config->architecture, "ForCTC", "ForSpeechSeq2Seq");
}

static bool is_sentence_model(const struct source *source)
{
    return source_find(source, "modules.json") || has_prefixed(source, "1_Pooling/") ||
           source_find(source, "config_sentence_transformers.json");
}

enum model_kind hf_kind_of(const struct hf_config *config, const struct source *source)
{
    const char *architecture = config->architecture;
    if (is_whisper(config))
        return KIND_WHISPER;
    if (is_tts(config, source))
        return KIND_TTS;
    if (ENDS_IN_ANY(architecture, "ForSequenceClassification", "ForRanking", "ForReranking",
                    "Reranker", "CrossEncoder"))
        return KIND_RERANKER;
    const bool generates = ENDS_IN_ANY(architecture, "ForCausalLM", "ForConditionalGeneration",
                                       "LMHeadModel", "ChatModel", "ChatGLMModel");
    if (is_sentence_model(source) || strcasestr(architecture, "Embedding") ||
        config->family.traits & HF_ENCODER)
        return KIND_EMBEDDING;
    /* A bare model has no output; one of several parts (Qwen2_5OmniModel) is no such thing. */
    if (!generates && !config->is_nested && ENDS_IN_ANY(architecture, "Model") &&
        config->layer_count > 0)
        return KIND_EMBEDDING;
    return config->layer_count > 0 || generates ? KIND_LLM : KIND_UNKNOWN;
}
