/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's parameters for an engine, one a line, against a small model: the first byte says which
 * engine, the second how many devices; its upper half, how many workers profiles are made for.
 * Nothing may overflow or be larger than can be.
 */
#include "fuzz.h"

#include "estimate/profiles.h"

#include <assert.h>

enum { ARGS_MAX = 64, LAYERS = 6 };

static size_t split_lines(char *text, const char **argv)
{
    size_t argc = 0;
    for (char *line = text; line && argc < ARGS_MAX;) {
        char *end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        argv[argc++] = line;
        line = end;
    }
    return argc;
}

static void make_layers(struct layer_shape *layers)
{
    static const enum layer_cache kinds[LAYERS] = {
        CACHE_FULL, CACHE_WINDOW, CACHE_STATE, CACHE_LATENT, CACHE_CHUNK, CACHE_FULL_AND_STATE};
    for (int i = 0; i < LAYERS; i++)
        layers[i] = (struct layer_shape){.cache = (uint8_t)kinds[i], .is_moe = i % 2,
                                         .head_count = 8,
                                         .head_count_kv = kinds[i] == CACHE_LATENT ? 1 : 2,
                                         .key_length = 128, .value_length = 64, .window = 512,
                                         .state_conv = 6144, .state_ssm = 65536,
                                         .feed_forward_length = 1024, .bytes = 1 << 24,
                                         .expert_bytes = i % 2 ? 1 << 23 : 0};
}

/* Each profile uses all of its devices. */
static void make_profiles(const struct estimate_request *request, unsigned nodes)
{
    static struct estimate_profile profiles[ESTIMATE_PROFILES_MAX];
    const struct estimate_limits limits = {.device = request->devices[0], .devices_per_node = 2,
                                           .nodes = nodes, .may_offload_partly = true,
                                           .may_use_processor = true};
    struct err err = {0};
    const int count = estimate_profiles(request, &limits, profiles, &err);
    assert(count > 0 ? count <= ESTIMATE_PROFILES_MAX : err.text[0] != '\0');
    for (int i = 0; i < count; i++)
        for (unsigned d = 0; d < profiles[i].nodes * profiles[i].devices_per_node; d++)
            assert(profiles[i].rank_bytes[d] > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    auto_free char *text = mem_strndup((const char *)data + 2, size - 2);
    const char *argv[ARGS_MAX];
    struct layer_shape layers[LAYERS];
    make_layers(layers);
    const struct model_shape shape = {.format = FORMAT_GGUF, .kind = KIND_LLM, .is_causal = true,
                                      .dtype = "bfloat16", .layers = layers, .layer_count = LAYERS,
                                      .hidden_size = 512, .vocabulary_size = 32000,
                                      .context_length = 32768, .expert_count = 8,
                                      .expert_used_count = 2, .tensor_bytes = 1 << 27};
    struct estimate_device devices[8];
    for (int i = 0; i < 8; i++)
        devices[i] = (struct estimate_device){.total_bytes = (uint64_t)(8 + i) << 30};
    const struct estimate_request request = {
        .shape = &shape, .engine = (enum estimate_engine)(data[0] % ESTIMATE_ENGINE_COUNT),
        .argv = argv, .argc = split_lines(text, argv), .devices = devices,
        .device_count = (data[1] & 15) % 9};
    struct err err = {0};
    if (data[1] >> 4)
        make_profiles(&request, data[1] >> 6);
    auto_fini(estimate_fini) struct estimate estimate = {0};
    if (estimate_model(&request, &estimate, &err) < 0) {
        assert(err.text[0]);
        return 0;
    }
    for (size_t i = 0; i < estimate.device_count; i++)
        assert(estimate_place_bytes(&estimate.devices[i]) < UINT64_C(1) << 62);
    assert(estimate.fits || estimate.advice[0]);
    return 0;
}
