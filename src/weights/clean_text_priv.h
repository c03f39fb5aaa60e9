/* SPDX-License-Identifier: Apache-2.0 */
/* Names out of files, made fit for terminals and logs. Pure. */
#pragma once

#include "base/str.h"

/*
 * Copies text into `size` bytes with a NUL, cut off at a whole character and where it is no UTF-8.
 * Control characters become '?': a model's name must not move the cursor of who looks at it.
 */
void clean_text_copy(char *to, size_t size, struct str text);
