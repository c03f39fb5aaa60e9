/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places on several workers: as many devices on each, in the smallest domain that has room (a rack,
 * a zone, the whole cluster); all ranks or none.
 */
#include "sched/option_priv.h"

#include "base/mem.h"

#include <string.h>

enum { LEVELS = 3 }; /* rack, zone, cluster */

/* A worker that could be a rank. */
struct seat {
    struct option option;
    bool can_lead; /* its host has what the main rank needs */
};

/* A gang of so many ranks for one profile. */
struct team {
    const struct estimate_profile *profile;
    struct room_want want; /* of any rank */
    struct seat *seats; /* owned; one a worker */
    size_t seat_count;
    struct seat *chosen; /* within seats; the first one leads */
    struct place_cost cost;
    bool is_found;
};

/* What a rank other than the main one needs of its host: those that only lend devices need little.
 */
static uint64_t host_bytes(const struct place_request *request,
                           const struct estimate_profile *profile)
{
    const uint64_t lender = UINT64_C(512) << 20;
    return request->is_remote_first && profile->host_bytes > lender ? lender : profile->host_bytes;
}

static bool can_lead(const struct team *team, const struct room *room, uint64_t device_set)
{
    struct room_grant grant;
    struct room_want want = team->want;
    want.host_bytes = team->profile->host_bytes;
    return room_grant(room, device_set, &want, &grant);
}

/* The cheapest set of a worker's devices, if it has any. */
static bool find_seat(struct search *search, const struct team *team, struct option option,
                      struct seat *ret)
{
    const struct place_view *view = search->board->view;
    struct room room;
    struct found_sets found;
    bool is_found = false;
    room_measure(view, search->request, &view->workers[option.worker], &room);
    options_sets(&room, room.allowed & room.of_class[option.class], &team->want, &found);
    for (size_t i = 0; i < found.count; i++) {
        option.device_set = found.device_sets[i];
        option.is_ample = found.is_ample[i];
        cost_of_place(search, &option);
        cost_of_fragments(search, &option);
        if (is_found && option_compare(&option, &ret->option) >= 0)
            continue;
        *ret = (struct seat){.option = option,
                             .can_lead = can_lead(team, &room, option.device_set)};
        is_found = true;
    }
    return is_found;
}

static uint32_t domain_of(const struct search *search, const struct seat *seat, int level)
{
    const struct place_worker *on = &search->board->view->workers[seat->option.worker];
    return level == 0 ? on->rack : level == 1 ? on->zone : 1;
}

struct sorting {
    const struct search *search;
    int level;
};

static int compare_seats(const void *one, const void *other, void *ctx)
{
    const struct sorting *sorting = ctx;
    const struct seat *a = one, *b = other;
    uint32_t of_a = domain_of(sorting->search, a, sorting->level);
    uint32_t of_b = domain_of(sorting->search, b, sorting->level);
    if (of_a != of_b)
        return of_a < of_b ? -1 : 1;
    return option_compare(&a->option, &b->option);
}

/* Sum over the ranks, but for the time to start: the slowest decides. */
static struct place_cost cost_of_seats(const struct seat *seats, size_t count, int level)
{
    struct place_cost sum = {.links = cost_of_distance(level)};
    for (size_t i = 0; i < count; i++) {
        const struct place_cost *one = &seats[i].option.cost;
        sum.fragments += one->fragments;
        sum.start = one->start > sum.start ? one->start : sum.start;
        sum.links += one->links;
        sum.company += one->company;
        sum.balance += one->balance / (int64_t)count;
        sum.shortage = one->shortage > sum.shortage ? one->shortage : sum.shortage;
    }
    cost_sum(&sum);
    return sum;
}

/* Brings the cheapest one that can lead to the front. False: none can. */
static bool put_leader_first(struct seat *seats, size_t count)
{
    size_t at = 0;
    while (at < count && !seats[at].can_lead)
        at++;
    if (at == count)
        return false;
    const struct seat leader = seats[at];
    memmove(seats + 1, seats, at * sizeof *seats);
    seats[0] = leader;
    return true;
}

