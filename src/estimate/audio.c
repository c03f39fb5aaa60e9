/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speech: vox-box and faster-whisper by the size of their files, whisper.cpp by a law of its own,
 * other voices as a framework's weights three times.
 */
#include "estimate/estimate_priv.h"

static const struct {
    uint64_t file_mib, memory_gib;
} whisper_steps[] = {{200, 1}, {500, 2}, {1536, 5}, {1638, 6}, {3174, 10}};

/* Voices that GPUStack knows by name: bytes of a device, and of the host beside it. */
static const struct {
    const char *word;
    uint64_t device_gib, host_gib, alone_gib;
} voices[] = {{"cosyvoice", 3, 7, 6}, {"dia", 10, 1, 11}};

static bool is_called(const struct model_shape *shape, const char *word)
{
    return estimate_contains(shape->architecture, word) || estimate_contains(shape->name, word);
}

static uint64_t whisper_bytes(const struct model_shape *shape)
{
    if (shape->format == FORMAT_GGUF)
        return shape->file_bytes / 3 * 4 + 200 * MIB;
    for (size_t i = 0; i < ARRAY_LEN(whisper_steps); i++)
        if (shape->file_bytes <= whisper_steps[i].file_mib * MIB)
            return whisper_steps[i].memory_gib * GIB;
    return 3 * shape->file_bytes;
}

static void add_whisper(const struct model_shape *shape, int place, struct estimate *ret)
{
    const uint64_t bytes = whisper_bytes(shape);
    const uint64_t weights = min_u64(shape->file_bytes, bytes);
    estimate_add(ret, place, ESTIMATE_WEIGHTS, weights, "files");
    estimate_add(ret, place, ESTIMATE_COMPUTE, bytes - weights,
                 "what speech recognition of this size is known to take beside its files");
    if (place < 0 && shape->format != FORMAT_GGUF)
        estimate_add(ret, place, ESTIMATE_RUNTIME, bytes / 2, "half as much on a processor");
}

static void add_voice(const struct model_shape *shape, int place, struct estimate *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(voices); i++) {
        if (!is_called(shape, voices[i].word))
            continue;
        estimate_add(ret, place, ESTIMATE_WEIGHTS,
                     (place < 0 ? voices[i].alone_gib : voices[i].device_gib) * GIB,
                     "known for %s", voices[i].word);
        if (place >= 0)
            estimate_add(ret, ESTIMATE_HOST, ESTIMATE_RUNTIME, voices[i].host_gib * GIB,
                         "known for %s", voices[i].word);
        return;
    }
    const bool is_bark = is_called(shape, "bark");
    const uint64_t bark = shape->file_bytes <= 2 * GIB ? 2 * GIB : 12 * GIB;
    if (is_bark)
        estimate_add(ret, place, ESTIMATE_WEIGHTS, bark, "known for bark");
    else
        estimate_add(ret, place, ESTIMATE_WEIGHTS, 3 * shape->file_bytes, "files x 3");
    estimate_add(ret, place, ESTIMATE_RUNTIME, is_bark ? 0 : 512 * MIB, "framework");
}

int estimate_audio(const struct estimate_request *request, struct estimate *ret, struct err *err)
{
    (void)err;
    const int place = request->device_count ? 0 : ESTIMATE_HOST;
    if (request->shape->kind == KIND_TTS)
        add_voice(request->shape, place, ret);
    else
        add_whisper(request->shape, place, ret);
    estimate_add(ret, ESTIMATE_HOST, ESTIMATE_RUNTIME, 512 * MIB, "server");
    estimate_judge(request, ret);
    return 0;
}
