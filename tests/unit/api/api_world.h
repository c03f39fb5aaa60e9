/* SPDX-License-Identifier: Apache-2.0 */
/* A control with its API in a folder of its own, a clock that can be moved on, users with keys, and
 * readers of streams that can stall. */
#pragma once

#include "api/api.h"
#include "auth/auth.h"
#include "control/watch.h"
#include "http/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/timerfd.h>

#include <cmocka.h>

enum { TICK_MS = 10 };

static int64_t skew_ms;

static int64_t mono(void *ctx)
{
    return clock_mono_ms(&clock_system) + skew_ms;
}

static int64_t wall(void *ctx)
{
    return clock_wall_ms(&clock_system) + skew_ms;
}

static const struct clock test_clock = {.mono_ms = mono, .wall_ms = wall};

struct world {
    char folder[64];
    struct loop *loop;
    struct store *store;
    struct control *control;
    struct cluster *cluster;
    struct api *api;
    struct http_pool *pool;
    int tick_fd; /* wakes the loop for its timers, which a moved clock doesn't */
    struct watch *tick;
    int ticks_left;  /* until a test that waits in vain ends */
    char *admin_key; /* an administrator's API key */
};

static void on_tick(struct watch *watch, unsigned events, void *ctx)
{
    struct world *w = ctx;
    uint64_t times;
    assert_int_equal(read(w->tick_fd, &times, sizeof times), sizeof times);
    if (--w->ticks_left < 0)
        loop_stop(w->loop);
}

/* Runs the loop until something stops it, 20 s at most. */
static void run(struct world *w)
{
    w->ticks_left = 20000 / TICK_MS;
    loop_run(w->loop);
    assert_true(w->ticks_left >= 0);
}

static void start_ticks(struct world *w)
{
    const struct timespec period = {.tv_nsec = TICK_MS * 1000000};
    const struct itimerspec spec = {period, period};
    w->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    assert_int_equal(timerfd_settime(w->tick_fd, 0, &spec, NULL), 0);
    w->tick = watch_new(w->loop, w->tick_fd, on_tick, w);
    watch_set(w->tick, WATCH_READ);
}

static void stop_loop(void *ctx)
{
    loop_stop(ctx);
}

/* Until everything changed so far is durable and told. */
static void settle(struct world *w)
{
    control_when_durable(w->control, stop_loop, w->loop);
    run(w);
}

/* ---- records ---- */

static int64_t put_user(struct world *w, const char *name, bool is_admin)
{
    struct user fresh = {0};
    record_init(&user_type, &fresh);
    mem_replace(&fresh.username, name);
    fresh.is_admin = is_admin;
    fresh.is_active = true;
    struct user *user = cluster_put(w->cluster, KIND_USER, &fresh, control_now_ms(w->control));
    return user->id;
}

/* A key of that user; returns its text, owned. */
static char *put_key(struct world *w, int64_t user_id, const char *name)
{
    struct auth_key parts;
    char digest[AUTH_DIGEST_HEX];
    auth_key_make(&parts);
    auth_digest(str_of(parts.secret), digest);
    struct api_key fresh = {0};
    record_init(&api_key_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.access_key, parts.access);
    mem_replace(&fresh.secret_digest, digest);
    fresh.user_id = user_id;
    cluster_put(w->cluster, KIND_API_KEY, &fresh, control_now_ms(w->control));
    return auth_key_format(&parts);
}

/* A model without replicas. */
static inline int64_t put_model(struct world *w, const char *name)
{
    struct model fresh = {0};
    record_init(&model_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.local_path, "/m.gguf");
    fresh.source = MODEL_LOCAL_PATH;
    fresh.replicas = 0;
    fresh.generation = 1;
    struct model *model = cluster_put(w->cluster, KIND_MODEL, &fresh, control_now_ms(w->control));
    return model->id;
}

static inline void describe_model(struct world *w, int64_t id, const char *description)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, cluster_find(w->cluster, KIND_MODEL, id));
    mem_replace(&copy.description, description);
    cluster_put(w->cluster, KIND_MODEL, &copy, control_now_ms(w->control));
}

/* ---- life ---- */

