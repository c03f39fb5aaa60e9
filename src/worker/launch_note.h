/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine was started with, for people, as JSON text that is kept in its record:
 *
 *     {"command":["/opt/llama-server","--port","40000"],"env":{"CUDA_VISIBLE_DEVICES":"0"},
 *      "working_dir":"/root"}
 *
 * Secrets are masked before (worker/masking.h); of the environment there is what we and the model
 * set, not what is inherited.
 */
#pragma once

#include "domain/record.h"

enum { LAUNCH_NOTE_MAX = 128 << 10 }; /* bytes; a record must stay readable */

/* Masks both in place. Returns owned; NULL when it would be too long. */
char *launch_note(struct string_list *argv, struct string_map *env, const char *token);
