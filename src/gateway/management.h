/* SPDX-License-Identifier: Apache-2.0 */
/* Errors in the dialect of the management API, for what control can't answer itself. */
#pragma once

#include "http/server.h"

/*
 * {"code":STATUS,"reason":...,"message":...} for status 401, 404, 405 and 503. `allow` is the Allow
 * header's value for a 405, else NULL; 503 says Retry-After: 1.
 */
void management_reply_error(struct http_exchange *ex, unsigned status, const char *message,
                            const char *allow);
