/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 message heads: the parsed form, and strict parsing of it (RFC 9112).
 *
 * A head borrows from the buffer that was parsed. Refused, always: bare CR or LF, obs-fold, spaces
 * before a colon, two different or repeated Content-Length, Content-Length with Transfer-Encoding,
 * transfer codings other than one "chunked", NUL and control bytes in values, missing or repeated
 * Host in 1.1, Transfer-Encoding in 1.0. Pure, any thread.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    HTTP_HEAD_MAX = 32 << 10, /* bytes of a head, request or response */
    HTTP_HEADERS_MAX = 100,
    HTTP_TARGET_MAX = 8 << 10,
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_METHOD_COUNT
};

/* "GET" and so on. */
const char *http_method_name(enum http_method method);

struct http_header {
    struct str name;  /* as sent; compare with str_eq_nocase() */
    struct str value; /* without surrounding blanks */
};

struct http_headers {
    unsigned count;
    struct http_header items[HTTP_HEADERS_MAX]; /* what lies behind `count` has no meaning */
};

/* First value of that name, or the empty view (ptr NULL) when there is none. */
struct str http_headers_get(const struct http_headers *headers, const char *name);

enum http_body_kind {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH, /* content_length bytes */
    HTTP_BODY_CHUNKED,
    HTTP_BODY_TO_CLOSE, /* responses only: until the peer closes */
};

struct http_request_head {
    enum http_method method;
    struct str target; /* as sent: "/v1/models?page=2" */
    struct str path; /* before the '?', still percent-encoded; of a URL without host, never empty */
    struct str query; /* after the '?', or empty */
    unsigned minor;   /* HTTP/1.minor: 0 or 1 */
    bool keep_alive;  /* the client wants the connection to stay */
    bool expect_continue;
    enum http_body_kind body;
    uint64_t content_length;
    struct http_headers headers; /* last, for it is large */
};

struct http_response_head {
    unsigned status; /* 100-599 */
    struct str reason;
    unsigned minor;
    bool keep_alive;
    enum http_body_kind body;
    uint64_t content_length;
    struct http_headers headers; /* last, for it is large */
};

/*
 * Parses a head at the front of `data`. Returns its length in bytes (> 0), 0 when more bytes are
 * needed, or ERR_SYNTAX / ERR_TOO_LARGE (431) / -ENOSYS (method unknown, 501) / -EPROTONOSUPPORT
 * (not HTTP/1.0 or 1.1, 505) with a text. Up to four empty lines before a request are skipped and
 * counted.
 */
int http_parse_request(struct str data, struct http_request_head *ret, struct err *err) must_check;

/* The same for a response; `to_head` says that the request was HEAD (no body whatever is said). */
int http_parse_response(struct str data, bool to_head, struct http_response_head *ret,
                        struct err *err) must_check;

/* ---- chunked coding ---- */

/* Zeroed for a new body. */
struct http_chunked {
    uint64_t left; /* bytes of the current chunk still to come */
    unsigned char state;
    unsigned char digits;
    uint16_t trailer_bytes;
};

/*
 * Decodes from the front of `*data` and moves it on. Gives the next run of payload (borrowed from
 * `data`) or an empty run when input is used up. Returns 1 after the last chunk and its trailers
 * (which are dropped), 0 to go on, ERR_SYNTAX. Chunk extensions are refused.
 */
int http_chunked_decode(struct http_chunked *state, struct str *data, struct str *ret_payload,
                        struct err *err) must_check;

/* ---- queries and percent-encoding ---- */

/*
 * Value of `name` in a query, percent-decoded ('+' is a space, a bad escape stays as it is).
 * Returns owned, or NULL when absent.
 */
char *http_query_get(struct str query, const char *name);

/* Takes the next pair from the front of `*query`, both decoded and owned; false at the end. */
bool http_query_next(struct str *query, char **ret_name, char **ret_value);

/* Percent-decodes a path segment. ERR_SYNTAX for a bad escape or a decoded NUL. Returns owned. */
int http_percent_decode(struct str text, char **ret, struct err *err) must_check;

/* Percent-encodes all but unreserved characters. Returns owned. */
char *http_percent_encode(struct str text);

/* Standard reason phrase of a status; "Unknown" when there is none. */
const char *http_status_text(unsigned status);
