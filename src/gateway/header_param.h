/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameters of header values as "form-data; name=\"a\"; filename=b": Content-Type and
 * Content-Disposition. Pure.
 *
 *     struct str rest = value, type = header_param_type(&rest);
 *     while ((rc = header_param_next(&rest, &param)) > 0) ...
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct header_param {
    struct str name;  /* without blanks around */
    struct str value; /* without its quotes; nothing is decoded */
};

/* Takes what stands before the first ';', without blanks around. */
struct str header_param_type(struct str *value);

/*
 * Takes the next parameter: 1; 0 when none is left; ERR_SYNTAX when it is malformed, or has a quote
 * behind a backslash, of which readers make different things.
 */
int header_param_next(struct str *rest, struct header_param *ret) must_check;
