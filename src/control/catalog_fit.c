/* SPDX-License-Identifier: Apache-2.0 */
#include "control/catalog_fit.h"

#include "control/needs.h"
#include "control/placing.h"
#include "control/shapes.h"
#include "control/turn_priv.h"
#include "sched/capacity.h"

struct fit_wait {
    struct list_node node;
    void (*done)(void *ctx);
    void *ctx;
};

struct catalog_fit {
    struct control *control;
    const struct catalog *catalog;
    struct timer timer;      /* armed while rows are being made */
    struct list_node waits;  /* struct fit_wait, oldest first */
    struct fit_row *rows;    /* owned; of all specs; those that were asked for last */
    struct fit_row *next;    /* owned; being made, or NULL */
    size_t next_count;       /* that are made */
    struct needs *needs;     /* owned while rows are made: reconciling is to keep its own */
    bool has_rows, is_stale; /* stale: the cluster has changed since they were begun */
    int64_t made_ms;         /* loop time */
    /* The spec that is being looked at. */
    struct reconcile_env base;
    const struct model_shape *shape;
    const char *key;
};

static const char *const names[] = {
    [FIT_NO] = "no", [FIT_PARTLY] = "fits_partly", [FIT_WHOLE] = "fits"};

const char *fit_name(enum fit fit)
{
    return names[fit];
}

static void free_rows(struct fit_row *rows, size_t count)
{
    for (size_t i = 0; rows && i < count; i++)
        free(rows[i].message);
    free(rows);
}

/* ---- what is asked ---- */

/* As placement has it for the cluster's models; of a spec nothing is read that wasn't before. */
static void source_of(const struct model *model, struct need_source *ret, void *ctx)
{
    const struct catalog_fit *fit = ctx;
    if (model->id) {
        fit->base.source_of(model, ret, fit->base.ctx);
        return;
    }
    const struct shape_entry *entry = shapes_peek(control_shapes(fit->control), model);
    const bool was_read = entry && entry->shape && !entry->is_stated;
    *ret = (struct need_source){.known = KNOWN_SHAPE,
                                .key = fit->key,
                                .shape = was_read ? entry->shape : fit->shape,
                                .projector = was_read ? entry->projector : NULL,
                                .is_stated = !was_read};
}

static bool computes_on(const struct catalog_spec *spec, const char *type)
{
    const size_t count = json_array_size(spec->device_types);
    for (size_t i = 0; i < count; i++)
        if (type && strcmp(json_string_value(json_array_get(spec->device_types, i)), type) == 0)
            return true;
    return count == 0;
}

/* Takes away the devices that don't compute in the spec's precision. */
static void restrict_devices(const struct catalog_spec *spec, struct asking *asking)
{
    const struct place_view *view = asking->need.view;
    for (size_t i = 0; i < view->class_count; i++)
        if (!computes_on(spec, view->classes[i].type))
            asking->need.ways[i] = (struct place_ways){0};
}

/* ---- what is answered ---- */

static enum fit fit_of(const struct place_view *view, enum place_mode mode)
{
    switch (mode) {
    case PLACE_ON_DEVICES:
    case PLACE_WHOLE:
        return FIT_WHOLE;
    case PLACE_ON_PROCESSOR:
        return view->class_count ? FIT_PARTLY : FIT_WHOLE;
    case PLACE_PARTLY:
    case PLACE_MODE_COUNT:
        break;
    }
    return FIT_PARTLY;
}

static void set_place(const struct placing *placing, const struct asking *asking,
                      const struct place_result *result, struct fit_row *row)
{
    row->fit = fit_of(&placing->view, result->mode);
    row->fits_empty_cluster = true;
    row->mode = result->mode;
    row->engine = estimate_engine_name(estimate_engine_of(str_of(asking->need.engine_name)));
    row->tensor_parallel = result->tensor_parallel;
    row->pipeline_parallel = result->pipeline_parallel;
    row->context_length = result->context_length;
    row->workers = (unsigned)result->rank_count;
    for (size_t i = 0; i < result->rank_count; i++) {
        const struct place_rank *rank = &result->ranks[i];
        row->ram_bytes += rank->ram_bytes;
        row->devices += (unsigned)rank->gpu_bytes.count;
        for (size_t k = 0; k < rank->gpu_bytes.count; k++)
            row->vram_bytes += (uint64_t)rank->gpu_bytes.items[k];
    }
    row->replicas = place_capacity(&placing->view, &asking->request, result);
}

