/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config.json of a model, with and without files beside it: any bytes give a shape within the
 * limits of model_shape.h, of which the parts add up, or an error.
 */
#include "fuzz.h"
#include "weights/hf.h"

#include <assert.h>

struct fuzz_source {
    struct source base;
    const uint8_t *data;
    size_t size;
};

static int read_fuzz(struct source *source, const struct source_file *file, uint64_t offset,
                     size_t n, struct buf *out, struct err *err)
{
    const struct fuzz_source *from = CONTAINER_OF(source, struct fuzz_source, base);
    (void)err;
    if (file != source->files || offset >= from->size)
        return 0;
    const size_t left = from->size - (size_t)offset;
    buf_add(out, from->data + offset, n < left ? n : left);
    return 0;
}

static void check_layer(const struct layer_shape *layer)
{
    assert(layer->cache < LAYER_CACHE_COUNT && layer->window <= MODEL_SHAPE_DIM_MAX);
    assert(layer->feed_forward_length <= MODEL_SHAPE_DIM_MAX);
    assert(layer->state_conv <= 1ull << 56 && layer->state_ssm <= 1ull << 56);
    assert(layer->expert_bytes <= layer->bytes);
}

static void check(const struct model_shape *shape)
{
    uint64_t sum = shape->input_bytes + shape->output_bytes + shape->other_bytes +
                   shape->draft_bytes;
    assert(shape->layer_count <= MODEL_SHAPE_LAYERS_MAX && shape->kind < MODEL_KIND_COUNT);
    assert(shape->expert_count <= MODEL_SHAPE_EXPERTS_MAX);
    assert(shape->expert_used_count <= MODEL_SHAPE_EXPERTS_MAX);
    assert(shape->context_length <= MODEL_SHAPE_DIM_MAX);
    assert(shape->hidden_size <= MODEL_SHAPE_DIM_MAX);
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        check_layer(&shape->layers[i]);
        sum += shape->layers[i].bytes;
    }
    assert(shape->tensor_bytes <= 1ull << 56 && sum == shape->tensor_bytes);
    assert(model_shape_kv_bytes_per_token(shape, 16, 16) < 1ull << 56);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct source_ops ops = {read_fuzz, NULL};
    char config[] = "config.json", weights[] = "pytorch_model.bin";
    struct source_file files[] = {{.name = config, .bytes = size},
                                  {.name = weights, .bytes = 1000000}};
    for (size_t count = 1; count <= 2; count++) {
        struct fuzz_source source = {
            {.ops = &ops, .files = files, .file_count = count}, data, size};
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        struct err err = {0};
        if (hf_read(&source.base, &shape, &err) < 0)
            assert(err.code < 0 && err.text[0]);
        else
            check(&shape);
    }
    return 0;
}
