/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which request headers don't pass: a fixed list, and all X-GPUStack-* that a client sent, because
 * behind the gateway they carry authority.
 */
#pragma once

#include "http/message.h"

/*
 * The names of `fixed` (NULL-ended) and those of `headers` that begin with X-GPUStack-, NULL-ended,
 * as forward_params.drop takes them. One block, owned; `fixed` must live as long.
 */
const char **header_drop_new(const struct http_headers *headers, const char *const *fixed);
