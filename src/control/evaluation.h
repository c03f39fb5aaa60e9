/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would become of a model if it were deployed now: where an instance would go and what it
 * would hold there, or why it finds no place and what could be done. Changes nothing.
 */
#pragma once

#include "control/placing.h"

enum {
    EVALUATION_DEVICES_TOLD = 256, /* of a refusal */
    EVALUATION_REPLICAS_MAX = 64,  /* further ones, of all models that are asked for together */
};

/*
 * Writes members (not the braces) of GPUStack's evaluation: "compatible", "compatibility_messages",
 * "scheduling_messages", "resource_claim"; and ours: "known" (what is known of its files),
 * "placement", "placements" (of all replicas) and "replicas", or "reason" and "ways_out".
 * Replicas behind the first take from `*replicas_left`, which EVALUATION_REPLICAS_MAX begins with.
 */
void evaluation_write(struct placing *placing, const struct model *model, unsigned *replicas_left,
                      struct json_writer *w);
