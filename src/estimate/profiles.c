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
    struct estimate_profile *profiles;
    int count;
    struct err *err;
    int rc; /* of the last try */
};

/* Parameters that are added to the user's, before them: the user's count. */
struct extra {
    char text[4][32];
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
    profile->host_bytes = estimate_place_bytes(&estimate->host);
    profile->context_length = estimate->context_length;
    profile->layers_offloaded = estimate->layers_offloaded;
}

/* Devices of the search's kind, those of other workers first; as many as `devices` says. */
static void make_devices(const struct search *search, const struct estimate_profile *profile,
                         struct estimate_device *devices)
{
    const unsigned world = profile->nodes * profile->devices_per_node;
    for (unsigned i = 0; i < world; i++) {
        devices[i] = search->limits->device;
        devices[i].is_remote = i < world - profile->devices_per_node;
    }
}

static bool try_profile(struct search *search, struct estimate_profile profile,
                        const struct extra *extra)
{
    const struct estimate_request *user = search->request;
    const char *argv[ESTIMATE_PARAMETERS_MAX + 4];
    struct estimate_device devices[ESTIMATE_PROFILE_RANKS_MAX];
    if (search->count == ESTIMATE_PROFILES_MAX)
        return false;
    make_devices(search, &profile, devices);
    for (size_t i = 0; i < extra->count; i++)
        argv[i] = extra->text[i];
    if (user->argc > 0)
        memcpy(argv + extra->count, user->argv, user->argc * sizeof argv[0]);
    struct estimate_request request = *user;
    request.argv = argv;
    request.argc = user->argc + extra->count;
    request.devices = devices;
    request.device_count = profile.nodes * profile.devices_per_node;
    request.is_minimal = true;
    auto_fini(estimate_fini) struct estimate estimate = {0};
    search->rc = estimate_model(&request, &estimate, search->err);
    if (search->rc < 0)
        return false;
    fill(&profile, &estimate);
    search->profiles[search->count++] = profile;
    return true;
}

static bool is_parallel(enum estimate_engine engine)
{
    return engine == ESTIMATE_VLLM || engine == ESTIMATE_SGLANG || engine == ESTIMATE_MINDIE;
}

/* All of a worker's devices on tensors, or as many as divide and the rest in stages. */
static void try_parallel(struct search *search, unsigned nodes, unsigned devices)
{
    const struct estimate_profile profile = {.nodes = nodes, .devices_per_node = devices};
    for (unsigned tensor = devices; tensor > 0; tensor--) {
        struct extra extra = {0};
        if (devices % tensor != 0)
            continue;
        add_extra(&extra, "--tensor-parallel-size", tensor);
        add_extra(&extra, "--pipeline-parallel-size", nodes * devices / tensor);
        if (!try_profile(search, profile, &extra))
            continue;
        const struct estimate_profile *made = &search->profiles[search->count - 1];
        if (made->tensor_parallel * made->pipeline_parallel < nodes * devices)
            search->count--; /* the user's numbers use fewer devices */
        return;
    }
}

static void try_devices(struct search *search, enum estimate_engine engine, unsigned nodes,
                        unsigned devices)
{
    const struct extra none = {0};
    if (nodes * devices > ESTIMATE_PROFILE_RANKS_MAX)
        return;
    if (is_parallel(engine)) {
        try_parallel(search, nodes, devices);
        return;
    }
    const bool can_split = engine == ESTIMATE_LLAMA_CPP || engine == ESTIMATE_CUSTOM;
    const bool can_span = engine == ESTIMATE_LLAMA_CPP;
    const bool has_three = engine == ESTIMATE_DIFFUSION && devices == 3;
    if ((nodes > 1 && !can_span) || (devices > 1 && !can_split && !has_three))
        return;
    try_profile(search, (struct estimate_profile){.nodes = nodes, .devices_per_node = devices},
                &none);
}

/* Most layers that the device has room for, or a half when its size isn't known. */
static void try_partial(struct search *search)
{
    const uint64_t capacity = estimate_capacity(&search->limits->device);
    uint64_t low = 0, high = search->request->shape->layer_count;
    const struct estimate_profile profile = {.kind = PROFILE_PARTIAL, .nodes = 1,
                                             .devices_per_node = 1};
    if (capacity == 0) {
        low = high / 2;
        high = low;
    }
    while (low < high) {
        const uint64_t middle = high - (high - low) / 2;
        struct extra extra = {0};
        add_extra(&extra, "--n-gpu-layers", middle);
        const bool made = try_profile(search, profile, &extra);
        if (made && search->profiles[--search->count].rank_bytes[0] <= capacity)
            low = middle;
        else
            high = middle - 1;
    }
    struct extra extra = {0};
    add_extra(&extra, "--n-gpu-layers", low);
    if (low > 0)
        try_profile(search, profile, &extra);
}

static enum estimate_engine engine_of(const struct estimate_request *request)
{
    return request->engine == ESTIMATE_AUTO ? estimate_usual_engine(request->shape)
                                            : request->engine;
}

int estimate_profiles(const struct estimate_request *request, const struct estimate_limits *limits,
                      struct estimate_profile profiles[ESTIMATE_PROFILES_MAX], struct err *err)
{
    struct search search = {.request = request, .limits = limits, .profiles = profiles, .err = err};
    const enum estimate_engine engine = engine_of(request);
    const unsigned nodes = limits->nodes ? limits->nodes : 1;
    for (unsigned n = 1; n <= nodes && n <= ESTIMATE_PROFILE_RANKS_MAX; n++)
        for (unsigned d = 1; d <= limits->devices_per_node && d <= ESTIMATE_PROFILE_RANKS_MAX; d++)
            try_devices(&search, engine, n, d);
    if (limits->may_offload_partly && engine == ESTIMATE_LLAMA_CPP && limits->devices_per_node > 0)
        try_partial(&search);
    if (limits->may_use_processor && !is_parallel(engine)) {
        const struct extra none = {0};
        try_profile(&search, (struct estimate_profile){.kind = PROFILE_PROCESSOR, .nodes = 1},
                    &none);
    }
    if (search.count > 0)
        return search.count;
    if (search.rc < 0)
        return search.rc;
    return err_set(err, ERR_INVALID, "no number of devices was allowed to be tried");
}
