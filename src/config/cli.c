/* SPDX-License-Identifier: Apache-2.0 */
#include "config/load_priv.h"

#include <errno.h>
#include <string.h>

static int unknown_option(struct str word, unsigned roles, struct err *err)
{
    const struct option *nearest = option_nearest(word, roles);
    if (nearest)
        return err_set(err, -EINVAL, "unknown option --%.*s; did you mean --%s?", STR_ARGS(word),
                       nearest->name);
    return err_set(err, -EINVAL, "unknown option --%.*s; --help lists all", STR_ARGS(word));
}

/* The option that an argument names; what follows '=' goes to `ret_value`. NULL on error. */
static const struct option *match_argument(struct str argument, unsigned roles,
                                           const char **ret_value, struct err *err)
{
    *ret_value = NULL;
    const struct option *option = NULL;
    if (!str_has_prefix(argument, STR("--"))) {
        option = argument.len == 2 ? option_by_letter(argument.ptr[1]) : NULL;
        if (!option || !(option->roles & roles)) {
            err_set(err, -EINVAL, "unknown option %.*s; --help lists all", STR_ARGS(argument));
            return NULL;
        }
        return option;
    }
    struct str word = str_skip(argument, 2);
    size_t equals = str_find(word, '=');
    if (equals < word.len)
        *ret_value = word.ptr + equals + 1;
    word.len = equals;
    option = option_by_name(word);
    if (!option || !(option->roles & roles)) {
        unknown_option(word, roles, err);
        return NULL;
    }
    return option;
}

/* One option with its value; returns how many arguments it used up. */
static int read_argument(struct settings *settings, unsigned roles, char *const *argv,
                         struct err *err)
{
    struct str argument = str_of(argv[0]);
    if (argument.len < 2 || argument.ptr[0] != '-')
        return err_set(err, -EINVAL, "unexpected argument \"%.100s\"; options begin with --",
                       argv[0]);
    const char *value;
    const struct option *option = match_argument(argument, roles, &value, err);
    if (!option)
        return -EINVAL;
    int used = 1;
    if (!value && option->kind == OPTION_BOOL) {
        value = "true";
    } else if (!value) {
        value = argv[1];
        used = 2;
    }
    if (!value)
        return err_set(err, -EINVAL, "option --%s needs a value: --%s %s", option->name,
                       option->name, option->metavar);
    settings_put(settings, CONFIG_CLI, option, str_of(value));
    return used;
}

int settings_read_cli(struct settings *settings, unsigned roles, int argc, char *const *argv,
                      struct err *err)
{
    for (int i = 1; i < argc;) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return 1;
        int used = read_argument(settings, roles, argv + i, err);
        if (used < 0)
            return used;
        i += used;
    }
    return 0;
}

/* The same length is kept: ps shows the area that the kernel gave to the arguments. */
static void mask(char *text)
{
    memset(text, '*', strlen(text));
}

void config_hide_secrets(int argc, char **argv)
{
    struct err ignored;
    for (int i = 1; i < argc; i++) {
        const char *value;
        const struct option *option =
            match_argument(str_of(argv[i]), ROLES_ALL, &value, &ignored);
        if (!option || !(option->flags & OPTION_SECRET))
            continue;
        if (value)
            mask(argv[i] + (value - argv[i]));
        else if (i + 1 < argc)
            mask(argv[++i]);
    }
}
