/* SPDX-License-Identifier: Apache-2.0 */
#include "control/events.h"

static const struct event *find_event(const struct cluster *cluster, int64_t key,
                                      enum event_code code)
{
    CLUSTER_FOR_KEY(&cluster->events_of_object, key, struct event, event) {
        if (event->code == (int)code)
            return event;
    }
    return NULL;
}

bool events_has(const struct cluster *cluster, enum kind kind, int64_t id, enum event_code code)
{
    return find_event(cluster, cluster_object_key(kind, id), code) != NULL;
}

static void drop_oldest_of(struct cluster *cluster, int64_t key)
{
    const struct index_bucket *bucket = number_index_find(&cluster->events_of_object, key);
    if (bucket && bucket->count >= EVENTS_PER_OBJECT_MAX)
        cluster_delete(cluster, KIND_EVENT, record_id(bucket->rows[0]));
}

static void drop_oldest(struct cluster *cluster)
{
    const struct table *table = &cluster->tables[KIND_EVENT];
    if (table->count >= EVENTS_MAX)
        cluster_delete(cluster, KIND_EVENT, record_id(table->rows[0]));
}

/* A copy of the row that counts it, or a fresh one. */
static void begin(struct cluster *cluster, enum kind kind, const void *record, enum event_code code,
                  int64_t now_ms, struct event *ret)
{
    int64_t key = cluster_object_key(kind, record_id(record));
    const struct event *known = find_event(cluster, key, code);
    record_init(&event_type, ret);
    if (known) {
        record_copy(&event_type, ret, known);
        return;
    }
    drop_oldest_of(cluster, key);
    drop_oldest(cluster);
    mem_replace(&ret->object_kind, kind_type(kind)->noun);
    ret->object_id = record_id(record);
    ret->code = (int)code;
    ret->type = (int)event_code_type(code);
    ret->first_at = now_ms;
}

void events_note(struct cluster *cluster, enum kind kind, const void *record, enum event_code code,
                 const char *args, int64_t now_ms, const char *fmt, ...)
{
    struct event event = {0};
    begin(cluster, kind, record, code, now_ms, &event);
    va_list list;
    va_start(list, fmt);
    free(event.message);
    event.message = mem_vprintf(fmt, list);
    va_end(list);
    mem_replace(&event.object_name, cluster_name_of(kind, record));
    mem_replace(&event.args, args);
    event.count++;
    event.last_at = now_ms;
    cluster_put(cluster, KIND_EVENT, &event, now_ms);
}
