/* SPDX-License-Identifier: Apache-2.0 */
#include "control/placing.h"

#include "control/refusals.h"
#include "control/states.h"
#include "domain/gang.h"

#include <assert.h>

void placing_fini(struct placing *placing)
{
    place_board_free(placing->board);
    place_view_fini(&placing->view);
    mix_fini(&placing->mix);
    free(placing->engines);
    free(placing->refusal);
    free(placing->refusal_args);
    placing->board = NULL;
    placing->engines = NULL;
    placing->refusal = placing->refusal_args = NULL;
    placing->has_view = false;
}

/* ---- looking ---- */

static void add_model(const struct placing *placing, const struct model *model, struct mix *mix)
{
    struct need_source source;
    struct need need;
    struct demand demand;
    placing_source_of(placing, model, &source);
    needs_of(placing->env->needs, model, &source, &placing->view, &need);
    if (model->replicas > 0 && need_demand(&need, &demand))
        mix_add(mix, &demand, (double)model->replicas);
}

/* What is expected to come: another replica of each model that there is. */
static void add_models(struct placing *placing, struct mix *mix)
{
    CLUSTER_FOR_EACH(placing->cluster, KIND_MODEL, struct model, model)
        add_model(placing, model, mix);
}

void placing_look(struct placing *placing)
{
    if (placing->board)
        return;
    if (!placing->has_view)
        placing_view_workers(placing);
    placing->has_view = true;
    if (placing->env->needs && placing->view.class_count > 0)
        add_models(placing, &placing->mix);
    placing->board = place_board_new(&placing->view, &placing->mix);
    placing->ways_out_left = PLACING_WAYS_OUT;
}

void placing_expect(struct placing *placing, const struct model *model)
{
    struct mix mix = {0};
    placing_look(placing);
    for (size_t i = 0; i < placing->mix.count; i++)
        mix_add(&mix, &placing->mix.kinds[i].demand, placing->mix.kinds[i].weight);
    if (placing->env->needs && placing->view.class_count > 0)
        add_model(placing, model, &mix);
    place_board_free(placing->board);
    placing->board = place_board_new(&placing->view, &mix);
    mix_fini(&mix);
}

/* ---- what speaks against asking at all ---- */

/* Why a place isn't even looked for, or REASON_NONE. Words are owned. */
static enum reason not_yet(const struct asking *asking, char **ret_words)
{
    const struct need_source *source = &asking->source;
    const char *message = source->message ? source->message : "";
    *ret_words = NULL;
    if (source->known == KNOWN_SOON) {
        *ret_words = mem_strdup("its files are being looked at");
        return REASON_READING_MODEL;
    }
    if (asking->need.error[0]) {
        *ret_words = mem_strdup(asking->need.error);
        return REASON_BAD_PARAMETERS;
    }
    if (source->known == KNOWN_MISSING) {
        *ret_words = mem_printf("its files aren't there: %s: %s", source->key, message);
        return REASON_MODEL_MISSING;
    }
    if (source->known != KNOWN_UNREACHABLE || asking->wishes.device_count > 0)
        return REASON_NONE; /* devices chosen by hand need no estimate */
    *ret_words = mem_printf("what it needs isn't known: %s", message);
    return REASON_MODEL_UNREACHABLE;
}

/* ---- deciding ---- */

/* The largest claim that a worker has measured for an instance of this model; 0 when none has. */
static uint64_t known_ram(const struct cluster *cluster, int64_t model_id)
{
    uint64_t ram = 0;
    CLUSTER_FOR_KEY(&cluster->instances_of_model, model_id, struct model_instance, instance) {
        struct resource_claim claim = {0};
        instance_claim_on(instance, instance->worker_id, &claim);
        ram = claim.ram_bytes > ram ? claim.ram_bytes : ram;
        claim_fini(&claim);
    }
    return ram;
}

static void add_all(struct int_list *to, const struct int_list *from)
{
    for (size_t i = 0; from && i < from->count; i++)
        int_list_add(to, from->items[i]);
}

