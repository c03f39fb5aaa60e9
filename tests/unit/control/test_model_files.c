/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, leases, what is held and let go, reports, what clients do with model files. */
#include "placing_fixture.h"

#include "control/desired.h"
#include "control/file_reports.h"
#include "control/model_files.h"

static struct worker *worker_at(int64_t id)
{
    return cluster_find(&cluster, KIND_WORKER, id);
}

static void tell_cache(int64_t worker_id, const char *storage, const char *error)
{
    auto_free char *text = mem_printf("{\"instances\":[],\"status\":{\"memory\":{\"total\":"
                                      "17179869184},\"cache\":{\"dir\":\"/cache%lld\","
                                      "\"storage_id\":%s,\"total\":100,\"available\":50,"
                                      "\"is_shared\":false,\"error\":%s}}}",
                                      (long long)worker_id, storage, error);
    auto_fini(json_release) json_t *body = NULL;
    assert_int_equal(json_read(str_of(text), &body, NULL), 0);
    struct report_env report = {.now_ms = 5, .now_mono_ms = mono_ms};
    assert_true(report_apply(&cluster, worker_id, body, &report, NULL) >= 0);
}

/* A worker that downloads, with that storage: a JSON string or "null". */
static int64_t add_fetcher(const char *name, const char *storage)
{
    int64_t id = add_worker(name, WORKER_READY);
    struct worker copy = {0};
    record_copy(&worker_type, &copy, worker_at(id));
    copy.downloads = true;
    cluster_put(&cluster, KIND_WORKER, &copy, 1);
    tell_cache(id, storage, "null");
    return id;
}

static void set_worker_state(int64_t id, enum worker_state worker_state)
{
    struct worker copy = {0};
    record_copy(&worker_type, &copy, worker_at(id));
    copy.state = worker_state;
    cluster_put(&cluster, KIND_WORKER, &copy, 2);
}

static void set_file(struct model *model, const char *pattern)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    copy.source = MODEL_HUGGINGFACE;
    mem_replace(&copy.local_path, NULL);
    mem_replace(&copy.huggingface_repo_id, "acme/hello");
    mem_replace(&copy.huggingface_filename, pattern);
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
}

static struct model *add_hub_model(const char *name, int64_t replicas)
{
    struct model *model = add_model(name, replicas);
    set_file(model, "*Q8*");
    return model;
}

static size_t file_count(void)
{
    return cluster.tables[KIND_MODEL_FILE].count;
}

static struct model_file *file_at(size_t i)
{
    assert_true(i < file_count());
    return cluster.tables[KIND_MODEL_FILE].rows[i];
}

/* The holder of the row (or who thinks so) reports; `more` is ",..." or "". */
static void tell_as(int64_t worker_id, int64_t id, int64_t lease, const char *word,
                    const char *more)
{
    auto_free char *text = mem_printf("[{\"id\":%lld,\"lease\":%lld,\"state\":\"%s\"%s}]",
                                      (long long)id, (long long)lease, word, more);
    auto_fini(json_release) json_t *entries = NULL;
    assert_int_equal(json_read(str_of(text), &entries, NULL), 0);
    file_reports_take(&cluster, worker_id, entries, env.now_ms);
    settle();
}

static void tell(size_t i, const char *word, const char *more)
{
    const struct model_file *file = file_at(i);
    tell_as(file->worker_id, file->id, file->lease, word, more);
}

#define READY                                                                                      \
    ",\"size\":1000,\"downloaded\":1000,\"file_count\":1,\"files_ready\":1,\"revision\":\"abc\","  \
    "\"resolved_path\":\"huggingface/acme/hello/x.gguf\""

static char *desired_of(int64_t worker_id)
{
    struct buf out = {0};
    desired_write(&cluster, worker_id, &out);
    return buf_take(&out);
}

static char *wishes_on(int64_t worker_id)
{
    struct buf out = {0};
    model_files_write_wishes(&cluster, worker_id, &out);
    return buf_take(&out);
}

