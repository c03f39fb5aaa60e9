/* SPDX-License-Identifier: Apache-2.0 */
/* Control's reads of hubs, against a hub on this machine: a few at a time, and left alone when
 * control ends. */
#include "../hub/range_server.h"
#include "../../lib/weights/gguf_writer.h"
#include "control/hub_reads.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct world {
    struct range_server server;
    struct buf file;
    char *listing;
    struct range_page pages[3];
    struct loop *loop;
    struct hub_reads *reads;
    unsigned wanted, done; /* reads */
    struct hub_read last;
};

static void on_done(struct hub_read *read, void *ctx)
{
    struct world *world = ctx;
    hub_read_fini(&world->last);
    world->last = *read;
    *read = (struct hub_read){0};
    if (++world->done == world->wanted)
        loop_stop(world->loop);
}

static struct buf small_model(void)
{
    struct gguf_writer w = gguf_writer_begin("llama");
    gguf_u32(&w, "llama.block_count", 1);
    gguf_tensor(&w, "blk.0.x", 0, 8, 1);
    return gguf_writer_end(&w);
}

/* The hub has the repositories a/b, with a model, and a/empty. */
static void begin(struct world *world)
{
    *world = (struct world){.file = small_model()};
    world->listing = mem_printf("[{\"type\":\"file\",\"path\":\"m.gguf\",\"size\":%zu}]",
                                world->file.len);
    world->pages[0] =
        (struct range_page){"/api/models/a/b/tree/main?recursive=true", "", world->listing};
    world->pages[1] = (struct range_page){"/api/models/a/empty/tree/main?recursive=true", "", "[]"};
    world->server.pages = world->pages;
    world->server.files[0] =
        (struct range_file){.name = "m.gguf", .content = buf_str(&world->file)};
    range_server_start(&world->server);
    auto_free char *base = mem_printf("http://127.0.0.1:%u", world->server.port);
    setenv("HF_ENDPOINT", base, 1);
    world->loop = loop_new(&clock_system);
    world->reads = hub_reads_new(world->loop, on_done, world);
}

static void end(struct world *world)
{
    hub_reads_free(world->reads);
    loop_free(world->loop);
    range_server_stop(&world->server);
    range_server_fini(&world->server);
    buf_fini(&world->file);
    free(world->listing);
    hub_read_fini(&world->last);
}

static void test_many_are_read(void **state)
{
    struct world world;
    begin(&world);
    world.wanted = 3 * HUB_READS_MAX;
    for (unsigned i = 0; i < world.wanted; i++)
        hub_reads_ask(world.reads, i % 2 ? "hf:a/b" : "hf:a/b/*.gguf");
    loop_run(world.loop);
    assert_int_equal(world.done, world.wanted);
    if (world.last.rc < 0)
        fail_msg("%s", world.last.err.text);
    assert_int_equal(hub_read_state(&world.last), SHAPE_KNOWN);
    assert_string_equal(world.last.shape.architecture, "llama");
    assert_non_null(world.last.identity);
    end(&world);
}

static void test_what_is_not_there(void **state)
{
    static const struct {
        const char *key;
        enum shape_state state;
    } cases[] = {{"hf:a/none", SHAPE_MISSING},
                 {"hf:a", SHAPE_MISSING},
                 {"hf:a/empty", SHAPE_UNREADABLE},
                 {"hf:a/b/x.gguf", SHAPE_MISSING},
                 {"ms:a/b", SHAPE_UNREACHABLE}};
    struct world world;
    begin(&world);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        world.wanted++;
        hub_reads_ask(world.reads, cases[i].key);
        loop_run(world.loop);
        assert_true(world.last.rc < 0 && world.last.err.text[0]);
        if (hub_read_state(&world.last) != cases[i].state)
            fail_msg("%s: %s", cases[i].key, world.last.err.text);
    }
    end(&world);
}

/* A hub that takes connections and says nothing: nobody waits for it. */
static void test_reads_under_way_are_left_alone(void **state)
{
    struct world world;
    begin(&world);
    auto_free char *base = mem_printf("http://127.0.0.1:%u/silent", world.server.port);
    setenv("HF_ENDPOINT", base, 1);
    hub_reads_free(world.reads);
    world.reads = hub_reads_new(world.loop, on_done, &world);
    for (int i = 0; i < 2 * HUB_READS_MAX; i++)
        hub_reads_ask(world.reads, "hf:a/b");
    hub_reads_free(TAKE(world.reads));
    loop_free(TAKE(world.loop));
    assert_int_equal(world.done, 0);
    end(&world); /* closes the connections, which ends the reads */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_are_read),
        cmocka_unit_test(test_what_is_not_there),
        cmocka_unit_test(test_reads_under_way_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
