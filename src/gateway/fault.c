/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/fault.h"

#include "base/json.h"

#include <assert.h>
#include <stdio.h>

struct fault_row {
    unsigned status;
    const char *type; /* in OpenAI's words */
    const char *code;
    const char *param;          /* NULL: null */
    const char *anthropic_type; /* in Anthropic's */
    int64_t retry_after_ms;     /* 0: no such header */
};

static const char invalid[] = "invalid_request_error";

static const struct fault_row rows[FAULT_COUNT] = {
    [FAULT_BAD_BODY] = {400, invalid, "invalid_body", NULL, invalid, 0},
    [FAULT_BAD_CREDENTIALS] = {401, invalid, "invalid_api_key", NULL, "authentication_error", 0},
    [FAULT_NOT_PERMITTED] = {403, "permission_error", "not_permitted", NULL, "permission_error", 0},
    [FAULT_MODEL_FORBIDDEN] = {403, "permission_error", "model_not_allowed", "model",
                               "permission_error", 0},
    [FAULT_PROXY_OFF] = {403, "permission_error", "proxy_not_enabled", NULL, "permission_error", 0},
    [FAULT_MODEL_UNKNOWN] = {404, invalid, "model_not_found", "model", "not_found_error", 0},
    [FAULT_PATH_UNKNOWN] = {404, invalid, "unknown_url", NULL, "not_found_error", 0},
    [FAULT_METHOD_UNKNOWN] = {405, invalid, "method_not_allowed", NULL, invalid, 0},
    [FAULT_BODY_TOO_LARGE] = {413, invalid, "request_too_large", NULL, "request_too_large", 0},
    [FAULT_RATE_LIMITED] = {429, "rate_limit_error", "rate_limit_exceeded", NULL,
                            "rate_limit_error", 0},
    [FAULT_QUOTA] = {429, "insufficient_quota", "insufficient_quota", NULL, "rate_limit_error", 0},
    [FAULT_ENGINE_FAILED] = {502, "server_error", "engine_failed", NULL, "api_error", 0},
    [FAULT_ENGINE_AWAY] = {503, "server_error", "engine_unreachable", NULL, "overloaded_error",
                           5000},
    [FAULT_NO_INSTANCE] = {503, "server_error", "no_instance_ready", "model", "overloaded_error",
                           5000},
    [FAULT_QUEUE_FULL] = {503, "server_error", "queue_full", "model", "overloaded_error", 5000},
    [FAULT_NOT_READY] = {503, "server_error", "gateway_not_ready", NULL, "overloaded_error", 1000},
    [FAULT_NO_ROOM] = {503, "server_error", "no_room_for_body", NULL, "overloaded_error", 5000},
    [FAULT_TIMEOUT] = {504, "server_error", "engine_timeout", NULL, "timeout_error", 0},
};

unsigned fault_status(enum fault fault)
{
    return rows[fault].status;
}

static void put_openai(struct json_writer *w, const struct fault_row *row, const char *message)
{
    json_add_key(w, "error");
    json_begin_object(w);
    json_put_string(w, "message", message);
    json_put_string(w, "type", row->type);
    json_put_string(w, "code", row->code);
    json_put_string(w, "param", row->param);
    json_end_object(w);
}

static void put_anthropic(struct json_writer *w, const struct fault_row *row, const char *message,
                          const struct request_id *id)
{
    json_put_string(w, "type", "error");
    json_add_key(w, "error");
    json_begin_object(w);
    json_put_string(w, "type", row->anthropic_type);
    json_put_string(w, "message", message);
    json_end_object(w);
    json_put_string(w, "request_id", id->text);
}

void fault_write(enum fault fault, enum dialect dialect, const char *message,
                 const struct request_id *id, struct buf *out)
{
    const struct fault_row *row = &rows[fault];
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    switch (dialect) {
    case DIALECT_ANTHROPIC:
        put_anthropic(&w, row, message, id);
        break;
    case DIALECT_COHERE:
        json_put_string(&w, "message", message);
        put_openai(&w, row, message);
        break;
    case DIALECT_OPENAI:
    case DIALECT_RESPONSES:
    case DIALECT_MANAGEMENT:
        put_openai(&w, row, message);
        break;
    }
    json_end_object(&w);
}

/* The API's own error event, and what its clients look for in older versions. */
static void write_responses_event(const struct fault_row *row, const char *message, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    json_put_string(&w, "type", "error");
    json_put_string(&w, "code", row->code);
    json_put_string(&w, "message", message);
    json_put_string(&w, "param", row->param);
    put_openai(&w, row, message);
    json_end_object(&w);
}

void fault_write_event(enum fault fault, enum dialect dialect, const char *message,
                       const struct request_id *id, struct buf *out)
{
    bool is_named = dialect == DIALECT_ANTHROPIC || dialect == DIALECT_RESPONSES;
    buf_add_cstr(out, is_named ? "event: error\ndata: " : "data: ");
    if (dialect == DIALECT_RESPONSES)
        write_responses_event(&rows[fault], message, out);
    else
        fault_write(fault, dialect, message, id, out);
    buf_add_cstr(out, "\n\n");
}

size_t fault_reply(struct http_exchange *ex, enum fault fault, enum dialect dialect,
                   const char *message, const struct request_id *id,
                   const struct fault_extra *extra)
{
    static const struct fault_extra nothing;
    const struct fault_row *row = &rows[fault];
    struct http_header headers[FAULT_HEADERS_MAX + REQUEST_ID_HEADERS_MAX + 4] = {
        {STR("Content-Type"), STR("application/json")}};
    unsigned count = 1 + request_id_reply_headers(id, dialect == DIALECT_ANTHROPIC, headers + 1);
    char seconds[24];
    extra = extra ? extra : &nothing;
    assert(extra->header_count <= FAULT_HEADERS_MAX);
    int64_t retry_ms = extra->retry_after_ms ? extra->retry_after_ms : row->retry_after_ms;
    snprintf(seconds, sizeof seconds, "%lld", (long long)((retry_ms + 999) / 1000));
    if (row->status == 401)
        headers[count++] = (struct http_header){STR("WWW-Authenticate"), STR("Bearer")};
    if (retry_ms > 0)
        headers[count++] = (struct http_header){STR("Retry-After"), str_of(seconds)};
    if (extra->allow)
        headers[count++] = (struct http_header){STR("Allow"), str_of(extra->allow)};
    for (unsigned i = 0; i < extra->header_count; i++)
        headers[count++] = extra->headers[i];
    struct buf body = {0};
    fault_write(fault, dialect, message, id, &body);
    http_reply(ex, row->status, headers, count, buf_str(&body));
    size_t bytes = body.len;
    buf_fini(&body);
    return bytes;
}
