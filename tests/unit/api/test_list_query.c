/* SPDX-License-Identifier: Apache-2.0 */
/* Filters, search and order of lists, without a server. */
#include "api/list_query.h"
#include "domain/instance.h"
#include "domain/model.h"
#include "domain/user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { ROWS = 4 };

/* Four instances with ids 1-4. */
static void make_rows(struct model_instance rows[static ROWS])
{
    static const struct {
        const char *name, *worker_name;
        int state;
        int64_t worker_id, gpu;
    } wanted[ROWS] = {
        {"beta-1", "node1", INSTANCE_RUNNING, 1, 0},
        {"Alpha-1", NULL, INSTANCE_PENDING, 0, -1},
        {"alpha-2", "node2", INSTANCE_RUNNING, 2, 3},
        {"gamma-1", "node1", INSTANCE_ERROR, 1, 7},
    };
    memset(rows, 0, ROWS * sizeof *rows);
    for (int i = 0; i < ROWS; i++) {
        record_init(&model_instance_type, &rows[i]);
        rows[i].id = i + 1;
        mem_replace(&rows[i].name, wanted[i].name);
        mem_replace(&rows[i].worker_name, wanted[i].worker_name);
        rows[i].state = wanted[i].state;
        rows[i].worker_id = wanted[i].worker_id;
        if (wanted[i].gpu >= 0)
            int_list_add(&rows[i].gpu_indexes, wanted[i].gpu);
    }
}

static void free_rows(struct model_instance rows[static ROWS])
{
    for (int i = 0; i < ROWS; i++)
        record_fini(&model_instance_type, &rows[i]);
}

/* Ids of the rows that a query shows, in its order: "3,1". Returns owned. */
static char *shown(const char *text)
{
    struct model_instance rows[ROWS];
    make_rows(rows);
    struct list_query query;
    struct err err = {0};
    int rc = list_query_read(str_of(text), &model_instance_type, NULL, &query, &err);
    if (rc < 0)
        fail_msg("%s: %s", text, err.text);
    const void *found[ROWS];
    size_t count = 0;
    for (int i = 0; i < ROWS; i++)
        if (list_query_accepts(&query, &model_instance_type, &rows[i]))
            found[count++] = &rows[i];
    list_query_sort(&query, found, count);
    struct buf ids = {0};
    buf_add_cstr(&ids, "");
    for (size_t i = 0; i < count; i++)
        buf_printf(&ids, "%s%lld", i ? "," : "",
                   (long long)((const struct model_instance *)found[i])->id);
    list_query_fini(&query);
    free_rows(rows);
    return buf_take(&ids);
}

