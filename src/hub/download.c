/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/download_priv.h"

#include "base/clock.h"
#include "base/crc32c.h"
#include "hub/hub_place_priv.h"
#include "hub/selection.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* ---- progress ---- */

struct download_progress *download_progress_new(void)
{
    struct download_progress *progress = mem_alloc(sizeof *progress);
    pthread_mutex_init(&progress->lock, NULL);
    progress->view.revision = mem_strdup("");
    return progress;
}

void download_view_fini(struct download_view *view)
{
    for (size_t i = 0; i < view->shown; i++)
        free(view->files[i].name);
    free(view->revision);
    *view = (struct download_view){0};
}

void download_progress_free(struct download_progress *progress)
{
    if (!progress)
        return;
    pthread_mutex_destroy(&progress->lock);
    for (size_t i = 0; i < progress->count; i++)
        free(progress->files[i].name);
    download_view_fini(&progress->view);
    free(progress->files);
    free(progress);
}

void download_stop(struct download_progress *progress)
{
    atomic_store(&progress->is_stopped, true);
}

static void show_file(const struct download_progress *progress, size_t i,
                      struct download_view *view)
{
    view->files[view->shown++] =
        (struct download_file_view){.name = mem_strdup(progress->files[i].name),
                                    .bytes = progress->files[i].bytes,
                                    .done = progress->files[i].done};
}

void download_progress_read(struct download_progress *progress, struct download_view *ret)
{
    pthread_mutex_lock(&progress->lock);
    *ret = progress->view;
    ret->revision = mem_strdup(progress->view.revision);
    ret->shown = 0;
    if (progress->current < progress->count)
        show_file(progress, progress->current, ret);
    for (size_t i = 0; i < progress->count && ret->shown < DOWNLOAD_FILES_SHOWN; i++)
        if (i != progress->current)
            show_file(progress, i, ret);
    pthread_mutex_unlock(&progress->lock);
}

void progress_set(struct download_progress *progress, uint64_t done)
{
    pthread_mutex_lock(&progress->lock);
    uint64_t *own = &progress->files[progress->current].done;
    progress->view.done = progress->view.done - *own + done;
    *own = done;
    pthread_mutex_unlock(&progress->lock);
}

void progress_set_state(struct download_progress *progress, enum download_state state)
{
    pthread_mutex_lock(&progress->lock);
    progress->view.state = state;
    pthread_mutex_unlock(&progress->lock);
}

static void progress_begin(struct transfer *transfer, const struct manifest *manifest,
                           bool is_whole)
{
    struct download_progress *progress = transfer->progress;
    const size_t count = manifest->files.count;
    pthread_mutex_lock(&progress->lock);
    progress->files = mem_alloc_array(count + 1, sizeof *progress->files);
    progress->count = count;
    progress->view.file_count = count;
    progress->view.files_ready = is_whole ? count : 0;
    progress->view.state = DOWNLOAD_FETCHING;
    mem_replace(&progress->view.revision, manifest->revision);
    for (size_t i = 0; i < count; i++) {
        const struct listed_file *file = &manifest->files.files[i];
        progress->files[i] =
            (struct download_file_view){.name = mem_strdup(file->name),
                                        .bytes = file->bytes,
                                        .done = is_whole ? file->bytes
                                                         : part_bytes(transfer, manifest, file)};
        progress->view.bytes += file->bytes;
        progress->view.done += progress->files[i].done;
    }
    pthread_mutex_unlock(&progress->lock);
}

/* ---- faults ---- */

int transfer_fail(struct transfer *transfer, enum download_fault fault, int code,
                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    auto_free char *text = mem_vprintf(format, args);
    va_end(args);
    transfer->result->fault = fault;
    return err_set(&transfer->result->err, code, "%s", text);
}

static int fail_full(struct transfer *transfer, uint64_t needs)
{
    transfer->result->needs_bytes = needs;
    transfer->result->free_bytes = cache_available(transfer->cache);
    return transfer_fail(transfer, DOWNLOAD_DISK_FULL, -ENOSPC,
                         "%s has %llu bytes free, %llu are needed", transfer->cache->path,
                         (unsigned long long)transfer->result->free_bytes,
                         (unsigned long long)needs);
}

static uint64_t bytes_left(struct download_progress *progress)
{
    pthread_mutex_lock(&progress->lock);
    const uint64_t left = progress->view.bytes - progress->view.done;
    pthread_mutex_unlock(&progress->lock);
    return left;
}

int transfer_fail_disk(struct transfer *transfer, int cause, const char *what)
{
    if (cause == ENOSPC || cause == EDQUOT)
        return fail_full(transfer, bytes_left(transfer->progress));
    return transfer_fail(transfer, DOWNLOAD_STORAGE_UNUSABLE, -cause, "%s/%s: %s",
                         transfer->cache->path, what, strerror(cause));
}

