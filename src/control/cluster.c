/* SPDX-License-Identifier: Apache-2.0 */
#include "control/cluster.h"

#include "auth/auth.h"
#include "base/num.h"

#include <assert.h>
#include <stdio.h>

#define WORKER_TOKEN_PREFIX "gpustack_worker_"

static const struct record_type *const types[] = {
    [KIND_USER] = &user_type,       [KIND_API_KEY] = &api_key_type,
    [KIND_SESSION] = &session_type, [KIND_WORKER] = &worker_type,
    [KIND_MODEL] = &model_type,     [KIND_INSTANCE] = &model_instance_type,
    [KIND_EVENT] = &event_type,     [KIND_REVISION] = &model_revision_type,
    [KIND_ROUTE] = &model_route_type, [KIND_MODEL_METADATA] = &model_metadata_type,
    [KIND_MODEL_FILE] = &model_file_type,
};

static_assert(ARRAY_LEN(types) == KIND_COUNT, "every kind has a type");

/* Where the text stands that is unique among the kind's rows; 0: there is none. */
static const size_t name_offsets[KIND_COUNT] = {
    [KIND_USER] = offsetof(struct user, username),
    [KIND_API_KEY] = offsetof(struct api_key, access_key),
    [KIND_SESSION] = offsetof(struct session, token_digest),
    [KIND_WORKER] = offsetof(struct worker, name),
    [KIND_MODEL] = offsetof(struct model, name),
    [KIND_INSTANCE] = offsetof(struct model_instance, name),
    [KIND_ROUTE] = offsetof(struct model_route, name),
    [KIND_MODEL_METADATA] = offsetof(struct model_metadata, key),
    [KIND_MODEL_FILE] = offsetof(struct model_file, key),
};

const struct record_type *kind_type(enum kind kind)
{
    return types[kind];
}

void cluster_init(struct cluster *cluster)
{
    *cluster = (struct cluster){0};
    for (int kind = 0; kind < KIND_COUNT; kind++)
        table_init(&cluster->tables[kind], types[kind]);
}

void cluster_fini(struct cluster *cluster)
{
    for (int kind = 0; kind < KIND_COUNT; kind++)
        table_fini(&cluster->tables[kind]);
    for (int kind = 0; kind < KIND_COUNT; kind++)
        text_index_fini(&cluster->names[kind]);
    text_index_fini(&cluster->worker_uuids);
    number_index_fini(&cluster->instances_of_model);
    number_index_fini(&cluster->instances_on_worker);
    number_index_fini(&cluster->events_of_object);
    number_index_fini(&cluster->revisions_of_model);
    free(cluster->id);
    mem_free_secret(cluster->secret);
    *cluster = (struct cluster){0};
}

void *cluster_find(const struct cluster *cluster, enum kind kind, int64_t id)
{
    return table_find(&cluster->tables[kind], id);
}

enum kind kind_of_noun(const char *noun)
{
    int kind = 0;
    while (kind < KIND_COUNT && strcmp(types[kind]->noun, noun) != 0)
        kind++;
    return (enum kind)kind;
}

int64_t cluster_object_key(enum kind kind, int64_t id)
{
    return id * (KIND_COUNT + 1) + (int64_t)kind;
}

/* ---- indexes ---- */

const char *cluster_name_of(enum kind kind, const void *row)
{
    const char *name = NULL;
    if (name_offsets[kind])
        memcpy(&name, (const char *)row + name_offsets[kind], sizeof name);
    return name;
}

static void enter_number(struct number_index *index, int64_t key, void *row, bool is_in)
{
    if (is_in)
        number_index_add(index, key, row);
    else
        number_index_remove(index, key, row);
}

static void enter_instance(struct cluster *cluster, struct model_instance *row, bool is_in)
{
    enter_number(&cluster->instances_of_model, row->model_id, row, is_in);
    enter_number(&cluster->instances_on_worker, row->worker_id, row, is_in);
    for (size_t i = 0; i < row->subordinate_worker_ids.count; i++)
        enter_number(&cluster->instances_on_worker, row->subordinate_worker_ids.items[i], row,
                     is_in);
}

