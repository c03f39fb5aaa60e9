/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/model_shape.h"

uint32_t model_shape_head_count(const struct model_shape *shape)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < shape->layer_count; i++)
        if (shape->layers[i].head_count > most)
            most = shape->layers[i].head_count;
    return most;
}

uint32_t model_shape_head_count_kv(const struct model_shape *shape)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < shape->layer_count; i++)
        if (shape->layers[i].head_count_kv > most)
            most = shape->layers[i].head_count_kv;
    return most;
}

uint64_t model_shape_feed_forward_length(const struct model_shape *shape)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < shape->layer_count; i++)
        if (shape->layers[i].feed_forward_length > most)
            most = shape->layers[i].feed_forward_length;
    return most;
}
