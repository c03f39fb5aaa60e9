/* SPDX-License-Identifier: Apache-2.0 */
/* Every shape that a reader's test has made must come out of its JSON as it went in. */
#pragma once

#include "weights/shape_json.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* A new member belongs into the tables of shape_json.c and into the comparison below. */
static_assert(sizeof(struct layer_shape) == 72, "members of layer_shape");
static_assert(sizeof(struct model_shape) == 848, "members of model_shape");

#define SAME(member)                                                                               \
    if (a->member != b->member)                                                                    \
        return #member;

static inline const char *layer_difference(const struct layer_shape *a, const struct layer_shape *b)
{
    SAME(cache) SAME(is_moe) SAME(has_two_caches) SAME(head_count) SAME(head_count_kv)
    SAME(key_length) SAME(value_length) SAME(indexer_length) SAME(window)
    SAME(state_conv) SAME(state_ssm)
    SAME(feed_forward_length) SAME(bytes) SAME(expert_bytes)
    return NULL;
}

static inline const char *flag_difference(const struct model_shape *a, const struct model_shape *b)
{
    SAME(format) SAME(kind) SAME(is_big_endian) SAME(is_split) SAME(has_unknown_types)
    SAME(is_tied) SAME(is_causal) SAME(has_chat_template) SAME(has_vision) SAME(has_audio)
    SAME(is_quantized_linear)
    if (strcmp(a->architecture, b->architecture) != 0 || strcmp(a->name, b->name) != 0 ||
        strcmp(a->quantization, b->quantization) != 0 || strcmp(a->dtype, b->dtype) != 0)
        return "a text";
    return NULL;
}

static inline const char *shape_difference(const struct model_shape *a, const struct model_shape *b)
{
    SAME(parameter_count) SAME(file_bytes) SAME(tensor_bytes) SAME(input_bytes) SAME(output_bytes)
    SAME(other_bytes) SAME(context_length) SAME(vocabulary_size) SAME(hidden_size)
    SAME(expert_count) SAME(expert_used_count) SAME(expert_shared_count) SAME(quantization_group)
    SAME(vision_head_count) SAME(vision_layer_count) SAME(vision_hidden_size)
    SAME(vision_tokens_max) SAME(vision_token_patches) SAME(q_lora_rank)
    SAME(kv_lora_rank) SAME(qk_rope_head_dim) SAME(qk_nope_head_dim) SAME(v_head_dim)
    SAME(encoder_length) SAME(layer_count) SAME(draft_layer_count)
    SAME(draft_bytes) SAME(encoder_layer_count) SAME(part_count)
    for (uint32_t i = 0; i < a->part_count; i++)
        if (strcmp(a->parts[i].name, b->parts[i].name) != 0 ||
            a->parts[i].bytes != b->parts[i].bytes)
            return "parts";
    const char *what = flag_difference(a, b);
    for (uint32_t i = 0; !what && i < a->layer_count; i++)
        what = layer_difference(&a->layers[i], &b->layers[i]);
    return what;
}

static inline void check_round_trip(const struct model_shape *shape)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    struct model_shape again = {0};
    struct err err = {0};
    model_shape_write(shape, &w);
    const int rc = model_shape_parse(buf_str(&text), &again, &err);
    const char *what = rc < 0 ? err.text : shape_difference(shape, &again);
    if (what)
        fprintf(stderr, "%s: %.2000s\n", what, text.ptr);
    assert(!what);
    model_shape_fini(&again);
    buf_fini(&text);
}
