/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error codes and the error text that a human will read.
 *
 * Fallible functions return 0 (or a count) or a negative code: -errno, or one of ours below -1000.
 * Where a human will read the cause, the last parameter is `struct err *err`: caller-owned, NULL
 * allowed, untouched on success. Plain data: may be copied, crosses threads by copy.
 *
 *     return err_set(err, -EINVAL, "port must be 1-65535, not %d", port);
 *     ...
 *     if (rc < 0)
 *         return err_wrap(err, rc, "config %s", path);   // "config FILE: port must be ..."
 */
#pragma once

#include "base/mem.h"

/* Our own codes. Each has a name; the API maps them to HTTP statuses in one table. */
enum {
    ERR_FIRST = -1099,
    ERR_NOT_FOUND,    /* the named object doesn't exist */
    ERR_EXISTS,       /* an object of that name exists */
    ERR_CONFLICT,     /* stale write, or the object's state forbids it */
    ERR_INVALID,      /* input is well-formed but not allowed */
    ERR_SYNTAX,       /* input can't be parsed */
    ERR_TOO_LARGE,    /* a limit constant was passed */
    ERR_TOO_OFTEN,    /* the same again only after a while */
    ERR_UNAUTHORIZED, /* no or wrong credentials */
    ERR_FORBIDDEN,    /* known, but not allowed */
    ERR_UNAVAILABLE,  /* can't be served now; trying later may help */
    ERR_TIMEOUT,      /* a deadline passed */
    ERR_PROTOCOL,     /* a peer broke its protocol */
    ERR_CLOSED,       /* the peer closed the connection */
    ERR_NEWER,        /* written by a newer version of gpustack */
    ERR_LAST
};

struct err {
    int code;       /* 0 until set */
    char text[768]; /* one sentence without a final stop; names thing, value seen, values allowed */
};

/* Sets text and code and returns `code`. `err` may be NULL. */
int err_set(struct err *err, int code, const char *fmt, ...) printf_like(3, 4);

/* Puts "context: " before the text that is there and returns `code`. */
int err_wrap(struct err *err, int code, const char *fmt, ...) printf_like(3, 4);

/* Sets the text to "context: strerror" and returns -errno_value. */
int err_errno(struct err *err, int errno_value, const char *fmt, ...) printf_like(3, 4);

/* A stable short name of a code ("NotFound", or strerrorname for -errno). Never NULL. */
const char *err_name(int code);
