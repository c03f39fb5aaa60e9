/* SPDX-License-Identifier: Apache-2.0 */
/* Workers with devices and models of which it is known what they need, for tests of placement. */
#pragma once

#include "cluster_fixture.h"
#include "control/placing.h"

#define GIB (UINT64_C(1) << 30)

enum { CARDS = 8 };

/* Any model's files are those of the shape with its name's first letter: "b1" is of shapes['b']. */
static struct model_shape shapes_by_letter[128];
static char shape_key[2];
static enum known known_to_all = KNOWN_SHAPE; /* of those that have a shape */

static void source_of(const struct model *model, struct need_source *ret, void *ctx)
{
    unsigned letter = (unsigned char)model->name[0];
    shape_key[0] = (char)letter;
    *ret = (struct need_source){.known = letter < 128 && shapes_by_letter[letter].layers
                                             ? known_to_all
                                             : KNOWN_NOT,
                                .key = shape_key,
                                .shape = &shapes_by_letter[letter & 127]};
}

/* A dense model of so many layers, in 16 bits, as Qwen3 has them: 128 a head, 8 of keys. */
static void add_shape(char letter, uint32_t layers, uint64_t hidden, uint32_t heads,
                      uint64_t feed_forward)
{
    struct model_shape *shape = &shapes_by_letter[(unsigned char)letter];
    const uint64_t vocabulary = 151936, of_heads = (uint64_t)heads * 128;
    const uint64_t of_layer = 2 * hidden * (2 * of_heads + 2 * 8 * 128 + 3 * feed_forward);
    *shape = (struct model_shape){.format = FORMAT_SAFETENSORS,
                                  .kind = KIND_LLM,
                                  .is_causal = true,
                                  .architecture = "Qwen3ForCausalLM",
                                  .quantization = "BF16",
                                  .dtype = "bfloat16",
                                  .hidden_size = hidden,
                                  .vocabulary_size = vocabulary,
                                  .context_length = 40960,
                                  .input_bytes = 2 * hidden * vocabulary,
                                  .output_bytes = 2 * hidden * vocabulary,
                                  .layer_count = layers};
    shape->layers = mem_alloc_array(layers, sizeof *shape->layers);
    for (uint32_t i = 0; i < layers; i++)
        shape->layers[i] = (struct layer_shape){.cache = CACHE_FULL,
                                                .head_count = heads,
                                                .head_count_kv = 8,
                                                .key_length = 128,
                                                .value_length = 128,
                                                .feed_forward_length = feed_forward,
                                                .bytes = of_layer};
    shape->tensor_bytes = shape->input_bytes + shape->output_bytes + layers * of_layer;
    shape->file_bytes = shape->tensor_bytes;
    shape->parameter_count = shape->tensor_bytes / 2;
}

/* A worker with eight 910B4 in one island. */
static int64_t add_node(const char *name, const char *rack)
{
    struct worker fresh = {0};
    record_init(&worker_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.worker_uuid, name);
    mem_replace(&fresh.ip, "10.0.0.1");
    string_map_set(&fresh.labels, "rack", rack);
    fresh.memory_total = 256LL << 30;
    fresh.state = WORKER_READY;
    fresh.devices = mem_alloc_array(CARDS, sizeof *fresh.devices);
    fresh.device_count = CARDS;
    for (int i = 0; i < CARDS; i++) {
        fresh.devices[i] = (struct worker_device){.index = i,
                                                  .type = mem_strdup("npu"),
                                                  .name = mem_strdup("910B4"),
                                                  .vendor = mem_strdup("Huawei"),
                                                  .link = mem_strdup("hccs"),
                                                  .total_bytes = 32 * GIB,
                                                  .is_healthy = true};
        int_list_add(&fresh.device_indexes, i);
        string_list_add(&fresh.device_types, "npu");
    }
    return record_id(cluster_put(&cluster, KIND_WORKER, &fresh, 1));
}

/* A model of the shape of its first letter, for vLLM. */
static struct model *add_known(const char *name, int64_t replicas, const char *parameter)
{
    struct model fresh = {0};
    record_init(&model_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.local_path, "/models/x");
    mem_replace(&fresh.backend, "vllm");
    fresh.source = MODEL_LOCAL_PATH;
    fresh.replicas = replicas;
    fresh.generation = 1;
    fresh.placement_strategy = PLACEMENT_AUTO;
    fresh.distributed_inference_across_workers = true;
    if (parameter)
        string_list_add(&fresh.backend_parameters, parameter);
    return cluster_put(&cluster, KIND_MODEL, &fresh, 1);
}

/* All that have a place run. */
static void run_all(void)
{
    for (size_t i = 0; i < instance_count(); i++) {
        struct model_instance copy = {0};
        record_copy(&model_instance_type, &copy, instance_at(i));
        copy.state = copy.worker_id ? INSTANCE_RUNNING : copy.state;
        cluster_put(&cluster, KIND_INSTANCE, &copy, 1);
    }
}

static int set_up_placing(void **state)
{
    set_up(state);
    add_shape('s', 28, 1024, 16, 3072);  /* Qwen3-0.6B */
    add_shape('m', 36, 4096, 32, 12288); /* Qwen3-8B */
    add_shape('l', 64, 5120, 64, 25600); /* Qwen3-32B */
    add_shape('x', 80, 8192, 64, 29568); /* as large as Qwen2.5-72B */
    env.needs = needs_new(NULL);
    env.source_of = source_of;
    env.reserved_vram_bytes = GIB;
    return 0;
}

static int tear_down_placing(void **state)
{
    needs_free(env.needs);
    env.needs = NULL;
    for (size_t i = 0; i < ARRAY_LEN(shapes_by_letter); i++)
        model_shape_fini(&shapes_by_letter[i]);
    return tear_down(state);
}
