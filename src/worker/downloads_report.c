/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of model files and of the storage they lie on. */
#include "worker/downloads_priv.h"

const char *file_state_name(enum file_state state)
{
    static const char *const names[] = {
        [FILE_WAITING] = "waiting",         [FILE_LISTING] = "listing",
        [FILE_DOWNLOADING] = "downloading", [FILE_VERIFYING] = "verifying",
        [FILE_PAUSED] = "paused",           [FILE_READY] = "ready",
        [FILE_ERROR] = "error",             [FILE_DELETED] = "deleted",
    };
    return names[state];
}

/* Codes of domain/reason.h, which are the server's; NULL: none. */
static const char *reason_of(const struct item *item)
{
    static const char *const names[] = {
        [DOWNLOAD_HUB_UNREACHABLE] = "hub_unreachable",
        [DOWNLOAD_HUB_REFUSED] = "hub_refused",
        [DOWNLOAD_FILE_MISSING] = "file_missing",
        [DOWNLOAD_DISK_FULL] = "disk_full",
        [DOWNLOAD_STORAGE_UNUSABLE] = "storage_unusable",
        [DOWNLOAD_CHECKSUM_MISMATCH] = "checksum_mismatch",
        [DOWNLOAD_LOST] = NULL,
    };
    return item->state == FILE_ERROR ? names[item->fault] : NULL;
}

static void write_args(const struct item *item, struct json_writer *w)
{
    json_add_key(w, "args");
    json_begin_object(w);
    if (item->state == FILE_ERROR && item->fault == DOWNLOAD_DISK_FULL) {
        json_put_int(w, "needs", (int64_t)item->needs_bytes);
        json_put_int(w, "free", (int64_t)item->free_bytes);
    } else if (item->state == FILE_ERROR && item->fault == DOWNLOAD_HUB_REFUSED) {
        const bool is_ms = str_has_prefix(str_of(item->place), STR("ms:"));
        json_put_string(w, "variable", is_ms ? "MODELSCOPE_API_TOKEN" : "HF_TOKEN");
    } else if (item->state == FILE_ERROR && item->fault == DOWNLOAD_STORAGE_UNUSABLE) {
        json_put_string(w, "path", item->owner->cache_dir);
    } else if (item->state == FILE_ERROR && item->fault == DOWNLOAD_CHECKSUM_MISMATCH) {
        json_put_string(w, "file", item->bad_file);
    }
    json_end_object(w);
}

static void write_retry(const struct item *item, struct json_writer *w)
{
    const int64_t left_ms = item->retry_at_ms - loop_now_ms(item->owner->params.loop);
    json_add_key(w, "retry_in_s");
    if (item->state == FILE_ERROR && item->retry_at_ms)
        json_add_int(w, left_ms > 0 ? (left_ms + 999) / 1000 : 0);
    else
        json_add_null(w);
}

static void write_files(const struct item *item, size_t *room, struct json_writer *w)
{
    json_add_key(w, "files");
    json_begin_array(w);
    for (size_t i = 0; i < item->view.shown && *room > 0; i++, --*room) {
        const struct download_file_view *file = &item->view.files[i];
        json_begin_object(w);
        json_put_string(w, "name", file->name);
        json_put_int(w, "size", (int64_t)file->bytes);
        json_put_int(w, "downloaded", (int64_t)file->done);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_item(const struct item *item, size_t *room, struct json_writer *w)
{
    json_begin_object(w);
    json_put_int(w, "id", item->id);
    json_put_int(w, "lease", item->lease);
    json_put_string(w, "state", file_state_name(item->state));
    json_put_int(w, "size", (int64_t)item->bytes);
    json_put_int(w, "downloaded", (int64_t)item->done);
    json_put_int(w, "bytes_per_second", item->bytes_per_second);
    json_put_int(w, "file_count", (int64_t)item->file_count);
    json_put_int(w, "files_ready", (int64_t)item->files_ready);
    json_put_string(w, "revision", item->revision);
    json_put_string(w, "resolved_path", item->resolved_path);
    json_put_string(w, "reason", reason_of(item));
    write_args(item, w);
    json_put_string(w, "message", item->message ? item->message : "");
    write_retry(item, w);
    write_files(item, room, w);
    json_end_object(w);
}

void downloads_write_report(const struct downloads *downloads, struct json_writer *w)
{
    size_t room = DOWNLOADS_FILES_TOLD;
    json_begin_array(w);
    if (downloads) {
        LIST_FOR_EACH(struct item, item, &downloads->items, node)
            write_item(item, &room, w);
    }
    json_end_array(w);
}

/* ---- the storage ---- */

static void write_room(const struct downloads *downloads, struct json_writer *w)
{
    auto_fini(json_release) json_t *room = NULL;
    if (downloads->room && json_read(str_of(downloads->room), &room, NULL) < 0)
        room = NULL;
    json_put_int(w, "total", json_member_int(room, "total", 0));
    json_put_int(w, "available", json_member_int(room, "available", 0));
    json_put_bool(w, "is_shared", json_is_true(json_object_get(room, "is_shared")));
}

void downloads_write_cache(const struct downloads *downloads, struct json_writer *w)
{
    if (!downloads || !downloads->is_storage_known) {
        json_add_null(w);
        return;
    }
    json_begin_object(w);
    json_put_string(w, "dir", downloads->cache_dir);
    json_put_string(w, "storage_id", downloads->storage_id);
    write_room(downloads, w);
    json_put_string(w, "error", downloads->storage_error);
    json_end_object(w);
}
