/* SPDX-License-Identifier: Apache-2.0 */
#include "control/needs.h"

#include <stdio.h>

enum {
    SLOTS = 1024, /* of the table; a power of two, above the most sets that are kept */
    SETS_MAX = SLOTS / 2,
};

/* The profiles of one model, with one set of parameters, on devices of one class. */
struct set {
    char *key; /* owned; NULL: unused */
    struct estimate_profile *profiles; /* owned */
    int count; /* negative: can't be, see `error` */
    char error[768];
};

struct needs {
    const struct correction_table *corrections;
    struct set slots[SLOTS];
    size_t set_count, profile_count;
};

struct needs *needs_new(const struct correction_table *corrections)
{
    struct needs *needs = mem_alloc(sizeof *needs);
    needs->corrections = corrections;
    return needs;
}

static void forget_all(struct needs *needs)
{
    for (size_t i = 0; i < SLOTS; i++) {
        free(needs->slots[i].key);
        free(needs->slots[i].profiles);
        needs->slots[i] = (struct set){0};
    }
    needs->set_count = needs->profile_count = 0;
}

void needs_free(struct needs *needs)
{
    if (!needs)
        return;
    forget_all(needs);
    free(needs);
}

const struct correction_table *needs_corrections(const struct needs *needs)
{
    return needs->corrections;
}

/* ---- parameters ---- */

const char *needs_usual_engine(const struct model_shape *shape)
{
    return shape->format == FORMAT_GGUF && shape->kind != KIND_DIFFUSION ? "llama.cpp" : NULL;
}

static bool is_all_of_type(const struct place_view *view, const char *type)
{
    for (size_t i = 0; i < view->class_count; i++)
        if (!view->classes[i].type || strcmp(view->classes[i].type, type) != 0)
            return false;
    return view->class_count > 0;
}

enum estimate_engine needs_engine_of(const struct model *model, const struct model_shape *shape)
{
    const char *name = model->backend;
    if (!name || !*name)
        name = needs_usual_engine(shape);
    return name ? estimate_engine_of(str_of(name)) : ESTIMATE_AUTO;
}

/* As GPUStack has it: MindIE where all devices are Ascend's, vLLM elsewhere. */
static enum estimate_engine engine_of(const struct model *model, const struct model_shape *shape,
                                      const struct place_view *view)
{
    enum estimate_engine engine = needs_engine_of(model, shape);
    bool is_mindie =
        engine == ESTIMATE_AUTO && shape->kind == KIND_LLM && is_all_of_type(view, "npu");
    return is_mindie ? ESTIMATE_MINDIE : engine;
}

static size_t argv_of(const struct model *model, const char **argv)
{
    size_t count = 0;
    for (size_t i = 0; i < model->backend_parameters.count && i < ESTIMATE_PARAMETERS_MAX; i++)
        argv[count++] = model->backend_parameters.items[i];
    return count;
}

const char *needs_vendor_of(const char *type)
{
    static const char *const vendors[][2] = {
        {"cuda", "nvidia"}, {"rocm", "amd"},     {"npu", "ascend"},      {"mps", "apple"},
        {"dcu", "hygon"},   {"musa", "mthreads"}, {"corex", "iluvatar"}, {"mlu", "cambricon"},
    };
    for (size_t i = 0; i < ARRAY_LEN(vendors); i++)
        if (type && strcmp(type, vendors[i][0]) == 0)
            return vendors[i][1];
    return NULL;
}

/* ---- making ---- */

static struct estimate_request request_of(const struct need *need, const char **argv)
{
    return (struct estimate_request){.shape = need->source->shape,
                                     .projector = need->source->projector,
                                     .engine = need->engine,
                                     .version = need->model->backend_version,
                                     .argv = argv,
                                     .argc = argv_of(need->model, argv)};
}

static uint64_t corrected(const struct needs *needs, const struct need *need, uint64_t bytes)
{
    struct correction_key key =
        correction_key_of(estimate_engine_name(need->engine), need->model->backend_version,
                          need->source->shape->architecture);
    return needs->corrections && bytes ? correction_apply(needs->corrections, &key, bytes) : bytes;
}

