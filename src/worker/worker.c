/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include "base/file.h"
#include "base/log.h"
#include "worker/downloads.h"
#include "worker/inspections.h"
#include "worker/node.h"
#include "worker/prober.h"
#include "worker/relay.h"
#include "worker/runner_set.h"
#include "worker/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

struct worker_role {
    int lock; /* descriptor; -1: not held */
    struct node node;
    struct http_pool *pool;
    struct runner_set *runners;
    struct inspections *inspections;
    struct downloads *downloads;
    struct relay *relay;
    struct prober *prober;
    struct session *session;
};

/* ---- one worker per data folder ---- */

static int refuse_second(const char *path, const char *data_dir, struct err *err)
{
    enum { PID_TEXT_MAX = 32 };
    auto_free char *pid = NULL;
    if (file_read_line(path, PID_TEXT_MAX, &pid, NULL) < 0 || !*pid)
        return err_set(err, ERR_CONFLICT, "a worker already runs on data folder %s", data_dir);
    return err_set(err, ERR_CONFLICT, "a worker (pid %s) already runs on data folder %s", pid,
                   data_dir);
}

int worker_lock(const char *data_dir, struct err *err)
{
    auto_free char *dir = mem_printf("%s/run", data_dir);
    auto_free char *path = mem_printf("%s/worker.lock", dir);
    int rc = file_make_dirs(dir, 0700, err);
    if (rc < 0)
        return rc;
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return err_errno(err, errno, "can't open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? refuse_second(path, data_dir, err)
                                    : err_errno(err, errno, "can't lock %s", path);
    /* The pid is for people: a full disk must not keep the engines without their worker. */
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
        log_warning("worker", "its pid is not in %s: %s", path, strerror(errno));
    int kept = fd;
    fd = -1;
    return kept;
}

/* ---- wiring ---- */

static void on_change(void *ctx)
{
    struct worker_role *role = ctx;
    session_report(role->session);
}

static void on_devices(void *ctx)
{
    struct worker_role *role = ctx;
    runner_set_wake(role->runners);
    session_report(role->session);
}

/* The prober is the last that is started: until it has spoken nobody knows. */
static const struct device_list *known_devices(void *ctx)
{
    const struct worker_role *role = ctx;
    bool is_known = role->prober && prober_has_answered(role->prober);
    return is_known ? prober_devices(role->prober) : NULL;
}

/* Without a prober there is nothing to wait for. */
static uint64_t look(void *ctx)
{
    struct worker_role *role = ctx;
    return role->prober ? prober_look(role->prober) : 0;
}

static bool has_looked(void *ctx, uint64_t number)
{
    const struct worker_role *role = ctx;
    return !role->prober || prober_has_looked(role->prober, number);
}

static int start_runners(struct worker_role *role, struct loop *loop, const struct config *config,
                         struct err *err)
{
    role->pool = http_pool_new(loop);
    struct runner_set_params params = {.loop = loop,
                                       .pool = role->pool,
                                       .config = config,
                                       .node = &role->node,
                                       .devices = known_devices,
                                       .look = look,
                                       .has_looked = has_looked,
                                       .on_change = on_change,
                                       .ctx = role};
    return runner_set_new(&params, &role->runners, err);
}

static int start_relay(struct worker_role *role, struct loop *loop, const struct config *config,
                       struct err *err)
{
    bool is_v6 = config->worker_ip && strchr(config->worker_ip, ':');
    return relay_new(loop, role->pool, role->runners, is_v6 ? "::" : "0.0.0.0",
                     (unsigned)config->worker_port, &role->relay, err);
}

static int start(struct worker_role *role, struct loop *loop, const struct config *config,
                 struct err *err)
{
    role->lock = worker_lock(config->data_dir, err);
    if (role->lock < 0)
        return role->lock;
    int rc = node_init(config, &role->node, err);
    if (rc == 0)
        rc = start_runners(role, loop, config, err);
    if (rc == 0)
        rc = start_relay(role, loop, config, err);
    return rc;
}

int worker_role_new(struct loop *loop, const struct config *config, const char *const *prober_argv,
                    struct worker_role **ret, struct err *err)
{
    struct worker_role *role = mem_alloc(sizeof *role);
    role->lock = -1;
    int rc = start(role, loop, config, err);
    if (rc == 0) {
        const struct inspections_params inspections = {
            .loop = loop, .on_change = on_change, .ctx = role};
        const struct downloads_params downloads = {.loop = loop,
                                                   .cache_dir = config->cache_dir,
                                                   .on_change = on_change,
                                                   .ctx = role};
        role->inspections = inspections_new(&inspections);
        role->downloads = downloads_new(&downloads);
        role->prober = prober_new(loop, prober_argv, on_devices, role);
        struct session_params params = {.loop = loop,
                                        .pool = role->pool,
                                        .config = config,
                                        .node = &role->node,
                                        .runners = role->runners,
                                        .inspections = role->inspections,
                                        .downloads = role->downloads,
                                        .prober = role->prober};
        rc = session_new(&params, &role->session, err);
    }
    if (rc < 0)
        worker_role_free(role);
    else
        *ret = role;
    return rc;
}

void worker_role_free(struct worker_role *role)
{
    if (!role)
        return;
    session_free(role->session);
    inspections_free(role->inspections);
    downloads_free(role->downloads);
    prober_free(role->prober);
    relay_free(role->relay);
    runner_set_free(role->runners);
    http_pool_free(role->pool);
    node_fini(&role->node);
    if (role->lock >= 0)
        close(role->lock);
    free(role);
}
