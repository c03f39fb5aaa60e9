/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens out of an engine's response, whatever its shape: usage of OpenAI's chat, completions and
 * Responses, of Anthropic's Messages, timings and counts of llama.cpp, meta of Cohere's rerank,
 * counts of Ollama. Nothing is a fault here: what isn't understood gives no tokens. Numbers that
 * aren't integers of 0 to USAGE_TOKENS_MAX are as absent. Pure, no allocation, any thread.
 *
 *     struct usage usage = {0};
 *     for each event: usage_read(event.data, &usage);       // later events complete earlier ones
 * or
 *     struct usage_scan scan;                               // a body of any size
 *     usage_scan_init(&scan);
 *     for each piece: usage_scan_feed(&scan, piece);
 *     usage_scan_end(&scan, &usage);
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define USAGE_TOKENS_MAX (INT64_C(1) << 40)

enum {
    USAGE_ID_MAX = 128, /* bytes of a response's id */
    USAGE_PATH_MAX = 4, /* levels of objects that are entered */
    USAGE_SLOTS = 20,   /* numbers that are looked for; names in usage.c */
};

/* What a request consumed, as the engine tells it. An explicit zero is a value. */
struct usage {
    int64_t prompt;      /* all tokens of the prompt, the cached ones included */
    int64_t cached;      /* of these, those that the engine had in its cache; at most `prompt` */
    int64_t completion;  /* tokens made, reasoning included */
    bool has_prompt, has_completion; /* the engine told them; else the number is 0 */
};

/*
 * Reads an event's data or a small whole response. Takes over what it tells into `*usage` and
 * leaves the rest as it is; false when it tells no tokens.
 */
bool usage_read(struct str json, struct usage *usage);

struct usage_member;

/* Scanner of a response body that comes in pieces of any size. All of it is its own but `id`. */
struct usage_scan {
    char id[USAGE_ID_MAX + 1];    /* the response's id once it came; empty: none, or longer */
    int64_t slots[USAGE_SLOTS];
    const struct usage_member *wanted; /* the present member, when it is wanted */
    uint32_t found;               /* a bit for each slot that has a value */
    uint64_t depth;               /* open brackets of a value that is passed over */
    uint8_t path[USAGE_PATH_MAX]; /* the objects that are entered */
    uint8_t path_len;
    uint8_t state;                /* of the enum in usage.c */
    uint8_t held_len;             /* bytes of `held`; USAGE_ID_MAX + 1: more than are wanted */
    bool is_escaped;              /* the string's next byte belongs to an escape */
    char held[USAGE_ID_MAX + 1];  /* a key, a number or the id that isn't whole yet */
};

/* Starts a body. */
void usage_scan_init(struct usage_scan *scan);

/* Takes the next piece. */
void usage_scan_feed(struct usage_scan *scan, struct str piece);

/* As usage_read(), for what came so far; the body may have been cut. */
bool usage_scan_end(const struct usage_scan *scan, struct usage *usage);

/* One event of a stream, as far as passing it on needs to know it. Views lie in its data. */
struct chunk_view {
    bool is_done;          /* the data is [DONE]; nothing else is set then */
    bool has_choices;      /* it has an array "choices" */
    bool choices_is_empty; /* and nothing is in it */
    bool has_finish;       /* a finish_reason, or a delta's stop_reason, that isn't null */
    unsigned finishes;     /* choices with one */
    unsigned choices;      /* the highest "index" among them and 1; 0: none says it */
    bool has_content;      /* text, reasoning or tool calls, however short */
    bool has_error;        /* "error" that isn't null, or "object" is "error" */
    struct str usage;      /* the usage object, else that of "response" or "message" */
    struct str type;       /* event type of Responses and Messages, as written */
    struct str id, model;  /* at the top level, as written */
};

/* Looks at an event's data; false when it is neither [DONE] nor a JSON object. */
bool chunk_read(struct str data, struct chunk_view *ret);

/* What the gateway measured of a stream. Negative: not known, left out. */
struct usage_timing {
    double tokens_per_second;
    double time_to_first_token_ms;
    double time_per_output_token_ms;
};

/*
 * Writes `data` to `out` with these members added to its usage object, which is `chunk->usage` as
 * chunk_read() found it in that very data. Those that the engine gave itself stay as they are.
 */
void usage_write_timing(struct str data, const struct chunk_view *chunk,
                        const struct usage_timing *timing, struct buf *out);
