/* SPDX-License-Identifier: Apache-2.0 */
/* gpustack help, gpustack manual: both from the table of commands and the table of options. */
#include "app/app.h"
#include "app/command.h"

#include <stdio.h>

static void print_commands(bool roles)
{
    for (const struct command *command = commands; command->name; command++)
        if (command->is_role == roles)
            printf("  %-22s %s\n", command->name, command->summary);
}

static void print_overview(void)
{
    puts("Usage: gpustack COMMAND [ARGUMENTS]\n"
         "       gpustack --OPTION...          the same as gpustack start --OPTION...\n"
         "\nCommands:");
    print_commands(false);
    puts("\nRoles, started by gpustack start:");
    print_commands(true);
    puts("\n\"gpustack help COMMAND\" says more.");
}

int cmd_help(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "help") == 0 || argv[1][0] == '-') {
        print_overview();
        return APP_OK;
    }
    const struct command *command = command_find(argv[1]);
    if (!command) {
        fprintf(stderr, "gpustack help: there is no command \"%s\"\n", argv[1]);
        return APP_USAGE;
    }
    char ask[] = "--help";
    return command->run(2, (char *[]){argv[1], ask, NULL});
}

int cmd_manual(int argc, char **argv)
{
    if (argc > 1) {
        puts("Usage: gpustack manual          prints the manual page, for \"man -l -\"");
        return strcmp(argv[1], "--help") == 0 ? APP_OK : APP_USAGE;
    }
    struct buf list = {0};
    for (const struct command *command = commands; command->name; command++)
        buf_printf(&list, ".TP\n\\fB%s\\fR\n%s\n", command->name, command->summary);
    auto_free char *page = config_manual(buf_str(&list).ptr);
    fputs(page, stdout);
    buf_fini(&list);
    return APP_OK;
}
