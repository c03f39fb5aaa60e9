/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small clusters and requests for the tests of placement.
 *
 *     struct place_view view = {0};
 *     add_worker(&view, "a", 64 * GIB);
 *     add_devices(&view, 2, "L4", 24 * GIB);
 *     struct asked *asked = asked_new(3);
 *     want(asked, 0, profile_of(1, 1, 8 * GIB));
 *     decide_on(&view, &asked->request, true, &result);
 */
#pragma once

#include "base/mem.h"
#include "sched/explain.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

enum { ASKED_PROFILES_MAX = 8 }; /* of a class */

struct asked {
    struct place_request request;
    struct place_ways ways[PLACE_CLASSES_MAX];
    struct estimate_profile profiles[PLACE_CLASSES_MAX][ASKED_PROFILES_MAX];
    struct estimate_profile processor;
};

/* Ids are 1, 2, ... in the order of adding. */
static inline struct place_worker *add_worker(struct place_view *view, const char *name,
                                              uint64_t ram_bytes)
{
    size_t at = place_view_add_worker(
        view, &(struct place_worker){.id = (int64_t)view->count + 1,
                                     .name = name,
                                     .is_ready = true,
                                     .ram_total_bytes = ram_bytes});
    return &view->workers[at];
}

/* To the worker that was added last; all in one island. */
static inline void add_devices(struct place_view *view, size_t count, const char *name,
                               uint64_t total_bytes)
{
    struct place_worker *on = &view->workers[view->count - 1];
    for (size_t i = 0; i < count; i++)
        place_view_add_device(view, &(struct place_device){.index = (int64_t)on->device_count,
                                                           .type = "cuda",
                                                           .name = name,
                                                           .vendor = "nvidia",
                                                           .total_bytes = total_bytes});
}

/* So many bytes of each device, and no more wanted. */
static inline struct estimate_profile profile_of(unsigned nodes, unsigned devices, uint64_t bytes)
{
    struct estimate_profile profile = {.kind = PROFILE_DEVICES,
                                       .nodes = nodes,
                                       .devices_per_node = devices,
                                       .tensor_parallel = devices,
                                       .pipeline_parallel = nodes,
                                       .data_parallel = 1,
                                       .host_bytes = GIB};
    for (unsigned i = 0; i < nodes * devices; i++)
        profile.rank_bytes[i] = profile.preferred_bytes[i] = bytes;
    return profile;
}

static inline struct asked *asked_new(int64_t model_id)
{
    struct asked *asked = mem_alloc(sizeof *asked);
    asked->request = (struct place_request){.model_id = model_id, .model_name = "asked"};
    return asked;
}

/* Another way on devices of that class. */
static inline void want(struct asked *asked, int class, struct estimate_profile profile)
{
    struct place_ways *ways = &asked->ways[class];
    assert_true(ways->count < ASKED_PROFILES_MAX);
    asked->profiles[class][ways->count++] = profile;
    ways->profiles = asked->profiles[class];
    asked->request.ways = asked->ways;
    asked->request.is_known = true;
}

static inline void want_processor(struct asked *asked, uint64_t bytes)
{
    asked->processor =
        (struct estimate_profile){.kind = PROFILE_PROCESSOR, .nodes = 1, .host_bytes = bytes};
    asked->request.processor = &asked->processor;
    asked->request.is_known = true;
}

/* place() on a fresh board; takes what it gives when `takes`. */
static inline int decide_on(struct place_view *view, const struct place_request *request,
                            bool takes, struct place_result *ret)
{
    struct place_board *board = place_board_new(view, NULL);
    int rc = place(board, request, ret);
    if (rc == 0 && takes)
        place_take(board, request, ret);
    place_board_free(board);
    return rc;
}

static inline void hold(struct place_view *view, size_t worker, int device, int64_t model_id,
                        uint64_t bytes)
{
    place_hold(view, worker,
               &(struct place_holding){.model_id = model_id,
                                       .model_name = "held",
                                       .device = PLACE_HOST,
                                       .is_first = true});
    if (device != PLACE_HOST)
        place_hold(view, worker, &(struct place_holding){.model_id = model_id,
                                                         .model_name = "held",
                                                         .device = device,
                                                         .bytes = bytes});
}

/* The words of a refusal. Returns owned. */
static inline char *words_of(const struct place_view *view, const struct place_request *request)
{
    struct place_explanation why;
    struct buf words = {0};
    place_explain(view, request, &why);
    place_explain_words(&why, view, request, &words);
    place_explanation_fini(&why);
    return buf_take(&words);
}

static inline void assert_words(const struct place_view *view, const struct place_request *request,
                                const char *expected)
{
    auto_free char *words = words_of(view, request);
    assert_string_equal(words, expected);
}

/* That it is on those devices of one worker, in that order. */
static inline void assert_on(const struct place_result *result, size_t worker,
                             const int64_t *indexes, size_t count)
{
    assert_int_equal(result->rank_count, 1);
    assert_int_equal(result->ranks[0].worker, worker);
    assert_int_equal(result->ranks[0].gpu_indexes.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(result->ranks[0].gpu_indexes.items[i], indexes[i]);
}
