/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gateway needs to know of a multipart/form-data body (RFC 7578), found while the body
 * comes in: the fields "model" and "stream", wherever they stand among files of any size. The body
 * goes to the engine byte for byte, except for the model's name.
 *
 * Stricter than the RFC where readers differ: no preamble, no text behind the last part, lines end
 * in CRLF, a wanted field comes once, has no filename and its name is written plainly. How the
 * body is cut into pieces makes no difference. No allocation; plain data, any thread.
 *
 *     struct multipart form;
 *     rc = multipart_init(&form, content_type, &err);
 *     for each piece: rc = multipart_feed(&form, piece, &err);
 *     rc = multipart_end(&form, &err);
 */
#pragma once

#include "gateway/scan.h"

enum {
    MULTIPART_BOUNDARY_MAX = 70,  /* RFC 2046 */
    MULTIPART_HEADERS_MAX = 8192, /* bytes of one part's headers */
    MULTIPART_LINE_MAX = 1024,    /* bytes of a part's Content-Disposition */
    MULTIPART_PARTS_MAX = 256,
    MULTIPART_STREAM_MAX = 8,     /* bytes of the value of "stream" */
};

struct multipart {
    char model[SCAN_MODEL_MAX + 1]; /* empty when there is none */
    struct scan_span model_value;   /* the part's content */
    bool stream;                    /* false when absent */
    uint64_t file_bytes;            /* content of parts with a filename */
    uint64_t text_bytes;            /* content of the others */

    /* The parser's own. */
    uint64_t base;                  /* offset of the present piece in the body */
    uint16_t model_len, stream_len, line_len, headers_len, parts;
    uint8_t state, wanted;          /* in multipart.c */
    uint8_t matched;                /* bytes of the delimiter seen */
    uint8_t delimiter_len;
    bool has_model, has_stream;     /* such a part has begun */
    bool has_disposition, is_file, is_encoded; /* the present part's headers */
    char stream_text[MULTIPART_STREAM_MAX];
    char delimiter[4 + MULTIPART_BOUNDARY_MAX]; /* CR LF -- boundary */
    char line[MULTIPART_LINE_MAX];  /* header line that isn't whole yet */
};

/*
 * Starts a body whose Content-Type is `content_type`. ERR_INVALID when that isn't
 * multipart/form-data with one boundary of 1-70 characters that RFC 2046 allows.
 */
int multipart_init(struct multipart *form, struct str content_type, struct err *err) must_check;

/*
 * Takes the next piece of the body. ERR_SYNTAX when it breaks the format, ERR_INVALID for wanted
 * fields that come twice or have a value that isn't allowed, ERR_TOO_LARGE above the limits. After
 * an error only multipart_init() may follow.
 */
int multipart_feed(struct multipart *form, struct str piece, struct err *err) must_check;

/* The body ends here: ERR_SYNTAX when its last delimiter is missing. */
int multipart_end(struct multipart *form, struct err *err) must_check;

/* Whether the model's name is known already; later pieces can still make the body invalid. */
bool multipart_has_model(const struct multipart *form);
