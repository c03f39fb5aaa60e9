/* SPDX-License-Identifier: Apache-2.0 */
/* The X-Request-Id of a request on /v1: the client's if it is sane, else one of ours. */
#pragma once

#include "http/message.h"

enum {
    REQUEST_ID_MAX = 128,
    REQUEST_ID_HEADERS_MAX = 2, /* of a reply */
};

struct request_id {
    char text[REQUEST_ID_MAX + 1];
};

/* Takes the client's over when it is 1-128 bytes of visible ASCII. */
void request_id_set(struct request_id *id, const struct http_headers *headers);

/* As a header; borrows from `id`. */
struct http_header request_id_header(const struct request_id *id);

/* The headers of a reply in which a client looks for it: those of Anthropic's API look for
 * `request-id`. Borrow from `id`. Returns how many they are. */
unsigned request_id_reply_headers(const struct request_id *id, bool is_anthropic,
                                  struct http_header *ret);
