/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for a text in an engine's log over HTTP, in slices on the pool. */
#include "base/num.h"
#include "proc/logsearch.h"
#include "worker/launch.h"
#include "worker/relay_priv.h"

#include <errno.h>

enum {
    /* Of one turn in the pool: others, who look up models there, wait no longer than that takes. */
    SLICE_BYTES = 32 << 20,
    TOTAL_BYTES = 1 << 30, /* of a request */
    TOTAL_MS = 2000,
    LIMIT_DEFAULT = 100,
};

struct search_job {
    struct http_exchange *ex; /* NULL: the client has gone */
    struct loop *loop;
    int64_t began_ms;
    struct logsearch search;
    struct err err;
    int rc;
    struct buf answer;
};

/* ---- on the pool ---- */

static void write_place(struct search_job *job, unsigned i, struct json_writer *w)
{
    struct logsearch_excerpt excerpt;
    if (logsearch_excerpt(&job->search, i, &excerpt, NULL) < 0)
        return; /* it was dropped meanwhile */
    json_begin_object(w);
    json_put_int(w, "offset", (int64_t)excerpt.offset);
    json_put_int(w, "line_start", (int64_t)excerpt.line_start);
    json_put_int(w, "text_start", (int64_t)excerpt.text_start);
    json_add_key(w, "text");
    json_add_string(w, excerpt.text);
    json_end_object(w);
}

static void write_answer(void *arg)
{
    struct search_job *job = arg;
    const struct logsearch *search = &job->search;
    struct json_writer w = json_writer_into(&job->answer);
    json_begin_object(&w);
    json_put_int(&w, "run", search->run);
    json_add_key(&w, "matches");
    json_begin_array(&w);
    for (unsigned i = 0; i < search->count; i++)
        write_place(job, i, &w);
    json_end_array(&w);
    json_put_int(&w, "scanned_to", (int64_t)search->pos);
    json_put_int(&w, "first", (int64_t)search->first);
    json_put_int(&w, "size", (int64_t)search->end);
    json_put_bool(&w, "complete", search->is_complete);
    json_end_object(&w);
}

static void search_slice(void *arg)
{
    struct search_job *job = arg;
    job->rc = logsearch_step(&job->search, SLICE_BYTES, &job->err);
}

/* ---- on the loop ---- */

static void free_job(struct search_job *job)
{
    logsearch_fini(&job->search);
    buf_fini(&job->answer);
    free(job);
}

static void on_close(struct http_exchange *ex, bool gone, void *ctx)
{
    struct search_job *job = ctx;
    job->ex = NULL; /* what runs in the pool ends first */
}

static const struct http_exchange_ops ops = {.on_close = on_close};

static void on_end(struct http_exchange *ex, bool gone, void *ctx)
{
}

static const struct http_exchange_ops reply_ops = {.on_close = on_end};

static void on_answer(void *arg)
{
    struct search_job *job = arg;
    if (job->ex) {
        const struct http_header type = {STR("Content-Type"), STR("application/json")};
        http_exchange_set_ops(job->ex, &reply_ops, NULL);
        http_reply(job->ex, 200, &type, 1, buf_str(&job->answer));
    }
    free_job(job);
}

static void on_slice(void *arg)
{
    struct search_job *job = arg;
    bool is_over = job->search.is_over || job->search.scanned >= TOTAL_BYTES ||
                   loop_now_ms(job->loop) - job->began_ms >= TOTAL_MS;
    if (job->ex && job->rc < 0) {
        http_exchange_set_ops(job->ex, &reply_ops, NULL);
        relay_reply_error(job->ex, job->rc == -ENOENT ? 404 : 500, job->err.text);
        job->ex = NULL;
    }
    if (!job->ex)
        free_job(job);
    else if (is_over)
        loop_work(job->loop, write_answer, on_answer, job);
    else
        loop_work(job->loop, search_slice, on_slice, job);
}

/* ---- requests ---- */

static int read_number(struct str query, const char *name, int64_t min, int64_t max, int64_t *at,
                       struct err *err)
{
    auto_free char *text = http_query_get(query, name);
    if (!text || num_parse_i64(str_of(text), min, max, at) == 0)
        return 0;
    return err_set(err, ERR_INVALID, "%s must be %lld-%lld, not \"%.40s\"", name, (long long)min,
                   (long long)max, text);
}

static int read_text(struct str query, char **ret, struct err *err)
{
    char *text = http_query_get(query, "q");
    if (text && *text && strlen(text) <= LOGSEARCH_TEXT_MAX) {
        *ret = text;
        return 0;
    }
    free(text);
    return err_set(err, ERR_INVALID, "q, what is looked for, must have 1-%d bytes",
                   LOGSEARCH_TEXT_MAX);
}

static bool is_word(struct str query, const char *name, const char *word)
{
    auto_free char *text = http_query_get(query, name);
    return text && str_eq_nocase(str_of(text), str_of(word));
}

/* `*ret_text` is owned, also of a request that is refused. */
static int read_query(struct str query, struct logsearch_params *ret, char **ret_text,
                      struct err *err)
{
    int64_t from = -1, limit = LIMIT_DEFAULT;
    int rc = read_text(query, ret_text, err);
    if (rc == 0)
        rc = read_number(query, "from", 0, INT64_MAX, &from, err);
    if (rc == 0)
        rc = read_number(query, "limit", 1, LOGSEARCH_FOUND_MAX, &limit, err);
    ret->text = str_of(*ret_text);
    ret->from = from;
    ret->limit = (unsigned)limit;
    ret->matches_case = is_word(query, "case", "true");
    ret->is_backward = is_word(query, "direction", "backward");
    return rc;
}

void relay_search(struct http_exchange *ex, struct loop *loop, const char *dir, const char *name)
{
    struct str query = http_exchange_head(ex)->query;
    auto_free char *text = NULL;
    struct logsearch_params params = {.dir = dir, .name = name};
    struct err err = {0};
    int64_t wanted = -1;
    int rc = read_query(query, &params, &text, &err);
    if (rc == 0)
        rc = read_number(query, "run", 0, INT32_MAX, &wanted, &err);
    if (rc < 0) {
        relay_reply_error(ex, 400, err.text);
        return;
    }
    int run = relay_choose_run(dir, name, wanted);
    if (run < 0) {
        relay_reply_error(ex, 404, "there is no log of that run");
        return;
    }
    params.run = (unsigned)run;
    struct search_job *job = mem_alloc(sizeof *job);
    *job = (struct search_job){.ex = ex, .loop = loop, .began_ms = loop_now_ms(loop)};
    logsearch_init(&job->search, &params);
    http_exchange_set_ops(ex, &ops, job);
    loop_work(loop, search_slice, on_slice, job);
}