static int set_up(void **state)
{
    struct err err = {0};
    auth_init();
    struct world *w = mem_alloc(sizeof *w);
    snprintf(w->folder, sizeof w->folder, "/tmp/gpustack-api-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    skew_ms = 0;
    auto_free char *database = mem_printf("%s/database.db", w->folder);
    auto_free char *socket = mem_printf("%s/s", w->folder);
    auto_free char *admin_socket = mem_printf("%s/a", w->folder);
    w->loop = loop_new(&test_clock);
    const struct store_options options = {.path = database, .allow_network_fs = true};
    assert_int_equal(store_open(&options, &w->store, &err), 0);
    const struct control_params params = {
        .loop = w->loop, .store = w->store, .cluster_token = "cluster"};
    assert_int_equal(control_new(&params, &w->control, &err), 0);
    const struct api_params api_params = {.control = w->control,
                                          .control_socket = socket,
                                          .admin_socket = admin_socket,
                                          .backends = "[]"};
    assert_int_equal(api_new(&api_params, &w->api, &err), 0);
    w->cluster = control_cluster(w->control);
    w->pool = http_pool_new(w->loop);
    start_ticks(w);
    w->admin_key = put_key(w, put_user(w, "root", true), "key");
    settle(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    watch_free(w->tick);
    close(w->tick_fd);
    http_pool_free(w->pool);
    api_free(w->api);
    store_close(w->store);
    control_free(w->control);
    loop_free(w->loop);
    static const char *const files[] = {
        "database.db", "database.db-wal", "database.db-shm", "database.db.lock", "s", "a"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        auto_free char *path = mem_printf("%s/%s", w->folder, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(w->folder), 0);
    mem_free_secret(w->admin_key);
    free(w);
    return 0;
}

/* ---- a reader of a stream that remembers all of it ---- */

struct reader {
    struct world *w;
    struct http_target target;
    struct http_call *call; /* NULL once ended */
    char *path, *bearer;
    struct buf text;
    unsigned status;
    bool is_cut;         /* it ended without its last chunk */
    const char *awaited; /* stops the loop when the text holds it; "" for the end */
};

static void note(struct reader *reader)
{
    bool is_there =
        reader->awaited &&
        (*reader->awaited ? reader->text.ptr && strstr(reader->text.ptr, reader->awaited) != NULL
                          : !reader->call);
    if (is_there)
        loop_stop(reader->w->loop);
}

static void on_head(struct http_call *call, const struct http_response_head *head, void *ctx)
{
    struct reader *reader = ctx;
    reader->status = head->status;
}

static void on_body(struct http_call *call, struct str data, void *ctx)
{
    struct reader *reader = ctx;
    buf_add_str(&reader->text, data);
    note(reader);
}

static void on_call_end(struct http_call *call, void *ctx)
{
    struct reader *reader = ctx;
    reader->call = NULL;
    note(reader);
}

static void on_call_error(struct http_call *call, int code, const char *text, void *ctx)
{
    struct reader *reader = ctx;
    reader->is_cut = true;
    on_call_end(call, ctx);
}

static const struct http_call_ops call_ops = {
    .on_head = on_head, .on_body = on_body, .on_end = on_call_end, .on_error = on_call_error};

/* Opens a stream with an API key and, unless NULL, a Last-Event-ID. */
static inline void open_reader(struct reader *reader, struct world *w, const char *key,
                               const char *path, const char *last_id)
{
    struct err err = {0};
    *reader = (struct reader){.w = w, .path = mem_strdup(path)};
    reader->bearer = mem_printf("Bearer %s", key);
    auto_free char *url = mem_printf("unix:%s/s", w->folder);
    assert_int_equal(http_target_parse(url, &reader->target, &err), 0);
    const struct http_header headers[] = {{STR("Authorization"), str_of(reader->bearer)},
                                          {STR("Last-Event-ID"), str_of(last_id)}};
    const struct http_call_params params = {
        .target = &reader->target,
        .method = HTTP_GET,
        .path = str_of(reader->path),
        .headers = headers,
        .header_count = last_id ? 2 : 1,
    };
    reader->call = http_call_start(w->pool, &params, &call_ops, reader);
}

/* Runs until the text holds `part`. */
static inline void await(struct reader *reader, const char *part)
{
    if (reader->text.ptr && strstr(reader->text.ptr, part))
        return;
    reader->awaited = part;
    run(reader->w);
    reader->awaited = NULL;
}

/* Runs until the stream has ended. */
static void await_end(struct reader *reader)
{
    reader->awaited = "";
    if (reader->call)
        run(reader->w);
    reader->awaited = NULL;
}

/* How often the text holds `part`. */
static inline unsigned count_of(const struct reader *reader, const char *part)
{
    unsigned count = 0;
    for (const char *at = reader->text.ptr; at && (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

/* Forgets what was read so far. */
static inline void forget(struct reader *reader)
{
    buf_clear(&reader->text);
}

static void close_reader(struct reader *reader)
{
    http_call_cancel(reader->call);
    buf_fini(&reader->text);
    free(reader->path);
    mem_free_secret(reader->bearer);
}
