/* SPDX-License-Identifier: Apache-2.0 */
/* A shape as JSON: any bytes give one within its bounds, which stays the same when it is written
 * and read again, or an error that says something. */
#include "fuzz.h"

#include "weights/shape_json.h"

#include <assert.h>

static void check_bounds(const struct model_shape *shape)
{
    assert(shape->format < FORMAT_COUNT && shape->kind < MODEL_KIND_COUNT);
    assert(shape->layer_count <= MODEL_SHAPE_LAYERS_MAX);
    assert(shape->part_count <= MODEL_SHAPE_PARTS_MAX);
    assert(shape->hidden_size <= MODEL_SHAPE_DIM_MAX);
    assert(memchr(shape->name, 0, sizeof shape->name));
    uint64_t sum = shape->input_bytes + shape->output_bytes + shape->other_bytes;
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        assert(shape->layers[i].cache < LAYER_CACHE_COUNT);
        assert(shape->layers[i].expert_bytes <= shape->layers[i].bytes);
        sum += shape->layers[i].bytes;
    }
    assert(sum <= UINT64_C(1) << 57);
    assert(model_shape_kv_bytes_per_token(shape, 16, 16) < UINT64_C(1) << 56);
}

static void write_into(const struct model_shape *shape, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    model_shape_write(shape, &w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    auto_fini(model_shape_fini) struct model_shape shape = {0}, again = {0};
    if (model_shape_parse(str_sub((const char *)data, size), &shape, &err) < 0) {
        assert(err.text[0] && err.code < 0 && !shape.layers);
        return 0;
    }
    check_bounds(&shape);
    auto_fini(buf_fini) struct buf text = {0}, twice = {0};
    write_into(&shape, &text);
    assert(text.len <= SHAPE_JSON_MAX);
    assert(model_shape_parse(buf_str(&text), &again, &err) == 0);
    write_into(&again, &twice);
    assert(str_eq(buf_str(&text), buf_str(&twice)));
    return 0;
}
