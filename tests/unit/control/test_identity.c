/* SPDX-License-Identifier: Apache-2.0 */
/* Who a worker is, and when one that is silent is given up. */
#include "cluster_fixture.h"
#include "control/lost.h"
#include "control/registration.h"

static char *make_digits(void *ctx)
{
    return mem_printf("%05u", ++suffixes);
}

static int enrol(const char *uuid, const char *ip, struct worker **ret, struct err *err)
{
    auto_free char *text = mem_printf("{\"name\":\"host\",\"hostname\":\"host\",\"ip\":\"%s\","
                                      "\"port\":10150,\"worker_uuid\":\"%s\"}",
                                      ip, uuid);
    auto_fini(json_release) json_t *body = NULL;
    assert_int_equal(json_read(str_of(text), &body, NULL), 0);
    const struct registration_env registration = {.now_ms = 7, .make_digits = make_digits};
    return registration_apply(&cluster, body, &registration, ret, err);
}

static void test_same_hostname_twice_is_two_workers(void **state)
{
    struct worker *one, *other;
    struct err err = {0};
    assert_int_equal(enrol("u1", "10.0.0.1", &one, &err), 0);
    assert_int_equal(enrol("u2", "10.0.0.2", &other, &err), 0);
    assert_int_not_equal(one->id, other->id);
    assert_string_equal(one->name, "host");
    assert_string_equal(other->name, "host-00001");
}

/* A worker of another version may come in its place. */
static void test_what_a_worker_can_do_is_what_it_said_last(void **state)
{
    struct worker *worker;
    auto_fini(json_release) json_t *body = NULL;
    const struct registration_env registration = {.now_ms = 7, .make_digits = make_digits};
    assert_int_equal(json_read(STR("{\"name\":\"host\",\"ip\":\"10.0.0.1\",\"port\":10150,"
                                   "\"worker_uuid\":\"u1\",\"inspects\":true}"),
                               &body, NULL),
                     0);
    assert_int_equal(registration_apply(&cluster, body, &registration, &worker, NULL), 0);
    assert_true(worker->inspects);
    assert_int_equal(enrol("u1", "10.0.0.1", &worker, NULL), 0);
    assert_false(worker->inspects);
}

static void test_a_copied_uuid_is_refused_with_both_addresses(void **state)
{
    struct worker *worker, *copied;
    struct err err = {0};
    assert_int_equal(enrol("u1", "10.0.0.1", &worker, &err), 0);
    liveness_regain(&cluster, worker, 8);
    assert_int_equal(enrol("u1", "10.0.0.9", &copied, &err), ERR_EXISTS);
    assert_non_null(strstr(err.text, "10.0.0.1:10150"));
    assert_non_null(strstr(err.text, "10.0.0.9:10150"));
    assert_string_equal(worker->ip, "10.0.0.1");
    assert_int_equal(worker->state, WORKER_READY);
    assert_true(has_event(EVENT_UUID_REFUSED));
}

static void test_a_silent_worker_may_come_back_elsewhere(void **state)
{
    struct worker *worker, *back;
    struct err err = {0};
    assert_int_equal(enrol("u1", "10.0.0.1", &worker, &err), 0);
    liveness_regain(&cluster, worker, 8);
    liveness_lose(&cluster, worker, 9);
    assert_int_equal(enrol("u1", "10.0.0.9", &back, &err), 0);
    assert_ptr_equal(worker, back);
    assert_string_equal(worker->ip, "10.0.0.9");
    assert_true(has_event(EVENT_ADDRESS_CHANGED));
}

static void test_the_same_address_may_register_again(void **state)
{
    struct worker *worker, *again;
    struct err err = {0};
    assert_int_equal(enrol("u1", "10.0.0.1", &worker, &err), 0);
    set_maintenance(worker->id, "{\"enabled\":true}");
    liveness_regain(&cluster, worker, 8);
    assert_int_equal(enrol("u1", "10.0.0.1", &again, &err), 0);
    assert_int_equal(again->state, WORKER_MAINTENANCE);
    assert_string_equal(again->maintenance, "{\"enabled\":true}");
}

/* ---- who is given up ---- */

/* The lost among workers 1.. that were heard last at these times, of `total`; as "1 3". */
static char *lost_of(const int64_t *contacts, size_t count, size_t total, int64_t now_ms)
{
    struct silent_worker silent[8] = {0};
    for (size_t i = 0; i < count; i++)
        silent[i] = (struct silent_worker){.id = (int64_t)i + 1, .contact_ms = contacts[i]};
    struct int_list lost = {0};
    lost_find(silent, count, total, LOST_GRACE_MS, now_ms, &lost);
    struct buf text = {0};
    buf_add_cstr(&text, "");
    for (size_t i = 0; i < lost.count; i++)
        buf_printf(&text, "%s%lld", i ? " " : "", (long long)lost.items[i]);
    int_list_fini(&lost);
    return buf_take(&text);
}

static void test_who_is_given_up(void **state)
{
    static const int64_t minute = 60000;
    const struct {
        int64_t contacts[4];
        size_t count, total;
        int64_t now_ms;
        const char *want;
    } rows[] = {
        {{0}, 1, 10, LOST_GRACE_MS - 1, ""},
        {{0}, 1, 10, LOST_GRACE_MS, "1"},
        {{0}, 1, 1, LOST_GRACE_MS, "1"}, /* alone it is one machine's fault */
        {{0, minute}, 2, 5, 2 * LOST_GRACE_MS, ""}, /* 2 of 5 are more than a third */
        {{0, minute}, 2, 6, 2 * LOST_GRACE_MS, "1 2"},
        {{0, minute + 1}, 2, 5, 2 * LOST_GRACE_MS, "1 2"}, /* not together */
        {{0, 2 * minute, 2 * minute}, 3, 5, 2 * LOST_GRACE_MS, "1"},
        {{5, 0, 5 * LOST_GRACE_MS}, 3, 9, 2 * LOST_GRACE_MS, "1 2"}, /* 3 isn't silent for long */
        {{0, minute, 2 * minute}, 3, 5, 2 * LOST_GRACE_MS, ""}, /* each with its neighbour */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *have =
            lost_of(rows[i].contacts, rows[i].count, rows[i].total, rows[i].now_ms);
        if (strcmp(have, rows[i].want) != 0)
            fail_msg("row %zu: \"%s\", not \"%s\"", i, have, rows[i].want);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_same_hostname_twice_is_two_workers),
        TEST(test_what_a_worker_can_do_is_what_it_said_last),
        TEST(test_a_copied_uuid_is_refused_with_both_addresses),
        TEST(test_a_silent_worker_may_come_back_elsewhere),
        TEST(test_the_same_address_may_register_again),
        TEST(test_who_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
