/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/downloads_priv.h"

#include "worker/storage.h"

static int64_t now_ms(const struct downloads *downloads)
{
    return loop_now_ms(downloads->params.loop);
}

static void tell(struct downloads *downloads)
{
    downloads->params.on_change(downloads->params.ctx);
}

static bool is_same_text(const char *a, const char *b)
{
    return str_eq(str_of(a), str_of(b));
}

/* ---- on the thread ---- */

static void delete_files(const struct cache *cache, struct job *job)
{
    const int rc = download_delete(cache, job->place, job->pattern, &job->result.err);
    job->result.fault = rc < 0 ? DOWNLOAD_STORAGE_UNUSABLE : DOWNLOAD_DONE;
}

static void on_thread(void *arg)
{
    struct job *job = arg;
    struct cache cache;
    if (cache_open(job->cache_dir, &cache, &job->result.err) < 0) {
        job->result.fault = DOWNLOAD_STORAGE_UNUSABLE;
        return;
    }
    const struct download_request request = {.place = job->place,
                                             .pattern = job->pattern,
                                             .lease = job->lease,
                                             .hub = &job->hub};
    if (job->is_deletion)
        delete_files(&cache, job);
    else
        download_run(&cache, &request, job->progress, &job->result);
    if (job->result.fault == DOWNLOAD_STOPPED && job->is_discarded)
        download_discard(&cache, job->place, job->pattern, job->lease);
    cache_close(&cache);
}

static void job_free(void *arg)
{
    struct job *job = arg;
    download_progress_free(job->progress);
    download_result_fini(&job->result);
    free(job->cache_dir);
    free(job->place);
    free(job->pattern);
    free(job);
}

/* ---- items ---- */

static void item_free(struct item *item)
{
    list_remove(&item->node);
    download_view_fini(&item->view);
    free(item->place);
    free(item->pattern);
    free(item->revision);
    free(item->resolved_path);
    free(item->message);
    free(item->bad_file);
    free(item);
}

/* What runs for it ends by itself, and nobody hears of it. */
static void leave_job(struct item *item)
{
    if (!item->job)
        return;
    item->job->is_discarded = true;
    download_stop(item->job->progress);
    item->job = NULL;
    detached_job_abandon(TAKE(item->thread));
}

static void forget_fault(struct item *item)
{
    item->fault = DOWNLOAD_DONE;
    item->retry_at_ms = 0;
    free(TAKE(item->message));
    free(TAKE(item->bad_file));
}

/* ---- how a job ended ---- */

static void take_view(struct item *item)
{
    download_view_fini(&item->view);
    download_progress_read(item->job->progress, &item->view);
    item->bytes = item->view.bytes;
    item->done = item->view.done;
    item->file_count = item->view.file_count;
    item->files_ready = item->view.files_ready;
    mem_replace(&item->revision, item->view.revision);
}

static void take_success(struct item *item, struct download_result *result)
{
    item->state = FILE_READY;
    item->bytes = item->done = result->bytes;
    item->file_count = item->files_ready = result->file_count;
    item->failures = 0;
    free(item->resolved_path);
    item->resolved_path = TAKE(result->resolved_path);
    mem_replace(&item->revision, result->revision);
}

static bool may_pass(enum download_fault fault)
{
    return fault == DOWNLOAD_HUB_UNREACHABLE || fault == DOWNLOAD_DISK_FULL ||
           fault == DOWNLOAD_CHECKSUM_MISMATCH || fault == DOWNLOAD_STORAGE_UNUSABLE ||
           fault == DOWNLOAD_LOST;
}

static int64_t retry_delay_ms(const struct item *item)
{
    int64_t delay_ms = item->owner->params.retry_ms;
    for (unsigned i = 1; i < item->failures && delay_ms < DOWNLOADS_RETRY_MAX_MS; i++)
        delay_ms *= 2;
    return delay_ms < DOWNLOADS_RETRY_MAX_MS ? delay_ms : DOWNLOADS_RETRY_MAX_MS;
}

