/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of the binary: one row each in the table in main.c, one file cmd_NAME.c each.
 *
 * A command gets its own name as argv[0], understands --help, writes faults to stderr and returns
 * the exit status (enum app_exit in app/app.h).
 */
#pragma once

#include <stdbool.h>

struct command {
    const char *name;
    const char *summary; /* one line for the list of commands */
    int (*run)(int argc, char **argv);
    bool is_role; /* started by `gpustack start`, rarely by hand */
};

/* Ends with a row whose name is NULL. */
extern const struct command commands[];

/* By name, or NULL. */
const struct command *command_find(const char *name);

int cmd_start(int argc, char **argv);
int cmd_control(int argc, char **argv);
int cmd_gateway(int argc, char **argv);
int cmd_worker(int argc, char **argv);
int cmd_prober(int argc, char **argv);
int cmd_engines(int argc, char **argv);
int cmd_login(int argc, char **argv);
int cmd_defrag(int argc, char **argv);
int cmd_catalog(int argc, char **argv);
int cmd_deploy(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_chat(int argc, char **argv);
int cmd_models(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_routes(int argc, char **argv);
int cmd_workers(int argc, char **argv);
int cmd_devices(int argc, char **argv);
int cmd_estimate(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_files(int argc, char **argv);
int cmd_keys(int argc, char **argv);
int cmd_usage(int argc, char **argv);
int cmd_users(int argc, char **argv);
int cmd_reset_admin_password(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_manual(int argc, char **argv);
