/* SPDX-License-Identifier: Apache-2.0 */
#include "control/hub_reads.h"
#include "control/shapes_priv.h"

#include "base/log.h"
#include "catalog/catalog.h"
#include "weights/shape_json.h"

#include <stdio.h>

enum {
    TICK_MS = 1000,
    DAY_MS = 24 * 3600 * 1000,
};

static const char *const state_names[] = {
    [SHAPE_AWAITED] = "awaited",         [SHAPE_KNOWN] = "known",
    [SHAPE_UNREADABLE] = "unreadable",   [SHAPE_UNREACHABLE] = "unreachable",
    [SHAPE_MISSING] = "missing",         [SHAPE_UNASKED] = "unasked",
};

const char *shape_state_name(enum shape_state state)
{
    return state_names[state];
}

static int64_t now_ms(const struct shapes *shapes)
{
    return loop_now_ms(shapes->params.loop);
}

static int64_t wall_ms(const struct shapes *shapes)
{
    return clock_wall_ms(loop_clock(shapes->params.loop));
}

/* ---- what an entry says ---- */

void entry_note_news(struct shapes *shapes, struct entry *entry)
{
    entry->is_news = true;
    if (shapes->has_news)
        return;
    shapes->has_news = true;
    shapes->params.wake(shapes->params.ctx);
}

static void tell(const struct entry *entry)
{
    const struct model_shape *shape = entry->shown.shape;
    if (shape)
        log_info("model", "%s: is known%s: %s with %llu parameters in %llu bytes", entry->key,
                 entry->shown.is_stated ? " by the catalog" : "",
                 *shape->architecture ? shape->architecture
                                      : model_kind_name((enum model_kind)shape->kind),
                 (unsigned long long)shape->parameter_count,
                 (unsigned long long)shape->tensor_bytes);
    else if (entry->message && entry->shown.state != SHAPE_UNASKED) /* at every start */
        log_info("model", "%s: what it is made of is not known (%s): %s", entry->key,
                 shape_state_name(entry->shown.state), entry->message);
}

void entry_set(struct shapes *shapes, struct entry *entry, enum shape_state state, char *message)
{
    struct shape_entry *shown = &entry->shown;
    const bool is_same = shown->state == state;
    const bool is_known = state == SHAPE_KNOWN;
    free(entry->message);
    entry->message = message;
    shown->message = message;
    shown->state = state;
    shown->shape = is_known ? &entry->shape : NULL;
    shown->is_stated = is_known && shown->is_stated;
    shown->projector =
        is_known && entry->projector.format != FORMAT_UNKNOWN ? &entry->projector : NULL;
    if (is_same)
        return;
    entry_note_news(shapes, entry);
    tell(entry);
}

/* ---- what is kept ---- */

static char *json_of(const struct model_shape *shape)
{
    if (shape->format == FORMAT_UNKNOWN)
        return NULL;
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    model_shape_write(shape, &w);
    return buf_take(&text);
}

/* The row of which an unused one has been unused for longest; NULL: all are in use. */
static const struct model_metadata *least_used(struct shapes *shapes)
{
    const struct model_metadata *found = NULL;
    CLUSTER_FOR_EACH(shapes->params.cluster, KIND_MODEL_METADATA, struct model_metadata, row) {
        struct entry *entry = NULL;
        HASH_FIND(hh, shapes->entries, row->key, (unsigned)strlen(row->key), entry);
        if (!(entry && entry->is_used) && (!found || row->used_at < found->used_at))
            found = row;
    }
    return found;
}

static void store_row(struct shapes *shapes, const struct entry *entry)
{
    struct cluster *cluster = shapes->params.cluster;
    const struct model_metadata *before = cluster_metadata_by_key(cluster, entry->key);
    struct model_metadata row = {.id = before ? before->id : 0,
                                 .key = mem_strdup(entry->key),
                                 .shape = json_of(&entry->shape),
                                 .projector = json_of(&entry->projector),
                                 .identity = mem_strdup(entry->identity),
                                 .worker_id = entry->reader_id,
                                 .read_at = wall_ms(shapes),
                                 .used_at = wall_ms(shapes)};
    cluster_put(cluster, KIND_MODEL_METADATA, &row, wall_ms(shapes));
    while (cluster->tables[KIND_MODEL_METADATA].count > SHAPES_KEPT_MAX) {
        const struct model_metadata *least = least_used(shapes);
        if (!least)
            return;
        cluster_delete(cluster, KIND_MODEL_METADATA, least->id);
    }
}

