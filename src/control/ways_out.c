/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What could be done so that a model finds a place, each way tried by the planner before it is
 * told. Ranked by how little it takes away: first what costs only settings, then quality, then
 * others' room.
 */
#include "base/num.h"
#include "control/placing.h"
#include "sched/lift.h"

#include <stdarg.h>

enum {
    WAYS_OUT_MAX = 8,
    CONTEXT_LEAST = 2048,   /* tokens; less is of no use */
    STOPPED_MAX = 32,       /* models whose stop is tried */
};

struct search {
    struct placing *placing;
    const struct model *model;
    struct json_writer *w;
    unsigned found;
};

/* ---- trying ---- */

/* Whether the model would find a place with that source (NULL: its own). */
static bool fits_so(const struct search *search, const struct model *model,
                    const struct need_source *source)
{
    struct placing *placing = search->placing;
    struct place_result result = {0};
    struct asking asking;
    asking_begin(&asking, placing, model);
    if (source) {
        asking.source = *source;
        needs_of(placing->env->needs, model, &asking.source, &placing->view, &asking.need);
        need_fill(&asking.need, &asking.request);
    }
    bool fits = !asking.need.error[0] &&
                place(placing->board, &asking.request, &result) == 0;
    place_result_fini(&result);
    asking_end(&asking);
    return fits;
}

/* Whether it would find one if that model had no instances. */
static bool fits_without(const struct search *search, int64_t model_id)
{
    struct place_lifted lifted = {0};
    place_lift_model(search->placing->board, model_id, &lifted);
    bool fits = fits_so(search, search->model, NULL);
    place_put_back(search->placing->board, &lifted);
    return fits;
}

/* The settings in which `changed` differs, as a body that makes the model so; {} without it. */
static void write_change(const struct search *search, const struct model *changed)
{
    json_add_key(search->w, "change");
    json_begin_object(search->w);
    for (unsigned i = 0; changed && i < model_type.field_count; i++) {
        const struct field *field = &model_type.fields[i];
        if (record_field_is_equal(field, search->model, changed))
            continue;
        json_add_key(search->w, field->name);
        record_write_field(field, changed, search->w);
    }
    json_end_object(search->w);
}

/* `changed` is the model with which it fits; NULL: another's has to change, or its files. */
static void printf_like(4, 5) tell(struct search *search, const char *code,
                                   const struct model *changed, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    auto_free char *words = mem_vprintf(fmt, args);
    va_end(args);
    json_begin_object(search->w);
    json_put_string(search->w, "code", code);
    json_put_string(search->w, "message", words);
    write_change(search, changed);
    json_end_object(search->w);
    search->found++;
}

/* The model with another parameter behind its own: the last one counts. */
static void with_parameter(const struct search *search, struct model *copy, const char *parameter)
{
    record_copy(&model_type, copy, search->model);
    string_list_add(&copy->backend_parameters, parameter);
}

/* Whether the model fits with another parameter; `copy` is it then, the caller's to finish. */
static bool fits_with_parameter(const struct search *search, struct model *copy,
                                const char *parameter)
{
    *copy = (struct model){0};
    with_parameter(search, copy, parameter);
    if (fits_so(search, copy, NULL))
        return true;
    record_fini(&model_type, copy);
    return false;
}

/* ---- settings ---- */

static void try_spanning(struct search *search)
{
    struct model copy = {0};
    if (search->model->distributed_inference_across_workers)
        return;
    record_copy(&model_type, &copy, search->model);
    copy.distributed_inference_across_workers = true;
    if (fits_so(search, &copy, NULL))
        tell(search, "span_workers", &copy, "let it run on several workers "
             "(distributed_inference_across_workers)");
    record_fini(&model_type, &copy);
}

static void try_offloading(struct search *search)
{
    struct model copy = {0};
    if (search->model->cpu_offloading)
        return;
    record_copy(&model_type, &copy, search->model);
    copy.cpu_offloading = true;
    if (fits_so(search, &copy, NULL))
        tell(search, "cpu_offloading", &copy,
             "let layers run on the processor (cpu_offloading); slower");
    record_fini(&model_type, &copy);
}

