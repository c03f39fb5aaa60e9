/* SPDX-License-Identifier: Apache-2.0 */
/* Which headers don't pass; as forward_params.drops and .reply_drops want it. Pure. */
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

/* Those, and what would let an engine act for us in a browser: cookies on the origin of /v2. */
bool header_is_kept_from_clients(struct str name);
