/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold of placement on any cluster, tried on many random ones. */
#include "place_random.h"

static struct plan plan;

/* ---- hard constraints ---- */

static uint64_t largest_need(const struct estimate_profile *profile, const uint64_t *bytes,
                             size_t at)
{
    uint64_t most = 0;
    for (unsigned n = 0; n < profile->nodes; n++)
        most = greater_of(most, bytes[n * profile->devices_per_node + at]);
    return most;
}

/* Whether the ranks are as the profile says: bytes by need, or all that it had better have. */
static bool is_of_profile(const struct world *world, const struct place_result *result,
                          const struct estimate_profile *profile)
{
    const bool is_partial = profile->kind == PROFILE_PARTIAL;
    if (result->rank_count != profile->nodes || (result->mode == PLACE_PARTLY) != is_partial)
        return false;
    for (size_t r = 0; r < result->rank_count; r++) {
        const struct place_rank *rank = &result->ranks[r];
        const bool lends = r > 0 && world->request.is_remote_first;
        const uint64_t host = lends && profile->host_bytes > 512 * MIB ? 512 * MIB
                                                                       : profile->host_bytes;
        if (rank->gpu_indexes.count != profile->devices_per_node || rank->ram_bytes != host)
            return false;
        for (size_t i = 0; i < rank->gpu_bytes.count; i++) {
            uint64_t bytes = (uint64_t)rank->gpu_bytes.items[i];
            uint64_t need = largest_need(profile, profile->rank_bytes, i);
            if (bytes != need &&
                bytes != greater_of(need, largest_need(profile, profile->preferred_bytes, i)))
                return false;
        }
    }
    return true;
}

/* The class of all its devices, or -1 when they aren't of one. */
static int class_of_all(const struct world *world, const struct place_result *result)
{
    int class = -2;
    for (size_t r = 0; r < result->rank_count; r++) {
        const struct place_rank *rank = &result->ranks[r];
        for (size_t i = 0; i < rank->gpu_indexes.count; i++) {
            int one = world->view.workers[rank->worker].devices[rank->gpu_indexes.items[i]].class;
            class = class == -2 || class == one ? one : -1;
        }
    }
    return class;
}

static void check_known(unsigned seed, const struct world *world, const struct place_result *result)
{
    const int class = class_of_all(world, result);
    CHECK(seed, plan.is_known);
    if (result->mode == PLACE_ON_PROCESSOR) {
        CHECK(seed, plan.has_processor && plan.device_count == 0 && plan.selected_count == 0);
        CHECK(seed, result->rank_count == 1 && result->ranks[0].gpu_indexes.count == 0);
        CHECK(seed, result->ranks[0].ram_bytes == plan.processor_bytes);
        return;
    }
    bool is_of_one = false;
    for (size_t i = 0; class >= 0 && i < world->ways[class].count; i++)
        is_of_one = is_of_one || is_of_profile(world, result, &world->ways[class].profiles[i]);
    CHECK(seed, is_of_one || (plan.is_mixed && result->rank_count == 1));
}

static void check_rank(unsigned seed, const struct world *world, const struct place_result *result,
                       size_t r)
{
    const struct place_rank *rank = &result->ranks[r];
    const struct place_worker *on = &world->view.workers[rank->worker];
    uint64_t host = rank->ram_bytes, used = 0;
    CHECK(seed, is_open_worker(&plan, &plan.workers[rank->worker]));
    for (size_t i = 0; i < rank->gpu_indexes.count; i++) {
        size_t at = (size_t)rank->gpu_indexes.items[i];
        uint64_t bytes = (uint64_t)rank->gpu_bytes.items[i];
        CHECK(seed, !(used >> at & 1));
        used |= UINT64_C(1) << at;
        CHECK(seed, at < on->device_count);
        CHECK(seed, is_open_device(&plan, &plan.workers[rank->worker], at));
        CHECK(seed, bytes <= device_left(on, at));
        CHECK(seed, result->mode != PLACE_WHOLE || on->devices[at].holders == 0);
        host += on->devices[at].is_unified ? bytes : 0;
    }
    CHECK(seed, host <= ram_left(on) && ram_left(on) > 0);
}

