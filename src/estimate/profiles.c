/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/profiles.h"

#include "estimate/estimate_priv.h"

static const char *const kind_names[ESTIMATE_PROFILE_KIND_COUNT] = {
    [PROFILE_DEVICES] = "devices",
    [PROFILE_PARTIAL] = "partial",
    [PROFILE_PROCESSOR] = "processor",
};

/* What is tried next, and what was found. */
struct search {
    const struct estimate_request *request;
    const struct estimate_limits *limits;
    enum estimate_engine engine;
    struct estimate_profile *profiles;
    int count;
    unsigned tensor, pipeline, data; /* that the user fixed; 1: perhaps not */
    struct err err; /* of the last try that couldn't be */
    int rc;
};

/* Parameters that are added to the user's, before them: the user's count. */
enum { EXTRA_MAX = 4 };

struct extra {
    char text[EXTRA_MAX][32];
    size_t count;
};

const char *estimate_profile_kind_name(enum estimate_profile_kind kind)
{
    return kind_names[kind];
}

static void add_extra(struct extra *extra, const char *name, uint64_t value)
{
    snprintf(extra->text[extra->count++], sizeof extra->text[0], "%s", name);
    snprintf(extra->text[extra->count++], sizeof extra->text[0], "%llu",
             (unsigned long long)value);
}

static bool is_parallel(enum estimate_engine engine)
{
    return engine == ESTIMATE_VLLM || engine == ESTIMATE_SGLANG || engine == ESTIMATE_MINDIE;
}

static void fill(struct estimate_profile *profile, const struct estimate *estimate)
{
    for (size_t i = 0; i < estimate->device_count && i < ESTIMATE_PROFILE_RANKS_MAX; i++) {
        const uint64_t bytes = estimate_place_bytes(&estimate->devices[i]);
        const uint64_t cache = estimate->devices[i].parts[ESTIMATE_CACHE];
        const bool grows = estimate->engine == ESTIMATE_VLLM || estimate->engine == ESTIMATE_SGLANG;
        profile->rank_bytes[i] = bytes;
        profile->preferred_bytes[i] = bytes;
        if (grows) /* other engines have one size of cache */
            profile->preferred_bytes[i] += (ESTIMATE_PREFERRED_REQUESTS - 1) * cache;
    }
    profile->tensor_parallel = estimate->tensor_parallel;
    profile->pipeline_parallel = estimate->pipeline_parallel;
    profile->data_parallel = estimate->data_parallel;
    profile->host_bytes = estimate_place_bytes(&estimate->host);
    profile->context_length = estimate->context_length;
    profile->layers_offloaded = estimate->layers_offloaded;
}

/* Devices of the search's kind in the engine's order: llama.cpp has other workers' first. */
static void make_devices(const struct search *search, const struct estimate_profile *profile,
                         struct estimate_device *devices)
{
    const unsigned world = profile->nodes * profile->devices_per_node;
    const unsigned own = profile->devices_per_node;
    for (unsigned i = 0; i < world; i++) {
        devices[i] = search->limits->device;
        devices[i].is_remote = is_parallel(search->engine) ? i >= own : i < world - own;
    }
}

/* Whether it is what it says: no device idles, and layers are on the host only when they may. */
static bool is_sound(const struct search *search, struct estimate_profile *profile)
{
    const bool is_whole = search->engine != ESTIMATE_LLAMA_CPP ||
                          profile->layers_offloaded > search->request->shape->layer_count;
    for (unsigned i = 0; i < profile->nodes * profile->devices_per_node; i++)
        if (profile->rank_bytes[i] == 0)
            return false;
    if (profile->kind == PROFILE_PROCESSOR)
        return true;
    if (profile->kind == PROFILE_PARTIAL)
        return !is_whole;
    if (!is_whole) /* the user's number of layers */
        profile->kind = PROFILE_PARTIAL;
    return is_whole || search->limits->may_offload_partly;
}

/* Fills in a profile by the user's parameters and those. */
static bool make_profile(struct search *search, struct estimate_profile *profile,
                         const struct extra *extra)
{
    const struct estimate_request *user = search->request;
    const char *argv[ESTIMATE_PARAMETERS_MAX];
    struct estimate_device devices[ESTIMATE_PROFILE_RANKS_MAX];
    make_devices(search, profile, devices);
    for (size_t i = 0; i < extra->count; i++)
        argv[i] = extra->text[i];
    if (user->argc > 0)
        memcpy(argv + extra->count, user->argv, user->argc * sizeof argv[0]);
    struct estimate_request request = *user;
    request.argv = argv;
    request.argc = user->argc + extra->count;
    request.devices = devices;
    request.device_count = profile->nodes * profile->devices_per_node;
    request.is_minimal = true;
    auto_fini(estimate_fini) struct estimate estimate = {0};
    search->rc = estimate_model(&request, &estimate, &search->err);
    if (search->rc < 0)
        return false;
    fill(profile, &estimate);
    return true;
}

