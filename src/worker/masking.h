/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes secrets out of a command line and an environment before people see them: what stands under
 * a name that speaks of a secret (HF_TOKEN, --api-key), and each of these texts wherever else it
 * stands. In their place stands "***". A name is judged by its words, so that --max-num-tokens and
 * --tokenizer are shown. Pure, any thread.
 */
#pragma once

#include "domain/record.h"

/* Whether what stands under the name is a secret. */
bool masking_is_secret_name(struct str name);

/*
 * Masks both, in place. `token` (NULL: none) is a secret under whatever name it stands. Also masked
 * are passwords in URLs ("https://me:***@host") and what follows "Bearer ".
 */
void masking_apply(struct string_list *argv, struct string_map *env, const char *token);
