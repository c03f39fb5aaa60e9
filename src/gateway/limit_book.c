/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/limit_book.h"

/* Own records up to number `seq`. */
struct sum {
    uint64_t seq;
    int64_t tokens;
};

/* What makes up `taken` of a subject's budget. */
struct account {
    uint16_t epoch;       /* of the budget's period that the next two are about */
    int64_t told;         /* control's figure as it is in `taken` */
    unsigned count;
    uint64_t applied;     /* our records up to here are in control's figures */
    bool has_line;        /* `line` is the latest; it may still wait for the budget */
    struct spending line;
    struct sum recovered; /* of before our start, until they are counted; when they started: */
    int64_t recovered_ms;
    struct sum sums[LIMIT_BOOK_SUMS]; /* `count` of them, by seq */
};

struct item {
    int64_t key[2]; /* kind, id */
    struct limit_state *state; /* a reference */
    struct account *account;   /* owned; NULL: it never had a budget */
    bool is_told;              /* since the last reset, and not forgotten */
};

/* ---- subjects ---- */

static struct item *find(const struct limit_book *book, enum limit_kind kind, int64_t id)
{
    const int64_t key[2] = {(int64_t)kind, id};
    return map_get(&book->items, str_sub((const char *)key, sizeof key));
}

static struct item *find_or_add(struct limit_book *book, enum limit_kind kind, int64_t id)
{
    struct item *item = find(book, kind, id);
    if (item)
        return item;
    item = mem_alloc(sizeof *item);
    *item = (struct item){.key = {(int64_t)kind, id}, .state = limit_state_new()};
    map_put(&book->items, str_sub((const char *)item->key, sizeof item->key), item);
    return item;
}

static struct account *account_of(struct item *item)
{
    if (!item->account)
        item->account = mem_alloc(sizeof *item->account);
    return item->account;
}

static void item_free(struct item *item)
{
    limit_state_unref(item->state);
    free(item->account);
    free(item);
}

/* Drops who is gone. Slots move when one is removed, so they are collected first. */
static void clean_up(struct limit_book *book)
{
    struct item *item, **gone = mem_alloc_array(book->items.count, sizeof(struct item *));
    size_t count = 0;
    for (size_t i = 0; (item = map_next(&book->items, &i)) != NULL;)
        if (!item->is_told)
            gone[count++] = item;
    for (size_t i = 0; i < count; i++) {
        map_remove(&book->items, str_sub((const char *)gone[i]->key, sizeof gone[i]->key));
        item_free(gone[i]);
    }
    free(gone);
    book->stale = 0;
}

void limit_book_fini(struct limit_book *book)
{
    struct item *item;
    for (size_t i = 0; (item = map_next(&book->items, &i)) != NULL;)
        item_free(item);
    map_fini(&book->items);
    *book = (struct limit_book){0};
}

void limit_book_set_gateway(struct limit_book *book, const char *uuid)
{
    size_t len = strnlen(uuid, SPENDING_GATEWAY_MAX);
    memcpy(book->gateway, uuid, len);
    book->gateway[len] = '\0';
}

void limit_book_forget(struct limit_book *book, enum limit_kind kind, int64_t id)
{
    struct item *item = find(book, kind, id);
    if (!item || !item->is_told)
        return;
    item->is_told = false;
    if (++book->stale > LIMIT_BOOK_STALE_MAX && book->is_ready)
        clean_up(book);
}

void limit_book_reset(struct limit_book *book)
{
    struct item *item;
    for (size_t i = 0; (item = map_next(&book->items, &i)) != NULL;)
        item->is_told = false;
    book->is_ready = false;
}

/* ---- figures ---- */

/* A period that began since the last time began with nothing. Returns the period's start. */
static int64_t follow_period(struct account *account, struct budget *budget)
{
    struct budget_now now = budget_now(budget);
    if (now.epoch != account->epoch) {
        account->epoch = now.epoch;
        account->told = 0;
        account->count = 0;
    }
    return now.start_ms;
}

static void add_sum(struct account *account, uint64_t seq, int64_t tokens)
{
    if (account->count < LIMIT_BOOK_SUMS) {
        account->sums[account->count++] = (struct sum){seq, tokens};
        return;
    }
    struct sum *last = &account->sums[LIMIT_BOOK_SUMS - 1];
    last->tokens += tokens;
    if (seq > last->seq)
        last->seq = seq;
}

