/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where each tensor of a layer lies: with its layer, unless --cpu-moe or --override-tensor move it.
 *
 * What a file said of single tensors is added up by the time that an estimate is made, so a layer's
 * bytes are dealt out to tensors with llama.cpp's names by the sizes of matrices.
 */
#include "estimate/llama_cpp_priv.h"

#include "base/num.h"

#include <ctype.h>
#include <regex.h>

enum {
    PATTERN_SIZE = 512,     /* of one, translated */
    PATTERN_TIMES_MAX = 64, /* "{64}", and at most once: what it grows to is kept in memory */
    NAME_SIZE = 64,
};

/* Endings of names behind "blk.N."; of dense layers, and where others have another one. */
static const char *const names[LLAMA_TENSOR_COUNT] = {
    "attn_norm", "attn_q",   "attn_k",   "attn_v",        "attn_output",   "ffn_norm",
    "ffn_gate",  "ffn_up",   "ffn_down", "ffn_gate_exps", "ffn_up_exps",   "ffn_down_exps"};
static const char *const latent_names[] = {"attn_norm", "attn_q_b", "attn_kv_a_mqa", "attn_v_b"};
static const char *const state_names[] = {"attn_norm", "ssm_in", "ssm_x", "ssm_dt", "ssm_out"};
static const char *const shared_names[] = {"ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"};

static const char *name_of(const struct layer_shape *layer, unsigned tensor)
{
    if (layer->cache == CACHE_LATENT && tensor < ARRAY_LEN(latent_names))
        return latent_names[tensor];
    if (layer->cache == CACHE_STATE && tensor < ARRAY_LEN(state_names))
        return state_names[tensor];
    if (layer->is_moe && tensor >= LLAMA_FFN_GATE && tensor <= LLAMA_FFN_DOWN)
        return shared_names[tensor - LLAMA_FFN_GATE];
    return names[tensor];
}

/* Those of queries are under one name, as those from the latent vector are. */
static double latent_elements_of(const struct model_shape *shape, const struct layer_shape *layer,
                                 unsigned tensor)
{
    double elements[LATENT_MATRIX_COUNT];
    estimate_latent_elements(shape, layer, elements);
    switch (tensor) {
    case LLAMA_ATTN_Q:
        return elements[LATENT_QUERIES_DOWN] + elements[LATENT_QUERIES_UP];
    case LLAMA_ATTN_K:
        return elements[LATENT_KEYS_DOWN];
    case LLAMA_ATTN_V:
        return elements[LATENT_KEYS_UP];
    }
    return elements[LATENT_OUTPUT];
}

/* Elements of a matrix as a weight for its part of the layer; experts have bytes of their own. */
static double elements_of(const struct model_shape *shape, const struct layer_shape *layer,
                          unsigned tensor)
{
    const double hidden = (double)max_u64(shape->hidden_size, 1);
    const double heads = layer->head_count, kv = layer->head_count_kv;
    const double value = layer->value_length ? layer->value_length : layer->key_length;
    const double shared = layer->is_moe ? (double)shape->expert_shared_count : 1;
    if (layer->cache == CACHE_LATENT && tensor >= LLAMA_ATTN_Q && tensor <= LLAMA_ATTN_OUTPUT)
        return latent_elements_of(shape, layer, tensor);
    switch ((enum llama_tensor)tensor) {
    case LLAMA_ATTN_NORM:
    case LLAMA_FFN_NORM:
        return 2; /* of 4 bytes an element, where others have 2: next to nothing */
    case LLAMA_ATTN_Q:
        return hidden * max_u64((uint64_t)(heads * layer->key_length), layer->state_conv);
    case LLAMA_ATTN_K:
        return hidden * kv * layer->key_length;
    case LLAMA_ATTN_V:
        return hidden * kv * value;
    case LLAMA_ATTN_OUTPUT:
        return hidden * max_u64((uint64_t)(heads * value), layer->state_conv / 3);
    case LLAMA_FFN_GATE:
    case LLAMA_FFN_UP:
    case LLAMA_FFN_DOWN:
        return hidden * (double)layer->feed_forward_length * shared;
    case LLAMA_GATE_EXPS:
    case LLAMA_UP_EXPS:
    case LLAMA_DOWN_EXPS:
    case LLAMA_TENSOR_COUNT:
        break;
    }
    return 0;
}