static void try_labels(struct search *search)
{
    for (size_t i = 0; i < search->model->worker_selector.count; i++) {
        const char *key = search->model->worker_selector.keys[i];
        struct model copy = {0};
        record_copy(&model_type, &copy, search->model);
        string_map_fini(&copy.worker_selector);
        for (size_t k = 0; k < search->model->worker_selector.count; k++)
            if (k != i)
                string_map_set(&copy.worker_selector, search->model->worker_selector.keys[k],
                               search->model->worker_selector.values[k]);
        if (fits_so(search, &copy, NULL))
            tell(search, "drop_label", &copy, "ask for any value of label %s instead of %s", key,
                 search->model->worker_selector.values[i]);
        record_fini(&model_type, &copy);
    }
}

static void try_any_device(struct search *search)
{
    struct model copy = {0};
    if (!search->model->gpu_selector)
        return;
    record_copy(&model_type, &copy, search->model);
    mem_replace(&copy.gpu_selector, NULL);
    if (fits_so(search, &copy, NULL))
        tell(search, "any_device", &copy,
             "let it have any devices instead of the selected ones");
    record_fini(&model_type, &copy);
}

static const char *context_parameter(enum estimate_engine engine)
{
    switch (engine) {
    case ESTIMATE_LLAMA_CPP:
        return "--ctx-size";
    case ESTIMATE_VLLM:
        return "--max-model-len";
    case ESTIMATE_SGLANG:
        return "--context-length";
    case ESTIMATE_MINDIE:
        return "--max-seq-len";
    case ESTIMATE_AUTO:
    case ESTIMATE_AUDIO:
    case ESTIMATE_DIFFUSION:
    case ESTIMATE_CUSTOM:
    case ESTIMATE_ENGINE_COUNT:
        break;
    }
    return NULL;
}

static void try_context(struct search *search, enum estimate_engine engine, uint64_t context)
{
    const char *name = context_parameter(engine);
    struct model copy;
    for (uint64_t tokens = context / 2; name && tokens >= CONTEXT_LEAST; tokens /= 2) {
        auto_free char *parameter = mem_printf("%s=%llu", name, (unsigned long long)tokens);
        if (!fits_with_parameter(search, &copy, parameter))
            continue;
        tell(search, "shorter_context", &copy, "a context of %llu tokens instead of %llu (%s)",
             (unsigned long long)tokens, (unsigned long long)context, parameter);
        record_fini(&model_type, &copy);
        return;
    }
}

/* Smaller entries of keys and values. */
static void try_cache_type(struct search *search, enum estimate_engine engine)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, search->model);
    if (engine == ESTIMATE_LLAMA_CPP) {
        string_list_add(&copy.backend_parameters, "--cache-type-k=q8_0");
        string_list_add(&copy.backend_parameters, "--cache-type-v=q8_0");
        string_list_add(&copy.backend_parameters, "--flash-attn=on");
    } else if (engine == ESTIMATE_VLLM || engine == ESTIMATE_SGLANG) {
        string_list_add(&copy.backend_parameters, engine == ESTIMATE_VLLM
                                                      ? "--kv-cache-dtype=fp8"
                                                      : "--kv-cache-dtype=fp8_e5m2");
    }
    if (copy.backend_parameters.count > search->model->backend_parameters.count &&
        fits_so(search, &copy, NULL))
        tell(search, "smaller_cache_type", &copy, "a cache of 8-bit keys and values (%s)",
             copy.backend_parameters.items[search->model->backend_parameters.count]);
    record_fini(&model_type, &copy);
}

/* More devices where the user has fixed their number. */
static void try_more_ranks(struct search *search, enum estimate_engine engine)
{
    if (search->model->backend_parameters.count == 0 ||
        (engine != ESTIMATE_VLLM && engine != ESTIMATE_SGLANG && engine != ESTIMATE_MINDIE))
        return;
    struct model copy;
    for (unsigned ranks = 2; ranks <= 16; ranks *= 2) {
        auto_free char *parameter = mem_printf("--tensor-parallel-size=%u", ranks);
        if (!fits_with_parameter(search, &copy, parameter))
            continue;
        tell(search, "tensor_parallel", &copy, "tensors over %u devices (%s)", ranks, parameter);
        record_fini(&model_type, &copy);
        return;
    }
}

/* ---- quality ---- */

