/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would become of a model if it were deployed now: where an instance would go and what it
 * would hold there, or why it finds no place and what could be done. Changes nothing.
 */
#pragma once

#include "control/placing.h"

enum {
    EVALUATION_DEVICES_TOLD = 256, /* of a refusal */
    EVALUATION_REPLICAS_MAX = 64,  /* that are placed one after the other */
};

/*
 * Writes members (not the braces) of GPUStack's evaluation: "compatible", "compatibility_messages",
 * "scheduling_messages", "resource_claim"; and ours: "known" (what is known of its files),
 * "placement", "placements" (of all replicas) and "replicas", or "reason" and "ways_out".
 */
void evaluation_write(struct placing *placing, const struct model *model, struct json_writer *w);