void llama_layer_tensors(const struct model_shape *shape, uint32_t il,
                         uint64_t bytes[LLAMA_TENSOR_COUNT])
{
    const struct layer_shape *layer = &shape->layers[il];
    const uint64_t dense = layer->bytes - layer->expert_bytes;
    double sum = 0;
    for (unsigned i = 0; i < LLAMA_GATE_EXPS; i++)
        sum += elements_of(shape, layer, i);
    uint64_t dealt = 0;
    for (unsigned i = LLAMA_ATTN_Q; i < LLAMA_GATE_EXPS; i++) {
        const double part = elements_of(shape, layer, i) / sum;
        bytes[i] = min_u64((uint64_t)((double)dense * part), dense - dealt);
        dealt += bytes[i];
    }
    bytes[LLAMA_ATTN_NORM] = dense - dealt;
    bytes[LLAMA_GATE_EXPS] = bytes[LLAMA_UP_EXPS] = layer->expert_bytes / 3;
    bytes[LLAMA_DOWN_EXPS] = layer->expert_bytes - 2 * (layer->expert_bytes / 3);
}

/* --- buffers by name ------------------------------------------------------------------------ */

/* The n-th device that is another worker's, or isn't. */
static int nth_device(const struct estimate_request *request, bool is_remote, uint64_t n)
{
    for (size_t i = 0; i < request->device_count; i++)
        if (request->devices[i].is_remote == is_remote && n-- == 0)
            return (int)i;
    return ESTIMATE_HOST;
}

int llama_device_of(const struct estimate_request *request, struct str name)
{
    size_t letters = 0, end;
    uint64_t index = 0;
    while (letters < name.len && isalpha((unsigned char)name.ptr[letters]))
        letters++;
    for (end = letters; end < name.len && isdigit((unsigned char)name.ptr[end]);)
        end++;
    const bool has_end = end == name.len || name.ptr[end] == '[';
    const bool has_number = end > letters;
    if (letters == 0 || !has_end ||
        (has_number && num_parse_u64(str_sub(name.ptr + letters, end - letters), &index) < 0))
        return ESTIMATE_HOST;
    return nth_device(request, str_has_prefix(name, STR("RPC")), index);
}

/* A device's name, "CPU", "CUDA_Host". */
static int read_buffer(const struct llama_plan *plan, struct str name, int *ret, struct err *err)
{
    char text[NAME_SIZE];
    snprintf(text, sizeof text, "%.*s", (int)min_u64(name.len, sizeof text - 1), name.ptr);
    *ret = ESTIMATE_HOST;
    if (strncmp(text, "CPU", 3) == 0 || strstr(text, "_Host"))
        return 0;
    *ret = llama_device_of(plan->request, name);
    if (*ret != ESTIMATE_HOST)
        return 0;
    return err_set(err, ERR_INVALID,
                   "--override-tensor: there is no buffer type \"%s\"; CPU is one, and with a "
                   "number from 0 those of the %zu device%s",
                   text, plan->request->device_count,
                   plan->request->device_count == 1 ? "" : "s");
}

/* --- patterns --------------------------------------------------------------------------------- */

/* The number behind a brace; 0 without one, more than any allowed for one that is too long. */
static uint64_t times_of(struct str text)
{
    size_t digits = 0;
    uint64_t times = 0;
    while (digits < text.len && isdigit((unsigned char)text.ptr[digits]))
        digits++;
    if (digits > 0 && num_parse_u64(str_sub(text.ptr, digits), &times) < 0)
        return UINT64_MAX;
    return times;
}

/* Whether a repetition by number, or a reference back, would make it cost too much. */
static bool is_costly(struct str pattern)
{
    unsigned braces = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.ptr[i] == '\\' && i + 1 < pattern.len) {
            if (isdigit((unsigned char)pattern.ptr[++i]))
                return true;
        } else if (pattern.ptr[i] == '{') {
            if (++braces > 1 || times_of(str_skip(pattern, i + 1)) > PATTERN_TIMES_MAX)
                return true;
        }
    }
    return false;
}

