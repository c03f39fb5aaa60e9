/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_model OUT.gguf "A sentence of words" [--endless]
 *
 * Writes a small but real model file that an engine loads and that answers everything with one
 * sentence: GGUF version 3, architecture llama, one layer, F32, about 1.4 MB. Tests and the demo
 * need a model that is there without a download and whose answer is known.
 *
 * How it speaks: attention and feed-forward add nothing (their last matrices are zero), so what
 * reaches the output matrix is the embedding of the last token, a random unit vector. The output
 * row of the token that shall follow is a multiple of that vector; all other rows are zero, and
 * random vectors of 256 dimensions are nearly orthogonal. The chain is newline (the chat template
 * ends in one) -> first word -> ... -> last word -> end, or back to the first word with --endless.
 */
#include "base/buf.h"
#include "base/file.h"
#include "weights/gguf_types.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum {
    DIMS = 256,
    HEADS = 4,
    HEADS_KV = 1, /* 256 bytes of cache for a token */
    FEED_FORWARD = 64,
    CONTEXT = 4096,
    CONTEXT_ENDLESS = 131072, /* minutes of tokens */
    WORDS_MAX = 1000,
    TOKEN_UNKNOWN = 0, /* the SPM vocabulary's usual first three */
    TOKEN_BEGIN = 1,
    TOKEN_END = 2,
    TOKEN_BYTE_0 = 3, /* byte B is token 3 + B */
    TOKEN_WORD_0 = TOKEN_BYTE_0 + 256,
    TOKEN_NEWLINE = TOKEN_BYTE_0 + '\n',
};

/* tokenizer.ggml.token_type */
enum { TYPE_NORMAL = 1, TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_BYTE = 6 };

/* How much more a successor weighs than any other token; see output_of(). */
static const float CERTAINTY = 4;

static const char CHAT_TEMPLATE[] =
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}"
    "{% endfor %}";

struct words {
    struct str item[WORDS_MAX];
    size_t count;
};

struct model {
    struct words words;
    bool endless;
    uint32_t vocabulary;  /* tokens */
    float *embedding;     /* vocabulary x DIMS; owned */
    float *output;        /* vocabulary x DIMS; owned */
    struct buf header;
    uint64_t n_keys;
    struct buf tensor_infos;
    uint64_t n_tensors;
    struct buf data;
};

/* --- the file format ----------------------------------------------------------------------- */

static void put_u32(struct buf *out, uint32_t value)
{
    const unsigned char bytes[4] = {value, value >> 8, value >> 16, value >> 24};
    buf_add(out, bytes, sizeof bytes);
}

static void put_u64(struct buf *out, uint64_t value)
{
    put_u32(out, (uint32_t)value);
    put_u32(out, (uint32_t)(value >> 32));
}

static void put_f32(struct buf *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u32(out, bits);
}

static void put_string(struct buf *out, struct str s)
{
    put_u64(out, s.len);
    buf_add_str(out, s);
}

static struct buf *put_key(struct model *model, const char *key, enum gguf_value_type type)
{
    put_string(&model->header, str_of(key));
    put_u32(&model->header, type);
    model->n_keys++;
    return &model->header;
}

static void put_key_string(struct model *model, const char *key, const char *value)
{
    put_string(put_key(model, key, GGUF_STRING), str_of(value));
}

static void put_key_u32(struct model *model, const char *key, uint32_t value)
{
    put_u32(put_key(model, key, GGUF_UINT32), value);
}

static void put_key_bool(struct model *model, const char *key, bool value)
{
    buf_add_char(put_key(model, key, GGUF_BOOL), value ? 1 : 0);
}

static struct buf *put_key_array(struct model *model, const char *key, enum gguf_value_type type,
                                 uint64_t count)
{
    struct buf *out = put_key(model, key, GGUF_ARRAY);
    put_u32(out, type);
    put_u64(out, count);
    return out;
}

/* Adds a tensor of `rows` rows of `columns` values; 0 rows: a vector. NULL values: zeros. */
static void put_tensor(struct model *model, const char *name, uint64_t columns, uint64_t rows,
                       const float *values)
{
    struct buf *info = &model->tensor_infos;
    put_string(info, str_of(name));
    put_u32(info, rows ? 2 : 1);
    put_u64(info, columns);
    if (rows)
        put_u64(info, rows);
    put_u32(info, GGUF_TENSOR_F32);
    put_u64(info, model->data.len);
    model->n_tensors++;
    const uint64_t count = columns * (rows ? rows : 1);
    for (uint64_t i = 0; i < count; i++)
        put_f32(&model->data, values ? values[i] : 0);
    while (model->data.len % GGUF_ALIGNMENT_DEFAULT)
        buf_add_char(&model->data, 0);
}

/* --- the vocabulary ------------------------------------------------------------------------ */

