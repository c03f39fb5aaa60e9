/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack control`: the brain, on unix sockets in the data folder only. */
#include "api/api.h"
#include "app/app.h"
#include "app/backends.h"
#include "app/command.h"
#include "auth/auth.h"
#include "base/log.h"
#include "control/bootstrap.h"
#include "control/sampler.h"

struct control_role {
    struct config config;
    struct loop *loop;
    struct store *store;
    struct control *control;
    struct api *api;
    struct app_signals signals;
};

static int open_store(struct control_role *role, struct err *err)
{
    const struct store_options options = {
        .path = config_database_path(&role->config),
        .allow_network_fs = role->config.database_on_network_fs,
    };
    return store_open(&options, &role->store, err);
}

static void write_config(struct json_writer *w, void *ctx)
{
    const struct control_role *role = ctx;
    config_write_public(&role->config, w);
}

static int start_role(struct control_role *role, struct err *err)
{
    auth_init();
    role->loop = loop_new(&clock_system);
    int rc = open_store(role, err);
    if (rc < 0)
        return rc;
    auto_free char *series_path = mem_printf("%s/timeseries", role->config.data_dir);
    const struct control_params params = {
        .loop = role->loop,
        .store = role->store,
        .cluster_token = role->config.token,
        .reserved_ram_bytes = role->config.system_reserved_ram,
        .reserved_vram_bytes = role->config.system_reserved_vram,
        .usage_retention_days = role->config.usage_retention_days,
        .reschedule_grace_ms = role->config.reschedule_grace * 1000,
        .series_path = series_path,
    };
    rc = control_new(&params, &role->control, err);
    if (rc == 0)
        rc = bootstrap_admin(role->control, role->config.data_dir, role->config.bootstrap_password,
                             err);
    if (rc < 0)
        return rc;
    auto_free char *control_socket = config_control_socket(&role->config);
    auto_free char *admin_socket = config_admin_socket(&role->config);
    auto_free char *backends = NULL;
    rc = backends_json(&backends, err);
    if (rc < 0)
        return rc;
    const struct api_params api_params = {
        .control = role->control,
        .control_socket = control_socket,
        .admin_socket = admin_socket,
        .backends = backends,
        .write_config = write_config,
        .ctx = role,
    };
    return api_new(&api_params, &role->api, err);
}

/* Everything that was answered is durable; what is durable may be left. */
static void stop_loop(void *ctx)
{
    struct control_role *role = ctx;
    loop_stop(role->loop);
}

static void save_history(void *ctx)
{
    struct control_role *role = ctx;
    sampler_end(control_sampler(role->control), stop_loop, role);
}

static void on_stop(void *ctx)
{
    struct control_role *role = ctx;
    log_info("control", "stopping");
    api_drain(role->api);
    control_when_durable(role->control, save_history, role);
}

static void stop_role(struct control_role *role)
{
    app_signals_fini(&role->signals);
    api_free(role->api);
    store_close(role->store);
    control_free(role->control);
    if (role->loop)
        loop_free(role->loop);
}

int cmd_control(int argc, char **argv)
{
    struct control_role role = {0};
    struct err err = {0};
    int rc = app_role_config(argc, argv, "control", &role.config, &err);
    if (rc != 0)
        return rc < 0 ? app_usage_error("control", &err) : APP_OK;
    rc = start_role(&role, &err);
    if (rc < 0) {
        log_error("control", "can't start: %s", err.text);
    } else {
        role.signals = (struct app_signals){.argc = argc,
                                            .argv = argv,
                                            .command = "control",
                                            .config = &role.config,
                                            .on_stop = on_stop,
                                            .ctx = &role};
        app_signals_watch(&role.signals, role.loop);
        log_info("control", "ready with %zu models, %zu workers",
                 control_cluster(role.control)->tables[KIND_MODEL].count,
                 control_cluster(role.control)->tables[KIND_WORKER].count);
        loop_run(role.loop);
    }
    stop_role(&role);
    config_fini(&role.config);
    return rc < 0 ? APP_BAD_SYSTEM : APP_OK;
}
