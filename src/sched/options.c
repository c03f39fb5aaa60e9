/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/option_priv.h"

#include "base/mem.h"

#include <math.h>

enum { KINDS_MAX = 128 }; /* of workers, that are remembered in a decision */

/* ---- a decision's ground ---- */

static double bytes_of(const struct estimate_profile *profile)
{
    double sum = 0;
    for (unsigned i = 0; i < profile->nodes * profile->devices_per_node; i++)
        sum += (double)profile->rank_bytes[i];
    return sum;
}

/*
 * What the model takes of devices at least. A small one is measured by a device: what it breaks up
 * would else outweigh all that matters besides, as that its replicas don't fail together.
 */
static double loss_bytes(const struct place_board *board, const struct place_request *request)
{
    const double devices = (double)board->inventory.device_count;
    double least = INFINITY;
    for (size_t c = 0; request->ways && c < board->view->class_count; c++)
        for (size_t i = 0; i < request->ways[c].count; i++)
            least = fmin(least, bytes_of(&request->ways[c].profiles[i]));
    least = isfinite(least) ? least : 0;
    return fmax(fmax(1, least), devices > 0 ? board->units / devices : 0);
}

/* Whether it is all on devices of the class, and they are large enough for that. */
static bool is_whole_way(const struct place_board *board, size_t class,
                         const struct estimate_profile *profile)
{
    const uint64_t total = board->view->classes[class].total_bytes;
    for (unsigned i = 0; i < profile->nodes * profile->devices_per_node; i++)
        if (profile->rank_bytes[i] > total)
            return false;
    return profile->kind == PROFILE_DEVICES;
}

/* What it takes at least when all of it is on devices. */
static double whole_bytes(const struct place_board *board, const struct place_request *request)
{
    double least = INFINITY;
    for (size_t c = 0; request->ways && c < board->view->class_count; c++)
        for (size_t i = 0; i < request->ways[c].count; i++)
            if (is_whole_way(board, c, &request->ways[c].profiles[i]))
                least = fmin(least, bytes_of(&request->ways[c].profiles[i]));
    return least;
}

/* Per class, how many devices the narrowest way has that has all of it on devices. */
static void count_ranks(struct search *search)
{
    const struct place_request *request = search->request;
    for (size_t c = 0; request->ways && c < search->board->view->class_count; c++) {
        for (size_t i = 0; i < request->ways[c].count; i++) {
            const struct estimate_profile *profile = &request->ways[c].profiles[i];
            const unsigned ranks = profile->nodes * profile->devices_per_node;
            unsigned *fewest = &search->fewest_ranks[c];
            if (is_whole_way(search->board, c, profile) && (*fewest == 0 || ranks < *fewest))
                *fewest = ranks;
        }
    }
}

double search_more_bytes(const struct search *search, const struct estimate_profile *profile)
{
    return fmax(0, bytes_of(profile) - search->whole_bytes); /* 0 where there is no such way */
}

static void count_company(struct search *search)
{
    const struct place_view *view = search->board->view;
    uint32_t racks = 0, zones = 0;
    for (size_t i = 0; i < view->count; i++) {
        racks = view->workers[i].rack > racks ? view->workers[i].rack : racks;
        zones = view->workers[i].zone > zones ? view->workers[i].zone : zones;
    }
    search->same_of = mem_alloc_array(view->count + 1, sizeof *search->same_of);
    search->same_in_rack = mem_alloc_array((size_t)racks + 1, sizeof *search->same_in_rack);
    search->same_in_zone = mem_alloc_array((size_t)zones + 1, sizeof *search->same_in_zone);
    for (size_t i = 0; i < view->count; i++) {
        search->same_of[i] = place_count_model(&view->workers[i], search->request->model_id);
        search->same_in_rack[view->workers[i].rack] += search->same_of[i];
        search->same_in_zone[view->workers[i].zone] += search->same_of[i];
    }
}

