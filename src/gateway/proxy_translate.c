/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/proxy_priv.h"

enum {
    TRANSLATE_HERE_MAX = 32 << 10, /* bytes: half a millisecond; more would hold the others up */
};

/* A translation on a pool's thread. The request may end meanwhile; the body can't. */
struct translating {
    struct proxy *proxy;      /* NULL once it is over; the loop's */
    atomic_bool is_abandoned; /* the same for the pool's thread, which needn't begin any more */
    struct translation *translation;
    struct body body; /* the request's, which gets it back */
    struct err err;
    int rc;
};

/* ---- who needs it ---- */

/* What the instance said of the operation: an engine may have one of Anthropic's paths only. */
static atomic_bool *lack_of(const struct proxy *p)
{
    struct endpoint_load *load = p->lease.endpoint->endpoint.load;
    return p->route->operation == OPERATION_COUNT_TOKENS ? &load->lacks_count_tokens
                                                         : &load->lacks_messages;
}

static bool needs_translation(const struct proxy *p)
{
    return p->route->dialect == DIALECT_ANTHROPIC &&
           atomic_load_explicit(lack_of(p), memory_order_relaxed);
}

void proxy_must_translate(struct proxy *p)
{
    atomic_store_explicit(lack_of(p), true, memory_order_relaxed);
    p->must_translate = true;
}

/* ---- how it ends ---- */

/* No instance has to do with it: none is told of in the record, and no breaker learns from it. */
static void refuse(struct proxy *p, int rc, const char *text)
{
    lease_give_back(&p->lease, &p->tried, loop_now_ms(p->shard->loop));
    proxy_fail(p, rc == ERR_TOO_LARGE ? FAULT_BODY_TOO_LARGE : FAULT_BAD_BODY,
               OUTCOME_CLIENT_ERROR, text);
}

/* Takes the translation; false when the request was refused. */
static bool take_over(struct proxy *p, struct translation *translation, int rc, const char *text)
{
    if (rc == 0) {
        p->translation = translation;
        return true;
    }
    translation_free(translation);
    refuse(p, rc, text);
    return false;
}

/* ---- on a pool's thread ---- */

static void work(void *arg)
{
    struct translating *job = arg;
    if (!atomic_load_explicit(&job->is_abandoned, memory_order_relaxed))
        job->rc = translation_read(job->translation, body_str(&job->body), &job->err);
}

static void on_worked(void *arg)
{
    auto_free struct translating *job = arg;
    struct proxy *p = job->proxy;
    if (!p) {
        translation_free(job->translation);
        body_fini(&job->body);
        return;
    }
    p->translating = NULL;
    p->body = job->body;
    if (take_over(p, job->translation, job->rc, job->err.text))
        proxy_ask(p);
}

/* The instance is held meanwhile: the request is about to come to it. */
static void translate_elsewhere(struct proxy *p, struct translation *translation)
{
    struct translating *job = mem_alloc(sizeof *job);
    job->proxy = p;
    job->translation = translation;
    job->body = p->body;
    body_init(&p->body, &p->shard->spool);
    p->translating = job;
    http_exchange_set_ops(p->ex, &proxy_waiting_ops, p);
    loop_work(p->shard->loop, work, on_worked, job);
}

void proxy_abandon_translation(struct proxy *p)
{
    if (!p->translating)
        return;
    atomic_store_explicit(&p->translating->is_abandoned, true, memory_order_relaxed);
    TAKE(p->translating)->proxy = NULL;
}

/* ---- an attempt ---- */

bool proxy_translate(struct proxy *p)
{
    struct err err = {0};
    p->must_translate = false;
    p->is_translated = needs_translation(p);
    if (!p->is_translated || p->translation)
        return true;
    struct translation *made = translation_new(p->route->operation, p->name, &p->id);
    if (p->body.len > TRANSLATE_HERE_MAX) {
        translate_elsewhere(p, made);
        return false;
    }
    int rc = translation_read(made, body_str(&p->body), &err);
    return take_over(p, made, rc, err.text);
}
