/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the record types: keys in JSON, defaults, what clients may not set, extra rules. */
#include "domain/instance.h"
#include "domain/model.h"
#include "domain/model_route.h"
#include "domain/user.h"
#include "domain/worker.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int read_text(const struct record_type *type, void *record, const char *text,
                     enum record_read_mode mode, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    assert_int_equal(json_read(str_of(text), &root, NULL), 0);
    return record_read(type, record, root, mode, err);
}

/* Whether the record's JSON has all members of `expected` as they stand there. It may have more:
 * fields come by, and what a test is about doesn't change with them. */
static void assert_written(const struct record_type *type, const void *record, const char *expected)
{
    struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    record_write(type, record, &w);
    auto_fini(json_release) json_t *have = NULL, *want = NULL;
    assert_int_equal(json_read(buf_str(&out), &have, NULL), 0);
    assert_int_equal(json_read(str_of(expected), &want, NULL), 0);
    const char *key;
    json_t *value;
    json_object_foreach(want, key, value) {
        if (!json_equal(json_object_get(have, key), value))
            fail_msg("%s is not as wanted in %s", key, out.ptr);
    }
    buf_fini(&out);
}

/* Secrets must not be among the members, whatever their value. */
static void assert_not_written(const struct record_type *type, const void *record, const char *key)
{
    struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    record_write(type, record, &w);
    auto_fini(json_release) json_t *have = NULL;
    assert_int_equal(json_read(buf_str(&out), &have, NULL), 0);
    assert_null(json_object_get(have, key));
    buf_fini(&out);
}

static void test_user(void **state)
{
    (void)state;
    struct user user = {0};
    assert_int_equal(
        read_text(&user_type, &user,
                  "{\"username\":\"eva\",\"password\":\"Secret1!\",\"source\":\"OIDC\","
                  "\"password_hash\":\"x\",\"is_admin\":true}",
                  RECORD_CREATE, NULL),
        0);
    mem_replace(&user.password_hash, "hash");
    assert_string_equal(user.password, "Secret1!");
    assert_written(&user_type, &user,
                   "{\"id\":0,\"username\":\"eva\",\"is_admin\":true,\"full_name\":null,"
                   "\"avatar_url\":null,\"source\":\"Local\",\"is_active\":true,"
                   "\"require_password_change\":false,\"created_at\":null,\"updated_at\":null}");
    assert_not_written(&user_type, &user, "password");
    assert_not_written(&user_type, &user, "password_hash");
    assert_int_equal(read_text(&user_type, &user, "{\"username\":\"bob\",\"full_name\":\"E\"}",
                               RECORD_MERGE, NULL),
                     0);
    assert_string_equal(user.username, "eva");
    assert_string_equal(user.full_name, "E");
    record_fini(&user_type, &user);
}

static void test_user_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int rc;
    } rows[] = {{"a.b_c-d@E9", 0},        {"", ERR_INVALID},    {NULL, ERR_INVALID},
                {"a b", ERR_INVALID},     {"a/b", ERR_INVALID}, {"a:b", ERR_INVALID},
                {"\xc3\xa4", ERR_INVALID}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *name = mem_strdup(rows[i].name);
        struct user user = {.username = name};
        assert_int_equal(user_validate(&user, NULL), rows[i].rc);
    }
}

static void test_api_key(void **state)
{
    (void)state;
    struct api_key key = {0};
    struct err err = {0};
    assert_int_equal(read_text(&api_key_type, &key,
                               "{\"name\":\"k\",\"expires_in\":60,\"scope\":[\"*\",\"inference\"],"
                               "\"access_key\":\"x\",\"user_id\":3}",
                               RECORD_CREATE, NULL),
                     0);
    assert_int_equal(key.expires_in, 60);
    assert_int_equal(key.user_id, 0);
    assert_int_equal(api_key_validate(&key, NULL), 0);
    mem_replace(&key.secret_digest, "digest");
    assert_written(&api_key_type, &key,
                   "{\"id\":0,\"name\":\"k\",\"description\":null,\"user_id\":0,"
                   "\"access_key\":null,\"scope\":[\"*\",\"inference\"],\"allowed_model_names\":[],"
                   "\"expires_at\":null,\"created_at\":null,\"updated_at\":null}");
    assert_not_written(&api_key_type, &key, "secret_digest");
    mem_replace(&key.scope.items[1], "all");
    assert_int_equal(api_key_validate(&key, &err), ERR_INVALID);
    assert_string_equal(err.text,
                        "1 error: scope: must be of *, management, inference, not \"all\"");
    assert_int_equal(read_text(&api_key_type, &key, "{\"expires_in\":-1}", RECORD_CREATE, &err),
                     ERR_INVALID);
    assert_string_equal(err.text,
                        "2 errors: name: must be given; expires_in: must be 0-2147483647, not -1");
    record_fini(&api_key_type, &key);
}

