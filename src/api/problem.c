/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_priv.h"

#include <errno.h>

static const struct {
    int code;
    unsigned status;
} statuses[] = {
    {ERR_NOT_FOUND, 404},   {ERR_EXISTS, 409},    {ERR_CONFLICT, 409},     {ERR_INVALID, 422},
    {ERR_SYNTAX, 400},      {ERR_TOO_LARGE, 413}, {ERR_UNAUTHORIZED, 401}, {ERR_FORBIDDEN, 403},
    {ERR_UNAVAILABLE, 503}, {ERR_TIMEOUT, 504},   {-EPERM, 405},           {-EINVAL, 400},
};

unsigned problem_status(int code)
{
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (statuses[i].code == code)
            return statuses[i].status;
    return 500;
}

/* GPUStack's word for an error where ours differs. */
static const char *reason_of(int code)
{
    if (code == -EPERM)
        return "MethodNotAllowed";
    if (code == -EINVAL)
        return "BadRequest";
    if (code == ERR_TIMEOUT)
        return "GatewayTimeout";
    return problem_status(code) == 500 ? "InternalServerError" : err_name(code);
}

void problem_write(int code, const char *text, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    json_put_int(&w, "code", problem_status(code));
    json_put_string(&w, "reason", reason_of(code));
    json_put_string(&w, "message", text);
    json_end_object(&w);
}
