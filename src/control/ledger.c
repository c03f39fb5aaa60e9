/* SPDX-License-Identifier: Apache-2.0 */
#include "control/ledger.h"

#include "base/log.h"
#include "control/subject_limits.h"
#include "control/turn_priv.h"

#include <assert.h>

enum { TURN_OVER_MAX_MS = 3600 * 1000 }; /* the wall clock may be set: look again after that */

struct mark {
    char *gateway; /* owned */
    int64_t applied;
};

struct ledger {
    struct control *control;
    struct store *store;
    struct mark *marks; /* owned */
    size_t mark_count;
    struct spending spending;
    struct list_node loads;  /* struct load under way */
    struct timer turn_over;  /* armed for the next period's end */
    struct timer expire;
    int64_t retention_ms;
    int64_t expired_count; /* of the last removal; the writer's while one is under way */
};

struct load {
    struct list_node node;
    struct ledger *ledger;
    struct usage_sums *sums; /* owned */
};

static struct mark *find_mark(struct ledger *ledger, const char *gateway)
{
    for (size_t i = 0; i < ledger->mark_count; i++)
        if (strcmp(ledger->marks[i].gateway, gateway) == 0)
            return &ledger->marks[i];
    return NULL;
}

static struct mark *add_mark(struct ledger *ledger, const char *gateway, int64_t applied)
{
    ledger->marks =
        mem_resize(ledger->marks, (ledger->mark_count + 1) * sizeof *ledger->marks);
    struct mark *mark = &ledger->marks[ledger->mark_count++];
    *mark = (struct mark){.gateway = mem_strdup(gateway), .applied = applied};
    return mark;
}

/* ---- telling ---- */

struct telling {
    struct ledger *ledger;
    const struct mark *mark;
};

static void tell_of_mark(const struct spent *spent, void *ctx)
{
    const struct telling *telling = ctx;
    const struct spending_line line = {
        .spent = *spent, .gateway = telling->mark->gateway, .applied = telling->mark->applied};
    control_tell_spending(telling->ledger->control, &line);
}

static void tell_of_all_marks(const struct spent *spent, void *ctx)
{
    struct telling telling = {.ledger = ctx};
    for (size_t i = 0; i < telling.ledger->mark_count; i++) {
        telling.mark = &telling.ledger->marks[i];
        tell_of_mark(spent, &telling);
    }
}

struct each_line {
    const struct mark *mark;
    void (*fn)(const struct spending_line *line, void *ctx);
    void *ctx;
};

static void each_of_mark(const struct spent *spent, void *ctx)
{
    const struct each_line *each = ctx;
    const struct spending_line line = {
        .spent = *spent, .gateway = each->mark->gateway, .applied = each->mark->applied};
    each->fn(&line, each->ctx);
}

void ledger_each_line(const struct ledger *ledger,
                      void (*each)(const struct spending_line *line, void *ctx), void *ctx)
{
    for (size_t i = 0; i < ledger->mark_count; i++) {
        struct each_line one = {.mark = &ledger->marks[i], .fn = each, .ctx = ctx};
        spending_each(&ledger->spending, each_of_mark, &one);
    }
}

/* ---- loading sums ---- */

static void arm_turn_over(struct ledger *ledger)
{
    int64_t end_ms = spending_next_end(&ledger->spending);
    if (end_ms == INT64_MAX) {
        timer_stop(&ledger->turn_over);
        return;
    }
    int64_t left_ms = end_ms - control_now_ms(ledger->control);
    timer_start(&ledger->turn_over, left_ms < 0                  ? 0
                                    : left_ms > TURN_OVER_MAX_MS ? TURN_OVER_MAX_MS
                                                                 : left_ms);
}

/* The turn that asked for the sums is durable. */
static void on_loaded(void *ctx)
{
    struct load *load = ctx;
    struct ledger *ledger = load->ledger;
    list_remove(&load->node);
    spending_end_load(&ledger->spending, load->sums);
    free(load);
    spending_take_news(&ledger->spending, tell_of_all_marks, ledger);
}

/* Asks for the sums in the present turn, behind the batches that it has so far. */
static void start_loads(struct ledger *ledger)
{
    struct usage_sums *sums;
    bool has_begun = false;
    while ((sums = spending_begin_load(&ledger->spending))) {
        struct load *load = mem_alloc(sizeof *load);
        *load = (struct load){.ledger = ledger, .sums = sums};
        list_add_tail(&ledger->loads, &load->node);
        store_txn_sum_usage(control_turn_txn(ledger->control), sums);
        control_when_durable(ledger->control, on_loaded, load);
        has_begun = true;
    }
    if (has_begun)
        arm_turn_over(ledger);
}

static void on_turn_over(struct timer *timer, void *ctx)
{
    struct ledger *ledger = ctx;
    spending_turn_over(&ledger->spending, control_now_ms(ledger->control));
    start_loads(ledger);
    arm_turn_over(ledger);
}

static void set_limits(struct ledger *ledger, enum kind kind, const void *record, bool is_delete)
{
    enum spending_subject subject = SPENDING_SUBJECT_COUNT;
    const struct limits *limits = subject_limits(kind, record, &subject);
    if (subject != SPENDING_SUBJECT_COUNT)
        spending_set(&ledger->spending, subject, record_id(record), is_delete ? NULL : limits,
                     control_now_ms(ledger->control));
}