static void test_session_shows_no_token(void **state)
{
    (void)state;
    char digest[] = "digest";
    struct session session = {.id = 1, .user_id = 2, .token_digest = digest, .expires_at = 1000};
    assert_written(&session_type, &session,
                   "{\"id\":1,\"user_id\":2,\"expires_at\":\"1970-01-01T00:00:01.000Z\","
                   "\"created_at\":null}");
    assert_not_written(&session_type, &session, "token_digest");
}

static void test_worker(void **state)
{
    (void)state;
    struct worker worker = {0};
    static const char body[] =
        "{\"name\":\"n1\",\"hostname\":\"n1\",\"ip\":\"10.0.0.5\",\"port\":10150,"
        "\"worker_uuid\":\"u\",\"labels\":{\"os\":\"linux\"},\"state\":\"ready\","
        "\"status\":{\"cpu\":{\"total\":64}}}";
    assert_int_equal(read_text(&worker_type, &worker, body, RECORD_MERGE, NULL), 0);
    assert_null(worker.name);
    assert_string_equal(string_map_get(&worker.labels, "os"), "linux");
    assert_int_equal(worker.state, WORKER_NOT_READY);
    assert_int_equal(read_text(&worker_type, &worker, body, RECORD_TRUST, NULL), 0);
    assert_written(&worker_type, &worker,
                   "{\"id\":0,\"name\":\"n1\",\"hostname\":\"n1\",\"ip\":\"10.0.0.5\","
                   "\"port\":10150,\"worker_uuid\":\"u\",\"netns_id\":null,"
                   "\"worker_version\":null,\"labels\":{\"os\":\"linux\"},\"state\":\"ready\","
                   "\"state_message\":null,\"heartbeat_time\":null,"
                   "\"status\":{\"cpu\":{\"total\":64}},\"created_at\":null,\"updated_at\":null}");
    assert_string_equal(worker_state_name(WORKER_UNREACHABLE), "unreachable");
    record_fini(&worker_type, &worker);
}

static void test_instance(void **state)
{
    (void)state;
    struct model_instance instance = {0};
    static const char body[] =
        "{\"id\":7,\"name\":\"q-aB3xZ\",\"model_id\":3,\"model_name\":\"q\",\"state\":\"running\","
        "\"state_message\":\"\",\"worker_id\":1,\"worker_name\":\"n\",\"worker_ip\":\"10.0.0.5\","
        "\"pid\":42,\"port\":40012,\"ports\":[40012],\"gpu_indexes\":[0],"
        "\"download_progress\":100.0,\"resolved_path\":\"/m\",\"computed_resource_claim\":{\"ram\":"
        "null,\"vram\":{\"0\":77309411328}},\"restart_count\":0,\"last_restart_time\":null}";
    assert_int_equal(read_text(&model_instance_type, &instance, body, RECORD_CREATE, NULL), 0);
    assert_null(instance.name);
    assert_int_equal(instance.state, INSTANCE_PENDING);
    assert_int_equal(read_text(&model_instance_type, &instance, body, RECORD_TRUST, NULL), 0);
    assert_written(&model_instance_type, &instance,
                   "{\"id\":7,\"name\":\"q-aB3xZ\",\"model_id\":3,\"model_name\":\"q\","
                   "\"model_generation\":0,\"worker_id\":1,\"worker_name\":\"n\","
                   "\"worker_ip\":\"10.0.0.5\",\"gpu_indexes\":[0],\"is_draining\":false,"
                   "\"replaces_id\":null,"
                   "\"avoid_worker_ids\":[],\"distributed_servers\":null,\"backend\":null,"
                   "\"backend_version\":null,\"state\":\"running\",\"state_reason\":\"none\","
                   "\"state_args\":null,\"state_message\":\"\",\"state_since\":null,"
                   "\"pid\":42,\"port\":40012,\"ports\":[40012],\"download_progress\":100,"
                   "\"resolved_path\":\"/m\",\"computed_resource_claim\":{\"ram\":null,"
                   "\"vram\":{\"0\":77309411328}},\"measured_claim\":null,"
                   "\"restart_count\":0,\"last_restart_time\":null,"
                   "\"created_at\":null,\"updated_at\":null}");
    record_fini(&model_instance_type, &instance);
}

