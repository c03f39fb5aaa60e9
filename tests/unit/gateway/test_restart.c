/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway that starts while control is away serves with the state that it has kept. */
#include "world.h"

#include "fault_disk.h"

static void keep_in_folder(struct world *w)
{
    world_init(w);
    w->data_dir = w->dir;
    feed_endpoint(w, 7, w->engines[0].port, "here");
}

/* Ends the gateway and control. */
static void all_down(struct world *w)
{
    gateway_free(TAKE(w->gateway));
    control_down(w);
    w->feed = NULL;
}

/* Whether the kept state has this in it. */
static bool has_kept(const struct world *w, const char *text)
{
    auto_free char *path = mem_printf("%s/gateway/state.ndjson", w->dir);
    struct buf content = {0};
    bool found = file_read(path, 1 << 20, &content, NULL) == 0 && strstr(content.ptr, text);
    buf_fini(&content);
    return found;
}

/* Waits for what the pool still writes, or it would write while the folder is removed. */
static void fini(struct world *w)
{
    WAIT_UNTIL(w, has_kept(w, "\"ready\""));
    gateway_free(TAKE(w->gateway));
    loop_run(w->loop); /* what the journal has posted */
    folder_free(mem_printf("%s/gateway", w->dir));
    world_fini(w);
}

static void test_serves_without_control(void **state)
{
    struct world w;
    struct answer a;
    keep_in_folder(&w);
    world_start(&w, 2);
    WAIT_UNTIL(&w, has_kept(&w, "\"ready\""));
    feed_line(&w, "{\"op\":\"del\",\"seq\":6,\"kind\":\"key\",\"id\":2}");
    WAIT_UNTIL(&w, has_kept(&w, "\"del\""));
    all_down(&w);
    gateway_up(&w, 2);
    ask_until(&w, 200, HTTP_GET, "/v1/models/hello", NULL);
    do { /* each thread gets the state by itself */
        ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    } while (a.status == 503 && (answer_fini(&a), true));
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body.ptr, "{\"engine\":0}");
    answer_fini(&a);
    ask(&w, &a, HTTP_POST, CHAT, LIMITED_KEY, HELLO);
    assert_int_equal(a.status, 401); /* the key was taken away before */
    answer_fini(&a);
    fini(&w);
}

/* Control comes back with another state: that is the one in force, and on the disk. */
static void test_follows_again(void **state)
{
    struct world w;
    keep_in_folder(&w);
    world_start(&w, 1);
    WAIT_UNTIL(&w, has_kept(&w, "\"ready\""));
    all_down(&w);
    gateway_up(&w, 1);
    ask_until(&w, 200, HTTP_GET, "/v1/models/hello", NULL);
    feed_line(&w, "{\"op\":\"put\",\"seq\":5,\"kind\":\"model\",\"id\":4,\"name\":\"fresh\","
                  "\"created_ms\":8000,\"categories\":[]}");
    control_up(&w);
    ask_until(&w, 200, HTTP_GET, "/v1/models/fresh", NULL);
    WAIT_UNTIL(&w, has_kept(&w, "\"fresh\""));
    fini(&w);
}

static void test_not_with_anothers_state(void **state)
{
    struct world w;
    struct answer a;
    keep_in_folder(&w);
    world_start(&w, 1);
    WAIT_UNTIL(&w, has_kept(&w, "\"ready\""));
    all_down(&w);
    w.token = "another";
    gateway_up(&w, 1);
    for (int i = 0; i < 10; i++) {
        ask(&w, &a, HTTP_GET, "/readyz", NULL, NULL);
        assert_int_equal(a.status, 503);
        expect_in(&a.body, "no state");
        answer_fini(&a);
    }
    fini(&w);
}

static void test_folder_is_in_use(void **state)
{
    struct world w;
    struct gateway *second = NULL;
    struct err err = {0};
    keep_in_folder(&w);
    world_start(&w, 1);
    struct gateway_params params = {.loop = w.loop,
                                    .host = "127.0.0.1",
                                    .threads = 1,
                                    .token = "cluster",
                                    .netns_id = "",
                                    .data_dir = w.dir};
    assert_int_equal(gateway_new(&params, &second, &err), ERR_CONFLICT);
    auto_free char *holder = mem_printf("(pid %d)", (int)getpid());
    assert_non_null(strstr(err.text, holder));
    assert_null(second);
    fini(&w);
}

static void note_drained(void *ctx)
{
    struct world *world = ctx;
    world->is_drained = true;
}

static void test_drain(void **state)
{
    struct world w;
    keep_in_folder(&w);
    world_start(&w, 2);
    gateway_drain(w.gateway, WAIT_MS, note_drained, &w);
    WAIT_UNTIL(&w, w.is_drained);
    fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serves_without_control),
        cmocka_unit_test(test_follows_again),
        cmocka_unit_test(test_not_with_anothers_state),
        cmocka_unit_test(test_folder_is_in_use),
        cmocka_unit_test(test_drain),
    };
    auth_init();
    log_set_level(getenv("DEBUG") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
