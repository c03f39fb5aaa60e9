/* SPDX-License-Identifier: Apache-2.0 */
#include "control/evaluation.h"

#include "sched/lift.h"

static const char *const known_names[] = {
    [KNOWN_NOT] = "no",
    [KNOWN_SOON] = "soon",
    [KNOWN_UNREACHABLE] = "unreachable",
    [KNOWN_MISSING] = "missing",
    [KNOWN_SHAPE] = "yes",
};

static void write_messages(struct json_writer *w, const char *key, const char *message)
{
    json_add_key(w, key);
    json_begin_array(w);
    if (message && *message)
        json_add_cstring(w, message);
    json_end_array(w);
}

static void write_ints(struct json_writer *w, const char *key, const struct int_list *list)
{
    json_add_key(w, key);
    json_begin_array(w);
    for (size_t i = 0; i < list->count; i++)
        json_add_int(w, list->items[i]);
    json_end_array(w);
}

static void write_cost(const struct place_cost *cost, struct json_writer *w)
{
    json_add_key(w, "cost");
    json_begin_object(w);
    json_put_int(w, "fragments", cost->fragments);
    json_put_int(w, "start", cost->start);
    json_put_int(w, "links", cost->links);
    json_put_int(w, "company", cost->company);
    json_put_int(w, "balance", cost->balance);
    json_put_int(w, "shortage", cost->shortage);
    json_put_int(w, "total", cost->total);
    json_end_object(w);
}

/* What the bytes of a place are for; what was learned from instances comes on top, or off. */
static void write_parts(const struct estimate_place *place, int64_t claimed, struct json_writer *w)
{
    json_begin_object(w);
    for (int i = 0; i < ESTIMATE_PART_COUNT; i++)
        json_put_int(w, estimate_part_name((enum estimate_part)i), (int64_t)place->parts[i]);
    json_put_int(w, "learned", claimed - (int64_t)estimate_place_bytes(place));
    json_end_object(w);
}

/* Of the devices of a rank, the first of which is device `*next` of the estimate; NULL: none. */
static void write_gpu_parts(const struct place_rank *rank, const struct estimate *estimate,
                            size_t *next, struct json_writer *w)
{
    json_add_key(w, "gpu_parts");
    json_begin_array(w);
    for (size_t i = 0; estimate && i < rank->gpu_bytes.count; i++, (*next)++)
        write_parts(&estimate->devices[*next], rank->gpu_bytes.items[i], w);
    json_end_array(w);
}

static void write_ranks(const struct placing *placing, const struct place_result *result,
                        const struct estimate *estimate, struct json_writer *w)
{
    size_t next = 0;
    json_add_key(w, "ranks");
    json_begin_array(w);
    for (size_t i = 0; i < result->rank_count; i++) {
        const struct place_rank *rank = &result->ranks[i];
        json_begin_object(w);
        json_put_string(w, "worker", placing->view.workers[rank->worker].name);
        json_put_int(w, "worker_id", placing->view.workers[rank->worker].id);
        write_ints(w, "gpu_indexes", &rank->gpu_indexes);
        write_ints(w, "gpu_bytes", &rank->gpu_bytes);
        write_gpu_parts(rank, estimate, &next, w);
        json_put_int(w, "ram", (int64_t)rank->ram_bytes);
        json_end_object(w);
    }
    json_end_array(w);
}

/* `estimate`: with what the bytes are for; NULL: without. */
static void add_placement(const struct placing *placing, const struct asking *asking,
                          const struct place_result *result, const struct estimate *estimate,
                          struct json_writer *w)
{
    json_begin_object(w);
    json_put_string(w, "mode", place_mode_name(result->mode));
    json_put_string(w, "engine",
                    asking->need.is_known ? estimate_engine_name(asking->need.engine) : NULL);
    json_put_int(w, "tensor_parallel", result->tensor_parallel);
    json_put_int(w, "pipeline_parallel", result->pipeline_parallel);
    json_put_int(w, "layers_offloaded", (int64_t)result->layers_offloaded);
    json_put_int(w, "context_length", (int64_t)result->context_length);
    write_ranks(placing, result, estimate, w);
    if (asking->request.strategy == PLACE_CHEAPEST)
        write_cost(&result->cost, w);
    json_put_int(w, "candidates", (int64_t)result->candidates);
    json_end_object(w);
}

