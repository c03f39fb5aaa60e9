/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app.h"
#include "app/command.h"

#include <stdio.h>
#include <sys/prctl.h>

const struct command commands[] = {
    {"start", "run a server, or with --server-url a worker", cmd_start, false},
    {"control", "the brain: cluster state, API, placement, store", cmd_control, true},
    {"gateway", "the public port: inference, and the way to control", cmd_gateway, true},
    {"worker", "the node agent: engines, devices, relay", cmd_worker, true},
    {"prober", "detect devices, a JSON line a round", cmd_prober, true},
    {"login", "sign in and store an API key for the commands below", cmd_login, false},
    {"plan", "tell where a model would go, or why nowhere", cmd_plan, false},
    {"catalog", "list models to deploy by name, and whether they fit", cmd_catalog, false},
    {"deploy", "serve a model from the catalog, a hub or a path", cmd_deploy, false},
    {"inspect", "show what a model is made of, from its files or a hub", cmd_inspect, false},
    {"models", "list, show, start, stop, change, copy and roll back models", cmd_models, false},
    {"ps", "list models and their instances", cmd_ps, false},
    {"logs", "print what an instance's engine has written", cmd_logs, false},
    {"chat", "ask a model", cmd_chat, false},
    {"rm", "remove models", cmd_rm, false},
    {"routes", "list, make, change and remove names of models for clients", cmd_routes, false},
    {"workers", "list, label, maintain, drain and remove machines", cmd_workers, false},
    {"devices", "list the accelerators of all workers", cmd_devices, false},
    {"defrag", "show moves of instances that would tidy the cluster up", cmd_defrag, false},
    {"estimate", "tell how much memory a model's files would need", cmd_estimate, false},
    {"events", "list what happened to models, instances and workers", cmd_events, false},
    {"files", "list, fetch, pause, retry and delete model files", cmd_files, false},
    {"keys", "list, make, change and remove API keys", cmd_keys, false},
    {"usage", "show what requests consumed", cmd_usage, false},
    {"users", "list, make, change and remove users", cmd_users, false},
    {"reset-admin-password", "give the user admin a new password", cmd_reset_admin_password, false},
    {"engines", "list or stop a data folder's engines while no worker runs", cmd_engines, false},
    {"config", "print the effective configuration of start, without secrets", cmd_config, false},
    {"version", "print the version", cmd_version, false},
    {"help", "print what a command does", cmd_help, false},
    {"manual", "print the manual page: gpustack manual | man -l -", cmd_manual, false},
    {0},
};

const struct command *command_find(const char *name)
{
    for (const struct command *command = commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

int main(int argc, char **argv)
{
    /* Roles are started through /proc/self/exe, whose name ps and others would show. */
    (void)prctl(PR_SET_NAME, "gpustack");
    const char *word = argc > 1 ? argv[1] : "help";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        word = "help";
    else if (strcmp(word, "--version") == 0)
        word = "version";
    else if (word[0] == '-') /* a container's entry point passes options of start as they are */
        return cmd_start(argc, argv);
    const struct command *command = command_find(word);
    if (command)
        return argc > 1 ? command->run(argc - 1, argv + 1) : command->run(argc, argv);
    fprintf(stderr, "gpustack: unknown command \"%s\"; \"gpustack help\" lists all\n", word);
    return APP_USAGE;
}