/* Against the view as it was before the result was taken. */
static void check_result(unsigned seed, const struct world *world,
                         const struct place_result *result)
{
    size_t devices = 0;
    CHECK(seed, result->rank_count >= 1);
    CHECK(seed, result->rank_count == 1 || plan.may_span);
    for (size_t r = 0; r < result->rank_count; r++) {
        devices += result->ranks[r].gpu_indexes.count;
        check_rank(seed, world, result, r);
        for (size_t k = 0; k < r; k++)
            CHECK(seed, result->ranks[k].worker != result->ranks[r].worker);
    }
    CHECK(seed, plan.device_count == 0 || devices == plan.device_count);
    if (result->mode == PLACE_WHOLE)
        CHECK(seed, !plan.is_known || (plan.takes_any_devices && plan.device_count > 0));
    else
        check_known(seed, world, result);
}

static void test_hard_constraints_hold(void **state)
{
    size_t placed = 0;
    for (unsigned seed = 0; seed < CLUSTERS; seed++) {
        struct world world;
        struct place_result result = {0};
        plan_make(&plan, seed, 6, 8);
        world_make(&world, &plan);
        if (place(world.board, &world.request, &result) == 0) {
            check_result(seed, &world, &result);
            placed++;
        } else {
            CHECK(seed, !result.ranks);
        }
        place_result_fini(&result);
        world_fini(&world);
    }
    /* Neither all nor none: else nothing was tried. */
    assert_in_range(placed, CLUSTERS / 4, CLUSTERS * 3 / 4);
}

/* ---- claims ---- */

static void check_ledger(unsigned seed, const struct place_view *view)
{
    for (size_t w = 0; w < view->count; w++) {
        const struct place_worker *on = &view->workers[w];
        uint64_t ram = less(on->ram_total_bytes,
                            greater_of(on->ram_reserved_bytes, on->ram_foreign_bytes));
        ram = greater_of(ram, on->ram_total_bytes / 2); /* what was planned to be there */
        CHECK(seed, on->ram_claimed_bytes <= ram);
        for (size_t i = 0; i < on->device_count; i++) {
            const struct place_device *device = &on->devices[i];
            uint64_t sum = 0, planned = 0;
            for (size_t k = 0; k < on->holding_count; k++)
                sum += on->holdings[k].device == (int)i ? on->holdings[k].bytes : 0;
            for (size_t k = 0; k < plan.workers[w].holding_count; k++)
                planned += plan.workers[w].holdings[k].device == (int)i
                               ? plan.workers[w].holdings[k].bytes
                               : 0;
            CHECK(seed, device->claimed_bytes == sum);
            uint64_t most = less(device->total_bytes,
                                 greater_of(on->vram_reserved_bytes, device->foreign_bytes));
            CHECK(seed, sum <= greater_of(most, planned));
        }
    }
}

static uint64_t claimed(const struct place_view *view, const struct place_result *result)
{
    uint64_t sum = 0;
    for (size_t r = 0; r < result->rank_count; r++) {
        const struct place_rank *rank = &result->ranks[r];
        sum += view->workers[rank->worker].instance_count;
        for (size_t i = 0; i < rank->gpu_indexes.count; i++)
            sum += view->workers[rank->worker].devices[rank->gpu_indexes.items[i]].claimed_bytes;
    }
    return sum;
}

static uint64_t given(const struct place_result *result)
{
    uint64_t sum = result->rank_count;
    for (size_t r = 0; r < result->rank_count; r++)
        for (size_t i = 0; i < result->ranks[r].gpu_bytes.count; i++)
            sum += (uint64_t)result->ranks[r].gpu_bytes.items[i];
    return sum;
}

