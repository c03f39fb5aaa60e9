/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether there is a place at all, by trying out everything on small clusters: any devices for any
 * rank, any workers for a gang. place() must agree, whatever it makes of costs.
 */
#include "place_random.h"

enum { FEW_WORKERS = 3, FEW_DEVICES = 5 };

static struct plan plan;
static struct world world;

/* ---- on one worker ---- */

/* Needs of ranks that each want a device of a class, and what is left of main memory. */
struct trial {
    const struct place_worker *on;
    int class;
    uint64_t needs[PLACE_DEVICES_MAX];
    size_t count;
    uint64_t host_bytes;
};

/* Ranks from `rank` on to devices that aren't in `used`. */
static bool can_assign(const struct trial *trial, size_t rank, uint64_t used, uint64_t ram)
{
    if (rank == trial->count)
        return ram >= trial->host_bytes;
    const size_t worker = (size_t)(trial->on - world.view.workers);
    for (size_t i = 0; i < trial->on->device_count; i++) {
        const struct place_device *device = &trial->on->devices[i];
        const uint64_t need = trial->needs[rank];
        if ((used >> i & 1) || device->class != trial->class || device->is_held_whole ||
            !is_open_device(&plan, &plan.workers[worker], i) || device_left(trial->on, i) < need ||
            (device->is_unified && ram < need))
            continue;
        if (can_assign(trial, rank + 1, used | UINT64_C(1) << i,
                       ram - (device->is_unified ? need : 0)))
            return true;
    }
    return false;
}

static bool can_take(const struct estimate_profile *profile, int class, size_t worker,
                     uint64_t host_bytes)
{
    struct trial trial = {.on = &world.view.workers[worker],
                          .class = class,
                          .count = profile->devices_per_node,
                          .host_bytes = host_bytes};
    if (!is_open_worker(&plan, &plan.workers[worker]) || ram_left(trial.on) == 0)
        return false;
    for (size_t i = 0; i < trial.count; i++)
        for (unsigned n = 0; n < profile->nodes; n++)
            trial.needs[i] = greater_of(trial.needs[i],
                                        profile->rank_bytes[n * profile->devices_per_node + i]);
    return can_assign(&trial, 0, 0, ram_left(trial.on));
}

/* ---- ways ---- */

/* Enough workers, of which one has the main memory to lead. */
static bool has_workers(const struct estimate_profile *profile, int class)
{
    uint64_t lender = profile->host_bytes;
    unsigned ranks = 0, leaders = 0;
    if (world.request.is_remote_first && lender > 512 * MIB)
        lender = 512 * MIB;
    for (size_t w = 0; w < world.view.count; w++) {
        ranks += can_take(profile, class, w, lender);
        leaders += can_take(profile, class, w, profile->host_bytes);
    }
    return profile->nodes == 1 ? leaders > 0 : ranks >= profile->nodes && leaders > 0;
}

static bool has_way(void)
{
    for (size_t c = 0; c < world.view.class_count; c++) {
        for (size_t i = 0; i < world.ways[c].count; i++) {
            const struct estimate_profile *profile = &world.ways[c].profiles[i];
            const unsigned devices = profile->nodes * profile->devices_per_node;
            if ((profile->nodes == 1 || plan.may_span) &&
                (plan.device_count == 0 || plan.device_count == devices) &&
                has_workers(profile, (int)c))
                return true;
        }
    }
    return false;
}

static bool has_processor(void)
{
    if (!plan.has_processor || plan.device_count > 0 || plan.selected_count > 0)
        return false;
    for (size_t w = 0; w < world.view.count; w++)
        if (is_open_worker(&plan, &plan.workers[w]) && ram_left(&world.view.workers[w]) > 0 &&
            ram_left(&world.view.workers[w]) >= plan.processor_bytes)
            return true;
    return false;
}

/* ---- unlike devices: any set of two and more ---- */