/* Elsewhere than it failed if possible; never where it was refused a moment ago. */
static int decide(struct placing *placing, struct asking *asking, const struct int_list *soft,
                  const struct int_list *hard, struct place_result *ret)
{
    int rc = -1;
    asking->request.ram_bytes = known_ram(placing->cluster, asking->need.model->id);
    asking->request.avoid_worker_ids = &asking->avoid;
    if (soft && soft->count) {
        add_all(&asking->avoid, soft);
        add_all(&asking->avoid, hard);
        rc = place(placing->board, &asking->request, ret);
        int_list_fini(&asking->avoid);
    }
    if (rc < 0) {
        add_all(&asking->avoid, hard);
        rc = place(placing->board, &asking->request, ret);
    }
    return rc;
}

bool placing_has_room(struct placing *placing, const struct model *model,
                      const struct int_list *avoid_worker_ids)
{
    struct asking asking;
    char *words;
    placing_look(placing);
    asking_begin(&asking, placing, model);
    struct place_result result = {0};
    bool fits = not_yet(&asking, &words) == REASON_NONE &&
                decide(placing, &asking, NULL, avoid_worker_ids, &result) == 0;
    place_result_fini(&result);
    asking_end(&asking);
    free(words);
    return fits;
}

/* ---- why not ---- */

static char *refusal_words(const struct placing *placing, const struct asking *asking,
                           const struct place_explanation *why)
{
    struct buf words = {0};
    place_explain_words(why, &placing->view, &asking->request, &words);
    char *text = placing->view.count ? mem_printf("no worker fits: %s", words.ptr)
                                     : mem_strdup("no worker has joined yet");
    buf_fini(&words);
    return text;
}

/*
 * Whether the instance says so already, with all that there is to say: ways out take a while to be
 * found, and what waits is looked at again and again.
 */
static bool says_so(const struct placing *placing, const struct model_instance *instance,
                    const char *words)
{
    if (!instance->state_message || !instance->state_args ||
        strcmp(instance->state_message, words) != 0)
        return false;
    return placing->ways_out_left == 0 || strstr(instance->state_args, "\"ways_out\"") != NULL;
}

static char *refusal_args(struct placing *placing, const struct model *model,
                          const struct place_explanation *why)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_begin_object(&w);
    place_explain_write(why, &placing->view, PLACING_DEVICES_TOLD, &w);
    if (placing->ways_out_left > 0 && placing->env->needs) {
        placing->ways_out_left--;
        json_add_key(&w, "ways_out");
        placing_write_ways_out(placing, model, &w);
    }
    json_end_object(&w);
    return buf_take(&text);
}

static enum reason no_place(const struct placing *placing)
{
    return placing->view.count ? REASON_NO_WORKER_FITS : REASON_NO_WORKER;
}

static void note_refusal(struct placing *placing, const struct model *model, enum reason reason,
                         char *words, char *args)
{
    free(placing->refusal);
    free(placing->refusal_args);
    placing->refusal = words;
    placing->refusal_args = args;
    placing->refused_reason = reason;
    placing->refused_model_id = model->id;
}

static void refuse(struct placing *placing, const struct model_instance *instance,
                   const struct asking *asking)
{
    const struct model *model = asking->need.model;
    struct place_explanation why;
    place_explain(&placing->view, &asking->request, &why);
    char *words = refusal_words(placing, asking, &why);
    char *args = says_so(placing, instance, words) ? mem_strdup(instance->state_args)
                                                   : refusal_args(placing, model, &why);
    note_refusal(placing, model, no_place(placing), words, args);
    place_explanation_fini(&why);
}

void placing_ask(struct placing *placing, const struct model *model, struct placing_answer *ret)
{
    placing_look(placing);
    *ret = (struct placing_answer){0};
    asking_begin(&ret->asking, placing, model);
    asking_count_time(&ret->asking, placing);
    ret->reason = not_yet(&ret->asking, &ret->words);
    if (ret->reason != REASON_NONE ||
        decide(placing, &ret->asking, NULL, NULL, &ret->result) == 0)
        return;
    struct place_explanation why;
    place_explain(&placing->view, &ret->asking.request, &why);
    ret->words = refusal_words(placing, &ret->asking, &why);
    ret->reason = no_place(placing);
    place_explanation_fini(&why);
}

