/* SPDX-License-Identifier: Apache-2.0 */
#include "control/shape_answers.h"

const char *const answer_state_names[ANSWER_STATE_COUNT] = {
    [ANSWER_PRESENT] = "present",
    [ANSWER_MISSING] = "missing",
    [ANSWER_UNREADABLE] = "unreadable",
    [ANSWER_FORBIDDEN] = "forbidden",
};

int answer_state_parse(const char *word, enum answer_state *ret)
{
    for (size_t i = 0; word && i < ANSWER_STATE_COUNT; i++) {
        if (strcmp(word, answer_state_names[i]) != 0)
            continue;
        *ret = (enum answer_state)i;
        return 0;
    }
    return ERR_INVALID;
}

static void answer_fini(struct shape_answer *answer)
{
    free(answer->identity);
    free(answer->message);
    free(answer->storage);
    *answer = (struct shape_answer){0};
}

void shape_answers_fini(struct shape_answers *answers)
{
    for (size_t i = 0; i < answers->count; i++)
        answer_fini(&answers->items[i]);
    free(answers->items);
    *answers = (struct shape_answers){0};
}

bool shape_answer_is_there(const struct shape_answer *answer)
{
    return answer->state == ANSWER_PRESENT ||
           (answer->state == ANSWER_UNREADABLE && *answer->identity);
}

/* ---- the answers ---- */

