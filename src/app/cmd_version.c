/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app.h"
#include "app/command.h"

#include <stdio.h>

static int refuse(const char *word)
{
    fprintf(stderr,
            "gpustack version: unexpected argument \"%s\"; --short and --json are allowed\n", word);
    return APP_USAGE;
}

int cmd_version(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (argc > 2)
        return refuse(argv[2]);
    if (strcmp(word, "--help") == 0)
        puts("Usage: gpustack version [--short | --json]");
    else if (strcmp(word, "--json") == 0)
        puts("{\"version\": \"" GPUSTACK_VERSION "\"}");
    else if (strcmp(word, "--short") == 0)
        puts(GPUSTACK_VERSION);
    else if (*word)
        return refuse(word);
    else
        puts("gpustack " GPUSTACK_VERSION);
    return APP_OK;
}
