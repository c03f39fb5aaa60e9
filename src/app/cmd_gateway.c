/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack gateway`: the public port; beside control, or with --server-url anywhere. */
#include "app/app.h"
#include "app/command.h"
#include "app/open_files.h"
#include "auth/auth.h"
#include "base/netns.h"
#include "gateway/gateway.h"
#include "http/server.h"

#include <sched.h>

enum {
    DRAIN_MS = 30000,
    OPEN_FILES_MAX = 1 << 20,
    OTHER_FILES = 128, /* descriptors that are no connections of clients or to engines */
    DEFAULT_THREADS_MAX = 4,
};

struct gateway_role {
    struct config config;
    struct loop *loop;
    struct gateway *gateway;
    bool is_stopping;
    struct app_signals signals;
};

/* One per core that this process may run on, but a few are enough for any load but the highest. */
static unsigned thread_count(const struct config *config)
{
    cpu_set_t cores;
    if (config->gateway_threads > 0)
        return (unsigned)config->gateway_threads;
    if (sched_getaffinity(0, sizeof cores, &cores) < 0)
        return 1;
    int count = CPU_COUNT(&cores);
    return count < DEFAULT_THREADS_MAX ? (unsigned)count : DEFAULT_THREADS_MAX;
}

/*
 * A client's connection may need one to an engine, so half of the descriptors are for clients: what
 * is accepted can also be served.
 */
static unsigned connections_max(uint64_t files, unsigned threads)
{
    uint64_t each = files > 2 * OTHER_FILES ? (files - OTHER_FILES) / 2 / threads : OTHER_FILES;
    return each < HTTP_CONNECTIONS_MAX ? (unsigned)each : HTTP_CONNECTIONS_MAX;
}

static int find_control(const struct config *config, struct http_target *ret, struct err *err)
{
    if (config->server_url)
        return http_target_parse(config->server_url, ret, err);
    auto_free char *path = config_control_socket(config);
    auto_free char *url = mem_printf("unix:%s", path);
    return http_target_parse(url, ret, err);
}

static int start_role(struct gateway_role *role, struct err *err)
{
    const struct config *config = &role->config;
    auto_free char *netns = netns_id();
    auto_free char *token_path = mem_printf("%s/token", config->data_dir);
    auto_free char *socket = config_gateway_socket(config);
    auth_init();
    role->loop = loop_new(&clock_system);
    struct gateway_params params = {
        .loop = role->loop,
        .host = config->host,
        .port = (unsigned)config->port,
        .threads = thread_count(config),
        .settings = {.body_max = (uint64_t)config->max_request_body << 20,
                     .queue_timeout_ms = config->queue_timeout * 1000,
                     .sse_keepalive_ms = config->sse_keepalive * 1000,
                     .queue_max = (unsigned)config->queue_size},
        .token = config->token,
        .token_path = token_path,
        .netns_id = netns,
        .chain_path = config->ssl_certfile,
        .key_path = config->ssl_keyfile,
        .socket_path = config->ssl_certfile && !config->server_url ? socket : NULL,
        .ca_path = config->ssl_ca_file,
        .data_dir = config->data_dir,
        .journal_max_bytes = (uint64_t)config->usage_journal_size << 20,
        .access_log = config->access_log,
    };
    uint64_t files = open_files_raise("gateway", OPEN_FILES_MAX);
    params.connections_max = connections_max(files, params.threads);
    int rc = find_control(config, &params.control, err);
    if (rc < 0)
        return rc;
    rc = gateway_new(&params, &role->gateway, err);
    if (rc == 0)
        log_info("gateway",
                 "serving on %s port %u (%s) with %u threads, at most %u connections each; %llu "
                 "open files are allowed",
                 config->host, gateway_port(role->gateway),
                 config->ssl_certfile ? "HTTPS" : "HTTP", params.threads, params.connections_max,
                 (unsigned long long)files);
    return rc;
}

static void stop_loop(void *ctx)
{
    struct gateway_role *role = ctx;
    loop_stop(role->loop);
}

static void on_stop(void *ctx)
{
    struct gateway_role *role = ctx;
    if (role->is_stopping) {
        loop_stop(role->loop);
        return;
    }
    role->is_stopping = true;
    log_info("gateway", "stopping: running requests have %d s to finish; a second signal ends them",
             DRAIN_MS / 1000);
    gateway_drain(role->gateway, DRAIN_MS, stop_loop, role);
}

static void on_reload(void *ctx)
{
    struct gateway_role *role = ctx;
    gateway_reload(role->gateway);
    gateway_reopen_logs(role->gateway);
}

static void stop_role(struct gateway_role *role)
{
    app_signals_fini(&role->signals);
    gateway_free(role->gateway);
    loop_free(role->loop);
}

int cmd_gateway(int argc, char **argv)
{
    struct gateway_role role = {0};
    struct err err = {0};
    int rc = app_role_config(argc, argv, "gateway", &role.config, &err);
    if (rc != 0)
        return rc < 0 ? app_usage_error("gateway", &err) : APP_OK;
    mem_return_large();
    rc = start_role(&role, &err);
    if (rc < 0) {
        log_error("gateway", "can't start: %s", err.text);
    } else {
        role.signals = (struct app_signals){.argc = argc,
                                            .argv = argv,
                                            .command = "gateway",
                                            .config = &role.config,
                                            .on_stop = on_stop,
                                            .on_reload = on_reload,
                                            .ctx = &role};
        app_signals_watch(&role.signals, role.loop);
        loop_run(role.loop);
    }
    stop_role(&role);
    config_fini(&role.config);
    return rc < 0 ? APP_BAD_SYSTEM : APP_OK;
}
