/* SPDX-License-Identifier: Apache-2.0 */
/* An instance's timeline: spans, their words, their cap. */
#include "base/json.h"
#include "domain/timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static json_t *spans_of(const struct model_instance *instance)
{
    json_t *spans = NULL;
    assert_int_equal(json_read(str_of(instance->timeline), &spans, NULL), 0);
    return spans;
}

static const char *member(json_t *spans, size_t at, const char *name)
{
    return json_member_string(json_array_get(spans, at), name);
}

static void test_spans_follow_each_other(void **state)
{
    struct model_instance instance = {0};
    instance_set_state(&instance, INSTANCE_PENDING, &(struct cause){0}, 1000);
    instance_set_state(&instance, INSTANCE_ERROR,
                       &(struct cause){REASON_ENGINE_EXITED, "{\"exit_code\":3}", "it ended"},
                       2000);
    auto_fini(json_release) json_t *spans = spans_of(&instance);
    assert_int_equal(json_array_size(spans), 2);
    assert_string_equal(member(spans, 0, "state"), "pending");
    assert_string_equal(member(spans, 0, "until"), member(spans, 1, "since"));
    assert_string_equal(member(spans, 1, "reason"), "engine_exited");
    assert_int_equal(
        json_member_int(json_object_get(json_array_get(spans, 1), "args"), "exit_code", 0), 3);
    assert_true(json_is_null(json_object_get(json_array_get(spans, 1), "until")));
    assert_int_equal(instance.state_since, 2000);
    assert_string_equal(instance.state_message, "it ended");
    record_fini(&model_instance_type, &instance);
}

static void test_other_words_are_no_new_span(void **state)
{
    struct model_instance instance = {0};
    instance_set_state(&instance, INSTANCE_PENDING,
                       &(struct cause){REASON_NO_WORKER_FITS, NULL, "3 are full"}, 1000);
    instance_set_state(&instance, INSTANCE_PENDING,
                       &(struct cause){REASON_NO_WORKER_FITS, NULL, "4 are full"}, 5000);
    auto_fini(json_release) json_t *spans = spans_of(&instance);
    assert_int_equal(json_array_size(spans), 1);
    assert_string_equal(member(spans, 0, "message"), "4 are full");
    assert_int_equal(instance.state_since, 1000);
    record_fini(&model_instance_type, &instance);
}

static void test_a_crash_loop_keeps_its_first_error(void **state)
{
    struct model_instance instance = {0};
    for (int i = 0; i < 300; i++) {
        auto_free char *text = mem_printf("failure %d", i);
        instance_set_state(&instance, INSTANCE_ERROR,
                           &(struct cause){REASON_ENGINE_EXITED, NULL, text}, 1000 + 2 * i);
        instance_set_state(&instance, INSTANCE_STARTING, &(struct cause){0}, 1001 + 2 * i);
    }
    auto_fini(json_release) json_t *spans = spans_of(&instance);
    assert_int_equal(json_array_size(spans), TIMELINE_SPANS_MAX);
    assert_string_equal(member(spans, 0, "message"), "failure 0");
    assert_string_equal(member(spans, TIMELINE_SPANS_MAX - 2, "message"), "failure 299");
    record_fini(&model_instance_type, &instance);
}

static void test_durations(void **state)
{
    struct model_instance instance = {0};
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    timeline_write(&instance, 1, &w);
    assert_string_equal(text.ptr, "[]");
    buf_clear(&text);
    instance_set_state(&instance, INSTANCE_PENDING, &(struct cause){0}, 1000);
    instance_set_state(&instance, INSTANCE_SCHEDULED, &(struct cause){0}, 1250);
    w = json_writer_into(&text);
    timeline_write(&instance, 4000, &w);
    auto_fini(json_release) json_t *spans = NULL;
    assert_int_equal(json_read(buf_str(&text), &spans, NULL), 0);
    assert_int_equal(json_member_int(json_array_get(spans, 0), "duration_ms", -1), 250);
    assert_int_equal(json_member_int(json_array_get(spans, 1), "duration_ms", -1), 2750);
    buf_fini(&text);
    record_fini(&model_instance_type, &instance);
}

static void test_every_reason_has_a_name_of_its_own(void **state)
{
    for (unsigned i = 0; i < REASON_COUNT; i++)
        assert_int_equal(reason_parse(reason_name((enum reason)i)), i);
    assert_int_equal(reason_parse("of a newer version"), REASON_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spans_follow_each_other),
        cmocka_unit_test(test_other_words_are_no_new_span),
        cmocka_unit_test(test_a_crash_loop_keeps_its_first_error),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_every_reason_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