static void take_failure(struct item *item, struct download_result *result)
{
    item->state = FILE_ERROR;
    item->fault = result->fault;
    item->failures++;
    item->needs_bytes = result->needs_bytes;
    item->free_bytes = result->free_bytes;
    mem_replace(&item->message, result->err.text);
    free(item->bad_file);
    item->bad_file = TAKE(result->file);
    item->retry_at_ms =
        may_pass(result->fault) ? now_ms(item->owner) + retry_delay_ms(item) : 0;
}

static void take_result(struct item *item, struct job *job)
{
    struct download_result *result = &job->result;
    if (!job->is_deletion)
        take_view(item);
    item->bytes_per_second = 0;
    if (result->fault == DOWNLOAD_STOPPED)
        item->state = item->action == MODEL_FILE_PAUSE ? FILE_PAUSED : FILE_WAITING;
    else if (result->fault != DOWNLOAD_DONE)
        take_failure(item, result);
    else if (job->is_deletion)
        item->state = FILE_DELETED;
    else
        take_success(item, result);
}

static void go_on(struct downloads *downloads);

static void on_done(void *arg)
{
    struct job *job = arg;
    struct item *item = job->item;
    take_result(item, job);
    item->job = NULL;
    item->thread = NULL;
    job_free(job);
    tell(item->owner);
    go_on(item->owner);
}

/* ---- beginning ---- */

static void begin(struct item *item, bool is_deletion)
{
    static const struct detached_ops ops = {.work = on_thread, .done = on_done, .drop = job_free};
    struct downloads *downloads = item->owner;
    struct job *job = mem_alloc(sizeof *job);
    struct err err = {0};
    *job = (struct job){.item = item,
                        .is_deletion = is_deletion,
                        .cache_dir = mem_strdup(downloads->cache_dir),
                        .place = mem_strdup(item->place),
                        .pattern = mem_strdup(item->pattern),
                        .lease = item->lease,
                        .hub = downloads->hub,
                        .progress = download_progress_new()};
    forget_fault(item);
    item->state = is_deletion ? FILE_WAITING : FILE_LISTING;
    item->looked_ms = now_ms(downloads);
    item->looked_done = item->done;
    if (detached_job_start(downloads->params.loop, &ops, job, &item->thread, &err) < 0) {
        job->result = (struct download_result){.fault = DOWNLOAD_STORAGE_UNUSABLE, .err = err};
        take_failure(item, &job->result);
        job_free(job);
        return;
    }
    item->job = job;
}

/* Whether something is to be begun for it now. */
static bool is_due(const struct item *item)
{
    if (item->job || (item->state == FILE_ERROR && item->retry_at_ms == 0))
        return false;
    if (item->state == FILE_ERROR && item->retry_at_ms > now_ms(item->owner))
        return false;
    if (item->action == MODEL_FILE_DELETE)
        return item->state != FILE_DELETED;
    return item->action == MODEL_FILE_DOWNLOAD && item->state != FILE_READY;
}

static unsigned count_running(const struct downloads *downloads)
{
    unsigned count = 0;
    LIST_FOR_EACH(struct item, item, &downloads->items, node)
        count += item->job != NULL;
    return count;
}

/* Begins what may begin, and sets when to look again. */
static void go_on(struct downloads *downloads)
{
    unsigned running = count_running(downloads);
    int64_t wake_ms = INT64_MAX;
    LIST_FOR_EACH(struct item, item, &downloads->items, node) {
        if (running < DOWNLOADS_AT_ONCE && is_due(item)) {
            begin(item, item->action == MODEL_FILE_DELETE);
            running += item->job != NULL;
        }
        if (item->state == FILE_ERROR && item->retry_at_ms && item->retry_at_ms < wake_ms)
            wake_ms = item->retry_at_ms;
    }
    const int64_t look_ms = now_ms(downloads) + downloads->params.look_ms;
    if (running && look_ms < wake_ms)
        wake_ms = look_ms;
    if (wake_ms == INT64_MAX)
        timer_stop(&downloads->timer);
    else
        timer_start(&downloads->timer,
                    wake_ms > now_ms(downloads) ? wake_ms - now_ms(downloads) : 0);
}

