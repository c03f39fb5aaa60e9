/* SPDX-License-Identifier: Apache-2.0 */
#include "control/file_pass.h"

#include "control/events.h"
#include "control/file_leases.h"
#include "control/model_files.h"
#include "control/states.h"

#include <math.h>

struct file_pass {
    struct cluster *cluster;
    int64_t now_ms;
};

static bool is_of_hub(const struct model *model)
{
    return model_source_is_hub((enum model_source)model->source);
}

static bool serves(const struct model_instance *instance)
{
    return instance->state == INSTANCE_RUNNING || instance->state == INSTANCE_UNREACHABLE;
}

/* ---- rows that are missing ---- */

static void make_row(const struct file_pass *pass, const struct model *model,
                     const struct worker *worker)
{
    struct model_file fresh = {0};
    record_init(&model_file_type, &fresh);
    model_file_take_source(&fresh, model);
    mem_replace(&fresh.storage_id, worker->storage_id);
    fresh.key = model_file_key(&fresh);
    fresh.state = MODEL_FILE_WAITING;
    model_files_lend(&fresh, worker->id, pass->now_ms);
    cluster_put(pass->cluster, KIND_MODEL_FILE, &fresh, pass->now_ms);
}

static void want_on(const struct file_pass *pass, const struct model *model, int64_t worker_id)
{
    const struct worker *worker = cluster_find(pass->cluster, KIND_WORKER, worker_id);
    if (worker && model_files_can_fetch(worker) && worker->storage_id && !worker->cache_error &&
        !model_files_find(pass->cluster, model, worker))
        make_row(pass, model, worker);
}

/*
 * An instance that isn't started needs its files; one that serves by older settings will need those
 * of the new ones, and serves on until they are there.
 */
static void want_files(const struct file_pass *pass, const struct model_instance *instance)
{
    const struct model *model = cluster_find(pass->cluster, KIND_MODEL, instance->model_id);
    bool is_outdated = model && serves(instance) &&
                       instance->model_generation != model->generation;
    bool is_due = instance->is_held || instance->state == INSTANCE_SCHEDULED || is_outdated;
    if (!model || !is_of_hub(model) || !instance->worker_id || instance->is_draining || !is_due)
        return;
    want_on(pass, model, instance->worker_id);
    for (size_t i = 0; i < instance->subordinate_worker_ids.count; i++)
        want_on(pass, model, instance->subordinate_worker_ids.items[i]);
}

/* ---- rows ---- */

/* Whether an instance that has no worker yet may come to use it. */
static bool may_be_wanted(const struct cluster *cluster, const struct model_file *file,
                          const struct model_instance *instance)
{
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    return model && !instance->worker_id && model_file_is_of(file, model);
}

static bool is_wanted(const struct cluster *cluster, const struct model_file *file)
{
    if (file->is_kept || file->state == MODEL_FILE_READY || file->state == MODEL_FILE_DELETING)
        return true;
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        if (model_files_is_used_by(cluster, file, instance) ||
            may_be_wanted(cluster, file, instance))
            return true;
    }
    return false;
}

static void note_moved(const struct file_pass *pass, const struct model_file *file,
                       const struct worker *to)
{
    const struct worker *from = cluster_find(pass->cluster, KIND_WORKER, file->worker_id);
    const char *from_name = from ? from->name : file->worker_name ? file->worker_name : "";
    auto_free char *args = mem_printf("{\"from\":\"%s\",\"to\":\"%s\"}", from_name, to->name);
    events_note(pass->cluster, KIND_MODEL_FILE, file, EVENT_DOWNLOAD_MOVED, args, pass->now_ms,
                "worker %s takes it over from %s", to->name, *from_name ? from_name : "another");
}

static void settle_lease(const struct file_pass *pass, struct model_file *copy)
{
    int64_t holder_id = file_leases_holder(pass->cluster, copy);
    if (holder_id == copy->worker_id)
        return;
    note_moved(pass, copy, cluster_find(pass->cluster, KIND_WORKER, holder_id));
    model_files_lend(copy, holder_id, pass->now_ms);
    copy->bytes_per_second = copy->eta_s = copy->retry_at = 0;
    if (copy->state == MODEL_FILE_READY || copy->state == MODEL_FILE_DELETING || copy->is_paused)
        return;
    copy->state = MODEL_FILE_WAITING;
    copy->state_reason = REASON_NONE;
    mem_replace(&copy->state_args, NULL);
    mem_replace(&copy->state_message, NULL);
}

static void show_workers(const struct cluster *cluster, struct model_file *copy)
{
    const struct worker *holder = cluster_find(cluster, KIND_WORKER, copy->worker_id);
    int_list_fini(&copy->worker_ids);
    CLUSTER_FOR_EACH(cluster, KIND_WORKER, struct worker, worker) {
        if (worker->storage_id && strcmp(worker->storage_id, copy->storage_id) == 0)
            int_list_add(&copy->worker_ids, worker->id);
    }
    mem_replace(&copy->worker_name, holder ? holder->name : copy->worker_name);
    mem_replace(&copy->storage, holder ? holder->cache : NULL);
    string_list_fini(&copy->resolved_paths);
    if (copy->state != MODEL_FILE_READY || !holder || !holder->cache_dir || !copy->resolved_path)
        return;
    auto_free char *path = mem_printf("%s/%s", holder->cache_dir, copy->resolved_path);
    string_list_add(&copy->resolved_paths, path);
}