/* The best gang within a domain of that level. Sorts the seats. */
static void choose(const struct search *search, struct team *team, int level)
{
    struct sorting sorting = {.search = search, .level = level};
    const size_t ranks = team->profile->nodes;
    qsort_r(team->seats, team->seat_count, sizeof *team->seats, compare_seats, &sorting);
    for (size_t first = 0, next; first < team->seat_count; first = next) {
        uint32_t domain = domain_of(search, &team->seats[first], level);
        next = first + 1;
        while (next < team->seat_count && domain_of(search, &team->seats[next], level) == domain)
            next++;
        if (domain == 0 || next - first < ranks ||
            !put_leader_first(&team->seats[first], next - first))
            continue;
        struct place_cost cost = cost_of_seats(&team->seats[first], ranks, level);
        if (team->is_found && cost.total >= team->cost.total)
            continue;
        team->is_found = true;
        team->chosen = &team->seats[first];
        team->cost = cost;
    }
}

static void find_seats(struct search *search, struct team *team, int class)
{
    const size_t count = search->board->view->count;
    team->seats = mem_alloc_array(count + 1, sizeof *team->seats);
    for (size_t i = 0; i < count; i++) {
        const struct option option = {.worker = (uint32_t)i,
                                      .class = (int8_t)class,
                                      .profile = (uint16_t)(team->profile -
                                                            search->request->ways[class].profiles),
                                      .mode = PLACE_ON_DEVICES};
        if (search->is_open[i] &&
            find_seat(search, team, option, &team->seats[team->seat_count]))
            team->seat_count++;
    }
}

/* ---- the result ---- */

/* The cache is as large as the scarcest rank's, so more than that would be of no use. */
static void settle_want(struct team *team)
{
    bool is_ample = true;
    for (unsigned i = 0; i < team->profile->nodes; i++)
        is_ample = is_ample && team->chosen[i].option.is_ample;
    if (!is_ample)
        memcpy(team->want.wanted, team->want.needs, sizeof team->want.needs);
}

static void fill(struct search *search, struct team *team, struct place_result *ret)
{
    const struct estimate_profile *profile = team->profile;
    ret->mode = PLACE_ON_DEVICES;
    ret->tensor_parallel = profile->tensor_parallel;
    ret->pipeline_parallel = profile->pipeline_parallel;
    ret->layers_offloaded = profile->layers_offloaded;
    ret->context_length = profile->context_length;
    ret->cost = team->cost;
    ret->ranks = mem_alloc_array(profile->nodes, sizeof *ret->ranks);
    settle_want(team);
    for (unsigned i = 0; i < profile->nodes; i++) {
        struct room_want want = team->want;
        want.host_bytes = i == 0 ? profile->host_bytes : team->want.host_bytes;
        option_fill_rank(search, &team->chosen[i].option, &want, &ret->ranks[ret->rank_count++]);
    }
}

/* A gang for one profile that costs less than `*below`, which then follows. */
static void try_profile(struct search *search, int class, const struct estimate_profile *profile,
                        int64_t *below, struct place_result *ret)
{
    struct team team = {.profile = profile};
    room_want_of(profile, &team.want);
    team.want.host_bytes = host_bytes(search->request, profile);
    find_seats(search, &team, class);
    for (int level = 0; level < LEVELS && !team.is_found; level++)
        choose(search, &team, level);
    search->options.seen += team.is_found;
    if (team.is_found && team.cost.total < *below) {
        place_result_fini(ret);
        fill(search, &team, ret);
        *below = team.cost.total;
    }
    free(team.seats);
}

int gang_find(struct search *search, int64_t below, struct place_result *ret)
{
    const struct place_request *request = search->request;
    const struct place_view *view = search->board->view;
    if (!request->may_span || !request->ways)
        return -1;
    for (size_t c = 0; c < view->class_count; c++) {
        for (size_t i = 0; i < request->ways[c].count; i++) {
            const struct estimate_profile *profile = &request->ways[c].profiles[i];
            if (profile->nodes > 1 && profile->nodes <= view->classes[c].worker_count &&
                search_wants_devices(request, profile->nodes * profile->devices_per_node))
                try_profile(search, (int)c, profile, &below, ret);
        }
    }
    return ret->ranks ? 0 : -1;
}