static void test_instance_states(void **state)
{
    (void)state;
    for (unsigned i = 0; i < INSTANCE_STATE_COUNT; i++) {
        enum instance_state parsed;
        const char *name = instance_state_name((enum instance_state)i);
        assert_int_equal(instance_state_parse(name, &parsed), 0);
        assert_int_equal(parsed, i);
    }
    enum instance_state parsed;
    assert_int_equal(instance_state_parse("RUNNING", &parsed), -EINVAL);
}

static void test_model_defaults(void **state)
{
    (void)state;
    struct model model = {0};
    struct err err = {0};
    assert_int_equal(read_text(&model_type, &model, "{\"name\":\"m\"}", RECORD_CREATE, &err),
                     ERR_INVALID);
    assert_string_equal(err.text, "1 error: source: must be given");
    assert_int_equal(read_text(&model_type, &model,
                               "{\"name\":\"m\",\"source\":\"local_path\",\"generation\":9}",
                               RECORD_CREATE, NULL),
                     0);
    assert_written(
        &model_type, &model,
        "{\"id\":0,\"name\":\"m\",\"description\":null,\"source\":\"local_path\","
        "\"local_path\":null,\"huggingface_repo_id\":null,\"huggingface_filename\":null,"
        "\"model_scope_model_id\":null,\"model_scope_file_path\":null,\"replicas\":1,"
        "\"ready_replicas\":0,\"categories\":[],\"placement_strategy\":\"auto\","
        "\"worker_selector\":{},\"gpu_selector\":null,\"backend\":null,\"backend_version\":null,"
        "\"backend_parameters\":[],\"env\":{},\"cpu_offloading\":true,"
        "\"distributed_inference_across_workers\":true,\"restart_on_error\":true,\"meta\":null,"
        "\"generation\":0,\"created_at\":null,\"updated_at\":null}");
    record_fini(&model_type, &model);
}

#define LOCAL "\"source\":\"local_path\",\"local_path\":\"/m.gguf\""
#define NAME_RULE                                                                                  \
    "1 error: name: must be 1-128 letters, digits or . _ - : / and begin with a letter or digit"

static void test_model_rules(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text; /* NULL: valid */
    } rows[] = {
        {"{\"name\":\"Qwen/q3:8b_a.b-c\"," LOCAL "}", NULL},
        {"{\"name\":\"a b\"," LOCAL "}", NAME_RULE},
        {"{\"name\":\"../a\"," LOCAL "}", NAME_RULE},
        {"{\"name\":\"\xc3\xa4\"," LOCAL "}", NAME_RULE},
        {"{\"name\":\"a\",\"source\":\"local_path\",\"local_path\":\"m.gguf\"}",
         "1 error: local_path: must be given for source local_path and begin with \"/\""},
        {"{\"name\":\"a\",\"source\":\"local_path\"}",
         "1 error: local_path: must be given for source local_path and begin with \"/\""},
        {"{\"name\":\"a\",\"source\":\"huggingface\"}",
         "1 error: huggingface_repo_id: must be given for source huggingface"},
        {"{\"name\":\"a\",\"source\":\"huggingface\",\"huggingface_repo_id\":\"Q/q\"}", NULL},
        {"{\"name\":\"a\",\"source\":\"model_scope\",\"model_scope_model_id\":\"\"}",
         "1 error: model_scope_model_id: must be given for source model_scope"},
        {"{\"name\":\"a\"," LOCAL ",\"backend_parameters\":[\"--portable\",\"-c 5\"]}", NULL},
        {"{\"name\":\"a\"," LOCAL ",\"backend_parameters\":[\" --port 5\",\"--host=x\"]}",
         "2 errors: backend_parameters: must not contain --port: gpustack sets it; "
         "backend_parameters: must not contain --host: gpustack sets it"},
        {"{\"name\":\"a\"," LOCAL ",\"backend_parameters\":[\"--port\",\"5\"]}",
         "1 error: backend_parameters: must not contain --port: gpustack sets it"},
        {"{\"name\":\"a\"," LOCAL ",\"env\":{\"A=B\":\"c\"}}",
         "1 error: env: must not have \"=\" in a name: \"A=B\""},
        {"{\"name\":\"a\"," LOCAL ",\"gpu_selector\":{\"gpu_ids\":[\"w:cuda:0\"]}}", NULL},
        {"{\"name\":\"a\"," LOCAL ",\"gpu_selector\":{\"gpu_ids\":null}}", NULL},
        {"{\"name\":\"a\"," LOCAL ",\"gpu_selector\":{\"gpu_ids\":[0]}}",
         "1 error: gpu_selector: must be {\"gpu_ids\": [\"worker:type:index\", ...], "
         "\"gpus_per_replica\": N}"},
        {"{\"name\":\"a\"," LOCAL ",\"gpu_selector\":5}",
         "1 error: gpu_selector: must be {\"gpu_ids\": [\"worker:type:index\", ...], "
         "\"gpus_per_replica\": N}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct model model = {0};
        struct err err = {0};
        assert_int_equal(read_text(&model_type, &model, rows[i].json, RECORD_CREATE, NULL), 0);
        int rc = model_validate(&model, &err);
        assert_string_equal(err.text, rows[i].text ? rows[i].text : "");
        assert_int_equal(rc, rows[i].text ? ERR_INVALID : 0);
        record_fini(&model_type, &model);
    }
}

