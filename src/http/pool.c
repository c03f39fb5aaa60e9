/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What calls share: kept connections, per target a stack with the one used last on top, and memory
 * of calls that ended.
 *
 * All kept connections have the same time to live, so one list in the order of their keeping and
 * one timer serve them all. The timer is left alone while connections come and go: when it fires
 * too early, it is set again.
 */
#include "http/client_priv.h"

#define uthash_fatal(text) abort()
#define HASH_FUNCTION HASH_SAX /* uthash's own choice doesn't pass -Wimplicit-fallthrough */
#include <uthash.h>

enum {
    KEY_MAX = sizeof(struct http_target),
    SPARE_CALLS_MAX = 32,     /* of calls that ended: their memory is used again */
    SPARE_KEPT_MAX = 64,
    /*
     * Servers close connections that idle, not ones that were just used: for those a look at the
     * socket before each request isn't worth its system call.
     */
    LOOK_AFTER_MS = 250,
};

/* A target that has calls or kept connections. */
struct target_group {
    struct list_node kept; /* struct kept, the one used last first */
    unsigned kept_count;
    unsigned call_count;
    UT_hash_handle hh;
    size_t key_size;
    char key[]; /* the target in few bytes */
};

struct kept {
    struct list_node node;   /* in group->kept */
    struct list_node by_age; /* in pool->kept */
    struct http_pool *pool;
    struct target_group *group;
    struct stream *stream; /* owned */
    int64_t since_ms;
};

/* ---- targets ---- */

static size_t add_text(char *ret, const char *text)
{
    size_t size = strlen(text) + 1;
    memcpy(ret, text, size);
    return size;
}

static size_t write_key(const struct http_target *target, char ret[KEY_MAX])
{
    ret[0] = (char)target->tls;
    ret[1] = (char)(target->port >> 8);
    ret[2] = (char)target->port;
    size_t size = 3;
    size += add_text(ret + size, target->host);
    return size + add_text(ret + size, target->unix_path);
}

static struct target_group *find_group(struct http_pool *pool, const char *key, size_t size)
{
    struct target_group *group;
    HASH_FIND(hh, pool->groups, key, size, group);
    return group;
}

struct target_group *http_pool_join(struct http_pool *pool, const struct http_target *target)
{
    char key[KEY_MAX];
    size_t size = write_key(target, key);
    struct target_group *group = find_group(pool, key, size);
    if (!group) {
        group = mem_alloc(sizeof *group + size);
        memcpy(group->key, key, size);
        group->key_size = size;
        list_init(&group->kept);
        HASH_ADD_KEYPTR(hh, pool->groups, group->key, group->key_size, group);
    }
    group->call_count++;
    return group;
}

static void drop_if_unused(struct http_pool *pool, struct target_group *group)
{
    if (group->kept_count || group->call_count)
        return;
    HASH_DEL(pool->groups, group);
    free(group);
}

void http_pool_leave(struct http_pool *pool, struct target_group *group)
{
    group->call_count--;
    drop_if_unused(pool, group);
}

/* ---- kept connections ---- */

/* Ends the keeping; the caller sees to drop_if_unused(). */
static struct stream *release(struct kept *kept)
{
    struct stream *stream = kept->stream;
    list_remove(&kept->node);
    list_remove(&kept->by_age);
    kept->group->kept_count--;
    if (kept->pool->spare_kept_count == SPARE_KEPT_MAX) {
        free(kept);
    } else {
        list_add_head(&kept->pool->spare_kept, &kept->node);
        kept->pool->spare_kept_count++;
    }
    return stream;
}

static void close_kept(struct kept *kept)
{
    struct http_pool *pool = kept->pool;
    struct target_group *group = kept->group;
    stream_free(release(kept));
    drop_if_unused(pool, group);
}

/* The peer has closed it, or speaks without being asked: either way it is of no more use. */
static void on_idle_event(struct stream *stream, unsigned events, void *ctx)
{
    (void)stream, (void)events;
    close_kept(ctx);
}

static void on_age(struct timer *timer, void *ctx)
{
    struct http_pool *pool = ctx;
    struct kept *oldest;
    while ((oldest = LIST_FIRST(&pool->kept, struct kept, by_age))) {
        int64_t left_ms = oldest->since_ms + HTTP_POOL_IDLE_MS - loop_now_ms(pool->loop);
        if (left_ms > 0) {
            timer_start(timer, left_ms);
            return;
        }
        close_kept(oldest);
    }
}

