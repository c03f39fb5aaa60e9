/* SPDX-License-Identifier: Apache-2.0 */
#include "app/backends.h"

#include "base/json.h"
#include "engine/engine.h"

/* The command as one would type it, placeholders and all. Owned. */
static char *command_text(const struct engine *engine)
{
    struct buf text = {0};
    const struct string_list *parts[] = {&engine->command, &engine->args};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        for (size_t k = 0; k < parts[i]->count; k++)
            buf_printf(&text, "%s%s", text.len ? " " : "", parts[i]->items[k]);
    return buf_take(&text);
}

static void put_list(struct json_writer *w, const char *key, const struct string_list *list)
{
    json_add_key(w, key);
    json_begin_array(w);
    for (size_t i = 0; i < list->count; i++)
        json_add_cstring(w, list->items[i]);
    json_end_array(w);
}

static void write_engine(const struct engine *engine, struct json_writer *w)
{
    auto_free char *command = command_text(engine);
    json_begin_object(w);
    json_put_string(w, "backend_name", engine->name);
    json_put_string(w, "default_run_command", command);
    json_put_string(w, "health_check_path", engine->ready_path);
    put_list(w, "aliases", &engine->aliases);
    put_list(w, "formats", &engine->formats);
    json_add_key(w, "default_env");
    json_begin_object(w);
    for (size_t i = 0; i < engine->env.count; i++)
        json_put_string(w, engine->env.keys[i], engine->env.values[i]);
    json_end_object(w);
    json_end_object(w);
}

int backends_json(char **ret, struct err *err)
{
    struct engine_set *set;
    int rc = engine_set_load(NULL, &set, err);
    if (rc < 0)
        return rc;
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_begin_array(&w);
    const struct engine *engine;
    for (size_t i = 0; (engine = engine_set_at(set, i)) != NULL; i++)
        write_engine(engine, &w);
    json_end_array(&w);
    engine_set_free(set);
    *ret = buf_take(&text);
    return 0;
}
