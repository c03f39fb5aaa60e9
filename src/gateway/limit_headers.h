/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers that tell a client how much of its limits is left: those per minute, of the subject that
 * has least left. Each value lies in the struct, so nothing is allocated. Pure.
 *
 *     struct http_header room[LIMIT_HEADERS_MAX];
 *     struct limit_headers headers = {.items = room};
 *     limit_headers_add(&headers, subjects, 3, LIMIT_HEADERS_OPENAI, now_us, wall_ms);
 *     limit_headers_add_retry(&headers, &denial);           // with a 429
 *     ... room, headers.count: valid as long as `headers` stays where it is
 *
 * OpenAI: x-ratelimit-{limit,remaining,reset}-{requests,tokens}, the reset as a duration ("120ms",
 * "6m0s"). Anthropic: anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}, the reset as a
 * time. A reset is when all of the limit will be there again.
 */
#pragma once

#include "gateway/limit.h"
#include "http/message.h"

enum limit_headers_style { LIMIT_HEADERS_OPENAI, LIMIT_HEADERS_ANTHROPIC };

enum { LIMIT_HEADERS_MAX = 8, LIMIT_HEADERS_TEXT_MAX = 192 };

struct limit_headers {
    struct http_header *items; /* borrowed; room for LIMIT_HEADERS_MAX */
    unsigned count;
    size_t used; /* bytes of `text` */
    char text[LIMIT_HEADERS_TEXT_MAX];
};

/* Three for each of the two kinds that any subject has a limit of. Once. */
void limit_headers_add(struct limit_headers *headers, const struct limit_subject subjects[],
                       unsigned count, enum limit_headers_style style, int64_t now_us,
                       int64_t wall_ms);

/* Retry-After in seconds, rounded up, and retry-after-ms; none when waiting doesn't help. Once. */
void limit_headers_add_retry(struct limit_headers *headers, const struct limit_denial *denial);
