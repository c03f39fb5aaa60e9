/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app.h"
#include "app/command.h"

#include <stdio.h>

int cmd_version(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (argc > 2 || (*word && strcmp(word, "--short") != 0 && strcmp(word, "--help") != 0)) {
        fprintf(stderr, "gpustack version: unexpected argument \"%s\"; --short is allowed\n",
                argv[argc - 1]);
        return APP_USAGE;
    }
    if (strcmp(word, "--help") == 0)
        puts("Usage: gpustack version [--short]");
    else
        printf("%s%s\n", *word ? "" : "gpustack ", GPUSTACK_VERSION);
    return APP_OK;
}
