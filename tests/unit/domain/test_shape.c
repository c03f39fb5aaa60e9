/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char *const words[] = {"red", "blue", NULL};

static const struct shape_member inner[] = {{"n", .kind = SHAPE_INT, .min = 1, .max = 3}, {0}};

static const struct shape_member members[] = {
    {"on", .kind = SHAPE_BOOL},
    {"name", .kind = SHAPE_TEXT, .is_required = true, .max = 3},
    {"colour", .kind = SHAPE_WORD, .words = words},
    {"ratio", .kind = SHAPE_NUMBER, .max = 2},
    {"list", .kind = SHAPE_LIST, .max = 2, .inside = inner},
    {0},
};

static void test_objects(void **state)
{
    static const struct {
        const char *text, *fault; /* NULL: none */
    } rows[] = {
        {NULL, NULL},
        {"{\"name\":\"abc\"}", NULL},
        {"{\"name\":\"a\",\"on\":null,\"more\":[1],\"ratio\":1.5,\"colour\":\"blue\"}", NULL},
        {"{\"name\":\"a\",\"list\":[{\"n\":3},{}]}", NULL},
        {"{}", "x.name: must be given"},
        {"{\"name\":null}", "x.name: must be given"},
        {"[]", "x: must be an object"},
        {"7", "x: must be an object"},
        {"{\"name\":\"abcd\"}", "x.name: must be a string of at most 3 bytes"},
        {"{\"name\":7}", "x.name: must be a string"},
        {"{\"name\":\"a\",\"on\":1}", "x.on: must be true or false"},
        {"{\"name\":\"a\",\"colour\":\"green\"}", "x.colour: must be one of red, blue"},
        {"{\"name\":\"a\",\"ratio\":2.5}", "x.ratio: must be a number of 0-2"},
        {"{\"name\":\"a\",\"list\":{}}", "x.list: must be a list of at most 2 objects"},
        {"{\"name\":\"a\",\"list\":[{},{},{}]}", "x.list: must be a list of at most 2"},
        {"{\"name\":\"a\",\"list\":[{},{\"n\":1.5}]}", "x.list[1].n: must be an integer of 1-3"},
        {"{\"name\":\"a\",\"list\":[7]}", "x.list[0]: must be an object"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct faults faults = {0};
        struct err err = {0};
        shape_check_object("x", rows[i].text, members, &faults);
        int rc = faults_finish(&faults, &err);
        assert_int_equal(rc, rows[i].fault ? ERR_INVALID : 0);
        if (rows[i].fault && !strstr(err.text, rows[i].fault))
            fail_msg("%s: %s", rows[i].text, err.text);
    }
}

static void test_lists(void **state)
{
    struct faults faults = {0};
    struct err err = {0};
    shape_check_list("l", "[{\"n\":1},{\"n\":2}]", inner, 2, &faults);
    shape_check_list("l", NULL, inner, 2, &faults);
    assert_int_equal(faults_finish(&faults, &err), 0);
    shape_check_list("l", "[{\"n\":1},{\"n\":9}]", inner, 2, &faults);
    shape_check_list("m", "{}", inner, 2, &faults);
    assert_int_equal(faults_finish(&faults, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "2 errors: l[1].n: must be"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
