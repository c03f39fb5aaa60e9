/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/desired.h"

#include "engine/peers.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define INSTANCE(id)                                                                               \
    "{\"id\":" id ",\"name\":\"m-a\",\"model_id\":2,\"model_name\":\"m\",\"model_generation\":4,"  \
    "\"source\":\"local_path\",\"local_path\":\"/m.gguf\",\"backend\":null,"                       \
    "\"backend_version\":null,\"backend_parameters\":[\"--ctx-size 64\"],\"env\":{\"A\":\"b\"},"   \
    "\"gpu_indexes\":[0,1],\"restart_on_error\":false,\"token\":\"t\",\"new_key\":1}"

static void test_reads_instances(void **state)
{
    struct desired_state desired = {0};
    struct err err = {0};
    assert_int_equal(desired_state_read(STR("{\"generation\":7,\"instances\":[" INSTANCE(
                                            "9") "," INSTANCE("3") "]}"),
                                        &desired, &err),
                     0);
    assert_true(desired.known);
    assert_int_equal(desired.generation, 7);
    assert_int_equal(desired.count, 2);
    assert_int_equal(desired.items[0].id, 3);
    const struct desired_instance *found = desired_state_find(&desired, 9);
    assert_string_equal(found->local_path, "/m.gguf");
    assert_null(found->backend);
    assert_int_equal(found->gpu_indexes.count, 2);
    assert_string_equal(string_map_get(&found->env, "A"), "b");
    assert_false(found->restart_on_error);
    assert_string_equal(found->token, "t");
    assert_null(desired_state_find(&desired, 4));
    struct desired_instance copy = {0};
    desired_instance_copy(&copy, found);
    assert_string_equal(copy.token, "t");
    desired_instance_fini(&copy);
    desired_state_fini(&desired);
    assert_null(desired_state_find(&desired, 9));
}

#define HEAD                                                                                       \
    "{\"id\":1,\"name\":\"m-a\",\"model_name\":\"m\",\"source\":\"local_path\",\"token\":\"t\""
#define RANKS                                                                                      \
    "[{\"rank\":0,\"ip\":\"10.0.0.5\",\"ports\":[40000,40001],\"gpu_indexes\":[0,1]},"             \
    "{\"rank\":1,\"ip\":\"10.0.0.6\",\"ports\":[40002],\"gpu_indexes\":[]}]"

static void test_reads_drains_and_gangs(void **state)
{
    struct desired_state desired = {0};
    struct err err = {0};
    if (desired_state_read(STR("{\"generation\":7,\"instances\":[" HEAD
                               ",\"draining\":true,\"max_restarts\":3,\"rank\":1,"
                               "\"rank_count\":2,\"gang_epoch\":4,\"go\":true,\"ranks\":" RANKS
                               "}]}"),
                           &desired, &err) < 0)
        fail_msg("%s", err.text);
    const struct desired_instance *found = desired_state_find(&desired, 1);
    assert_true(found->draining);
    assert_int_equal(found->max_restarts, 3);
    assert_int_equal(found->rank, 1);
    assert_true(desired_instance_is_gang(found));
    assert_int_equal(found->gang_epoch, 4);
    assert_true(found->go);
    struct peers peers = {0};
    assert_int_equal(peers_read(found->ranks, &peers, NULL), 0);
    assert_int_equal(peers.count, 2);
    assert_string_equal(peers.items[1].ip, "10.0.0.6");
    assert_int_equal(peers.items[0].ports.items[1], 40001);
    assert_int_equal(peers.items[0].gpu_indexes.count, 2);
    peers_fini(&peers);
    desired_state_fini(&desired);
}

/* Control of an older version says nothing of all that. */
static void test_an_instance_is_alone_unless_said(void **state)
{
    struct desired_state desired = {0};
    assert_int_equal(
        desired_state_read(STR("{\"generation\":7,\"instances\":[" HEAD "}]}"), &desired, NULL), 0);
    const struct desired_instance *found = desired_state_find(&desired, 1);
    assert_false(found->draining);
    assert_int_equal(found->max_restarts, 0);
    assert_int_equal(found->rank_count, 1);
    assert_false(desired_instance_is_gang(found));
    desired_state_fini(&desired);
}

