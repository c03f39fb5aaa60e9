/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/management.h"

#include "base/json.h"

static const char *reason_of(unsigned status)
{
    switch (status) {
    case 400:
        return "BadRequest";
    case 401:
        return "Unauthorized";
    case 404:
        return "NotFound";
    case 405:
        return "MethodNotAllowed";
    default:
        return "ServiceUnavailable";
    }
}

void management_reply_error(struct http_exchange *ex, unsigned status, const char *message,
                            const char *allow)
{
    struct http_header headers[2] = {{STR("Content-Type"), STR("application/json")}};
    unsigned count = 1;
    if (allow)
        headers[count++] = (struct http_header){STR("Allow"), str_of(allow)};
    else if (status == 503)
        headers[count++] = (struct http_header){STR("Retry-After"), STR("1")};
    struct buf body = {0};
    struct json_writer w = json_writer_into(&body);
    json_begin_object(&w);
    json_put_int(&w, "code", status);
    json_put_string(&w, "reason", reason_of(status));
    json_put_string(&w, "message", message);
    json_end_object(&w);
    http_reply(ex, status, headers, count, buf_str(&body));
    buf_fini(&body);
}
