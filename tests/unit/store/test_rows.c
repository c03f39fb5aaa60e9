/* SPDX-License-Identifier: Apache-2.0 */
/* Every record type through its table and back, with the schema as it is shipped. */
#include "domain/instance.h"
#include "domain/model.h"
#include "domain/model_route.h"
#include "domain/user.h"
#include "domain/worker.h"
#include "fixture.h"

#define LIMITS                                                                                     \
    "\"requests_per_minute\":1,\"tokens_per_minute\":2,\"concurrent_requests\":3,"               \
    "\"token_budget\":9007199254740993,\"budget_period\":\"week\""

/* All fields of each type; secrets, which no JSON carries, are set in code. */
static const struct {
    const struct record_type *type;
    const char *json;
    const char *secret; /* name of the secret field, or NULL */
} samples[] = {
    {&user_type,
     "{\"id\":3,\"username\":\"eva\",\"is_admin\":true,\"full_name\":\"Eva's \\u00e4\\n\","
     "\"avatar_url\":\"\",\"source\":\"SAML\",\"is_active\":false,"
     "\"require_password_change\":true," LIMITS ","
     "\"created_at\":\"2026-01-02T03:04:05.678Z\","
     "\"updated_at\":\"2026-02-02T03:04:05Z\"}",
     "password_hash"},
    {&api_key_type,
     "{\"id\":4,\"name\":\"k\",\"description\":\"d\",\"user_id\":3,\"access_key\":\"ab\","
     "\"scope\":[\"inference\"],\"allowed_model_names\":[\"a\",\"b\\\"c\"]," LIMITS ","
     "\"expires_at\":\"2026-01-02T03:04:05.678Z\"}",
     "secret_digest"},
    {&session_type, "{\"id\":5,\"user_id\":3,\"expires_at\":\"2026-01-02T03:04:05.678Z\"}",
     "token_digest"},
    {&worker_type,
     "{\"id\":6,\"name\":\"n\",\"hostname\":\"h\",\"ip\":\"10.0.0.5\",\"port\":10150,"
     "\"worker_uuid\":\"u\",\"netns_id\":\"i\",\"worker_version\":\"0.1\","
     "\"labels\":{\"os\":\"linux\",\"a\":\"\"},\"state\":\"unreachable\",\"state_message\":\"m\"}",
     NULL},
    {&model_type,
     "{\"id\":7,\"name\":\"m\",\"description\":\"d\",\"source\":\"local_path\","
     "\"local_path\":\"/m\",\"huggingface_repo_id\":\"r\",\"huggingface_filename\":\"f\","
     "\"model_scope_model_id\":\"i\",\"model_scope_file_path\":\"p\",\"replicas\":0,"
     "\"categories\":[\"llm\"],\"placement_strategy\":\"binpack\",\"worker_selector\":{\"a\":\"b\"}"
     ","
     "\"gpu_selector\":{\"gpu_ids\":[\"w:cuda:0\"]},\"backend\":\"b\",\"backend_version\":\"v\","
     "\"backend_parameters\":[\"-c\",\"5\"],\"env\":{\"K\":\"V\"},\"cpu_offloading\":false,"
     "\"distributed_inference_across_workers\":false,\"restart_on_error\":false,"
     "\"generic_proxy\":true,\"first_byte_timeout\":60," LIMITS ","
     "\"generation\":9007199254740993}",
     NULL},
    {&model_instance_type,
     "{\"id\":8,\"name\":\"m-abcde\",\"model_id\":7,\"model_name\":\"m\",\"model_generation\":2,"
     "\"worker_id\":6,\"worker_name\":\"n\",\"worker_ip\":\"i\",\"gpu_indexes\":[0,3],"
     "\"backend\":\"b\",\"backend_version\":\"v\",\"state\":\"error\",\"state_message\":\"s\","
     "\"pid\":42,\"port\":40000,\"ports\":[40000],\"download_progress\":12.5,"
     "\"served_name\":\"old\",\"resolved_path\":\"/m\","
     "\"computed_resource_claim\":{\"ram\":1},\"measured_claim\":{\"ram\":2},\"restart_count\":3,"
     "\"last_restart_time\":\"2026-01-02T03:04:05.678Z\"}",
     NULL},
    {&model_route_type,
     "{\"id\":9,\"name\":\"r\",\"description\":\"d\",\"categories\":[\"llm\"],"
     "\"targets\":[{\"model_id\":7,\"weight\":90}],\"fallback_model_id\":7,\"version\":3}",
     NULL},
};

static void *make_sample(size_t i)
{
    const struct record_type *type = samples[i].type;
    void *record = mem_alloc(type->size);
    auto_fini(json_release) json_t *root = NULL;
    assert_int_equal(json_read(str_of(samples[i].json), &root, NULL), 0);
    assert_int_equal(record_read(type, record, root, RECORD_TRUST, NULL), 0);
    if (samples[i].secret)
        mem_replace((char **)((char *)record + record_field(type, samples[i].secret)->offset),
                    "secret");
    return record;
}

static void free_sample(size_t i, void *record)
{
    record_fini(samples[i].type, record);
    free(record);
}