/* ---- names ---- */

/* "hf-OWNER-REPO-<hash>", of at most 200 bytes. Returns owned. */
static char *slug_of(const char *place, const char *pattern)
{
    enum { READABLE_MAX = 150 };
    auto_free char *all = mem_printf("%s\n%s", place, pattern ? pattern : "");
    auto_free char *readable = mem_strndup(place, strnlen(place, READABLE_MAX));
    for (char *at = readable; *at; at++)
        if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._", *at))
            *at = '-';
    return mem_printf("%s-%08x", readable, crc32c_of(str_of(all)));
}

/* Of what is whole, or with `is_plan` of what is meant to be. Returns owned. */
static char *manifest_path(const char *place, const char *pattern, bool is_plan)
{
    auto_free char *slug = slug_of(place, pattern);
    return mem_printf(CACHE_MANIFESTS "/%s.%s", slug, is_plan ? "plan" : "json");
}

/* "huggingface/OWNER/REPO". Returns owned. */
static char *folder_of(const char *place)
{
    const char *repo = strchr(place, ':') + 1;
    return mem_printf("%s/%s", str_has_prefix(str_of(place), STR("ms:")) ? "model_scope"
                                                                         : "huggingface", repo);
}

static const char *top_of(const char *folder)
{
    return str_has_prefix(str_of(folder), STR("model_scope/")) ? "model_scope" : "huggingface";
}

static bool is_same_text(const char *a, const char *b)
{
    return str_eq(str_of(a), str_of(b));
}

static int read_manifest(const struct cache *cache, const char *path, struct manifest *ret)
{
    auto_fini(buf_fini) struct buf text = {0};
    const int rc = cache_read(cache, path, MANIFEST_BYTES_MAX, &text, NULL);
    return rc < 0 ? rc : manifest_read(buf_str(&text), ret, NULL);
}

/* The one of these two, if it is there and well-formed. */
static bool load(const struct cache *cache, const char *place, const char *pattern, bool is_plan,
                 struct manifest *ret)
{
    auto_free char *path = manifest_path(place, pattern, is_plan);
    auto_free char *folder = folder_of(place);
    *ret = (struct manifest){0};
    if (read_manifest(cache, path, ret) < 0)
        return false;
    if (is_same_text(ret->place, place) && is_same_text(ret->pattern, pattern) &&
        is_same_text(ret->folder, folder))
        return true;
    manifest_fini(ret);
    return false;
}

static int save(struct transfer *transfer, const struct manifest *manifest, bool is_plan)
{
    auto_fini(buf_fini) struct buf text = {0};
    auto_free char *path =
        manifest_path(transfer->request->place, transfer->request->pattern, is_plan);
    manifest_write(manifest, &text);
    const int rc = cache_write(transfer->cache, path, buf_str(&text), NULL);
    return rc < 0 ? transfer_fail_disk(transfer, -rc, path) : 0;
}

/* ---- listing ---- */

static int fail_listing(struct transfer *transfer, int rc, const struct err *err)
{
    const bool is_refused = rc == ERR_UNAUTHORIZED || rc == ERR_FORBIDDEN;
    const bool is_missing = rc == ERR_NOT_FOUND || rc == ERR_INVALID || rc == ERR_TOO_LARGE;
    return transfer_fail(transfer,
                         is_refused   ? DOWNLOAD_HUB_REFUSED
                         : is_missing ? DOWNLOAD_FILE_MISSING
                                      : DOWNLOAD_HUB_UNREACHABLE,
                         rc, "%s", err->text);
}

/* What of the listing was chosen becomes the manifest's; the rest is freed. */
static void keep_chosen(struct listing *listing, const struct selection *selection,
                        struct manifest *manifest)
{
    size_t kept = 0;
    manifest->entry = mem_strdup(selection->entry);
    for (size_t i = 0; i < listing->count; i++) {
        if (selection->chosen[i])
            listing->files[kept++] = listing->files[i];
        else
            free(listing->files[i].name);
    }
    listing->count = kept;
    manifest->files = *listing;
    *listing = (struct listing){0};
}

static int list(struct transfer *transfer, struct place *place, struct manifest *ret,
                struct err *err)
{
    const struct download_request *request = transfer->request;
    auto_fini(listing_fini) struct listing listing = {0};
    struct selection selection = {0};
    int rc = place_pin(transfer->fetcher, place, &ret->revision, err);
    if (rc == 0 && ret->revision)
        place->revision = str_of(ret->revision);
    if (rc == 0)
        rc = place_list(transfer->fetcher, place, &listing, err);
    if (rc < 0)
        return rc;
    listing_sort(&listing);
    rc = selection_make(&listing, request->pattern, &selection, err);
    if (rc < 0)
        return rc;
    keep_chosen(&listing, &selection, ret);
    selection_fini(&selection);
    ret->place = mem_strdup(request->place);
    ret->pattern = mem_strdup(request->pattern);
    ret->folder = folder_of(request->place);
    return 0;
}