/* Place after place until there is none: each by the rules, and never more than there is. */
static void test_claims_stay_within_what_there_is(void **state)
{
    for (unsigned seed = 0; seed < CLUSTERS / 2; seed++) {
        struct world world;
        plan_make(&plan, seed, 4, 8);
        world_make(&world, &plan);
        for (int i = 0; i < 20; i++) {
            struct place_result result = {0};
            int rc = place(world.board, &world.request, &result);
            if (rc == 0) {
                check_result(seed, &world, &result);
                uint64_t before = claimed(&world.view, &result);
                place_take(world.board, &world.request, &result);
                CHECK(seed, claimed(&world.view, &result) == before + given(&result));
                check_ledger(seed, &world.view);
            }
            place_result_fini(&result);
            if (rc < 0)
                break;
        }
        world_fini(&world);
    }
}

/* ---- the same again ---- */

static bool are_equal(const struct place_result *a, const struct place_result *b)
{
    if (a->rank_count != b->rank_count || a->mode != b->mode || a->cost.total != b->cost.total ||
        a->candidates != b->candidates)
        return false;
    for (size_t r = 0; r < a->rank_count; r++) {
        const struct place_rank *x = &a->ranks[r], *y = &b->ranks[r];
        if (x->worker != y->worker || x->gpu_indexes.count != y->gpu_indexes.count)
            return false;
        for (size_t i = 0; i < x->gpu_indexes.count; i++)
            if (x->gpu_indexes.items[i] != y->gpu_indexes.items[i] ||
                x->gpu_bytes.items[i] != y->gpu_bytes.items[i])
                return false;
    }
    return true;
}

static void test_same_input_same_place(void **state)
{
    for (unsigned seed = 0; seed < CLUSTERS / 2; seed++) {
        struct world one, other;
        struct place_result first = {0}, again = {0}, second = {0};
        plan_make(&plan, seed, 6, 8);
        world_make(&one, &plan);
        world_make(&other, &plan);
        int rc = place(one.board, &one.request, &first);
        CHECK(seed, place(one.board, &one.request, &again) == rc);
        CHECK(seed, place(other.board, &other.request, &second) == rc);
        CHECK(seed, are_equal(&first, &again) && are_equal(&first, &second));
        place_result_fini(&first);
        place_result_fini(&again);
        place_result_fini(&second);
        world_fini(&one);
        world_fini(&other);
    }
}

/* ---- more of it ---- */

/* One by hand on devices of which nothing is known may be refused when more is known. */
static bool has_place(bool counts_by_hand)
{
    struct world world;
    struct place_result result = {0};
    world_make(&world, &plan);
    bool has_one = place(world.board, &world.request, &result) == 0;
    has_one = has_one && (counts_by_hand || !plan.is_known || result.mode != PLACE_WHOLE);
    place_result_fini(&result);
    world_fini(&world);
    return has_one;
}

/* A free device on any worker, or another worker: what had a place still has one. */
static void test_more_devices_never_take_a_place_away(void **state)
{
    for (unsigned seed = 0; seed < CLUSTERS; seed++) {
        plan_make(&plan, seed, 6, 8);
        if (!has_place(false))
            continue;
        struct planned_worker *on = &plan.workers[upto(&plan, plan.worker_count)];
        struct place_device *added = &on->devices[on->device_count];
        *added = plan_device(&plan, upto(&plan, KINDS));
        added->index = (int64_t)on->device_count++;
        added->is_unhealthy = false;
        added->foreign_bytes = 0;
        added->island = (uint8_t)upto(&plan, 4);
        CHECK(seed, has_place(true));
        plan_worker(&plan, 8);
        CHECK(seed, has_place(true));
    }
}

/* ---- reasons ---- */

