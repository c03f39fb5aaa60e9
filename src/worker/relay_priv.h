/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/worker/relay*.c. */
#pragma once

#include "worker/relay.h"

/* {"code":404,"reason":"Not Found","message":"..."} */
void relay_reply_error(struct http_exchange *ex, unsigned status, const char *message);

/*
 * Answers a request for the logs of `runner`; `rest` is the path behind the id: "", "/runs" or
 * "/search".
 * Following looks the instance up in `runners` again: it may go away meanwhile.
 */
void relay_logs(struct http_exchange *ex, struct loop *loop, const struct runner_set *runners,
                const struct runner *runner, struct str rest);

/* Answers what the engine of `runner` was started with. */
void relay_process(struct http_exchange *ex, const struct runner *runner);

/* Answers what is found in a log; `dir` and `name` as of logfile calls. */
void relay_search(struct http_exchange *ex, struct loop *loop, const char *dir, const char *name);

/*
 * The run to be shown: the one asked for if it is there, else, of a negative one, the latest.
 * Negative when there is none.
 */
int relay_choose_run(const char *dir, const char *name, int64_t wanted);