void search_begin(struct search *search, struct place_board *board,
                  const struct place_request *request)
{
    const struct place_view *view = board->view;
    *search = (struct search){.board = board, .request = request};
    search->options.keeps_all = request->strategy != PLACE_CHEAPEST;
    search->loss_bytes = loss_bytes(board, request);
    search->whole_bytes = whole_bytes(board, request);
    count_ranks(search);
    search->is_open = mem_alloc_array(view->count + 1, sizeof *search->is_open);
    for (size_t i = 0; i < view->count; i++)
        search->is_open[i] = place_refuse_worker(request, &view->workers[i]) == PLACE_FITS;
    count_company(search);
}

void search_end(struct search *search)
{
    free(search->is_open);
    free(search->same_of);
    free(search->same_in_rack);
    free(search->same_in_zone);
    free(search->options.items);
    free(search->options.marks);
}

const struct estimate_profile *option_profile(const struct search *search,
                                              const struct option *option)
{
    if (option->mode == PLACE_ON_PROCESSOR)
        return search->request->processor;
    if (option->mode == PLACE_WHOLE || option->class < 0)
        return NULL;
    return &search->request->ways[option->class].profiles[option->profile];
}

bool search_wants_devices(const struct place_request *request, unsigned devices)
{
    return request->device_count == 0 || request->device_count == devices;
}

/* ---- keeping the cheapest ---- */