/* From ECMAScript's to POSIX's: "\d" and groups that aren't captured. */
static void translate(struct str from, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < from.len; i++) {
        const bool has_next = i + 1 < from.len;
        if (from.ptr[i] == '\\' && has_next && from.ptr[i + 1] == 'd') {
            memcpy(to + n, "[0-9]", 5);
            n += 5;
            i++;
        } else if (from.ptr[i] == '\\' && has_next) {
            to[n++] = from.ptr[i++];
            to[n++] = from.ptr[i];
        } else {
            to[n++] = from.ptr[i];
            if (from.ptr[i] == '(' && i + 2 < from.len && memcmp(from.ptr + i + 1, "?:", 2) == 0)
                i += 2;
        }
    }
    to[n] = '\0';
}

static int compile(struct str pattern, regex_t *ret, struct err *err)
{
    char text[PATTERN_SIZE];
    if (pattern.len * 3 < sizeof text && !is_costly(pattern)) { /* "\d" is the one that grows */
        translate(pattern, text);
        if (regcomp(ret, text, REG_EXTENDED | REG_NOSUB) == 0)
            return 0;
    }
    return err_set(err, ERR_INVALID,
                   "--override-tensor: \"%.*s\" must be a regular expression of at most %d "
                   "characters, without references and with at most one {n} up to %d",
                   (int)min_u64(pattern.len, 80), pattern.ptr, PATTERN_SIZE / 3,
                   PATTERN_TIMES_MAX);
}

/* --- places ----------------------------------------------------------------------------------- */

/* The first pattern that a name matches counts. */
static void move_matching(struct llama_plan *plan, const regex_t *pattern, int place)
{
    const struct model_shape *shape = plan->shape;
    char name[NAME_SIZE];
    for (uint32_t il = 0; il < shape->layer_count; il++) {
        for (unsigned i = 0; i < LLAMA_TENSOR_COUNT; i++) {
            struct llama_place *tensor = &plan->tensors[il][i];
            snprintf(name, sizeof name, "blk.%u.%s.weight", il, name_of(&shape->layers[il], i));
            if (!tensor->is_moved && regexec(pattern, name, 0, NULL, 0) == 0)
                *tensor = (struct llama_place){(int8_t)place, true};
        }
    }
    if (!plan->embedding.is_moved && regexec(pattern, "token_embd.weight", 0, NULL, 0) == 0)
        plan->embedding = (struct llama_place){(int8_t)place, true};
    if (!plan->output.is_moved && regexec(pattern, "output.weight", 0, NULL, 0) == 0)
        plan->output = (struct llama_place){(int8_t)place, true};
}

static int apply_override(struct llama_plan *plan, struct str item, struct err *err)
{
    const size_t equals = str_find(item, '=');
    int place;
    regex_t pattern;
    if (equals >= item.len)
        return err_set(err, ERR_INVALID,
                       "--override-tensor must be PATTERN=BUFFER,..., as \"exps=CPU\", not "
                       "\"%.*s\"",
                       (int)min_u64(item.len, 80), item.ptr);
    int rc = read_buffer(plan, str_skip(item, equals + 1), &place, err);
    if (rc == 0)
        rc = compile(str_sub(item.ptr, equals), &pattern, err);
    if (rc < 0)
        return rc;
    move_matching(plan, &pattern, place);
    regfree(&pattern);
    return 0;
}

static void place_by_layers(struct llama_plan *plan)
{
    const struct llama_options *options = &plan->options;
    for (uint32_t il = 0; il < plan->shape->layer_count; il++) {
        const bool is_kept = options->cpu_moe || il < options->cpu_moe_layers;
        const int8_t own = (int8_t)plan->layer_device[il];
        for (unsigned i = 0; i < LLAMA_TENSOR_COUNT; i++)
            plan->tensors[il][i].device = i >= LLAMA_GATE_EXPS && is_kept ? ESTIMATE_HOST : own;
    }
    plan->embedding.device = ESTIMATE_HOST;
    plan->output.device = (int8_t)plan->layer_device[plan->shape->layer_count];
}

int llama_place_tensors(struct llama_plan *plan, struct err *err)
{
    const struct parameter_list *overrides = &plan->options.overrides;
    int rc = 0;
    place_by_layers(plan);
    for (size_t i = 0; rc == 0 && i < overrides->count; i++) {
        struct str rest = overrides->items[i], item;
        while (rc == 0 && str_split(&rest, ',', &item))
            rc = apply_override(plan, item, err);
    }
    return rc;
}