void placing_take(struct placing *placing, const struct placing_answer *answer)
{
    place_take(placing->board, &answer->asking.request, &answer->result);
}

void placing_answer_fini(struct placing_answer *answer)
{
    place_result_fini(&answer->result);
    asking_end(&answer->asking);
    free(answer->words);
}

/* ---- giving out ---- */

static void make_claim(const struct asking *asking, const struct place_result *result, size_t at,
                       struct resource_claim *ret)
{
    const struct place_rank *rank = &result->ranks[at];
    const struct need *need = &asking->need;
    *ret = (struct resource_claim){.ram_bytes = rank->ram_bytes,
                                   .context_length = (int64_t)result->context_length,
                                   .tensor_parallel = result->tensor_parallel,
                                   .pipeline_parallel = result->pipeline_parallel,
                                   .is_whole = result->mode == PLACE_WHOLE};
    if (at == 0 && need->is_known && need->engine == ESTIMATE_LLAMA_CPP) {
        ret->layers_total = (int64_t)need->source->shape->layer_count + 1;
        ret->layers_offloaded = (int64_t)result->layers_offloaded;
    }
    for (size_t i = 0; i < rank->gpu_indexes.count; i++)
        claim_add_device(ret, rank->gpu_indexes.items[i], (uint64_t)rank->gpu_bytes.items[i]);
}

static const struct worker *worker_of(const struct placing *placing, const struct place_rank *rank)
{
    return cluster_find(placing->cluster, KIND_WORKER, placing->view.workers[rank->worker].id);
}

static void make_gang(const struct placing *placing, const struct asking *asking,
                      const struct place_result *result, struct model_instance *copy)
{
    struct gang gang = {.epoch = 1, .failed_rank = -1};
    for (size_t i = 0; i < result->rank_count; i++) {
        const struct worker *worker = worker_of(placing, &result->ranks[i]);
        gang_add_rank(&gang, worker->id, worker->name, worker->ip, &result->ranks[i].gpu_indexes);
        if (asking->need.is_known)
            make_claim(asking, result, i, &gang.ranks[i].claim);
    }
    gang_store(&gang, copy);
    gang_fini(&gang);
}

static void assign(const struct placing *placing, const struct asking *asking,
                   struct place_result *result, struct model_instance *copy)
{
    const struct worker *worker = worker_of(placing, &result->ranks[0]);
    struct resource_claim claim = {0};
    copy->worker_id = worker->id;
    if (asking->need.is_known && (!copy->backend || !*copy->backend))
        mem_replace(&copy->backend, asking->need.engine_name);
    mem_replace(&copy->worker_name, worker->name);
    mem_replace(&copy->worker_ip, worker->ip);
    free(copy->computed_resource_claim);
    copy->computed_resource_claim = NULL;
    if (asking->need.is_known) {
        make_claim(asking, result, 0, &claim);
        copy->computed_resource_claim = claim_text(&claim);
        claim_fini(&claim);
    }
    if (result->rank_count > 1)
        make_gang(placing, asking, result, copy);
    int_list_fini(&copy->gpu_indexes);
    copy->gpu_indexes = result->ranks[0].gpu_indexes;
    result->ranks[0].gpu_indexes = (struct int_list){0};
}

/* Sets what the instance gets, or notes the refusal. */
static int choose(struct placing *placing, const struct model *model,
                  struct model_instance *copy)
{
    struct asking asking;
    struct place_result result = {0};
    struct int_list refused = {0};
    char *words;
    if (placing->refused_model_id == model->id)
        return -1;
    asking_begin(&asking, placing, model);
    asking_count_time(&asking, placing);
    enum reason reason = not_yet(&asking, &words);
    refusals_active(copy, placing->cluster, placing->env->now_ms, &refused);
    int rc = reason ? -1 : decide(placing, &asking, &copy->avoid_worker_ids, &refused, &result);
    if (rc == 0) {
        place_take(placing->board, &asking.request, &result);
        assign(placing, &asking, &result, copy);
    } else if (reason) {
        note_refusal(placing, model, reason, TAKE(words), NULL);
    } else {
        refuse(placing, copy, &asking);
    }
    place_result_fini(&result);
    int_list_fini(&refused);
    asking_end(&asking);
    free(words);
    return rc;
}