static bool is_used_by_model(const struct cluster *cluster, const struct model_file *file,
                             const struct model *model)
{
    CLUSTER_FOR_KEY(&cluster->instances_of_model, model->id, struct model_instance, instance) {
        if (model_files_is_used_by(cluster, file, instance))
            return true;
    }
    return false;
}

static void show_models(const struct cluster *cluster, const struct model_file *file,
                        struct model_file *copy)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_begin_array(&w);
    CLUSTER_FOR_EACH(cluster, KIND_MODEL, struct model, model) {
        if (!is_used_by_model(cluster, file, model))
            continue;
        json_begin_object(&w);
        json_put_int(&w, "id", model->id);
        json_put_string(&w, "name", model->name);
        json_end_object(&w);
    }
    json_end_array(&w);
    free(copy->models);
    copy->models = buf_take(&text);
}

/* What is complete says so without its worker, as after a start of control. */
static void show_complete(struct model_file *copy)
{
    if (copy->state != MODEL_FILE_READY)
        return;
    copy->downloaded = copy->size;
    copy->files_ready = copy->file_count;
    copy->download_progress = 100;
    copy->bytes_per_second = copy->eta_s = copy->retry_at = 0;
}

/* Nothing needs it: its worker removes what it has of it, then the row goes. */
static void end_download(struct model_file *copy)
{
    copy->state = MODEL_FILE_DELETING;
    copy->state_reason = REASON_NONE;
    copy->is_paused = false;
    copy->bytes_per_second = copy->eta_s = copy->retry_at = 0;
    mem_replace(&copy->state_args, NULL);
    mem_replace(&copy->state_message, NULL);
}

static void settle_row(const struct file_pass *pass, int64_t id)
{
    const struct model_file *file = cluster_find(pass->cluster, KIND_MODEL_FILE, id);
    if (!file_leases_has_storage(pass->cluster, file->storage_id)) {
        model_files_forget(pass->cluster, file, pass->now_ms,
                           "no worker sees its storage any more");
        return;
    }
    struct model_file copy = {0};
    record_copy(&model_file_type, &copy, file);
    if (!is_wanted(pass->cluster, file))
        end_download(&copy);
    settle_lease(pass, &copy);
    show_workers(pass->cluster, &copy);
    show_models(pass->cluster, file, &copy);
    show_complete(&copy);
    cluster_put(pass->cluster, KIND_MODEL_FILE, &copy, pass->now_ms);
}

static void settle_rows(const struct file_pass *pass)
{
    const struct table *table = &pass->cluster->tables[KIND_MODEL_FILE];
    struct int_list ids = {0}; /* rows go meanwhile */
    for (size_t i = 0; i < table->count; i++)
        int_list_add(&ids, record_id(table->rows[i]));
    for (size_t i = 0; i < ids.count; i++)
        settle_row(pass, ids.items[i]);
    int_list_fini(&ids);
}

/* ---- instances ---- */

/* Of all that an instance lacks: what weighs most, and how far it is together. */
struct lack {
    bool is_lacking;
    enum instance_state state;
    enum reason reason;
    char *args, *message; /* owned */
    int64_t size, downloaded;
};

static void lack_fini(struct lack *lack)
{
    free(lack->args);
    free(lack->message);
}

/* How much a lack weighs in what is told: an error goes before a pause before what goes on. */
static int weight(enum instance_state state, enum reason reason)
{
    return state == INSTANCE_ERROR ? 2 : reason != REASON_NONE;
}

/* Takes `args` and `message`. */
static void add_lack(struct lack *lack, enum instance_state state, enum reason reason, char *args,
                     char *message)
{
    if (lack->is_lacking && weight(state, reason) <= weight(lack->state, lack->reason)) {
        free(args);
        free(message);
        return;
    }
    lack_fini(lack);
    lack->is_lacking = true;
    lack->state = state;
    lack->reason = reason;
    lack->args = args;
    lack->message = message;
}

static void lack_storage(struct lack *lack, const struct worker *worker)
{
    if (!worker->cache_error) {
        add_lack(lack, INSTANCE_DOWNLOADING, REASON_NONE, NULL,
                 mem_printf("worker %s hasn't told of its storage for model files yet",
                            worker->name));
        return;
    }
    struct buf args = {0};
    struct json_writer w = json_writer_into(&args);
    json_begin_object(&w);
    json_put_string(&w, "path", worker->cache_dir);
    json_end_object(&w);
    add_lack(lack, INSTANCE_ERROR, REASON_STORAGE_UNUSABLE, buf_take(&args),
             mem_printf("worker %s can't keep model files: %s", worker->name,
                        worker->cache_error));
}