static bool can_split(size_t worker, uint64_t set)
{
    const struct place_worker *on = &world.view.workers[worker];
    uint64_t free_bytes[FEW_DEVICES], bytes[FEW_DEVICES], host, ram = ram_left(on);
    int classes[FEW_DEVICES];
    size_t count = 0;
    for (size_t i = 0; i < on->device_count; i++) {
        if (!(set >> i & 1))
            continue;
        if (!is_open_device(&plan, &plan.workers[worker], i) || on->devices[i].is_held_whole)
            return false;
        free_bytes[count] = device_left(on, i);
        if (on->devices[i].is_unified && free_bytes[count] > less(ram, GIB)) /* the host's part */
            free_bytes[count] = less(ram, GIB);
        classes[count++] = on->devices[i].class;
    }
    if (count < 2 || (plan.device_count > 0 && plan.device_count != count) ||
        split_evenly(&plan, free_bytes, classes, count, bytes, &host) < 0)
        return false;
    for (size_t i = 0, at = 0; i < on->device_count; i++)
        if (set >> i & 1) {
            uint64_t takes = on->devices[i].is_unified ? bytes[at] : 0;
            if (takes > ram)
                return false;
            ram -= takes;
            at++;
        }
    return ram >= host;
}

static bool has_mixed(void)
{
    for (size_t w = 0; plan.is_mixed && w < world.view.count; w++)
        for (uint64_t set = 0; set < UINT64_C(1) << world.view.workers[w].device_count; set++)
            if (is_open_worker(&plan, &plan.workers[w]) && can_split(w, set))
                return true;
    return false;
}

/* ---- need not known ---- */

/* What a device gives at least where a way has as many of them on one worker. */
static uint64_t bytes_by_hand(void)
{
    uint64_t least = 0;
    for (size_t c = 0; plan.is_known && c < world.view.class_count; c++)
        for (size_t i = 0; i < world.ways[c].count; i++) {
            const struct estimate_profile *one = &world.ways[c].profiles[i];
            uint64_t most = 0;
            if (one->kind != PROFILE_DEVICES || one->nodes != 1 ||
                one->devices_per_node != plan.device_count)
                continue;
            for (size_t d = 0; d < plan.device_count; d++)
                most = greater_of(most, one->rank_bytes[d]);
            least = least == 0 || most < least ? most : least;
        }
    return least;
}

static size_t unused_devices(size_t worker)
{
    const struct place_worker *on = &world.view.workers[worker];
    size_t count = 0;
    if (!is_open_worker(&plan, &plan.workers[worker]) || ram_left(on) == 0 ||
        ram_left(on) < plan.ram_bytes)
        return 0;
    for (size_t i = 0; i < on->device_count; i++)
        count += is_open_device(&plan, &plan.workers[worker], i) && on->devices[i].holders == 0 &&
                 on->devices[i].kept_bytes == 0 &&
                 device_left(on, i) >=
                     greater_of(on->devices[i].total_bytes / 2, bytes_by_hand());
    return count;
}

static bool has_whole(void)
{
    size_t sum = 0, most = 0;
    bool has_host = false;
    for (size_t w = 0; w < world.view.count; w++) {
        size_t count = unused_devices(w);
        const uint64_t ram = ram_left(&world.view.workers[w]);
        has_host = has_host || (is_open_worker(&plan, &plan.workers[w]) && ram > 0 &&
                                ram >= plan.ram_bytes);
        sum += count;
        most = count > most ? count : most;
    }
    if (plan.device_count == 0)
        return has_host;
    return (plan.may_span ? sum : most) >= plan.device_count;
}

/* ---- */

static bool has_place(void)
{
    if (!plan.is_known)
        return has_whole();
    return has_way() || has_processor() || has_mixed() ||
           (plan.takes_any_devices && plan.device_count > 0 && has_whole());
}

static void test_there_is_a_place_where_there_is_one(void **state)
{
    size_t placed = 0;
    for (unsigned seed = 0; seed < CLUSTERS; seed++) {
        struct place_result result = {0};
        plan_make(&plan, seed + (1U << 20), FEW_WORKERS, FEW_DEVICES);
        world_make(&world, &plan);
        bool is_placed = place(world.board, &world.request, &result) == 0;
        CHECK(seed, is_placed == has_place());
        placed += is_placed;
        place_result_fini(&result);
        world_fini(&world);
    }
    assert_in_range(placed, CLUSTERS / 6, CLUSTERS * 3 / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_is_a_place_where_there_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