/* ---- looking ---- */

static enum file_state state_of(enum download_state state)
{
    static const enum file_state states[] = {[DOWNLOAD_LISTING] = FILE_LISTING,
                                             [DOWNLOAD_FETCHING] = FILE_DOWNLOADING,
                                             [DOWNLOAD_VERIFYING] = FILE_VERIFYING};
    return states[state];
}

/* The rate is smoothed over some looks. */
static void look_at(struct item *item)
{
    const int64_t passed_ms = now_ms(item->owner) - item->looked_ms;
    take_view(item);
    item->state = state_of(item->view.state);
    if (passed_ms <= 0)
        return;
    const int64_t fresh = item->done > item->looked_done
                              ? (int64_t)(item->done - item->looked_done) * 1000 / passed_ms
                              : 0;
    item->bytes_per_second =
        item->bytes_per_second ? (item->bytes_per_second * 2 + fresh) / 3 : fresh;
    item->looked_ms = now_ms(item->owner);
    item->looked_done = item->done;
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct downloads *downloads = ctx;
    bool is_news = false;
    LIST_FOR_EACH(struct item, item, &downloads->items, node) {
        if (!item->job || item->job->is_deletion)
            continue;
        look_at(item);
        is_news = true;
    }
    if (is_news)
        tell(downloads);
    go_on(downloads);
}

/* ---- wishes ---- */

/* "hf:OWNER/REPO". Returns owned. */
static char *place_of(const struct desired_model_file *wanted)
{
    const bool is_ms = strcmp(wanted->source, "model_scope") == 0;
    return mem_printf("%s:%s", is_ms ? "ms" : "hf", wanted->repo_id);
}

static bool is_of(const struct item *item, const struct desired_model_file *wanted)
{
    if (item->id != wanted->id || item->lease != wanted->lease)
        return false; /* nearly all: each is compared with each */
    auto_free char *place = place_of(wanted);
    return is_same_text(item->place, place) && is_same_text(item->pattern, wanted->file);
}

static const struct desired_model_file *find_wish(const struct item *item,
                                                  const struct desired_model_file *wanted,
                                                  size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_of(item, &wanted[i]))
            return &wanted[i];
    return NULL;
}

static struct item *find_item(struct downloads *downloads, const struct desired_model_file *wish)
{
    LIST_FOR_EACH(struct item, item, &downloads->items, node)
        if (is_of(item, wish))
            return item;
    return NULL;
}

/* At its place by id. */
static struct item *add_item(struct downloads *downloads, const struct desired_model_file *wish)
{
    struct item *fresh = mem_alloc(sizeof *fresh);
    fresh->owner = downloads;
    fresh->id = wish->id;
    fresh->lease = wish->lease;
    fresh->place = place_of(wish);
    fresh->pattern = mem_strdup(wish->file);
    fresh->revision = mem_strdup("");
    fresh->action = MODEL_FILE_DOWNLOAD;
    struct list_node *before = &downloads->items;
    LIST_FOR_EACH(struct item, item, &downloads->items, node) {
        if (item->id > wish->id) {
            before = &item->node;
            break;
        }
    }
    list_add_tail(before, &fresh->node); /* in front of it */
    return fresh;
}

/* Whether it is in another state at once. A pause or a deletion waits for the end of what runs. */
static bool set_action(struct item *item, enum model_file_action action)
{
    if (action == item->action)
        return false;
    item->action = action;
    if (item->job && !item->job->is_deletion && action != MODEL_FILE_DOWNLOAD)
        download_stop(item->job->progress);
    if (item->job || (item->state == FILE_READY && action != MODEL_FILE_DELETE))
        return false;
    forget_fault(item);
    item->failures = 0;
    item->state = action == MODEL_FILE_PAUSE ? FILE_PAUSED : FILE_WAITING;
    return true;
}

