/* SPDX-License-Identifier: Apache-2.0 */
/* Which request headers of a client's don't pass; as forward_params.drops wants it. Pure. */
#pragma once

#include "base/str.h"

#include <stdbool.h>

/* X-GPUStack-*: behind the gateway they carry authority. */
bool header_is_ours(struct str name);

/*
 * Those, and what would tell an engine who the client is or let it answer in a coding that can't be
 * metered: engines get a token of their own, and answers as they are.
 */
bool header_is_kept_from_engines(struct str name);
