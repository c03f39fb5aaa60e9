/* SPDX-License-Identifier: Apache-2.0 */
/* What concerns the server as a whole: version, sign-in ways, configuration, log level, figures. */
#include "api/api_priv.h"
#include "api/git_commit.h" /* generated */

#include "base/file.h"
#include "base/log.h"
#include "base/num.h"
#include "control/feed.h"
#include "control/watch.h"

int version_get(struct request *rq, struct err *err)
{
    json_begin_object(&rq->json);
    json_put_string(&rq->json, "version", GPUSTACK_VERSION);
    json_put_string(&rq->json, "git_commit", GPUSTACK_GIT_COMMIT);
    json_end_object(&rq->json);
    return 0;
}

/* This version has no single sign-on, and says so. */
int auth_config(struct request *rq, struct err *err)
{
    json_begin_object(&rq->json);
    json_put_bool(&rq->json, "is_oidc", false);
    json_put_bool(&rq->json, "is_saml", false);
    json_put_bool(&rq->json, "is_cas", false);
    json_end_object(&rq->json);
    return 0;
}

int gateway_feed(struct request *rq, struct err *err)
{
    feed_subscribe(control_feed(rq->control), rq->ex);
    return request_take(rq);
}

/* ---- configuration ---- */

static int reply_config(struct request *rq)
{
    json_begin_object(&rq->json);
    json_put_string(&rq->json, "log_level", log_level_name(log_get_level()));
    json_add_key(&rq->json, "options");
    rq->api->params.write_config(&rq->json, rq->api->params.ctx);
    json_end_object(&rq->json);
    return 0;
}

int config_get(struct request *rq, struct err *err)
{
    return reply_config(rq);
}

/* GPUStack's words that we have no level for mean the nearest one. */
static int parse_level(const char *word, enum log_level *ret, struct err *err)
{
    const char *known = strcmp(word, "trace") == 0      ? "debug"
                        : strcmp(word, "critical") == 0 ? "error"
                                                        : word;
    if (log_level_parse(known, ret) == 0)
        return 0;
    return err_set(err, ERR_INVALID,
                   "the log level must be one of error, warning, info, debug (critical and trace "
                   "are taken as error and debug), not \"%.32s\"",
                   word);
}

static void set_level(struct request *rq, enum log_level level)
{
    log_set_level(LOG_INFO); /* that it changes is told in any case */
    log_info("log", "the level of control is %s now, by %s", log_level_name(level),
             request_user(rq)->username);
    log_set_level(level);
}

int config_update(struct request *rq, struct err *err)
{
    enum log_level level;
    const char *word = json_member_string(rq->body, "log_level");
    int rc = word ? parse_level(word, &level, err) : 0;
    if (rc < 0)
        return rc;
    if (word)
        set_level(rq, level);
    return reply_config(rq);
}

static int reply_level(struct request *rq)
{
    rq->content_type = "text/plain; charset=utf-8";
    buf_add_cstr(&rq->reply, log_level_name(log_get_level()));
    return 0;
}

int log_level_get(struct request *rq, struct err *err)
{
    return reply_level(rq);
}

/* The body is the bare word, or the word as JSON. */
int log_level_set(struct request *rq, struct err *err)
{
    enum log_level level;
    struct str text = str_trim(buf_str(&rq->raw));
    if (text.len >= 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"')
        text = str_sub(text.ptr + 1, text.len - 2);
    auto_free char *word = str_dup(text);
    int rc = parse_level(word, &level, err);
    if (rc < 0)
        return rc;
    set_level(rq, level);
    return reply_level(rq);
}

/* ---- figures ---- */

/* Resident memory of this process, 0 when it can't be told. */
static int64_t resident_bytes(void)
{
    struct buf text = {0};
    struct str rest, pages = {0};
    int64_t count = 0;
    if (file_read("/proc/self/statm", 256, &text, NULL) == 0) {
        rest = buf_str(&text);
        (void)str_split(&rest, ' ', &pages);
        (void)str_split(&rest, ' ', &pages);
        if (num_parse_i64(pages, 0, INT64_MAX / 65536, &count) < 0)
            count = 0;
    }
    buf_fini(&text);
    return count * sysconf(_SC_PAGESIZE);
}

static void write_tables(struct request *rq)
{
    json_add_key(&rq->json, "rows");
    json_begin_object(&rq->json);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        const struct table *table = &rq->cluster->tables[kind];
        json_put_int(&rq->json, table->type->table, (int64_t)table->count);
    }
    json_end_object(&rq->json);
}

static void write_commits(struct request *rq)
{
    const struct commit_figures *commits = &rq->api->commits;
    json_add_key(&rq->json, "commits");
    json_begin_object(&rq->json);
    json_put_int(&rq->json, "count", commits->count);
    json_put_int(&rq->json, "last_ms", commits->last_ms);
    json_put_int(&rq->json, "max_ms", commits->max_ms);
    json_put_int(&rq->json, "mean_ms", commits->count ? commits->sum_ms / commits->count : 0);
    json_end_object(&rq->json);
}

int debug_get(struct request *rq, struct err *err)
{
    int64_t up_ms = loop_now_ms(control_loop(rq->control)) - rq->api->started_ms;
    json_begin_object(&rq->json);
    json_put_int(&rq->json, "uptime_ms", up_ms);
    json_put_int(&rq->json, "rss_bytes", resident_bytes());
    json_put_int(&rq->json, "watchers", watch_count(control_watch(rq->control)));
    json_put_int(&rq->json, "password_checks", rq->api->hashes_running);
    json_put_int(&rq->json, "changes", (int64_t)control_change_count(rq->control));
    write_tables(rq);
    write_commits(rq);
    json_end_object(&rq->json);
    return 0;
}