#define LIMITS                                                                                     \
    "\"requests_per_minute\":60,\"tokens_per_minute\":1000000000,\"concurrent_requests\":4,"       \
    "\"token_budget\":9007199254740993,\"budget_period\":\"month\""

/* The same members with the same rules in users, keys and models; 0 is null. */
static void test_limits(void **state)
{
    static const struct {
        const struct record_type *type;
        size_t offset;
    } rows[] = {{&user_type, offsetof(struct user, limits)},
                {&api_key_type, offsetof(struct api_key, limits)},
                {&model_type, offsetof(struct model, limits)}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free void *record = mem_alloc(rows[i].type->size);
        const struct limits *limits = (void *)((char *)record + rows[i].offset);
        struct err err = {0};
        record_init(rows[i].type, record);
        assert_false(limits_are_set(limits));
        assert_written(rows[i].type, record,
                       "{\"requests_per_minute\":null,\"token_budget\":null,"
                       "\"budget_period\":\"never\"}");
        assert_int_equal(read_text(rows[i].type, record, "{" LIMITS "}", RECORD_MERGE, NULL), 0);
        assert_int_equal(limits->tokens_per_minute, LIMITS_COUNT_MAX);
        assert_int_equal(limits->token_budget, 9007199254740993);
        assert_int_equal(limits->budget_period, BUDGET_MONTH);
        assert_written(rows[i].type, record, "{" LIMITS "}");
        assert_int_equal(read_text(rows[i].type, record,
                                   "{\"tokens_per_minute\":null,\"concurrent_requests\":0}",
                                   RECORD_MERGE, NULL),
                         0);
        assert_int_equal(limits->tokens_per_minute, 0);
        assert_int_equal(read_text(rows[i].type, record,
                                   "{\"requests_per_minute\":1000000001,\"token_budget\":-1,"
                                   "\"budget_period\":\"year\"}",
                                   RECORD_MERGE, &err),
                         ERR_INVALID);
        assert_string_equal(err.text,
                            "3 errors: requests_per_minute: must be 0-1000000000, not 1000000001; "
                            "token_budget: must be an integer of at least 0, not -1; "
                            "budget_period: must be one of never, hour, day, week, month, not "
                            "\"year\"");
        record_fini(rows[i].type, record);
    }
}

#define WEIGHT_RULE "1 error: targets: must have a weight above 0 in one of them at least"