/* SPM writes the space before a word as U+2581 inside of its token; an answer begins without. */
static void put_word_token(struct model *model, size_t i, struct buf *out)
{
    const bool has_space = i > 0 || model->endless;
    auto_free char *text = mem_printf("%s%.*s", has_space ? "\xe2\x96\x81" : "",
                                      STR_ARGS(model->words.item[i]));
    put_string(out, str_of(text));
}

static void put_tokens(struct model *model)
{
    struct buf *out = put_key_array(model, "tokenizer.ggml.tokens", GGUF_STRING, model->vocabulary);
    put_string(out, STR("<unk>"));
    put_string(out, STR("<s>"));
    put_string(out, STR("</s>"));
    for (unsigned byte = 0; byte < 256; byte++) {
        auto_free char *text = mem_printf("<0x%02X>", byte);
        put_string(out, str_of(text));
    }
    for (size_t i = 0; i < model->words.count; i++)
        put_word_token(model, i, out);
}

static uint32_t token_type(uint32_t token)
{
    if (token == TOKEN_UNKNOWN)
        return TYPE_UNKNOWN;
    if (token == TOKEN_BEGIN || token == TOKEN_END)
        return TYPE_CONTROL;
    return token < TOKEN_WORD_0 ? TYPE_BYTE : TYPE_NORMAL;
}

static void put_vocabulary(struct model *model)
{
    put_key_string(model, "tokenizer.ggml.model", "llama");
    put_key_string(model, "tokenizer.ggml.pre", "default");
    put_tokens(model);
    struct buf *out = put_key_array(model, "tokenizer.ggml.scores", GGUF_FLOAT32,
                                    model->vocabulary);
    for (uint32_t token = 0; token < model->vocabulary; token++)
        put_f32(out, token < TOKEN_WORD_0 ? 0 : -1);
    out = put_key_array(model, "tokenizer.ggml.token_type", GGUF_INT32, model->vocabulary);
    for (uint32_t token = 0; token < model->vocabulary; token++)
        put_u32(out, token_type(token));
    put_key_u32(model, "tokenizer.ggml.unknown_token_id", TOKEN_UNKNOWN);
    put_key_u32(model, "tokenizer.ggml.bos_token_id", TOKEN_BEGIN);
    put_key_u32(model, "tokenizer.ggml.eos_token_id", TOKEN_END);
    put_key_bool(model, "tokenizer.ggml.add_bos_token", true);
    put_key_bool(model, "tokenizer.ggml.add_eos_token", false);
    put_key_bool(model, "tokenizer.ggml.add_space_prefix", false);
    put_key_string(model, "tokenizer.chat_template", CHAT_TEMPLATE);
}

static void put_header(struct model *model)
{
    put_key_string(model, "general.architecture", "llama");
    put_key_string(model, "general.type", "model");
    put_key_string(model, "general.name", "gpustack demo model");
    put_key_string(model, "general.license", "apache-2.0");
    put_key_u32(model, "general.file_type", 0);
    put_key_u32(model, "llama.context_length",
                model->endless ? CONTEXT_ENDLESS : CONTEXT);
    put_key_u32(model, "llama.embedding_length", DIMS);
    put_key_u32(model, "llama.block_count", 1);
    put_key_u32(model, "llama.feed_forward_length", FEED_FORWARD);
    put_key_u32(model, "llama.attention.head_count", HEADS);
    put_key_u32(model, "llama.attention.head_count_kv", HEADS_KV);
    put_key_u32(model, "llama.rope.dimension_count", DIMS / HEADS);
    put_f32(put_key(model, "llama.attention.layer_norm_rms_epsilon", GGUF_FLOAT32), 1e-5f);
    put_key_u32(model, "llama.vocab_size", model->vocabulary);
    put_vocabulary(model);
}

/* --- the weights --------------------------------------------------------------------------- */

/* SplitMix64: the same file every time, from one seed. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* A vector of length 1 in a direction that is nearly orthogonal to all others. */
static void fill_unit_vector(float *vector, uint64_t *state)
{
    double sum = 0;
    for (int i = 0; i < DIMS; i++) {
        vector[i] = (float)((double)(next_random(state) >> 11) / 0x1p53 - 0.5);
        sum += (double)vector[i] * (double)vector[i];
    }
    for (int i = 0; i < DIMS; i++)
        vector[i] = (float)((double)vector[i] / sqrt(sum));
}

/* Makes `next` the successor of `token`. The final norm scales the embedding to length 16. */
static void set_successor(struct model *model, uint32_t token, uint32_t next)
{
    for (int i = 0; i < DIMS; i++)
        model->output[next * DIMS + i] += CERTAINTY * model->embedding[token * DIMS + i];
}

