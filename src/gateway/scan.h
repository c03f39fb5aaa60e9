/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gateway needs to know of a request body, found in one pass without a tree, while the
 * body comes in: the wanted members at the top level of a JSON object and where in the body they
 * stand. The body itself goes to the engine byte for byte, except for what the gateway puts in.
 *
 * It checks the skeleton (brackets, keys, colons, commas, strings that end), not numbers or UTF-8:
 * the engine parses the whole. What it does promise is that the engine can't read another value
 * than it did: a wanted key that comes twice or is written with escapes is refused. How the body
 * is cut into pieces makes no difference. No allocation; plain data, any thread.
 *
 *     struct scan scan;
 *     scan_init(&scan);
 *     for each piece: rc = scan_feed(&scan, piece, &err);
 *     rc = scan_end(&scan, &err);
 *     use(&scan.request);
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SCAN_DEPTH_MAX = 256,             /* nested arrays and objects */
    SCAN_MODEL_MAX = 256,             /* bytes of a model's name, decoded */
    SCAN_CHOICES_MAX = 1024,          /* more "n" than that is the engine's to judge */
    SCAN_PAYLOAD_MIN = 64 << 10,      /* a longer string without gaps is taken for base64 */
    SCAN_PAYLOAD_HEAD = 1 << 10,      /* bytes of a string that tell whether it has gaps */
    SCAN_KEY_MAX = 21,                /* bytes of the longest wanted key */
    SCAN_HELD_MAX = 6 * SCAN_KEY_MAX, /* the same when every byte of it is escaped */
};

/* Bytes of the body. len 0: absent. */
struct scan_span {
    uint64_t at, len;
};

/* The result; whole only after scan_end(). */
struct scan_request {
    char model[SCAN_MODEL_MAX + 1]; /* decoded; empty when the body names none */
    struct scan_span model_value;   /* with its quotes */
    bool stream;                    /* false when absent or null */
    bool asks_usage;                /* stream_options.include_usage is true */
    bool options_is_empty;          /* stream_options is an object without members */
    struct scan_span options_value; /* value of stream_options: an object or null */
    struct scan_span usage_value;   /* value of stream_options.include_usage */
    uint64_t open_at;               /* offset behind the outer '{' */
    int64_t output_cap;             /* largest of max_tokens, max_completion_tokens,
                                       max_output_tokens and max_tokens_to_sample, at most
                                       2^31 - 1; -1: none, null or negative (no limit) */
    int64_t choices;                /* larger of n and best_of; 1 when absent or not 1-1024 */
    uint64_t prompt_bytes;          /* the body without payloads: strings without a gap (blank,
                                       control or non-ASCII byte) in their first KiB that begin
                                       with "data:", or are longer than 64 KiB and have no
                                       escape in that KiB either */
};

/* The scanner's state. All but `request` is its own. */
struct scan {
    struct scan_request request;
    uint64_t base;                      /* offset of the present piece in the body */
    uint64_t value_at, options_at;      /* offsets of the present wanted value, of stream_options */
    uint64_t string_len;                /* bytes of the string that has begun */
    uint64_t payload_bytes;             /* of strings that are payloads */
    uint64_t open[SCAN_DEPTH_MAX / 64]; /* a bit for each nested level: it is an object */
    uint16_t depth;                     /* nested levels that are open */
    uint16_t seen;                      /* a bit for each wanted key that came already */
    uint16_t model_len;                 /* bytes decoded so far */
    uint8_t state, wanted;              /* of the enums in scan.c */
    uint8_t held_len, escape_len;       /* bytes of `held` and `escape` */
    uint8_t payload_match;              /* bytes of "data:" that the string begins with */
    bool is_escaped;                    /* the string's next byte belongs to an escape */
    bool in_options;                    /* inside of stream_options */
    bool has_gap, has_escape;           /* in the string's first KiB */
    char escape[12];                    /* an escape of the model's name that isn't whole yet */
    char held[SCAN_HELD_MAX + 1];       /* a key or a word that isn't whole yet */
};

/* Starts a body. */
void scan_init(struct scan *scan);

/*
 * Takes the next piece of the body. ERR_SYNTAX when the body isn't such an object; ERR_INVALID when
 * a wanted key has the wrong type, comes twice or is escaped; ERR_TOO_LARGE when nested too deeply
 * or the model's name is too long. The text names the key or the offset. After an error only
 * scan_init() may follow.
 */
int scan_feed(struct scan *scan, struct str piece, struct err *err) must_check;

/* The body ends here; errors as above. */
int scan_end(struct scan *scan, struct err *err) must_check;

/* Whether the model's name is known already; later pieces can still make the body invalid. */
bool scan_has_model(const struct scan *scan);

/* A body that is there as a whole: init, feed and end. Writes `*ret` on success only. */
int scan_request(struct str body, struct scan_request *ret, struct err *err) must_check;