static uint64_t mix_in(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

/* All of a worker that tells one place on it from a place on another; main memory roughly. */
static uint64_t mark_of(const struct place_worker *on, const struct room *room)
{
    uint64_t mark = mix_in(1, on->device_count);
    mark = mix_in(mark, on->ram_total_bytes ? room->ram_free / (on->ram_total_bytes / 64 + 1) : 0);
    for (size_t i = 0; i < on->device_count; i++) {
        const struct place_device *device = &on->devices[i];
        mark = mix_in(mark, room->devices[i].free);
        mark = mix_in(mark, device->foreign_bytes);
        mark = mix_in(mark, (uint64_t)(device->class + 1) << 16 | device->island);
    }
    return mark;
}

/* Whether one that is like it on an earlier worker was added: of equal ones that is taken. */
static bool is_repeated(struct search *search, const struct option *option)
{
    struct options *options = &search->options;
    uint64_t mark = mix_in(search->worker_mark, option->device_set);
    mark = mix_in(mark, (uint64_t)option->profile << 16 | (uint64_t)(option->class + 1) << 8 |
                            (uint64_t)option->mode << 1 | option->is_ample);
    mark = mix_in(mark, (uint64_t)option->cost.total) | 1;
    if (!options->marks)
        options->marks = mem_alloc_array(OPTION_MARKS, sizeof *options->marks);
    size_t at = mark >> 20 & (OPTION_MARKS - 1);
    while (options->marks[at] && options->marks[at] != mark)
        at = (at + 1) & (OPTION_MARKS - 1);
    if (options->marks[at])
        return true;
    if (options->mark_count < OPTION_MARKS / 4 * 3) {
        options->marks[at] = mark;
        options->mark_count++;
    }
    return false;
}

void options_add(struct search *search, const struct option *option)
{
    struct options *options = &search->options;
    struct option added = *option;
    options->seen++;
    search->on_devices += option->mode == PLACE_ON_DEVICES;
    cost_of_place(search, &added);
    if (!options->keeps_all && is_repeated(search, &added))
        return;
    cost_guess_fragments(search, &added);
    if ((options->count & (options->count - 1)) == 0)
        options->items = mem_resize(options->items, (options->count ? options->count * 2 : 1) *
                                                        sizeof *options->items);
    options->items[options->count++] = added;
    if (options->count == 2 * OPTIONS_KEPT && !options->keeps_all) {
        qsort(options->items, options->count, sizeof *options->items, option_compare);
        options->count = OPTIONS_KEPT;
    }
}

const struct option *options_best(struct search *search)
{
    const struct option *best = NULL;
    struct options *options = &search->options;
    for (size_t i = 0; i < options->count; i++) {
        cost_of_fragments(search, &options->items[i]);
        if (!best || option_compare(&options->items[i], best) < 0)
            best = &options->items[i];
    }
    return best;
}

/* ---- places on one worker ---- */

static void add_sets(const struct room *room, const struct room_want *want,
                     const struct candidates *sets, struct found_sets *found)
{
    const size_t before = found->count;
    struct room_grant grant;
    for (size_t i = 0; i < sets->count; i++) {
        bool is_known = false;
        for (size_t k = 0; k < before; k++)
            is_known = is_known || found->device_sets[k] == sets->device_sets[i];
        if (is_known || !room_grant(room, sets->device_sets[i], want, &grant))
            continue;
        found->is_ample[found->count] = grant.is_ample;
        found->device_sets[found->count++] = sets->device_sets[i];
    }
}

void options_sets(const struct room *room, uint64_t from, const struct room_want *want,
                  struct found_sets *ret)
{
    struct candidates sets;
    ret->count = 0;
    room_find(room, from, want->wanted, want->count, &sets);
    add_sets(room, want, &sets, ret);
    room_find(room, from, want->needs, want->count, &sets);
    add_sets(room, want, &sets, ret);
}

static void add_profile(struct search *search, const struct room *room, struct option option)
{
    struct found_sets found;
    struct room_want want;
    room_want_of(option_profile(search, &option), &want);
    options_sets(room, room->allowed & room->of_class[option.class], &want, &found);
    for (size_t i = 0; i < found.count; i++) {
        option.device_set = found.device_sets[i];
        option.is_ample = found.is_ample[i];
        options_add(search, &option);
    }
}

static void add_class(struct search *search, const struct room *room, struct option option)
{
    const struct place_ways *ways = &search->request->ways[option.class];
    for (size_t i = 0; i < ways->count; i++) {
        const struct estimate_profile *profile = &ways->profiles[i];
        if (profile->nodes != 1 ||
            !search_wants_devices(search->request, profile->devices_per_node))
            continue;
        option.profile = (uint16_t)i;
        option.mode = profile->kind == PROFILE_PARTIAL ? PLACE_PARTLY : PLACE_ON_DEVICES;
        add_profile(search, room, option);
    }
}

static void add_processor(struct search *search, const struct room *room, struct option option)
{
    const struct estimate_profile *profile = search->request->processor;
    if (!place_may_use_processor(search->request) || room->ram_free == 0 ||
        room->ram_free < profile->host_bytes)
        return;
    option.mode = PLACE_ON_PROCESSOR;
    option.class = -1;
    options_add(search, &option);
}

uint64_t options_unused(const struct search *search, const struct room *room)
{
    const struct place_request *request = search->request;
    uint64_t set = 0;
    uint64_t least = request->is_known
                         ? place_bytes_by_hand(request, search->board->view->class_count)
                         : 0;
    for (uint64_t left = room->allowed & room->unused; left; left &= left - 1)
        if (room->devices[__builtin_ctzll(left)].free >= least)
            set |= left & -left;
    return set;
}

/* Sets of devices for itself, those that others use the least. */
static void add_unused(struct search *search, const struct room *room, uint64_t from,
                       struct option option)
{
    const struct place_worker *on = &search->board->view->workers[option.worker];
    const size_t count = search->request->device_count;
    struct inventory_device devices[PLACE_DEVICES_MAX];
    struct candidates found;
    if ((size_t)__builtin_popcountll(from) < count)
        return;
    for (size_t i = 0; i < room->device_count; i++) {
        devices[i] = room->devices[i];
        devices[i].free = on->devices[i].foreign_bytes; /* the least comes first */
    }
    candidates_among(devices, from, (uint32_t)count, &found);
    for (size_t i = 0; i < found.count; i++) {
        option.device_set = found.device_sets[i];
        options_add(search, &option);
    }
}

/* Devices for itself, or none; unlike ones only where no class has enough. */
static void add_whole(struct search *search, const struct room *room, struct option option)
{
    const struct place_request *request = search->request;
    if (room->ram_free == 0 || room->ram_free < request->ram_bytes)
        return;
    const uint64_t from = options_unused(search, room);
    const size_t before = search->options.seen;
    option.mode = PLACE_WHOLE;
    option.is_ample = true;
    if (request->device_count == 0) {
        options_add(search, &option);
        return;
    }
    for (size_t c = 0; c < search->board->view->class_count; c++) {
        option.class = (int8_t)c;
        add_unused(search, room, from & room->of_class[c], option);
    }
    option.class = -1;
    if (search->options.seen == before)
        add_unused(search, room, from, option);
}

/* The `count` devices of `from` with the most free; of equal ones the first. */
static uint64_t emptiest(const struct room *room, uint64_t from, size_t count)
{
    uint64_t set = 0;
    for (; count > 0; count--) {
        int best = -1;
        for (uint64_t left = from & ~set; left; left &= left - 1) {
            int i = __builtin_ctzll(left);
            if (best < 0 || room->devices[i].free > room->devices[best].free)
                best = i;
        }
        set |= UINT64_C(1) << best;
    }
    return set;
}

/* The split where main memory has that much for the devices whose memory it is. */
static bool split_with(const struct search *search, const struct room *room, uint64_t shared,
                       struct room_grant *ret, uint64_t *ret_host_bytes)
{
    uint64_t free_bytes[PLACE_DEVICES_MAX];
    int classes[PLACE_DEVICES_MAX];
    ret->count = 0;
    for (uint64_t left = ret->device_set; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        uint64_t has = room->devices[i].free;
        if (room->unified >> i & 1) {
            has = has < shared ? has : shared;
            shared -= has;
        }
        free_bytes[ret->count] = has;
        classes[ret->count] = room->on->devices[i].class;
        ret->devices[ret->count++] = (uint8_t)i;
    }
    if (search->request->split(search->request->ctx, free_bytes, classes, ret->count, ret->bytes,
                               ret_host_bytes) < 0)
        return false;
    for (size_t i = 0; i < ret->count; i++)
        if (ret->bytes[i] > free_bytes[i])
            return false;
    return true;
}

bool options_split(const struct search *search, const struct room *room, uint64_t device_set,
                   struct room_grant *ret, uint64_t *ret_host_bytes)
{
    *ret = (struct room_grant){.device_set = device_set, .is_ample = true};
    if (!split_with(search, room, room->ram_free, ret, ret_host_bytes))
        return false;
    if (room_has_host(room, ret, *ret_host_bytes))
        return true;
    /* Once more, now that it is known what the host needs beside them. */
    return (device_set & room->unified) && room->ram_free >= *ret_host_bytes &&
           split_with(search, room, room->ram_free - *ret_host_bytes, ret, ret_host_bytes) &&
           room_has_host(room, ret, *ret_host_bytes);
}

/* As few devices as take it together, each as much as it has room for. */
static void add_mixed(struct search *search, const struct room *room, struct option option)
{
    const size_t wanted = search->request->device_count;
    const size_t most = (size_t)__builtin_popcountll(room->allowed);
    struct room_grant grant;
    uint64_t host_bytes;
    option.mode = PLACE_ON_DEVICES;
    option.class = -1;
    option.is_ample = true;
    for (size_t count = wanted ? wanted : 2; count <= (wanted ? wanted : most); count++) {
        if (count < 2 || count > most)
            return;
        option.device_set = emptiest(room, room->allowed, count);
        if (options_split(search, room, option.device_set, &grant, &host_bytes)) {
            options_add(search, &option);
            return;
        }
    }
}

static void find_on(struct search *search, uint32_t worker, const struct room *room)
{
    const struct place_view *view = search->board->view;
    const struct place_request *request = search->request;
    struct option option = {.worker = worker, .class = -1};
    if (!request->is_known || search->is_by_hand) {
        add_whole(search, room, option);
        return;
    }
    size_t before = search->on_devices;
    for (size_t c = 0; request->ways && c < view->class_count; c++) {
        option.class = (int8_t)c;
        if (room->allowed & room->of_class[c])
            add_class(search, room, option);
    }
    if (search->on_devices == before && request->split)
        add_mixed(search, room, option);
    add_processor(search, room, option);
}

/* ---- workers that are alike ---- */

/*
 * On a worker that is like an earlier one the same places are found, and they leave the same
 * fragments: of each only the one that costs least besides is kept. Large clusters have few kinds
 * of workers. Main memory needn't be the same where it is enough for whatever way there is.
 */
struct kind {
    uint64_t mark, allowed, ram_free;
    size_t first, count; /* of its places among the options */
};

struct kinds {
    struct kind items[KINDS_MAX];
    size_t count;
    uint64_t ram_enough; /* UINT64_MAX: not known */
};

static uint64_t ram_enough(const struct search *search)
{
    const struct place_request *request = search->request;
    uint64_t most = request->processor ? request->processor->host_bytes : 0;
    if (request->split)
        return UINT64_MAX;
    for (size_t c = 0; request->ways && c < search->board->view->class_count; c++)
        for (size_t i = 0; i < request->ways[c].count; i++)
            if (request->ways[c].profiles[i].host_bytes > most)
                most = request->ways[c].profiles[i].host_bytes;
    return most + 1; /* nothing runs where nothing is left */
}

static bool has_same_ram(const struct kinds *kinds, const struct kind *kind,
                         const struct room *room)
{
    bool is_enough = kind->ram_free >= kinds->ram_enough && room->ram_free >= kinds->ram_enough;
    return kind->ram_free == room->ram_free || (is_enough && !room->unified);
}

/* Devices for itself are chosen by more than room; other strategies compare all places. */
static bool may_be_alike(const struct search *search)
{
    return search->request->is_known && !search->is_by_hand && !search->options.keeps_all;
}

static const struct kind *find_kind(const struct kinds *kinds, uint64_t mark,
                                    const struct room *room)
{
    for (size_t i = kinds->count; i-- > 0;) { /* neighbours are often alike */
        const struct kind *kind = &kinds->items[i];
        if (kind->mark == mark && kind->allowed == room->allowed &&
            has_same_ram(kinds, kind, room))
            return kind;
    }
    return NULL;
}

static void find_on_alike(struct search *search, uint32_t worker, const struct kind *kind)
{
    for (size_t i = kind->first; i < kind->first + kind->count; i++) {
        struct option *kept = &search->options.items[i];
        struct option option = *kept;
        option.worker = worker;
        cost_of_place(search, &option);
        option.cost.fragments = kept->cost.fragments;
        cost_sum(&option.cost);
        if (option_compare(&option, kept) < 0)
            *kept = option;
    }
    search->options.seen += kind->count;
}

/* Remembers the kind, unless some of its places are kept with an earlier one's or were sorted. */
static void find_on_new(struct search *search, uint32_t worker, const struct room *room,
                        struct kinds *kinds)
{
    const struct options *options = &search->options;
    const size_t first = options->count, seen = options->seen;
    find_on(search, worker, room);
    const size_t count = options->seen - seen;
    if (options->count < first || kinds->count == KINDS_MAX)
        kinds->count = 0;
    if (options->count == first + count)
        kinds->items[kinds->count++] =
            (struct kind){search->worker_mark, room->allowed, room->ram_free, first, count};
}

void options_find(struct search *search)
{
    const struct place_view *view = search->board->view;
    const bool may = may_be_alike(search);
    struct kinds kinds;
    struct room room;
    kinds.count = 0;
    kinds.ram_enough = ram_enough(search);
    for (size_t i = 0; i < view->count; i++) {
        if (!search->is_open[i])
            continue;
        room_measure(view, search->request, &view->workers[i], &room);
        search->worker_mark = mark_of(&view->workers[i], &room);
        const struct kind *kind = may ? find_kind(&kinds, search->worker_mark, &room) : NULL;
        if (kind)
            find_on_alike(search, (uint32_t)i, kind);
        else
            find_on_new(search, (uint32_t)i, &room, &kinds);
    }
}
