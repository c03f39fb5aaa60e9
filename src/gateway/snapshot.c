/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/snapshot.h"

#include <stdlib.h>

/* Entries of one kind sorted by (lookup key, id), and where each key's first one stands. */
struct index {
    atomic_uint refs;
    struct entry **items; /* owned, a reference each */
    size_t count;
    struct map first; /* lookup key -> its first place in `items` */
    struct map by_id; /* id -> entry, of models: targets of routes name them so */
};

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = *(struct entry *const *)left, *b = *(struct entry *const *)right;
    struct str key_a = entry_lookup_key(a), key_b = entry_lookup_key(b);
    size_t shared = key_a.len < key_b.len ? key_a.len : key_b.len;
    int order = shared ? memcmp(key_a.ptr, key_b.ptr, shared) : 0;
    if (order == 0)
        order = (key_a.len > key_b.len) - (key_a.len < key_b.len);
    return order ? order : (a->id > b->id) - (a->id < b->id);
}

static struct str id_key(const int64_t *id)
{
    return str_sub((const char *)id, sizeof *id);
}

static struct index *index_new(const struct map *table)
{
    struct index *index = mem_alloc(sizeof *index);
    atomic_init(&index->refs, 1);
    index->items = mem_alloc_array(table->count, sizeof index->items[0]);
    struct entry *entry;
    for (size_t i = 0; (entry = map_next(table, &i)) != NULL;)
        index->items[index->count++] = entry_ref(entry);
    qsort(index->items, index->count, sizeof index->items[0], compare_entries);
    /* Backwards, so that the first of several with the same key is what stays in the map. */
    for (size_t i = index->count; i-- > 0;)
        map_put(&index->first, entry_lookup_key(index->items[i]), &index->items[i]);
    for (size_t i = 0; i < index->count && index->items[i]->kind == ENTRY_MODEL; i++)
        map_put(&index->by_id, id_key(&index->items[i]->id), index->items[i]);
    return index;
}

static struct index *index_ref(struct index *index)
{
    atomic_fetch_add_explicit(&index->refs, 1, memory_order_relaxed);
    return index;
}

static void index_unref(struct index *index)
{
    if (atomic_fetch_sub_explicit(&index->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < index->count; i++)
        entry_unref(index->items[i]);
    free(index->items);
    map_fini(&index->first);
    map_fini(&index->by_id);
    free(index);
}

/* All entries with that key. */
static struct entry_span index_find(const struct index *index, struct str key)
{
    struct entry *const *first = map_get(&index->first, key);
    if (!first)
        return (struct entry_span){0};
    size_t left = index->count - (size_t)(first - index->items);
    size_t count = 1;
    while (count < left && str_eq(entry_lookup_key(first[count]), key))
        count++;
    return (struct entry_span){.items = first, .count = count};
}

static struct entry *find_one(const struct snapshot *snapshot, enum entry_kind kind, struct str key)
{
    struct entry *const *first = map_get(&snapshot->kinds[kind]->first, key);
    return first ? *first : NULL;
}

struct entry *snapshot_user(const struct snapshot *snapshot, int64_t id)
{
    return find_one(snapshot, ENTRY_USER, id_key(&id));
}

struct entry *snapshot_key(const struct snapshot *snapshot, struct str access_key)
{
    return find_one(snapshot, ENTRY_KEY, access_key);
}

struct entry *snapshot_session(const struct snapshot *snapshot, struct str token_digest)
{
    return find_one(snapshot, ENTRY_SESSION, token_digest);
}

struct entry *snapshot_model(const struct snapshot *snapshot, struct str name)
{
    return find_one(snapshot, ENTRY_MODEL, name);
}

struct entry *snapshot_model_by_id(const struct snapshot *snapshot, int64_t id)
{
    return map_get(&snapshot->kinds[ENTRY_MODEL]->by_id, id_key(&id));
}

struct entry *snapshot_route(const struct snapshot *snapshot, struct str name)
{
    return find_one(snapshot, ENTRY_ROUTE, name);
}

static struct entry_span all_of(const struct snapshot *snapshot, enum entry_kind kind)
{
    const struct index *index = snapshot->kinds[kind];
    return (struct entry_span){.items = index->items, .count = index->count};
}

struct entry_span snapshot_keys(const struct snapshot *snapshot)
{
    return all_of(snapshot, ENTRY_KEY);
}

struct entry_span snapshot_models(const struct snapshot *snapshot)
{
    return all_of(snapshot, ENTRY_MODEL);
}

struct entry_span snapshot_routes(const struct snapshot *snapshot)
{
    return all_of(snapshot, ENTRY_ROUTE);
}

struct entry_span snapshot_endpoints(const struct snapshot *snapshot, int64_t model_id)
{
    return index_find(snapshot->kinds[ENTRY_ENDPOINT], id_key(&model_id));
}

/*
 * A fresh endpoint entry gets the load of the one that it replaces: its requests still run. Only
 * the endpoints of the same model are looked at, since an instance never changes its model.
 */
static void set_load(struct entry *entry, const struct snapshot *before)
{
    if (entry->endpoint.load)
        return;
    struct entry_span known = {0};
    if (before)
        known = snapshot_endpoints(before, entry->endpoint.model_id);
    for (size_t i = 0; i < known.count; i++)
        if (known.items[i]->id == entry->id)
            entry->endpoint.load = endpoint_load_ref(known.items[i]->endpoint.load);
    if (!entry->endpoint.load)
        entry->endpoint.load = endpoint_load_new();
}

/* A changed key was used when it was used before; the feed's reset makes all entries anew. */
static void set_use(struct entry *entry, const struct snapshot *before)
{
    if (atomic_load_explicit(&entry->key.used_ms, memory_order_relaxed))
        return;
    const struct entry *known = snapshot_key(before, entry_lookup_key(entry));
    if (known && known->id == entry->id)
        atomic_store_explicit(&entry->key.used_ms,
                              atomic_load_explicit(&known->key.used_ms, memory_order_relaxed),
                              memory_order_relaxed);
}

struct snapshot *snapshot_build(const struct map tables[ENTRY_KINDS], const bool dirty[ENTRY_KINDS],
                                const struct snapshot *before)
{
    struct snapshot *snapshot = mem_alloc(sizeof *snapshot);
    atomic_init(&snapshot->refs, 1);
    snapshot->number = before ? before->number + 1 : 1;
    struct entry *entry;
    for (size_t i = 0; (entry = map_next(&tables[ENTRY_ENDPOINT], &i)) != NULL;)
        set_load(entry, before);
    for (size_t i = 0; before && dirty[ENTRY_KEY] &&
                       (entry = map_next(&tables[ENTRY_KEY], &i)) != NULL;)
        set_use(entry, before);
    for (int kind = 0; kind < ENTRY_KINDS; kind++)
        snapshot->kinds[kind] =
            before && !dirty[kind] ? index_ref(before->kinds[kind]) : index_new(&tables[kind]);
    return snapshot;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (!snapshot || atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int kind = 0; kind < ENTRY_KINDS; kind++)
        index_unref(snapshot->kinds[kind]);
    free(snapshot);
}
