/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the files of models: the catalogue of control/shapes.h, to look at. */
#include "api/api_priv.h"

#include "control/shapes.h"

static void write_ids(struct json_writer *w, const char *key, const struct int_list *ids)
{
    json_add_key(w, key);
    json_begin_array(w);
    for (size_t i = 0; i < ids->count; i++)
        json_add_int(w, ids->items[i]);
    json_end_array(w);
}

static void put_number(struct json_writer *w, const char *key, uint64_t number)
{
    json_add_key(w, key);
    if (number)
        json_add_int(w, (int64_t)number);
    else
        json_add_null(w);
}

static void write_shape(struct json_writer *w, const struct model_shape *shape)
{
    static const struct model_shape unknown;
    const bool is_known = shape != NULL;
    shape = is_known ? shape : &unknown;
    json_put_string(w, "format",
                    is_known ? model_format_name((enum model_format)shape->format) : NULL);
    json_put_string(w, "kind", is_known ? model_kind_name((enum model_kind)shape->kind) : NULL);
    json_put_string(w, "architecture", *shape->architecture ? shape->architecture : NULL);
    json_put_string(w, "quantization", *shape->quantization ? shape->quantization : NULL);
    put_number(w, "parameter_count", shape->parameter_count);
    put_number(w, "tensor_bytes", shape->tensor_bytes);
    put_number(w, "context_length", shape->context_length);
}

static void write_entry(struct json_writer *w, const struct shape_entry *entry)
{
    json_begin_object(w);
    json_put_string(w, "key", entry->key);
    json_put_string(w, "state", shape_state_name(entry->state));
    json_put_string(w, "message", entry->message);
    json_put_bool(w, "is_local", entry->is_local);
    json_put_bool(w, "is_stated", entry->is_stated);
    write_shape(w, entry->shape);
    json_put_bool(w, "has_projector", entry->projector != NULL);
    write_ids(w, "present_on", &entry->present_on);
    write_ids(w, "absent_on", &entry->absent_on);
    json_end_object(w);
}

int model_metadata_list(struct request *rq, struct err *err)
{
    size_t count;
    auto_free const struct shape_entry **entries =
        shapes_list(control_shapes(rq->control), &count);
    json_begin_object(&rq->json);
    json_add_key(&rq->json, "items");
    json_begin_array(&rq->json);
    for (size_t i = 0; i < count; i++)
        write_entry(&rq->json, entries[i]);
    json_end_array(&rq->json);
    json_end_object(&rq->json);
    return 0;
}
