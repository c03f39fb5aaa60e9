/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a spec is made of. Its config.json goes through the reader of hubs, so that both say the
 * same; of a GGUF file the same layers are written in the file's types.
 */
#include "catalog/catalog.h"
#include "weights/hf.h"

#include <stdio.h>

/* ---- files that there aren't ---- */

/* The files of a repository by name and size; of config.json there is the content, too. */
struct stated {
    struct source source;
    struct buf config;
};

static const char config_name[] = "config.json";

static int read_stated(struct source *source, const struct source_file *file, uint64_t offset,
                       size_t n, struct buf *out, struct err *err)
{
    const struct stated *stated = CONTAINER_OF(source, struct stated, source);
    (void)err;
    if (strcmp(file->name, config_name) != 0 || offset >= stated->config.len)
        return 0;
    const size_t left = stated->config.len - (size_t)offset;
    buf_add(out, stated->config.ptr + offset, n < left ? n : left);
    return 0;
}

static void free_stated(struct source *source)
{
    struct stated *stated = CONTAINER_OF(source, struct stated, source);
    buf_fini(&stated->config);
    free(stated);
}

static void add_file(struct source *source, const char *name, uint64_t bytes)
{
    source->files[source->file_count++] =
        (struct source_file){.name = mem_strdup(name), .bytes = bytes};
}

/* In the order of names. Weights are two files: of one, the reader would want the header. */
static struct source *open_stated(const json_t *shape, uint64_t bytes)
{
    static const struct source_ops ops = {read_stated, free_stated};
    struct stated *stated = mem_alloc(sizeof *stated);
    struct source *source = &stated->source;
    struct json_writer w = json_writer_into(&stated->config);
    json_add_tree(&w, json_object_get(shape, "config"));
    source->ops = &ops;
    source->files = mem_alloc_array(4, sizeof *source->files);
    add_file(source, config_name, stated->config.len);
    if (bytes) {
        add_file(source, "model-00001-of-00002.safetensors", bytes / 2);
        add_file(source, "model-00002-of-00002.safetensors", bytes - bytes / 2);
    }
    if (json_is_true(json_object_get(shape, "is_sentence_model")))
        add_file(source, "modules.json", 0);
    return source;
}

/* ---- GGUF ---- */

/* Bits a weight of matrices that aren't a layer's, by the label of the file. */
static const struct {
    const char *precision;
    double input, output;
} types[] = {
    {"Q4_K_M", 4.5, 6.5625}, /* Q4_K; Q6_K, which a tied embedding is in, too */
    {"Q8_0", 8.5, 8.5},
    {"MXFP4", 8.5, 8.5},     /* only the experts are in 4 bits */
};

static uint64_t scaled(uint64_t bytes, double factor)
{
    return (uint64_t)((double)bytes * factor);
}

/* Writes input and output in the file's types. */
static void set_outer(struct model_shape *shape, const char *precision, double bits)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (strcmp(types[i].precision, precision) != 0)
            continue;
        const double input = shape->is_tied ? types[i].output : types[i].input;
        shape->input_bytes = scaled(shape->input_bytes, input / bits);
        shape->output_bytes = scaled(shape->output_bytes, types[i].output / bits);
    }
}

/* The rest of the file is the layers', each as large as it is among them; `before` bytes so far. */
static void set_layers(struct model_shape *shape, uint64_t rest, uint64_t before)
{
    const double factor = before ? (double)rest / (double)before : 0;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        struct layer_shape *layer = &shape->layers[i];
        layer->bytes = scaled(layer->bytes, factor);
        layer->expert_bytes = scaled(layer->expert_bytes, factor);
        sum += layer->bytes;
    }
    shape->other_bytes = rest - sum;
}

static int to_gguf(const json_t *json, const char *precision, struct model_shape *shape,
                   struct err *err)
{
    const uint64_t bytes = (uint64_t)json_member_int(json, "bytes", 0);
    const uint64_t outer = shape->input_bytes + shape->output_bytes;
    const uint64_t layers = shape->tensor_bytes - outer;
    const double bits =
        8.0 * (double)shape->tensor_bytes / (double)(shape->parameter_count + !shape->tensor_bytes);
    set_outer(shape, precision, bits);
    if (shape->input_bytes + shape->output_bytes >= bytes)
        return err_set(err, ERR_INVALID, "a file of %llu bytes has no room for the vocabulary",
                       (unsigned long long)bytes);
    set_layers(shape, bytes - shape->input_bytes - shape->output_bytes, layers);
    shape->format = FORMAT_GGUF;
    shape->tensor_bytes = shape->file_bytes = bytes;
    shape->dtype[0] = '\0';
    shape->is_quantized_linear = false;
    snprintf(shape->architecture, sizeof shape->architecture, "%s",
             json_member_string(json, "gguf_architecture"));
    snprintf(shape->quantization, sizeof shape->quantization, "%s", precision);
    return 0;
}

int catalog_shape(const struct catalog_spec *spec, struct model_shape *ret, struct err *err)
{
    const bool is_gguf = json_member_string(spec->shape, "gguf_architecture") != NULL;
    const int64_t bytes = is_gguf ? 0 : json_member_int(spec->shape, "bytes", 0);
    struct source *source = open_stated(spec->shape, (uint64_t)bytes);
    int rc = hf_read(source, ret, err);
    source_free(source);
    if (rc == 0 && is_gguf)
        rc = to_gguf(spec->shape, spec->precision, ret, err);
    if (rc < 0)
        model_shape_fini(ret);
    return rc;
}
