/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gateway needs to know of a multipart/form-data body (RFC 7578), found while the body
 * comes in: the fields "model" and "stream", wherever they stand among files of any size. The body
 * goes to the engine byte for byte, except for the model's name.
 *
 * Stricter than the RFC where readers differ, so that the engine can't read another value: nothing
 * stands before the first boundary or behind the last, lines end in CRLF and aren't folded, each
 * part has one Content-Disposition with one plain name, a wanted field comes once and is no file.
 * How the body is cut into pieces makes no difference. No allocation; plain data, any thread.
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
    MULTIPART_LINE_MAX = 1024,    /* bytes of one of them that is looked at */
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
    uint64_t content_at;            /* offset of the present part's content */
    uint16_t parts;                 /* that have begun */
    uint16_t headers_len, line_len; /* bytes of the part's headers, and of the present one */
    uint16_t model_len, stream_len;
    uint8_t state, wanted;          /* of the enums in multipart.c */
    uint8_t seen;                   /* a bit for each wanted field that came already */
    uint8_t matched, delimiter_len; /* bytes of `delimiter` */
    uint8_t held_from;              /* of the matched bytes the first that may be content */
    bool has_name;                  /* the part's Content-Disposition came */
    bool is_file;                   /* and has a filename */
    bool is_encoded;                /* by a Content-Transfer-Encoding */
    char stream_text[MULTIPART_STREAM_MAX];
    char delimiter[4 + MULTIPART_BOUNDARY_MAX]; /* CR LF - - and the boundary */
    char line[MULTIPART_LINE_MAX];  /* the present header */
};

/*
 * Starts a body whose Content-Type is `content_type`. ERR_INVALID when that isn't
 * multipart/form-data with one boundary of 1-70 characters that RFC 2046 allows.
 */
int multipart_init(struct multipart *form, struct str content_type, struct err *err) must_check;

/*
 * Takes the next piece of the body. ERR_SYNTAX when it breaks the format; ERR_INVALID when a wanted
 * field comes twice or its value isn't allowed; ERR_TOO_LARGE above a limit. After an error only
 * multipart_init() may follow.
 */
int multipart_feed(struct multipart *form, struct str piece, struct err *err) must_check;

/* The body ends here: ERR_SYNTAX when its last boundary is missing. */
int multipart_end(struct multipart *form, struct err *err) must_check;

/* Whether the model's name is known already; later pieces can still make the body invalid. */
bool multipart_has_model(const struct multipart *form);