static void assert_wish(int64_t worker_id, const char *action)
{
    auto_free char *text = wishes_on(worker_id);
    auto_free char *wanted = action ? mem_printf("\"action\":\"%s\"", action) : mem_strdup("[]");
    assert_non_null(strstr(text, wanted));
}

/* ---- the way of a download ---- */

static void test_an_instance_waits_for_its_files(void **state)
{
    int64_t worker = add_fetcher("a", "\"s1\"");
    add_hub_model("m", 1);
    settle();
    assert_int_equal(file_count(), 1);
    assert_string_equal(file_at(0)->key, "hf:acme/hello/*Q8* on s1");
    assert_int_equal(file_at(0)->worker_id, worker);
    assert_int_equal(instance_at(0)->state, INSTANCE_DOWNLOADING);
    auto_free char *before = desired_of(worker);
    assert_string_equal(before, "[]");
    auto_free char *wishes = wishes_on(worker);
    auto_free char *expected = mem_printf(
        "[{\"id\":1,\"lease\":%lld,\"source\":\"huggingface\",\"repo_id\":\"acme/hello\","
        "\"file\":\"*Q8*\",\"action\":\"download\"}]",
        (long long)file_at(0)->lease);
    assert_string_equal(wishes, expected);

    tell(0, "downloading", ",\"size\":1000,\"downloaded\":123,\"bytes_per_second\":100");
    assert_int_equal(file_at(0)->state, MODEL_FILE_DOWNLOADING);
    assert_true(instance_at(0)->download_progress > 12.2 &&
                instance_at(0)->download_progress < 12.4);
    assert_int_equal(file_at(0)->eta_s, 9);
    assert_true(has_event(EVENT_DOWNLOAD_BEGUN));

    tell(0, "ready", READY);
    assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
    assert_false(instance_at(0)->is_held);
    auto_free char *after = desired_of(worker);
    assert_non_null(strstr(after, "\"source\":\"local_path\",\"local_path\":"
                                  "\"/cache1/huggingface/acme/hello/x.gguf\""));
    assert_string_equal(file_at(0)->resolved_paths.items[0],
                        "/cache1/huggingface/acme/hello/x.gguf");
    assert_string_equal(file_at(0)->models, "[{\"id\":1,\"name\":\"m\"}]");
}

static void test_two_replicas_on_one_storage_are_one_download(void **state)
{
    int64_t one = add_fetcher("a", "\"s1\""), other = add_fetcher("b", "\"s1\"");
    add_hub_model("m", 2);
    settle();
    assert_int_equal(file_count(), 1);
    assert_int_equal(file_at(0)->worker_ids.count, 2);
    tell(0, "ready", READY);
    auto_free char *on_one = desired_of(one), *on_other = desired_of(other);
    assert_non_null(strstr(on_one, "/cache1/huggingface"));
    assert_non_null(strstr(on_other, "/cache2/huggingface"));
}

static void test_each_storage_gets_its_own(void **state)
{
    add_fetcher("a", "\"s1\"");
    add_fetcher("b", "\"s2\"");
    add_hub_model("m", 2);
    settle();
    assert_int_equal(file_count(), 2);
    tell(0, "ready", READY);
    assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
    assert_int_equal(instance_at(1)->state, INSTANCE_DOWNLOADING);
}

static void test_a_worker_that_cannot_download_answers_itself(void **state)
{
    int64_t worker = add_worker("old", WORKER_READY);
    add_hub_model("m", 1);
    settle();
    assert_int_equal(file_count(), 0);
    assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
    auto_free char *desired = desired_of(worker);
    assert_non_null(strstr(desired, "\"source\":\"huggingface\""));
}

static void test_a_storage_that_is_not_told_or_unusable(void **state)
{
    int64_t worker = add_fetcher("a", "null");
    add_hub_model("m", 1);
    settle();
    assert_int_equal(instance_at(0)->state, INSTANCE_DOWNLOADING);
    tell_cache(worker, "null", "\"read-only\"");
    settle();
    assert_int_equal(instance_at(0)->state, INSTANCE_ERROR);
    assert_int_equal(instance_at(0)->state_reason, REASON_STORAGE_UNUSABLE);
    tell_cache(worker, "\"s1\"", "null");
    settle();
    assert_int_equal(instance_at(0)->state, INSTANCE_DOWNLOADING);
    assert_int_equal(file_count(), 1);
    tell_cache(worker, "null", "\"away\""); /* its files are on it when it is back */
    settle();
    assert_int_equal(file_count(), 1);
}

