/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/limit_headers.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>

enum column { COLUMN_LIMIT, COLUMN_REMAINING, COLUMN_RESET, COLUMNS };
enum { ROW_REQUESTS, ROW_TOKENS, ROWS };

static const struct str names[][ROWS][COLUMNS] = {
    [LIMIT_HEADERS_OPENAI] =
        {[ROW_REQUESTS] = {STR("x-ratelimit-limit-requests"), STR("x-ratelimit-remaining-requests"),
                           STR("x-ratelimit-reset-requests")},
         [ROW_TOKENS] = {STR("x-ratelimit-limit-tokens"), STR("x-ratelimit-remaining-tokens"),
                         STR("x-ratelimit-reset-tokens")}},
    [LIMIT_HEADERS_ANTHROPIC] =
        {[ROW_REQUESTS] = {STR("anthropic-ratelimit-requests-limit"),
                           STR("anthropic-ratelimit-requests-remaining"),
                           STR("anthropic-ratelimit-requests-reset")},
         [ROW_TOKENS] = {STR("anthropic-ratelimit-tokens-limit"),
                         STR("anthropic-ratelimit-tokens-remaining"),
                         STR("anthropic-ratelimit-tokens-reset")}},
};

/* ---- text; snprintf would cost more than all the rest ---- */

static void put_bytes(struct limit_headers *headers, const char *bytes, size_t n)
{
    assert(n <= LIMIT_HEADERS_TEXT_MAX - headers->used);
    memcpy(headers->text + headers->used, bytes, n);
    headers->used += n;
}

/* With at least `width` digits. */
static void put_number(struct limit_headers *headers, int64_t number, unsigned width)
{
    char digits[20];
    unsigned n = 0;
    for (; number > 0 || n < width; number /= 10)
        digits[sizeof digits - ++n] = (char)('0' + number % 10);
    put_bytes(headers, digits + sizeof digits - n, n);
}

/* ".25" for 250. */
static void put_fraction(struct limit_headers *headers, int64_t ms)
{
    unsigned width = 3;
    for (; width > 1 && ms % 10 == 0; ms /= 10)
        width--;
    put_bytes(headers, ".", 1);
    put_number(headers, ms, width);
}

/* As Go writes durations: "0s", "120ms", "1.5s", "6m0s"; milliseconds, rounded up. */
static void put_duration(struct limit_headers *headers, int64_t us)
{
    int64_t ms = (us + 999) / 1000;
    if (ms > 0 && ms < 1000) {
        put_number(headers, ms, 1);
        put_bytes(headers, "ms", 2);
        return;
    }
    if (ms >= 60000) {
        put_number(headers, ms / 60000, 1);
        put_bytes(headers, "m", 1);
    }
    put_number(headers, ms / 1000 % 60, 1);
    if (ms % 1000)
        put_fraction(headers, ms % 1000);
    put_bytes(headers, "s", 1);
}

/* RFC 3339, whole seconds, rounded up. */
static void put_time(struct limit_headers *headers, int64_t wall_ms)
{
    char text[CLOCK_TEXT_MAX];
    size_t seconds_end = strlen("2026-11-23T20:54:01");
    clock_format((wall_ms + 999) / 1000 * 1000, text);
    put_bytes(headers, text, seconds_end);
    put_bytes(headers, "Z", 1);
}

/* The value is what was put since `begin`. */
static void add(struct limit_headers *headers, struct str name, size_t begin)
{
    assert(headers->count < LIMIT_HEADERS_MAX);
    headers->items[headers->count++] = (struct http_header){
        name, str_sub(headers->text + begin, headers->used - begin)};
}

static void add_number(struct limit_headers *headers, struct str name, int64_t number)
{
    size_t begin = headers->used;
    put_number(headers, number, 1);
    add(headers, name, begin);
}

/* ---- the tightest subject ---- */

struct row {
    int64_t limit; /* 0: nobody has one */
    int64_t remaining, reset_us;
};

static void look_at(struct row *row, int64_t limit, const struct rate *rate, int64_t now_us)
{
    if (limit == 0)
        return;
    int64_t remaining = rate_remaining(rate, limit, now_us);
    if (row->limit && row->remaining <= remaining)
        return;
    *row = (struct row){limit, remaining, rate_reset_us(rate, now_us)};
}

static void add_row(struct limit_headers *headers, const struct str row_names[COLUMNS],
                    const struct row *row, enum limit_headers_style style, int64_t wall_ms)
{
    if (row->limit == 0)
        return;
    add_number(headers, row_names[COLUMN_LIMIT], row->limit);
    add_number(headers, row_names[COLUMN_REMAINING], row->remaining);
    size_t begin = headers->used;
    if (style == LIMIT_HEADERS_OPENAI)
        put_duration(headers, row->reset_us);
    else
        put_time(headers, wall_ms + (row->reset_us + 999) / 1000);
    add(headers, row_names[COLUMN_RESET], begin);
}

void limit_headers_add(struct limit_headers *headers, const struct limit_subject subjects[],
                       unsigned count, enum limit_headers_style style, int64_t now_us,
                       int64_t wall_ms)
{
    struct row rows[ROWS] = {{0}};
    for (unsigned i = 0; i < count; i++) {
        const struct limits *limits = subjects[i].limits;
        const struct limit_state *state = subjects[i].state;
        if (!state)
            continue;
        look_at(&rows[ROW_REQUESTS], limits->requests_per_minute, &state->requests, now_us);
        look_at(&rows[ROW_TOKENS], limits->tokens_per_minute, &state->tokens, now_us);
    }
    for (int i = 0; i < ROWS; i++)
        add_row(headers, names[style][i], &rows[i], style, wall_ms);
}

void limit_headers_add_retry(struct limit_headers *headers, const struct limit_denial *denial)
{
    if (denial->retry_after_ms < 0)
        return;
    add_number(headers, STR("Retry-After"), (denial->retry_after_ms + 999) / 1000);
    add_number(headers, STR("retry-after-ms"), denial->retry_after_ms);
}
