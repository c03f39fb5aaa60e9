/* SPDX-License-Identifier: Apache-2.0 */
/* The engine, on a type that has every kind of field and every flag. */
#include "domain/record.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct thing {
    int64_t id;
    char *name, *code, *secret, *password, *origin;
    int64_t size, worker_id;
    double share, heat;
    bool is_on;
    int64_t seen_at;
    int color;
    struct string_list tags;
    struct string_map env;
    struct int_list ports;
    char *extra;
    int64_t load;
};

static const char *const color_names[] = {"red", "green"};

static const struct field fields[] = {
    {FIELD_OF(struct thing, id), .kind = FIELD_ID, .flags = FIELD_READ_ONLY},
    {FIELD_OF(struct thing, name), .kind = FIELD_STRING, .flags = FIELD_REQUIRED, .max = 8},
    {FIELD_OF(struct thing, code), .kind = FIELD_STRING, .min = 2, .max = 4},
    {FIELD_OF(struct thing, secret), .kind = FIELD_STRING, .flags = FIELD_SECRET | FIELD_READ_ONLY},
    {FIELD_OF(struct thing, password), .kind = FIELD_STRING, .flags = FIELD_WRITE_ONLY},
    {FIELD_OF(struct thing, origin), .kind = FIELD_STRING, .flags = FIELD_CREATE_ONLY},
    {FIELD_OF(struct thing, size), .kind = FIELD_INT, .min = -5, .max = 1000, .fallback = "1"},
    {FIELD_OF(struct thing, worker_id), .kind = FIELD_INT,
     .flags = FIELD_READ_ONLY | FIELD_NULLABLE, .max = INT64_MAX},
    {FIELD_OF(struct thing, share), .kind = FIELD_DOUBLE, .max = 100},
    {FIELD_OF(struct thing, heat), .kind = FIELD_DOUBLE, .flags = FIELD_NULLABLE, .fallback = "-1"},
    {FIELD_OF(struct thing, is_on), .kind = FIELD_BOOL, .fallback = "true"},
    {FIELD_OF(struct thing, seen_at), .kind = FIELD_TIME},
    {FIELD_OF(struct thing, color), .kind = FIELD_ENUM, .names = color_names, .name_count = 2,
     .fallback = "\"green\""},
    {FIELD_OF(struct thing, tags), .kind = FIELD_STRINGS, .max = 3},
    {FIELD_OF(struct thing, env), .kind = FIELD_MAP, .max = 3},
    {FIELD_OF(struct thing, ports), .kind = FIELD_INTS},
    {FIELD_OF(struct thing, extra), .kind = FIELD_JSON},
    {FIELD_OF(struct thing, load), .kind = FIELD_INT, .flags = FIELD_TRANSIENT, .max = INT64_MAX},
};

static const struct record_type thing_type = {.noun = "thing",
                                              .size = sizeof(struct thing),
                                              .fields = fields,
                                              .field_count = ARRAY_LEN(fields)};

static int read_text(struct thing *thing, const char *text, enum record_read_mode mode,
                     struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    assert_int_equal(json_read(str_of(text), &root, NULL), 0);
    return record_read(&thing_type, thing, root, mode, err);
}

static char *written(const struct thing *thing)
{
    struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    record_write(&thing_type, thing, &w);
    return buf_take(&out);
}

static const char full[] =
    "{\"id\":7,\"name\":\"a\",\"code\":\"xy\",\"secret\":\"s\",\"password\":\"p\",\"origin\":\"o\","
    "\"size\":3.0,\"worker_id\":9,\"share\":0.5,\"heat\":36,\"is_on\":false,"
    "\"seen_at\":\"2026-11-23T20:54:01.123Z\",\"color\":\"red\",\"tags\":[\"t\",\"u\"],"
    "\"env\":{\"B\":\"2\",\"A\":\"1\"},\"ports\":[1,2.0],\"extra\":{\"k\":[1,null]},\"load\":4,"
    "\"unknown\":1}";

static const char full_written[] =
    "{\"id\":7,\"name\":\"a\",\"code\":\"xy\",\"origin\":\"o\",\"size\":3,\"worker_id\":9,"
    "\"share\":0.5,\"heat\":36,\"is_on\":false,\"seen_at\":\"2026-11-23T20:54:01.123Z\","
    "\"color\":\"red\",\"tags\":[\"t\",\"u\"],\"env\":{\"A\":\"1\",\"B\":\"2\"},\"ports\":[1,2],"
    "\"extra\":{\"k\":[1,null]},\"load\":4}";

