/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_priv.h"

#include <assert.h>

/* ---- SQL from the field table ---- */

static bool is_column(const struct field *field)
{
    return !(field->flags & (FIELD_TRANSIENT | FIELD_WRITE_ONLY));
}

/* Adds "PREFIXname" for each column, or "PREFIXnameMIDDLEname", joined by ", ". */
static void add_columns(struct buf *sql, const struct record_type *type, const char *prefix,
                        const char *middle)
{
    const char *comma = "";
    for (unsigned i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        if (!is_column(field))
            continue;
        buf_printf(sql, "%s%s%s", comma, prefix, field->name);
        if (*middle)
            buf_printf(sql, "%s%s", middle, field->name);
        comma = ", ";
    }
}

/* "REPLACE" would delete the old row, and with it what refers to it. */
static char *put_sql(const struct record_type *type)
{
    struct buf sql = {0};
    buf_printf(&sql, "INSERT INTO %s (", type->table);
    add_columns(&sql, type, "", "");
    buf_add_cstr(&sql, ") VALUES (");
    add_columns(&sql, type, ":", "");
    buf_add_cstr(&sql, ") ON CONFLICT (id) DO UPDATE SET ");
    add_columns(&sql, type, "", " = excluded.");
    return buf_take(&sql);
}

static char *load_sql(const struct record_type *type)
{
    struct buf sql = {0};
    buf_add_cstr(&sql, "SELECT ");
    add_columns(&sql, type, "", "");
    buf_printf(&sql, " FROM %s ORDER BY id", type->table);
    return buf_take(&sql);
}

/* ---- statements ---- */

static struct row_statements *statements_of(struct rows *rows, const struct record_type *type)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->of[i].type == type)
            return &rows->of[i];
    assert(rows->count < ROW_TYPES_MAX && type->table);
    rows->of[rows->count] = (struct row_statements){.type = type};
    return &rows->of[rows->count++];
}

/* The type's statements, both prepared. */
static int prepare(struct rows *rows, sqlite3 *db, const struct record_type *type,
                   struct row_statements **ret, struct err *err)
{
    struct row_statements *of = statements_of(rows, type);
    *ret = of;
    if (of->put && of->remove)
        return 0;
    auto_free char *put = put_sql(type);
    auto_free char *remove = mem_printf("DELETE FROM %s WHERE id = ?1", type->table);
    int rc = of->put ? 0 : db_prepare(db, put, &of->put, err);
    return rc == 0 ? db_prepare(db, remove, &of->remove, err) : rc;
}

void rows_fini(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        sqlite3_finalize(rows->of[i].put);
        sqlite3_finalize(rows->of[i].remove);
    }
    sqlite3_finalize(rows->note_id);
    *rows = (struct rows){0};
}

/* ---- writing ---- */

static void bind_list(sqlite3_stmt *statement, int at, const struct field *field,
                      const void *record)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    record_write_field(field, record, &w);
    sqlite3_bind_text(statement, at, text.ptr, (int)text.len, SQLITE_TRANSIENT);
    buf_fini(&text);
}

static void bind_field(sqlite3_stmt *statement, int at, const struct field *field,
                       const void *record)
{
    const void *value = (const char *)record + field->offset;
    switch (field->kind) {
    case FIELD_ID:
    case FIELD_INT:
    case FIELD_TIME:
        sqlite3_bind_int64(statement, at, *(const int64_t *)value);
        break;
    case FIELD_BOOL:
        sqlite3_bind_int(statement, at, *(const bool *)value);
        break;
    case FIELD_DOUBLE:
        sqlite3_bind_double(statement, at, *(const double *)value);
        break;
    case FIELD_STRING:
    case FIELD_JSON:
        sqlite3_bind_text(statement, at, *(char *const *)value, -1, SQLITE_STATIC);
        break;
    case FIELD_ENUM:
        assert((unsigned)*(const int *)value < field->name_count);
        sqlite3_bind_text(statement, at, field->names[*(const int *)value], -1, SQLITE_STATIC);
        break;
    case FIELD_STRINGS:
    case FIELD_MAP:
    case FIELD_INTS:
    case FIELD_RECORDS:
        bind_list(statement, at, field, record);
        break;
    }
}