static struct kept *kept_new(struct http_pool *pool)
{
    struct kept *kept = LIST_FIRST(&pool->spare_kept, struct kept, node);
    if (!kept)
        return mem_alloc(sizeof *kept);
    list_remove(&kept->node);
    pool->spare_kept_count--;
    return kept;
}

void http_pool_keep(struct http_pool *pool, struct target_group *group, struct stream *stream)
{
    if (group->kept_count == HTTP_POOL_IDLE_MAX)
        close_kept(CONTAINER_OF(group->kept.prev, struct kept, node));
    struct kept *kept = kept_new(pool);
    *kept = (struct kept){
        .pool = pool, .group = group, .stream = stream, .since_ms = loop_now_ms(pool->loop)};
    list_add_head(&group->kept, &kept->node);
    list_add_tail(&pool->kept, &kept->by_age);
    group->kept_count++;
    if (!timer_is_armed(&pool->age_timer))
        timer_start(&pool->age_timer, HTTP_POOL_IDLE_MS);
    stream_set_owner(stream, on_idle_event, kept);
    stream_want(stream, WATCH_READ);
}

struct stream *http_pool_take(struct http_pool *pool, struct target_group *group, bool can_retry)
{
    struct kept *kept;
    while ((kept = LIST_FIRST(&group->kept, struct kept, node))) {
        bool is_fresh = loop_now_ms(pool->loop) - kept->since_ms < LOOK_AFTER_MS;
        struct stream *stream = release(kept);
        stream_want(stream, 0);
        if ((is_fresh && can_retry) || !stream_is_stale(stream))
            return stream;
        stream_free(stream);
    }
    return NULL;
}

bool http_pool_close_oldest(struct http_pool *pool)
{
    struct kept *oldest = LIST_FIRST(&pool->kept, struct kept, by_age);
    if (!oldest)
        return false;
    close_kept(oldest);
    return true;
}

static void close_group(struct http_pool *pool, struct target_group *group)
{
    group->call_count++; /* stays for as long as it is looked at */
    while (group->kept_count)
        close_kept(LIST_FIRST(&group->kept, struct kept, node));
    http_pool_leave(pool, group);
}

void http_pool_forget(struct http_pool *pool, const struct http_target *target)
{
    char key[KEY_MAX];
    size_t size = write_key(target, key);
    struct target_group *group = find_group(pool, key, size);
    if (!group)
        return;
    LIST_FOR_EACH (struct http_call, call, &pool->calls, node)
        call->is_last |= call->group == group;
    close_group(pool, group);
}

/* ---- memory of calls ---- */

struct http_call *http_pool_new_call(struct http_pool *pool)
{
    struct http_call *call = LIST_FIRST(&pool->spare_calls, struct http_call, node);
    if (!call) {
        call = mem_alloc(sizeof *call);
    } else {
        list_remove(&call->node);
        pool->spare_count--;
        *call = (struct http_call){.pool = NULL};
    }
    call->pool = pool;
    list_add_tail(&pool->calls, &call->node);
    return call;
}

void http_pool_free_call(struct http_call *call)
{
    struct http_pool *pool = call->pool;
    buf_fini(&call->head_text);
    if (pool->spare_count == SPARE_CALLS_MAX) {
        free(call);
        return;
    }
    list_add_head(&pool->spare_calls, &call->node);
    pool->spare_count++;
}

/* ---- the pool ---- */

struct http_pool *http_pool_new(struct loop *loop)
{
    struct http_pool *pool = mem_alloc(sizeof *pool);
    pool->loop = loop;
    list_init(&pool->calls);
    list_init(&pool->kept);
    list_init(&pool->spare_calls);
    list_init(&pool->spare_kept);
    timer_init(&pool->age_timer, loop, on_age, pool);
    return pool;
}

static void free_pool(void *arg)
{
    struct http_pool *pool = arg;
    LIST_FOR_EACH (struct http_call, call, &pool->spare_calls, node)
        free(call);
    buf_fini(&pool->spare_head_text);
    LIST_FOR_EACH (struct kept, kept, &pool->spare_kept, node)
        free(kept);
    free(pool->scratch);
    free(pool);
}

void http_pool_free(struct http_pool *pool)
{
    if (!pool)
        return;
    LIST_FOR_EACH (struct http_call, call, &pool->calls, node)
        http_call_cancel(call);
    while (pool->groups)
        close_group(pool, pool->groups);
    timer_stop(&pool->age_timer);
    /* A call's callback may be on the stack, with bytes in the scratch. */
    loop_defer(pool->loop, free_pool, pool);
}