static const char defaults_written[] =
    "{\"id\":0,\"name\":\"a\",\"code\":null,\"origin\":null,\"size\":1,\"worker_id\":null,"
    "\"share\":0,\"heat\":null,\"is_on\":true,\"seen_at\":null,\"color\":\"green\",\"tags\":[],"
    "\"env\":{},\"ports\":[],\"extra\":null,\"load\":0}";

static void test_round_trip(void **state)
{
    (void)state;
    struct thing thing = {0}, again = {0};
    assert_int_equal(read_text(&thing, full, RECORD_TRUST, NULL), 0);
    auto_free char *text = written(&thing);
    assert_string_equal(text, full_written);
    assert_null(thing.secret);
    assert_string_equal(thing.password, "p");
    assert_int_equal(read_text(&again, text, RECORD_TRUST, NULL), 0);
    assert_true(record_is_equal(&thing_type, &thing, &again, false));
    record_fini(&thing_type, &thing);
    record_fini(&thing_type, &again);
}

static void test_defaults_on_create(void **state)
{
    (void)state;
    struct thing thing = {0};
    assert_int_equal(read_text(&thing, full, RECORD_TRUST, NULL), 0);
    assert_int_equal(read_text(&thing, "{\"name\":\"a\"}", RECORD_CREATE, NULL), 0);
    auto_free char *text = written(&thing);
    assert_string_equal(text, defaults_written);
    record_fini(&thing_type, &thing);
}

static void test_null_means_default(void **state)
{
    (void)state;
    struct thing thing = {0};
    assert_int_equal(read_text(&thing, full, RECORD_TRUST, NULL), 0);
    assert_int_equal(read_text(&thing,
                               "{\"id\":null,\"code\":null,\"origin\":null,\"size\":null,"
                               "\"worker_id\":null,\"share\":null,\"heat\":null,\"is_on\":null,"
                               "\"seen_at\":null,\"color\":null,\"tags\":null,\"env\":null,"
                               "\"ports\":null,\"extra\":null,\"load\":null,\"password\":null}",
                               RECORD_TRUST, NULL),
                     0);
    auto_free char *text = written(&thing);
    assert_string_equal(text, defaults_written);
    assert_null(thing.password);
    record_fini(&thing_type, &thing);
}

static void test_modes(void **state)
{
    (void)state;
    struct thing thing = {0};
    assert_int_equal(read_text(&thing,
                               "{\"name\":\"a\",\"id\":5,\"worker_id\":4,\"secret\":\"s\","
                               "\"origin\":\"o\",\"password\":\"p\",\"size\":2}",
                               RECORD_CREATE, NULL),
                     0);
    assert_int_equal(thing.id, 0);
    assert_int_equal(thing.worker_id, 0);
    assert_null(thing.secret);
    assert_string_equal(thing.origin, "o");
    assert_string_equal(thing.password, "p");
    thing.id = 5;
    mem_replace(&thing.secret, "kept");
    assert_int_equal(read_text(&thing,
                               "{\"id\":6,\"worker_id\":4,\"secret\":\"s\",\"origin\":\"other\","
                               "\"tags\":[\"t\"]}",
                               RECORD_MERGE, NULL),
                     0);
    assert_int_equal(thing.id, 5);
    assert_int_equal(thing.worker_id, 0);
    assert_int_equal(thing.size, 2);
    assert_string_equal(thing.name, "a");
    assert_string_equal(thing.secret, "kept");
    assert_string_equal(thing.origin, "o");
    assert_string_equal(thing.tags.items[0], "t");
    assert_int_equal(read_text(&thing, "{\"worker_id\":4}", RECORD_TRUST, NULL), 0);
    assert_int_equal(thing.worker_id, 4);
    record_fini(&thing_type, &thing);
}

