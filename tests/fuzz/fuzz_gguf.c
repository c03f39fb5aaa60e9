/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model file's header: any bytes give a shape or an error, in bounded time and memory. The input
 * is one file, or with "SPLT" and a length in front two parts of a split model.
 */
#include "weights/weights.h"

#include "../lib/weights/memory_source.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_shape(const struct model_shape *shape, size_t size)
{
    uint64_t layer_bytes = shape->draft_bytes;
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        assert(shape->layers[i].cache < LAYER_CACHE_COUNT);
        assert(shape->layers[i].expert_bytes <= shape->layers[i].bytes);
        layer_bytes += shape->layers[i].bytes;
    }
    assert(memchr(shape->architecture, 0, sizeof shape->architecture));
    assert(memchr(shape->name, 0, sizeof shape->name));
    assert(shape->tensor_bytes <= size && shape->file_bytes <= size);
    assert(shape->tensor_bytes == layer_bytes + shape->input_bytes + shape->output_bytes +
                                      shape->other_bytes);
    assert(shape->kind < MODEL_KIND_COUNT && shape->layer_count <= MODEL_SHAPE_LAYERS_MAX);
    (void)model_shape_kv_bytes_per_token(shape, 16, 16);
}

static void add_files(struct memory_source *memory, struct str input)
{
    const size_t first = input.len > 6 ? (unsigned char)input.ptr[4] << 8 | input.ptr[5] : 0;
    if (!str_has_prefix(input, STR("SPLT")) || first > input.len - 6) {
        memory_source_add(memory, "model.gguf", input);
        return;
    }
    input = str_skip(input, 6);
    memory_source_add(memory, "m-00001-of-00002.gguf", str_sub(input.ptr, first));
    memory_source_add(memory, "m-00002-of-00002.gguf", str_skip(input, first));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory_source memory;
    struct model_shape shape = {0};
    struct err err = {0};
    memory_source_init(&memory);
    add_files(&memory, str_sub((const char *)data, size));
    if (weights_read(&memory.base, "", &shape, &err) < 0)
        assert(err.text[0] != '\0' && err.code < 0 && !shape.layers);
    else
        check_shape(&shape, size);
    model_shape_fini(&shape);
    memory_source_fini(&memory);
    return 0;
}
