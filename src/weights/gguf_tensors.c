/* SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"
#include "weights/gguf_priv.h"

enum { DESCRIPTION_BYTES = 96 }; /* of a tensor in most files; some more */

#define BYTES_MAX (UINT64_C(1) << 56)

enum place { PLACE_LAYER, PLACE_ENCODER, PLACE_INPUT, PLACE_OUTPUT, PLACE_OTHER };

/* A tensor's description. */
struct tensor {
    char name[GGUF_TENSOR_NAME_MAX + 1];
    uint64_t row, rows, weights;
    uint32_t type_id;
    uint64_t offset;
    enum place place;
    uint32_t layer; /* of PLACE_LAYER and PLACE_ENCODER */
    bool is_expert;
};

/* One pass over the tensors of a file. */
struct pass {
    struct reader *reader;
    struct gguf_tensors *sums;
    uint64_t mask;       /* alignment - 1 */
    uint64_t data_bytes; /* of the tensors so far, each padded */
    uint64_t data_end;   /* the same without the last one's padding */
    bool is_open;        /* the size of `last`, of a type that isn't known, is still to be found */
    struct tensor last;
};

/* ---- where a tensor belongs ---- */

/* Reads "N." behind a prefix; false when something else stands there. */
static bool take_index(struct str *name, struct str prefix, uint64_t *ret)
{
    if (!str_has_prefix(*name, prefix))
        return false;
    const struct str rest = str_skip(*name, prefix.len);
    const size_t dot = str_find(rest, '.');
    if (dot == rest.len || num_parse_u64(str_sub(rest.ptr, dot), ret) < 0)
        return false;
    *name = str_skip(rest, dot + 1);
    return true;
}

static bool begins_with_any(struct str name, const char *const *prefixes)
{
    for (; *prefixes; prefixes++)
        if (str_has_prefix(name, str_of(*prefixes)))
            return true;
    return false;
}

static enum place place_of_rest(struct str name)
{
    static const char *const inputs[] = {"token_embd", "token_types.", "position_embd.",
                                         "per_layer_token_embd.", NULL};
    static const char *const outputs[] = {
        "output.",          "output_norm",           "cls",                  "enc.output_norm.",
        "dec.output_norm.", "per_layer_model_proj.", "per_layer_proj_norm.", "altup_",
        NULL,
    };
    if (begins_with_any(name, inputs))
        return PLACE_INPUT;
    return begins_with_any(name, outputs) ? PLACE_OUTPUT : PLACE_OTHER;
}

/* Experts as engines tell them apart: "ffn_gate_exps", "ffn_up_chexps", or old "ffn_up.7". */
static bool is_expert(struct str name)
{
    static const char *const old_forms[] = {"ffn_gate.", "ffn_up.", "ffn_down.", NULL};
    if (str_has_prefix(name, STR("ffn_")) && memmem(name.ptr, name.len, "exps.", 5))
        return true;
    const struct str rest = str_skip(name, str_find(name, '.') + 1);
    return begins_with_any(name, old_forms) && rest.len && rest.ptr[0] >= '0' &&
           rest.ptr[0] <= '9';
}

static int find_place(struct pass *pass, struct tensor *tensor)
{
    struct str name = str_of(tensor->name);
    uint64_t layer = 0;
    if (take_index(&name, STR("blk."), &layer) || take_index(&name, STR("dec.blk."), &layer))
        tensor->place = PLACE_LAYER;
    else if (take_index(&name, STR("enc.blk."), &layer))
        tensor->place = PLACE_ENCODER;
    else
        tensor->place = place_of_rest(name);
    if (layer >= MODEL_SHAPE_LAYERS_MAX)
        return reader_fail(pass->reader, ERR_TOO_LARGE,
                           "has the tensor %.64s of layer %llu; at most %d layers are read",
                           gguf_printable(tensor->name), (unsigned long long)layer,
                           MODEL_SHAPE_LAYERS_MAX);
    tensor->layer = (uint32_t)layer;
    tensor->is_expert = tensor->place == PLACE_LAYER && is_expert(name);
    return 0;
}

/* ---- sums ---- */