/* A download that was begun goes on with the files and the revision of its beginning. */
static bool load_plan(struct transfer *transfer, struct place *place, struct manifest *ret)
{
    const struct download_request *request = transfer->request;
    if (!load(transfer->cache, request->place, request->pattern, true, ret))
        return false;
    if (*ret->revision)
        place->revision = str_of(ret->revision);
    return true;
}

/* The hub has other files by now than when the download was begun. */
static bool is_outdated(const struct download_result *result)
{
    return result->fault == DOWNLOAD_FILE_MISSING ||
           result->fault == DOWNLOAD_CHECKSUM_MISMATCH ||
           (result->fault == DOWNLOAD_HUB_UNREACHABLE && result->err.code == ERR_CONFLICT);
}

static int drop_plan(struct transfer *transfer)
{
    auto_free char *plan =
        manifest_path(transfer->request->place, transfer->request->pattern, true);
    const int rc = cache_remove(transfer->cache, ".gpustack", plan, NULL);
    return rc < 0 ? transfer_fail_disk(transfer, -rc, plan) : 0;
}

static int make_manifest(struct transfer *transfer, struct place *place, struct manifest *ret)
{
    struct err err = {0};
    int rc = place_understand(transfer->request->place, transfer->request->hub, place, &err);
    if (rc == 0)
        rc = fetcher_new(transfer->request->hub->ca_file, &transfer->fetcher, &err);
    if (rc == 0 && !load_plan(transfer, place, ret))
        rc = list(transfer, place, ret, &err);
    if (rc < 0)
        return fail_listing(transfer, rc, &err);
    if (!ret->revision)
        ret->revision = mem_strdup("");
    transfer->origin = place->origin;
    transfer->token = place->token;
    return 0;
}

/* ---- running ---- */

/* Whether each file is in its place, by name and size; what its manifest says was checked then. */
static bool is_whole(const struct cache *cache, const struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->files.count; i++) {
        struct stat st;
        const struct listed_file *file = &manifest->files.files[i];
        if (cache_stat(cache, manifest->folder, file->name, &st) < 0 ||
            (uint64_t)st.st_size != file->bytes)
            return false;
    }
    return true;
}

static void succeed(struct transfer *transfer, const struct manifest *manifest)
{
    struct download_result *result = transfer->result;
    result->resolved_path =
        manifest->entry ? mem_printf("%s/%s", manifest->folder, manifest->entry)
                        : mem_strdup(manifest->folder);
    result->revision = mem_strdup(manifest->revision);
    result->file_count = manifest->files.count;
    for (size_t i = 0; i < manifest->files.count; i++)
        result->bytes += manifest->files.files[i].bytes;
}

static int check_room(struct transfer *transfer)
{
    const uint64_t left = bytes_left(transfer->progress);
    const uint64_t said = transfer->request->room_bytes;
    const uint64_t available = said ? said : cache_available(transfer->cache);
    return left == 0 || left + DOWNLOAD_RESERVE_BYTES <= available
               ? 0
               : fail_full(transfer, left + DOWNLOAD_RESERVE_BYTES);
}

static int have_file(struct transfer *transfer, const struct place *place,
                     const struct manifest *manifest, size_t i)
{
    struct download_progress *progress = transfer->progress;
    const struct listed_file *file = &manifest->files.files[i];
    pthread_mutex_lock(&progress->lock);
    progress->current = i;
    pthread_mutex_unlock(&progress->lock);
    int rc = 0;
    if (!transfer_has_content(transfer, manifest->folder, file)) {
        auto_free char *url = place_file_url(place, str_of(file->name));
        rc = transfer->result->fault == DOWNLOAD_DONE
                 ? transfer_file(transfer, manifest, file, url)
                 : transfer->result->err.code;
    }
    pthread_mutex_lock(&progress->lock);
    progress->view.files_ready += rc == 0;
    pthread_mutex_unlock(&progress->lock);
    return rc;
}

static int fetch_files(struct transfer *transfer, const struct place *place,
                       const struct manifest *manifest)
{
    progress_begin(transfer, manifest, false);
    int rc = save(transfer, manifest, true);
    if (rc == 0)
        rc = check_room(transfer);
    for (size_t i = 0; rc == 0 && i < manifest->files.count; i++)
        rc = have_file(transfer, place, manifest, i);
    if (rc == 0)
        rc = save(transfer, manifest, false);
    if (rc == 0)
        return drop_plan(transfer);
    if (is_outdated(transfer->result) && drop_plan(transfer) < 0)
        return transfer->result->err.code;
    return rc;
}

