/* SPDX-License-Identifier: Apache-2.0 */
#include "api/check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const colours[] = {"red", "blue", NULL};

static const struct check parameters[] = {
    {.name = "tail", .kind = CHECK_INT, .min = 0, .max = 9},
    {.name = "follow", .kind = CHECK_BOOL},
    {.name = "colour", .kind = CHECK_STRING, .flags = CHECK_MANY, .max = 99, .words = colours},
    {.name = "search", .kind = CHECK_STRING, .max = 5},
    {.name = "topics", .kind = CHECK_ANY},
    {0},
};

static const struct check needed[] = {
    {.name = "at", .kind = CHECK_INT, .flags = CHECK_REQUIRED, .min = INT64_MIN, .max = INT64_MAX},
    {0},
};

/* The faults of a query or a body as one text; owned, NULL when there are none. */
static char *finish(struct faults *faults)
{
    struct err err = {0};
    return faults_finish(faults, &err) < 0 ? mem_strdup(err.text) : NULL;
}

static void expect(const char *got, const char *want, const char *about)
{
    if (got && want && strcmp(got, want) == 0)
        return;
    if (got != want)
        fail_msg("%s: \"%s\", not \"%s\"", about, got ? got : "fine", want ? want : "fine");
}

static void test_queries(void **state)
{
    static const struct {
        const char *query;
        bool is_list;
        const char *want;
    } rows[] = {
        {"", true, NULL},
        {"tail=9&follow=True&search=x%20y&topics=a,b", true, NULL},
        {"colour=red&colour=blue", true, NULL},
        {"odd=1", false, NULL},
        {"odd=&_=", true, NULL},
        {"odd=1", true,
         "1 error: odd: is no parameter here, only tail, follow, colour, search, topics"},
        {"tail=10", false, "1 error: tail: must be 0-9, not 10"},
        {"tail=-1", false, "1 error: tail: must be 0-9, not -1"},
        {"tail=", false, "1 error: tail: must be 0-9, not empty"},
        {"tail=1&tail=2", false, "1 error: tail: must be given once"},
        {"follow=yes", false, "1 error: follow: must be true or false, not yes"},
        {"colour=red&colour=green", false, "1 error: colour: must be one of red, blue, not green"},
        {"search=sixsix", false, "1 error: search: must be 0-5 bytes, not 6"},
        {"search=%ff", false, "1 error: search: must be UTF-8 text without zero bytes"},
        {"tail=x&follow=x", false,
         "2 errors: tail: must be 0-9, not x; follow: must be true or false, not x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct faults faults = {0};
        check_query(parameters, str_of(rows[i].query), rows[i].is_list, &faults);
        auto_free char *got = finish(&faults);
        expect(got, rows[i].want, rows[i].query);
    }
}

static void test_a_parameter_that_must_be_given(void **state)
{
    struct faults faults = {0};
    check_query(needed, STR("att=1"), false, &faults);
    auto_free char *got = finish(&faults);
    expect(got, "1 error: at: must be given", "without it");
    check_query(needed, STR("%61t=x"), false, &faults);
    auto_free char *odd = finish(&faults);
    expect(odd, "1 error: at: must be an integer, not x", "with another");
    check_query(NULL, STR("at=1"), false, &faults);
    assert_int_equal(faults.count, 0);
}

/* ---- bodies ---- */

static const struct check part[] = {
    {.name = "ip", .kind = CHECK_STRING, .flags = CHECK_REQUIRED, .min = 1, .max = 64},
    {0},
};
static const struct check rank[] = {{.name = "item", .kind = CHECK_OBJECT, .parts = part}, {0}};

static const struct check members[] = {
    {.name = "password", .kind = CHECK_STRING, .flags = CHECK_REQUIRED | CHECK_SECRET, .min = 2,
     .max = 8},
    {.name = "pin", .kind = CHECK_INT, .flags = CHECK_SECRET, .min = 0, .max = 9999},
    {.name = "revision", .kind = CHECK_INT, .min = 1, .max = INT64_MAX},
    {.name = "share", .kind = CHECK_NUMBER, .min = 0, .max = 1},
    {.name = "drain", .kind = CHECK_BOOL, .flags = CHECK_NULLABLE},
    {.name = "colour", .kind = CHECK_STRING, .max = 99, .words = colours},
    {.name = "ranks", .kind = CHECK_LIST, .max = 2, .parts = rank},
    {.name = "extra", .kind = CHECK_ANY},
    {0},
};

static void test_bodies(void **state)
{
    static const struct {
        const char *body, *want;
    } rows[] = {
        {"{\"password\":\"abc\"}", NULL},
        {"{\"password\":\"abc\",\"revision\":2.0,\"share\":0.5,\"drain\":true,\"colour\":\"red\","
         "\"ranks\":[{\"ip\":\"::1\"}],\"extra\":[],\"unknown\":{}}",
         NULL},
        {"{\"password\":\"abc\",\"revision\":null,\"drain\":null,\"ranks\":null}", NULL},
        {"{}", "1 error: password: must be given"},
        {"{\"password\":null}", "1 error: password: must be a string"},
        {"{\"password\":\"x\"}", "1 error: password: must be 2-8 bytes, not 1"},
        {"{\"password\":12345678}", "1 error: password: must be a string"},
        {"{\"password\":\"abc\",\"pin\":123456}", "1 error: pin: must be 0-9999"},
        {"{\"password\":\"abc\",\"revision\":0}", "1 error: revision: must be at least 1, not 0"},
        {"{\"password\":\"abc\",\"revision\":1.5}",
         "1 error: revision: must be at least 1, not 1.5"},
        {"{\"password\":\"abc\",\"share\":2}", "1 error: share: must be 0-1, not 2"},
        {"{\"password\":\"abc\",\"share\":\"2\"}",
         "1 error: share: must be a number, not \"2\""},
        {"{\"password\":\"abc\",\"drain\":1}", "1 error: drain: must be true or false, not 1"},
        {"{\"password\":\"abc\",\"colour\":\"green\"}",
         "1 error: colour: must be one of red, blue, not green"},
        {"{\"password\":\"abc\",\"ranks\":{}}", "1 error: ranks: must be a list, not an object"},
        {"{\"password\":\"abc\",\"ranks\":[1,2,3]}", "1 error: ranks: must be 0-2 items, not 3"},
        {"{\"password\":\"abc\",\"ranks\":[{\"ip\":\"\"},7]}",
         "2 errors: ranks[0].ip: must be 1-64 bytes, not 0; ranks[1]: must be an object, not 7"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct faults faults = {0};
        auto_fini(json_release) json_t *body = NULL;
        assert_int_equal(json_read(str_of(rows[i].body), &body, NULL), 0);
        check_members(members, body, &faults);
        auto_free char *got = finish(&faults);
        expect(got, rows[i].want, rows[i].body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_a_parameter_that_must_be_given),
        cmocka_unit_test(test_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
