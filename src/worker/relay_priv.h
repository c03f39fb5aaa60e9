/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/worker/relay*.c. */
#pragma once

#include "worker/relay.h"

/* {"code":404,"reason":"Not Found","message":"..."} */
void relay_reply_error(struct http_exchange *ex, unsigned status, const char *message);

/*
 * Answers a request for the logs of `runner`; `rest` is the path behind the id, "" or "/runs".
 * Following looks the instance up in `runners` again: it may go away meanwhile.
 */
void relay_logs(struct http_exchange *ex, struct loop *loop, const struct runner_set *runners,
                const struct runner *runner, struct str rest);

/* Answers what the engine of `runner` was started with. */
void relay_process(struct http_exchange *ex, const struct runner *runner);