/* GPUStack's sums: main memory and memory of devices over all ranks. */
static void write_claim(const struct place_result *result, struct json_writer *w)
{
    uint64_t ram = 0, vram = 0;
    for (size_t i = 0; i < result->rank_count; i++) {
        ram += result->ranks[i].ram_bytes;
        for (size_t k = 0; k < result->ranks[i].gpu_bytes.count; k++)
            vram += (uint64_t)result->ranks[i].gpu_bytes.items[k];
    }
    json_add_key(w, "resource_claim");
    if (!result->ranks) {
        json_add_null(w);
        return;
    }
    json_begin_object(w);
    json_put_int(w, "ram", (int64_t)ram);
    json_put_int(w, "vram", (int64_t)vram);
    json_end_object(w);
}

static void write_reason(struct placing *placing, const struct model *model,
                         const struct placing_answer *answer, struct json_writer *w)
{
    json_add_key(w, "reason");
    json_begin_object(w);
    json_put_string(w, "code", reason_name(answer->reason));
    if (answer->reason == REASON_NO_WORKER_FITS) {
        struct place_explanation why;
        place_explain(&placing->view, &answer->asking.request, &why);
        place_explain_write(&why, &placing->view, EVALUATION_DEVICES_TOLD, w);
        place_explanation_fini(&why);
    }
    json_end_object(w);
    json_add_key(w, "ways_out");
    if (answer->reason == REASON_NO_WORKER_FITS && placing->env->needs) {
        placing_write_ways_out(placing, model, w);
    } else {
        json_begin_array(w);
        json_end_array(w);
    }
}

/* ---- replicas ---- */

/* One replica after the other, each in what those before have left. */
static void write_replicas(struct placing *placing, const struct model *model,
                           struct placing_answer *first, unsigned *replicas_left,
                           struct json_writer *w)
{
    const int64_t wanted = model->replicas > 1 ? model->replicas : 1;
    struct placing_answer next = *first;
    int64_t placed = 0, tried = 1;
    json_add_key(w, "placements");
    json_begin_array(w);
    for (;;) {
        add_placement(placing, &next.asking, &next.result, NULL, w);
        placing_take(placing, &next);
        if (placed++ > 0) /* the first one is the caller's */
            placing_answer_fini(&next);
        if (tried == wanted || *replicas_left == 0)
            break;
        (*replicas_left)--;
        tried++;
        placing_ask(placing, model, &next);
        if (next.reason != REASON_NONE) {
            placing_answer_fini(&next);
            break;
        }
    }
    json_end_array(w);
    struct place_lifted taken = {0};
    place_lift_instance(placing->board, 0, &taken);
    place_lifted_fini(&taken);
    json_add_key(w, "replicas");
    json_begin_object(w);
    json_put_int(w, "wanted", wanted);
    json_put_int(w, "tried", tried);
    json_put_int(w, "placed", placed);
    json_end_object(w);
}

void evaluation_write(struct placing *placing, const struct model *model, unsigned *replicas_left,
                      struct json_writer *w)
{
    struct placing_answer answer;
    placing_expect(placing, model);
    placing_ask(placing, model, &answer);
    bool fits = answer.reason == REASON_NONE;
    bool is_faulty = answer.reason == REASON_BAD_PARAMETERS;
    json_put_bool(w, "compatible", fits);
    write_messages(w, "compatibility_messages", is_faulty ? answer.words : NULL);
    write_messages(w, "scheduling_messages", is_faulty ? NULL : answer.words);
    json_put_string(w, "known", answer.asking.source.is_stated
                                    ? "catalog"
                                    : known_names[answer.asking.source.known]);
    write_claim(&answer.result, w);
    if (fits) {
        auto_fini(estimate_fini) struct estimate estimate = {0};
        bool is_reckoned =
            needs_estimate_place(&answer.asking.need, &answer.result, &estimate, NULL) == 0;
        json_add_key(w, "placement");
        add_placement(placing, &answer.asking, &answer.result, is_reckoned ? &estimate : NULL, w);
        write_replicas(placing, model, &answer, replicas_left, w);
    } else {
        write_reason(placing, model, &answer, w);
    }
    placing_answer_fini(&answer);
}