/* What a tensor's name says about the model. */
static void note_name(struct gguf_tensors *sums, const struct tensor *tensor)
{
    static const char *const diffusion[] = {"model.diffusion_model.", "double_blocks.",
                                            "joint_blocks.", "first_stage_model.", NULL};
    const struct str name = str_of(tensor->name);
    sums->has_layer |= tensor->place == PLACE_LAYER;
    sums->has_encoder |= tensor->place == PLACE_ENCODER;
    sums->has_output |= str_has_prefix(name, STR("output."));
    sums->has_classifier |= str_has_prefix(name, STR("cls"));
    sums->has_diffusion |= begins_with_any(name, diffusion);
    if (str_eq(name, STR("token_embd.weight"))) {
        sums->has_input = true;
        sums->embedding_rows = tensor->rows;
    }
}

static uint64_t *sum_of(struct gguf_tensors *sums, const struct tensor *tensor)
{
    switch (tensor->place) {
    case PLACE_LAYER:
        return &sums->layer_bytes[tensor->layer];
    case PLACE_ENCODER:
        return &sums->encoder_bytes[tensor->layer];
    case PLACE_INPUT:
        return &sums->input_bytes;
    case PLACE_OUTPUT:
        return &sums->output_bytes;
    case PLACE_OTHER:
        break;
    }
    return &sums->other_bytes;
}

/* Adds a tensor of a size that is known now; no sum is above `bytes`, which is bounded. */
static int add_bytes(struct pass *pass, const struct tensor *tensor, uint64_t bytes)
{
    struct gguf_tensors *sums = pass->sums;
    if (bytes > BYTES_MAX || sums->bytes + bytes > BYTES_MAX)
        return reader_fail(pass->reader, ERR_TOO_LARGE, "has tensors of more than 2^56 bytes");
    sums->bytes += bytes;
    *sum_of(sums, tensor) += bytes;
    if (tensor->is_expert)
        sums->expert_bytes[tensor->layer] += bytes;
    if (tensor->type_id < GGUF_TENSOR_TYPE_END)
        sums->type_bytes[tensor->type_id] += bytes;
    return 0;
}

/* A tensor of a type that isn't known ends where the next one begins, or the file. */
static int close_last(struct pass *pass, uint64_t offset)
{
    if (!pass->is_open)
        return 0;
    pass->is_open = false;
    const int rc = add_bytes(pass, &pass->last, offset - pass->data_bytes);
    pass->data_bytes = pass->data_end = offset;
    return rc;
}

static int check_offset(struct pass *pass, struct tensor *tensor)
{
    const bool is_good = pass->is_open ? tensor->offset >= pass->data_bytes &&
                                             (tensor->offset & pass->mask) == 0
                                       : tensor->offset == pass->data_bytes;
    if (is_good)
        return close_last(pass, tensor->offset);
    return reader_fail(pass->reader, ERR_SYNTAX, "has the tensor %.64s at %llu instead of %llu",
                       gguf_printable(tensor->name), (unsigned long long)tensor->offset,
                       (unsigned long long)pass->data_bytes);
}

/* Tensors lie one behind the other, each padded to the alignment. */
static int add_known(struct pass *pass, const struct gguf_tensor_type *type)
{
    const struct tensor *tensor = &pass->last;
    uint64_t bytes, padded_end;
    if (tensor->row % type->elements)
        return reader_fail(pass->reader, ERR_SYNTAX,
                           "has the tensor %.64s with rows of %llu weights in blocks of %u",
                           gguf_printable(pass->last.name), (unsigned long long)tensor->row,
                           type->elements);
    if (__builtin_mul_overflow(tensor->weights / type->elements, (uint64_t)type->bytes, &bytes) ||
        __builtin_add_overflow(pass->data_bytes, bytes, &pass->data_end) ||
        __builtin_add_overflow(pass->data_end, pass->mask, &padded_end))
        return reader_fail(pass->reader, ERR_SYNTAX, "has tensors of more than 2^64 bytes");
    pass->data_bytes = padded_end & ~pass->mask;
    return add_bytes(pass, tensor, bytes);
}

