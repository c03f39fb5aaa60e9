/* SPDX-License-Identifier: Apache-2.0 */
/* http:// and https:// URLs: taken apart, and relative ones made absolute. Pure. */
#pragma once

#include "base/buf.h"
#include "http/client.h"

enum { URL_MAX = 8 << 10 }; /* bytes of a URL, also of one that a server redirects to */

struct url {
    struct http_target target;
    char *path; /* owned; path and query, from '/' on, without a fragment */
};

/* ERR_INVALID names what is wrong, without the query: it may hold a secret. */
int url_parse(const char *text, struct url *ret, struct err *err) must_check;
void url_fini(struct url *url);

/* What a Location of an answer from `base` means; as url_parse(). */
int url_resolve(const struct url *base, struct str location, struct url *ret,
                struct err *err) must_check;

/* Whether both have scheme, host and port in common: credentials go no further. */
bool url_is_same_origin(const struct url *a, const struct url *b);

/* As text again. Returns owned. */
char *url_text(const struct url *url);

/* "https://host:443/path" without the query, for texts. Returns owned. */
char *url_public_text(const struct url *url);

/* Appends a path with all but unreserved characters and '/' encoded. */
void url_encode_path(struct buf *out, struct str path);

/* The path without query. */
struct str url_path_only(const struct url *url);