/* ---- errors and pauses ---- */

static void test_an_error_shows_and_goes_by_itself(void **state)
{
    add_fetcher("a", "\"s1\"");
    add_hub_model("m", 1);
    settle();
    tell(0, "error", ",\"reason\":\"disk_full\",\"args\":{\"needs\":5,\"free\":1},"
                     "\"message\":\"no room\",\"retry_in_s\":10");
    assert_int_equal(instance_at(0)->state, INSTANCE_ERROR);
    assert_int_equal(instance_at(0)->state_reason, REASON_DISK_FULL);
    assert_string_equal(instance_at(0)->state_args, "{\"needs\":5,\"free\":1}");
    assert_string_equal(instance_at(0)->state_message, "no room");
    assert_int_equal(file_at(0)->retry_at, 11000);
    assert_true(has_event(EVENT_DOWNLOAD_FAILED));
    tell(0, "downloading", ",\"size\":1000,\"downloaded\":500");
    assert_int_equal(instance_at(0)->state, INSTANCE_DOWNLOADING);
    assert_null(file_at(0)->state_message);
    tell(0, "ready", READY);
    assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
}

static void test_pause_and_resume(void **state)
{
    int64_t worker = add_fetcher("a", "\"s1\"");
    add_hub_model("m", 1);
    settle();
    assert_int_equal(model_files_set_paused(&cluster, file_at(0), true, 2, NULL), 0);
    settle();
    assert_wish(worker, "pause");
    assert_int_equal(instance_at(0)->state_reason, REASON_DOWNLOAD_PAUSED);
    tell(0, "downloading", ",\"size\":1000,\"downloaded\":500"); /* it hasn't heard of it */
    assert_int_equal(file_at(0)->state, MODEL_FILE_PAUSED);
    assert_int_equal(model_files_set_paused(&cluster, file_at(0), true, 2, NULL), ERR_CONFLICT);
    assert_int_equal(model_files_set_paused(&cluster, file_at(0), false, 2, NULL), 0);
    settle();
    assert_wish(worker, "download");
    tell(0, "paused", "");
    assert_int_equal(file_at(0)->state, MODEL_FILE_WAITING);
    assert_int_equal(instance_at(0)->state_reason, REASON_NONE);
    tell(0, "ready", READY);
    assert_int_equal(model_files_set_paused(&cluster, file_at(0), true, 2, NULL), ERR_CONFLICT);
}

static void test_a_try_again_is_a_fresh_lease(void **state)
{
    add_fetcher("a", "\"s1\"");
    add_hub_model("m", 1);
    settle();
    tell(0, "error", ",\"reason\":\"file_missing\",\"message\":\"no\"");
    int64_t lease = file_at(0)->lease;
    assert_int_equal(model_files_retry(&cluster, file_at(0), 2, NULL), 0);
    assert_true(file_at(0)->lease > lease);
    assert_int_equal(file_at(0)->state, MODEL_FILE_WAITING);
    tell_as(file_at(0)->worker_id, file_at(0)->id, lease, "error", ",\"reason\":\"file_missing\"");
    assert_int_equal(file_at(0)->state, MODEL_FILE_WAITING);
    tell(0, "ready", READY);
    assert_int_equal(model_files_retry(&cluster, file_at(0), 2, NULL), ERR_CONFLICT);
}

