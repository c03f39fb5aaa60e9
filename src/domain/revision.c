/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/revision.h"

#define FIELD(member) FIELD_OF(struct model_revision, member)

static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_ID, .flags = FIELD_READ_ONLY},
    {FIELD(model_id), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX},
    {FIELD(generation), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX},
    {FIELD(settings), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY},
    {FIELD(created_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
};

const struct record_type model_revision_type = {
    .noun = "model-revision",
    .table = "model_revisions",
    .size = sizeof(struct model_revision),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

char *revision_settings(const struct model *model)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_begin_object(&w);
    for (unsigned i = 0; i < model_type.field_count; i++) {
        const struct field *field = &model_type.fields[i];
        if (!model_is_setting(field))
            continue;
        json_add_key(&w, field->name);
        record_write_field(field, model, &w);
    }
    json_end_object(&w);
    return buf_take(&text);
}

int revision_apply(struct model *model, const char *settings, struct err *err)
{
    auto_fini(json_release) json_t *object = NULL;
    int rc = json_read(str_of(settings), &object, err);
    if (rc == 0)
        rc = record_read(&model_type, model, object, RECORD_MERGE, err);
    return rc == 0 ? model_validate(model, err) : rc;
}
