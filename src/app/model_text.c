/* SPDX-License-Identifier: Apache-2.0 */
#include "app/model_text.h"

#include "app/text_table.h"
#include "base/num.h"

#include <stdio.h>

enum { CACHE_BITS = 16 }; /* of a cache's elements, unless engines are told otherwise */

/* ---- groups of equal layers ---- */

static bool are_equal(const struct layer_shape *a, const struct layer_shape *b)
{
    return a->cache == b->cache && a->is_moe == b->is_moe && a->head_count == b->head_count &&
           a->head_count_kv == b->head_count_kv && a->key_length == b->key_length &&
           a->value_length == b->value_length && a->indexer_length == b->indexer_length &&
           a->window == b->window && a->state_conv == b->state_conv &&
           a->state_ssm == b->state_ssm && a->feed_forward_length == b->feed_forward_length &&
           a->bytes == b->bytes && a->expert_bytes == b->expert_bytes;
}

static bool is_first_of_group(const struct model_shape *shape, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (are_equal(&shape->layers[i], &shape->layers[index]))
            return false;
    return true;
}

/* "0-4,6-10": all layers that equal this one. Returns owned; `*ret_count` is how many. */
static char *layers_like(const struct model_shape *shape, uint32_t index, uint32_t *ret_count)
{
    struct buf out = {0};
    *ret_count = 0;
    for (uint32_t i = index; i < shape->layer_count; i++) {
        const uint32_t first = i;
        while (i < shape->layer_count && are_equal(&shape->layers[i], &shape->layers[index]))
            i++;
        if (i == first)
            continue;
        *ret_count += i - first;
        buf_printf(&out, out.len ? ",%u" : "%u", first);
        if (i - first > 1)
            buf_printf(&out, "-%u", i - 1);
    }
    return buf_take(&out);
}

/* ---- for people ---- */

static void add_row(struct text_table *table, const char *name, char *value)
{
    text_table_row(table, name, value, NULL);
    free(value);
}

static void add_number(struct text_table *table, const char *name, uint64_t value)
{
    if (value)
        add_row(table, name, mem_printf("%llu", (unsigned long long)value));
}

static void add_bytes(struct text_table *table, const char *name, uint64_t bytes)
{
    if (bytes)
        add_row(table, name, num_format_bytes(bytes));
}

/* "30.5 billion". */
static char *format_parameters(uint64_t count)
{
    if (count >= 1000000000)
        return mem_printf("%.2f billion", (double)count / 1e9);
    if (count >= 1000000)
        return mem_printf("%.1f million", (double)count / 1e6);
    return mem_printf("%llu", (unsigned long long)count);
}

static char *format_kind(const struct model_shape *shape)
{
    return mem_printf("%s%s%s%s", model_kind_name((enum model_kind)shape->kind),
                      shape->has_vision ? ", images" : "", shape->has_audio ? ", sound" : "",
                      shape->is_big_endian ? ", big-endian: no engine here runs it" : "");
}

static char *format_experts(const struct model_shape *shape)
{
    return mem_printf("%llu, %llu used for a token", (unsigned long long)shape->expert_count,
                      (unsigned long long)shape->expert_used_count);
}

static void print_summary(const struct model_shape *shape)
{
    struct text_table table = {0};
    text_table_head(&table, (const char *const[]){"MODEL", *shape->name ? shape->name : "-", NULL});
    add_row(&table, "architecture", mem_strdup(*shape->architecture ? shape->architecture : "-"));
    add_row(&table, "format", mem_strdup(model_format_name((enum model_format)shape->format)));
    add_row(&table, "kind", format_kind(shape));
    add_row(&table, "parameters", format_parameters(shape->parameter_count));
    add_row(&table, "quantization", mem_strdup(*shape->quantization ? shape->quantization : "-"));
    add_number(&table, "context", shape->context_length);
    add_number(&table, "vocabulary", shape->vocabulary_size);
    add_number(&table, "hidden size", shape->hidden_size);
    if (shape->expert_count)
        add_row(&table, "experts", format_experts(shape));
    add_bytes(&table, shape->is_split ? "files (split)" : "files", shape->file_bytes);
    add_bytes(&table, "tensors", shape->tensor_bytes);
    add_bytes(&table, "input", shape->input_bytes);
    add_bytes(&table, shape->is_tied ? "output (tied)" : "output", shape->output_bytes);
    add_bytes(&table, "draft layers", shape->draft_bytes);
    add_bytes(&table, "other", shape->other_bytes);
    for (uint32_t i = 0; i < shape->part_count; i++)
        add_bytes(&table, shape->parts[i].name, shape->parts[i].bytes);
    const uint64_t kv = model_shape_kv_bytes_per_token(shape, CACHE_BITS, CACHE_BITS);
    if (kv)
        add_row(&table, "cache", mem_printf("%llu bytes a token (%d bits)",
                                            (unsigned long long)kv, CACHE_BITS));
    text_table_print(&table);
}

static char *format_cache(const struct layer_shape *layer)
{
    const char *name = layer_cache_name((enum layer_cache)layer->cache);
    if (layer->window)
        return mem_printf("%s %llu", name, (unsigned long long)layer->window);
    if (layer->state_conv || layer->state_ssm)
        return mem_printf("%s %llu+%llu", name, (unsigned long long)layer->state_conv,
                          (unsigned long long)layer->state_ssm);
    return mem_strdup(name);
}