static void test_rows_and_order(void **state)
{
    static const struct {
        const char *query, *ids;
    } rows[] = {
        {"", "4,3,2,1"},
        {"&&", "4,3,2,1"},
        {"state=running", "3,1"},
        {"state=running&state=error", "4,3,1"},
        {"state=running&worker_id=1", "1"},
        {"worker_id=1&worker_id=2", "4,3,1"},
        {"worker_id=", "4,3,2,1"},
        {"state=&is_draining=&unknown=", "4,3,2,1"},
        {"worker_name=node1", "4,1"},
        {"worker_name=Node1", ""},
        {"id=2&id=4", "4,2"},
        {"is_draining=false&id=1", "1"},
        {"is_draining=True", ""},
        {"gpu_indexes=3", "3"},
        {"gpu_indexes=0&gpu_indexes=7", "4,1"},
        {"gpu_indexes=", "2"},
        {"search=ALPHA", "3,2"},
        {"search=node2", "3"},
        {"search=", "4,3,2,1"},
        {"search=%25", ""},
        {"sort_by=name", "2,3,1,4"},
        {"sort_by=-name", "4,1,3,2"},
        {"sort_by=worker_name", "2,1,4,3"},
        {"sort_by=-worker_name", "3,1,4,2"},
        {"sort_by=-worker_name,-id", "3,4,1,2"},
        {"sort_by=state,-id", "4,2,3,1"},
        {"sort_by=id", "1,2,3,4"},
        {"sort_by=", "4,3,2,1"},
        {"sort_by=name&state=running", "3,1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *ids = shown(rows[i].query);
        if (strcmp(ids, rows[i].ids) != 0)
            fail_msg("%s: %s, not %s", rows[i].query, ids, rows[i].ids);
    }
}

static void test_what_is_refused_is_named(void **state)
{
    static const struct {
        const char *query, *part;
    } rows[] = {
        {"state=odd", "state must be one of pending, analyzing, scheduled"},
        {"worker_id=x", "worker_id must be an integer, not \"x\""},
        {"is_draining=maybe", "is_draining must be true or false"},
        {"stat=running", "can't be filtered by \"stat\""},
        {"stat=running", "worker_id"},
        {"timeline=x", "can't be filtered by \"timeline\""},
        {"state_args=x", "can't be filtered by"},
        {"created_at=x", "can't be filtered by"},
        {"sort_by=nothing", "sort_by must name fields of id, name"},
        {"sort_by=gpu_indexes", "not \"gpu_indexes\""},
        {"sort_by=timeline", "not \"timeline\""},
        {"sort_by=-", "not \"\""},
        {"sort_by=id,,name", "not \"\""},
        {"sort_by=id,id,id,id,id,id,id,id,id", "at most 8"},
        {"page=0", "page must be 1 or more"},
        {"page=-2", "page must be 1 or more"},
        {"page=x", "page must be 1 or more"},
        {"perPage=0", "perPage must be 1-100"},
        {"perPage=101", "page=-1 gives all rows"},
        {"watch=perhaps", "watch must be true or false"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct list_query query;
        struct err err = {0};
        int rc =
            list_query_read(str_of(rows[i].query), &model_instance_type, NULL, &query, &err);
        assert_int_equal(rc, ERR_INVALID);
        if (!strstr(err.text, rows[i].part))
            fail_msg("%s: %s", rows[i].query, err.text);
    }
}

static void test_secrets_are_no_filters(void **state)
{
    static const char *const queries[] = {"password_hash=x", "password=x", "sort_by=password_hash"};
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        struct list_query query;
        struct err err = {0};
        int rc = list_query_read(str_of(queries[i]), &user_type, NULL, &query, &err);
        assert_int_equal(rc, ERR_INVALID);
        assert_null(strstr(err.text, "password_hash,"));
    }
}

static void test_page_and_aliases(void **state)
{
    static const struct list_alias aliases[] = {{"uuid", "name"}, {0}};
    struct list_query query;
    assert_int_equal(list_query_read(STR("uuid=x&page=3&perPage=7&watch=1"), &model_instance_type,
                                     aliases, &query, NULL),
                     0);
    assert_int_equal(query.page, 3);
    assert_int_equal(query.per_page, 7);
    assert_true(query.watch);
    assert_int_equal(query.filter_count, 1);
    assert_string_equal(query.filters[0].field->name, "name");
    list_query_fini(&query);
}

static void test_uncategorised_models(void **state)
{
    struct model model = {0};
    record_init(&model_type, &model);
    struct list_query query;
    assert_int_equal(list_query_read(STR("categories=llm&categories="), &model_type, NULL, &query,
                                     NULL),
                     0);
    assert_true(list_query_accepts(&query, &model_type, &model));
    string_list_add(&model.categories, "image");
    assert_false(list_query_accepts(&query, &model_type, &model));
    string_list_add(&model.categories, "llm");
    assert_true(list_query_accepts(&query, &model_type, &model));
    list_query_fini(&query);
    record_fini(&model_type, &model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_and_order),
        cmocka_unit_test(test_what_is_refused_is_named),
        cmocka_unit_test(test_secrets_are_no_filters),
        cmocka_unit_test(test_page_and_aliases),
        cmocka_unit_test(test_uncategorised_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