static void correct(const struct needs *needs, const struct need *need,
                    struct estimate_profile *profile)
{
    for (unsigned i = 0; i < profile->nodes * profile->devices_per_node; i++) {
        uint64_t more = profile->preferred_bytes[i] - profile->rank_bytes[i];
        profile->rank_bytes[i] = corrected(needs, need, profile->rank_bytes[i]);
        profile->preferred_bytes[i] = profile->rank_bytes[i] + more;
    }
}

static int estimate_set(const struct needs *needs, const struct need *need,
                        const struct estimate_limits *limits, struct estimate_profile *profiles,
                        struct err *err)
{
    const char *argv[ESTIMATE_PARAMETERS_MAX];
    const struct estimate_request request = request_of(need, argv);
    int count = estimate_profiles(&request, limits, profiles, err);
    for (int i = 0; i < count; i++)
        correct(needs, need, &profiles[i]);
    return count;
}

/* Partly on devices that others use too: a quarter, a half, three quarters of one may be left. */
static int estimate_parts(const struct needs *needs, const struct need *need,
                          struct estimate_limits limits, struct estimate_profile *profiles,
                          int count)
{
    struct estimate_profile more[ESTIMATE_PROFILES_MAX];
    const uint64_t total = limits.device.total_bytes;
    struct err err = {0};
    limits.devices_per_node = 1;
    limits.nodes = 1;
    for (uint64_t quarters = 3; quarters > 0 && total > 0; quarters--) {
        limits.device.total_bytes = total / 4 * quarters;
        int found = estimate_set(needs, need, &limits, more, &err);
        for (int i = 0; i < found && count < ESTIMATE_PROFILES_MAX; i++)
            if (more[i].kind == PROFILE_PARTIAL)
                profiles[count++] = more[i];
    }
    return count;
}

static void make_set(struct needs *needs, const struct need *need,
                     const struct place_class *class, struct set *set)
{
    struct estimate_profile profiles[ESTIMATE_PROFILES_MAX];
    struct err err = {0};
    const struct model *model = need->model;
    struct estimate_limits limits = {.may_use_processor = !class};
    if (class) {
        limits.device.vendor = needs_vendor_of(class->type);
        limits.device.total_bytes = class->total_bytes;
        limits.devices_per_node = class->most_on_worker;
        limits.nodes = model->distributed_inference_across_workers ? class->worker_count : 1;
        limits.nodes = limits.nodes < NEEDS_WORKERS_MAX ? limits.nodes : NEEDS_WORKERS_MAX;
        limits.may_offload_partly = model->cpu_offloading;
    }
    set->count = estimate_set(needs, need, &limits, profiles, &err);
    if (set->count > 0 && class && model->cpu_offloading)
        set->count = estimate_parts(needs, need, limits, profiles, set->count);
    snprintf(set->error, sizeof set->error, "%s", set->count < 0 ? err.text : "");
    size_t kept = set->count > 0 ? (size_t)set->count : 0;
    set->profiles = mem_alloc_array(kept + 1, sizeof *set->profiles);
    memcpy(set->profiles, profiles, kept * sizeof *set->profiles);
    needs->profile_count += kept;
}

/* ---- keeping ---- */

/* All that an estimate depends on. Returns owned. */
static char *key_of(const struct needs *needs, const struct need *need,
                    const struct place_class *class)
{
    struct buf key = {0};
    const struct model *model = need->model;
    buf_printf(&key, "%s|%s|%d|%s|%llu|%d|%d", need->source->key, need->source->shape->architecture,
               (int)need->engine, model->backend_version ? model->backend_version : "",
               (unsigned long long)need->source->shape->tensor_bytes, model->cpu_offloading,
               model->distributed_inference_across_workers);
    if (need->source->projector)
        buf_printf(&key, "|+%llu", (unsigned long long)need->source->projector->tensor_bytes);
    for (size_t i = 0; i < model->backend_parameters.count; i++)
        buf_printf(&key, "|%s", model->backend_parameters.items[i]);
    if (class)
        buf_printf(&key, "|%s|%llu|%u|%u", class->type ? class->type : "",
                   (unsigned long long)class->total_bytes, class->most_on_worker,
                   class->worker_count < NEEDS_WORKERS_MAX ? class->worker_count
                                                           : NEEDS_WORKERS_MAX);
    buf_printf(&key, "|%llu",
               (unsigned long long)(needs->corrections ? needs->corrections->samples : 0));
    return buf_take(&key);
}

