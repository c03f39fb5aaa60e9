/* SPDX-License-Identifier: Apache-2.0 */
#include "control/changes.h"

#include <assert.h>

#define uthash_fatal(text) abort()
#define HASH_FUNCTION HASH_SAX /* the default one falls through cases without a mark */
#include <uthash.h>

struct change_entry {
    struct change_row row; /* first: changes_next() comes back from it */
    UT_hash_handle hh;
    int64_t key;
    struct list_node order, tombstone, late;
    int64_t told_ms;                  /* when it got its seq */
    const struct change_batch *batch; /* the last one that it was put into, */
    size_t slot;                      /* and where there */
};

struct change_item {
    struct change_entry *entry;
    bool is_durable;
};

bool changes_has_kind(enum kind kind)
{
    return kind != KIND_SESSION && kind != KIND_REVISION && kind != KIND_MODEL_METADATA;
}

/* ---- entries ---- */

static int64_t key_of(enum kind kind, int64_t id)
{
    static_assert(KIND_COUNT <= 16, "a kind has four bits of the key");
    return id << 4 | (int64_t)kind;
}

static struct change_entry *get_entry(struct change_log *log, enum kind kind, int64_t id)
{
    int64_t key = key_of(kind, id);
    struct change_entry *entry = NULL;
    HASH_FIND(hh, log->entries, &key, sizeof key, entry);
    if (entry)
        return entry;
    entry = mem_alloc(sizeof *entry);
    entry->key = key;
    entry->row.kind = kind;
    entry->row.id = id;
    HASH_ADD(hh, log->entries, key, sizeof entry->key, entry);
    return entry;
}

static void drop_entry(struct change_log *log, struct change_entry *entry)
{
    HASH_DEL(log->entries, entry);
    list_remove(&entry->order);
    list_remove(&entry->tombstone);
    list_remove(&entry->late);
    if (entry->row.deleted)
        record_fini(kind_type(entry->row.kind), entry->row.deleted);
    free(entry->row.deleted);
    free(entry);
}

static void drop_oldest_tombstone(struct change_log *log)
{
    struct change_entry *oldest = LIST_FIRST(&log->tombstones, struct change_entry, tombstone);
    assert(oldest->row.unsettled == 0);
    log->horizon = oldest->row.seq;
    log->tombstone_count--;
    drop_entry(log, oldest);
}

/* Moves the row to the end of the log. */
static void tell(struct change_log *log, struct change_entry *entry, int64_t now_ms)
{
    list_remove(&entry->late);
    list_remove(&entry->order);
    list_add_tail(&log->order, &entry->order);
    entry->row.seq = ++log->seq;
    entry->told_ms = now_ms;
    if (!entry->row.deleted)
        return;
    list_add_tail(&log->tombstones, &entry->tombstone);
    if (++log->tombstone_count > CHANGES_TOMBSTONES_MAX)
        drop_oldest_tombstone(log);
}

/* ---- noting ---- */

static void add_item(struct change_batch *batch, struct change_entry *entry, bool is_durable)
{
    if (entry->batch != batch) {
        if (batch->count == batch->cap) {
            batch->cap = batch->cap ? batch->cap * 2 : 16;
            batch->items = mem_resize(batch->items, batch->cap * sizeof *batch->items);
        }
        entry->batch = batch;
        entry->slot = batch->count++;
        batch->items[entry->slot] = (struct change_item){.entry = entry};
    }
    struct change_item *item = &batch->items[entry->slot];
    entry->row.unsettled += is_durable && !item->is_durable;
    item->is_durable = item->is_durable || is_durable;
}

void changes_note_put(struct change_log *log, struct change_batch *batch, enum kind kind,
                      const void *record, bool is_durable)
{
    if (changes_has_kind(kind))
        add_item(batch, get_entry(log, kind, record_id(record)), is_durable);
}

void changes_note_delete(struct change_log *log, struct change_batch *batch, enum kind kind,
                         const void *record)
{
    if (!changes_has_kind(kind))
        return;
    struct change_entry *entry = get_entry(log, kind, record_id(record));
    entry->row.deleted = mem_alloc(kind_type(kind)->size);
    record_copy(kind_type(kind), entry->row.deleted, record);
    add_item(batch, entry, true);
}

/* ---- settling ---- */

static void settle_durable(struct change_log *log, struct change_entry *entry, int64_t now_ms)
{
    if (--entry->row.unsettled > 0)
        return;
    if (entry->row.deleted && entry->row.seq == 0)
        drop_entry(log, entry); /* it came and went, and nobody was told */
    else
        tell(log, entry, now_ms);
}

static void settle_transient(struct change_log *log, struct change_entry *entry, int64_t now_ms)
{
    /* What is deleted or changed durably is told with that. */
    if (entry->row.deleted || entry->row.unsettled > 0)
        return;
    if (now_ms - entry->told_ms >= CHANGES_QUIET_MS)
        tell(log, entry, now_ms);
    else if (!list_is_linked(&entry->late))
        list_add_tail(&log->late, &entry->late);
}

void changes_settle(struct change_log *log, const struct change_batch *batch, int64_t now_ms)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct change_entry *entry = batch->items[i].entry;
        /* The next batch may get the same address. */
        if (entry->batch == batch)
            entry->batch = NULL;
        if (batch->items[i].is_durable)
            settle_durable(log, entry, now_ms);
        else
            settle_transient(log, entry, now_ms);
    }
}

bool changes_has_late(const struct change_log *log)
{
    return !list_is_empty(&log->late);
}

void changes_flush_late(struct change_log *log, int64_t now_ms)
{
    LIST_FOR_EACH(struct change_entry, entry, &log->late, late) {
        bool is_due = now_ms - entry->told_ms >= CHANGES_QUIET_MS;
        if (entry->row.deleted || entry->row.unsettled > 0)
            list_remove(&entry->late);
        else if (is_due)
            tell(log, entry, now_ms);
    }
}

/* ---- reading ---- */

static const struct change_row *row_at(const struct change_log *log, struct list_node *node)
{
    return node == &log->order ? NULL : &CONTAINER_OF(node, struct change_entry, order)->row;
}

const struct change_row *changes_after(const struct change_log *log, uint64_t seq)
{
    if (seq == 0)
        return row_at(log, log->order.next);
    /* From the end: most readers are near it. */
    struct list_node *node = log->order.prev;
    while (node != &log->order && row_at(log, node)->seq > seq)
        node = node->prev;
    return row_at(log, node->next);
}

const struct change_row *changes_next(const struct change_log *log, const struct change_row *row)
{
    static_assert(offsetof(struct change_entry, row) == 0, "an entry begins with its row");
    const struct change_entry *entry = (const void *)row;
    return row_at(log, entry->order.next);
}

bool changes_knows(const struct change_log *log, uint64_t seq)
{
    return seq >= log->horizon && seq <= log->seq;
}

/* ---- life ---- */

void changes_init(struct change_log *log, const struct cluster *cluster)
{
    *log = (struct change_log){0};
    list_init(&log->order);
    list_init(&log->tombstones);
    list_init(&log->late);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        const struct table *table = &cluster->tables[kind];
        for (size_t i = 0; changes_has_kind((enum kind)kind) && i < table->count; i++)
            tell(log, get_entry(log, (enum kind)kind, record_id(table->rows[i])), 0);
    }
}

void changes_fini(struct change_log *log)
{
    struct change_entry *entry, *next;
    HASH_ITER(hh, log->entries, entry, next)
        drop_entry(log, entry);
}

void change_batch_fini(struct change_batch *batch)
{
    free(batch->items);
    *batch = (struct change_batch){0};
}
