/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a place costs, in thousandths. One whole (1000) is: as many bytes made useless as the model
 * itself needs, or as a device has if that is more; two minutes more until it serves; a half of a
 * replica of the same model that fails with it. doc/placement.md says why, and works an example
 * out by hand.
 */
#include "sched/option_priv.h"

#include <math.h>

enum {
    COST_ONE = 1000,
    COST_START_S = 120,        /* seconds that cost one */
    COST_START_MAX = 20000,
    COST_SLOW_LINK = 300,      /* an island without fast links, per device beyond the first */
    COST_ISLANDS = 1500,       /* devices of several islands */
    COST_RANK = 1000,          /* a device more than the narrowest way has: more to talk, to fail */
    COST_RANK_OF_GANG = 500,   /* the same where several workers are needed anyway */
    COST_STAGE = 1000,         /* a further stage on the same worker: tokens go through them all */
    COST_BREAK = 150,          /* the first to take a part of an island, of several */
    COST_IN_RACK = 5000,       /* ranks on several workers */
    COST_IN_ZONE = 6000,
    COST_ANYWHERE = 8000,
    COST_SAME_WORKER = 2000,   /* each replica that fails with it: more than to break up a device */
    COST_SAME_RACK = 200,
    COST_SAME_ZONE = 50,
    COST_BUSY = 300,           /* a worker with very many instances */
    COST_FULL = 10,            /* a worker without main memory left */
    COST_HOST_OF_DEVICES = 50, /* what needs no device, where there are some */
    COST_SCARCE = 500,         /* a cache for one request at a time */
    COST_PARTLY = 3000,        /* layers on the host, at least */
    COST_PARTLY_MORE = 6000,   /* as a part of all */
    COST_PROCESSOR = 12000,
    COST_GUESS = 200,          /* what is left on devices that it takes a part of, as a guess */
    COST_USED = 4000,          /* a device that others use, as a part of it; its need isn't known */
    COST_UNLIKE = 2000,        /* devices of several classes for an engine that isn't known */
};

static int64_t start_cost(const struct search *search, uint32_t worker)
{
    const uint32_t *seconds = search->request->start_seconds;
    int64_t cost = seconds ? (int64_t)seconds[worker] * COST_ONE / COST_START_S : 0;
    return cost < COST_START_MAX ? cost : COST_START_MAX;
}

static bool is_one_island(const struct place_worker *worker, uint64_t set)
{
    int first = __builtin_ctzll(set);
    for (uint64_t left = set; left; left &= left - 1)
        if (worker->devices[__builtin_ctzll(left)].island != worker->devices[first].island)
            return false;
    return true;
}

/*
 * Whether the set takes a part of an island that nobody has any of yet, on a worker with several:
 * those who come later and need all of one find it broken up.
 */
static bool breaks_island(const struct place_worker *worker, uint64_t set)
{
    const uint8_t island = worker->devices[__builtin_ctzll(set)].island;
    bool has_others = false, has_left = false;
    for (size_t i = 0; i < worker->device_count; i++) {
        const struct place_device *device = &worker->devices[i];
        if (device->island == island && (device->holders > 0 || device->kept_bytes > 0))
            return false;
        has_others = has_others || device->island != island;
        has_left = has_left || (device->island == island && !(set >> i & 1));
    }
    return has_others && has_left;
}

static int64_t link_cost(const struct place_worker *worker, uint64_t set)
{
    int count = __builtin_popcountll(set);
    if (count == 0)
        return 0;
    if (!is_one_island(worker, set))
        return COST_ISLANDS;
    int64_t broken = breaks_island(worker, set) ? COST_BREAK : 0;
    if (worker->devices[__builtin_ctzll(set)].has_fast_links)
        return broken;
    int64_t cost = (int64_t)(count - 1) * COST_SLOW_LINK;
    cost += broken;
    return cost < COST_ISLANDS ? cost : COST_ISLANDS;
}

/* Devices of this worker beyond those of the narrowest way; a gang shares them out. */
static int64_t width_cost(const struct search *search, const struct option *option)
{
    const struct estimate_profile *profile = option_profile(search, option);
    if (!profile || option->mode != PLACE_ON_DEVICES)
        return 0;
    const unsigned ranks = profile->nodes * profile->devices_per_node;
    const unsigned fewest = search->fewest_ranks[option->class];
    const int64_t each = profile->nodes > 1 ? COST_RANK_OF_GANG : COST_RANK;
    return ranks > fewest ? (int64_t)(ranks - fewest) * each / profile->nodes : 0;
}

/* Stages that a worker has beyond the one that each of a gang has anyway. */
static int64_t stage_cost(const struct estimate_profile *profile)
{
    if (!profile || profile->nodes == 0 || profile->pipeline_parallel <= profile->nodes)
        return 0;
    unsigned stages = (profile->pipeline_parallel + profile->nodes - 1) / profile->nodes;
    return (int64_t)(stages - 1) * COST_STAGE;
}

static int64_t company_cost(const struct search *search, uint32_t worker)
{
    const struct place_worker *on = &search->board->view->workers[worker];
    int64_t same = search->same_of[worker];
    int64_t in_rack = search->same_in_rack[on->rack], in_zone = search->same_in_zone[on->zone];
    int64_t cost = same * COST_SAME_WORKER;
    cost += on->rack ? (in_rack - same) * COST_SAME_RACK : 0;
    cost += on->zone ? (in_zone - same) * COST_SAME_ZONE : 0;
    return cost;
}

