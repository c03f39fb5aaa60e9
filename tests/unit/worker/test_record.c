/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "folder.h"
#include "worker/adopt.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct engine_record full_record(void)
{
    struct engine_record record = {0};
    engine_record_init(&record, 7);
    record.name = mem_strdup("hello-a1b2c");
    record.model_name = mem_strdup("hello");
    record.cluster_id = mem_strdup("c-1");
    record.model_generation = 3;
    record.rank = 1;
    record.rank_count = 2;
    record.gang_epoch = 5;
    record.run = 4;
    record.restart_count = 2;
    record.last_restart_time = 1700000000123;
    record.failures = 6;
    record.state_reason = REASON_ENGINE_EXITED;
    record.state_args = mem_strdup("{\"exit_code\":3}");
    record.state_text = mem_strdup("exit status 3");
    record.retry_at_ms = 77;
    record.draining_since_ms = 78;
    record.state = mem_strdup("running");
    record.ready_path = mem_strdup("/health");
    record.resolved_path = mem_strdup("/m/\"a\".gguf");
    record.model_bytes = 123456789012;
    record.token = mem_strdup("secret");
    return record;
}

/* What a crash loop and a gang must not lose. */
static void check_try(const struct engine_record *record)
{
    assert_string_equal(record->cluster_id, "c-1");
    assert_int_equal(record->rank, 1);
    assert_int_equal(record->rank_count, 2);
    assert_int_equal(record->gang_epoch, 5);
    assert_int_equal(record->failures, 6);
    assert_int_equal(record->state_reason, REASON_ENGINE_EXITED);
    assert_string_equal(record->state_args, "{\"exit_code\":3}");
    assert_string_equal(record->state_text, "exit status 3");
    assert_int_equal(record->retry_at_ms, 77);
    assert_int_equal(record->draining_since_ms, 78);
}

static void test_round_trip(void **state)
{
    char *dir = folder_new();
    struct engine_record record = full_record();
    struct proc_identity id = {.pid = 4711, .start_ticks = 99, .boot_id = "b-o-o-t"};
    engine_set_identity(&record, &id);
    int_list_add(&record.ports, 40000);
    assert_int_equal(engine_record_save(dir, &record, NULL), 0);

    struct engine_record back = {0};
    assert_int_equal(engine_record_load(dir, 7, &back, NULL), 0);
    assert_string_equal(back.name, "hello-a1b2c");
    assert_string_equal(back.resolved_path, "/m/\"a\".gguf");
    assert_string_equal(back.token, "secret");
    assert_int_equal(back.model_bytes, 123456789012);
    assert_int_equal(back.last_restart_time, 1700000000123);
    assert_int_equal(back.ports.items[0], 40000);
    check_try(&back);
    struct proc_identity back_id = engine_identity(&back);
    assert_int_equal(back_id.pid, id.pid);
    assert_int_equal(back_id.start_ticks, id.start_ticks);
    assert_string_equal(back_id.boot_id, id.boot_id);

    auto_free char *path = mem_printf("%s/7.json", dir);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    engine_record_remove(dir, 7);
    assert_false(file_exists(path));
    engine_record_fini(&record);
    engine_record_fini(&back);
    folder_free(dir);
}

#define GOOD "\"name\":\"a\",\"ready_path\":\"/health\""

static void test_garbage_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "null",
        "[]",
        "{\"id\":7}",
        "{\"id\":8," GOOD "}",
        "{\"id\":7," GOOD ",\"ports\":[0]}",
        "{\"id\":7," GOOD ",\"ports\":[65536]}",
        "{\"id\":7," GOOD ",\"pid\":-1}",
        "{\"id\":7," GOOD ",\"pid\":4294967297}",
        "{\"id\":7," GOOD ",\"boot_id\":\"0123456789012345678901234567890123456789\"}",
        "{\"id\":7," GOOD ",\"run\":\"1\"}",
    };
    char *dir = folder_new();
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct engine_record record = {0};
        struct err err = {0};
        folder_write(dir, "7.json", texts[i], 0);
        if (engine_record_load(dir, 7, &record, &err) >= 0)
            fail_msg("taken: %s", texts[i]);
        assert_null(record.name);
        assert_non_null(strstr(err.text, "7.json"));
    }
    folder_write(dir, "7.json", NULL, ENGINE_RECORD_MAX + 1);
    struct engine_record record = {0};
    assert_int_equal(engine_record_load(dir, 7, &record, NULL), ERR_TOO_LARGE);
    folder_free(dir);
}

static void test_ids_of_a_folder(void **state)
{
    char *dir = folder_new();
    static const char *const names[] = {"12.json", "x.json",   "0.json", "-3.json",
                                        "5",       "12a.json", ".json",  "3.json.tmp-4"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        folder_write(dir, names[i], "{}", 0);
    struct int_list ids = {0};
    engine_record_ids(dir, &ids);
    assert_int_equal(ids.count, 1);
    assert_int_equal(ids.items[0], 12);
    int_list_fini(&ids);
    engine_record_ids("/nonexistent", &ids);
    assert_int_equal(ids.count, 0);
    folder_free(dir);
}

static void test_find_tells_dead_from_alive_and_faulty(void **state)
{
    char *dir = folder_new();
    struct engine_record record = {0};
    engine_record_init(&record, 1);
    record.name = mem_strdup("alive");
    record.ready_path = mem_strdup("/health");
    struct proc_identity self;
    assert_int_equal(proc_identify(getpid(), &self), 0);
    engine_set_identity(&record, &self);
    int_list_add(&record.ports, 40000);
    assert_int_equal(engine_record_save(dir, &record, NULL), 0);
    record.id = 2;
    record.start_ticks++; /* the same pid, another process */
    assert_int_equal(engine_record_save(dir, &record, NULL), 0);
    folder_write(dir, "3.json", "garbage", 0);

    struct found_engines found = {0};
    engines_find(dir, "no-such-uuid", &found);
    assert_int_equal(found.count, 2);
    for (size_t i = 0; i < found.count; i++)
        assert_int_equal(found.items[i].is_alive, found.items[i].record.id == 1);
    assert_int_equal(found.faults.count, 1);
    found_engines_fini(&found);
    engine_record_fini(&record);
    folder_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_garbage_is_refused),
        cmocka_unit_test(test_ids_of_a_folder),
        cmocka_unit_test(test_find_tells_dead_from_alive_and_faulty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
