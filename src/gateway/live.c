/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/live.h"

#include "base/mem.h"

struct live *live_new(void)
{
    return mem_alloc(sizeof(struct live));
}

void live_free(struct live *live)
{
    for (size_t i = 0; live && i < LIVE_SLOTS; i++)
        free(atomic_load_explicit(&live->slots[i], memory_order_relaxed));
    free(live);
}

static struct live_model *add_model(struct live *live, size_t slot, int64_t model_id)
{
    if (live->count >= LIVE_MODELS_MAX)
        return &live->other;
    struct live_model *model = mem_alloc(sizeof *model);
    model->model_id = model_id;
    live->count++;
    atomic_store_explicit(&live->slots[slot], model, memory_order_release);
    return model;
}

struct live_model *live_model(struct live *live, int64_t model_id)
{
    size_t slot = (size_t)((uint64_t)model_id * UINT64_C(0x9e3779b97f4a7c15) >> 40);
    for (;; slot++) {
        slot &= LIVE_SLOTS - 1;
        struct live_model *model = atomic_load_explicit(&live->slots[slot], memory_order_relaxed);
        if (!model)
            return add_model(live, slot, model_id);
        if (model->model_id == model_id)
            return model;
    }
}

void live_add(struct live_model *model, enum live_count count, uint64_t n)
{
    counter_add(&model->counts[count], n);
}

void live_note_first_token(struct live_model *model, int64_t us)
{
    histogram_add(&model->first_token, &histogram_first_token, us);
}

/* Not what clients did: their mistakes, their leaving, their limits. */
static bool is_error(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_ENGINE_ERROR:
    case OUTCOME_CUT:
    case OUTCOME_NO_INSTANCE:
    case OUTCOME_TIMEOUT:
        return true;
    case OUTCOME_OK:
    case OUTCOME_CLIENT_ERROR:
    case OUTCOME_ABORTED:
    case OUTCOME_LIMITED:
    case OUTCOME_COUNT:
        break;
    }
    return false;
}

void live_note_end(struct live_model *model, const struct usage_record *record, uint64_t told)
{
    live_add(model, LIVE_REQUESTS, 1);
    if (is_error(record->outcome))
        live_add(model, LIVE_ERRORS, 1);
    if (record->prompt_tokens > 0)
        live_add(model, LIVE_TOKENS_IN, (uint64_t)record->prompt_tokens);
    if (record->completion_tokens > 0 && (uint64_t)record->completion_tokens > told)
        live_add(model, LIVE_TOKENS_OUT, (uint64_t)record->completion_tokens - told);
}

static void move(struct live_model *model, enum live_gauge gauge, int by)
{
    _Atomic int64_t *value = &model->gauges[gauge];
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

void live_place_set(struct live_place *place, struct live_model *model, enum live_gauge gauge)
{
    if (place->model)
        move(place->model, place->gauge, -1);
    *place = (struct live_place){model, gauge};
    if (model)
        move(model, gauge, 1);
}
