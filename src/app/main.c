/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app.h"
#include "app/command.h"

#include <stdio.h>

const struct command commands[] = {
    {"start", "run a server, or with --server-url a worker", cmd_start, false},
    {"control", "the brain: cluster state, API, placement, store", cmd_control, true},
    {"worker", "the node agent: engines, devices, relay", cmd_worker, true},
    {"prober", "detect devices, a JSON line a round", cmd_prober, true},
    {"engines", "list or stop a data folder's engines while no worker runs", cmd_engines, false},
    {"version", "print the version", cmd_version, false},
    {"config", "print the effective configuration of start, without secrets", cmd_config, false},
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