static void keep(struct search *search, struct estimate_profile *profile)
{
    if (search->count < ESTIMATE_PROFILES_MAX && is_sound(search, profile))
        search->profiles[search->count++] = *profile;
}

/* --- tensors and stages -------------------------------------------------------------------- */

static bool make_parallel(struct search *search, struct estimate_profile *profile, unsigned tensor,
                          unsigned pipeline)
{
    struct extra extra = {0};
    add_extra(&extra, "--tensor-parallel-size", tensor);
    add_extra(&extra, "--pipeline-parallel-size", pipeline);
    return make_profile(search, profile, &extra);
}

/* Learns what the user fixed: with everything else at 1 on as many devices as there may be. */
static bool probe_user(struct search *search, unsigned nodes)
{
    const uint64_t world = (uint64_t)nodes * search->limits->devices_per_node;
    struct estimate_profile profile = {
        .nodes = 1, .devices_per_node = (unsigned)min_u64(world, ESTIMATE_PROFILE_RANKS_MAX)};
    if (!make_parallel(search, &profile, 1, 1))
        return false;
    search->tensor = profile.tensor_parallel;
    search->pipeline = profile.pipeline_parallel;
    search->data = profile.data_parallel;
    return true;
}

/* One cut; true when it uses all the devices. */
static bool try_cut(struct search *search, struct estimate_profile profile, unsigned tensor,
                    unsigned pipeline)
{
    const unsigned world = profile.nodes * profile.devices_per_node;
    const bool is_users = (search->tensor == 1 || tensor == search->tensor) &&
                          (search->pipeline == 1 || pipeline == search->pipeline);
    if (!is_users || !make_parallel(search, &profile, tensor, pipeline) ||
        profile.tensor_parallel * profile.pipeline_parallel * profile.data_parallel != world)
        return false;
    keep(search, &profile);
    return true;
}

/*
 * All of a worker's devices on tensors, or as many as divide and the rest in stages; tensors over
 * several workers only when nothing else is left, as the links between them are slow.
 */
static void try_parallel(struct search *search, unsigned nodes, unsigned devices)
{
    const struct estimate_profile profile = {.nodes = nodes, .devices_per_node = devices};
    if (nodes * devices % search->data != 0)
        return;
    const unsigned ranks = nodes * devices / search->data;
    for (unsigned tensor = devices; tensor > 0; tensor--)
        if (ranks % tensor == 0 && try_cut(search, profile, tensor, ranks / tensor))
            return;
    for (unsigned tensor = devices + 1; tensor <= ranks; tensor++)
        if (ranks % tensor == 0 && try_cut(search, profile, tensor, ranks / tensor))
            return;
}

/* --- whole on devices ------------------------------------------------------------------------ */

static void try_devices(struct search *search, unsigned nodes, unsigned devices)
{
    const enum estimate_engine engine = search->engine;
    const struct extra none = {0};
    if (is_parallel(engine)) {
        try_parallel(search, nodes, devices);
        return;
    }
    const bool can_split = engine == ESTIMATE_LLAMA_CPP || engine == ESTIMATE_CUSTOM;
    const bool can_span = engine == ESTIMATE_LLAMA_CPP;
    const bool has_three = engine == ESTIMATE_DIFFUSION && devices == 3;
    if ((nodes > 1 && !can_span) || (devices > 1 && !can_split && !has_three))
        return;
    struct estimate_profile profile = {.nodes = nodes, .devices_per_node = devices};
    if (make_profile(search, &profile, &none))
        keep(search, &profile);
}

static bool is_even(unsigned devices, unsigned of_node)
{
    return (devices & (devices - 1)) == 0 || of_node % devices == 0;
}

/* Room is left for what isn't whole on devices. */
static void try_all_devices(struct search *search, unsigned nodes)
{
    const unsigned of_node = search->limits->devices_per_node;
    const int most = ESTIMATE_PROFILES_MAX - ESTIMATE_PARTIAL_MAX - 1;
    for (unsigned n = 1; n <= nodes; n++)
        for (unsigned d = 1; d <= of_node && n * d <= ESTIMATE_PROFILE_RANKS_MAX; d++)
            if (search->count < most && (n == 1 || is_even(d, of_node)))
                try_devices(search, n, d);
}

