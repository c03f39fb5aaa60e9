/* SPDX-License-Identifier: Apache-2.0 */
/* The example of doc/placement.md, number by number. */
#include "place_cluster.h"

static struct place_view view;

/* What the place costs that is the best when all others are refused. */
static void assert_cost(struct asked *asked, const char *worker, int64_t device,
                        const struct place_cost *expected)
{
    struct place_result result = {0};
    struct string_list ids = {0};
    auto_free char *id = mem_printf("%s:cuda:%lld", worker, (long long)device);
    string_list_add(&ids, id);
    asked->request.gpu_ids = &ids;
    struct mix mix = {0};
    mix_add(&mix, &(struct demand){.devices = 1, .units = 16 * GIB}, 1);
    struct place_board *board = place_board_new(&view, &mix);
    assert_int_equal(place(board, &asked->request, &result), 0);
    assert_int_equal(result.cost.fragments, expected->fragments);
    assert_int_equal(result.cost.start, expected->start);
    assert_int_equal(result.cost.links, expected->links);
    assert_int_equal(result.cost.company, expected->company);
    assert_int_equal(result.cost.balance, expected->balance);
    assert_int_equal(result.cost.shortage, expected->shortage);
    assert_int_equal(result.cost.total, expected->total);
    asked->request.gpu_ids = NULL;
    place_result_fini(&result);
    if (device == 0 && worker[0] == 'b') { /* the winner */
        assert_int_equal(place(board, &asked->request, &result), 0);
        assert_string_equal(view.workers[result.ranks[0].worker].name, "b");
        assert_int_equal(result.ranks[0].gpu_indexes.items[0], 0);
        assert_int_equal(result.candidates, 3);
        place_result_fini(&result);
    }
    place_board_free(board);
    mix_fini(&mix);
    string_list_fini(&ids);
}

static void test_the_example(void **state)
{
    const uint32_t seconds[] = {60, 24};
    struct asked *asked = asked_new(9);
    add_worker(&view, "a", 64 * GIB);
    add_devices(&view, 2, "L32", 32 * GIB);
    add_worker(&view, "b", 64 * GIB);
    add_devices(&view, 2, "L32", 32 * GIB);
    hold(&view, 0, 0, 1, 16 * GIB);
    want(asked, 0, profile_of(1, 1, 12 * GIB));
    asked->request.start_seconds = seconds;
    assert_cost(asked, "a", 0,
                &(struct place_cost){
                    .fragments = 845, .start = 500, .balance = 150, .total = 1495});
    assert_cost(asked, "a", 1,
                &(struct place_cost){
                    .fragments = 657, .start = 500, .balance = 150, .total = 1307});
    assert_cost(asked, "b", 0,
                &(struct place_cost){.fragments = 657, .start = 200, .total = 857});
    free(asked);
    place_view_fini(&view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_example)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
