/* SPDX-License-Identifier: Apache-2.0 */
/* The same rows as JSON and as CSV. */
#include "api/table_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void write_row(struct table_writer *table, const char *name, int64_t count, int64_t at_ms)
{
    table_put_string(table, "name", name);
    table_put_int(table, "count", count);
    table_put_bool(table, "is_many", count > 1);
    table_put_time(table, "at", at_ms);
    table_end_row(table);
}

static void test_csv(void **state)
{
    struct buf out = {0};
    struct table_writer table = table_writer_into(&out, NULL, true);
    table_begin_head(&table);
    write_row(&table, NULL, 0, 0);
    table_begin_row(&table);
    write_row(&table, "a,\"b\"\nc", 2, 1764547200000);
    table_begin_row(&table);
    write_row(&table, NULL, -1, 0);
    assert_string_equal(out.ptr, "name,count,is_many,at\r\n"
                                 "\"a,\"\"b\"\"\nc\",2,true,2025-12-01T00:00:00.000Z\r\n"
                                 ",-1,false,\r\n");
    buf_fini(&out);
}

static void test_json(void **state)
{
    struct buf out = {0};
    struct json_writer json = json_writer_into(&out);
    struct table_writer table = table_writer_into(&out, &json, false);
    json_begin_array(&json);
    table_begin_head(&table);
    write_row(&table, NULL, 0, 0);
    table_begin_row(&table);
    write_row(&table, "a\"b", 2, 1764547200000);
    table_begin_row(&table);
    write_row(&table, NULL, -1, 0);
    json_end_array(&json);
    assert_string_equal(
        out.ptr, "[{\"name\":\"a\\\"b\",\"count\":2,\"is_many\":true,"
                 "\"at\":\"2025-12-01T00:00:00.000Z\"},"
                 "{\"name\":null,\"count\":-1,\"is_many\":false,\"at\":null}]");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_csv), cmocka_unit_test(test_json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
