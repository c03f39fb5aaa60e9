/* SPDX-License-Identifier: Apache-2.0 */
/* gpustack start: configuration, data folder, then the supervisor. */
#include "app/app.h"
#include "app/command.h"
#include "app/open_files.h"
#include "app/supervisor.h"
#include "base/file.h"

enum { OPEN_FILES_MAX = 65535 }; /* for the engines, too: as much as one may rely on */

/* Where the server is reached from this machine: for `gpustack login --local`. */
static int write_server_url(const struct config *config, struct err *err)
{
    if (config->server_url)
        return 0;
    auto_free char *url = config_local_url(config);
    auto_free char *line = mem_printf("%s\n", url);
    auto_free char *path = mem_printf("%s/run/server_url", config->data_dir);
    return file_write(path, str_of(line), 0644, err);
}

static int run(struct config *config, int argc, char **argv)
{
    log_set_role("supervisor");
    log_set_level((enum log_level)config->log_level);
    if (config->unknown_env)
        log_warning("config", "unknown environment variables are ignored: %s", config->unknown_env);
    struct err err = {0};
    auto_close int lock = app_lock_data_dir(config, &err);
    int rc = lock < 0 ? lock : app_prepare_data_dir(config, &err);
    if (rc == 0)
        rc = write_server_url(config, &err);
    if (rc < 0) {
        app_usage_error("start", &err);
        return rc == ERR_INVALID ? APP_USAGE : APP_FAILURE;
    }
    (void)open_files_raise("supervisor", OPEN_FILES_MAX);
    return supervisor_run(&(struct supervisor_params){config, argc, argv});
}

/* Copies of the arguments, which a reload reads again; they live as long as the process. */
static char **keep_arguments(int argc, char **argv)
{
    char **kept = mem_alloc_array((size_t)argc + 1, sizeof *kept);
    for (int i = 0; i < argc; i++)
        kept[i] = mem_strdup(argv[i]);
    return kept;
}

static void free_arguments(char **kept)
{
    for (char **at = kept; *at; at++)
        mem_free_secret(*at);
    free(kept);
}

int cmd_start(int argc, char **argv)
{
    struct config config;
    struct err err = {0};
    int rc = app_load_config(argc, argv, "start", &config, &err);
    if (rc != 0)
        return rc < 0 ? app_usage_error("start", &err) : APP_OK;
    char **kept = keep_arguments(argc, argv);
    config_hide_secrets(argc, argv);
    int status = run(&config, argc, kept);
    free_arguments(kept);
    config_fini(&config);
    return status;
}
