/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The template and a model's parameters are both read as groups: a flag and the values behind it,
 * up to the next flag. A parameter's group takes the place of the template's group with the same
 * flag.
 */
#include "engine/engine_priv.h"

struct group {
    char *flag; /* "--ctx-size"; NULL for values before the first flag */
    struct string_list values;
    bool is_reserved; /* the template's own: a parameter with this flag is refused */
};

struct groups {
    struct group *items;
    size_t count;
};

static void groups_fini(struct groups *groups)
{
    for (size_t i = 0; i < groups->count; i++) {
        free(groups->items[i].flag);
        string_list_fini(&groups->items[i].values);
    }
    free(groups->items);
    *groups = (struct groups){0};
}

/* Takes `flag`. */
static struct group *groups_add(struct groups *groups, char *flag)
{
    groups->items = mem_resize(groups->items, (groups->count + 1) * sizeof *groups->items);
    groups->items[groups->count] = (struct group){.flag = flag};
    return &groups->items[groups->count++];
}

static struct group *groups_find(struct groups *groups, const char *flag)
{
    for (size_t i = 0; flag && i < groups->count; i++)
        if (groups->items[i].flag && strcmp(groups->items[i].flag, flag) == 0)
            return &groups->items[i];
    return NULL;
}

/* "-1" and "-.5" are values, "-c" and "--ctx-size" are flags. */
static bool is_flag(const char *item)
{
    return item[0] == '-' && item[1] != '\0' && !strchr("0123456789.", item[1]);
}

/* Adds one item: a flag with or without its value, or a further value of the flag before. */
static void add_item(struct groups *groups, const char *item)
{
    size_t length = strcspn(item, item[0] == '-' && item[1] == '-' ? "= \t" : " \t");
    if (!is_flag(item)) {
        struct group *last =
            groups->count ? &groups->items[groups->count - 1] : groups_add(groups, NULL);
        string_list_add(&last->values, item);
        return;
    }
    struct group *group = groups_add(groups, mem_strndup(item, length));
    if (item[length] == '=') {
        string_list_add(&group->values, item + length + 1);
    } else if (item[length]) {
        auto_free char *value = str_dup(str_trim(str_of(item + length)));
        if (*value)
            string_list_add(&group->values, value);
    }
}

/* The template's items as groups; values are filled after the grouping, so they can't become flags.
 */
static int read_template(const struct engine *engine, const struct engine_values *values,
                         struct groups *ret, struct err *err)
{
    bool is_gang = values->peers && values->peers->count > 1;
    const struct string_list *args = values->rank > 0 ? &engine->rank.args : &engine->args;
    for (size_t i = 0; i < args->count; i++)
        add_item(ret, args->items[i]);
    for (size_t i = 0; is_gang && values->rank == 0 && i < engine->gang.args.count; i++)
        add_item(ret, engine->gang.args.items[i]);
    for (size_t i = 0; i < ret->count; i++) {
        struct group *group = &ret->items[i];
        for (size_t n = 0; n < group->values.count; n++) {
            char *filled = NULL;
            group->is_reserved |= engine_names_place(group->values.items[n]);
            int rc = engine_fill(engine, values, group->values.items[n], &filled, err);
            if (rc < 0)
                return err_wrap(err, rc, "engine %s", engine->name);
            free(group->values.items[n]);
            group->values.items[n] = filled;
        }
    }
    return 0;
}

/* Whether the model, or the template, says by itself what these arguments say. */
static bool is_said(const struct engine_values *values, const struct string_list *args,
                    const struct string_list *unless, struct groups *template,
                    struct groups *parameters)
{
    const char *flag = args->items[0];
    if (groups_find(template, flag) || groups_find(parameters, flag))
        return true;
    for (size_t i = 0; i < unless->count; i++)
        if (groups_find(parameters, unless->items[i]) ||
            (values->env && string_map_get(values->env, unless->items[i])))
            return true;
    return false;
}

