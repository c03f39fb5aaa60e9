/* SPDX-License-Identifier: Apache-2.0 */
/* Places what is asked for, and compares it with what is expected. */
#include "scenario.h"
#include "sched/explain.h"

#include <stdio.h>

/* ---- what came out, in words ---- */

static void say_ranks(const struct scenario *scenario, const struct place_result *result,
                      struct buf *out)
{
    for (size_t r = 0; r < result->rank_count; r++) {
        const struct place_rank *rank = &result->ranks[r];
        buf_printf(out, "%s%s", r ? ", " : "", scenario->view.workers[rank->worker].name);
        for (size_t i = 0; i < rank->gpu_indexes.count; i++)
            buf_printf(out, "%s%lld", i ? "," : ":", (long long)rank->gpu_indexes.items[i]);
    }
    buf_printf(out, " (%s, %zu candidates, cost %lld)", place_mode_name(result->mode),
               result->candidates, (long long)result->cost.total);
}

/* "placed on node1:0,1 ..." or why not. Returns owned. */
static char *words_of(const struct scenario *scenario, const struct place_result *result,
                      const struct place_explanation *why)
{
    struct buf words = {0};
    if (result->rank_count) {
        buf_add_cstr(&words, "placed on ");
        say_ranks(scenario, result, &words);
    } else {
        buf_add_cstr(&words, "not placed: ");
        place_explain_words(why, &scenario->view, &scenario->request, &words);
    }
    return buf_take(&words);
}

/* ---- a place ---- */

static bool has_devices(const struct int_list *indexes, const node *expected)
{
    if (indexes->count != tree_count(expected))
        return false;
    for (size_t i = 0; i < indexes->count; i++)
        if ((uint64_t)indexes->items[i] != node_number(tree_item(expected, i)))
            return false;
    return true;
}

static bool has_bytes(const struct int_list *bytes, const node *expected)
{
    for (size_t i = 0; i < bytes->count; i++)
        if ((uint64_t)bytes->items[i] != node_bytes(expected))
            return false;
    return true;
}

static void compare_rank(const struct scenario *scenario, const struct place_rank *rank,
                         const node *expected, const char *words)
{
    const node *on = tree_get(expected, "on"), *devices = tree_get(expected, "devices");
    const node *memory = tree_get(expected, "memory"), *host = tree_get(expected, "host");
    const node *count = tree_get(expected, "count");
    if (on && scenario_worker(scenario, on) != rank->worker)
        tree_fail(on, "it is %s", words);
    if (devices && !has_devices(&rank->gpu_indexes, devices))
        tree_fail(devices, "it is %s", words);
    if (count && rank->gpu_indexes.count != node_number(count))
        tree_fail(count, "it is %s", words);
    if (memory && !has_bytes(&rank->gpu_bytes, memory))
        tree_fail(memory, "it gets other bytes: the first device gives %lld",
                  (long long)rank->gpu_bytes.items[0]);
    if (host && rank->ram_bytes != node_bytes(host))
        tree_fail(host, "it gets %llu bytes of main memory", (unsigned long long)rank->ram_bytes);
}

/* One replica: the ranks, if there are several, are listed under `ranks`. */
static void compare_place(const struct scenario *scenario, const struct place_result *result,
                          const node *expected, const char *words)
{
    const node *ranks = tree_get(expected, "ranks"), *mode = tree_get(expected, "mode");
    const node *tensor = tree_get(expected, "tensor_parallel");
    const node *context = tree_get(expected, "context");
    if (!result->rank_count)
        tree_fail(expected, "it is %s", words);
    if (mode && strcmp(node_text(mode), place_mode_name(result->mode)) != 0)
        tree_fail(mode, "it is %s", words);
    if (tensor && node_number(tensor) != result->tensor_parallel)
        tree_fail(tensor, "tensors are over %u devices", result->tensor_parallel);
    if (context && node_number(context) != result->context_length)
        tree_fail(context, "the context is %llu", (unsigned long long)result->context_length);
    if (ranks) {
        tree_check_keys(expected, "ranks mode tensor_parallel context");
        if (tree_count(ranks) != result->rank_count)
            tree_fail(ranks, "it is %s", words);
        for (size_t i = 0; i < result->rank_count; i++) {
            tree_check_keys(tree_item(ranks, i), "on devices count memory host");
            compare_rank(scenario, &result->ranks[i], tree_item(ranks, i), words);
        }
        return;
    }
    tree_check_keys(expected, "on devices count memory host mode tensor_parallel context");
    if (result->rank_count != 1)
        tree_fail(expected, "it is %s", words);
    compare_rank(scenario, &result->ranks[0], expected, words);
}