static uint64_t hash(const char *text)
{
    uint64_t value = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *text; text++)
        value = (value ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return value;
}

/* The set of that class (NULL: the processor's); made when there is none yet. */
static const struct set *find_set(struct needs *needs, const struct need *need,
                                  const struct place_class *class)
{
    auto_free char *key = key_of(needs, need, class);
    size_t at = hash(key) & (SLOTS - 1);
    while (needs->slots[at].key && strcmp(needs->slots[at].key, key) != 0)
        at = (at + 1) & (SLOTS - 1);
    struct set *set = &needs->slots[at];
    if (!set->key) {
        make_set(needs, need, class, set);
        set->key = TAKE(key);
        needs->set_count++;
    }
    return set;
}

/* Before sets are handed out: they stay until the next call. */
static void make_room(struct needs *needs)
{
    if (needs->set_count + PLACE_CLASSES_MAX + 1 > SETS_MAX ||
        needs->profile_count > NEEDS_PROFILES_MAX)
        forget_all(needs);
}

/* What the model says, and not an alias of it, for workers report engines by their names. */
static const char *wanted_name(const struct model *model)
{
    const char *name = model->backend;
    if (!name || !*name)
        return NULL;
    switch (estimate_engine_of(str_of(name))) {
    case ESTIMATE_LLAMA_CPP:
    case ESTIMATE_VLLM:
    case ESTIMATE_SGLANG:
    case ESTIMATE_MINDIE:
        return estimate_engine_name(estimate_engine_of(str_of(name)));
    case ESTIMATE_AUTO:
    case ESTIMATE_AUDIO:
    case ESTIMATE_DIFFUSION:
    case ESTIMATE_CUSTOM:
    case ESTIMATE_ENGINE_COUNT:
        break;
    }
    return name;
}

static const char *engine_name_of(const struct need *need)
{
    const char *name = wanted_name(need->model);
    if (name)
        return name;
    if (need->engine == ESTIMATE_MINDIE)
        return "mindie";
    name = needs_usual_engine(need->source->shape);
    return name || need->source->shape->kind != KIND_LLM ? name : "vllm";
}

void needs_of(struct needs *needs, const struct model *model, const struct need_source *source,
              const struct place_view *view, struct need *ret)
{
    *ret = (struct need){.model = model, .source = source, .view = view};
    ret->engine_name = wanted_name(model);
    if (source->known != KNOWN_SHAPE)
        return;
    make_room(needs);
    ret->engine = engine_of(model, source->shape, view);
    ret->engine_name = engine_name_of(ret);
    for (size_t i = 0; i < view->class_count; i++) {
        const struct set *set = find_set(needs, ret, &view->classes[i]);
        ret->ways[i] = (struct place_ways){set->profiles, set->count > 0 ? (size_t)set->count : 0};
        ret->is_known = ret->is_known || set->count > 0;
        if (set->count < 0)
            snprintf(ret->error, sizeof ret->error, "%s", set->error);
    }
    if (model->cpu_offloading || view->class_count == 0) {
        const struct set *set = find_set(needs, ret, NULL);
        ret->processor = set->count > 0 ? &set->profiles[0] : NULL;
        ret->is_known = ret->is_known || set->count > 0;
        if (set->count < 0 && !ret->error[0])
            snprintf(ret->error, sizeof ret->error, "%s", set->error);
    }
    if (ret->is_known)
        ret->error[0] = '\0';
}

/* ---- handing out ---- */