void download_run(const struct cache *cache, const struct download_request *request,
                  struct download_progress *progress, struct download_result *ret)
{
    struct place place = {0};
    struct manifest manifest = {0};
    *ret = (struct download_result){0};
    struct transfer transfer = {
        .cache = cache, .request = request, .progress = progress, .result = ret};
    const bool is_known = load(cache, request->place, request->pattern, false, &manifest);
    int rc = 0;
    if (is_known && is_whole(cache, &manifest)) {
        progress_begin(&transfer, &manifest, true);
    } else {
        manifest_fini(&manifest);
        parts_remove_old(cache, clock_wall_ms(&clock_system) / 1000);
        rc = make_manifest(&transfer, &place, &manifest);
        if (rc == 0)
            rc = fetch_files(&transfer, &place, &manifest);
    }
    if (rc == 0)
        succeed(&transfer, &manifest);
    fetcher_free(transfer.fetcher);
    manifest_fini(&manifest);
}

void download_result_fini(struct download_result *result)
{
    free(result->file);
    free(result->resolved_path);
    free(result->revision);
    *result = (struct download_result){0};
}

/* ---- removing ---- */

static bool is_manifest_name(const char *name)
{
    return str_has_suffix(str_of(name), STR(".json")) || str_has_suffix(str_of(name), STR(".plan"));
}

/* The manifests of other models whose files are in the same folder. */
struct others {
    struct manifest *items; /* owned */
    size_t count;
};

static void add_other(struct others *others, const struct manifest *own, struct manifest *other)
{
    const bool is_own = is_same_text(other->place, own->place) &&
                        is_same_text(other->pattern, own->pattern);
    if (is_own || !is_same_text(other->folder, own->folder)) {
        manifest_fini(other);
        return;
    }
    others->items = mem_resize(others->items, (others->count + 1) * sizeof *others->items);
    others->items[others->count++] = *other;
}

static void find_others(const struct cache *cache, const struct manifest *own,
                        struct others *ret)
{
    const int fd = cache_open_folder(cache, CACHE_MANIFESTS, false, NULL);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    *ret = (struct others){0};
    while (dir && (entry = readdir(dir))) {
        struct manifest other = {0};
        auto_free char *path = mem_printf(CACHE_MANIFESTS "/%s", entry->d_name);
        if (is_manifest_name(entry->d_name) && read_manifest(cache, path, &other) == 0)
            add_other(ret, own, &other);
    }
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
}

static bool is_listed(const struct others *others, const char *name)
{
    for (size_t i = 0; i < others->count; i++)
        if (manifest_find(&others->items[i], name))
            return true;
    return false;
}

static int delete_listed(const struct cache *cache, const struct manifest *manifest,
                         struct err *err)
{
    struct others others;
    int rc = 0;
    find_others(cache, manifest, &others);
    for (size_t i = 0; rc == 0 && i < manifest->files.count; i++) {
        const struct listed_file *file = &manifest->files.files[i];
        auto_free char *content = part_content(manifest->place, manifest, file);
        auto_free char *path = mem_printf("%s/%s", manifest->folder, file->name);
        struct stat st;
        if (is_listed(&others, file->name))
            continue;
        part_remove(cache, content, 0);
        if (cache_stat(cache, manifest->folder, file->name, &st) == 0 &&
            (uint64_t)st.st_size != file->bytes)
            continue;
        rc = cache_remove(cache, top_of(manifest->folder), path, err);
    }
    for (size_t i = 0; i < others.count; i++)
        manifest_fini(&others.items[i]);
    free(others.items);
    return rc;
}

int download_delete(const struct cache *cache, const char *place, const char *pattern,
                    struct err *err)
{
    int rc = 0;
    for (int is_plan = 1; rc == 0 && is_plan >= 0; is_plan--) {
        struct manifest manifest;
        auto_free char *path = manifest_path(place, pattern, is_plan);
        if (load(cache, place, pattern, is_plan, &manifest)) {
            rc = delete_listed(cache, &manifest, err);
            manifest_fini(&manifest);
        }
        if (rc == 0)
            rc = cache_remove(cache, ".gpustack", path, err);
    }
    return rc;
}

void download_discard(const struct cache *cache, const char *place, const char *pattern,
                      int64_t lease)
{
    struct manifest plan;
    if (!load(cache, place, pattern, true, &plan))
        return;
    for (size_t i = 0; i < plan.files.count; i++) {
        auto_free char *content = part_content(place, &plan, &plan.files.files[i]);
        part_remove(cache, content, lease);
    }
    manifest_fini(&plan);
}
