/* SPDX-License-Identifier: Apache-2.0 */
/* api/openapi.yaml and the records' field tables say the same: neither tells what the other doesn't
 * do. */
#include "api/api_priv.h"
#include "base/embed.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

extern const struct embedded_file api_pages[];

enum use { USE_ANSWER, USE_CREATE, USE_UPDATE };

/* A property of a schema and the field that it stands for. */
struct pair {
    const json_t *schemas;
    const char *schema;
    const struct field *field;
    const json_t *property;
    const json_t *found; /* what the property refers to, or itself */
    enum use use;
};

#define EXPECT(pair, condition, what)                                                              \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s.%s: " what, (pair)->schema, (pair)->field->name);                         \
    } while (0)

/* ---- schemas ---- */

static json_t *load_schemas(void)
{
    json_t *root = NULL;
    for (const struct embedded_file *page = api_pages; page->name; page++)
        if (strcmp(page->name, "openapi.json") == 0)
            assert_int_equal(
                json_read(str_sub((const char *)page->data, page->size), &root, NULL), 0);
    assert_non_null(root);
    json_t *schemas = json_incref(json_object_get(json_object_get(root, "components"), "schemas"));
    json_decref(root);
    assert_non_null(schemas);
    return schemas;
}

/* The schema that a property names with $ref, or the property itself. */
static const json_t *refer(const json_t *schemas, const json_t *property)
{
    const char *ref = json_member_string(property, "$ref");
    return ref ? json_object_get(schemas, strrchr(ref, '/') + 1) : property;
}

static bool has_word(const json_t *list, const char *word)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
        if (strcmp(json_string_value(item), word) == 0)
            return true;
    return false;
}

static bool has_type(const json_t *schema, const char *type)
{
    const json_t *types = json_object_get(schema, "type");
    return json_is_string(types) ? strcmp(json_string_value(types), type) == 0
                                 : has_word(types, type);
}

static bool is_number(const struct pair *pair, const char *key, int64_t want)
{
    return json_member_int(pair->found, key, INT64_MAX) == want;
}

/* ---- fields ---- */

static void check_words(const struct pair *pair)
{
    const json_t *words = json_object_get(pair->found, "enum");
    EXPECT(pair, json_array_size(words) == pair->field->name_count, "has other words");
    for (unsigned i = 0; i < pair->field->name_count; i++)
        EXPECT(pair, has_word(words, pair->field->names[i]), "lacks a word");
}

static void check_count(const struct pair *pair, const char *type, const char *key, int64_t most)
{
    int64_t max = pair->field->max ? pair->field->max : most;
    EXPECT(pair, has_type(pair->found, type), "has another type");
    EXPECT(pair, is_number(pair, key, max), "has another limit");
}

static void check_item(const struct pair *pair, const char *key, const char *type)
{
    EXPECT(pair, has_type(json_object_get(pair->found, key), type), "has items of another type");
}

static void check_range(const struct pair *pair, const char *type)
{
    bool has_range = pair->field->kind == FIELD_INT || pair->field->min || pair->field->max;
    if (pair->use == USE_UPDATE && pair->field->flags & FIELD_READ_ONLY)
        has_range = false; /* compared with what is there, whatever it is */
    EXPECT(pair, has_type(pair->found, type), "has another type");
    if (has_range)
        EXPECT(pair, is_number(pair, "minimum", pair->field->min), "has another minimum");
    if (has_range && pair->field->max)
        EXPECT(pair, is_number(pair, "maximum", pair->field->max), "has another maximum");
}

static void check_kind(const struct pair *pair)
{
    switch (pair->field->kind) {
    case FIELD_ID:
        EXPECT(pair, has_type(pair->found, "integer"), "has another type");
        break;
    case FIELD_INT:
        check_range(pair, "integer");
        break;
    case FIELD_DOUBLE:
        check_range(pair, "number");
        break;
    case FIELD_BOOL:
        EXPECT(pair, has_type(pair->found, "boolean"), "has another type");
        break;
    case FIELD_STRING:
        check_count(pair, "string", "maxLength", RECORD_STRING_MAX);
        break;
    case FIELD_TIME:
        EXPECT(pair, has_type(pair->found, "string"), "has another type");
        EXPECT(pair, json_object_get(pair->found, "format"), "has no format");
        break;
    case FIELD_ENUM:
        EXPECT(pair, has_type(pair->found, "string"), "has another type");
        check_words(pair);
        break;
    case FIELD_STRINGS:
        check_count(pair, "array", "maxItems", RECORD_LIST_MAX);
        check_item(pair, "items", "string");
        break;
    case FIELD_MAP:
        check_count(pair, "object", "maxProperties", RECORD_LIST_MAX);
        check_item(pair, "additionalProperties", "string");
        break;
    case FIELD_INTS:
        check_count(pair, "array", "maxItems", RECORD_LIST_MAX);
        check_item(pair, "items", "integer");
        break;
    case FIELD_JSON:
        EXPECT(pair, has_type(pair->found, "object") || has_type(pair->found, "array"),
               "is no object or list");
        break;
    case FIELD_RECORDS:
        check_count(pair, "array", "maxItems", RECORD_LIST_MAX);
        check_item(pair, "items", "object");
        break;
    }
}