void entry_keep(struct shapes *shapes, struct entry *entry, struct model_shape *shape,
                struct model_shape *projector)
{
    SWAP(entry->shape, *shape);
    SWAP(entry->projector, *projector);
    model_shape_fini(shape);
    model_shape_fini(projector);
    entry->has_shape = true;
    entry->shown.is_stated = false;
    entry_note_news(shapes, entry);
    store_row(shapes, entry);
}

/* Notes once a day that the row is still used. */
static void refresh_row(struct shapes *shapes, const struct entry *entry)
{
    struct cluster *cluster = shapes->params.cluster;
    const struct model_metadata *row = cluster_metadata_by_key(cluster, entry->key);
    if (!row || wall_ms(shapes) - row->used_at < DAY_MS)
        return;
    struct model_metadata copy = {0};
    record_copy(&model_metadata_type, &copy, row);
    copy.used_at = wall_ms(shapes);
    cluster_put(cluster, KIND_MODEL_METADATA, &copy, wall_ms(shapes));
}

/* How long what was read at that time counts as fresh. */
static int64_t fresh_for_ms(const struct shapes *shapes, int64_t read_at)
{
    const int64_t age_ms = wall_ms(shapes) - read_at;
    return age_ms >= 0 && age_ms < SHAPES_FRESH_MS ? SHAPES_FRESH_MS - age_ms : 0;
}

/* What an earlier version has kept in another way is read anew. */
static void load_row(struct shapes *shapes, struct entry *entry)
{
    const struct model_metadata *row = cluster_metadata_by_key(shapes->params.cluster, entry->key);
    if (!row || model_shape_parse(str_of(row->shape), &entry->shape, NULL) < 0)
        return;
    if (row->projector && model_shape_parse(str_of(row->projector), &entry->projector, NULL) < 0) {
        model_shape_fini(&entry->shape);
        return;
    }
    entry->has_shape = true;
    entry->identity = mem_strdup(row->identity);
    entry->reader_id = row->worker_id;
    entry->read_due_ms += fresh_for_ms(shapes, row->read_at);
    entry_set(shapes, entry, SHAPE_KNOWN, NULL);
}

/* What the catalog says of it, until it is read. */
static void take_stated(struct shapes *shapes, struct entry *entry)
{
    const struct catalog *catalog = shapes->params.catalog;
    const struct catalog_spec *spec = catalog ? catalog_find(catalog, entry->key) : NULL;
    if (!spec || catalog_shape(spec, &entry->shape, NULL) < 0)
        return;
    entry->has_shape = entry->shown.is_stated = true;
    entry_set(shapes, entry, SHAPE_KNOWN, NULL);
}

/* ---- hubs ---- */

static void read_hub(struct shapes *shapes, struct entry *entry)
{
    if (entry->shown.is_local || entry->is_reading || now_ms(shapes) < entry->read_due_ms)
        return;
    entry->is_reading = true;
    shapes->params.read_hub(entry->key, shapes->params.ctx);
}

static void take_failure(struct shapes *shapes, struct entry *entry, struct hub_read *read)
{
    const enum shape_state state = hub_read_state(read);
    if (state != SHAPE_UNREACHABLE)
        entry->delay_ms = SHAPES_RETRY_MAX_MS;
    else if (entry->delay_ms == 0)
        entry->delay_ms = SHAPES_RETRY_MIN_MS;
    else if (entry->delay_ms < SHAPES_RETRY_MAX_MS / 2)
        entry->delay_ms *= 2;
    else
        entry->delay_ms = SHAPES_RETRY_MAX_MS;
    entry->read_due_ms = now_ms(shapes) + entry->delay_ms;
    if (entry->has_shape && state != SHAPE_UNREADABLE)
        return; /* what is known serves on */
    entry->has_shape = false;
    entry_set(shapes, entry, state, mem_strdup(read->err.text));
}

void shapes_take_hub(struct shapes *shapes, struct hub_read *read)
{
    struct entry *entry = NULL;
    HASH_FIND(hh, shapes->entries, read->key, (unsigned)strlen(read->key), entry);
    if (!entry)
        return;
    entry->is_reading = false;
    if (read->rc < 0) {
        take_failure(shapes, entry, read);
        return;
    }
    entry->delay_ms = 0;
    entry->read_due_ms = now_ms(shapes) + SHAPES_FRESH_MS;
    free(entry->identity);
    entry->identity = TAKE(read->identity);
    entry_keep(shapes, entry, &read->shape, &read->projector);
    entry_set(shapes, entry, SHAPE_KNOWN, NULL);
}

