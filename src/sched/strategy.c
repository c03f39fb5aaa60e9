/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPUStack's strategies `spread` and `binpack`, exactly as they are documented: the places with the
 * fewest devices are compared by the scores of score.h; of equal ones the first is taken.
 */
#include "sched/option_priv.h"
#include "sched/score.h"

#include "base/mem.h"

/* Instances on a worker and per device, as the scores want it. */
struct company {
    unsigned same, others;
    unsigned same_on[PLACE_DEVICES_MAX], others_on[PLACE_DEVICES_MAX];
};

static void count(const struct search *search, uint32_t worker, struct company *ret)
{
    const struct place_worker *on = &search->board->view->workers[worker];
    *ret = (struct company){.same = search->same_of[worker],
                            .others = on->instance_count - search->same_of[worker]};
    for (size_t i = 0; i < on->holding_count; i++) {
        const struct place_holding *holding = &on->holdings[i];
        bool is_same = holding->model_id == search->request->model_id;
        if (holding->device != PLACE_HOST)
            (is_same ? ret->same_on : ret->others_on)[holding->device]++;
    }
}

/* Whether the option is of the kind that is preferred to the other, whatever they score. */
static bool is_before(const struct option *a, const struct option *b)
{
    if (a->mode != b->mode)
        return a->mode < b->mode;
    return __builtin_popcountll(a->device_set) < __builtin_popcountll(b->device_set);
}

/* Leaves the options of the kind that comes first. */
static void keep_first_kind(struct options *options)
{
    const struct option *first = &options->items[0];
    for (size_t i = 1; i < options->count; i++)
        if (is_before(&options->items[i], first))
            first = &options->items[i];
    const struct option like = *first;
    size_t kept = 0;
    for (size_t i = 0; i < options->count; i++)
        if (!is_before(&like, &options->items[i]))
            options->items[kept++] = options->items[i];
    options->count = kept;
}

static struct score_field field_of(const struct search *search)
{
    struct score_field field = {.same_min = UINT32_MAX, .others_min = UINT32_MAX};
    for (size_t i = 0; i < search->options.count; i++) {
        uint32_t worker = search->options.items[i].worker;
        unsigned same = search->same_of[worker];
        unsigned others = search->board->view->workers[worker].instance_count - same;
        field.same_min = same < field.same_min ? same : field.same_min;
        field.same_max = same > field.same_max ? same : field.same_max;
        field.others_min = others < field.others_min ? others : field.others_min;
        field.others_max = others > field.others_max ? others : field.others_max;
    }
    return field;
}

static double spread_of(const struct search *search, const struct option *option,
                        const struct score_field *field)
{
    struct company company;
    unsigned same_on[PLACE_DEVICES_MAX], others_on[PLACE_DEVICES_MAX];
    struct score_worker seen = {.same_on = same_on, .others_on = others_on};
    count(search, option->worker, &company);
    seen.same = company.same;
    seen.others = company.others;
    for (uint64_t left = option->device_set; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        same_on[seen.device_count] = company.same_on[i];
        others_on[seen.device_count++] = company.others_on[i];
    }
    return score_spread_among(&seen, field);
}

static double part_of(uint64_t bytes, uint64_t of)
{
    return of ? (double)bytes / (double)of : 0;
}

/* What the option takes of its devices and of main memory. */
static void grant_of(const struct search *search, const struct option *option,
                     struct room_grant *ret, uint64_t *ret_host_bytes)
{
    const struct place_view *view = search->board->view;
    const struct estimate_profile *profile = option_profile(search, option);
    struct room room;
    struct room_want want;
    *ret = (struct room_grant){0};
    *ret_host_bytes = search->request->ram_bytes;
    room_measure(view, search->request, &view->workers[option->worker], &room);
    if (profile) {
        room_want_of(profile, &want);
        room_grant(&room, option->device_set, &want, ret);
        *ret_host_bytes = want.host_bytes;
    } else if (option->mode != PLACE_WHOLE) {
        options_split(search, &room, option->device_set, ret, ret_host_bytes);
    }
    const uint64_t whole = option->mode == PLACE_WHOLE ? option->device_set : 0;
    for (uint64_t left = whole; left; left &= left - 1) {
        ret->devices[ret->count] = (uint8_t)__builtin_ctzll(left);
        ret->bytes[ret->count] = room.devices[ret->devices[ret->count]].free;
        ret->count++;
    }
}

static double binpack_of(const struct search *search, const struct option *option)
{
    const struct place_worker *on = &search->board->view->workers[option->worker];
    struct room_grant grant;
    uint64_t host;
    double best = 0;
    grant_of(search, option, &grant, &host);
    if (option->device_set == 0)
        return score_binpack(host, place_ram_free(on));
    double ram = part_of(host, place_ram_free(on));
    for (size_t i = 0; i < grant.count; i++) {
        uint64_t has = place_device_free(on, &on->devices[grant.devices[i]]);
        double score = score_binpack_device(ram, part_of(grant.bytes[i], has));
        best = score > best ? score : best;
    }
    return best;
}

const struct option *strategy_best(struct search *search, double *ret_score)
{
    struct options *options = &search->options;
    const struct option *best = NULL;
    if (options->count == 0)
        return NULL;
    keep_first_kind(options);
    const struct score_field field = field_of(search);
    for (size_t i = 0; i < options->count; i++) {
        const struct option *option = &options->items[i];
        double score = search->request->strategy == PLACE_SPREAD
                           ? spread_of(search, option, &field)
                           : binpack_of(search, option);
        if (best && score <= *ret_score)
            continue;
        best = option;
        *ret_score = score;
    }
    return best;
}