/* struct place_request.split: layers by what is free on each device, as llama.cpp does it. */
static int split(void *ctx, const uint64_t *free_bytes, const int *classes, size_t count,
                 uint64_t *rank_bytes, uint64_t *host_bytes)
{
    const struct need *need = ctx;
    const char *argv[ESTIMATE_PARAMETERS_MAX];
    struct estimate_device devices[PLACE_DEVICES_MAX];
    auto_fini(estimate_fini) struct estimate estimate = {0};
    struct err err = {0};
    for (size_t i = 0; i < count; i++)
        devices[i] = (struct estimate_device){
            .vendor = needs_vendor_of(need->view->classes[classes[i]].type),
            .total_bytes = need->view->classes[classes[i]].total_bytes,
            .free_bytes = free_bytes[i] ? free_bytes[i] : 1};
    struct estimate_request request = request_of(need, argv);
    request.devices = devices;
    request.device_count = count;
    request.is_minimal = true;
    if (estimate_model(&request, &estimate, &err) < 0 || !estimate.fits ||
        estimate.layers_offloaded <= need->source->shape->layer_count)
        return -1;
    for (size_t i = 0; i < count; i++)
        rank_bytes[i] = estimate_place_bytes(&estimate.devices[i]);
    *host_bytes = estimate_place_bytes(&estimate.host);
    return 0;
}

int needs_estimate(const struct model *model, const struct need_source *source,
                   const struct estimate_device *devices, const struct resource_claim *claim,
                   struct estimate *ret, struct err *err)
{
    const char *argv[ESTIMATE_PARAMETERS_MAX + 1];
    const struct need need = {
        .model = model, .source = source, .engine = needs_engine_of(model, source->shape)};
    struct estimate_request request = request_of(&need, argv);
    auto_free char *layers =
        mem_printf("--n-gpu-layers=%lld", (long long)claim->layers_offloaded);
    if (claim->layers_offloaded > 0 && claim->layers_offloaded < claim->layers_total)
        argv[request.argc++] = layers;
    request.devices = devices;
    request.device_count = claim->device_count;
    request.is_minimal = true;
    return estimate_model(&request, ret, err);
}

/* Adds the devices of a rank; false when they aren't all of one class. */
static bool add_devices(const struct need *need, const struct place_rank *rank, bool is_remote,
                        struct estimate_device *devices, size_t *count, int *class)
{
    const struct place_worker *worker = &need->view->workers[rank->worker];
    for (size_t i = 0; i < rank->gpu_indexes.count; i++) {
        const int at = place_device_at(worker, rank->gpu_indexes.items[i]);
        const struct place_device *device = at < 0 ? NULL : &worker->devices[at];
        if (!device || device->class < 0 || (*class >= 0 && device->class != *class) ||
            *count == ESTIMATE_DEVICES_MAX)
            return false;
        *class = device->class;
        devices[(*count)++] = (struct estimate_device){.vendor = needs_vendor_of(device->type),
                                                       .total_bytes = device->total_bytes,
                                                       .is_remote = is_remote};
    }
    return true;
}

/* In the order of the ranks; llama.cpp has those of the first one last. 0: of several classes. */
static size_t devices_of(const struct need *need, const struct place_result *result,
                         struct estimate_device *devices)
{
    const size_t first = need->engine == ESTIMATE_LLAMA_CPP ? 1 : 0;
    size_t count = 0;
    int class = -1;
    for (size_t i = 0; i < result->rank_count; i++) {
        const size_t r = (i + first) % result->rank_count;
        if (!add_devices(need, &result->ranks[r], r > 0, devices, &count, &class))
            return 0;
    }
    return count;
}

/* Puts the first rank's devices, which are the last ones, first. */
static void turn(const struct place_result *result, struct estimate *estimate)
{
    const size_t own = result->rank_count ? result->ranks[0].gpu_indexes.count : 0;
    const size_t others = estimate->device_count - own;
    struct estimate_place first[ESTIMATE_DEVICES_MAX];
    memcpy(first, estimate->devices + others, own * sizeof first[0]);
    memmove(estimate->devices + own, estimate->devices, others * sizeof first[0]);
    memcpy(estimate->devices, first, own * sizeof first[0]);
}