/* The shape as it would be with all tensors of that many bits a weight. Owned. */
static void scale(const struct model_shape *from, double part, struct model_shape *ret)
{
    *ret = *from;
    ret->parts = NULL;
    ret->part_count = 0;
    ret->layers = mem_alloc_array(from->layer_count + 1, sizeof *ret->layers);
    memcpy(ret->layers, from->layers, from->layer_count * sizeof *ret->layers);
    for (uint32_t i = 0; i < ret->layer_count; i++) {
        ret->layers[i].bytes = (uint64_t)((double)ret->layers[i].bytes * part);
        ret->layers[i].expert_bytes = (uint64_t)((double)ret->layers[i].expert_bytes * part);
    }
    uint64_t *const sums[] = {&ret->file_bytes, &ret->tensor_bytes, &ret->input_bytes,
                              &ret->output_bytes, &ret->other_bytes, &ret->draft_bytes};
    for (size_t i = 0; i < ARRAY_LEN(sums); i++)
        *sums[i] = (uint64_t)((double)*sums[i] * part);
}

static void try_quantization(struct search *search, const struct need_source *source)
{
    static const struct {
        const char *name;
        double bits; /* a weight, over all of a usual file */
    } kinds[] = {{"Q8_0 or 8 bit", 8.5}, {"Q6_K", 6.6}, {"Q4_K_M or 4 bit", 4.9}, {"Q3_K_M", 3.9}};
    const struct model_shape *shape = source->shape;
    double bits = shape->parameter_count
                      ? 8.0 * (double)shape->tensor_bytes / (double)shape->parameter_count
                      : 0;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        auto_fini(model_shape_fini) struct model_shape smaller = {0};
        if (kinds[i].bits > 0.9 * bits)
            continue;
        scale(shape, kinds[i].bits / bits, &smaller);
        struct need_source other = *source;
        other.shape = &smaller;
        if (!fits_so(search, search->model, &other))
            continue;
        auto_free char *bytes = num_format_bytes(smaller.tensor_bytes);
        tell(search, "quantization", NULL, "files quantised as %s (about %s of weights)",
             kinds[i].name, bytes);
        return;
    }
}

/* ---- others' room ---- */

struct victim {
    const struct model *model;
    uint64_t bytes; /* of devices and main memory, that its instances hold */
};

static int compare_victims(const void *one, const void *other)
{
    const struct victim *a = one, *b = other;
    if (a->model->priority != b->model->priority)
        return a->model->priority < b->model->priority ? -1 : 1;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? -1 : 1;
    return (a->model->id > b->model->id) - (a->model->id < b->model->id);
}

static uint64_t held_bytes(const struct place_view *view, int64_t model_id)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < view->count; i++)
        for (size_t k = 0; k < view->workers[i].holding_count; k++)
            if (view->workers[i].holdings[k].model_id == model_id)
                sum += view->workers[i].holdings[k].bytes;
    return sum;
}

/* The one that is missed least, of those that aren't more important than the model. */
static void try_stopping(struct search *search)
{
    const struct cluster *cluster = search->placing->cluster;
    struct victim victims[STOPPED_MAX];
    size_t count = 0;
    CLUSTER_FOR_EACH(cluster, KIND_MODEL, struct model, model) {
        uint64_t bytes = model->id == search->model->id || count == STOPPED_MAX
                             ? 0
                             : held_bytes(&search->placing->view, model->id);
        if (bytes > 0 && model->priority <= search->model->priority)
            victims[count++] = (struct victim){model, bytes};
    }
    qsort(victims, count, sizeof victims[0], compare_victims);
    for (size_t i = 0; i < count; i++) {
        if (!fits_without(search, victims[i].model->id))
            continue;
        auto_free char *bytes = num_format_bytes(victims[i].bytes);
        tell(search, "stop_model", NULL, "stop model %s, which holds %s", victims[i].model->name,
             bytes);
        return;
    }
}

void placing_write_ways_out(struct placing *placing, const struct model *model,
                            struct json_writer *w)
{
    struct search search = {.placing = placing, .model = model, .w = w};
    struct asking asking;
    json_begin_array(w);
    placing_look(placing);
    asking_begin(&asking, placing, model);
    const struct need_source source = asking.source;
    const enum estimate_engine engine = asking.need.engine;
    const bool is_known = asking.need.is_known || asking.need.error[0];
    uint64_t context = 0;
    for (size_t c = 0; c < placing->view.class_count && !context; c++)
        if (asking.need.ways[c].count)
            context = asking.need.ways[c].profiles[0].context_length;
    asking_end(&asking);
    try_spanning(&search);
    try_any_device(&search);
    try_labels(&search);
    if (is_known && source.known == KNOWN_SHAPE) {
        try_more_ranks(&search, engine);
        try_context(&search, engine, context);
        try_cache_type(&search, engine);
        try_offloading(&search);
        try_quantization(&search, &source);
    }
    try_stopping(&search);
    json_end_array(w);
}
