/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/engines_seen.h"

#include <sys/stat.h>

/* ---- on the pool ---- */

struct engines_seen_job {
    struct engines_seen *engines; /* NULL: it went away meanwhile */
    char *bin_dir;
    int64_t dir_time;   /* as it was before, then as it is */
    bool reads_anyhow;  /* whether the folder has changed or not */
    bool has_read;
    char *text;         /* owned; of the engines that were read */
    struct err err;     /* of a set that can't be read */
};

static void write_types(const struct string_list *types, struct json_writer *w)
{
    if (types->count == 0)
        return;
    json_add_key(w, "device_types");
    json_begin_array(w);
    for (size_t i = 0; i < types->count; i++)
        json_add_cstring(w, types->items[i]);
    json_end_array(w);
}

void engines_seen_write(const struct engine_set *set, struct json_writer *w)
{
    const struct engine *engine;
    json_begin_array(w);
    for (size_t i = 0; (engine = engine_set_at(set, i)); i++) {
        json_begin_object(w);
        json_put_string(w, "name", engine->name);
        json_put_string(w, "version", engine->version);
        json_put_bool(w, "present", engine_is_present(engine, false));
        json_put_bool(w, "distributable",
                      engine_is_distributable(engine) && engine_is_present(engine, true));
        write_types(&engine->device_types, w);
        json_end_object(w);
    }
    json_end_array(w);
}

static int64_t dir_time(const char *path)
{
    struct stat st;
    if (!path || stat(path, &st) < 0)
        return 0;
    return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

/* The folder's time is taken first: what changes while it is read is read again. */
static void look(void *arg)
{
    struct engines_seen_job *job = arg;
    int64_t now = dir_time(job->bin_dir);
    if (now == job->dir_time && !job->reads_anyhow)
        return;
    struct engine_set *set = NULL;
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    if (engine_set_load(job->bin_dir, &set, &job->err) == 0)
        engines_seen_write(set, &w);
    else
        buf_add_cstr(&text, "[]"); /* nothing can be started here before that is mended */
    engine_set_free(set);
    job->text = buf_take(&text);
    job->dir_time = now;
    job->has_read = true;
}

static void free_job(struct engines_seen_job *job)
{
    free(job->bin_dir);
    free(job->text);
    free(job);
}

/* ---- on the loop ---- */

static void take(struct engines_seen *engines, struct engines_seen_job *job)
{
    engines->read_ms = loop_now_ms(engines->loop);
    engines->dir_time = job->dir_time;
    if (job->err.code < 0)
        fault_log_tell(&engines->faults, LOG_WARNING, job->err.text);
    else
        fault_log_clear(&engines->faults);
    if (engines->text && strcmp(engines->text, job->text) == 0)
        return;
    free(engines->text);
    engines->text = TAKE(job->text);
    engines->on_change(engines, engines->ctx);
}

static void on_looked(void *arg)
{
    struct engines_seen_job *job = arg;
    struct engines_seen *engines = job->engines;
    if (engines) {
        engines->job = NULL;
        if (job->has_read)
            take(engines, job);
        timer_start(&engines->timer, ENGINES_SEEN_LOOK_MS);
    }
    free_job(job);
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct engines_seen *engines = ctx;
    struct engines_seen_job *job = mem_alloc(sizeof *job);
    int64_t age_ms = loop_now_ms(engines->loop) - engines->read_ms;
    *job = (struct engines_seen_job){.engines = engines,
                                  .bin_dir = mem_strdup(engines->bin_dir),
                                  .dir_time = engines->dir_time,
                                  .reads_anyhow = !engines->text || age_ms >= ENGINES_SEEN_READ_MS};
    engines->job = job;
    loop_work(engines->loop, look, on_looked, job);
}

void engines_seen_start(struct engines_seen *engines)
{
    engines->faults =
        (struct fault_log){.area = "worker", .what = "the engines can't be read"};
    timer_init(&engines->timer, engines->loop, on_timer, engines);
    timer_start(&engines->timer, 0);
}

void engines_seen_fini(struct engines_seen *engines)
{
    if (engines->loop)
        timer_stop(&engines->timer);
    if (engines->job)
        engines->job->engines = NULL;
    free(engines->text);
    fault_log_fini(&engines->faults);
    *engines = (struct engines_seen){0};
}