static void add_layers(struct text_table *table, const struct model_shape *shape, uint32_t index)
{
    const struct layer_shape *layer = &shape->layers[index];
    uint32_t count;
    auto_free char *layers = layers_like(shape, index, &count);
    auto_free char *cache = format_cache(layer);
    auto_free char *heads = mem_printf("%u/%u", layer->head_count, layer->head_count_kv);
    auto_free char *lengths = mem_printf("%u/%u", layer->key_length, layer->value_length);
    auto_free char *width =
        mem_printf("%llu", (unsigned long long)layer->feed_forward_length);
    auto_free char *bytes = num_format_bytes(layer->bytes);
    auto_free char *experts = layer->is_moe ? num_format_bytes(layer->expert_bytes)
                                            : mem_strdup("-");
    text_table_row(table, layers, cache, heads, lengths, width, bytes, experts, NULL);
}

void model_text_print(const struct model_shape *shape)
{
    print_summary(shape);
    if (shape->layer_count == 0)
        return;
    struct text_table table = {0};
    text_table_head(&table, (const char *const[]){"LAYERS", "CACHE", "HEADS/KV", "KEY/VALUE",
                                                  "FFN", "EACH", "EXPERTS", NULL});
    for (uint32_t i = 0; i < shape->layer_count; i++)
        if (is_first_of_group(shape, i))
            add_layers(&table, shape, i);
    putchar('\n');
    text_table_print(&table);
}

/* ---- JSON ---- */

static void put_number(struct json_writer *w, const char *key, uint64_t value)
{
    json_put_int(w, key, (int64_t)value); /* limits of model_shape.h: always below 2^63 */
}

static void write_layers(const struct model_shape *shape, uint32_t index, struct json_writer *w)
{
    const struct layer_shape *layer = &shape->layers[index];
    uint32_t count;
    auto_free char *layers = layers_like(shape, index, &count);
    json_begin_object(w);
    json_put_string(w, "layers", layers);
    put_number(w, "count", count);
    json_put_string(w, "cache", layer_cache_name((enum layer_cache)layer->cache));
    put_number(w, "window", layer->window);
    put_number(w, "head_count", layer->head_count);
    put_number(w, "head_count_kv", layer->head_count_kv);
    put_number(w, "key_length", layer->key_length);
    put_number(w, "value_length", layer->value_length);
    put_number(w, "indexer_length", layer->indexer_length);
    put_number(w, "state_conv", layer->state_conv);
    put_number(w, "state_ssm", layer->state_ssm);
    json_put_bool(w, "is_moe", layer->is_moe);
    put_number(w, "feed_forward_length", layer->feed_forward_length);
    put_number(w, "bytes", layer->bytes);
    put_number(w, "expert_bytes", layer->expert_bytes);
    json_end_object(w);
}

static void write_numbers(const struct model_shape *shape, struct json_writer *w)
{
    put_number(w, "parameter_count", shape->parameter_count);
    put_number(w, "context_length", shape->context_length);
    put_number(w, "vocabulary_size", shape->vocabulary_size);
    put_number(w, "hidden_size", shape->hidden_size);
    put_number(w, "expert_count", shape->expert_count);
    put_number(w, "expert_used_count", shape->expert_used_count);
    put_number(w, "expert_shared_count", shape->expert_shared_count);
    put_number(w, "q_lora_rank", shape->q_lora_rank);
    put_number(w, "kv_lora_rank", shape->kv_lora_rank);
    put_number(w, "qk_rope_head_dim", shape->qk_rope_head_dim);
    put_number(w, "qk_nope_head_dim", shape->qk_nope_head_dim);
    put_number(w, "v_head_dim", shape->v_head_dim);
    put_number(w, "file_bytes", shape->file_bytes);
    put_number(w, "tensor_bytes", shape->tensor_bytes);
    put_number(w, "input_bytes", shape->input_bytes);
    put_number(w, "output_bytes", shape->output_bytes);
    put_number(w, "other_bytes", shape->other_bytes);
    put_number(w, "draft_bytes", shape->draft_bytes);
    put_number(w, "layer_count", shape->layer_count);
    put_number(w, "draft_layer_count", shape->draft_layer_count);
    put_number(w, "encoder_layer_count", shape->encoder_layer_count);
    put_number(w, "kv_bytes_per_token",
               model_shape_kv_bytes_per_token(shape, CACHE_BITS, CACHE_BITS));
}

static void write_flags(const struct model_shape *shape, struct json_writer *w)
{
    json_put_bool(w, "is_big_endian", shape->is_big_endian);
    json_put_bool(w, "is_split", shape->is_split);
    json_put_bool(w, "is_tied", shape->is_tied);
    json_put_bool(w, "is_causal", shape->is_causal);
    json_put_bool(w, "has_unknown_types", shape->has_unknown_types);
    json_put_bool(w, "has_chat_template", shape->has_chat_template);
    json_put_bool(w, "has_vision", shape->has_vision);
    json_put_bool(w, "has_audio", shape->has_audio);
}

void model_text_write(const struct model_shape *shape, struct json_writer *w)
{
    json_put_string(w, "name", shape->name);
    json_put_string(w, "architecture", shape->architecture);
    json_put_string(w, "format", model_format_name((enum model_format)shape->format));
    json_put_string(w, "kind", model_kind_name((enum model_kind)shape->kind));
    json_put_string(w, "quantization", shape->quantization);
    json_put_string(w, "dtype", shape->dtype);
    write_flags(shape, w);
    write_numbers(shape, w);
    json_add_key(w, "parts");
    json_begin_array(w);
    for (uint32_t i = 0; i < shape->part_count; i++) {
        json_begin_object(w);
        json_put_string(w, "name", shape->parts[i].name);
        put_number(w, "bytes", shape->parts[i].bytes);
        json_end_object(w);
    }
    json_end_array(w);
    json_add_key(w, "layers");
    json_begin_array(w);
    for (uint32_t i = 0; i < shape->layer_count; i++)
        if (is_first_of_group(shape, i))
            write_layers(shape, i, w);
    json_end_array(w);
}
