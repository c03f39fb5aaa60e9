/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/models.h"

#include "base/json.h"

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

void models_reply_list(struct http_exchange *ex, const struct request_id *id,
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

void models_reply_one(struct http_exchange *ex, const struct request_id *id,
                      const struct entry *model)
{
    struct buf body = {0};
    struct json_writer w = json_writer_into(&body);
    write_model(&w, model);
    reply_json(ex, id, &body);
}

bool models_find(const struct snapshot *snapshot, const struct entry *key, const char *name,
                 struct entry **ret, enum fault *ret_fault, struct err *err)
{
    struct entry *model = snapshot_model(snapshot, str_of(name));
    if (model && may_use(key, name)) {
        *ret = model;
        return true;
    }
    *ret_fault = model ? FAULT_MODEL_FORBIDDEN : FAULT_MODEL_UNKNOWN;
    if (model)
        err_set(err, ERR_FORBIDDEN, "the API key may not use the model '%s'", name);
    else
        err_set(err, ERR_NOT_FOUND, "the model '%s' does not exist", name);
    return false;
}
