/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_priv.h"

#include <errno.h>
#include <stdio.h>

enum { RETRY_AFTER_S = 2 }; /* unless the refusal knows better */

static const struct {
    int code;
    unsigned status;
} statuses[] = {
    {ERR_NOT_FOUND, 404},   {ERR_EXISTS, 409},    {ERR_CONFLICT, 409},     {ERR_INVALID, 422},
    {ERR_SYNTAX, 400},      {ERR_TOO_LARGE, 413}, {ERR_UNAUTHORIZED, 401}, {ERR_FORBIDDEN, 403},
    {ERR_UNAVAILABLE, 503}, {ERR_TIMEOUT, 504},   {ERR_TOO_OFTEN, 429},    {-EPERM, 405},
    {-EINVAL, 400},
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

void problem_write(const struct problem *problem, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    json_put_int(&w, "code", problem_status(problem->code));
    json_put_string(&w, "reason", reason_of(problem->code));
    json_put_string(&w, "message", problem->text);
    if (problem->current) {
        json_add_key(&w, "current");
        json_add_raw(&w, str_of(problem->current));
    }
    json_end_object(&w);
}

unsigned problem_headers(unsigned status, int64_t retry_after_s, char number[static 32],
                         struct http_header *ret)
{
    if (status == 401) { /* not Basic: browsers would ask for a password by themselves */
        *ret = (struct http_header){STR("WWW-Authenticate"), STR("Bearer realm=\"gpustack\"")};
        return 1;
    }
    if (status != 429 && status != 503)
        return 0;
    snprintf(number, 32, "%lld", (long long)(retry_after_s > 0 ? retry_after_s : RETRY_AFTER_S));
    *ret = (struct http_header){STR("Retry-After"), str_of(number)};
    return 1;
}

void problem_reply(struct http_exchange *ex, const struct problem *problem)
{
    struct buf body = {0};
    problem_write(problem, &body);
    char number[32];
    struct http_header headers[2] = {{STR("Content-Type"), STR("application/json")}};
    unsigned status = problem_status(problem->code);
    unsigned count = 1 + problem_headers(status, 0, number, &headers[1]);
    http_reply(ex, status, headers, count, buf_str(&body));
    buf_fini(&body);
}