static void test_what_runs_is_not_touched(void **state)
{
    int64_t worker = add_fetcher("a", "\"s1\"");
    add_hub_model("m", 1);
    settle();
    tell(0, "ready", READY);
    report_state(worker, instance_at(0)->id, "running");
    tell(0, "listing", "");
    assert_int_equal(file_at(0)->state, MODEL_FILE_READY);
    tell(0, "error", ",\"reason\":\"hub_unreachable\"");
    assert_int_equal(file_at(0)->state, MODEL_FILE_READY);
    tell(0, "error", ",\"reason\":\"checksum_mismatch\",\"message\":\"bad\"");
    assert_int_equal(file_at(0)->state, MODEL_FILE_ERROR);
    assert_int_equal(instance_at(0)->state, INSTANCE_RUNNING);
    auto_free char *desired = desired_of(worker);
    assert_non_null(strstr(desired, "/cache1/huggingface"));
}

static void test_a_report_leaves_held_ones_alone(void **state)
{
    int64_t worker = add_fetcher("a", "\"s1\"");
    add_hub_model("m", 1);
    settle();
    assert_int_equal(report_entries(worker, "[]", true), 0);
    assert_int_equal(instance_at(0)->state, INSTANCE_DOWNLOADING);
    report_state(worker, instance_at(0)->id, "running"); /* left over from before */
    assert_int_equal(instance_at(0)->state, INSTANCE_DOWNLOADING);
}

static void test_a_bad_report_changes_nothing_it_should_not(void **state)
{
    add_fetcher("a", "\"s1\"");
    add_hub_model("m", 1);
    settle();
    tell(0, "ready", ",\"resolved_path\":\"../../etc/passwd\"");
    assert_null(file_at(0)->resolved_path);
    assert_int_equal(file_at(0)->state, MODEL_FILE_VERIFYING);
    tell(0, "ready", ",\"resolved_path\":\"/etc/passwd\"");
    assert_null(file_at(0)->resolved_path);
    tell(0, "flying", READY);
    tell(0, "deleted", "");
    tell(0, "deleting", "");
    tell(0, "present", "");
    assert_int_equal(file_at(0)->state, MODEL_FILE_VERIFYING);
    tell_as(99, file_at(0)->id, file_at(0)->lease, "ready", READY);
    assert_int_equal(file_at(0)->state, MODEL_FILE_VERIFYING);
    tell(0, "downloading", ",\"size\":-4,\"downloaded\":\"x\",\"files\":{},\"args\":[]");
    assert_int_equal(file_at(0)->size, 0);
}

/* ---- leases ---- */

static void test_another_worker_takes_a_download_over(void **state)
{
    int64_t one = add_fetcher("a", "\"s1\""), other = add_fetcher("b", "\"s1\"");
    int64_t stranger = add_fetcher("c", "\"s2\"");
    add_hub_model("m", 3);
    settle();
    int64_t id = file_at(0)->id, lease = file_at(0)->lease;
    assert_int_equal(file_at(0)->worker_id, one);
    tell(0, "downloading", ",\"size\":1000,\"downloaded\":500,\"bytes_per_second\":10");
    set_worker_state(one, WORKER_NOT_READY);
    settle();
    assert_int_equal(file_at(0)->worker_id, other);
    assert_true(file_at(0)->lease > lease);
    assert_int_equal(file_at(0)->state, MODEL_FILE_WAITING);
    assert_true(has_event(EVENT_DOWNLOAD_MOVED));
    assert_wish(one, NULL);
    tell_as(one, id, lease, "ready", READY); /* it didn't hear that it lost it */
    assert_int_equal(file_at(0)->state, MODEL_FILE_WAITING);
    set_worker_state(one, WORKER_READY);
    settle();
    assert_int_equal(file_at(0)->worker_id, other);
    set_worker_state(one, WORKER_NOT_READY);
    set_worker_state(other, WORKER_NOT_READY);
    settle();
    assert_int_equal(file_at(0)->worker_id, other); /* nobody can: it stays */
    assert_int_equal(file_at(1)->worker_id, stranger);
}