static void test_reads_claims(void **state)
{
    struct desired_state desired = {0};
    struct resource_claim claim = {.ram_bytes = 7};
    struct str line = STR("{\"generation\":7,\"instances\":[" HEAD
                          ",\"claim\":{\"ram\":5,\"vram\":{\"1\":9}}},"
                          "{\"id\":2,\"name\":\"b\",\"model_name\":\"m\",\"source\":\"x\","
                          "\"token\":\"t\"}]}");
    assert_int_equal(desired_state_read(line, &desired, NULL), 0);
    desired_instance_claim(desired_state_find(&desired, 1), &claim);
    assert_int_equal(claim.ram_bytes, 5);
    assert_int_equal(claim_device_bytes(&claim, 1), 9);
    desired_instance_claim(desired_state_find(&desired, 2), &claim);
    assert_true(claim_is_empty(&claim));
    desired_state_fini(&desired);
}

static void test_reads_an_empty_state(void **state)
{
    struct desired_state desired = {0};
    assert_int_equal(desired_state_read(STR("{\"generation\":1,\"instances\":[]}"), &desired, NULL),
                     0);
    assert_true(desired.known);
    desired_state_fini(&desired);
}

/* A line that is refused must leave the old state alone: it could stop every engine. */
static void test_refuses(void **state)
{
    static const struct {
        const char *line, *said;
    } rows[] = {
        {"", "line"},
        {"[]", "generation"},
        {"{}", "generation"},
        {"{\"instances\":[]}", "generation"},
        {"{\"generation\":1}", "instances"},
        {"{\"generation\":1,\"instances\":{}}", "instances"},
        {"{\"generation\":1,\"instances\":[7]}", "instances[0]"},
        {"{\"generation\":1,\"instances\":[{\"id\":1}]}", "instances[0]"},
        {"{\"generation\":1,\"instances\":[" INSTANCE("0") "]}", "id"},
        {"{\"generation\":1,\"instances\":[" HEAD ",\"rank\":1}]}", "rank_count 1"},
        {"{\"generation\":1,\"instances\":[" HEAD ",\"rank_count\":0}]}", "rank_count"},
        {"{\"generation\":1,\"instances\":[" HEAD ",\"claim\":{\"ram\":-1}}]}", "claim: ram"},
        {"{\"generation\":1,\"instances\":[" HEAD ",\"claim\":[]}]}", "claim"},
        {"{\"generation\":1,\"instances\":[" HEAD ",\"rank_count\":2,\"go\":true}]}", "ranks"},
        {"{\"generation\":1,\"instances\":[" HEAD ",\"ranks\":{}}]}", "array"},
        {"{\"generation\":1,\"instances\":[" HEAD ",\"ranks\":[{\"rank\":1,\"ip\":\"::1\"}]}]}",
         "its place"},
        {"{\"generation\":1,\"instances\":[" HEAD ",\"ranks\":[{\"rank\":0,\"ip\":\"host\"}]}]}",
         "numeric address"},
        {"{\"generation\":1,\"instances\":[" HEAD
         ",\"ranks\":[{\"rank\":0,\"ip\":\"::1\",\"ports\":[0]}]}]}",
         "1-65535"},
        {"{\"generation\":1,\"instances\":[" INSTANCE("1") "," INSTANCE("1") "]}", "twice"},
        {"{\"generation\":1,\"instances\":[],\"inspect\":[{\"path\":\"m.gguf\"}]}", "begin with"},
        {"{\"generation\":1,\"instances\":[],\"inspect\":[{}]}", "inspect: path"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct desired_state desired = {0};
        struct err err = {0};
        assert_true(desired_state_read(str_of(rows[i].line), &desired, &err) < 0);
        assert_false(desired.known);
        assert_null(desired.items);
        if (!strstr(err.text, rows[i].said))
            fail_msg("%s: \"%s\"", rows[i].line, err.text);
    }
}

static void test_reads_what_is_to_be_looked_at(void **state)
{
    struct desired_state desired = {0};
    struct err err = {0};
    if (desired_state_read(STR("{\"generation\":7,\"instances\":[],\"inspect\":["
                               "{\"path\":\"/m.gguf\",\"shape\":true},{\"path\":\"/n\"}]}"),
                           &desired, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(desired.inspection_count, 2);
    assert_string_equal(desired.inspections[0].path, "/m.gguf");
    assert_true(desired.inspections[0].shape);
    assert_string_equal(desired.inspections[1].path, "/n");
    assert_false(desired.inspections[1].shape);
    desired_state_fini(&desired);
}

static void test_refuses_too_many_paths(void **state)
{
    struct buf line = {0};
    buf_add_cstr(&line, "{\"generation\":1,\"instances\":[],\"inspect\":[0");
    for (int i = 0; i < DESIRED_INSPECTIONS_MAX; i++)
        buf_add_cstr(&line, ",0");
    buf_add_cstr(&line, "]}");
    struct desired_state desired = {0};
    assert_int_equal(desired_state_read(buf_str(&line), &desired, NULL), ERR_TOO_LARGE);
    buf_fini(&line);
}

static void test_refuses_too_many(void **state)
{
    struct buf line = {0};
    buf_add_cstr(&line, "{\"generation\":1,\"instances\":[0");
    for (int i = 0; i < DESIRED_INSTANCES_MAX; i++)
        buf_add_cstr(&line, ",0");
    buf_add_cstr(&line, "]}");
    struct desired_state desired = {0};
    assert_int_equal(desired_state_read(buf_str(&line), &desired, NULL), ERR_TOO_LARGE);
    buf_fini(&line);
}

#define FILES(items) "{\"generation\":1,\"instances\":[],\"model_files\":[" items "]}"
#define FILE_OF(repo, action)                                                                      \
    "{\"id\":7,\"lease\":3,\"source\":\"huggingface\",\"repo_id\":\"" repo                         \
    "\",\"action\":\"" action "\"}"

static void test_model_files(void **state)
{
    static const struct {
        const char *line, *words; /* NULL: it is fine */
    } rows[] = {
        {FILES(FILE_OF("a/b", "pause")), NULL},
        {FILES(FILE_OF("a..b/c", "delete")), NULL},
        {FILES(FILE_OF("a/b", "burn")), "action must be download, pause or delete, not burn"},
        {FILES(FILE_OF("a", "pause")), "OWNER/REPO, not a"},
        {FILES(FILE_OF("../b", "pause")), "OWNER/REPO, not ../b"},
        {FILES(FILE_OF("a/b/c", "pause")), "OWNER/REPO, not a/b/c"},
        {FILES("{\"id\":7,\"source\":\"huggingface\"}"), "id and lease must be numbers above 0"},
        {FILES("{\"id\":7,\"lease\":1,\"source\":\"ollama\"}"), "not ollama"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct desired_state desired = {0};
        struct err err = {0};
        const int rc = desired_state_read(str_of(rows[i].line), &desired, &err);
        if (rows[i].words ? rc == 0 || !strstr(err.text, rows[i].words) : rc < 0)
            fail_msg("%s: %s", rows[i].line, err.text);
        if (rc == 0)
            assert_string_equal(desired.model_files[0].source, "huggingface");
        desired_state_fini(&desired);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_instances),
        cmocka_unit_test(test_reads_drains_and_gangs),
        cmocka_unit_test(test_an_instance_is_alone_unless_said),
        cmocka_unit_test(test_reads_claims),
        cmocka_unit_test(test_reads_an_empty_state),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_reads_what_is_to_be_looked_at),
        cmocka_unit_test(test_refuses_too_many_paths),
        cmocka_unit_test(test_refuses_too_many),
        cmocka_unit_test(test_model_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
