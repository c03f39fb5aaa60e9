/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/inspections.h"

#include "io/detached.h"

#include <stdio.h>

struct item;

/* One look at a path. While its thread works, all but `item` is the thread's. */
struct look {
    struct item *item;
    void (*inspect)(const struct inspection_request *request, struct inspection *ret);
    char *path;
    bool wants_shape;
    char *known_identity;
    struct inspection found;
};

struct item {
    struct list_node node;
    struct inspections *owner;
    char *path;               /* owned */
    bool is_wanted;           /* false: only the end of its look is waited for */
    bool wants_shape;
    bool is_found;            /* `found` tells what was seen */
    struct inspection found;
    int64_t due_ms;           /* loop time of the next look */
    struct detached_job *job; /* NULL: none is under way */
    int64_t started_ms;
    bool is_stuck;            /* its look takes too long: others go on */
};

struct inspections {
    struct inspections_params params;
    struct list_node items; /* struct item, in the order of the wishes */
    struct timer timer;
    struct item *current;   /* the one that is looked at; NULL: none, or none but stuck ones */
    unsigned stuck_count;
};

static int64_t now_ms(const struct inspections *inspections)
{
    return loop_now_ms(inspections->params.loop);
}

/* ---- what was found ---- */

/* Whether what the files are made of was read, with whatever result. */
static bool has_read(const struct item *item)
{
    const struct inspection *found = &item->found;
    return item->is_found &&
           (found->shape || (found->state == INSPECTION_UNREADABLE && *found->identity));
}

static bool is_same_text(const char *a, const char *b)
{
    return str_eq(str_of(a), str_of(b));
}

/* The content that was read before wasn't read again: what was found in it holds on. */
static void keep_read(struct item *item, struct inspection *fresh)
{
    struct inspection *known = &item->found;
    if (!has_read(item) || fresh->was_read || fresh->state != INSPECTION_PRESENT ||
        !is_same_text(known->identity, fresh->identity))
        return;
    fresh->state = known->state;
    mem_replace(&fresh->message, known->message);
    fresh->shape = TAKE(known->shape);
    fresh->projector = TAKE(known->projector);
}

/* Takes the content of `fresh`; whether a report says something else now. */
static bool take(struct item *item, struct inspection *fresh)
{
    const struct inspection *known = &item->found;
    const bool had_shape = known->shape != NULL;
    keep_read(item, fresh);
    const bool is_news = !item->is_found || known->state != fresh->state ||
                         !is_same_text(known->identity, fresh->identity) ||
                         !is_same_text(known->message, fresh->message) ||
                         (fresh->shape && !had_shape);
    inspection_fini(&item->found);
    item->found = *fresh;
    item->is_found = true;
    *fresh = (struct inspection){0};
    return is_news;
}

/* It can't be found out now. */
static void give_up(struct item *item, const char *why)
{
    struct inspection fresh = {0};
    inspection_fail(&fresh, why);
    if (take(item, &fresh))
        item->owner->params.on_change(item->owner->params.ctx);
}

/* ---- looking ---- */

static void look_free(void *arg)
{
    struct look *look = arg;
    inspection_fini(&look->found);
    free(look->path);
    free(look->known_identity);
    free(look);
}

static void item_free(struct item *item)
{
    list_remove(&item->node);
    inspection_fini(&item->found);
    free(item->path);
    free(item);
}

static void on_thread(void *arg)
{
    struct look *look = arg;
    const struct inspection_request request = {.path = look->path,
                                               .wants_shape = look->wants_shape,
                                               .known_identity = look->known_identity};
    look->inspect(&request, &look->found);
}

static void go_on(struct inspections *inspections);

/* It isn't looked at any more. */
static void end_look(struct item *item)
{
    struct inspections *inspections = item->owner;
    item->job = NULL;
    if (item->is_stuck)
        inspections->stuck_count--;
    else
        inspections->current = NULL;
    item->is_stuck = false;
}

static void on_done(void *arg)
{
    struct look *look = arg;
    struct item *item = look->item;
    struct inspections *inspections = item->owner;
    end_look(item);
    if (!item->is_wanted) {
        item_free(item);
    } else {
        item->due_ms = now_ms(inspections) + inspections->params.again_ms;
        if (take(item, &look->found))
            inspections->params.on_change(inspections->params.ctx);
        if (item->wants_shape && !look->wants_shape && !has_read(item))
            item->due_ms = now_ms(inspections); /* that was asked for meanwhile */
    }
    look_free(look);
    go_on(inspections);
}

static void begin(struct inspections *inspections, struct item *item)
{
    static const struct detached_ops ops = {
        .work = on_thread, .done = on_done, .drop = look_free};
    struct look *look = mem_alloc(sizeof *look);
    struct err err = {0};
    look->item = item;
    look->inspect = inspections->params.inspect;
    look->path = mem_strdup(item->path);
    look->wants_shape = item->wants_shape;
    look->known_identity = mem_strdup(has_read(item) ? item->found.identity : NULL);
    item->due_ms = now_ms(inspections) + inspections->params.again_ms;
    if (detached_job_start(inspections->params.loop, &ops, look, &item->job, &err) < 0) {
        look_free(look);
        give_up(item, err.text);
        return;
    }
    item->started_ms = now_ms(inspections);
    inspections->current = item;
}

/* ---- which is next ---- */

/* The one that has been due for longest, or is due first. */
static struct item *next_item(struct inspections *inspections)
{
    struct item *next = NULL;
    LIST_FOR_EACH(struct item, item, &inspections->items, node) {
        if (item->is_wanted && !item->job && (!next || item->due_ms < next->due_ms))
            next = item;
    }
    return next;
}