/* --- partly on devices ----------------------------------------------------------------------- */

static bool make_partial(struct search *search, uint64_t layers, struct estimate_profile *profile)
{
    struct extra extra = {0};
    add_extra(&extra, "--n-gpu-layers", layers);
    return make_profile(search, profile, &extra);
}

static bool has_room_for(struct search *search, uint64_t layers, struct estimate_profile profile)
{
    const uint64_t capacity = estimate_capacity(&search->limits->device);
    if (!make_partial(search, layers, &profile))
        return false;
    for (unsigned i = 0; i < profile.devices_per_node; i++)
        if (profile.rank_bytes[i] > capacity)
            return false;
    return true;
}

/* Most layers that devices have room for, or a half when their size isn't known. */
static uint64_t most_layers(struct search *search, const struct estimate_profile *profile)
{
    uint64_t low = 0, high = search->request->shape->layer_count;
    if (estimate_capacity(&search->limits->device) == 0)
        return high / 2;
    while (low < high) {
        const uint64_t middle = high - (high - low) / 2;
        if (has_room_for(search, middle, *profile))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* On one device, and on more of them for as long as they don't hold all of it. */
static void try_partial(struct search *search)
{
    const uint64_t all = (uint64_t)search->request->shape->layer_count + 1;
    const bool is_known = estimate_capacity(&search->limits->device) > 0;
    const unsigned most = is_known ? ESTIMATE_PARTIAL_MAX : 1;
    for (unsigned d = 1; d <= most && d <= search->limits->devices_per_node; d++) {
        struct estimate_profile profile = {.kind = PROFILE_PARTIAL, .nodes = 1,
                                           .devices_per_node = d};
        if (d > 1 && has_room_for(search, all, profile))
            return;
        const uint64_t layers = most_layers(search, &profile);
        if (layers > 0 && make_partial(search, layers, &profile))
            keep(search, &profile);
    }
}

static void try_processor(struct search *search)
{
    const struct extra none = {0};
    struct estimate_profile profile = {.kind = PROFILE_PROCESSOR, .nodes = 1};
    if (make_profile(search, &profile, &none))
        keep(search, &profile);
}

/* --------------------------------------------------------------------------------------------- */

static int check_request(const struct estimate_request *request, struct err *err)
{
    const size_t most = ESTIMATE_PARAMETERS_MAX - EXTRA_MAX;
    if (request->argc <= most)
        return 0;
    return err_set(err, ERR_TOO_LARGE, "%zu parameters, at most %zu are possible", request->argc,
                   most);
}

/* The user's own number of layers is in the profiles already. */
static bool has_partial(const struct search *search)
{
    for (int i = 0; i < search->count; i++)
        if (search->profiles[i].kind == PROFILE_PARTIAL)
            return true;
    return false;
}

static int run_search(struct search *search)
{
    const struct estimate_limits *limits = search->limits;
    const bool cuts = is_parallel(search->engine);
    unsigned nodes = limits->nodes ? limits->nodes : 1;
    if (nodes > ESTIMATE_PROFILE_RANKS_MAX)
        nodes = ESTIMATE_PROFILE_RANKS_MAX;
    if (limits->devices_per_node > 0 && (!cuts || probe_user(search, nodes)))
        try_all_devices(search, nodes);
    const bool is_llama_cpp = search->engine == ESTIMATE_LLAMA_CPP;
    if (limits->may_offload_partly && is_llama_cpp && !has_partial(search))
        try_partial(search);
    if (limits->may_use_processor && !cuts)
        try_processor(search);
    if (search->count > 0)
        return search->count;
    return search->rc < 0 ? search->rc
                          : err_set(&search->err, ERR_INVALID,
                                    "the parameters leave no way to use the devices that there "
                                    "may be");
}

int estimate_profiles(const struct estimate_request *request, const struct estimate_limits *limits,
                      struct estimate_profile profiles[ESTIMATE_PROFILES_MAX], struct err *err)
{
    struct search search = {.request = request, .limits = limits, .profiles = profiles};
    int rc = check_request(request, err);
    search.engine = request->engine == ESTIMATE_AUTO ? estimate_usual_engine(request->shape)
                                                     : request->engine;
    if (rc < 0)
        return rc;
    rc = run_search(&search);
    if (rc < 0 && err)
        *err = search.err;
    return rc;
}