/* What most workers have against it; of as many the one that is asked first. */
static void set_refusal(const struct placing *placing, const struct asking *asking,
                        struct fit_row *row)
{
    struct place_explanation why;
    place_explain(&placing->view, &asking->request, &why);
    for (int i = PLACE_FITS + 1; i < PLACE_REFUSAL_COUNT; i++)
        if (row->refusal == PLACE_FITS || why.refusals[i] > why.refusals[row->refusal])
            row->refusal = (enum place_refusal)i;
    place_explanation_fini(&why);
}

static void set_reason(const struct placing *placing, const struct asking *asking,
                       struct fit_row *row)
{
    const struct place_view *view = &placing->view;
    row->reason = view->count ? REASON_NO_WORKER_FITS : REASON_NO_WORKER;
    if (view->count == 0)
        return;
    if (!asking->need.error[0]) {
        set_refusal(placing, asking, row);
    } else if (view->class_count == 0) { /* its engine wants devices, and there are none */
        row->refusal = PLACE_DEVICES_UNFIT;
    } else {
        row->reason = REASON_BAD_PARAMETERS;
        row->message = mem_strdup(asking->need.error);
    }
}

/* Whether it finds a place; `result` is zeroed. */
static bool ask(struct placing *placing, const struct model *model,
                const struct catalog_spec *spec, struct asking *asking,
                struct place_result *result)
{
    placing_look(placing);
    asking_begin(asking, placing, model);
    restrict_devices(spec, asking);
    need_fill(&asking->need, &asking->request);
    return !asking->need.error[0] && place(placing->board, &asking->request, result) == 0;
}

/* The view of now, and the one of a cluster in which nothing runs. */
struct views {
    struct placing now, empty;
};

static bool fits_empty_cluster(struct views *views, const struct model *model,
                               const struct catalog_spec *spec)
{
    struct asking asking;
    struct place_result result = {0};
    const bool fits = ask(&views->empty, model, spec, &asking, &result);
    place_result_fini(&result);
    asking_end(&asking);
    return fits;
}

static void make_row(struct views *views, const struct model *model, struct fit_row *row)
{
    struct asking asking;
    struct place_result result = {0};
    const bool fits = ask(&views->now, model, row->spec, &asking, &result);
    row->is_stated = asking.source.is_stated;
    if (fits)
        set_place(&views->now, &asking, &result, row);
    else
        set_reason(&views->now, &asking, row);
    place_result_fini(&result);
    asking_end(&asking);
    if (row->reason == REASON_NO_WORKER_FITS)
        row->fits_empty_cluster = fits_empty_cluster(views, model, row->spec);
}

static void look_at(struct catalog_fit *fit, struct views *views, struct fit_row *row)
{
    struct model model = {0};
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    record_init(&model_type, &model);
    if (catalog_shape(row->spec, &shape, NULL) == 0 &&
        record_read(&model_type, &model, row->spec->body, RECORD_CREATE, NULL) == 0) {
        fit->shape = &shape;
        fit->key = row->spec->hf_key ? row->spec->hf_key : row->spec->ms_key;
        make_row(views, &model, row);
    }
    record_fini(&model_type, &model);
}

/* ---- slices ---- */

static const struct catalog_spec *spec_at(const struct catalog *catalog, size_t at)
{
    for (size_t i = 0; i < catalog->count; i++) {
        if (at < catalog->sets[i].spec_count)
            return &catalog->sets[i].specs[at];
        at -= catalog->sets[i].spec_count;
    }
    return NULL;
}