static void test_route_rules(void **state)
{
    static const struct {
        const char *json, *text; /* NULL: valid */
    } rows[] = {
        {"{\"name\":\"gpt-4:x/y\",\"targets\":[{\"model_id\":2}]}", NULL},
        {"{\"name\":\"r\",\"targets\":[{\"model_id\":2,\"weight\":0},"
         "{\"model_id\":3,\"weight\":1}],\"fallback_model_id\":2,\"categories\":[\"llm\"]}",
         NULL},
        {"{\"name\":\"a b\",\"targets\":[{\"model_id\":2}]}", NAME_RULE},
        {"{\"name\":\"r\",\"targets\":[{\"model_id\":2,\"weight\":0}]}", WEIGHT_RULE},
        {"{\"name\":\"r\",\"targets\":[{\"model_id\":2},{\"model_id\":3},{\"model_id\":2}]}",
         "1 error: targets: must not name model 2 twice"},
        {"{\"name\":\"r\",\"targets\":[{\"model_id\":2,\"weight\":101}]}",
         "1 error: targets[0].weight: must be an integer of 0-100, not 101"},
        {"{\"name\":\"r\",\"targets\":[{\"weight\":1}]}",
         "1 error: targets[0].model_id: must be given"},
        {"{\"name\":\"r\",\"targets\":[1]}", "1 error: targets[0]: must be an object"},
        {"{\"name\":\"r\",\"targets\":{\"model_id\":2}}",
         "1 error: targets: must be a list of at most 16 objects"},
        {"{\"name\":\"r\",\"targets\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}",
         "1 error: targets: must be a list of at most 16 objects"},
        {"{\"name\":\"r\",\"targets\":[{\"model_id\":2}],\"categories\":[\"chat\"]}",
         "1 error: categories: must be of llm, embedding, image, reranker, speech_to_text, "
         "text_to_speech, unknown, not \"chat\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct model_route route = {0};
        struct err err = {0};
        assert_int_equal(read_text(&model_route_type, &route, rows[i].json, RECORD_CREATE, NULL),
                         0);
        int rc = model_route_validate(&route, &err);
        assert_string_equal(err.text, rows[i].text ? rows[i].text : "");
        assert_int_equal(rc, rows[i].text ? ERR_INVALID : 0);
        record_fini(&model_route_type, &route);
    }
}

/* However a client says targets, they are kept in one shape. */
static void test_route_targets(void **state)
{
    struct model_route route = {0};
    struct err err = {0};
    assert_int_equal(read_text(&model_route_type, &route, "{\"name\":\"r\",\"targets\":[]}",
                               RECORD_CREATE, &err),
                     ERR_INVALID);
    assert_int_equal(read_text(&model_route_type, &route,
                               "{\"name\":\"r\",\"fallback_model_id\":4,\"targets\":["
                               "{\"weight\":7.0,\"model_id\":2,\"provider_id\":null},"
                               "{\"model_id\":3,\"weight\":null}]}",
                               RECORD_CREATE, NULL),
                     0);
    struct model_route_targets targets = model_route_targets(&route);
    assert_int_equal(targets.count, 2);
    assert_int_equal(targets.items[0].weight, 7);
    assert_int_equal(targets.items[1].weight, ROUTE_WEIGHT_DEFAULT);
    model_route_set_targets(&route, &targets);
    assert_string_equal(route.targets,
                        "[{\"model_id\":2,\"weight\":7},{\"model_id\":3,\"weight\":100}]");
    assert_true(model_route_names(&route, 2) && model_route_names(&route, 4));
    assert_false(model_route_names(&route, 5));
    record_fini(&model_route_type, &route);
}

static void test_what_needs_a_restart(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool needed;
    } rows[] = {
        {"{}", false},
        {"{\"name\":\"other\",\"max_restarts\":3}", false},
        {"{\"replicas\":5,\"description\":\"d\",\"categories\":[\"llm\"]}", false},
        {"{\"restart_on_error\":false,\"placement_strategy\":\"binpack\"}", false},
        {"{\"generic_proxy\":true,\"first_byte_timeout\":60}", false},
        {"{" LIMITS "}", false},
        {"{\"local_path\":\"/other\"}", true},
        {"{\"backend_parameters\":[\"-c\",\"5\"]}", true},
        {"{\"env\":{\"A\":\"1\"}}", true},
        {"{\"backend_version\":\"2\"}", true},
        {"{\"gpu_selector\":{\"gpu_ids\":[]}}", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct model before = {0}, after = {0};
        assert_int_equal(
            read_text(&model_type, &before, "{\"name\":\"a\"," LOCAL "}", RECORD_CREATE, NULL), 0);
        record_copy(&model_type, &after, &before);
        assert_int_equal(read_text(&model_type, &after, rows[i].json, RECORD_MERGE, NULL), 0);
        assert_int_equal(model_needs_restart(&before, &after), rows[i].needed);
        record_fini(&model_type, &before);
        record_fini(&model_type, &after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_user),
        cmocka_unit_test(test_user_names),
        cmocka_unit_test(test_api_key),
        cmocka_unit_test(test_session_shows_no_token),
        cmocka_unit_test(test_worker),
        cmocka_unit_test(test_instance),
        cmocka_unit_test(test_instance_states),
        cmocka_unit_test(test_model_defaults),
        cmocka_unit_test(test_model_rules),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_route_rules),
        cmocka_unit_test(test_route_targets),
        cmocka_unit_test(test_what_needs_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
