/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoders of images and sound beside the text part: vision_config, audio_config, Whisper's
 * encoder.
 */
#pragma once

#include "weights/hf_config_priv.h"

struct hf_tower {
    bool exists;
    bool is_gated; /* three matrices in a feed-forward part, not two */
    uint64_t layer_count, head_count, hidden_size, feed_forward_length;
    uint64_t parameter_count; /* by formula; 0: not known */
    uint64_t tokens_max;      /* of one image; 0: not known */
};

/* The image encoder; `exists` also when its numbers aren't known. */
struct hf_tower hf_tower_of_vision(const struct hf_config *config);
struct hf_tower hf_tower_of_audio(const struct hf_config *config);

/* The encoder in front of an encoder-decoder's decoder. */
struct hf_tower hf_tower_of_encoder(const struct hf_config *config);

/* Tokens of the largest image that preprocessor_config.json lets through; 0: it doesn't say. */
uint64_t hf_image_tokens(struct str preprocessor);
