/* SPDX-License-Identifier: Apache-2.0 */
/* Kept connections: per target a stack, the one used last on top, each with a timer. */
#include "http/client_priv.h"

#define uthash_fatal(text) abort()
#define HASH_FUNCTION HASH_SAX /* uthash's own choice doesn't pass -Wimplicit-fallthrough */
#include <uthash.h>

struct kept_group {
    char *key;             /* owned; the target as text */
    struct list_node kept; /* struct kept, the one used last first; never empty between calls */
    unsigned count;
    UT_hash_handle hh;
};

struct kept {
    struct list_node node;
    struct http_pool *pool;
    struct kept_group *group;
    struct stream *stream; /* owned */
    struct timer timer;
};

struct http_pool *http_pool_new(struct loop *loop)
{
    struct http_pool *pool = mem_alloc(sizeof *pool);
    pool->loop = loop;
    list_init(&pool->calls);
    return pool;
}

static struct kept_group *find_group(struct http_pool *pool, const struct http_target *target)
{
    char key[HTTP_TARGET_TEXT_MAX];
    http_target_text(target, key);
    struct kept_group *group;
    HASH_FIND_STR(pool->groups, key, group);
    return group;
}

static struct kept_group *add_group(struct http_pool *pool, const struct http_target *target)
{
    char key[HTTP_TARGET_TEXT_MAX];
    http_target_text(target, key);
    struct kept_group *group = mem_alloc(sizeof *group);
    group->key = mem_strdup(key);
    list_init(&group->kept);
    HASH_ADD_KEYPTR(hh, pool->groups, group->key, strlen(group->key), group);
    return group;
}

/* Ends the keeping and returns the connection; the group goes with its last one. */
static struct stream *release(struct kept *kept)
{
    struct kept_group *group = kept->group;
    struct stream *stream = kept->stream;
    list_remove(&kept->node);
    timer_stop(&kept->timer);
    if (--group->count == 0) {
        HASH_DEL(kept->pool->groups, group);
        free(group->key);
        free(group);
    }
    free(kept);
    return stream;
}

static void on_idle_over(struct timer *timer, void *ctx)
{
    (void)timer;
    stream_free(release(ctx));
}

/* The peer has closed it, or speaks without being asked: either way it is of no more use. */
static void on_idle_event(struct stream *stream, unsigned events, void *ctx)
{
    (void)stream, (void)events;
    stream_free(release(ctx));
}

void http_pool_keep(struct http_pool *pool, const struct http_target *target, struct stream *stream)
{
    struct kept_group *group = find_group(pool, target);
    if (!group)
        group = add_group(pool, target);
    if (group->count == HTTP_POOL_IDLE_MAX)
        stream_free(release(CONTAINER_OF(group->kept.prev, struct kept, node)));
    struct kept *kept = mem_alloc(sizeof *kept);
    *kept = (struct kept){.pool = pool, .group = group, .stream = stream};
    list_add_head(&group->kept, &kept->node);
    group->count++;
    timer_init(&kept->timer, pool->loop, on_idle_over, kept);
    timer_start(&kept->timer, HTTP_POOL_IDLE_MS);
    stream_set_owner(stream, on_idle_event, kept);
    stream_want(stream, WATCH_READ);
}

struct stream *http_pool_take(struct http_pool *pool, const struct http_target *target)
{
    struct kept_group *group;
    while ((group = find_group(pool, target))) {
        struct stream *stream = release(LIST_FIRST(&group->kept, struct kept, node));
        stream_want(stream, 0);
        if (!stream_is_stale(stream))
            return stream;
        stream_free(stream);
    }
    return NULL;
}

/* The group is freed with its last connection, so its count is not looked at after that. */
static void close_group(struct kept_group *group)
{
    for (unsigned left = group->count; left > 0; left--)
        stream_free(release(LIST_FIRST(&group->kept, struct kept, node)));
}

void http_pool_forget(struct http_pool *pool, const struct http_target *target)
{
    char key[HTTP_TARGET_TEXT_MAX];
    http_target_text(target, key);
    LIST_FOR_EACH (struct http_call, call, &pool->calls, node) {
        char other[HTTP_TARGET_TEXT_MAX];
        http_target_text(call->target, other);
        if (strcmp(key, other) == 0)
            call->is_last = true;
    }
    struct kept_group *group = find_group(pool, target);
    if (group)
        close_group(group);
}

static void free_pool(void *arg)
{
    struct http_pool *pool = arg;
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
        close_group(pool->groups);
    /* A call's callback may be on the stack, with bytes in the scratch. */
    loop_defer(pool->loop, free_pool, pool);
}
