/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes of a model's fields that are objects: caches, speculation, adapters, schedules. */
#include "domain/model_priv.h"
#include "domain/shape.h"

enum { LORAS_MAX = 64, RULES_MAX = 64, TOKENS_MAX = 1024, TEXT_MAX = 512 };

static const struct shape_member kv_cache[] = {
    {"enabled", .kind = SHAPE_BOOL},
    {"ram_ratio", .kind = SHAPE_NUMBER, .max = 100},
    {"ram_size", .kind = SHAPE_NUMBER, .max = 1 << 20},
    {"chunk_size", .kind = SHAPE_INT, .min = 1, .max = 1 << 20},
    {0},
};

static const char *const algorithms[] = {"eagle3", "mtp", "ngram", NULL};

static const struct shape_member speculation[] = {
    {"enabled", .kind = SHAPE_BOOL},
    {"algorithm", .kind = SHAPE_WORD, .words = algorithms},
    {"draft_model", .kind = SHAPE_TEXT, .max = TEXT_MAX},
    {"num_draft_tokens", .kind = SHAPE_INT, .min = 1, .max = TOKENS_MAX},
    {"ngram_min_match_length", .kind = SHAPE_INT, .min = 1, .max = TOKENS_MAX},
    {"ngram_max_match_length", .kind = SHAPE_INT, .min = 1, .max = TOKENS_MAX},
    {0},
};

static const char *const sources[] = {"huggingface", "model_scope", "local_path", NULL};

static const struct shape_member lora[] = {
    {"lora_name", .kind = SHAPE_TEXT, .is_required = true, .max = TEXT_MAX},
    {"source", .kind = SHAPE_WORD, .words = sources},
    {"huggingface_repo_id", .kind = SHAPE_TEXT, .max = TEXT_MAX},
    {"model_scope_model_id", .kind = SHAPE_TEXT, .max = TEXT_MAX},
    {"local_path", .kind = SHAPE_TEXT, .max = RECORD_STRING_MAX},
    {0},
};

static const struct shape_member rule[] = {
    {"name", .kind = SHAPE_TEXT, .max = TEXT_MAX},
    {"start_cron", .kind = SHAPE_TEXT, .is_required = true, .max = TEXT_MAX},
    {"duration_seconds", .kind = SHAPE_INT, .is_required = true, .min = 1, .max = INT32_MAX},
    {"replicas", .kind = SHAPE_INT, .is_required = true, .max = MODEL_REPLICAS_MAX},
    {0},
};

static const struct shape_member schedule[] = {
    {"enabled", .kind = SHAPE_BOOL},
    {"baseline_replicas", .kind = SHAPE_INT, .max = MODEL_REPLICAS_MAX},
    {"rules", .kind = SHAPE_LIST, .max = RULES_MAX, .inside = rule},
    {0},
};

void model_check_categories(const struct string_list *categories, struct faults *faults)
{
    static const char *const words[] = {"llm",            "embedding",      "image",  "reranker",
                                        "speech_to_text", "text_to_speech", "unknown"};
    for (size_t i = 0; i < categories->count; i++) {
        bool is_known = false;
        for (size_t k = 0; k < ARRAY_LEN(words); k++)
            is_known = is_known || strcmp(categories->items[i], words[k]) == 0;
        if (!is_known)
            faults_add(faults, "categories",
                       "must be of llm, embedding, image, reranker, speech_to_text, "
                       "text_to_speech, unknown, not \"%.48s\"",
                       categories->items[i]);
    }
}

void model_check_extras(const struct model *model, struct faults *faults)
{
    model_check_categories(&model->categories, faults);
    /* What isn't enforced yet must not look as if it were. */
    if (model->access_policy == MODEL_ACCESS_ALLOWED_PRINCIPALS)
        faults_add(faults, "access_policy",
                   "allowed_principals is not enforced by this version; give API keys "
                   "allowed_model_names instead");
    shape_check_object("extended_kv_cache", model->extended_kv_cache, kv_cache, faults);
    shape_check_object("speculative_config", model->speculative_config, speculation, faults);
    shape_check_object("scaling_schedule", model->scaling_schedule, schedule, faults);
    shape_check_list("lora_list", model->lora_list, lora, LORAS_MAX, faults);
}
