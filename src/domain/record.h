/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records: structs whose fields are described by one table, from which come JSON in both
 * directions, validation, the columns in the store, copying and freeing.
 *
 * A struct of the domain (struct user, struct model, ...) is plain data; its `struct record_type`
 * lists the fields. Adding a field is a member, a row in the table and a migration. Strings and
 * lists in a record are owned by it; a zeroed record is valid and empty. Pure, any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

#include <stdint.h>

enum field_kind {
    FIELD_ID,       /* int64_t; 0 = not stored yet */
    FIELD_INT,      /* int64_t with min and max */
    FIELD_DOUBLE,   /* double */
    FIELD_BOOL,     /* bool */
    FIELD_STRING,   /* char *; NULL is JSON null */
    FIELD_TIME,     /* int64_t wall-clock ms; ISO 8601 text in JSON, 0 is null */
    FIELD_ENUM,     /* int; its name in JSON and in the store */
    FIELD_STRINGS,  /* struct string_list; array of strings */
    FIELD_MAP,      /* struct string_map; object of strings */
    FIELD_INTS,     /* struct int_list; array of integers */
    FIELD_JSON,     /* char *: JSON text of any shape, or NULL; checked as JSON, not looked into */
    FIELD_RECORDS,  /* a pointer to owned structs of the type `items`, and a size_t, their count,
                       right behind it; array of objects */
};

enum field_flags {
    FIELD_READ_ONLY = 1,   /* set by the system: ignored in what clients send (GPUStack's send whole
                              objects back, so it isn't an error) */
    FIELD_SECRET = 2,      /* never in JSON, only in the store */
    FIELD_REQUIRED = 4,    /* must be there and not empty on create */
    FIELD_TRANSIENT = 8,   /* not in the store: computed or observed */
    FIELD_NULLABLE = 16,   /* FIELD_INT: 0 is written as null; FIELD_DOUBLE: a negative number is */
    FIELD_WRITE_ONLY = 32, /* read from clients, never written to JSON or store (a password) */
    FIELD_CREATE_ONLY = 64, /* taken from clients on create, afterwards as FIELD_READ_ONLY */
    FIELD_SETTING = 128,    /* of a model: its instances run with it; a change restarts them */
};

struct string_list {
    char **items; /* owned, each owned */
    size_t count;
};

struct string_map {
    char **keys;   /* owned, each owned, sorted, unique */
    char **values; /* owned, each owned */
    size_t count;
};

struct int_list {
    int64_t *items; /* owned */
    size_t count;
};

struct field {
    const char *name; /* in JSON and as column */
    enum field_kind kind;
    unsigned flags;
    size_t offset;
    int64_t min, max;         /* FIELD_INT: range; FIELD_DOUBLE: range unless both are 0;
                                 FIELD_STRING: bytes of one that is not null or empty (max 0:
                                 RECORD_STRING_MAX); lists: items (max 0: RECORD_LIST_MAX) */
    const char *const *names; /* FIELD_ENUM: names by number */
    unsigned name_count;
    const struct record_type *items; /* FIELD_RECORDS */
    const char *fallback;     /* default as JSON text ("true", "\"spread\""); NULL: zero value */
};

/* The name and place of a row: {FIELD_OF(struct user, is_admin), .kind = FIELD_BOOL}. */
#define FIELD_OF(type, member) .name = #member, .offset = offsetof(type, member)

struct record_type {
    const char *noun;  /* "model-instance": for messages and URLs */
    const char *table; /* in the store; NULL when not stored */
    size_t size;
    const struct field *fields;
    unsigned field_count;
};

enum {
    RECORD_STRING_MAX = 4096, /* bytes of a string field unless its row says otherwise */
    RECORD_LIST_MAX = 1024,   /* items of a list or map */
    RECORD_JSON_MAX = 1 << 20 /* bytes of a FIELD_JSON */
};

/* Sets every field to its default. The memory must be zeroed or a valid record. */
void record_init(const struct record_type *type, void *record);

/* Frees what the record owns (secrets are wiped) and zeroes it. */
void record_fini(const struct record_type *type, void *record);

/* Deep copy into `to`, which is zeroed or valid before. */
void record_copy(const struct record_type *type, void *to, const void *from);

/*
 * Whether all fields are the same. FIELD_TRANSIENT and FIELD_WRITE_ONLY ones, which are not in the
 * store, are left out unless `with_transient`.
 */
bool record_is_equal(const struct record_type *type, const void *a, const void *b,
                     bool with_transient);

/* Writes the members (not the braces): all fields but secret and write-only ones. */
void record_write_members(const struct record_type *type, const void *record,
                          struct json_writer *w);

/* The same with braces around. */
void record_write(const struct record_type *type, const void *record, struct json_writer *w);

enum record_read_mode {
    RECORD_CREATE, /* defaults for what is absent; required must be there; read-only ignored */
    RECORD_MERGE,  /* absent keys stay as they are; read-only ignored */
    RECORD_TRUST,  /* from our own side: read-only fields are taken too; absent keys stay */
};

/*
 * Reads fields from a JSON object. Checks every field before it changes any. ERR_INVALID with
 * all faults in one text: "2 errors: name: must not be empty; replicas: must be 0-1000, not -1".
 * Unknown keys are ignored (GPUStack's clients send more than we know), secret fields are too. null
 * means the field's default. RECORD_CREATE starts from record_init(): nothing of what stood in
 * `record` stays.
 */
int record_read(const struct record_type *type, void *record, const json_t *object,
                enum record_read_mode mode, struct err *err) must_check;

/* The row of a field by name, or NULL. */
const struct field *record_field(const struct record_type *type, const char *name);

/* One field's value as JSON, and back: for the store's columns. Flags are not looked at. */
void record_write_field(const struct field *field, const void *record, struct json_writer *w);
int record_read_field(const struct field *field, void *record, const json_t *value,
                      struct err *err) must_check;

/* Whether the field is the same in both records. */
bool record_field_is_equal(const struct field *field, const void *a, const void *b);

/* ---- lists ---- */

void string_list_add(struct string_list *list, const char *item);
void string_list_fini(struct string_list *list);
bool string_list_has(const struct string_list *list, const char *item);

/* Sets or replaces. */
void string_map_set(struct string_map *map, const char *key, const char *value);
const char *string_map_get(const struct string_map *map, const char *key);
void string_map_fini(struct string_map *map);

void int_list_add(struct int_list *list, int64_t item);
void int_list_fini(struct int_list *list);
