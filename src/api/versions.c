/* SPDX-License-Identifier: Apache-2.0 */
/* Optimistic writes: which version a client means, and when a record gets a new one. */
#include "api/api_priv.h"

#include "base/num.h"

static int64_t *version_of(enum kind kind, void *record)
{
    const struct field *field = record_field(kind_type(kind), "version");
    return (int64_t *)(void *)((char *)record + field->offset);
}

static int64_t read_version(enum kind kind, const void *record)
{
    const struct field *field = record_field(kind_type(kind), "version");
    int64_t version;
    memcpy(&version, (const char *)record + field->offset, sizeof version);
    return version;
}

/* ---- what a write names ---- */

static int refuse(struct request *rq, enum kind kind, const void *record, const char *named,
                  struct err *err)
{
    const struct record_type *type = kind_type(kind);
    struct buf current = {0};
    struct json_writer w = json_writer_into(&current);
    record_write(type, record, &w);
    free(rq->current);
    rq->current = buf_take(&current);
    return err_set(err, ERR_CONFLICT,
                   "%s %lld was changed by somebody else: version %.32s was named, %lld is the "
                   "present one (see \"current\"); look at what changed and write again with it",
                   type->noun, (long long)record_id(record), named,
                   (long long)read_version(kind, record));
}

/* One entry of If-Match: "7", also without quotes or marked as weak; "*" is any. */
static bool matches(struct str tag, int64_t version)
{
    tag = str_trim(tag);
    if (str_has_prefix(tag, STR("W/")))
        tag = str_skip(tag, 2);
    if (str_eq(tag, STR("*")))
        return true;
    if (tag.len >= 2 && tag.ptr[0] == '"' && tag.ptr[tag.len - 1] == '"')
        tag = str_sub(tag.ptr + 1, tag.len - 2);
    int64_t number;
    return num_parse_i64(tag, 0, INT64_MAX, &number) == 0 && number == version;
}

static int check_header(struct request *rq, enum kind kind, const void *record, struct err *err)
{
    struct str rest = http_headers_get(&http_exchange_head(rq->ex)->headers, "if-match"), tag;
    if (!rest.ptr)
        return 0;
    auto_free char *named = str_dup(rest);
    while (str_split(&rest, ',', &tag))
        if (matches(tag, read_version(kind, record)))
            return 0;
    return refuse(rq, kind, record, named, err);
}

static int check_body(struct request *rq, enum kind kind, const void *record, struct err *err)
{
    const json_t *named = json_object_get(rq->body, "version");
    if (!named || json_is_null(named))
        return 0;
    int64_t version;
    if (!json_take_integer(named, &version))
        return err_set(err, ERR_INVALID, "version must be an integer, as it was read");
    if (version == read_version(kind, record))
        return 0;
    auto_free char *text = mem_printf("%lld", (long long)version);
    return refuse(rq, kind, record, text, err);
}

int version_check(struct request *rq, enum kind kind, const void *record, struct err *err)
{
    int rc = check_body(rq, kind, record, err);
    return rc == 0 && rq->ex ? check_header(rq, kind, record, err) : rc;
}

/* ---- when it grows ---- */

/* Fields that a client may write and that stay. */
static bool counts(const struct field *field)
{
    return !(field->flags & (FIELD_READ_ONLY | FIELD_TRANSIENT | FIELD_WRITE_ONLY));
}

void version_grow(enum kind kind, const void *before, void *after)
{
    const struct record_type *type = kind_type(kind);
    for (unsigned i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        if (!counts(field) || record_field_is_equal(field, before, after))
            continue;
        *version_of(kind, after) = read_version(kind, before) + 1;
        return;
    }
}

/* ---- answers ---- */

int reply_record(struct request *rq, enum kind kind, const void *record)
{
    rq->etag = read_version(kind, record);
    record_write(kind_type(kind), record, &rq->json);
    return 0;
}
