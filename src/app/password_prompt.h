/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords from the terminal, without echo; from standard input, a line each, when it is none. */
#pragma once

#include "base/err.h"

/* Asks once. `*ret` is owned: mem_free_secret() it. ERR_INVALID when nothing was entered. */
int password_prompt(const char *question, char **ret, struct err *err) must_check;

/* Asks for a new password, on a terminal twice. ERR_INVALID when the two differ. */
int password_prompt_new(char **ret, struct err *err) must_check;