static const struct {
    const char *json, *text;
} faults[] = {
    {"[]", "must be a JSON object, not a list"},
    {"{}", "1 error: name: must be given"},
    {"{\"name\":\"\"}", "1 error: name: must not be empty"},
    {"{\"name\":null}", "1 error: name: must not be empty"},
    {"{\"name\":5}", "1 error: name: must be a string, not 5"},
    {"{\"name\":\"123456789\"}", "1 error: name: must be at most 8 bytes, not 9"},
    {"{\"name\":\"a\",\"code\":\"x\"}", "1 error: code: must be at least 2 bytes, not 1"},
    {"{\"size\":-6}", "2 errors: name: must be given; size: must be -5-1000, not -6"},
    {"{\"name\":\"a\",\"size\":1001}", "1 error: size: must be -5-1000, not 1001"},
    {"{\"name\":\"a\",\"size\":1.5}", "1 error: size: must be -5-1000, not 1.5"},
    {"{\"name\":\"a\",\"size\":1e300}", NULL},
    {"{\"name\":\"a\",\"size\":true}", "1 error: size: must be -5-1000, not true"},
    {"{\"name\":\"a\",\"load\":-1}", "1 error: load: must be an integer of at least 0, not -1"},
    {"{\"name\":\"a\",\"share\":101}", "1 error: share: must be 0-100, not 101"},
    {"{\"name\":\"a\",\"heat\":\"hot\"}", "1 error: heat: must be a number, not \"hot\""},
    {"{\"name\":\"a\",\"is_on\":1}", "1 error: is_on: must be true or false, not 1"},
    {"{\"name\":\"a\",\"seen_at\":\"2026-02-30T00:00:00Z\"}",
     "1 error: seen_at: must be a time like \"2026-11-23T20:54:01Z\", not "
     "\"2026-02-30T00:00:00Z\""},
    {"{\"name\":\"a\",\"color\":\"blue\"}",
     "1 error: color: must be one of red, green, not \"blue\""},
    {"{\"name\":\"a\",\"color\":0}", "1 error: color: must be one of red, green, not 0"},
    {"{\"name\":\"a\",\"tags\":\"t\"}", "1 error: tags: must be a list of strings, not \"t\""},
    {"{\"name\":\"a\",\"tags\":[\"a\",{}]}",
     "1 error: tags: item 1: must be a string, not an object"},
    {"{\"name\":\"a\",\"tags\":[\"\",\"\",\"\",\"\"]}",
     "1 error: tags: must have 0-3 items, not 4"},
    {"{\"name\":\"a\",\"env\":[]}", "1 error: env: must be an object of strings, not a list"},
    {"{\"name\":\"a\",\"env\":{\"A\":1}}", "1 error: env: A: must be a string, not 1"},
    {"{\"name\":\"a\",\"env\":{\"\":\"1\"}}", "1 error: env: must have keys of 1-4096 bytes"},
    {"{\"name\":\"a\",\"ports\":[1,\"2\"]}",
     "1 error: ports: must be a list of integers, not \"2\""},
};

static void test_faults_change_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct thing thing = {0}, before = {0};
        struct err err = {0};
        assert_int_equal(read_text(&thing, full, RECORD_TRUST, NULL), 0);
        record_copy(&thing_type, &before, &thing);
        assert_int_equal(read_text(&thing, faults[i].json, RECORD_CREATE, &err), ERR_INVALID);
        if (faults[i].text)
            assert_string_equal(err.text, faults[i].text);
        assert_true(record_is_equal(&thing_type, &thing, &before, true));
        record_fini(&thing_type, &thing);
        record_fini(&thing_type, &before);
    }
}

/* Texts that JSON's parser wouldn't let through, but a tree built by hand may have. */
static void test_odd_strings(void **state)
{
    (void)state;
    struct thing thing = {0};
    struct err err = {0};
    static const struct str odd[] = {{"a\0b", 3}, {"a\xff", 2}};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        auto_fini(json_release) json_t *root = json_object();
        json_object_set_new(root, "name", json_stringn_nocheck(odd[i].ptr, odd[i].len));
        assert_int_equal(record_read(&thing_type, &thing, root, RECORD_MERGE, &err), ERR_INVALID);
        assert_non_null(strstr(err.text, "UTF-8"));
    }
}

static void test_limits_of_size(void **state)
{
    (void)state;
    struct thing thing = {0};
    struct err err = {0};
    auto_fini(json_release) json_t *root = json_object();
    char *big = mem_alloc(RECORD_JSON_MAX + 1);
    memset(big, 'x', RECORD_JSON_MAX);
    json_object_set_new(root, "extra", json_string(big));
    assert_int_equal(record_read(&thing_type, &thing, root, RECORD_MERGE, &err), ERR_INVALID);
    big[RECORD_STRING_MAX + 1] = '\0';
    json_object_set_new(root, "extra", json_null());
    json_object_set_new(root, "origin", json_string(big));
    assert_int_equal(record_read(&thing_type, &thing, root, RECORD_CREATE, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "at most 4096 bytes, not 4097"));
    free(big);
}