static void test_ready_files_stay_with_a_silent_worker(void **state)
{
    int64_t one = add_fetcher("a", "\"s1\""), other = add_fetcher("b", "\"s1\"");
    add_hub_model("m", 1);
    settle();
    tell(0, "ready", READY);
    set_worker_state(one, WORKER_NOT_READY);
    settle();
    assert_int_equal(file_at(0)->worker_id, one);
    cluster_delete(&cluster, KIND_WORKER, one);
    settle();
    assert_int_equal(file_at(0)->worker_id, other);
    assert_int_equal(file_at(0)->state, MODEL_FILE_READY);
    assert_string_equal(file_at(0)->resolved_paths.items[0],
                        "/cache2/huggingface/acme/hello/x.gguf");
}

static void test_an_unusable_storage_goes_around_once(void **state)
{
    add_fetcher("a", "\"s1\"");
    int64_t other = add_fetcher("b", "\"s1\"");
    add_hub_model("m", 2);
    settle();
    tell(0, "error", ",\"reason\":\"storage_unusable\",\"message\":\"read-only\"");
    assert_int_equal(file_at(0)->worker_id, other);
    int64_t lease = file_at(0)->lease;
    tell(0, "error", ",\"reason\":\"storage_unusable\",\"message\":\"read-only\"");
    assert_int_equal(file_at(0)->worker_id, other);
    assert_int_equal(file_at(0)->lease, lease);
    assert_int_equal(instance_at(0)->state, INSTANCE_ERROR);
}

/* ---- ends ---- */

static void test_what_nobody_needs_ends_unless_it_is_complete(void **state)
{
    int64_t worker = add_fetcher("a", "\"s1\"");
    struct model *model = add_hub_model("m", 1);
    settle();
    tell(0, "downloading", ",\"size\":1000,\"downloaded\":500");
    cluster_delete(&cluster, KIND_MODEL, model->id);
    settle();
    assert_wish(worker, "delete");
    tell(0, "deleted", "");
    assert_int_equal(file_count(), 0);
    assert_wish(worker, NULL);
    model = add_hub_model("m", 1);
    settle();
    tell(0, "ready", READY);
    cluster_delete(&cluster, KIND_MODEL, model->id);
    settle();
    assert_int_equal(file_count(), 1);
    assert_string_equal(file_at(0)->models, "[]");
    cluster_delete(&cluster, KIND_WORKER, worker);
    settle();
    assert_int_equal(file_count(), 0);
}

static void test_a_download_stays_while_its_instance_looks_for_a_place(void **state)
{
    int64_t worker = add_fetcher("a", "\"s1\"");
    struct model *model = add_hub_model("m", 1);
    settle();
    tell(0, "downloading", ",\"size\":1000,\"downloaded\":500");
    int64_t id = file_at(0)->id;
    set_worker_state(worker, WORKER_NOT_READY);
    cluster_delete(&cluster, KIND_INSTANCE, instance_at(0)->id);
    settle(); /* a fresh one that no worker takes */
    assert_int_equal(instance_at(0)->worker_id, 0);
    assert_int_equal(file_at(0)->id, id);
    set_replicas(model, 0);
    settle();
    assert_int_equal(file_at(0)->state, MODEL_FILE_DELETING);
}

static void test_another_file_is_fetched_before_what_serves_goes(void **state)
{
    int64_t worker = add_fetcher("a", "\"s1\"");
    struct model *model = add_hub_model("m", 1);
    settle();
    tell(0, "ready", READY);
    int64_t old = instance_at(0)->id;
    report_more(worker, old, "running",
                ",\"resolved_path\":\"/cache1/huggingface/acme/hello/x.gguf\"");
    settle();
    set_file(model, "*Q4*");
    set_generation(model, 2, NULL);
    settle();
    assert_int_equal(file_count(), 2);
    assert_int_equal(instance_by_id(old)->state, INSTANCE_RUNNING);
    assert_false(instance_by_id(old)->is_draining);
    struct err err = {0}; /* the old file is what it runs with */
    assert_int_equal(model_files_remove(&cluster, file_at(0), true, 2, &err), ERR_CONFLICT);
    auto_free char *desired = desired_of(worker);
    assert_non_null(strstr(desired, "hello/x.gguf"));
    tell(1, "error", ",\"reason\":\"file_missing\",\"message\":\"no\"");
    assert_int_equal(instance_by_id(old)->state, INSTANCE_RUNNING);
    set_file(model, "*Q8*");
    set_generation(model, 3, NULL);
    settle();
    assert_int_equal(file_at(1)->state, MODEL_FILE_DELETING);
    tell(1, "deleted", "");
    assert_int_equal(file_count(), 1);
}