static void put_samples(struct store *store)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        void *record = make_sample(i);
        assert_int_equal(fixture_put(store, samples[i].type, record), 0);
        free_sample(i, record);
    }
}

struct expected {
    const struct record_type *type;
    const void *record;
    int count;
};

static void compare(void *record, void *ctx)
{
    struct expected *expected = ctx;
    expected->count++;
    assert_true(record_is_equal(expected->type, record, expected->record, false));
}

static void test_round_trip(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    put_samples(store);
    put_samples(store); /* replaces */
    store_close(store);
    store = fixture_open(schema_files, NULL);
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        void *record = make_sample(i);
        struct expected expected = {samples[i].type, record, 0};
        assert_int_equal(store_load(store, samples[i].type, compare, &expected, NULL), 0);
        assert_int_equal(expected.count, 1);
        free_sample(i, record);
    }
    store_close(store);
}

/* Defaults only: what is empty must come back empty. */
static void test_empty_records(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    char name[] = "n";
    struct worker worker = {.id = 1, .name = name};
    struct model model = {.id = 1, .name = name};
    struct model_instance instance = {.id = 1, .name = name, .model_id = 1};
    const struct expected rows[] = {
        {&worker_type, &worker, 0}, {&model_type, &model, 0}, {&model_instance_type, &instance, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct expected expected = rows[i];
        assert_int_equal(fixture_put(store, rows[i].type, rows[i].record), 0);
        assert_int_equal(store_load(store, rows[i].type, compare, &expected, NULL), 0);
        assert_int_equal(expected.count, 1);
    }
    store_close(store);
}

static void assert_is_default(void *record, void *ctx)
{
    struct worker *worker = record;
    assert_null(worker->status);
    assert_int_equal(worker->heartbeat_time, 0);
    ++*(int *)ctx;
}

static void test_transient_fields_stay_out(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    char name[] = "n", status[] = "{}";
    struct worker worker = {.id = 1, .name = name, .status = status, .heartbeat_time = 5};
    int count = 0;
    assert_int_equal(fixture_put(store, &worker_type, &worker), 0);
    assert_int_equal(store_load(store, &worker_type, assert_is_default, &count, NULL), 0);
    assert_int_equal(count, 1);
    store_close(store);
}

static void test_children_live_and_die_with_their_parent(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    put_samples(store);
    void *user = make_sample(0);
    assert_int_equal(fixture_put(store, &user_type, user), 0); /* an update isn't a deletion */
    free_sample(0, user);
    assert_int_equal(fixture_count(store, &api_key_type), 1);
    assert_int_equal(fixture_delete(store, &user_type, 3), 0);
    assert_int_equal(fixture_count(store, &api_key_type), 0);
    assert_int_equal(fixture_count(store, &session_type), 0);
    assert_int_equal(fixture_delete(store, &worker_type, 6), 0);
    assert_int_equal(fixture_count(store, &model_instance_type), 1);
    assert_int_equal(fixture_delete(store, &model_type, 7), 0);
    assert_int_equal(fixture_count(store, &model_instance_type), 0);
    store_close(store);
}

static void assert_last_id(struct store *store, int64_t expected)
{
    int64_t last = -1;
    assert_int_equal(store_last_id(store, &user_type, &last, NULL), 0);
    assert_int_equal(last, expected);
}

static void test_last_id_survives_deletion(void **state)
{
    struct store *store = fixture_open(schema_files, NULL);
    assert_last_id(store, 0);
    char name[] = "a", other[] = "b";
    struct user first = {.id = 5, .username = name}, second = {.id = 2, .username = other};
    assert_int_equal(fixture_put(store, &user_type, &first), 0);
    assert_int_equal(fixture_put(store, &user_type, &second), 0);
    assert_last_id(store, 5);
    assert_int_equal(fixture_delete(store, &user_type, 5), 0);
    assert_int_equal(fixture_delete(store, &user_type, 99), 0);
    store_close(store);
    store = fixture_open(schema_files, NULL);
    assert_last_id(store, 5);
    store_close(store);
}

/* Rows that somebody changed by hand: refused with the place, never guessed at. */
static void test_bad_values_are_named(void **state)
{
    static const struct {
        const char *sql, *text;
    } rows[] = {
        {"UPDATE models SET source = 'cloud'",
         "can't load models: model 7: source: must be one of huggingface, model_scope, local_path, "
         "not \"cloud\""},
        {"UPDATE models SET source = 'local_path', env = '[]'",
         "can't load models: model 7: env: must be an object of strings, not a list"},
        {"UPDATE models SET env = '{'", "can't load models: model 7: env: line 1 column 1: "},
    };
    struct store *store = fixture_open(schema_files, NULL);
    put_samples(store);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {0};
        int count = 0;
        assert_int_equal(db_exec(store->db, rows[i].sql, NULL), 0);
        assert_true(store_load(store, &model_type, fixture_count_one, &count, &err) < 0);
        assert_memory_equal(err.text, rows[i].text, strlen(rows[i].text));
    }
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_round_trip),
        STORE_TEST(test_empty_records),
        STORE_TEST(test_transient_fields_stay_out),
        STORE_TEST(test_children_live_and_die_with_their_parent),
        STORE_TEST(test_last_id_survives_deletion),
        STORE_TEST(test_bad_values_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