/* ---- entries ---- */

bool entry_is_wanted(const struct shapes *shapes, const struct entry *entry)
{
    return entry->is_used || now_ms(shapes) - entry->asked_ms < SHAPES_ASKED_MS;
}

static void entry_free(struct entry *entry)
{
    model_shape_fini(&entry->shape);
    model_shape_fini(&entry->projector);
    shape_answers_fini(&entry->answers);
    int_list_fini(&entry->shown.present_on);
    int_list_fini(&entry->shown.absent_on);
    free(entry->key);
    free(entry->message);
    free(entry->identity);
    free(entry);
}

/* Where the model's files are; NULL: it names none. Returns owned. */
static char *key_of(const struct model *model)
{
    const char *place = NULL, *file = NULL, *prefix = "";
    switch ((enum model_source)model->source) {
    case MODEL_HUGGINGFACE:
        prefix = "hf:";
        place = model->huggingface_repo_id;
        file = model->huggingface_filename;
        break;
    case MODEL_MODEL_SCOPE:
        prefix = "ms:";
        place = model->model_scope_model_id;
        file = model->model_scope_file_path;
        break;
    case MODEL_LOCAL_PATH:
        prefix = "path:";
        place = model->local_path && model->local_path[0] == '/' ? model->local_path : NULL;
        break;
    case MODEL_SOURCE_COUNT:
        break;
    }
    if (!place || !*place)
        return NULL;
    const bool has_file = file && *file;
    return mem_printf("%s%s%s%s", prefix, place, has_file ? "/" : "", has_file ? file : "");
}

static bool take_flag(bool *flag)
{
    const bool was = *flag;
    *flag = false;
    return was;
}

static void look_at_workers(struct shapes *shapes)
{
    if (take_flag(&shapes->are_workers_due))
        local_look_at_workers(shapes);
}

static struct entry *add_entry(struct shapes *shapes, char *key)
{
    struct entry *entry = mem_alloc(sizeof *entry);
    entry->key = key;
    entry->shown.key = key;
    entry->shown.is_local = str_has_prefix(str_of(key), STR("path:"));
    entry->asked_ms = entry->read_due_ms = now_ms(shapes);
    HASH_ADD_KEYPTR(hh, shapes->entries, entry->key, strlen(entry->key), entry);
    load_row(shapes, entry);
    if (!entry->has_shape)
        take_stated(shapes, entry);
    if (entry->shown.is_local) {
        look_at_workers(shapes);
        shapes->are_questions_due = true;
        local_judge(shapes, entry);
        shapes->params.wake(shapes->params.ctx);
    }
    return entry;
}

static struct entry *refuse(struct shapes *shapes, const char *why)
{
    struct entry *nothing = &shapes->nothing;
    mem_replace(&nothing->message, why);
    nothing->shown = (struct shape_entry){
        .key = "", .state = SHAPE_MISSING, .message = nothing->message, .is_local = true};
    return nothing;
}

static struct entry *get_entry(struct shapes *shapes, const struct model *model)
{
    auto_free char *key = key_of(model);
    struct entry *entry = NULL;
    if (!key)
        return refuse(shapes, "the model names no files");
    HASH_FIND(hh, shapes->entries, key, (unsigned)strlen(key), entry);
    if (!entry && strlen(key) > MODEL_METADATA_KEY_MAX)
        return refuse(shapes, "the model's path is too long");
    if (!entry && HASH_COUNT(shapes->entries) >= SHAPES_MAX)
        return refuse(shapes, "too many models are looked at already");
    return entry ? entry : add_entry(shapes, TAKE(key));
}

const struct shape_entry *shapes_of(struct shapes *shapes, const struct model *model)
{
    struct entry *entry = get_entry(shapes, model);
    if (entry == &shapes->nothing)
        return &entry->shown;
    entry->asked_ms = now_ms(shapes);
    if (entry->shown.is_local && !entry->is_question)
        shapes->are_questions_due = true;
    read_hub(shapes, entry);
    return &entry->shown;
}

const struct shape_entry *shapes_peek(const struct shapes *shapes, const struct model *model)
{
    auto_free char *key = key_of(model);
    struct entry *entry = NULL;
    if (key)
        HASH_FIND(hh, shapes->entries, key, (unsigned)strlen(key), entry);
    return entry ? &entry->shown : NULL;
}