/* ---- a refusal ---- */

static const struct place_device_reason *device_reason(const struct place_explanation *why,
                                                       size_t worker, size_t at)
{
    for (size_t i = 0; i < why->device_count; i++)
        if (why->devices[i].worker == worker && why->devices[i].device == at)
            return &why->devices[i];
    return NULL;
}

static void compare_workers(const struct scenario *scenario, const struct place_explanation *why,
                            const node *expected)
{
    for (size_t i = 0; i < tree_pairs(expected); i++) {
        const node *code;
        const char *name = tree_pair(expected, i, &code);
        for (size_t w = 0; w < why->worker_count; w++) {
            const char *is = place_refusal_name(why->workers[w].refusal);
            if (strcmp(scenario->view.workers[w].name, name) == 0 &&
                strcmp(is, node_text(code)) != 0)
                tree_fail(code, "%s says %s", name, is);
        }
    }
}

static void compare_devices(const struct scenario *scenario, const struct place_explanation *why,
                            const node *expected)
{
    for (size_t i = 0; i < tree_pairs(expected); i++) {
        const node *codes;
        const char *name = tree_pair(expected, i, &codes);
        for (size_t w = 0; w < why->worker_count; w++) {
            for (size_t k = 0; k < tree_count(codes); k++) {
                const struct place_device_reason *reason = device_reason(why, w, k);
                const node *code = tree_item(codes, k);
                if (strcmp(scenario->view.workers[w].name, name) != 0)
                    continue;
                if (!reason)
                    tree_fail(code, "%s has no device %zu", name, k);
                if (strcmp(place_device_code_name(reason->code), node_text(code)) != 0)
                    tree_fail(code, "device %zu of %s says %s", k, name,
                              place_device_code_name(reason->code));
            }
        }
    }
}

static void compare_refusal(const struct scenario *scenario, const struct place_result *result,
                            const struct place_explanation *why, const node *expected)
{
    auto_free char *words = words_of(scenario, result, why);
    const node *text = tree_get(expected, "words"), *error = tree_get(expected, "error");
    tree_check_keys(expected, "workers devices words error");
    if (result->rank_count)
        tree_fail(expected, "it is %s", words);
    if (error && !strstr(scenario->need.error, node_text(error)))
        tree_fail(error, "what is said of its parameters: \"%s\"", scenario->need.error);
    compare_workers(scenario, why, tree_get(expected, "workers"));
    compare_devices(scenario, why, tree_get(expected, "devices"));
    if (text && !strstr(words, node_text(text)))
        tree_fail(text, "it is %s", words);
}

/* ---- */

static void play_one(struct scenario *scenario, size_t at)
{
    const node *expect = tree_need(scenario->root, "expect");
    const node *placed = tree_get(expect, "placed"), *unplaced = tree_get(expect, "unplaced");
    struct place_board *board = place_board_new(&scenario->view, NULL);
    struct place_result result = {0};
    struct place_explanation why = {0};
    if (scenario->need.error[0] || place(board, &scenario->request, &result) < 0)
        place_explain(&scenario->view, &scenario->request, &why);
    auto_free char *words = words_of(scenario, &result, &why);
    if (at < tree_count(placed))
        compare_place(scenario, &result, tree_item(placed, at), words);
    else if (unplaced)
        compare_refusal(scenario, &result, &why, unplaced);
    if (result.rank_count)
        place_take(board, &scenario->request, &result);
    place_result_fini(&result);
    place_explanation_fini(&why);
    place_board_free(board);
}

void scenario_play(struct scenario *scenario)
{
    const node *expect = tree_need(scenario->root, "expect");
    const node *placed = tree_get(expect, "placed"), *unplaced = tree_get(expect, "unplaced");
    tree_check_keys(expect, "placed unplaced");
    const size_t outcomes = tree_count(placed) + (unplaced ? 1 : 0);
    if (outcomes != scenario->replicas)
        tree_fail(expect, "%zu outcomes for %zu replicas", outcomes, scenario->replicas);
    for (size_t i = 0; i < outcomes; i++)
        play_one(scenario, i);
}
