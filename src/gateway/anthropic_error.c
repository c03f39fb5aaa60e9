/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_error.h"

#include "base/utf8.h"
#include "gateway/anthropic_priv.h"

static const struct {
    unsigned status;
    const char *type;
} types[] = {
    {401, "authentication_error"}, {402, "billing_error"},    {403, "permission_error"},
    {404, "not_found_error"},      {408, "timeout_error"},    {413, "request_too_large"},
    {429, "rate_limit_error"},     {503, "overloaded_error"}, {504, "timeout_error"},
    {529, "overloaded_error"},
};

const char *anthropic_error_type(unsigned status)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (types[i].status == status)
            return types[i].type;
    return status >= 400 && status < 500 ? "invalid_request_error" : "api_error";
}

void anthropic_write_error(const char *type, struct str message, const char *request_id,
                           struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    json_put_string(&w, "type", "error");
    json_add_key(&w, "error");
    json_begin_object(&w);
    json_put_string(&w, "type", type);
    json_add_key(&w, "message");
    json_add_string(&w, message);
    json_end_object(&w);
    json_put_string(&w, "request_id", request_id);
    json_end_object(&w);
}

/* --- what engines say ------------------------------------------------------------------------- */

/* OpenAI's {"error":{"message"}} and its text-only form, vLLM's old {"object":"error","message"},
 * FastAPI's {"detail":"..."} and {"detail":[{"msg":"..."}]}. */
static const json_t *find_message(const json_t *body)
{
    const json_t *error = json_object_get(body, "error");
    const json_t *detail = json_object_get(body, "detail");
    if (error && !json_is_null(error))
        return json_is_object(error) ? json_object_get(error, "message") : error;
    if (json_is_array(detail))
        return json_object_get(json_array_get(detail, 0), "msg");
    return detail ? detail : json_object_get(body, "message");
}

static bool is_fault(const json_t *body)
{
    const json_t *error = json_object_get(body, "error");
    return (error && !json_is_null(error)) ||
           str_eq(anthropic_str(json_object_get(body, "object")), STR("error"));
}

bool anthropic_find_fault(const json_t *body, struct str *ret_message)
{
    if (!is_fault(body))
        return false;
    struct str message = anthropic_str(find_message(body));
    *ret_message = message.len > 0 ? message : STR("the engine failed without a message");
    return true;
}

const char *anthropic_fault_type(const json_t *body)
{
    const json_t *error = json_object_get(body, "error");
    int64_t status = json_member_int(json_is_object(error) ? error : body, "code", 0);
    return anthropic_error_type(status >= 400 && status < 600 ? (unsigned)status : 500);
}

/* The beginning of a text that isn't JSON. */
static void add_excerpt(unsigned status, struct str body, struct buf *out)
{
    enum { EXCERPT_MAX = 500 };
    struct str text = str_trim(body);
    buf_printf(out, "the engine answered with status %u", status);
    if (text.len == 0 || text.ptr[0] == '<') /* a page of a proxy says nothing to a client */
        return;
    size_t n = 0, step;
    while (n < EXCERPT_MAX && (step = utf8_sequence(str_skip(text, n))) > 0)
        n += step;
    if (n > 0)
        buf_printf(out, ": %.*s", (int)n, text.ptr);
}

void anthropic_error_from_engine(unsigned status, struct str body, const char *request_id,
                                 struct buf *out)
{
    auto_fini(json_release) json_t *root = NULL;
    auto_fini(buf_fini) struct buf excerpt = {0};
    struct str message = {0};
    if (anthropic_read(body, ANTHROPIC_FAULT_MAX, &root, NULL) == 0)
        message = anthropic_str(find_message(root));
    if (message.len == 0) {
        add_excerpt(status, body, &excerpt);
        message = buf_str(&excerpt);
    }
    anthropic_write_error(anthropic_error_type(status), message, request_id, out);
}