void downloads_want(struct downloads *downloads, const struct desired_model_file *wanted,
                    size_t count)
{
    bool is_news = false;
    if (!downloads)
        return;
    LIST_FOR_EACH(struct item, item, &downloads->items, node) {
        if (!find_wish(item, wanted, count)) {
            leave_job(item);
            item_free(item);
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct item *item = find_item(downloads, &wanted[i]);
        is_news = is_news || !item;
        if (!item)
            item = add_item(downloads, &wanted[i]);
        is_news = set_action(item, wanted[i].action) || is_news;
    }
    go_on(downloads);
    if (is_news)
        tell(downloads);
}

/* ---- the storage ---- */

static void look_free(void *arg)
{
    struct storage_look *look = arg;
    free(look->cache_dir);
    free(look->id);
    free(look->error);
    free(look->room);
    free(look);
}

static void look_at_storage(void *arg)
{
    struct storage_look *look = arg;
    struct cache cache;
    struct err err = {0};
    char id[CACHE_ID_MAX];
    int rc = cache_open(look->cache_dir, &cache, &err);
    if (rc == 0)
        rc = cache_storage_id(&cache, id, &err);
    if (rc < 0)
        look->error = mem_strdup(err.text);
    else
        look->id = mem_strdup(id);
    look->room = storage_of(look->cache_dir);
    cache_close(&cache);
}

static void on_looked(void *arg)
{
    struct storage_look *look = arg;
    struct downloads *downloads = look->owner;
    const bool is_news = !downloads->is_storage_known ||
                         !is_same_text(downloads->storage_id, look->id) ||
                         !is_same_text(downloads->storage_error, look->error);
    downloads->is_storage_known = true;
    SWAP(downloads->storage_id, look->id);
    SWAP(downloads->storage_error, look->error);
    SWAP(downloads->room, look->room);
    downloads->look = NULL;
    look_free(look);
    timer_start(&downloads->storage_timer, DOWNLOADS_STORAGE_MS);
    if (is_news)
        tell(downloads);
}

/* One that hangs, on a network file system that is dead, leaves things as they were known. */
static void on_storage_due(struct timer *timer, void *ctx)
{
    static const struct detached_ops ops = {
        .work = look_at_storage, .done = on_looked, .drop = look_free};
    struct downloads *downloads = ctx;
    struct storage_look *look = mem_alloc(sizeof *look);
    *look = (struct storage_look){.owner = downloads,
                                  .cache_dir = mem_strdup(downloads->cache_dir)};
    if (detached_job_start(downloads->params.loop, &ops, look, &downloads->look, NULL) < 0) {
        look_free(look);
        timer_start(timer, DOWNLOADS_STORAGE_MS);
    }
}

/* ---- life ---- */

struct downloads *downloads_new(const struct downloads_params *params)
{
    struct downloads *downloads = mem_alloc(sizeof *downloads);
    downloads->params = *params;
    downloads->cache_dir = mem_strdup(params->cache_dir);
    if (params->hub)
        downloads->hub = *params->hub;
    else
        hub_params_from_environment(&downloads->hub);
    if (downloads->params.look_ms == 0)
        downloads->params.look_ms = DOWNLOADS_LOOK_MS;
    if (downloads->params.retry_ms == 0)
        downloads->params.retry_ms = DOWNLOADS_RETRY_MIN_MS;
    list_init(&downloads->items);
    timer_init(&downloads->timer, params->loop, on_timer, downloads);
    timer_init(&downloads->storage_timer, params->loop, on_storage_due, downloads);
    timer_start(&downloads->storage_timer, 0);
    return downloads;
}

void downloads_free(struct downloads *downloads)
{
    if (!downloads)
        return;
    LIST_FOR_EACH(struct item, item, &downloads->items, node) {
        if (item->job)
            download_stop(item->job->progress);
        detached_job_abandon(TAKE(item->thread));
        item_free(item);
    }
    timer_stop(&downloads->timer);
    timer_stop(&downloads->storage_timer);
    detached_job_abandon(downloads->look);
    free(downloads->cache_dir);
    free(downloads->storage_id);
    free(downloads->storage_error);
    free(downloads->room);
    free(downloads);
}