/* In words, what is being done about it. Returns owned. */
static char *words_of(const struct model_file *file)
{
    const char *worker = file->worker_name ? file->worker_name : "";
    auto_free char *title = model_file_title(file);
    switch ((enum model_file_state)file->state) {
    case MODEL_FILE_LISTING:
        return mem_printf("worker %s asks the hub for the files of %s", worker, title);
    case MODEL_FILE_DOWNLOADING:
        return mem_printf("worker %s downloads %s", worker, title);
    case MODEL_FILE_VERIFYING:
        return mem_printf("worker %s checks %s", worker, title);
    case MODEL_FILE_DELETING:
        return mem_printf("the files of %s are being deleted, then they are fetched again", title);
    case MODEL_FILE_PAUSED:
        return mem_printf("the download of %s is paused (model file %lld)", title,
                          (long long)file->id);
    case MODEL_FILE_WAITING:
    case MODEL_FILE_READY:
    case MODEL_FILE_ERROR:
    case MODEL_FILE_PRESENT:
    case MODEL_FILE_MISSING:
    case MODEL_FILE_UNREADABLE:
    case MODEL_FILE_FORBIDDEN:
    case MODEL_FILE_STATE_COUNT:
        break;
    }
    return mem_printf("the download of %s on worker %s is to begin", title, worker);
}

static char *copy_of(const char *text)
{
    return text && *text ? mem_strdup(text) : NULL;
}

static void lack_file(struct lack *lack, const struct model_file *file)
{
    lack->size += file->size;
    lack->downloaded += file->downloaded;
    if (file->state == MODEL_FILE_READY)
        return;
    if (file->state == MODEL_FILE_ERROR) {
        char *message = copy_of(file->state_message);
        add_lack(lack, INSTANCE_ERROR, (enum reason)file->state_reason, copy_of(file->state_args),
                 message ? message : mem_strdup(reason_name((enum reason)file->state_reason)));
    } else if (file->is_paused) {
        add_lack(lack, INSTANCE_DOWNLOADING, REASON_DOWNLOAD_PAUSED,
                 mem_printf("{\"model_file_id\":%lld}", (long long)file->id), words_of(file));
    } else {
        add_lack(lack, INSTANCE_DOWNLOADING, REASON_NONE, NULL, words_of(file));
    }
}

/* Files that were there when the instance was let go may be found damaged later. */
static void lack_on(const struct file_pass *pass, const struct model *model, int64_t worker_id,
                    struct lack *lack)
{
    const struct worker *worker = cluster_find(pass->cluster, KIND_WORKER, worker_id);
    if (!worker || !model_files_can_fetch(worker))
        return;
    const struct model_file *file = model_files_find(pass->cluster, model, worker);
    if (file)
        lack_file(lack, file);
    else
        lack_storage(lack, worker);
}

static void find_lack(const struct file_pass *pass, const struct model_instance *instance,
                      struct lack *ret)
{
    const struct model *model = cluster_find(pass->cluster, KIND_MODEL, instance->model_id);
    *ret = (struct lack){0};
    if (!model || !is_of_hub(model))
        return;
    lack_on(pass, model, instance->worker_id, ret);
    for (size_t i = 0; i < instance->subordinate_worker_ids.count; i++)
        lack_on(pass, model, instance->subordinate_worker_ids.items[i], ret);
}

static void hold(const struct file_pass *pass, const struct model_instance *instance,
                 const struct lack *lack)
{
    const struct cause cause = {
        .reason = lack->reason, .args = lack->args, .message = lack->message};
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, instance);
    copy.is_held = true;
    copy.failures = 0;
    copy.download_progress =
        lack->size ? floor(1e4 * (double)lack->downloaded / (double)lack->size) / 100 : 0;
    state_enter(pass->cluster, &copy, lack->state, &cause, pass->now_ms);
    cluster_put(pass->cluster, KIND_INSTANCE, &copy, pass->now_ms);
}

static void let_go(const struct file_pass *pass, const struct model_instance *instance)
{
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, instance);
    copy.is_held = false;
    copy.download_progress = 100;
    state_enter(pass->cluster, &copy, INSTANCE_SCHEDULED, &(struct cause){0}, pass->now_ms);
    cluster_put(pass->cluster, KIND_INSTANCE, &copy, pass->now_ms);
}

static void settle_instance(const struct file_pass *pass, const struct model_instance *instance)
{
    bool is_due = instance->is_held || instance->state == INSTANCE_SCHEDULED;
    if (!is_due || !instance->worker_id || instance->is_draining)
        return;
    struct lack lack;
    find_lack(pass, instance, &lack);
    if (lack.is_lacking)
        hold(pass, instance, &lack);
    else if (instance->is_held)
        let_go(pass, instance);
    lack_fini(&lack);
}

void file_pass(struct cluster *cluster, int64_t now_ms)
{
    const struct file_pass pass = {.cluster = cluster, .now_ms = now_ms};
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, wanting)
        want_files(&pass, wanting);
    settle_rows(&pass);
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance)
        settle_instance(&pass, instance);
}
