/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies and events in the shapes of the APIs that engines speak. Pure: a content and a number in,
 * bytes out. The text of content event i is i in decimal, filled with zeros on the left to the
 * script's `bytes`, so that a reader sees what is missing.
 */
#pragma once

#include "base/buf.h"
#include "lib/engine/script.h"

enum api {
    API_NONE, /* no such path */
    API_CHAT,
    API_COMPLETIONS,
    API_LLAMA, /* /completion */
    API_RESPONSES,
    API_MESSAGES,
    API_COUNT_TOKENS,
    API_EMBEDDINGS,
    API_RERANK,
    API_SCORE,
    API_TOKENIZE,
    API_MODERATIONS,
    API_IMAGES,
    API_SPEECH,
    API_TRANSCRIPTIONS,
};

struct content {
    enum api api;
    const struct script *script; /* borrowed */
    struct str model;            /* borrowed; as in JSON, without quotes */
    uint64_t number;             /* of the request: makes the ids */
    int64_t created;             /* seconds since 1970 */
    int64_t events;              /* with content */
    bool is_capped;              /* the request's cap made them fewer */
    bool wants_usage;            /* stream_options.include_usage */
};

/* What is served at a path, by its last parts; API_NONE for any other. */
enum api content_api(struct str path);

/* The JSON body of a response that is no stream. */
void content_whole(const struct content *content, struct buf *out);

/* Event `i` of `events`. With the first come those that an API has before any content. */
void content_event(const struct content *content, int64_t i, struct buf *out);

/* All events behind those with content. */
void content_tail(const struct content *content, struct buf *out);

/* An event that tells of a failure. */
void content_error_event(const struct content *content, struct buf *out);

/* The body of a response with the script's status, from 400 on. */
void content_error(const struct content *content, struct buf *out);

/* Tokens made after `events` events with content, as they are told. */
int64_t content_tokens(const struct content *content, int64_t events);
