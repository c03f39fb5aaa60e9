/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/inventory.h"

#include <sys/stat.h>

/* ---- on the pool ---- */

struct inventory_job {
    struct inventory *inventory; /* NULL: it went away meanwhile */
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

void inventory_write(const struct engine_set *set, struct json_writer *w)
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
    struct inventory_job *job = arg;
    int64_t now = dir_time(job->bin_dir);
    if (now == job->dir_time && !job->reads_anyhow)
        return;
    struct engine_set *set = NULL;
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    if (engine_set_load(job->bin_dir, &set, &job->err) == 0)
        inventory_write(set, &w);
    else
        buf_add_cstr(&text, "[]"); /* nothing can be started here before that is mended */
    engine_set_free(set);
    job->text = buf_take(&text);
    job->dir_time = now;
    job->has_read = true;
}

static void free_job(struct inventory_job *job)
{
    free(job->bin_dir);
    free(job->text);
    free(job);
}

/* ---- on the loop ---- */

static void take(struct inventory *inventory, struct inventory_job *job)
{
    inventory->read_ms = loop_now_ms(inventory->loop);
    inventory->dir_time = job->dir_time;
    if (job->err.code < 0)
        fault_log_tell(&inventory->faults, LOG_WARNING, job->err.text);
    else
        fault_log_clear(&inventory->faults);
    if (inventory->text && strcmp(inventory->text, job->text) == 0)
        return;
    free(inventory->text);
    inventory->text = TAKE(job->text);
    inventory->on_change(inventory, inventory->ctx);
}

static void on_looked(void *arg)
{
    struct inventory_job *job = arg;
    struct inventory *inventory = job->inventory;
    if (inventory) {
        inventory->job = NULL;
        if (job->has_read)
            take(inventory, job);
        timer_start(&inventory->timer, INVENTORY_LOOK_MS);
    }
    free_job(job);
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct inventory *inventory = ctx;
    struct inventory_job *job = mem_alloc(sizeof *job);
    int64_t age_ms = loop_now_ms(inventory->loop) - inventory->read_ms;
    *job = (struct inventory_job){.inventory = inventory,
                                  .bin_dir = mem_strdup(inventory->bin_dir),
                                  .dir_time = inventory->dir_time,
                                  .reads_anyhow = !inventory->text || age_ms >= INVENTORY_READ_MS};
    inventory->job = job;
    loop_work(inventory->loop, look, on_looked, job);
}

void inventory_start(struct inventory *inventory)
{
    inventory->faults =
        (struct fault_log){.area = "worker", .what = "the engines can't be read"};
    timer_init(&inventory->timer, inventory->loop, on_timer, inventory);
    timer_start(&inventory->timer, 0);
}

void inventory_fini(struct inventory *inventory)
{
    if (inventory->loop)
        timer_stop(&inventory->timer);
    if (inventory->job)
        inventory->job->inventory = NULL;
    free(inventory->text);
    fault_log_fini(&inventory->faults);
    *inventory = (struct inventory){0};
}