void ledger_note_change(struct ledger *ledger, enum kind kind, const void *record, bool is_delete)
{
    set_limits(ledger, kind, record, is_delete);
    start_loads(ledger);
}

/* ---- taking batches ---- */

/* Names last as long as their objects; records outlive them. */
static void note_names(const struct cluster *cluster, struct usage *usage)
{
    const struct user *user = cluster_find(cluster, KIND_USER, usage->user_id);
    const struct api_key *key = cluster_find(cluster, KIND_API_KEY, usage->key_id);
    mem_replace(&usage->user_name, user ? user->username : NULL);
    mem_replace(&usage->key_name, key ? key->name : NULL);
}

int64_t ledger_take(struct ledger *ledger, struct usage_batch *batch)
{
    struct store_txn *txn = control_turn_txn(ledger->control); /* even for nothing: what the answer
                                                                  tells may still be on its way */
    struct mark *mark = find_mark(ledger, batch->gateway);
    usage_batch_drop(batch, mark ? mark->applied : 0);
    if (batch->count == 0) {
        usage_batch_fini(batch);
        return mark ? mark->applied : 0;
    }
    if (!mark)
        mark = add_mark(ledger, batch->gateway, 0);
    mark->applied = batch->records[batch->count - 1].seq;
    for (size_t i = 0; i < batch->count; i++)
        note_names(control_cluster(ledger->control), &batch->records[i]);
    spending_add(&ledger->spending, batch);
    store_txn_add_usage(txn, batch);
    struct telling telling = {.ledger = ledger, .mark = mark};
    spending_take_news(&ledger->spending, tell_of_mark, &telling);
    return mark->applied;
}

/* ---- reading ---- */

void ledger_read_usage(struct ledger *ledger, struct usage_query *query, store_report_cb *done,
                       void *ctx)
{
    store_read_usage(ledger->store, query, done, ctx);
}

void ledger_read_records(struct ledger *ledger, struct usage_records_query *query,
                         store_records_cb *done, void *ctx)
{
    store_read_records(ledger->store, query, done, ctx);
}

/* ---- old records ---- */

static void on_expired(void *ctx)
{
    struct ledger *ledger = ctx;
    if (ledger->expired_count)
        log_info("usage", "removed %lld records that were too old; their sums stay",
                 (long long)ledger->expired_count);
    bool has_more = ledger->expired_count == USAGE_EXPIRE_MAX;
    timer_start(&ledger->expire, has_more ? LEDGER_EXPIRE_MORE_MS : LEDGER_EXPIRE_MS);
}

static void on_expire(struct timer *timer, void *ctx)
{
    struct ledger *ledger = ctx;
    store_txn_expire_usage(control_turn_txn(ledger->control),
                           control_now_ms(ledger->control) - ledger->retention_ms,
                           &ledger->expired_count);
    control_when_durable(ledger->control, on_expired, ledger);
}

/* ---- life ---- */

static void load_mark(const char *uuid, int64_t applied, void *ctx)
{
    add_mark(ctx, uuid, applied);
}

static void set_all_limits(struct ledger *ledger)
{
    const struct cluster *cluster = control_cluster(ledger->control);
    for (int kind = 0; kind < KIND_COUNT; kind++)
        for (size_t i = 0; i < cluster->tables[kind].count; i++)
            set_limits(ledger, (enum kind)kind, cluster->tables[kind].rows[i], false);
}

static int load_sums(struct ledger *ledger, struct err *err)
{
    struct usage_sums *sums;
    int rc = 0;
    while (rc == 0 && (sums = spending_begin_load(&ledger->spending))) {
        rc = store_load_sums(ledger->store, sums, err);
        spending_end_load(&ledger->spending, sums);
    }
    return rc;
}

static void ignore_news(const struct spent *spent, void *ctx)
{
}

int ledger_new(struct control *control, struct store *store, int64_t retention_days,
               struct ledger **ret, struct err *err)
{
    struct ledger *ledger = mem_alloc(sizeof *ledger);
    ledger->control = control;
    ledger->store = store;
    ledger->retention_ms =
        (retention_days ? retention_days : LEDGER_RETENTION_DAYS) * 24 * 3600 * 1000;
    list_init(&ledger->loads);
    spending_init(&ledger->spending);
    timer_init(&ledger->turn_over, control_loop(control), on_turn_over, ledger);
    timer_init(&ledger->expire, control_loop(control), on_expire, ledger);
    int rc = store_load_gateways(store, load_mark, ledger, err);
    if (rc == 0) {
        set_all_limits(ledger);
        rc = load_sums(ledger, err);
    }
    if (rc < 0) {
        ledger_free(ledger);
        return rc;
    }
    spending_take_news(&ledger->spending, ignore_news, NULL); /* there is nobody yet to tell */
    *ret = ledger;
    return 0;
}

void ledger_start(struct ledger *ledger)
{
    arm_turn_over(ledger);
    timer_start(&ledger->expire, 0);
}

void ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return;
    timer_stop(&ledger->turn_over);
    timer_stop(&ledger->expire);
    LIST_FOR_EACH(struct load, load, &ledger->loads, node) {
        usage_sums_fini(load->sums);
        free(load->sums);
        free(load);
    }
    spending_fini(&ledger->spending);
    for (size_t i = 0; i < ledger->mark_count; i++)
        free(ledger->marks[i].gateway);
    free(ledger->marks);
    free(ledger);
}