/* Puts the row into the indexes of its kind, or takes it out. */
static void enter(struct cluster *cluster, enum kind kind, void *row, bool is_in)
{
    const struct event *event = row;
    const struct worker *worker = row;
    if (is_in)
        text_index_add(&cluster->names[kind], cluster_name_of(kind, row), row);
    else
        text_index_remove(&cluster->names[kind], cluster_name_of(kind, row), row);
    if (kind == KIND_INSTANCE)
        enter_instance(cluster, row, is_in);
    else if (kind == KIND_REVISION)
        enter_number(&cluster->revisions_of_model, ((struct model_revision *)row)->model_id, row,
                     is_in);
    else if (kind == KIND_EVENT)
        enter_number(&cluster->events_of_object,
                     cluster_object_key(kind_of_noun(event->object_kind), event->object_id), row,
                     is_in);
    else if (kind == KIND_WORKER && is_in)
        text_index_add(&cluster->worker_uuids, worker->worker_uuid, row);
    else if (kind == KIND_WORKER)
        text_index_remove(&cluster->worker_uuids, worker->worker_uuid, row);
}

/* Whether the two rows are found by the same; then the indexes may stay as they are. */
static bool is_found_alike(enum kind kind, const void *a, const void *b)
{
    const struct model_instance *one = a, *other = b;
    const char *name = cluster_name_of(kind, a), *new_name = cluster_name_of(kind, b);
    if (name && (!new_name || strcmp(name, new_name) != 0))
        return false;
    return kind != KIND_INSTANCE ||
           (one->worker_id == other->worker_id &&
            record_field_is_equal(record_field(&model_instance_type, "subordinate_worker_ids"), a,
                                  b));
}

/* Moves the record into its row, new or not, with the indexes in step. */
static void *put_row(struct cluster *cluster, enum kind kind, void *record)
{
    struct table *table = &cluster->tables[kind];
    void *before = table_find(table, record_id(record));
    bool is_moved = before && !is_found_alike(kind, before, record);
    if (is_moved)
        enter(cluster, kind, before, false);
    void *row = table_put(table, record);
    if (!before || is_moved)
        enter(cluster, kind, row, true);
    return row;
}

void cluster_load(struct cluster *cluster, enum kind kind, const void *record)
{
    auto_free void *copy = mem_alloc(types[kind]->size);
    record_copy(types[kind], copy, record);
    put_row(cluster, kind, copy);
}

/* ---- changes ---- */

static void set_time(const struct field *field, void *record, int64_t now_ms)
{
    if (field)
        memcpy((char *)record + field->offset, &now_ms, sizeof now_ms);
}

void *cluster_put(struct cluster *cluster, enum kind kind, void *record, int64_t now_ms)
{
    struct table *table = &cluster->tables[kind];
    const void *before = table_find(table, record_id(record));
    bool durable = true;
    if (before) {
        durable = !record_is_equal(table->type, before, record, false);
        if (!durable && record_is_equal(table->type, before, record, true)) {
            record_fini(table->type, record);
            return table_find(table, record_id(before));
        }
    } else {
        if (record_id(record) == 0)
            *(int64_t *)record = table->last_id + 1;
        set_time(table->created_at, record, now_ms);
    }
    if (durable)
        set_time(table->updated_at, record, now_ms);
    void *row = put_row(cluster, kind, record);
    if (cluster->sink)
        cluster->sink->on_put(kind, row, durable, cluster->sink_ctx);
    return row;
}

/* Deletes every record of `kind` whose integer at `offset` is `id`. */
static void delete_children(struct cluster *cluster, enum kind kind, size_t offset, int64_t id)
{
    const struct table *table = &cluster->tables[kind];
    for (size_t i = table->count; i-- > 0;) {
        const char *row = table->rows[i];
        int64_t parent;
        memcpy(&parent, row + offset, sizeof parent);
        if (parent == id)
            cluster_delete(cluster, kind, record_id(row));
    }
}

/* Deletes every record of `kind` under the key. */
static void delete_found(struct cluster *cluster, enum kind kind, const struct number_index *index,
                         int64_t key)
{
    const struct index_bucket *bucket;
    while ((bucket = number_index_find(index, key)))
        cluster_delete(cluster, kind, record_id(bucket->rows[bucket->count - 1]));
}

