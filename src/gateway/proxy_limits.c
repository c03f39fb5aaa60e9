/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/proxy_priv.h"

enum {
    BYTES_PER_TOKEN = 4,
    OUTPUT_DEFAULT = 1024, /* tokens, of a request that sets no cap */
};

#define OUTPUT_MAX (INT64_C(1) << 31) /* of all choices together: what more could one mean */

int64_t proxy_estimate_prompt(const struct proxy *p)
{
    return (int64_t)((p->prompt_bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN);
}

/* Whether an answer of that kind is made of tokens that the request can cap. */
static bool makes_tokens(enum operation operation)
{
    return operation == OPERATION_CHAT || operation == OPERATION_COMPLETIONS ||
           operation == OPERATION_RESPONSES || operation == OPERATION_MESSAGES;
}

static int64_t estimate(const struct proxy *p)
{
    int64_t prompt = proxy_estimate_prompt(p);
    if (!makes_tokens(p->route->operation))
        return prompt;
    int64_t cap = p->request && p->request->output_cap >= 0 ? p->request->output_cap
                                                            : OUTPUT_DEFAULT;
    int64_t output = cap * (p->request ? p->request->choices : 1);
    return prompt + (output < OUTPUT_MAX ? output : OUTPUT_MAX);
}

static struct limit_subject subject_of(const struct entry *entry)
{
    struct limit_subject subject = {.state = NULL};
    if (entry)
        (void)entry_limits(entry, &subject);
    return subject;
}

/* The first limit that wasn't passed, in words and headers. */
static void refuse(struct proxy *p, const struct limit_denial *denial)
{
    bool is_quota = denial->name == LIMIT_BUDGET || denial->retry_after_ms < 0;
    auto_free char *message = limit_denial_text(denial);
    proxy_add_limit_headers(p, denial);
    proxy_fail(p, is_quota ? FAULT_QUOTA : FAULT_RATE_LIMITED, OUTCOME_LIMITED, message);
}

bool proxy_reserve(struct proxy *p)
{
    struct limit_subject subjects[2] = {subject_of(p->user), subject_of(p->key)};
    struct limit_denial denial;
    int64_t now_us = clock_mono_us(loop_clock(p->shard->loop)); /* the body may have taken long */
    if (limit_reserve(&p->reservation, subjects, p->key ? 2 : 1, estimate(p), now_us,
                      p->started_ms, &denial))
        return true;
    refuse(p, &denial);
    return false;
}

bool proxy_reserve_model(struct proxy *p, const struct entry *model)
{
    struct limit_subject subject = subject_of(model);
    int64_t now_us = clock_mono_us(loop_clock(p->shard->loop));
    p->is_model_limited = false;
    if (limit_is_held(&p->model_reservation, &subject))
        return true; /* another attempt is no further request */
    limit_release(&p->model_reservation, now_us);
    p->is_model_limited = !limit_reserve(&p->model_reservation, &subject, 1, estimate(p), now_us,
                                         p->started_ms, &p->model_denial);
    return !p->is_model_limited;
}

void proxy_refuse_model(struct proxy *p)
{
    limit_undo(&p->reservation, clock_mono_us(loop_clock(p->shard->loop)));
    refuse(p, &p->model_denial);
}

void proxy_settle(struct proxy *p, int64_t tokens, int64_t now_us)
{
    if (tokens > 0) {
        limit_settle(&p->reservation, tokens, now_us);
        limit_settle(&p->model_reservation, tokens, now_us);
    } else {
        limit_release(&p->reservation, now_us);
        limit_release(&p->model_reservation, now_us);
    }
}

/* Whether any of them has limits per minute, of which the headers tell. */
static bool are_told(const struct limit_subject *subjects, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (subjects[i].state && (subjects[i].limits->requests_per_minute ||
                                  subjects[i].limits->tokens_per_minute))
            return true;
    return false;
}

void proxy_add_limit_headers(struct proxy *p, const struct limit_denial *denial)
{
    const struct limit_subject subjects[] = {subject_of(p->user), subject_of(p->key),
                                             subject_of(p->model)};
    p->limit_header_count = 0; /* of an attempt at another model */
    if (!denial && !are_told(subjects, ARRAY_LEN(subjects)))
        return;
    int64_t now_us = clock_mono_us(loop_clock(p->shard->loop));
    struct limit_headers *headers = &p->store.limit_headers;
    headers->items = p->reply_headers + p->own_header_count;
    headers->count = 0;
    headers->used = 0;
    limit_headers_add(headers, subjects, ARRAY_LEN(subjects),
                      p->route->dialect == DIALECT_ANTHROPIC ? LIMIT_HEADERS_ANTHROPIC
                                                             : LIMIT_HEADERS_OPENAI,
                      now_us, p->started_ms + (now_us - p->started_us) / 1000);
    if (denial)
        limit_headers_add_retry(headers, denial);
    p->limit_header_count = headers->count;
}
