/* SPDX-License-Identifier: Apache-2.0 */
#include "config/load_priv.h"

static const struct str prefix = STR("GPUSTACK_");

/* Variables of ours that aren't options of a daemon: no reason to warn. */
static bool is_used_elsewhere(struct str name)
{
    static const struct str names[] = {STR("API_KEY"), STR("CLUSTER_ID"), STR("INSTANCE_ID"),
                                       STR("GENERATION")};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(name, names[i]))
            return true;
    return false;
}

static void note_unknown(struct settings *settings, struct str name)
{
    char *before = settings->unknown_env;
    settings->unknown_env =
        mem_printf("%s%sGPUSTACK_%.*s", before ? before : "", before ? ", " : "", STR_ARGS(name));
    free(before);
}

/* Splits "GPUSTACK_NAME=value"; false for other variables. */
static bool split_entry(const char *entry, struct str *ret_name, struct str *ret_value)
{
    struct str text = str_of(entry);
    size_t equals = str_find(text, '=');
    if (!str_has_prefix(text, prefix) || equals == text.len)
        return false;
    *ret_name = str_sub(entry + prefix.len, equals - prefix.len);
    *ret_value = str_skip(text, equals + 1);
    return true;
}

void settings_read_env(struct settings *settings, char *const *environment)
{
    for (; *environment; environment++) {
        struct str name, value;
        if (!split_entry(*environment, &name, &value) || value.len == 0)
            continue;
        const struct option *option = option_by_env(name);
        if (option)
            settings_put(settings, CONFIG_ENV, option, value);
        else if (!is_used_elsewhere(name))
            note_unknown(settings, name);
    }
}

bool config_env_is_secret(const char *entry)
{
    struct str name, value;
    if (!split_entry(entry, &name, &value))
        return false;
    const struct option *option = option_by_env(name);
    return option && (option->flags & OPTION_SECRET);
}