/* Takes off the sums that control has. */
static int64_t drop_applied(struct account *account)
{
    unsigned gone = 0;
    int64_t tokens = 0;
    while (gone < account->count && account->sums[gone].seq <= account->applied)
        tokens += account->sums[gone++].tokens;
    account->count -= gone;
    memmove(account->sums, account->sums + gone, account->count * sizeof account->sums[0]);
    return tokens;
}

/* What an earlier process left unsent counts like our own. */
static void count_recovered(struct account *account, struct budget *budget, int64_t start_ms)
{
    struct sum recovered = account->recovered;
    account->recovered = (struct sum){0};
    if (recovered.seq <= account->applied || account->recovered_ms < start_ms)
        return;
    add_sum(account, recovered.seq, recovered.tokens);
    budget_charge(budget, account->epoch, recovered.tokens);
}

/* Brings the latest line into `taken`. */
static void settle_line(struct account *account, struct budget *budget)
{
    if (!budget_advance(budget, account->line.period_start_ms))
        return;
    int64_t start_ms = follow_period(account, budget);
    if (start_ms != account->line.period_start_ms)
        return; /* a shard began the next period in between */
    int64_t tokens =
        account->line.tokens < BUDGET_TOKENS_MAX ? account->line.tokens : BUDGET_TOKENS_MAX;
    int64_t more = tokens - account->told - drop_applied(account);
    account->told = tokens;
    budget_charge(budget, account->epoch, more);
    count_recovered(account, budget, start_ms);
}

/* Brings into `taken` what is known: a snapshot without a line says that control has nothing. */
static void settle(const struct limit_book *book, struct item *item)
{
    struct account *account = item->account;
    struct budget *budget = &item->state->budget;
    if (!account || !budget_is_used(budget))
        return;
    if (account->has_line) {
        settle_line(account, budget);
    } else if (book->is_ready && account->recovered.seq) {
        (void)budget_taken(budget, account->recovered_ms); /* begins its period */
        count_recovered(account, budget, follow_period(account, budget));
    }
}

void limit_book_ready(struct limit_book *book)
{
    struct item *item;
    book->is_ready = true;
    clean_up(book);
    for (size_t i = 0; (item = map_next(&book->items, &i)) != NULL;)
        settle(book, item);
}

struct limit_state *limit_book_state(struct limit_book *book, enum limit_kind kind, int64_t id,
                                     const struct limits *limits)
{
    struct item *item = find_or_add(book, kind, id);
    item->is_told = true;
    if (limits->token_budget > 0) {
        account_of(item);
        budget_use(&item->state->budget, (enum budget_period)limits->budget_period);
        settle(book, item);
    }
    return limit_state_ref(item->state);
}

void limit_book_apply(struct limit_book *book, const struct spending *line)
{
    struct item *item = find_or_add(book, line->subject, line->id);
    struct account *account = account_of(item);
    item->is_told = true;
    account->line = *line;
    account->has_line = true;
    if (strcmp(line->gateway, book->gateway) == 0 && line->applied > account->applied)
        account->applied = line->applied;
    settle(book, item);
}

/* ---- own records ---- */

static void count_written(struct item *item, const struct usage_spent *spent)
{
    if (!item || !item->account || !budget_is_used(&item->state->budget))
        return;
    struct account *account = item->account;
    struct budget *budget = &item->state->budget;
    if (spent->started_ms < follow_period(account, budget))
        return;
    if (spent->seq <= account->applied)
        budget_charge(budget, account->epoch, -spent->tokens);
    else
        add_sum(account, spent->seq, spent->tokens);
}

void limit_book_written(struct limit_book *book, const struct usage_spent spent[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        count_written(find(book, LIMIT_KEY, spent[i].key_id), &spent[i]);
        count_written(find(book, LIMIT_USER, spent[i].user_id), &spent[i]);
        count_written(find(book, LIMIT_MODEL, spent[i].model_id), &spent[i]);
    }
}

static void add_recovered(struct limit_book *book, enum limit_kind kind, int64_t id,
                          const struct usage_spent *spent)
{
    if (id == 0)
        return;
    struct item *item = find_or_add(book, kind, id);
    struct account *account = account_of(item);
    account->recovered.seq = spent->seq;
    account->recovered.tokens += spent->tokens;
    if (spent->started_ms > account->recovered_ms)
        account->recovered_ms = spent->started_ms;
    settle(book, item);
}

void limit_book_recovered(struct limit_book *book, const struct usage_spent *spent)
{
    if (spent->tokens == 0)
        return;
    add_recovered(book, LIMIT_KEY, spent->key_id, spent);
    add_recovered(book, LIMIT_USER, spent->user_id, spent);
    add_recovered(book, LIMIT_MODEL, spent->model_id, spent);
}