static void delete_parts(struct cluster *cluster, enum kind kind, int64_t id)
{
    if (kind == KIND_USER) {
        delete_children(cluster, KIND_API_KEY, offsetof(struct api_key, user_id), id);
        delete_children(cluster, KIND_SESSION, offsetof(struct session, user_id), id);
    } else if (kind == KIND_MODEL) {
        delete_found(cluster, KIND_INSTANCE, &cluster->instances_of_model, id);
        delete_found(cluster, KIND_REVISION, &cluster->revisions_of_model, id);
    }
}

void cluster_delete(struct cluster *cluster, enum kind kind, int64_t id)
{
    if (!cluster_find(cluster, kind, id))
        return;
    delete_parts(cluster, kind, id);
    void *row = table_take(&cluster->tables[kind], id);
    enter(cluster, kind, row, false);
    if (cluster->sink)
        cluster->sink->on_delete(kind, row, cluster->sink_ctx);
    table_free_row(&cluster->tables[kind], row);
}

/* ---- finding ---- */

struct user *cluster_user_by_name(const struct cluster *cluster, const char *username)
{
    return text_index_find(&cluster->names[KIND_USER], username);
}

struct model *cluster_model_by_name(const struct cluster *cluster, const char *name)
{
    return text_index_find(&cluster->names[KIND_MODEL], name);
}

struct worker *cluster_worker_by_uuid(const struct cluster *cluster, const char *uuid)
{
    return text_index_find(&cluster->worker_uuids, uuid);
}

struct worker *cluster_worker_by_name(const struct cluster *cluster, const char *name)
{
    return text_index_find(&cluster->names[KIND_WORKER], name);
}

struct model_instance *cluster_instance_by_name(const struct cluster *cluster, const char *name)
{
    return text_index_find(&cluster->names[KIND_INSTANCE], name);
}

struct model_route *cluster_route_by_name(const struct cluster *cluster, const char *name)
{
    return text_index_find(&cluster->names[KIND_ROUTE], name);
}

struct model_metadata *cluster_metadata_by_key(const struct cluster *cluster, const char *key)
{
    return text_index_find(&cluster->names[KIND_MODEL_METADATA], key);
}

struct model_file *cluster_file_by_key(const struct cluster *cluster, const char *key)
{
    return text_index_find(&cluster->names[KIND_MODEL_FILE], key);
}

struct api_key *cluster_key_by_access(const struct cluster *cluster, const char *access_key)
{
    return text_index_find(&cluster->names[KIND_API_KEY], access_key);
}

struct session *cluster_session_by_digest(const struct cluster *cluster, const char *digest)
{
    return text_index_find(&cluster->names[KIND_SESSION], digest);
}

/* ---- tokens ---- */

static char *token_of(const struct cluster *cluster, const char *what, const char *subject)
{
    auto_free char *text = mem_printf("%s:%s", what, subject);
    char digest[AUTH_DIGEST_HEX];
    auth_hmac(str_of(cluster->secret), str_of(text), digest);
    return mem_strdup(digest);
}

char *cluster_worker_token(const struct cluster *cluster, const struct worker *worker)
{
    auto_free char *digest = token_of(cluster, "worker", worker->worker_uuid);
    return mem_printf(WORKER_TOKEN_PREFIX "%lld_%s", (long long)worker->id, digest);
}

char *cluster_instance_token(const struct cluster *cluster, int64_t instance_id)
{
    char subject[24];
    snprintf(subject, sizeof subject, "%lld", (long long)instance_id);
    return token_of(cluster, "instance", subject);
}

struct worker *cluster_worker_by_token(const struct cluster *cluster, const char *token)
{
    struct str rest = str_of(token);
    if (!str_has_prefix(rest, STR(WORKER_TOKEN_PREFIX)))
        return NULL;
    rest = str_skip(rest, sizeof WORKER_TOKEN_PREFIX - 1);
    struct str number = str_sub(rest.ptr, str_find(rest, '_'));
    int64_t id;
    if (num_parse_i64(number, 1, INT64_MAX, &id) < 0)
        return NULL;
    struct worker *worker = cluster_find(cluster, KIND_WORKER, id);
    if (!worker)
        return NULL;
    auto_free char *expected = cluster_worker_token(cluster, worker);
    return str_eq_const_time(str_of(expected), str_of(token)) ? worker : NULL;
}
