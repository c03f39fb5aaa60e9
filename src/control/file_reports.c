/* SPDX-License-Identifier: Apache-2.0 */
#include "control/file_reports.h"

#include "control/events.h"
#include "control/model_files.h"
#include "domain/reason.h"

#include <math.h>

enum {
    MESSAGE_MAX = 2048, /* bytes of what is kept of a worker's words */
    ARGS_MAX = 4096,
    NAME_MAX_BYTES = 1024,
    RETRY_MAX_S = 86400,
};

static int64_t count_of(const json_t *entry, const char *key)
{
    int64_t value = json_member_int(entry, key, 0);
    return value > 0 ? value : 0;
}

/* ---- words ---- */

/* Relative, below the storage whatever it says, and no way out of it. */
static bool is_path_below(const char *path)
{
    return path && *path && *path != '/' && strlen(path) < RECORD_STRING_MAX &&
           !strstr(path, "..");
}

static char *args_of(const json_t *entry)
{
    const json_t *args = json_object_get(entry, "args");
    if (!json_is_object(args) || json_object_size(args) == 0)
        return NULL;
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_add_tree(&w, args);
    if (text.len <= ARGS_MAX)
        return buf_take(&text);
    buf_fini(&text);
    return NULL;
}

static char *message_of(const json_t *entry)
{
    const char *message = json_member_string(entry, "message");
    if (!message || !*message)
        return NULL;
    size_t length = strlen(message);
    while (length > MESSAGE_MAX || (length < strlen(message) && (message[length] & 0xc0) == 0x80))
        length--;
    return mem_strndup(message, length);
}

/* The files under way, as we write them. */
static char *files_of(const json_t *entry)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    size_t i, count = 0;
    json_t *file;
    json_begin_array(&w);
    json_array_foreach(json_object_get(entry, "files"), i, file) {
        const char *name = json_member_string(file, "name");
        if (!name || strlen(name) > NAME_MAX_BYTES || count == MODEL_FILE_FILES_MAX)
            continue;
        count++;
        json_begin_object(&w);
        json_put_string(&w, "name", name);
        json_put_int(&w, "size", count_of(file, "size"));
        json_put_int(&w, "downloaded", count_of(file, "downloaded"));
        json_end_object(&w);
    }
    json_end_array(&w);
    return buf_take(&text);
}

/* ---- what it comes to ---- */

/* Hundredths of a percent, never 100 before the last byte. */
static double percent(int64_t part, int64_t whole)
{
    if (whole <= 0)
        return 0;
    return part >= whole ? 100 : floor(1e4 * (double)part / (double)whole) / 100;
}

static void take_figures(struct model_file *copy, const json_t *entry)
{
    int64_t size = count_of(entry, "size"), there = count_of(entry, "downloaded");
    if (size) /* it is known from the first listing on */
        copy->size = size;
    copy->downloaded = copy->size && there > copy->size ? copy->size : there;
    copy->download_progress = percent(copy->downloaded, copy->size);
    copy->bytes_per_second = copy->is_paused ? 0 : count_of(entry, "bytes_per_second");
    int64_t missing = copy->size - copy->downloaded, rate = copy->bytes_per_second;
    copy->eta_s = rate > 0 && missing > 0 ? missing / rate + (missing % rate > 0) : 0;
    if (count_of(entry, "file_count"))
        copy->file_count = count_of(entry, "file_count");
    copy->files_ready = count_of(entry, "files_ready");
    free(copy->files);
    copy->files = files_of(entry);
}

static void take_names(struct model_file *copy, const json_t *entry)
{
    const char *revision = json_member_string(entry, "revision");
    const char *path = json_member_string(entry, "resolved_path");
    if (revision && *revision && strlen(revision) <= 128)
        mem_replace(&copy->revision, revision);
    if (is_path_below(path))
        mem_replace(&copy->resolved_path, path);
}

static void take_fault(struct model_file *copy, const json_t *entry, bool has_fault, int64_t now_ms)
{
    const char *word = json_member_string(entry, "reason");
    int64_t wait_s = count_of(entry, "retry_in_s");
    bool is_told = has_fault && (word || copy->state == MODEL_FILE_ERROR);
    auto_free char *args = is_told ? args_of(entry) : NULL;
    auto_free char *message = is_told ? message_of(entry) : NULL;
    copy->state_reason = !is_told ? REASON_NONE : word ? (int)reason_parse(word) : REASON_OTHER;
    mem_replace(&copy->state_args, args);
    mem_replace(&copy->state_message, message);
    bool waits = is_told && wait_s > 0 && wait_s <= RETRY_MAX_S;
    copy->retry_at = waits ? (now_ms / 1000 + wait_s) * 1000 : 0;
}

/* Files that are there stay so while their worker looks at them again, say after its restart. */
static bool leaves_ready(enum model_file_state state, const json_t *entry)
{
    const char *reason = json_member_string(entry, "reason");
    if (state == MODEL_FILE_ERROR)
        return !reason || reason_parse(reason) != REASON_HUB_UNREACHABLE;
    return state == MODEL_FILE_READY || state == MODEL_FILE_DOWNLOADING;
}