/* Whether null may stand there in an answer. */
static bool may_be_null(const struct field *field)
{
    bool is_text = field->kind == FIELD_STRING || field->kind == FIELD_TIME ||
                   field->kind == FIELD_JSON;
    if (field->flags & (FIELD_REQUIRED | FIELD_CREATE_ONLY | FIELD_WRITE_ONLY))
        return false;
    return is_text || field->flags & FIELD_NULLABLE;
}

static bool is_default(const struct field *field, const json_t *value)
{
    auto_fini(json_release) json_t *fallback = NULL;
    if (field->fallback)
        return json_read(str_of(field->fallback), &fallback, NULL) == 0 &&
               json_equal(fallback, value);
    return json_is_false(value) || json_is_null(value) ||
           (json_is_integer(value) && json_integer_value(value) == 0);
}

static void check_flags(const struct pair *pair)
{
    unsigned flags = pair->field->flags;
    bool is_read_only = json_is_true(json_object_get(pair->property, "readOnly"));
    bool is_write_only = json_is_true(json_object_get(pair->property, "writeOnly"));
    const json_t *fallback = json_object_get(pair->found, "default");
    EXPECT(pair, is_write_only == !!(flags & FIELD_WRITE_ONLY), "is writeOnly in one place only");
    EXPECT(pair, pair->use != USE_ANSWER || is_read_only == !!(flags & FIELD_READ_ONLY),
           "is readOnly in one place only");
    EXPECT(pair, has_type(pair->found, "null") == may_be_null(pair->field),
           "may be null in one place only");
    EXPECT(pair, !fallback || is_default(pair->field, fallback), "has another default");
    EXPECT(pair, fallback || !pair->field->fallback || pair->use == USE_UPDATE,
           "has a default that is not told");
}

/* ---- records ---- */

static bool is_in(const struct field *field, enum use use)
{
    switch (use) {
    case USE_ANSWER:
        return !(field->flags & (FIELD_SECRET | FIELD_WRITE_ONLY));
    case USE_CREATE:
        return !(field->flags & (FIELD_SECRET | FIELD_READ_ONLY));
    case USE_UPDATE:
        /* The version is read only, but a write may name the one that it means. */
        return !(field->flags & (FIELD_SECRET | FIELD_READ_ONLY | FIELD_CREATE_ONLY)) ||
               strcmp(field->name, "version") == 0;
    }
    return false;
}

static void check_schema(const json_t *schemas, const char *name, const struct record_type *type,
                         enum use use)
{
    const json_t *properties = json_object_get(json_object_get(schemas, name), "properties");
    size_t count = 0;
    for (unsigned i = 0; i < type->field_count; i++) {
        struct pair pair = {.schemas = schemas, .schema = name, .field = &type->fields[i],
                            .use = use};
        pair.property = json_object_get(properties, pair.field->name);
        pair.found = refer(schemas, pair.property);
        EXPECT(&pair, !!pair.property == is_in(pair.field, use), "stands in one place only");
        if (!pair.property)
            continue;
        count++;
        check_kind(&pair);
        check_flags(&pair);
    }
    if (json_object_size(properties) != count)
        fail_msg("%s has %zu properties, its record %zu fields", name,
                 json_object_size(properties), count);
}

static void check_required(const json_t *create, const char *name, const struct record_type *type)
{
    const json_t *required = json_object_get(create, "required");
    for (unsigned i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        /* A user without a password can't be made, but a field that is there may be left out. */
        bool is_needed = field->flags & FIELD_REQUIRED || strcmp(field->name, "password") == 0;
        if (is_in(field, USE_CREATE) && has_word(required, field->name) != is_needed)
            fail_msg("%s.%s: is required in one place only", name, field->name);
    }
}

static void check_record(const json_t *schemas, const char *name, const struct record_type *type)
{
    auto_free char *create = mem_printf("%sCreate", name);
    auto_free char *update = mem_printf("%sUpdate", name);
    check_schema(schemas, name, type, USE_ANSWER);
    if (json_object_get(schemas, create)) {
        check_schema(schemas, create, type, USE_CREATE);
        check_required(json_object_get(schemas, create), create, type);
    }
    if (json_object_get(schemas, update))
        check_schema(schemas, update, type, USE_UPDATE);
}

/* The name of the schema of a record, or NULL. */
static const char *schema_of(json_t *schemas, const struct record_type *type)
{
    const char *name;
    json_t *schema;
    json_object_foreach(schemas, name, schema)
    {
        const char *noun = json_member_string(schema, "x-record");
        if (noun && strcmp(noun, type->noun) == 0)
            return name;
    }
    return NULL;
}

static void test_schemas_and_field_tables_say_the_same(void **state)
{
    json_t *schemas = load_schemas();
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        const struct record_type *type = kind_type((enum kind)kind);
        const char *name = schema_of(schemas, type);
        if (kind == KIND_SESSION || kind == KIND_MODEL_METADATA) /* no client is told of these */
            assert_null(name);
        else if (!name)
            fail_msg("no schema in api/openapi.yaml has x-record: %s", type->noun);
        else
            check_record(schemas, name, type);
    }
    json_decref(schemas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schemas_and_field_tables_say_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
