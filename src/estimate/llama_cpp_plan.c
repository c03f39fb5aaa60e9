/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/llama_cpp_priv.h"

#include "base/num.h"

#include <math.h>
#include <stdlib.h>

enum { CONTEXT_UNKNOWN = 4096, PIPELINE_COPIES = 4 };

uint64_t llama_projector_part(const struct model_shape *shape)
{
    for (uint32_t i = 0; i < shape->part_count; i++)
        if (strcmp(shape->parts[i].name, "projector") == 0)
            return min_u64(shape->parts[i].bytes, shape->other_bytes);
    return 0;
}

/* Slots, and how their caches lie: in one, or side by side and each padded. */
static void plan_context(struct llama_plan *plan)
{
    const struct llama_options *options = &plan->options;
    const bool is_auto = options->parallel < 0;
    if (is_auto && plan->rules.has_auto_parallel)
        plan->sequences = 4;
    else
        plan->sequences = is_auto ? 1 : (uint64_t)options->parallel;
    plan->is_unified = options->unified || plan->sequences == 1 ||
                       (is_auto && plan->rules.has_auto_parallel && !options->separate);
    uint64_t context = options->context;
    if (context == 0)
        context = estimate_trained_context(plan->shape, CONTEXT_UNKNOWN);
    context = round_up(context, LLAMA_PAD);
    plan->streams = plan->is_unified ? 1 : plan->sequences;
    plan->context = round_up(context / plan->streams, LLAMA_PAD);
    if (plan->context == 0)
        plan->context = LLAMA_PAD;
}

/* A text whose vector is made has to be in one ubatch: all of its tokens are outputs. */
static void plan_batch(struct llama_plan *plan)
{
    const struct llama_options *options = &plan->options;
    const uint64_t all = plan->context * plan->streams;
    plan->embeds = options->embedding || options->reranking || plan->is_encoder;
    plan->tokens = min_u64(min_u64(options->batch, options->ubatch), all);
    plan->outputs = plan->rules.outputs_by_sequence && !plan->embeds
                        ? min_u64(plan->sequences, plan->tokens)
                        : plan->tokens;
}

/* Number of layers on devices, the output counted as one: all of them, or as the user says. */
static int layers_offloaded(const struct llama_plan *plan, uint64_t *ret, struct err *err)
{
    const struct str text = plan->options.gpu_layers;
    const uint64_t all = plan->shape->layer_count + 1;
    int64_t number = -1;
    if (plan->order_count == 0)
        number = 0;
    else if (!str_eq(text, STR("auto")) && !str_eq(text, STR("all")) &&
             num_parse_i64(text, -2, INT32_MAX, &number) < 0)
        return err_set(err, ERR_INVALID,
                       "--n-gpu-layers must be auto, all or a number (%llu are all), not \"%.*s\"",
                       (unsigned long long)all, (int)min_u64(text.len, 80), text.ptr);
    *ret = number < 0 ? all : min_u64((uint64_t)number, all);
    return 0;
}

/* The user's shares; returns how many there are. */
static int read_shares(struct str text, float *shares, size_t count, struct err *err)
{
    struct str item;
    size_t n = 0;
    while (text.len > 0 && str_split(&text, ',', &item)) {
        char copy[32];
        const struct str number = str_trim(item);
        char *end = copy;
        if (number.len > 0 && number.len < sizeof copy) {
            memcpy(copy, number.ptr, number.len);
            copy[number.len] = '\0';
        } else {
            copy[0] = '\0';
        }
        const float share = strtof(copy, &end);
        if (end == copy || *end != '\0' || !(share >= 0) || !isfinite(share))
            return err_set(err, ERR_INVALID,
                           "--tensor-split must be numbers from 0 separated by commas, one a "
                           "device, not \"%.*s\"",
                           (int)min_u64(item.len, 40), item.ptr);
        if (n == count)
            return err_set(err, ERR_INVALID, "--tensor-split has more shares than there are "
                                             "devices; %zu or fewer are possible", count);
        shares[n++] = share;
    }
    return (int)n;
}

/* Cumulated and normalised in single precision, for the same roundings as llama.cpp's. */
static int plan_shares(struct llama_plan *plan, struct err *err)
{
    float *shares = plan->shares;
    const size_t count = plan->order_count;
    const int given = read_shares(plan->options.tensor_split, shares, count, err);
    if (given < 0)
        return given;
    float sum = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t bytes = estimate_capacity(&plan->request->devices[plan->order[i]]);
        if (given == 0)
            shares[i] = bytes ? (float)bytes : 1;
        else if (i >= (size_t)given)
            shares[i] = 0;
        sum += shares[i];
        shares[i] = sum;
    }
    if (!(sum > 0))
        return err_set(err, ERR_INVALID, "--tensor-split must give at least one device a share");
    for (size_t i = 0; i < count; i++)
        shares[i] /= sum;
    return 0;
}

