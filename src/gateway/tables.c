/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tables.h"

static void clear_kinds(struct tables *tables)
{
    for (int kind = 0; kind < ENTRY_KINDS; kind++) {
        struct entry *entry;
        for (size_t i = 0; (entry = map_next(&tables->kinds[kind], &i)) != NULL;)
            entry_unref(entry);
        map_fini(&tables->kinds[kind]);
    }
}

void tables_fini(struct tables *tables)
{
    clear_kinds(tables);
    limit_book_fini(&tables->limits);
    *tables = (struct tables){0};
}

void tables_clear(struct tables *tables)
{
    clear_kinds(tables);
    *tables = (struct tables){.limits = tables->limits};
}

bool tables_is_dirty(const struct tables *tables)
{
    for (int kind = 0; kind < ENTRY_KINDS; kind++)
        if (tables->dirty[kind])
            return true;
    return false;
}

void tables_clean(struct tables *tables)
{
    memset(tables->dirty, 0, sizeof tables->dirty);
}

/* What follows is everything: also an empty kind counts as changed. */
static void reset(struct tables *tables)
{
    tables_clear(tables);
    limit_book_reset(&tables->limits);
    tables->is_open = true;
    memset(tables->dirty, true, sizeof tables->dirty);
}

static struct str id_key(const int64_t *id)
{
    return str_sub((const char *)id, sizeof *id);
}

static void set_limit(struct tables *tables, struct entry *entry)
{
    struct limit_subject subject;
    if (entry_limits(entry, &subject))
        entry_set_limit(entry, limit_book_state(&tables->limits, subject.kind, entry->id,
                                                subject.limits));
}

static int put(struct tables *tables, enum entry_kind kind, const json_t *object, struct err *err)
{
    struct map *table = &tables->kinds[kind];
    struct entry *entry;
    int rc = entry_read(kind, object, &entry, err);
    if (rc < 0)
        return err_wrap(err, rc, "%s", entry_kind_name(kind));
    if (table->count >= TABLES_ENTRIES_MAX && !map_get(table, id_key(&entry->id))) {
        entry_unref(entry);
        return err_set(err, ERR_TOO_LARGE, "more than %d entries of kind %s", TABLES_ENTRIES_MAX,
                       entry_kind_name(kind));
    }
    set_limit(tables, entry);
    entry_unref(map_put(table, id_key(&entry->id), entry));
    tables->dirty[kind] = true;
    return 0;
}

static int del(struct tables *tables, enum entry_kind kind, const json_t *object, struct err *err)
{
    int64_t id = json_member_int(object, "id", 0);
    if (id <= 0)
        return err_set(err, ERR_INVALID, "%s: id must be a positive integer",
                       entry_kind_name(kind));
    struct entry *entry = map_remove(&tables->kinds[kind], id_key(&id));
    struct limit_subject subject;
    if (entry && entry_limits(entry, &subject))
        limit_book_forget(&tables->limits, subject.kind, id);
    tables->dirty[kind] |= entry != NULL;
    entry_unref(entry);
    return 0;
}

static int put_spending(struct tables *tables, const json_t *object, struct err *err)
{
    struct spending line;
    int rc = spending_read(object, &line, err);
    if (rc < 0)
        return err_wrap(err, rc, "spending");
    if (tables->limits.items.count >= LIMIT_BOOK_ITEMS_MAX)
        return err_set(err, ERR_TOO_LARGE, "more than %d subjects of limits", LIMIT_BOOK_ITEMS_MAX);
    limit_book_apply(&tables->limits, &line);
    return 0;
}

static int change(struct tables *tables, bool is_put, const json_t *object, struct err *err)
{
    enum entry_kind kind;
    const char *kind_name = json_member_string(object, "kind");
    if (!kind_name)
        return err_set(err, ERR_INVALID, "kind must be a string");
    if (is_put && strcmp(kind_name, "spending") == 0)
        return put_spending(tables, object, err);
    if (entry_kind_parse(kind_name, &kind) < 0)
        return 0;
    return is_put ? put(tables, kind, object, err) : del(tables, kind, object, err);
}

static void set_ready(struct tables *tables)
{
    tables->is_ready = true;
    limit_book_ready(&tables->limits);
}

static int apply_object(struct tables *tables, const json_t *object, struct err *err)
{
    const char *op = json_member_string(object, "op");
    int64_t seq = json_member_int(object, "seq", -1);
    if (!op || seq < 0)
        return err_set(err, ERR_INVALID, "op must be a string and seq an integer of 0 or more");
    bool is_reset = strcmp(op, "reset") == 0;
    if (!is_reset && !tables->is_open)
        return err_set(err, ERR_PROTOCOL, "the first line must be a reset");
    if (!is_reset && seq < tables->seq)
        return err_set(err, ERR_PROTOCOL, "seq goes back from %lld to %lld", (long long)tables->seq,
                       (long long)seq);
    int rc = 0;
    if (is_reset)
        reset(tables);
    else if (strcmp(op, "ready") == 0)
        set_ready(tables);
    else if (strcmp(op, "put") == 0 || strcmp(op, "del") == 0)
        rc = change(tables, op[0] == 'p', object, err);
    if (rc == 0)
        tables->seq = seq;
    return rc;
}

int tables_apply(struct tables *tables, struct str line, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    int rc = json_read(line, &root, err);
    if (rc < 0)
        return rc;
    if (!json_is_object(root))
        return err_set(err, ERR_SYNTAX, "not a JSON object");
    return apply_object(tables, root, err);
}