/* Where there is no room for two the old one serves until the new file is there. */
static void test_no_drain_before_the_files_are_there(void **state)
{
    int64_t worker = add_fetcher("a", "\"s1\"");
    struct model *model = add_hub_model("m", 1);
    settle();
    tell(0, "ready", READY);
    int64_t old = instance_at(0)->id;
    report_more(worker, old, "running",
                ",\"resolved_path\":\"/cache1/huggingface/acme/hello/x.gguf\"");
    set_maintenance(worker, "{\"enabled\":true}"); /* nothing new is placed there */
    set_file(model, "*Q4*");
    set_generation(model, 2, NULL);
    settle();
    assert_false(instance_by_id(old)->is_draining);
    tell(1, "downloading", ",\"size\":1000,\"downloaded\":500");
    assert_false(instance_by_id(old)->is_draining);
    tell(1, "ready", READY);
    assert_true(instance_by_id(old)->is_draining);
}

static void test_a_model_that_turns_to_a_local_path_is_let_go(void **state)
{
    int64_t worker = add_fetcher("a", "\"s1\"");
    struct model *model = add_hub_model("m", 1);
    settle();
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    copy.source = MODEL_LOCAL_PATH;
    mem_replace(&copy.local_path, "/models/x.gguf");
    copy.generation = 2;
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
    settle();
    assert_wish(worker, "delete");
    assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
    assert_false(instance_at(0)->is_held);
    auto_free char *desired = desired_of(worker);
    assert_non_null(strstr(desired, "/models/x.gguf"));
}

static int ask(int64_t worker_id, const struct model_file **ret)
{
    struct model_file fresh = {0};
    record_init(&model_file_type, &fresh);
    fresh.source = MODEL_HUGGINGFACE;
    mem_replace(&fresh.huggingface_repo_id, "acme/hello");
    mem_replace(&fresh.huggingface_filename, "*Q8*");
    fresh.worker_id = worker_id;
    struct err err = {0};
    int rc = model_files_ask(&cluster, &fresh, 2, ret, &err);
    record_fini(&model_file_type, &fresh);
    return rc;
}

static int64_t add_fetching_node(const char *name, const char *storage)
{
    int64_t id = add_node(name, "r1");
    struct worker copy = {0};
    record_copy(&worker_type, &copy, worker_at(id));
    copy.downloads = true;
    mem_replace(&copy.storage_id, storage);
    mem_replace(&copy.cache_dir, "/cache");
    cluster_put(&cluster, KIND_WORKER, &copy, 1);
    return id;
}

static void test_a_place_where_the_files_are_is_preferred(void **state)
{
    add_fetching_node("a", "s1");
    int64_t other = add_fetching_node("b", "s2");
    const struct model_file *file;
    assert_int_equal(ask(other, &file), 0);
    tell(0, "ready", READY);
    set_file(add_known("m", 1, NULL), "*Q8*");
    settle();
    assert_int_equal(instance_at(0)->worker_id, other);
    assert_false(instance_at(0)->is_held);
}

/* ---- clients ---- */

static void test_files_can_be_asked_for_before_a_model(void **state)
{
    int64_t worker = add_fetcher("a", "\"s1\""), old = add_worker("old", WORKER_READY);
    const struct model_file *file;
    assert_int_equal(ask(99, &file), ERR_INVALID);
    assert_int_equal(ask(old, &file), ERR_INVALID);
    assert_int_equal(ask(worker, &file), 0);
    assert_int_equal(ask(worker, &file), ERR_EXISTS);
    settle();
    assert_int_equal(file_count(), 1);
    assert_wish(worker, "download");
    tell(0, "ready", READY);
    cluster_delete(&cluster, KIND_WORKER, old);
    add_hub_model("m", 1);
    settle();
    assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
    assert_false(instance_at(0)->is_held);
    assert_int_equal(file_count(), 1);
}

