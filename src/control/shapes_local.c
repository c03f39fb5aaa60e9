/* SPDX-License-Identifier: Apache-2.0 */
/* Paths on workers: what they are asked and what their answers mean. */
#include "control/shapes_priv.h"
#include "weights/shape_json.h"

#include <stdio.h>

/* Bytes that are taken of what a worker tells. */
enum { MESSAGE_MAX = 512, IDENTITY_MAX = 128, STORAGE_MAX = 16 << 10 };

#define PATH_PREFIX "path:"

/* ---- judging ---- */

void local_look_at_workers(struct shapes *shapes)
{
    const struct cluster *cluster = shapes->params.cluster;
    int_list_fini(&shapes->askable);
    CLUSTER_FOR_EACH(cluster, KIND_WORKER, struct worker, worker) {
        const bool is_in_contact =
            worker->state == WORKER_READY || worker->state == WORKER_MAINTENANCE;
        if (worker->inspects && is_in_contact)
            int_list_add(&shapes->askable, worker->id);
    }
    struct entry *entry, *next;
    HASH_ITER(hh, shapes->entries, entry, next) {
        if (!entry->shown.is_local)
            continue;
        shape_answers_drop_strangers(&entry->answers, cluster);
        local_judge(shapes, entry);
    }
}

static bool is_same_list(const struct int_list *a, const struct int_list *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->items, b->items, a->count * sizeof *a->items) == 0);
}

static void update_list(struct shapes *shapes, struct entry *entry, struct int_list *list,
                        struct int_list *fresh)
{
    if (!is_same_list(list, fresh))
        entry_note_news(shapes, entry);
    SWAP(*list, *fresh);
    int_list_fini(fresh);
}

void local_judge(struct shapes *shapes, struct entry *entry)
{
    const struct answers_view view = {.cluster = shapes->params.cluster,
                                      .askable = &shapes->askable,
                                      .has_shape = entry->has_shape,
                                      .reader_id = entry->reader_id,
                                      .identity = entry->identity};
    struct int_list present_on = {0}, absent_on = {0};
    char *message;
    shape_answers_list(&entry->answers, &present_on, &absent_on);
    update_list(shapes, entry, &entry->shown.present_on, &present_on);
    update_list(shapes, entry, &entry->shown.absent_on, &absent_on);
    enum shape_state state = shape_answers_judge(&entry->answers, &view, &message);
    const bool is_left_out = !entry->is_question && !shapes->are_questions_due;
    if (is_left_out && state == SHAPE_AWAITED) {
        state = SHAPE_UNASKED;
        message = mem_printf("workers are asked for %d paths at most", SHAPES_PATHS_MAX);
    }
    entry_set(shapes, entry, state, message);
    const int64_t reader_id = shape_answers_reader(&entry->answers, &view);
    if (reader_id != entry->asked_reader_id && entry->is_question)
        shapes->is_questions_news = true;
    entry->asked_reader_id = reader_id;
}

/* ---- questions ---- */

static void ask(struct shapes *shapes, struct entry *entry)
{
    if (shapes->question_count == SHAPES_PATHS_MAX)
        return;
    shapes->questions[shapes->question_count++] = entry;
    entry->is_question = true;
}

/* What models use goes before what somebody only wanted to know. */
void local_choose_questions(struct shapes *shapes)
{
    struct entry *before[SHAPES_PATHS_MAX];
    const size_t count_before = shapes->question_count;
    memcpy(before, shapes->questions, sizeof before);
    shapes->question_count = 0;
    struct entry *entry, *next;
    HASH_ITER(hh, shapes->entries, entry, next)
        entry->is_question = false;
    for (int is_used = 1; is_used >= 0; is_used--) {
        HASH_ITER(hh, shapes->entries, entry, next) {
            if (entry->shown.is_local && entry->is_used == is_used &&
                entry_is_wanted(shapes, entry))
                ask(shapes, entry);
        }
    }
    shapes->are_questions_due = false;
    if (count_before == shapes->question_count &&
        memcmp(before, shapes->questions, count_before * sizeof *before) == 0)
        return;
    shapes->is_questions_news = true;
    HASH_ITER(hh, shapes->entries, entry, next) {
        if (entry->shown.is_local)
            local_judge(shapes, entry);
    }
}

