/* SPDX-License-Identifier: Apache-2.0 */
#include "io/certificate_watch.h"

#include <sys/stat.h>

/* What tells one state of a file from another; all zero while it can't be looked at. */
struct file_mark {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct mark {
    struct file_mark chain, key;
};

struct certificate_watch {
    struct loop *loop;
    char *chain_path, *key_path; /* owned */
    certificate_watch_cb *cb;    /* NULL once freed */
    void *ctx;
    struct timer timer;
    int64_t loaded_ms; /* loop time of the last load */
    bool is_checking;  /* the pool has `check` */
    bool reload_due;   /* told to while checking */

    /* The check under way; the pool's while is_checking. */
    struct mark mark; /* of the files that were loaded last */
    bool must_load;
    bool has_loaded;
    int rc;
    struct certificate *fresh;
    struct err err;
};

static struct file_mark look(const char *path)
{
    struct stat st;
    struct file_mark mark = {0};
    if (stat(path, &st) == 0) {
        mark.device = st.st_dev;
        mark.inode = st.st_ino;
        mark.size = st.st_size;
        mark.changed = st.st_mtim;
    }
    return mark;
}

static bool is_same(const struct file_mark *a, const struct file_mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Marks are taken before the content: what is written meanwhile shows at the next check. */
static struct mark look_at_both(const struct certificate_watch *watch)
{
    return (struct mark){look(watch->chain_path), look(watch->key_path)};
}

static void work(void *arg)
{
    struct certificate_watch *watch = arg;
    struct mark now = look_at_both(watch);
    watch->has_loaded = watch->must_load || !is_same(&now.chain, &watch->mark.chain) ||
                        !is_same(&now.key, &watch->mark.key);
    if (!watch->has_loaded)
        return;
    watch->mark = now;
    watch->rc =
        certificate_load(watch->chain_path, watch->key_path, &watch->fresh, &watch->err);
}

static void watch_release(struct certificate_watch *watch)
{
    free(watch->chain_path);
    free(watch->key_path);
    free(watch);
}

static void check(struct certificate_watch *watch, bool must_load);

static void done(void *arg)
{
    struct certificate_watch *watch = arg;
    if (watch->cb && watch->has_loaded) {
        watch->loaded_ms = loop_now_ms(watch->loop);
        watch->cb(watch->rc, watch->fresh, watch->rc < 0 ? watch->err.text : "", watch->ctx);
    }
    certificate_unref(TAKE(watch->fresh));
    watch->is_checking = false;
    if (!watch->cb)
        watch_release(watch);
    else if (watch->reload_due)
        check(watch, true);
    else
        timer_start(&watch->timer, CERTIFICATE_CHECK_MS);
}

static void check(struct certificate_watch *watch, bool must_load)
{
    watch->is_checking = true;
    watch->reload_due = false;
    watch->must_load = must_load;
    timer_stop(&watch->timer);
    loop_work(watch->loop, work, done, watch);
}

static void on_timer(struct timer *timer, void *ctx)
{
    (void)timer;
    struct certificate_watch *watch = ctx;
    check(watch, loop_now_ms(watch->loop) - watch->loaded_ms >= CERTIFICATE_RENEW_MS);
}

struct certificate_watch *certificate_watch_new(struct loop *loop, const char *chain_path,
                                                const char *key_path, certificate_watch_cb *cb,
                                                void *ctx)
{
    struct certificate_watch *watch = mem_alloc(sizeof *watch);
    *watch = (struct certificate_watch){.loop = loop,
                                        .chain_path = mem_strdup(chain_path),
                                        .key_path = mem_strdup(key_path),
                                        .cb = cb,
                                        .ctx = ctx,
                                        .loaded_ms = loop_now_ms(loop)};
    watch->mark = look_at_both(watch);
    timer_init(&watch->timer, loop, on_timer, watch);
    timer_start(&watch->timer, CERTIFICATE_CHECK_MS);
    return watch;
}

void certificate_watch_reload(struct certificate_watch *watch)
{
    if (watch->is_checking)
        watch->reload_due = true;
    else
        check(watch, true);
}

void certificate_watch_free(struct certificate_watch *watch)
{
    if (!watch)
        return;
    timer_stop(&watch->timer);
    watch->cb = NULL;
    if (!watch->is_checking)
        watch_release(watch);
}