static int note_id(struct rows *rows, sqlite3 *db, const char *table, int64_t id, struct err *err)
{
    static const char sql[] = "INSERT INTO last_ids (table_name, last_id) VALUES (?1, ?2)"
                              " ON CONFLICT (table_name) DO UPDATE SET last_id = excluded.last_id"
                              " WHERE excluded.last_id > last_ids.last_id";
    if (!rows->note_id) {
        int rc = db_prepare(db, sql, &rows->note_id, err);
        if (rc < 0)
            return rc;
    }
    sqlite3_bind_text(rows->note_id, 1, table, -1, SQLITE_STATIC);
    sqlite3_bind_int64(rows->note_id, 2, id);
    return db_run(db, rows->note_id, err);
}

int row_put(struct rows *rows, sqlite3 *db, const struct record_type *type, const void *record,
            struct err *err)
{
    struct row_statements *of;
    int64_t id = *(const int64_t *)((const char *)record + record_field(type, "id")->offset);
    int rc = prepare(rows, db, type, &of, err);
    if (rc == 0) {
        for (unsigned i = 0, at = 1; i < type->field_count; i++)
            if (is_column(&type->fields[i]))
                bind_field(of->put, (int)at++, &type->fields[i], record);
        rc = db_run(db, of->put, err);
    }
    if (rc == 0)
        rc = note_id(rows, db, type->table, id, err);
    return rc < 0 ? err_wrap(err, rc, "%s %lld", type->noun, (long long)id) : 0;
}

int row_delete(struct rows *rows, sqlite3 *db, const struct record_type *type, int64_t id,
               struct err *err)
{
    struct row_statements *of;
    int rc = prepare(rows, db, type, &of, err);
    if (rc == 0) {
        sqlite3_bind_int64(of->remove, 1, id);
        rc = db_run(db, of->remove, err);
    }
    return rc < 0 ? err_wrap(err, rc, "%s %lld", type->noun, (long long)id) : 0;
}

/* ---- reading ---- */

/* Words and lists are checked like a client's; a text of the store can't be wrong in other ways. */
static int read_checked(const struct field *field, void *record, const char *text, struct err *err)
{
    auto_fini(json_release) json_t *value = NULL;
    if (field->kind == FIELD_ENUM) {
        value = json_string(text ? text : "");
    } else {
        int rc = json_read(str_of(text), &value, err);
        if (rc < 0)
            return rc;
    }
    return record_read_field(field, record, value, err);
}

static int read_field(sqlite3_stmt *statement, int at, const struct field *field, void *record,
                      struct err *err)
{
    void *value = (char *)record + field->offset;
    switch (field->kind) {
    case FIELD_ID:
    case FIELD_INT:
    case FIELD_TIME:
        *(int64_t *)value = sqlite3_column_int64(statement, at);
        return 0;
    case FIELD_BOOL:
        *(bool *)value = sqlite3_column_int(statement, at) != 0;
        return 0;
    case FIELD_DOUBLE:
        *(double *)value = sqlite3_column_double(statement, at);
        return 0;
    case FIELD_STRING:
    case FIELD_JSON:
        mem_replace(value, (const char *)sqlite3_column_text(statement, at));
        return 0;
    case FIELD_ENUM:
    case FIELD_STRINGS:
    case FIELD_MAP:
    case FIELD_INTS:
    case FIELD_RECORDS:
        return read_checked(field, record, (const char *)sqlite3_column_text(statement, at), err);
    }
    return 0;
}

static int read_row(sqlite3_stmt *statement, const struct record_type *type, void *record,
                    struct err *err)
{
    record_init(type, record);
    for (unsigned i = 0, at = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        if (!is_column(field))
            continue;
        int rc = read_field(statement, (int)at++, field, record, err);
        if (rc < 0)
            return err_wrap(err, rc, "%s %lld: %s", type->noun,
                            (long long)sqlite3_column_int64(statement, 0), field->name);
    }
    return 0;
}

int row_load(sqlite3 *db, const struct record_type *type, void (*each)(void *record, void *ctx),
             void *ctx, struct err *err)
{
    auto_free char *sql = load_sql(type);
    sqlite3_stmt *statement;
    int rc = db_prepare(db, sql, &statement, err);
    if (rc < 0)
        return rc;
    void *record = mem_alloc(type->size);
    int step = SQLITE_DONE;
    while (rc == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        rc = read_row(statement, type, record, err);
        if (rc == 0)
            each(record, ctx);
        record_fini(type, record);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = db_fail(db, err);
    sqlite3_finalize(statement);
    free(record);
    return rc;
}