static int add_args(const struct engine *engine, const struct engine_values *values,
                           const struct string_list *args, struct groups *ret, struct err *err)
{
    for (size_t i = 0; i < args->count; i++) {
        auto_free char *item = NULL;
        int rc = engine_fill(engine, values, args->items[i], &item, err);
        if (rc < 0)
            return err_wrap(err, rc, "engine %s", engine->name);
        add_item(ret, item);
    }
    return 0;
}

/* What was reckoned with, behind the template. */
static int add_placed(const struct engine *engine, const struct engine_values *values,
                      struct groups *parameters, struct groups *ret, struct err *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && values->figures && i < ENGINE_FIGURE_COUNT; i++) {
        const struct string_list *args = &engine->placed[i];
        if (args->count && values->figures->texts[i] &&
            !is_said(values, args, &engine->placed_unless[i], ret, parameters))
            rc = add_args(engine, values, args, ret, err);
    }
    return rc;
}

/* What it is for, behind that. */
static int add_task(const struct engine *engine, const struct engine_values *values,
                    struct groups *parameters, struct groups *ret, struct err *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && values->category && i < ENGINE_TASK_COUNT; i++) {
        const struct string_list *args = &engine->tasks[i];
        if (args->count && strcmp(values->category, engine_task_names[i]) == 0 &&
            !is_said(values, args, &engine->tasks_unless[i], ret, parameters))
            rc = add_args(engine, values, args, ret, err);
    }
    return rc;
}

/* Puts the model's groups over those of the template, or behind them. Moves out of `parameters`. */
static int merge(const struct engine *engine, struct groups *groups, struct groups *parameters,
                 struct err *err)
{
    size_t template_count = groups->count;
    for (size_t i = 0; i < parameters->count; i++) {
        struct group *parameter = &parameters->items[i];
        struct groups template = {groups->items, template_count};
        struct group *same = groups_find(&template, parameter->flag);
        if ((same && same->is_reserved) ||
            (parameter->flag && string_list_has(&engine->reserved, parameter->flag)))
            return err_set(err, ERR_INVALID, "parameter %s is reserved: gpustack sets it for %s",
                           parameter->flag, engine->name);
        if (!same)
            same = groups_add(groups, TAKE(parameter->flag));
        string_list_fini(&same->values);
        same->values = parameter->values;
        parameter->values = (struct string_list){0};
    }
    return 0;
}

static int write_command(const struct engine *engine, const struct engine_values *values,
                         struct string_list *ret, struct err *err)
{
    const struct string_list *command = values->rank > 0 ? &engine->rank.command : &engine->command;
    for (size_t i = 0; i < command->count; i++) {
        auto_free char *item = NULL;
        int rc = engine_fill(engine, values, command->items[i], &item, err);
        if (rc < 0)
            return err_wrap(err, rc, "engine %s", engine->name);
        string_list_add(ret, item);
    }
    return 0;
}

static void write_groups(const struct groups *groups, struct string_list *ret)
{
    for (size_t i = 0; i < groups->count; i++) {
        const struct group *group = &groups->items[i];
        if (group->flag)
            string_list_add(ret, group->flag);
        for (size_t n = 0; n < group->values.count; n++)
            string_list_add(ret, group->values.items[n]);
    }
}

int engine_build_argv(const struct engine *engine, const struct engine_values *values,
                      const struct string_list *parameters, struct string_list *ret,
                      struct err *err)
{
    struct groups groups = {0}, extra = {0};
    struct string_list argv = {0};
    bool takes_parameters = values->rank == 0 || engine->rank.takes_parameters;
    for (size_t i = 0; takes_parameters && i < parameters->count; i++)
        add_item(&extra, parameters->items[i]);
    int rc = write_command(engine, values, &argv, err);
    if (rc == 0)
        rc = read_template(engine, values, &groups, err);
    if (rc == 0 && takes_parameters)
        rc = add_placed(engine, values, &extra, &groups, err);
    if (rc == 0 && takes_parameters)
        rc = add_task(engine, values, &extra, &groups, err);
    if (rc == 0)
        rc = merge(engine, &groups, &extra, err);
    if (rc == 0) {
        write_groups(&groups, &argv);
        *ret = argv;
    } else {
        string_list_fini(&argv);
    }
    groups_fini(&groups);
    groups_fini(&extra);
    return rc;
}