static int compare_keys(const void *a, const void *b)
{
    const struct shape_entry *const *one = a, *const *other = b;
    return strcmp((*one)->key, (*other)->key);
}

const struct shape_entry **shapes_list(struct shapes *shapes, size_t *ret_count)
{
    const struct shape_entry **list =
        mem_alloc_array(HASH_COUNT(shapes->entries) + 1, sizeof *list);
    struct entry *entry, *next;
    *ret_count = 0;
    HASH_ITER(hh, shapes->entries, entry, next)
        list[(*ret_count)++] = &entry->shown;
    qsort(list, *ret_count, sizeof *list, compare_keys);
    return list;
}

const struct shape_answers *shapes_answers_of(const struct shape_entry *shown)
{
    const char *entry = (const char *)shown - offsetof(struct entry, shown);
    return &((const struct entry *)(const void *)entry)->answers;
}

/* ---- turns ---- */

void shapes_note_change(struct shapes *shapes, enum kind kind)
{
    shapes->are_models_due = shapes->are_models_due || kind == KIND_MODEL;
    shapes->are_workers_due = shapes->are_workers_due || kind == KIND_WORKER;
}

/* Every model's files are in the catalogue, asked for or not: placement will want to know. */
static void look_at_models(struct shapes *shapes)
{
    struct entry *entry, *next;
    HASH_ITER(hh, shapes->entries, entry, next)
        entry->is_used = false;
    CLUSTER_FOR_EACH(shapes->params.cluster, KIND_MODEL, struct model, model) {
        entry = get_entry(shapes, model);
        entry->is_used = true;
        read_hub(shapes, entry);
    }
    shapes->are_questions_due = true;
}

static void tell_models(struct shapes *shapes, struct id_set *models)
{
    CLUSTER_FOR_EACH(shapes->params.cluster, KIND_MODEL, struct model, model) {
        if (get_entry(shapes, model)->is_news)
            id_set_add(models, model->id);
    }
    struct entry *entry, *next;
    HASH_ITER(hh, shapes->entries, entry, next)
        entry->is_news = false;
}

bool shapes_settle(struct shapes *shapes, struct id_set *models)
{
    look_at_workers(shapes);
    if (take_flag(&shapes->are_models_due))
        look_at_models(shapes);
    if (shapes->are_questions_due)
        local_choose_questions(shapes);
    if (!take_flag(&shapes->has_news))
        return false;
    shapes->are_waits_due = true;
    tell_models(shapes, models);
    return true;
}

bool shapes_have_news(const struct shapes *shapes)
{
    return shapes->has_news;
}

/* ---- time ---- */

/* Reads what is due; forgets what nobody wants any more. */
static void look_at(struct shapes *shapes, struct entry *entry)
{
    if (!entry_is_wanted(shapes, entry) && !entry->is_reading) {
        HASH_DEL(shapes->entries, entry);
        if (entry->is_question)
            local_choose_questions(shapes);
        entry_free(entry);
        return;
    }
    read_hub(shapes, entry);
    refresh_row(shapes, entry);
}

static void on_tick(struct timer *timer, void *ctx)
{
    struct shapes *shapes = ctx;
    struct entry *entry, *next;
    HASH_ITER(hh, shapes->entries, entry, next)
        look_at(shapes, entry);
    if (shapes->is_questions_news)
        shapes->params.wake(shapes->params.ctx);
    timer_start(timer, TICK_MS);
}

struct shapes *shapes_new(const struct shapes_params *params)
{
    struct shapes *shapes = mem_alloc(sizeof *shapes);
    shapes->params = *params;
    shapes->are_models_due = shapes->are_workers_due = true;
    list_init(&shapes->waits);
    timer_init(&shapes->tick, params->loop, on_tick, shapes);
    timer_start(&shapes->tick, TICK_MS);
    return shapes;
}

void shapes_free(struct shapes *shapes)
{
    if (!shapes)
        return;
    timer_stop(&shapes->tick);
    waits_end(shapes);
    struct entry *entry, *next;
    HASH_ITER(hh, shapes->entries, entry, next) {
        HASH_DEL(shapes->entries, entry);
        entry_free(entry);
    }
    free(shapes->nothing.message);
    int_list_fini(&shapes->askable);
    free(shapes);
}
