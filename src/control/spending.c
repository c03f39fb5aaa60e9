/* SPDX-License-Identifier: Apache-2.0 */
#include "control/spending.h"

#include <assert.h>

#define uthash_fatal(text) abort()
#define HASH_FUNCTION HASH_SAX /* the default one falls through cases without a mark */
#include <uthash.h>

const char *const spending_subject_names[SPENDING_SUBJECT_COUNT] = {
    [SPENDING_KEY] = "key", [SPENDING_USER] = "user", [SPENDING_MODEL] = "model"};

struct spending_key {
    int64_t subject, id;
};

struct spending_entry {
    struct spending_key key;
    UT_hash_handle hh;
    struct list_node wanting, news;
    int period; /* enum budget_period */
    int64_t start_ms, end_ms;
    int64_t tokens;           /* while it is being loaded: those on top of the sums */
    struct usage_sums *loads; /* borrowed; NULL: loaded, or wanting */
};

void spending_init(struct spending *spending)
{
    *spending = (struct spending){0};
    list_init(&spending->wanting);
    list_init(&spending->news);
}

/* ---- entries ---- */

static struct spending_entry *find(const struct spending *spending, enum spending_subject subject,
                                   int64_t id)
{
    const struct spending_key key = {.subject = subject, .id = id};
    struct spending_entry *entry = NULL;
    HASH_FIND(hh, spending->entries, &key, sizeof key, entry);
    return entry;
}

static void drop(struct spending *spending, struct spending_entry *entry)
{
    HASH_DEL(spending->entries, entry);
    list_remove(&entry->wanting);
    list_remove(&entry->news);
    free(entry);
}

void spending_fini(struct spending *spending)
{
    struct spending_entry *entry, *next;
    HASH_ITER(hh, spending->entries, entry, next)
    drop(spending, entry);
}

static bool is_counting(const struct spending_entry *entry)
{
    return !list_is_linked(&entry->wanting);
}

static bool is_loaded(const struct spending_entry *entry)
{
    return is_counting(entry) && !entry->loads;
}

/* The entry has to be loaded for the period that holds `now_ms`. */
static void begin_period(struct spending *spending, struct spending_entry *entry, int64_t now_ms)
{
    entry->start_ms = budget_period_start(entry->period, now_ms);
    entry->end_ms = budget_period_end(entry->period, now_ms);
    entry->loads = NULL;
    list_remove(&entry->news);
    list_remove(&entry->wanting);
    list_add_tail(&spending->wanting, &entry->wanting);
}

void spending_set(struct spending *spending, enum spending_subject subject, int64_t id,
                  const struct limits *limits, int64_t now_ms)
{
    struct spending_entry *entry = find(spending, subject, id);
    bool has_budget = limits && limits->token_budget;
    if (entry && (!has_budget || entry->period == limits->budget_period)) {
        if (!has_budget)
            drop(spending, entry);
        return;
    }
    if (!has_budget)
        return;
    if (!entry) {
        entry = mem_alloc(sizeof *entry);
        entry->key = (struct spending_key){.subject = subject, .id = id};
        HASH_ADD(hh, spending->entries, key, sizeof entry->key, entry);
    }
    entry->period = limits->budget_period;
    begin_period(spending, entry, now_ms);
}

/* ---- periods ---- */

void spending_turn_over(struct spending *spending, int64_t now_ms)
{
    struct spending_entry *entry, *next;
    HASH_ITER(hh, spending->entries, entry, next)
    {
        if (entry->end_ms <= now_ms)
            begin_period(spending, entry, now_ms);
    }
}

int64_t spending_next_end(const struct spending *spending)
{
    int64_t end_ms = INT64_MAX;
    for (const struct spending_entry *entry = spending->entries; entry; entry = entry->hh.next)
        if (entry->end_ms < end_ms)
            end_ms = entry->end_ms;
    return end_ms;
}

/* ---- counting ---- */

static void note_news(struct spending *spending, struct spending_entry *entry)
{
    if (!list_is_linked(&entry->news))
        list_add_tail(&spending->news, &entry->news);
}

static void add_tokens(struct spending *spending, enum spending_subject subject, int64_t id,
                       const struct usage *usage)
{
    struct spending_entry *entry = find(spending, subject, id);
    if (!entry || !is_counting(entry) || usage->started_ms < entry->start_ms)
        return;
    entry->tokens += usage_tokens(usage);
    if (is_loaded(entry))
        note_news(spending, entry);
}

void spending_add(struct spending *spending, const struct usage_batch *batch)
{
    for (size_t i = 0; spending->entries && i < batch->count; i++) {
        const struct usage *usage = &batch->records[i];
        add_tokens(spending, SPENDING_KEY, usage->key_id, usage);
        add_tokens(spending, SPENDING_USER, usage->user_id, usage);
        add_tokens(spending, SPENDING_MODEL, usage->model_id, usage);
    }
}

/* ---- loading ---- */

/* Sums by hour are needed only where a day's would tell too much. */
static bool is_hourly(const struct spending_entry *entry)
{
    return entry->period == BUDGET_HOUR;
}

struct usage_sums *spending_begin_load(struct spending *spending)
{
    const struct spending_entry *first =
        LIST_FIRST(&spending->wanting, struct spending_entry, wanting);
    if (!first)
        return NULL;
    struct usage_sums *sums = mem_alloc(sizeof *sums);
    sums->start_ms = first->start_ms;
    sums->is_hourly = is_hourly(first);
    LIST_FOR_EACH(struct spending_entry, entry, &spending->wanting, wanting) {
        if (entry->start_ms != sums->start_ms || is_hourly(entry) != sums->is_hourly)
            continue;
        list_remove(&entry->wanting);
        entry->loads = sums;
        entry->tokens = 0;
    }
    return sums;
}

static void add_sum(struct spending *spending, enum spending_subject subject, int64_t id,
                    const struct usage_sums *sums, int64_t tokens)
{
    struct spending_entry *entry = find(spending, subject, id);
    if (entry && entry->loads == sums)
        entry->tokens += tokens;
}

void spending_end_load(struct spending *spending, struct usage_sums *sums)
{
    for (size_t i = 0; i < sums->count; i++) {
        const struct usage_sum *sum = &sums->items[i];
        add_sum(spending, SPENDING_KEY, sum->key_id, sums, sum->tokens);
        add_sum(spending, SPENDING_USER, sum->user_id, sums, sum->tokens);
        add_sum(spending, SPENDING_MODEL, sum->model_id, sums, sum->tokens);
    }
    struct spending_entry *entry, *next;
    HASH_ITER(hh, spending->entries, entry, next)
    {
        if (entry->loads != sums)
            continue;
        entry->loads = NULL;
        note_news(spending, entry);
    }
    usage_sums_fini(sums);
    free(sums);
}

/* ---- telling ---- */

static struct spent spent_of(const struct spending_entry *entry)
{
    return (struct spent){.subject = (enum spending_subject)entry->key.subject,
                          .id = entry->key.id,
                          .start_ms = entry->start_ms,
                          .tokens = entry->tokens};
}

void spending_take_news(struct spending *spending, spent_cb *each, void *ctx)
{
    LIST_FOR_EACH(struct spending_entry, entry, &spending->news, news) {
        const struct spent spent = spent_of(entry);
        list_remove(&entry->news);
        each(&spent, ctx);
    }
}

void spending_each(const struct spending *spending, spent_cb *each, void *ctx)
{
    for (const struct spending_entry *entry = spending->entries; entry; entry = entry->hh.next) {
        const struct spent spent = spent_of(entry);
        if (is_loaded(entry))
            each(&spent, ctx);
    }
}
