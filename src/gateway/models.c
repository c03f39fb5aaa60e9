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

static void write_model(struct json_writer *w, const char *name, const struct entry *model)
{
    json_begin_object(w);
    json_put_string(w, "id", name);
    json_put_string(w, "object", "model");
    json_put_int(w, "created", model->model.created_ms / 1000);
    json_put_string(w, "owned_by", "gpustack");
    json_end_object(w);
}

static bool may_use(const struct entry *key, const char *name)
{
    return !key || entry_list_allows(&key->key.allowed_model_names, name);
}

/* Writes the name if it can be used now. */
static void write_served(struct json_writer *w, const struct snapshot *snapshot,
                         const struct entry *key, const char *name)
{
    struct targets targets;
    if (may_use(key, name) && targets_find(snapshot, name, 0, &targets) &&
        targets_are_served(snapshot, &targets))
        write_model(w, name, targets.models[0]);
}

void models_reply_list(struct http_exchange *ex, const struct request_id *id,
                       const struct snapshot *snapshot, const struct entry *key)
{
    struct entry_span models = snapshot_models(snapshot), routes = snapshot_routes(snapshot);
    struct buf body = {0};
    struct json_writer w = json_writer_into(&body);
    json_begin_object(&w);
    json_put_string(&w, "object", "list");
    json_add_key(&w, "data");
    json_begin_array(&w);
    for (size_t i = 0; i < models.count; i++)
        if (!snapshot_route(snapshot, str_of(models.items[i]->model.name)))
            write_served(&w, snapshot, key, models.items[i]->model.name);
    for (size_t i = 0; i < routes.count; i++)
        write_served(&w, snapshot, key, routes.items[i]->route.name);
    json_end_array(&w);
    json_end_object(&w);
    reply_json(ex, id, &body);
}

void models_reply_one(struct http_exchange *ex, const struct request_id *id, const char *name,
                      const struct targets *targets)
{
    struct buf body = {0};
    struct json_writer w = json_writer_into(&body);
    write_model(&w, name, targets->models[0]);
    reply_json(ex, id, &body);
}

bool models_find(const struct snapshot *snapshot, const struct entry *key, const char *name,
                 unsigned turn, struct targets *ret, enum fault *ret_fault, struct err *err)
{
    bool is_known = targets_find(snapshot, name, turn, ret);
    if (is_known && may_use(key, name))
        return true;
    *ret_fault = is_known ? FAULT_MODEL_FORBIDDEN : FAULT_MODEL_UNKNOWN;
    if (is_known)
        err_set(err, ERR_FORBIDDEN, "the API key may not use the model '%s'", name);
    else
        err_set(err, ERR_NOT_FOUND, "the model '%s' does not exist", name);
    return false;
}