static const struct {
    const char *text;
    int64_t ms; /* -1: refused */
} times[] = {
    {"1970-01-01T00:00:01Z", 1000},
    {"2026-11-23T20:54:01.5Z", 1795467241500},
    {"2026-11-23T20:54:01.123456789Z", 1795467241123},
    {"2026-11-23 22:54:01+02:00", 1795467241000},
    {"2026-11-23T12:24:01-08:30", 1795467241000},
    {"2026-11-23T20:54:01", -1},
    {"2026-11-23T20:54:01.Z", -1},
    {"2026-11-23T24:54:01Z", -1},
    {"2026-13-23T20:54:01Z", -1},
    {"2026-1-23T20:54:01Z", -1},
    {"2026-11-23T20:54:01+0200", -1},
    {"2026-11-23T20:54:01Z ", -1},
    {"2026-11-23", -1},
    {"now", -1},
    {"", -1},
};

static void test_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        struct thing thing = {0};
        auto_fini(json_release) json_t *root = json_pack("{s:s}", "seen_at", times[i].text);
        int rc = record_read(&thing_type, &thing, root, RECORD_MERGE, NULL);
        if ((rc < 0) != (times[i].ms < 0))
            fail_msg("time \"%s\": %d", times[i].text, rc);
        assert_true(rc < 0 || thing.seen_at == times[i].ms);
        record_fini(&thing_type, &thing);
    }
}

/* Each row changes one field of the full thing. */
static void test_equality_sees_each_field(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "{\"id\":8}",
        "{\"name\":\"b\"}",
        "{\"code\":null}",
        "{\"origin\":\"p\"}",
        "{\"size\":4}",
        "{\"worker_id\":8}",
        "{\"share\":0.6}",
        "{\"heat\":37}",
        "{\"is_on\":true}",
        "{\"seen_at\":null}",
        "{\"color\":\"green\"}",
        "{\"tags\":[\"t\"]}",
        "{\"tags\":[\"t\",\"v\"]}",
        "{\"env\":{\"A\":\"1\",\"B\":\"3\"}}",
        "{\"env\":{\"A\":\"1\",\"C\":\"2\"}}",
        "{\"ports\":[1,3]}",
        "{\"extra\":{\"k\":[]}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct thing a = {0}, b = {0};
        assert_int_equal(read_text(&a, full, RECORD_TRUST, NULL), 0);
        record_copy(&thing_type, &b, &a);
        assert_true(record_is_equal(&thing_type, &a, &b, true));
        assert_int_equal(read_text(&b, changes[i], RECORD_TRUST, NULL), 0);
        assert_false(record_is_equal(&thing_type, &a, &b, false));
        record_fini(&thing_type, &a);
        record_fini(&thing_type, &b);
    }
}

static void test_equality_and_transient(void **state)
{
    (void)state;
    struct thing a = {0}, b = {0};
    b.load = 1;
    assert_true(record_is_equal(&thing_type, &a, &b, false));
    assert_false(record_is_equal(&thing_type, &a, &b, true));
}

static void test_copy_is_deep(void **state)
{
    (void)state;
    struct thing a = {0}, b = {0};
    assert_int_equal(read_text(&a, full, RECORD_TRUST, NULL), 0);
    mem_replace(&a.secret, "s");
    record_copy(&thing_type, &b, &a);
    record_copy(&thing_type, &b, &a); /* over a valid record */
    assert_ptr_not_equal(a.name, b.name);
    assert_ptr_not_equal(a.tags.items, b.tags.items);
    record_fini(&thing_type, &a);
    assert_string_equal(b.secret, "s");
    assert_string_equal(b.password, "p");
    record_fini(&thing_type, &b);
    assert_null(b.name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_defaults_on_create),
        cmocka_unit_test(test_null_means_default),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_faults_change_nothing),
        cmocka_unit_test(test_odd_strings),
        cmocka_unit_test(test_limits_of_size),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_equality_sees_each_field),
        cmocka_unit_test(test_equality_and_transient),
        cmocka_unit_test(test_copy_is_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
