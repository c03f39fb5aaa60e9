/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When API keys were last used: written into their records at most once a minute a key, so that
 * requests cost no writes. Deterministic; control's thread.
 */
#pragma once

#include "control/cluster.h"

enum { KEY_USE_STEP_MS = 60 * 1000 };

/* Key `key_id` was used at `used_ms`. Keys that don't exist (any more) are passed over. */
void key_uses_note(struct cluster *cluster, int64_t key_id, int64_t used_ms);
