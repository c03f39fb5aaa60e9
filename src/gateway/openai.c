/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/openai.h"

struct fault_row {
    unsigned status;
    const char *type;
    const char *code;
    const char *param;       /* NULL: null */
    const char *retry_after; /* seconds; NULL: no such header */
};

static const struct fault_row faults[OPENAI_FAULTS] = {
    [OPENAI_BAD_BODY] = {400, "invalid_request_error", "invalid_body", NULL, NULL},
    [OPENAI_BAD_CREDENTIALS] = {401, "invalid_request_error", "invalid_api_key", NULL, NULL},
    [OPENAI_NOT_PERMITTED] = {403, "permission_error", "not_permitted", NULL, NULL},
    [OPENAI_MODEL_FORBIDDEN] = {403, "permission_error", "model_not_allowed", "model", NULL},
    [OPENAI_MODEL_UNKNOWN] = {404, "invalid_request_error", "model_not_found", "model", NULL},
    [OPENAI_PATH_UNKNOWN] = {404, "invalid_request_error", "unknown_url", NULL, NULL},
    [OPENAI_METHOD_UNKNOWN] = {405, "invalid_request_error", "method_not_allowed", NULL, NULL},
    [OPENAI_BODY_TOO_LARGE] = {413, "invalid_request_error", "request_too_large", NULL, NULL},
    [OPENAI_ENGINE_FAILED] = {502, "server_error", "engine_failed", NULL, NULL},
    [OPENAI_ENGINE_AWAY] = {503, "server_error", "engine_unreachable", NULL, "5"},
    [OPENAI_NO_INSTANCE] = {503, "server_error", "no_instance_ready", "model", "5"},
    [OPENAI_NOT_READY] = {503, "server_error", "gateway_not_ready", NULL, "1"},
};

void openai_write_error(enum openai_fault fault, const char *message, struct buf *out)
{
    const struct fault_row *row = &faults[fault];
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    json_add_key(&w, "error");
    json_begin_object(&w);
    json_put_string(&w, "message", message);
    json_put_string(&w, "type", row->type);
    json_put_string(&w, "code", row->code);
    json_put_string(&w, "param", row->param);
    json_end_object(&w);
    json_end_object(&w);
}

void openai_reply_error(struct http_exchange *ex, const struct request_id *id,
                        enum openai_fault fault, const char *message, const char *allow)
{
    const struct fault_row *row = &faults[fault];
    struct http_header headers[4] = {{STR("Content-Type"), STR("application/json")},
                                     request_id_header(id)};
    unsigned count = 2;
    if (row->status == 401)
        headers[count++] = (struct http_header){STR("WWW-Authenticate"), STR("Bearer")};
    if (row->retry_after)
        headers[count++] = (struct http_header){STR("Retry-After"), str_of(row->retry_after)};
    if (allow)
        headers[count++] = (struct http_header){STR("Allow"), str_of(allow)};
    struct buf body = {0};
    openai_write_error(fault, message, &body);
    http_reply(ex, row->status, headers, count, buf_str(&body));
    buf_fini(&body);
}

static void reply_json(struct http_exchange *ex, const struct request_id *id, struct buf *body)
{
    const struct http_header headers[] = {{STR("Content-Type"), STR("application/json")},
                                          request_id_header(id)};
    http_reply(ex, 200, headers, ARRAY_LEN(headers), buf_str(body));
    buf_fini(body);
}

static void write_model(struct json_writer *w, const struct entry *model)
{
    json_begin_object(w);
    json_put_string(w, "id", model->model.name);
    json_put_string(w, "object", "model");
    json_put_int(w, "created", model->model.created_ms / 1000);
    json_put_string(w, "owned_by", "gpustack");
    json_end_object(w);
}

static bool may_use(const struct entry *key, const char *name)
{
    return !key || entry_list_allows(&key->key.allowed_model_names, name);
}

void openai_reply_models(struct http_exchange *ex, const struct request_id *id,
                         const struct snapshot *snapshot, const struct entry *key)
{
    struct entry_span models = snapshot_models(snapshot);
    struct buf body = {0};
    struct json_writer w = json_writer_into(&body);
    json_begin_object(&w);
    json_put_string(&w, "object", "list");
    json_add_key(&w, "data");
    json_begin_array(&w);
    for (size_t i = 0; i < models.count; i++)
        if (may_use(key, models.items[i]->model.name) &&
            snapshot_endpoints(snapshot, models.items[i]->id).count > 0)
            write_model(&w, models.items[i]);
    json_end_array(&w);
    json_end_object(&w);
    reply_json(ex, id, &body);
}

void openai_reply_model(struct http_exchange *ex, const struct request_id *id,
                        const struct entry *model)
{
    struct buf body = {0};
    struct json_writer w = json_writer_into(&body);
    write_model(&w, model);
    reply_json(ex, id, &body);
}

bool openai_find_model(const struct snapshot *snapshot, const struct entry *key, const char *name,
                       struct entry **ret, enum openai_fault *ret_fault, struct err *err)
{
    struct entry *model = snapshot_model(snapshot, str_of(name));
    if (model && may_use(key, name)) {
        *ret = model;
        return true;
    }
    *ret_fault = model ? OPENAI_MODEL_FORBIDDEN : OPENAI_MODEL_UNKNOWN;
    if (model)
        err_set(err, ERR_FORBIDDEN, "the API key may not use the model '%s'", name);
    else
        err_set(err, ERR_NOT_FOUND, "the model '%s' does not exist", name);
    return false;
}