static void fill_weights(struct model *model)
{
    uint64_t state = 20260101;
    model->embedding = mem_alloc_array((size_t)model->vocabulary * DIMS, sizeof(float));
    model->output = mem_alloc_array((size_t)model->vocabulary * DIMS, sizeof(float));
    for (uint32_t token = 0; token < model->vocabulary; token++)
        fill_unit_vector(model->embedding + token * DIMS, &state);
    const uint32_t last = model->vocabulary - 1;
    set_successor(model, TOKEN_NEWLINE, TOKEN_WORD_0);
    for (uint32_t token = TOKEN_WORD_0; token < last; token++)
        set_successor(model, token, token + 1);
    set_successor(model, last, model->endless ? TOKEN_WORD_0 : TOKEN_END);
}

static void put_tensors(struct model *model)
{
    float ones[DIMS];
    for (int i = 0; i < DIMS; i++)
        ones[i] = 1;
    put_tensor(model, "token_embd.weight", DIMS, model->vocabulary, model->embedding);
    put_tensor(model, "blk.0.attn_norm.weight", DIMS, 0, ones);
    put_tensor(model, "blk.0.attn_q.weight", DIMS, DIMS, NULL);
    put_tensor(model, "blk.0.attn_k.weight", DIMS, DIMS / HEADS * HEADS_KV, NULL);
    put_tensor(model, "blk.0.attn_v.weight", DIMS, DIMS / HEADS * HEADS_KV, NULL);
    put_tensor(model, "blk.0.attn_output.weight", DIMS, DIMS, NULL);
    put_tensor(model, "blk.0.ffn_norm.weight", DIMS, 0, ones);
    put_tensor(model, "blk.0.ffn_gate.weight", DIMS, FEED_FORWARD, NULL);
    put_tensor(model, "blk.0.ffn_up.weight", DIMS, FEED_FORWARD, NULL);
    put_tensor(model, "blk.0.ffn_down.weight", FEED_FORWARD, DIMS, NULL);
    put_tensor(model, "output_norm.weight", DIMS, 0, ones);
    put_tensor(model, "output.weight", DIMS, model->vocabulary, model->output);
}

/* --- the program --------------------------------------------------------------------------- */

static bool has_word(const struct words *words, struct str word)
{
    for (size_t i = 0; i < words->count; i++)
        if (str_eq(words->item[i], word))
            return true;
    return false;
}

/* Splits at spaces. A word that stands twice would need two successors and is refused. */
static int split_sentence(struct str sentence, struct words *words, struct err *err)
{
    struct str word;
    while (str_split(&sentence, ' ', &word)) {
        if (word.len == 0)
            continue;
        if (has_word(words, word))
            return err_set(err, ERR_INVALID, "the word %.*s stands twice", STR_ARGS(word));
        if (words->count == WORDS_MAX)
            return err_set(err, ERR_TOO_LARGE, "more than %d words", WORDS_MAX);
        words->item[words->count++] = word;
    }
    return words->count > 0 ? 0 : err_set(err, ERR_INVALID, "a sentence of no words");
}

static int write_model(struct model *model, const char *path, struct err *err)
{
    auto_fini(buf_fini) struct buf file = {0};
    put_u32(&file, GGUF_MAGIC);
    put_u32(&file, GGUF_VERSION_MAX);
    put_u64(&file, model->n_tensors);
    put_u64(&file, model->n_keys);
    buf_add_str(&file, buf_str(&model->header));
    buf_add_str(&file, buf_str(&model->tensor_infos));
    while (file.len % GGUF_ALIGNMENT_DEFAULT)
        buf_add_char(&file, 0);
    buf_add_str(&file, buf_str(&model->data));
    return file_write(path, buf_str(&file), 0644, err);
}

static void model_fini(struct model *model)
{
    free(model->embedding);
    free(model->output);
    buf_fini(&model->header);
    buf_fini(&model->tensor_infos);
    buf_fini(&model->data);
}

static int make_model(struct model *model, const char *path, const char *sentence,
                      struct err *err)
{
    const int rc = split_sentence(str_of(sentence), &model->words, err);
    if (rc < 0)
        return rc;
    model->vocabulary = TOKEN_WORD_0 + (uint32_t)model->words.count;
    fill_weights(model);
    put_header(model);
    put_tensors(model);
    return write_model(model, path, err);
}

int main(int argc, char **argv)
{
    auto_fini(model_fini) struct model model = {0};
    model.endless = argc == 4 && strcmp(argv[3], "--endless") == 0;
    if (argc != (model.endless ? 4 : 3)) {
        fprintf(stderr, "usage: make_model OUT.gguf \"Sentence of words\" [--endless]\n");
        return 2;
    }
    struct err err = {0};
    if (make_model(&model, argv[1], argv[2], &err) < 0) {
        fprintf(stderr, "make_model: %s\n", err.text);
        return 1;
    }
    return 0;
}