static void begin(struct catalog_fit *fit)
{
    const size_t count = fit->catalog->spec_count;
    fit->next = mem_alloc_array(count + 1, sizeof *fit->next);
    for (size_t i = 0; i < count; i++)
        fit->next[i].spec = spec_at(fit->catalog, i);
    fit->next_count = 0;
    fit->is_stale = false;
    timer_start(&fit->timer, 0);
}

static void end_waits(struct catalog_fit *fit)
{
    LIST_FOR_EACH(struct fit_wait, wait, &fit->waits, node) {
        list_remove(&wait->node);
        wait->done(wait->ctx);
        free(wait);
    }
}

static void finish(struct catalog_fit *fit)
{
    free_rows(fit->rows, fit->catalog->spec_count);
    fit->rows = TAKE(fit->next);
    needs_free(TAKE(fit->needs));
    fit->has_rows = true;
    fit->made_ms = loop_now_ms(control_loop(fit->control));
    end_waits(fit);
}

static void on_slice(struct timer *timer, void *ctx)
{
    struct catalog_fit *fit = ctx;
    const struct clock *clock = loop_clock(control_loop(fit->control));
    const int64_t end_ms = clock_mono_ms(clock) + FIT_SLICE_MS;
    fit->base = control_reconcile_env(fit->control);
    if (!fit->needs)
        fit->needs = needs_new(needs_corrections(fit->base.needs));
    struct reconcile_env env = fit->base;
    env.source_of = source_of;
    env.ctx = fit;
    env.needs = fit->needs;
    struct cluster *cluster = control_cluster(fit->control);
    struct views views = {
        .now = {.cluster = cluster, .env = &env},
        .empty = {.cluster = cluster, .env = &env, .without_model_id = PLACING_WITHOUT_ALL}};
    do {
        look_at(fit, &views, &fit->next[fit->next_count++]);
    } while (fit->next_count < fit->catalog->spec_count && clock_mono_ms(clock) < end_ms);
    placing_fini(&views.now);
    placing_fini(&views.empty);
    if (fit->next_count < fit->catalog->spec_count)
        timer_start(timer, FIT_PAUSE_MS);
    else
        finish(fit);
}

/* ---- asking ---- */

struct catalog_fit *catalog_fit_new(struct control *control)
{
    struct catalog_fit *fit = mem_alloc(sizeof *fit);
    fit->control = control;
    fit->catalog = control_catalog(control);
    list_init(&fit->waits);
    timer_init(&fit->timer, control_loop(control), on_slice, fit);
    return fit;
}

void catalog_fit_free(struct catalog_fit *fit)
{
    if (!fit)
        return;
    timer_stop(&fit->timer);
    end_waits(fit);
    free_rows(fit->rows, fit->catalog->spec_count);
    free_rows(fit->next, fit->catalog->spec_count);
    needs_free(fit->needs);
    free(fit);
}

bool catalog_fit_is_fresh(const struct catalog_fit *fit)
{
    return fit->has_rows && !fit->is_stale &&
           loop_now_ms(control_loop(fit->control)) - fit->made_ms < FIT_FRESH_MS;
}

void catalog_fit_await(struct catalog_fit *fit, void (*done)(void *ctx), void *ctx)
{
    struct fit_wait *wait = mem_alloc(sizeof *wait);
    *wait = (struct fit_wait){.done = done, .ctx = ctx};
    list_add_tail(&fit->waits, &wait->node);
    if (!fit->next)
        begin(fit);
}

const struct fit_row *catalog_fit_rows(const struct catalog_fit *fit, size_t *ret_count)
{
    *ret_count = fit->has_rows ? fit->catalog->spec_count : 0;
    return fit->rows;
}

void catalog_fit_note_change(struct catalog_fit *fit, enum kind kind)
{
    fit->is_stale =
        fit->is_stale || kind == KIND_WORKER || kind == KIND_INSTANCE || kind == KIND_MODEL;
}