/* The first device whose cumulated share is above `place`. */
static int device_at(const float *shares, size_t count, float place)
{
    size_t i = 0;
    while (i < count - 1 && !(shares[i] > place))
        i++;
    return (int)i;
}

/* All devices, or those of --device. */
static int plan_devices(struct llama_plan *plan, struct err *err)
{
    const struct estimate_request *request = plan->request;
    struct str rest = plan->options.device, item;
    for (size_t i = 0; rest.len == 0 && i < request->device_count; i++)
        plan->order[plan->order_count++] = (int)i;
    if (str_eq(rest, STR("none")))
        return 0;
    while (rest.len > 0 && str_split(&rest, ',', &item)) {
        const int device = llama_device_of(request, item);
        if (device < 0 || plan->order_count == request->device_count)
            return err_set(err, ERR_INVALID,
                           "--device must be none or names with a number from 0, at most %zu as "
                           "there are devices, not \"%.*s\"",
                           request->device_count, (int)min_u64(item.len, 40), item.ptr);
        plan->order[plan->order_count++] = device;
    }
    return 0;
}

static int check_main_device(const struct llama_plan *plan, struct err *err)
{
    if (plan->options.main_gpu < plan->order_count)
        return 0;
    return err_set(err, ERR_INVALID, "--main-gpu must be a device from 0 to %zu, not %llu",
                   plan->order_count - 1, (unsigned long long)plan->options.main_gpu);
}

static int plan_layers(struct llama_plan *plan, struct err *err)
{
    const unsigned all = plan->shape->layer_count + 1;
    const bool is_one = str_eq(plan->options.split_mode, STR("none")) ||
                        str_eq(plan->options.split_mode, STR("row"));
    uint64_t offloaded = 0;
    int rc = layers_offloaded(plan, &offloaded, err);
    if (rc == 0 && offloaded > 0)
        rc = plan_shares(plan, err);
    if (rc == 0 && offloaded > 0 && is_one)
        rc = check_main_device(plan, err);
    if (rc < 0)
        return rc;
    plan->layers_on_host = all - (unsigned)offloaded;
    for (unsigned il = 0; il < all; il++) {
        const float place = (float)(il - plan->layers_on_host) / (float)offloaded;
        if (il < plan->layers_on_host)
            plan->layer_device[il] = ESTIMATE_HOST;
        else if (is_one)
            plan->layer_device[il] = plan->order[plan->options.main_gpu];
        else
            plan->layer_device[il] =
                plan->order[device_at(plan->shares, plan->order_count, place)];
    }
    return 0;
}

static void count_devices(struct llama_plan *plan)
{
    bool used[ESTIMATE_DEVICES_MAX] = {0};
    for (unsigned il = 0; il <= plan->shape->layer_count; il++)
        if (plan->layer_device[il] >= 0)
            used[plan->layer_device[il]] = true;
    for (size_t i = 0; i < plan->request->device_count; i++)
        plan->device_count += used[i];
}

/* Inputs exist several times when devices work on several ubatches at once. */
static void plan_copies(struct llama_plan *plan)
{
    const bool is_pipeline = plan->device_count > 1 && plan->layers_on_host == 0 &&
                             plan->options.kv_offload && !plan->options.cpu_moe &&
                             plan->options.cpu_moe_layers == 0 &&
                             plan->options.overrides.count == 0 &&
                             str_eq(plan->options.split_mode, STR("layer"));
    plan->copies = is_pipeline ? PIPELINE_COPIES : 1;
}

int llama_plan_make(const struct estimate_request *request, bool is_draft, struct llama_plan *ret,
                    struct err *err)
{
    *ret = (struct llama_plan){.request = request, .shape = request->shape};
    int rc = llama_options_read(request, is_draft, &ret->options, err);
    if (rc < 0)
        return rc;
    ret->rules = llama_rules_of(request->version);
    ret->type_k = llama_type_of(ret->options.type_k);
    ret->type_v = llama_type_of(ret->options.type_v);
    ret->flash_attention = !llama_is_off(ret->options.flash_attention);
    ret->is_encoder = estimate_is_encoder(request->shape);
    plan_context(ret);
    plan_batch(ret);
    rc = plan_devices(ret, err);
    if (rc == 0)
        rc = plan_layers(ret, err);
    count_devices(ret);
    if (rc == 0)
        rc = llama_place_tensors(ret, err);
    plan_copies(ret);
    return rc;
}