/* What was never seen isn't waited for any longer. */
static void refuse_others(struct inspections *inspections)
{
    auto_free char *why = mem_printf("%d other paths don't answer: nothing more is looked at until "
                                     "one does",
                                     INSPECTIONS_STUCK_MAX);
    LIST_FOR_EACH(struct item, item, &inspections->items, node) {
        if (item->is_wanted && !item->is_found)
            give_up(item, why);
    }
}

static void leave_alone(struct inspections *inspections)
{
    struct item *item = inspections->current;
    auto_free char *why =
        mem_printf("takes longer than %lld s", (long long)inspections->params.stuck_ms / 1000);
    inspections->current = NULL;
    inspections->stuck_count++;
    item->is_stuck = true;
    give_up(item, why);
}

/* Begins what is due; the timer wakes for what comes next. */
static void go_on(struct inspections *inspections)
{
    struct item *next;
    timer_stop(&inspections->timer);
    while (!inspections->current && inspections->stuck_count < INSPECTIONS_STUCK_MAX &&
           (next = next_item(inspections)) && next->due_ms <= now_ms(inspections))
        begin(inspections, next);
    if (inspections->stuck_count == INSPECTIONS_STUCK_MAX) {
        refuse_others(inspections);
        return;
    }
    next = next_item(inspections);
    const int64_t due_ms = inspections->current
                               ? inspections->current->started_ms + inspections->params.stuck_ms
                           : next ? next->due_ms
                                  : INT64_MAX;
    if (due_ms < INT64_MAX)
        timer_start(&inspections->timer,
                    due_ms > now_ms(inspections) ? due_ms - now_ms(inspections) : 0);
}

static void on_due(struct timer *timer, void *ctx)
{
    (void)timer;
    struct inspections *inspections = ctx;
    const struct item *current = inspections->current;
    if (current && now_ms(inspections) - current->started_ms >= inspections->params.stuck_ms)
        leave_alone(inspections);
    go_on(inspections);
}

/* ---- wishes ---- */

static struct item *get_item(struct inspections *inspections, const char *path)
{
    LIST_FOR_EACH(struct item, known, &inspections->items, node) {
        if (strcmp(known->path, path) == 0)
            return known;
    }
    struct item *item = mem_alloc(sizeof *item);
    item->owner = inspections;
    item->path = mem_strdup(path);
    item->due_ms = now_ms(inspections);
    list_add_tail(&inspections->items, &item->node);
    return item;
}

static void want(struct inspections *inspections, const struct desired_inspection *wish)
{
    struct item *item = get_item(inspections, wish->path);
    list_remove(&item->node);
    list_add_tail(&inspections->items, &item->node);
    item->is_wanted = true;
    if (wish->shape && !item->wants_shape && !has_read(item))
        item->due_ms = now_ms(inspections);
    item->wants_shape = wish->shape;
    if (!wish->shape) { /* control has it */
        free(TAKE(item->found.shape));
        free(TAKE(item->found.projector));
    }
}

void inspections_want(struct inspections *inspections, const struct desired_inspection *wanted,
                      size_t count)
{
    LIST_FOR_EACH(struct item, known, &inspections->items, node)
        known->is_wanted = false;
    for (size_t i = 0; i < count; i++)
        want(inspections, &wanted[i]);
    LIST_FOR_EACH(struct item, item, &inspections->items, node) {
        if (!item->is_wanted && !item->job)
            item_free(item);
    }
    go_on(inspections);
}

/* ---- reports ---- */

static void write_item(const struct item *item, size_t *room, struct json_writer *w)
{
    const struct inspection *found = &item->found;
    const size_t bytes = str_of(found->shape).len + str_of(found->projector).len;
    json_begin_object(w);
    json_put_string(w, "path", item->path);
    json_put_string(w, "state", inspection_state_name(found->state));
    json_put_string(w, "message", found->message);
    json_put_int(w, "bytes", (int64_t)found->bytes);
    json_put_string(w, "identity", found->identity);
    json_add_key(w, "storage");
    json_add_raw(w, found->storage ? str_of(found->storage) : STR("null"));
    if (found->shape && bytes <= *room) {
        *room -= bytes;
        json_add_key(w, "shape");
        json_add_raw(w, str_of(found->shape));
        json_add_key(w, "projector");
        json_add_raw(w, found->projector ? str_of(found->projector) : STR("null"));
    }
    json_end_object(w);
}

void inspections_write_report(const struct inspections *inspections, struct json_writer *w)
{
    size_t room = INSPECTIONS_REPORT_BYTES;
    json_begin_array(w);
    LIST_FOR_EACH(const struct item, item, &inspections->items, node) {
        if (item->is_wanted && item->is_found)
            write_item(item, &room, w);
    }
    json_end_array(w);
}

/* ---- life ---- */

struct inspections *inspections_new(const struct inspections_params *params)
{
    struct inspections *inspections = mem_alloc(sizeof *inspections);
    inspections->params = *params;
    if (!params->stuck_ms)
        inspections->params.stuck_ms = INSPECTIONS_STUCK_MS;
    if (!params->again_ms)
        inspections->params.again_ms = INSPECTIONS_AGAIN_MS;
    if (!params->inspect)
        inspections->params.inspect = inspect_path;
    list_init(&inspections->items);
    timer_init(&inspections->timer, params->loop, on_due, inspections);
    return inspections;
}

void inspections_free(struct inspections *inspections)
{
    if (!inspections)
        return;
    timer_stop(&inspections->timer);
    LIST_FOR_EACH(struct item, item, &inspections->items, node) {
        detached_job_abandon(item->job);
        item_free(item);
    }
    free(inspections);
}