/* Index of the first answer of a worker with that id or a higher one. */
static size_t lower_bound(const struct shape_answers *answers, int64_t worker_id)
{
    size_t low = 0, high = answers->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (answers->items[middle].worker_id < worker_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct shape_answer *shape_answers_find(const struct shape_answers *answers,
                                              int64_t worker_id)
{
    const size_t at = lower_bound(answers, worker_id);
    const bool is_there = at < answers->count && answers->items[at].worker_id == worker_id;
    return is_there ? &answers->items[at] : NULL;
}

static bool is_same_text(const char *a, const char *b)
{
    return str_eq(str_of(a), str_of(b));
}

/* A worker that was only asked whether the file is there doesn't know that it can't be read. */
static bool knows_less(const struct shape_answer *fresh, const struct shape_answer *known)
{
    return fresh->state == ANSWER_PRESENT && known->state == ANSWER_UNREADABLE &&
           *known->identity && is_same_text(fresh->identity, known->identity);
}

static struct shape_answer *insert(struct shape_answers *answers, size_t at)
{
    if (answers->count == answers->cap) {
        answers->cap = answers->cap ? answers->cap * 2 : 4;
        answers->items = mem_resize(answers->items, answers->cap * sizeof *answers->items);
    }
    memmove(&answers->items[at + 1], &answers->items[at],
            (answers->count - at) * sizeof *answers->items);
    answers->count++;
    answers->items[at] = (struct shape_answer){0};
    return &answers->items[at];
}

bool shape_answers_take(struct shape_answers *answers, struct shape_answer *fresh)
{
    const size_t at = lower_bound(answers, fresh->worker_id);
    const bool is_known = at < answers->count && answers->items[at].worker_id == fresh->worker_id;
    struct shape_answer *row = is_known ? &answers->items[at] : insert(answers, at);
    const bool is_same = is_known && (knows_less(fresh, row) ||
                                      (row->state == fresh->state &&
                                       is_same_text(row->identity, fresh->identity) &&
                                       is_same_text(row->message, fresh->message)));
    if (is_same) { /* how much room there is is nobody's news */
        row->bytes = fresh->bytes;
        free(row->storage);
        row->storage = TAKE(fresh->storage);
        answer_fini(fresh);
        return false;
    }
    answer_fini(row);
    *row = *fresh;
    *fresh = (struct shape_answer){0};
    return true;
}

void shape_answers_drop_strangers(struct shape_answers *answers, const struct cluster *cluster)
{
    size_t kept = 0;
    for (size_t i = 0; i < answers->count; i++) {
        if (cluster_find(cluster, KIND_WORKER, answers->items[i].worker_id))
            answers->items[kept++] = answers->items[i];
        else
            answer_fini(&answers->items[i]);
    }
    answers->count = kept;
}

void shape_answers_list(const struct shape_answers *answers, struct int_list *present_on,
                        struct int_list *absent_on)
{
    int_list_fini(present_on);
    int_list_fini(absent_on);
    for (size_t i = 0; i < answers->count; i++) {
        const struct shape_answer *answer = &answers->items[i];
        if (shape_answer_is_there(answer))
            int_list_add(present_on, answer->worker_id);
        else if (answer->state != ANSWER_UNREADABLE)
            int_list_add(absent_on, answer->worker_id);
    }
}

/* ---- conclusions ---- */

static int compare_ids(const void *a, const void *b)
{
    const int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

static bool is_askable(const struct answers_view *view, int64_t worker_id)
{
    const struct int_list *list = view->askable;
    return list->count &&
           bsearch(&worker_id, list->items, list->count, sizeof *list->items, compare_ids);
}

/* Nobody can tell now: a file system that doesn't answer says nothing about the file. */
static bool is_unclear(const struct shape_answer *answer)
{
    return answer->state == ANSWER_UNREADABLE && !*answer->identity;
}

/* The first that could read it. */
static int64_t first_present(const struct shape_answers *answers, const struct answers_view *view)
{
    for (size_t i = 0; i < answers->count; i++)
        if (answers->items[i].state == ANSWER_PRESENT &&
            is_askable(view, answers->items[i].worker_id))
            return answers->items[i].worker_id;
    return 0;
}

/* Files of one path differ from worker to worker in their times at least: only the reader's own
 * tells of a change. */
int64_t shape_answers_reader(const struct shape_answers *answers,
                             const struct answers_view *view)
{
    if (!view->has_shape)
        return first_present(answers, view);
    const struct shape_answer *reader = shape_answers_find(answers, view->reader_id);
    if (reader ? is_unclear(reader)
               : cluster_find(view->cluster, KIND_WORKER, view->reader_id) != NULL)
        return 0; /* it hasn't spoken yet */
    if (!reader || reader->state != ANSWER_PRESENT)
        return first_present(answers, view);
    const bool is_changed = strcmp(reader->identity, view->identity) != 0;
    return is_changed && is_askable(view, view->reader_id) ? view->reader_id : 0;
}

/* How many answers there are of each kind, and one of the worst. */
struct tally {
    size_t counts[ANSWER_STATE_COUNT];
    size_t unanswered;                /* of those that can be asked */
    size_t unclear;
    const struct shape_answer *fault; /* of what is there and can't be read, else of what may not */
};

static struct tally tally(const struct shape_answers *answers, const struct answers_view *view)
{
    struct tally sum = {0};
    for (size_t i = 0; i < answers->count; i++) {
        const struct shape_answer *answer = &answers->items[i];
        sum.counts[answer->state]++;
        sum.unclear += is_unclear(answer);
        const bool is_worse = !sum.fault || (answer->state == ANSWER_UNREADABLE &&
                                             sum.fault->state != ANSWER_UNREADABLE);
        const bool is_fault =
            answer->state == ANSWER_UNREADABLE || answer->state == ANSWER_FORBIDDEN;
        if (answer->message && is_fault && is_worse)
            sum.fault = answer;
    }
    for (size_t i = 0; i < view->askable->count; i++)
        sum.unanswered += !shape_answers_find(answers, view->askable->items[i]);
    return sum;
}

static char *fault_text(const struct tally *sum, const struct answers_view *view)
{
    const struct worker *worker =
        sum->fault ? cluster_find(view->cluster, KIND_WORKER, sum->fault->worker_id) : NULL;
    return worker ? mem_printf("worker %s: %s", worker->name, sum->fault->message) : NULL;
}

/* Nobody has it. */
static char *missing_text(const struct shape_answers *answers, const struct tally *sum,
                          const struct answers_view *view)
{
    auto_free char *fault = fault_text(sum, view);
    const char *plural = answers->count == 1 ? "the one worker" : "any of the workers";
    return mem_printf("not on %s that %s asked%s%s", plural,
                      answers->count == 1 ? "was" : "were", fault ? "; " : "", fault ? fault : "");
}

enum shape_state shape_answers_judge(const struct shape_answers *answers,
                                     const struct answers_view *view, char **ret_message)
{
    const struct tally sum = tally(answers, view);
    const bool is_open = sum.counts[ANSWER_PRESENT] > 0 || sum.unanswered > 0;
    *ret_message = NULL;
    if (view->has_shape && (is_open || sum.unclear > 0 || answers->count == 0))
        return SHAPE_KNOWN;
    if (sum.unanswered > 0 || first_present(answers, view))
        return SHAPE_AWAITED;
    if (is_open || answers->count == 0) {
        *ret_message = mem_strdup(is_open ? "no worker that has it is in contact"
                                          : "no worker that can tell is in contact");
        return SHAPE_UNASKED;
    }
    if (sum.counts[ANSWER_UNREADABLE] > 0) {
        *ret_message = fault_text(&sum, view);
        return SHAPE_UNREADABLE;
    }
    *ret_message = missing_text(answers, &sum, view);
    return SHAPE_MISSING;
}