static void test_deleting(void **state)
{
    int64_t worker = add_fetcher("a", "\"s1\"");
    struct model *model = add_hub_model("m", 1);
    settle();
    tell(0, "ready", READY);
    struct err err = {0};
    assert_int_equal(model_files_remove(&cluster, file_at(0), true, 2, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "instances of m use"));
    set_replicas(model, 0);
    settle();
    assert_int_equal(model_files_remove(&cluster, file_at(0), true, 2, &err), 0);
    assert_wish(worker, "delete");
    tell(0, "ready", READY); /* it hasn't heard of it */
    assert_int_equal(file_at(0)->state, MODEL_FILE_DELETING);
    set_replicas(model, 1); /* it waits until they are gone, then they are fetched again */
    settle();
    assert_int_equal(instance_at(0)->state, INSTANCE_DOWNLOADING);
    int64_t id = file_at(0)->id;
    tell(0, "deleted", "");
    assert_true(has_event(EVENT_DELETED));
    assert_true(file_at(0)->id > id);
    assert_int_equal(file_at(0)->state, MODEL_FILE_WAITING);
    set_replicas(model, 0);
    settle();
    tell(0, "deleted", "");
    const struct model_file *file;
    assert_int_equal(ask(worker, &file), 0);
    assert_int_equal(model_files_remove(&cluster, file, false, 2, &err), 0);
    assert_int_equal(file_count(), 0);
}

/* ---- what costs no write ---- */

static unsigned durable_puts;

static void count_put(enum kind kind, const void *record, bool durable, void *ctx)
{
    durable_puts += durable;
}

static void ignore_delete(enum kind kind, const void *record, void *ctx)
{
}

static void test_progress_is_not_stored(void **state)
{
    static const struct cluster_sink sink = {.on_put = count_put, .on_delete = ignore_delete};
    add_fetcher("a", "\"s1\"");
    add_hub_model("m", 1);
    settle();
    tell(0, "downloading", ",\"size\":1000,\"downloaded\":1,\"message\":\"1 of 1000\"");
    cluster.sink = &sink;
    durable_puts = 0;
    for (int i = 0; i < 10; i++) {
        auto_free char *more = mem_printf(",\"size\":1000,\"downloaded\":%d,\"message\":\"%d\"",
                                          100 * i, i);
        tell(0, "downloading", more);
    }
    assert_int_equal(durable_puts, 0);
    assert_true(instance_at(0)->download_progress > 89);
    tell(0, "ready", READY);
    assert_true(durable_puts > 0);
    cluster.sink = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_an_instance_waits_for_its_files),
        TEST(test_two_replicas_on_one_storage_are_one_download),
        TEST(test_each_storage_gets_its_own),
        TEST(test_a_worker_that_cannot_download_answers_itself),
        TEST(test_a_storage_that_is_not_told_or_unusable),
        TEST(test_an_error_shows_and_goes_by_itself),
        TEST(test_pause_and_resume),
        TEST(test_a_try_again_is_a_fresh_lease),
        TEST(test_what_runs_is_not_touched),
        TEST(test_a_report_leaves_held_ones_alone),
        TEST(test_a_bad_report_changes_nothing_it_should_not),
        TEST(test_another_worker_takes_a_download_over),
        TEST(test_ready_files_stay_with_a_silent_worker),
        TEST(test_an_unusable_storage_goes_around_once),
        TEST(test_what_nobody_needs_ends_unless_it_is_complete),
        TEST(test_a_download_stays_while_its_instance_looks_for_a_place),
        TEST(test_another_file_is_fetched_before_what_serves_goes),
        TEST(test_no_drain_before_the_files_are_there),
        TEST(test_a_model_that_turns_to_a_local_path_is_let_go),
        cmocka_unit_test_setup_teardown(test_a_place_where_the_files_are_is_preferred,
                                        set_up_placing, tear_down_placing),
        TEST(test_files_can_be_asked_for_before_a_model),
        TEST(test_deleting),
        TEST(test_progress_is_not_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