/* The state that the row is in then: what the worker is at, but for wishes that it hasn't heard. */
static enum model_file_state state_after(const struct model_file *file, enum model_file_state told)
{
    if (told == MODEL_FILE_READY)
        return MODEL_FILE_READY;
    if (file->is_paused)
        return MODEL_FILE_PAUSED;
    return told == MODEL_FILE_PAUSED ? MODEL_FILE_WAITING : told;
}

/* ---- events ---- */

static void note_state(struct cluster *cluster, const struct model_file *file,
                       const struct model_file *before, int64_t now_ms)
{
    const char *worker = file->worker_name ? file->worker_name : "";
    const char *reason = reason_name((enum reason)file->state_reason);
    auto_free char *title = model_file_title(file);
    if (file->state == MODEL_FILE_ERROR) {
        auto_free char *args = mem_printf("{\"worker\":\"%s\",\"reason\":\"%s\"}", worker, reason);
        events_note(cluster, KIND_MODEL_FILE, file, EVENT_DOWNLOAD_FAILED, args, now_ms, "%s",
                    file->state_message ? file->state_message : reason);
    } else if (file->state == MODEL_FILE_READY) {
        auto_free char *args = mem_printf("{\"worker\":\"%s\",\"bytes\":%lld}", worker,
                                          (long long)file->size);
        events_note(cluster, KIND_MODEL_FILE, file, EVENT_DOWNLOAD_READY, args, now_ms,
                    "%s is there on worker %s", title, worker);
    } else if (file->state == MODEL_FILE_DOWNLOADING && before->state < MODEL_FILE_DOWNLOADING) {
        auto_free char *args = mem_printf("{\"worker\":\"%s\"}", worker);
        events_note(cluster, KIND_MODEL_FILE, file, EVENT_DOWNLOAD_BEGUN, args, now_ms,
                    "worker %s downloads %s", worker, title);
    }
}

/* ---- entries ---- */

static void put(struct cluster *cluster, const struct model_file *file, struct model_file *copy,
                int64_t now_ms)
{
    struct model_file before = {.state = file->state, .state_reason = file->state_reason};
    const struct model_file *row = cluster_put(cluster, KIND_MODEL_FILE, copy, now_ms);
    if (row->state != before.state || row->state_reason != before.state_reason)
        note_state(cluster, row, &before, now_ms);
}

static void take_deleting(struct cluster *cluster, const struct model_file *file,
                          const json_t *entry, int64_t now_ms)
{
    const char *word = json_member_string(entry, "state");
    if (strcmp(word, "deleted") == 0) {
        model_files_forget(cluster, file, now_ms, "deleted, its files too");
        return;
    }
    struct model_file copy = {0};
    record_copy(&model_file_type, &copy, file);
    take_fault(&copy, entry, strcmp(word, "error") == 0, now_ms);
    cluster_put(cluster, KIND_MODEL_FILE, &copy, now_ms);
}

static void take(struct cluster *cluster, const struct model_file *file, const json_t *entry,
                 int64_t now_ms)
{
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, file->worker_id);
    const char *word = json_member_string(entry, "state");
    enum model_file_state told;
    if (!word || (strcmp(word, "deleted") != 0 && model_file_state_parse(word, &told) < 0))
        return;
    if (file->state == MODEL_FILE_DELETING) {
        take_deleting(cluster, file, entry, now_ms);
        return;
    }
    if (strcmp(word, "deleted") == 0 || told == MODEL_FILE_DELETING ||
        (file->state == MODEL_FILE_READY && !leaves_ready(told, entry)))
        return;
    struct model_file copy = {0};
    record_copy(&model_file_type, &copy, file);
    copy.state = (int)state_after(file, told);
    copy.is_paused = copy.is_paused && copy.state != MODEL_FILE_READY;
    take_names(&copy, entry);
    take_figures(&copy, entry);
    take_fault(&copy, entry, copy.state != MODEL_FILE_READY && !copy.is_paused, now_ms);
    mem_replace(&copy.storage, worker->cache);
    /* Without a path nothing can be started with it. */
    if (copy.state == MODEL_FILE_READY && !copy.resolved_path)
        copy.state = MODEL_FILE_VERIFYING;
    put(cluster, file, &copy, now_ms);
}

void file_reports_take(struct cluster *cluster, int64_t worker_id, const json_t *entries,
                       int64_t now_ms)
{
    size_t i;
    json_t *entry;
    json_array_foreach(entries, i, entry) {
        int64_t id = json_member_int(entry, "id", 0), lease = json_member_int(entry, "lease", 0);
        const struct model_file *file = cluster_find(cluster, KIND_MODEL_FILE, id);
        if (file && file->worker_id == worker_id && file->lease == lease)
            take(cluster, file, entry, now_ms);
    }
}