/* Where there was room, engines that fill devices up have a cache for several requests. */
static void add_cache(const struct place_result *result, struct estimate *estimate)
{
    struct estimate_place *place = estimate->devices;
    for (size_t r = 0; r < result->rank_count; r++) {
        const struct int_list *claims = &result->ranks[r].gpu_bytes;
        for (size_t i = 0; i < claims->count; i++, place++) {
            uint64_t more = (ESTIMATE_PREFERRED_REQUESTS - 1) * place->parts[ESTIMATE_CACHE];
            if ((uint64_t)claims->items[i] > estimate_place_bytes(place) + more / 2)
                place->parts[ESTIMATE_CACHE] += more;
        }
    }
}

int needs_estimate_place(const struct need *need, const struct place_result *result,
                         struct estimate *ret, struct err *err)
{
    const char *argv[ESTIMATE_PARAMETERS_MAX + 2];
    struct estimate_device devices[ESTIMATE_DEVICES_MAX];
    const size_t count = devices_of(need, result, devices);
    if (!need->is_known || result->mode == PLACE_WHOLE ||
        (count == 0 && result->mode != PLACE_ON_PROCESSOR))
        return err_set(err, ERR_INVALID, "nothing was reckoned for such a place");
    struct estimate_request request = request_of(need, argv);
    auto_free char *tensor = mem_printf("--tensor-parallel-size=%u", result->tensor_parallel);
    auto_free char *stages = mem_printf("--pipeline-parallel-size=%u", result->pipeline_parallel);
    auto_free char *layers = mem_printf("--n-gpu-layers=%llu",
                                        (unsigned long long)result->layers_offloaded);
    if (need->engine == ESTIMATE_VLLM || need->engine == ESTIMATE_SGLANG ||
        need->engine == ESTIMATE_MINDIE) {
        argv[request.argc++] = tensor;
        argv[request.argc++] = stages;
    } else if (need->engine == ESTIMATE_LLAMA_CPP && result->mode == PLACE_PARTLY) {
        argv[request.argc++] = layers;
    }
    request.devices = devices;
    request.device_count = count;
    request.is_minimal = true;
    int rc = estimate_model(&request, ret, err);
    if (rc == 0 && need->engine == ESTIMATE_LLAMA_CPP)
        turn(result, ret);
    if (rc == 0 && (need->engine == ESTIMATE_VLLM || need->engine == ESTIMATE_SGLANG))
        add_cache(result, ret);
    return rc;
}

void need_fill(struct need *need, struct place_request *request)
{
    request->is_known = need->is_known;
    request->engine = need->engine_name;
    request->engine_version = need->model->backend_version;
    request->absent_on = need->source->absent_on;
    if (!need->is_known)
        return;
    request->ways = need->ways;
    request->processor = need->processor;
    request->is_remote_first = need->engine == ESTIMATE_LLAMA_CPP;
    request->takes_any_devices =
        need->engine == ESTIMATE_LLAMA_CPP || need->engine == ESTIMATE_CUSTOM;
    if (need->engine == ESTIMATE_LLAMA_CPP) {
        request->split = split;
        request->ctx = need;
    }
}

bool need_demand(const struct need *need, struct demand *ret)
{
    const struct estimate_profile *least = NULL;
    *ret = (struct demand){0};
    for (size_t c = 0; c < need->view->class_count; c++) {
        for (size_t i = 0; i < need->ways[c].count; i++) {
            const struct estimate_profile *one = &need->ways[c].profiles[i];
            if (one->kind != PROFILE_DEVICES ||
                one->rank_bytes[0] > need->view->classes[c].total_bytes)
                continue;
            ret->class_set |= UINT32_C(1) << c;
            if (!least || one->nodes * one->devices_per_node <
                              least->nodes * least->devices_per_node)
                least = one;
        }
    }
    if (!least)
        return false;
    ret->devices = least->devices_per_node;
    ret->units = least->rank_bytes[0];
    ret->ram = least->host_bytes;
    return true;
}