bool placing_place(struct placing *placing, const struct model_instance *instance)
{
    struct cluster *cluster = placing->cluster;
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    assert(model);
    placing_look(placing);
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, instance);
    bool is_placed = choose(placing, model, &copy) == 0;
    if (is_placed) {
        state_enter(cluster, &copy, INSTANCE_SCHEDULED, &(struct cause){0}, placing->env->now_ms);
    } else {
        const struct cause cause = {.reason = placing->refused_reason,
                                    .args = placing->refusal_args,
                                    .message = placing->refusal};
        bool is_early = placing->refused_reason == REASON_READING_MODEL;
        state_enter(cluster, &copy, is_early ? INSTANCE_ANALYZING : INSTANCE_PENDING, &cause,
                    placing->env->now_ms);
    }
    cluster_put(cluster, KIND_INSTANCE, &copy, placing->env->now_ms);
    return is_placed;
}

/* ---- keeping ---- */

/* Where it would go if some of what is there weren't; keeps what is free of that now. */
static bool keep_as_if(struct placing *placing, const struct model *model, int64_t without)
{
    struct placing other = {
        .cluster = placing->cluster, .env = placing->env, .without_model_id = without};
    struct place_result result = {0};
    struct asking asking;
    char *words;
    placing_look(&other);
    asking_begin(&asking, &other, model);
    asking_count_time(&asking, &other);
    bool is_kept = not_yet(&asking, &words) == REASON_NONE && asking.request.is_known &&
                   decide(&other, &asking, NULL, NULL, &result) == 0;
    if (is_kept)
        place_keep(placing->board, &result);
    place_result_fini(&result);
    asking_end(&asking);
    placing_fini(&other);
    free(words);
    return is_kept;
}

bool placing_keep(struct placing *placing, const struct model_instance *instance)
{
    const struct model *model = cluster_find(placing->cluster, KIND_MODEL, instance->model_id);
    if (!placing->env->needs)
        return false;
    placing_look(placing);
    return keep_as_if(placing, model, PLACING_WITHOUT_LEAVING) ||
           keep_as_if(placing, model, PLACING_WITHOUT_ALL);
}

/* ---- staying ---- */

static bool is_allowed_on(const struct cluster *cluster, const struct model *model,
                          const struct wishes *wishes, int64_t worker_id,
                          const struct int_list *indexes)
{
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, worker_id);
    if (!worker)
        return true;
    if (!place_labels_match(&model->worker_selector, &worker->labels))
        return false;
    for (size_t i = 0; i < indexes->count; i++)
        if (!wishes_allow(wishes, worker, indexes->items[i]))
            return false;
    return true;
}

bool placing_may_stay(const struct cluster *cluster, const struct model *model,
                      const struct model_instance *instance)
{
    /* New settings may need more, or less, of devices: only placing it anew tells. */
    if (instance->computed_resource_claim)
        return false;
    struct wishes wishes = wishes_of(model);
    size_t held = instance->gpu_indexes.count;
    bool may = is_allowed_on(cluster, model, &wishes, instance->worker_id, &instance->gpu_indexes);
    struct gang gang = {0};
    if (instance_is_gang(instance) && gang_read(instance->distributed_servers, &gang, NULL) == 0)
        for (size_t i = 1; i < gang.rank_count; i++) {
            const struct gang_rank *rank = &gang.ranks[i];
            held += rank->gpu_indexes.count;
            may = may && is_allowed_on(cluster, model, &wishes, rank->worker_id,
                                       &rank->gpu_indexes);
        }
    gang_fini(&gang);
    may = may && held == wishes.device_count;
    wishes_fini(&wishes);
    return may;
}