static int add_tensor(struct pass *pass)
{
    const struct tensor *tensor = &pass->last;
    const struct gguf_tensor_type *type = gguf_tensor_type(tensor->type_id);
    if (!type && tensor->type_id < GGUF_TENSOR_TYPE_END)
        return reader_fail(pass->reader, ERR_INVALID,
                           "has the tensor %.64s of type %u, which was withdrawn: no engine "
                           "loads it",
                           gguf_printable(pass->last.name), tensor->type_id);
    if (__builtin_add_overflow(pass->sums->parameters, tensor->weights, &pass->sums->parameters) ||
        pass->sums->parameters > INT64_MAX)
        return reader_fail(pass->reader, ERR_SYNTAX, "has more than 2^63 weights");
    if (type)
        return add_known(pass, type);
    pass->is_open = true;
    pass->sums->has_unknown_types = true;
    return 0;
}

/* ---- reading ---- */

/* Number of weights: the product of the dimensions, which must fit into an int64. */
static int read_dimensions(struct pass *pass, struct tensor *tensor)
{
    struct reader *reader = pass->reader;
    const uint32_t count = reader_u32(reader);
    if (!reader->failure && count > GGUF_DIMS_MAX)
        return reader_fail(reader, ERR_SYNTAX, "has the tensor %.64s of %u dimensions, at most %d",
                           gguf_printable(tensor->name), count, GGUF_DIMS_MAX);
    tensor->row = tensor->rows = tensor->weights = 1;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t dimension = reader_u64(reader);
        if (i == 0)
            tensor->row = dimension;
        if (i == 1)
            tensor->rows = dimension;
        if (dimension > INT64_MAX ||
            __builtin_mul_overflow(tensor->weights, dimension, &tensor->weights) ||
            tensor->weights >= INT64_MAX)
            return reader_fail(reader, ERR_SYNTAX,
                               "has the tensor %.64s of more than 2^63 weights",
                               gguf_printable(tensor->name));
    }
    return reader->failure;
}

static int read_name(struct pass *pass, struct tensor *tensor)
{
    struct reader *reader = pass->reader;
    const uint64_t length = reader_u64(reader);
    if (!reader->failure && (length == 0 || length > GGUF_TENSOR_NAME_MAX))
        return reader_fail(reader, length ? ERR_TOO_LARGE : ERR_SYNTAX,
                           "has a tensor name of %llu bytes, 1 to %d are read",
                           (unsigned long long)length, GGUF_TENSOR_NAME_MAX);
    if (reader->failure)
        return reader->failure;
    reader_get(reader, tensor->name, (size_t)length);
    tensor->name[length] = '\0';
    if (!reader->failure && !name_set_add(&pass->sums->names, str_sub(tensor->name, length)))
        return reader_fail(reader, ERR_SYNTAX, "has the tensor %.64s twice",
                           gguf_printable(tensor->name));
    return reader->failure;
}

static int read_tensor(struct pass *pass)
{
    struct tensor next = {0};
    int rc = read_name(pass, &next);
    if (rc == 0)
        rc = read_dimensions(pass, &next);
    next.type_id = reader_u32(pass->reader);
    next.offset = reader_u64(pass->reader);
    if (rc == 0)
        rc = pass->reader->failure;
    if (rc == 0)
        rc = find_place(pass, &next);
    if (rc == 0)
        rc = check_offset(pass, &next);
    if (rc < 0)
        return rc;
    pass->last = next;
    note_name(pass->sums, &pass->last);
    return add_tensor(pass);
}

/* What the tensors need must be there. */
static int check_data(struct pass *pass)
{
    const struct reader *reader = pass->reader;
    const uint64_t bytes = reader->file->bytes;
    const uint64_t start = (reader->position + pass->mask) & ~pass->mask;
    const uint64_t left = bytes > start ? bytes - start : 0;
    if (pass->data_end > left || (pass->is_open && pass->data_bytes > left))
        return reader_fail(pass->reader, ERR_SYNTAX,
                           "has %llu bytes of tensor data instead of %llu; it was cut off",
                           (unsigned long long)left, (unsigned long long)pass->data_end);
    return close_last(pass, left);
}

int gguf_tensors_read(struct gguf_tensors *tensors, struct reader *reader, uint64_t count,
                      uint64_t alignment)
{
    struct pass pass = {.reader = reader, .sums = tensors, .mask = alignment - 1};
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        reader->expected = (count - i) * DESCRIPTION_BYTES;
        rc = read_tensor(&pass);
    }
    if (rc == 0)
        rc = check_data(&pass);
    if (rc == 0)
        tensors->count += count;
    return rc;
}
