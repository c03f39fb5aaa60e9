/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model files of a hub as a source (weights/source.h), read by ranges of HTTP: what a header needs
 * and no more. Blocks; for commands and threads that may wait.
 *
 *     struct hub_params params;
 *     hub_params_from_environment(&params);
 *     if (hub_open("hf:Qwen/Qwen3-8B-GGUF", &params, &source, err) < 0) ...
 *     rc = weights_read(source, "*Q4_K_M*", &shape, err);
 *     source_free(source);
 */
#pragma once

#include "weights/source.h"

enum {
    HUB_PARTS_MAX = 512, /* of a split model that a URL names */
    HUB_PAGES_MAX = 50,  /* of a list of files */
};

struct hub_params {
    const char *hugging_face_url;   /* "https://huggingface.co" or a mirror */
    const char *modelscope_url;     /* "https://modelscope.cn" */
    const char *hugging_face_token; /* goes to hugging_face_url only; NULL: none */
    const char *modelscope_token;   /* to modelscope_url only */
    const char *ca_file;            /* authorities to trust beside the system's; NULL: none */
    int64_t timeout_ms;             /* from opening on, for all requests together; 0: none */
    bool hubs_only; /* places come from others: no server but the two hubs, see below */
};

/*
 * The usual hubs, or what HF_ENDPOINT, HF_TOKEN, MODELSCOPE_ENDPOINT and MODELSCOPE_API_TOKEN say.
 * Borrows from the environment.
 */
void hub_params_from_environment(struct hub_params *ret);

/* Whether a word names something on a hub, and isn't a path: "https://...", "hf:...", "ms:...". */
bool hub_is_place(const char *place);

/*
 * Opens what `place` names:
 *   hf:OWNER/REPO, ms:OWNER/REPO          all files of a repository
 *   hf:OWNER/REPO/FILE, ms:OWNER/REPO/FILE  one file, with its siblings of a split
 *   https://huggingface.co/OWNER/REPO[/tree/REVISION], .../resolve/REVISION/FILE, .../blob/...
 *   https://modelscope.cn/models/OWNER/REPO, .../resolve/REVISION/FILE
 *   any other http:// or https:// URL     one file, with its siblings of a split
 * Redirects of a file are remembered, so that each part read is one request. `params` is borrowed
 * as long as the source. Codes as of fetch_range(); ERR_INVALID for a place that is none, or has
 * "." or ".." in its path.
 *
 * With `hubs_only` a place can't make this machine ask others in its own network: the last row is
 * ERR_FORBIDDEN, and a hub's redirects and further pages are followed to the hub itself, or to
 * other hosts (its CDN) over https. A server that opens what stands in a request sets it.
 */
int hub_open(const char *place, const struct hub_params *params, struct source **ret,
             struct err *err) must_check;