static int64_t balance_cost(const struct search *search, const struct option *option)
{
    const struct place_worker *on = &search->board->view->workers[option->worker];
    int64_t count = on->instance_count;
    int64_t cost = COST_BUSY * count / (count + 1);
    if (on->ram_total_bytes)
        cost += (int64_t)(COST_FULL * ((double)on->ram_claimed_bytes /
                                       (double)on->ram_total_bytes));
    if (option->device_set == 0 && on->device_count > 0)
        cost += COST_HOST_OF_DEVICES;
    return cost;
}

/* Of devices for itself. */
static int64_t whole_cost(const struct search *search, const struct option *option)
{
    const struct place_worker *on = &search->board->view->workers[option->worker];
    double most = 0;
    for (uint64_t left = option->device_set; left; left &= left - 1) {
        const struct place_device *device = &on->devices[__builtin_ctzll(left)];
        most = fmax(most, (double)device->foreign_bytes / fmax(1, (double)device->total_bytes));
    }
    return (int64_t)(COST_USED * most) +
           (option->device_set && option->class < 0 ? COST_UNLIKE : 0);
}

static int64_t shortage_cost(const struct search *search, const struct option *option)
{
    const struct estimate_profile *profile = option_profile(search, option);
    if (option->mode == PLACE_ON_PROCESSOR)
        return COST_PROCESSOR;
    if (option->mode == PLACE_WHOLE)
        return whole_cost(search, option);
    if (option->mode == PLACE_PARTLY) {
        double host = (double)profile->host_bytes, all = host;
        for (unsigned i = 0; i < profile->devices_per_node; i++)
            all += (double)profile->rank_bytes[i];
        return COST_PARTLY + (int64_t)(COST_PARTLY_MORE * (all > 0 ? host / all : 0));
    }
    return option->is_ample ? 0 : COST_SCARCE;
}

void cost_sum(struct place_cost *cost)
{
    cost->total = cost->fragments + cost->start + cost->links + cost->company + cost->balance +
                  cost->shortage;
}

void cost_of_place(const struct search *search, struct option *option)
{
    const struct place_worker *on = &search->board->view->workers[option->worker];
    option->cost = (struct place_cost){.start = start_cost(search, option->worker),
                                       .links = link_cost(on, option->device_set) +
                                                stage_cost(option_profile(search, option)) +
                                                width_cost(search, option),
                                       .company = company_cost(search, option->worker),
                                       .balance = balance_cost(search, option),
                                       .shortage = shortage_cost(search, option)};
    cost_sum(&option->cost);
}

/* Bytes of the device that gives the most. */
static uint64_t most_units(const struct search *search, const struct option *option)
{
    const struct place_worker *on = &search->board->view->workers[option->worker];
    const struct estimate_profile *profile = option_profile(search, option);
    struct room_want want = {0};
    uint64_t most = 0, least_free = UINT64_MAX;
    if (profile)
        room_want_of(profile, &want);
    for (uint64_t left = option->device_set; left; left &= left - 1) {
        uint64_t has = place_device_free(on, &on->devices[__builtin_ctzll(left)]);
        least_free = has < least_free ? has : least_free;
    }
    for (size_t i = 0; i < want.count; i++) {
        uint64_t need = option->is_ample ? want.wanted[i] : want.needs[i];
        most = need > most ? need : most;
    }
    return !profile || most > least_free ? least_free : most;
}

void cost_guess_fragments(const struct search *search, struct option *option)
{
    const struct place_worker *on = &search->board->view->workers[option->worker];
    const uint64_t units = most_units(search, option);
    double left = 0;
    for (uint64_t set = option->device_set; set; set &= set - 1)
        left += (double)(place_device_free(on, &on->devices[__builtin_ctzll(set)]) - units);
    option->cost.fragments = (int64_t)(COST_GUESS * left / search->loss_bytes);
    cost_sum(&option->cost);
}

void cost_of_fragments(const struct search *search, struct option *option)
{
    option->cost.fragments = 0; /* in place of the guess */
    cost_sum(&option->cost);
    if (option->device_set == 0 || option->class < 0)
        return;
    const struct estimate_profile *profile = option_profile(search, option);
    double loss =
        board_loss(search->board, option->worker, option->class, option->device_set,
                   most_units(search, option), profile ? profile->host_bytes : 0);
    /* A wider cut takes more in all: that is lost to others as fragments are. */
    if (profile)
        loss += OUTLOOK_FRAGMENT_WEIGHT * search_more_bytes(search, profile) / profile->nodes;
    option->cost.fragments = (int64_t)llrint(COST_ONE * loss / search->loss_bytes);
    cost_sum(&option->cost);
}

int64_t cost_of_distance(int level)
{
    static const int64_t costs[] = {COST_IN_RACK, COST_IN_ZONE, COST_ANYWHERE};
    return costs[level];
}

int64_t gang_floor(void)
{
    return COST_IN_RACK;
}

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int option_compare(const void *one, const void *other)
{
    const struct option *a = one, *b = other;
    int order = (a->cost.total > b->cost.total) - (a->cost.total < b->cost.total);
    order = order ? order : compare(a->mode, b->mode);
    order = order ? order
                  : compare((uint64_t)__builtin_popcountll(a->device_set),
                            (uint64_t)__builtin_popcountll(b->device_set));
    order = order ? order : compare(a->worker, b->worker);
    order = order ? order : compare((uint64_t)(a->class + 1), (uint64_t)(b->class + 1));
    order = order ? order : compare(a->device_set, b->device_set);
    order = order ? order : compare(a->profile, b->profile);
    return order ? order : compare(b->is_ample, a->is_ample);
}
