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
};

static_assert(ARRAY_LEN(types) == KIND_COUNT, "every kind has a type");

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
    free(cluster->id);
    mem_free_secret(cluster->secret);
    *cluster = (struct cluster){0};
}

void *cluster_find(const struct cluster *cluster, enum kind kind, int64_t id)
{
    return table_find(&cluster->tables[kind], id);
}

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
    void *row = table_put(table, record);
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

void cluster_delete(struct cluster *cluster, enum kind kind, int64_t id)
{
    if (!cluster_find(cluster, kind, id))
        return;
    if (kind == KIND_USER) {
        delete_children(cluster, KIND_API_KEY, offsetof(struct api_key, user_id), id);
        delete_children(cluster, KIND_SESSION, offsetof(struct session, user_id), id);
    } else if (kind == KIND_MODEL) {
        delete_children(cluster, KIND_INSTANCE, offsetof(struct model_instance, model_id), id);
    }
    void *row = table_take(&cluster->tables[kind], id);
    if (cluster->sink)
        cluster->sink->on_delete(kind, row, cluster->sink_ctx);
    table_free_row(&cluster->tables[kind], row);
}

/* First record of `kind` whose string at `offset` is `text`, or NULL. */
static void *find_by_text(const struct cluster *cluster, enum kind kind, size_t offset,
                          const char *text)
{
    const struct table *table = &cluster->tables[kind];
    for (size_t i = 0; text && i < table->count; i++) {
        const char *value;
        memcpy(&value, (const char *)table->rows[i] + offset, sizeof value);
        if (value && strcmp(value, text) == 0)
            return table->rows[i];
    }
    return NULL;
}

struct user *cluster_user_by_name(const struct cluster *cluster, const char *username)
{
    return find_by_text(cluster, KIND_USER, offsetof(struct user, username), username);
}

struct model *cluster_model_by_name(const struct cluster *cluster, const char *name)
{
    return find_by_text(cluster, KIND_MODEL, offsetof(struct model, name), name);
}

struct worker *cluster_worker_by_uuid(const struct cluster *cluster, const char *uuid)
{
    return find_by_text(cluster, KIND_WORKER, offsetof(struct worker, worker_uuid), uuid);
}

struct worker *cluster_worker_by_name(const struct cluster *cluster, const char *name)
{
    return find_by_text(cluster, KIND_WORKER, offsetof(struct worker, name), name);
}

struct model_instance *cluster_instance_by_name(const struct cluster *cluster, const char *name)
{
    return find_by_text(cluster, KIND_INSTANCE, offsetof(struct model_instance, name), name);
}

struct api_key *cluster_key_by_access(const struct cluster *cluster, const char *access_key)
{
    return find_by_text(cluster, KIND_API_KEY, offsetof(struct api_key, access_key), access_key);
}

struct session *cluster_session_by_digest(const struct cluster *cluster, const char *digest)
{
    return find_by_text(cluster, KIND_SESSION, offsetof(struct session, token_digest), digest);
}

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
