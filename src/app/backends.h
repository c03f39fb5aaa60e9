/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in engine descriptions as the API shows them. */
#pragma once

#include "base/err.h"

/* JSON array for api_params.backends. Returns owned in `*ret`. */
int backends_json(char **ret, struct err *err) must_check;
