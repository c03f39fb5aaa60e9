/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sources of a configuration say, still as text: one slot per source and option. The
 * readers (cli.c, env.c, yaml.c) fill it, load.c resolves it. Private to config/.
 */
#pragma once

#include "config/option_priv.h"

enum { SOURCE_COUNT = CONFIG_CLI + 1 };

struct setting {
    char *text;    /* owned; NULL: this source doesn't say */
    unsigned line; /* CONFIG_FILE: where */
};

struct settings {
    struct setting of[SOURCE_COUNT][CONFIG_OPTION_MAX];
    const char *file;  /* CONFIG_FILE: its path; borrowed */
    char *unknown_env; /* owned; see struct config */
};

/* Sets or replaces. */
void settings_put(struct settings *settings, enum config_source source,
                  const struct option *option, struct str text);

/* Frees, wiping all values. */
void settings_fini(struct settings *settings);

/* The enum option_roles bit of a command's name. */
unsigned config_roles(const char *command);

/* Arguments behind argv[0]. 1 when help was asked for. */
int settings_read_cli(struct settings *settings, unsigned roles, int argc, char *const *argv,
                      struct err *err) must_check;

/* Variables GPUSTACK_*; empty ones count as unset. */
void settings_read_env(struct settings *settings, char *const *environment);

/* The YAML text of file `settings->file`. Errors begin with "FILE:LINE: ". */
int settings_read_yaml(struct settings *settings, struct str text, struct err *err) must_check;
