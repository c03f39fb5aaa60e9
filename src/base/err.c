/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [ERR_NOT_FOUND - ERR_FIRST] = "NotFound",
    [ERR_EXISTS - ERR_FIRST] = "AlreadyExists",
    [ERR_CONFLICT - ERR_FIRST] = "Conflict",
    [ERR_INVALID - ERR_FIRST] = "Invalid",
    [ERR_SYNTAX - ERR_FIRST] = "BadRequest",
    [ERR_TOO_LARGE - ERR_FIRST] = "TooLarge",
    [ERR_TOO_OFTEN - ERR_FIRST] = "TooManyRequests",
    [ERR_UNAUTHORIZED - ERR_FIRST] = "Unauthorized",
    [ERR_FORBIDDEN - ERR_FIRST] = "Forbidden",
    [ERR_UNAVAILABLE - ERR_FIRST] = "ServiceUnavailable",
    [ERR_TIMEOUT - ERR_FIRST] = "Timeout",
    [ERR_PROTOCOL - ERR_FIRST] = "ProtocolError",
    [ERR_CLOSED - ERR_FIRST] = "Closed",
    [ERR_NEWER - ERR_FIRST] = "NewerVersion",
};

static_assert(ARRAY_LEN(names) == ERR_LAST - ERR_FIRST, "every error code has a name");

int err_set(struct err *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        vsnprintf(err->text, sizeof err->text, fmt, args);
        va_end(args);
        err->code = code;
    }
    return code;
}

int err_wrap(struct err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    char inner[sizeof err->text];
    memcpy(inner, err->text, sizeof inner);
    va_list args;
    va_start(args, fmt);
    int used = vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->text)
        snprintf(err->text + used, sizeof err->text - (size_t)used, ": %s", inner);
    err->code = code;
    return code;
}

int err_errno(struct err *err, int errno_value, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        int used = vsnprintf(err->text, sizeof err->text, fmt, args);
        va_end(args);
        if (used >= 0 && (size_t)used < sizeof err->text)
            snprintf(err->text + used, sizeof err->text - (size_t)used, ": %s",
                     strerrordesc_np(errno_value) ?: "unknown error");
        err->code = -errno_value;
    }
    return -errno_value;
}

const char *err_name(int code)
{
    if (code > ERR_FIRST && code < ERR_LAST)
        return names[code - ERR_FIRST];
    const char *name = code < 0 ? strerrorname_np(-code) : NULL;
    return name ? name : "Unknown";
}