bool shapes_take_questions_news(struct shapes *shapes)
{
    if (shapes->are_questions_due)
        local_choose_questions(shapes);
    const bool is_news = shapes->is_questions_news;
    shapes->is_questions_news = false;
    return is_news;
}

void shapes_write_questions(struct shapes *shapes, int64_t worker_id, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_array(&w);
    for (size_t i = 0; i < shapes->question_count; i++) {
        const struct entry *entry = shapes->questions[i];
        json_begin_object(&w);
        json_put_string(&w, "path", entry->key + strlen(PATH_PREFIX));
        json_put_bool(&w, "shape", entry->asked_reader_id == worker_id);
        json_end_object(&w);
    }
    json_end_array(&w);
}

/* ---- answers ---- */

static struct entry *find_asked(struct shapes *shapes, const json_t *item)
{
    const char *path = json_member_string(item, "path");
    auto_free char *key = mem_printf(PATH_PREFIX "%s", path ? path : "");
    struct entry *entry = NULL;
    HASH_FIND(hh, shapes->entries, key, (unsigned)strlen(key), entry);
    return entry && entry->is_question ? entry : NULL;
}

static char *text_of(const json_t *item, const char *member, size_t max)
{
    const char *text = json_member_string(item, member);
    return text && *text ? mem_strndup(text, strnlen(text, max)) : NULL;
}

static int read_shapes(const json_t *item, struct model_shape *shape,
                       struct model_shape *projector, struct err *err)
{
    const json_t *beside = json_object_get(item, "projector");
    int rc = model_shape_read(json_object_get(item, "shape"), shape, err);
    if (rc == 0 && json_is_object(beside))
        rc = model_shape_read(beside, projector, err);
    if (rc < 0)
        model_shape_fini(shape);
    return rc;
}

/* What the worker has read becomes the entry's; a shape that can't be understood is its answer. */
static void take_shape(struct shapes *shapes, struct entry *entry, const json_t *item,
                       struct shape_answer *answer)
{
    struct model_shape shape = {0}, projector = {0};
    struct err err = {0};
    if (read_shapes(item, &shape, &projector, &err) < 0) {
        answer->state = ANSWER_UNREADABLE;
        answer->message = mem_printf("its program tells what the file is made of in another way: "
                                     "%s",
                                     err.text);
        return;
    }
    entry->reader_id = answer->worker_id;
    mem_replace(&entry->identity, answer->identity);
    entry_keep(shapes, entry, &shape, &projector);
}

/* JSON of the member `storage`, or NULL. Owned. */
static char *storage_of(const json_t *item)
{
    const json_t *storage = json_object_get(item, "storage");
    char *text = json_is_object(storage) ? json_dumps(storage, JSON_COMPACT) : NULL;
    if (text && strlen(text) <= STORAGE_MAX)
        return text;
    free(text);
    return NULL;
}

static void take_item(struct shapes *shapes, int64_t worker_id, const json_t *item)
{
    struct entry *entry = find_asked(shapes, item);
    struct shape_answer answer = {.worker_id = worker_id};
    if (!entry || answer_state_parse(json_member_string(item, "state"), &answer.state) < 0)
        return;
    answer.identity = text_of(item, "identity", IDENTITY_MAX);
    answer.identity = answer.identity ? answer.identity : mem_strdup("");
    answer.message = text_of(item, "message", MESSAGE_MAX);
    answer.bytes = json_member_int(item, "bytes", 0);
    answer.bytes = answer.bytes > 0 ? answer.bytes : 0;
    answer.storage = storage_of(item);
    const bool has_shape = answer.state == ANSWER_PRESENT && json_object_get(item, "shape") &&
                           entry->asked_reader_id == worker_id;
    if (has_shape)
        take_shape(shapes, entry, item, &answer);
    if (shape_answers_take(&entry->answers, &answer) || has_shape)
        local_judge(shapes, entry);
}

void shapes_take_report(struct shapes *shapes, int64_t worker_id, const json_t *inspections)
{
    for (size_t i = 0; i < json_array_size(inspections) && i < SHAPES_PATHS_MAX; i++)
        take_item(shapes, worker_id, json_array_get(inspections, i));
    if (shapes->is_questions_news)
        shapes->params.wake(shapes->params.ctx);
}