static void check_device_reason(unsigned seed, const struct world *world,
                                const struct place_device_reason *reason)
{
    const struct place_worker *on = &world->view.workers[reason->worker];
    const struct place_device *device = &on->devices[reason->device];
    const struct planned_worker *planned = &plan.workers[reason->worker];
    const bool is_open = is_open_device(&plan, planned, reason->device);
    CHECK(seed, reason->free_bytes == device_left(on, reason->device));
    CHECK(seed, (reason->code == PLACE_DEVICE_OF_WORKER) == !is_open_worker(&plan, planned));
    switch (reason->code) {
    case PLACE_DEVICE_OF_WORKER:
        return;
    case PLACE_DEVICE_UNHEALTHY:
        CHECK(seed, device->is_unhealthy);
        return;
    case PLACE_DEVICE_NOT_SELECTED:
        CHECK(seed, plan.selected_count > 0 && !is_open);
        return;
    case PLACE_DEVICE_UNSUPPORTED:
        CHECK(seed, !is_open || world->ways[device->class].count == 0 || plan.device_count > 0 ||
                        !plan.may_span);
        return;
    case PLACE_DEVICE_HELD:
        CHECK(seed, is_open && device->holders > 0);
        return;
    case PLACE_DEVICE_KEPT:
        CHECK(seed, is_open && device->kept_bytes > 0);
        return;
    case PLACE_DEVICE_SHORT:
        CHECK(seed, is_open && (reason->needs_bytes > reason->free_bytes ||
                                (plan.is_mixed && reason->free_bytes == 0)));
        return;
    case PLACE_DEVICE_FITS:
        CHECK(seed, is_open && reason->free_bytes >= reason->needs_bytes);
        return;
    case PLACE_DEVICE_CODE_COUNT:
        break;
    }
    CHECK(seed, !"a code that there is");
}

static void check_worker_reason(unsigned seed, const struct world *world, size_t at,
                                const struct place_worker_reason *reason)
{
    const struct place_worker *on = &world->view.workers[at];
    CHECK(seed, reason->refusal != PLACE_FITS);
    CHECK(seed, (reason->refusal >= PLACE_MEMORY_SHORT) ==
                    is_open_worker(&plan, &plan.workers[at]));
    if (reason->refusal == PLACE_MEMORY_SHORT) {
        CHECK(seed, reason->needs_bytes > reason->free_bytes);
        CHECK(seed, reason->free_bytes == ram_left(on));
    }
    if (reason->refusal == PLACE_DEVICE_MEMORY_SHORT)
        CHECK(seed, reason->needs_bytes > reason->free_bytes || plan.is_mixed);
    if (reason->refusal == PLACE_DEVICES_SHORT)
        CHECK(seed, reason->devices_fit < reason->devices_wanted);
    if (reason->refusal == PLACE_WORKERS_SHORT)
        CHECK(seed, reason->workers_wanted > 1 && plan.may_span);
}

static void test_everything_has_a_true_reason(void **state)
{
    size_t seen[PLACE_REFUSAL_COUNT] = {0}, codes[PLACE_DEVICE_CODE_COUNT] = {0};
    for (unsigned seed = 0; seed < CLUSTERS; seed++) {
        struct world world;
        struct place_result result = {0};
        struct place_explanation why;
        size_t devices = 0;
        plan_make(&plan, seed, 6, 8);
        world_make(&world, &plan);
        if (place(world.board, &world.request, &result) < 0) {
            place_explain(&world.view, &world.request, &why);
            CHECK(seed, why.worker_count == plan.worker_count);
            for (size_t i = 0; i < why.worker_count; i++) {
                check_worker_reason(seed, &world, i, &why.workers[i]);
                seen[why.workers[i].refusal]++;
                devices += plan.workers[i].device_count;
            }
            CHECK(seed, why.device_count == devices);
            for (size_t i = 0; i < why.device_count; i++) {
                check_device_reason(seed, &world, &why.devices[i]);
                codes[why.devices[i].code]++;
            }
            place_explanation_fini(&why);
        }
        place_result_fini(&result);
        world_fini(&world);
    }
    for (int i = PLACE_FITS + 1; i < PLACE_REFUSAL_COUNT; i++)
        assert_true(seen[i] > 0); /* each came up */
    for (int i = 0; i < PLACE_DEVICE_CODE_COUNT; i++)
        assert_true(codes[i] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hard_constraints_hold),
        cmocka_unit_test(test_claims_stay_within_what_there_is),
        cmocka_unit_test(test_same_input_same_place),
        cmocka_unit_test(test_more_devices_never_take_a_place_away),
        cmocka_unit_test(test_everything_has_a_true_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
