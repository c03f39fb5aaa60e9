/* SPDX-License-Identifier: Apache-2.0 */
#include "control/key_uses.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static unsigned puts_told;

static void on_put(enum kind kind, const void *record, bool durable, void *ctx)
{
    assert_int_equal(kind, KIND_API_KEY);
    assert_true(durable);
    puts_told++;
}

static void on_delete(enum kind kind, const void *record, void *ctx)
{
}

static const struct cluster_sink sink = {.on_put = on_put, .on_delete = on_delete};

static void test_a_use_is_written_once_a_minute(void **state)
{
    struct cluster cluster;
    cluster_init(&cluster);
    struct api_key fresh = {0};
    record_init(&api_key_type, &fresh);
    mem_replace(&fresh.name, "k");
    mem_replace(&fresh.access_key, "0123456789abcdef");
    const struct api_key *key = cluster_put(&cluster, KIND_API_KEY, &fresh, 5);
    cluster.sink = &sink;
    puts_told = 0;
    const int64_t first = 1000000;
    for (int64_t at = first; at < first + KEY_USE_STEP_MS; at += 100)
        key_uses_note(&cluster, key->id, at);
    assert_int_equal(puts_told, 1);
    assert_int_equal(key->last_used_at, first);
    key_uses_note(&cluster, key->id, first + KEY_USE_STEP_MS);
    assert_int_equal(puts_told, 2);
    key_uses_note(&cluster, key->id, first); /* of a gateway that tells late */
    key_uses_note(&cluster, 99, first);
    assert_int_equal(puts_told, 2);
    assert_int_equal(key->last_used_at, first + KEY_USE_STEP_MS);
    assert_int_equal(key->updated_at, 5);
    assert_int_equal(key->version, 1);
    cluster.sink = NULL;
    cluster_fini(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_use_is_written_once_a_minute)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
