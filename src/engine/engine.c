/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

#include "base/program.h"
#include "engine/desc_priv.h"
#include "engine/engine_priv.h"

#include <stdio.h>

enum { READY_INTERVAL_MIN_MS = 50, READY_INTERVAL_MAX_MS = 60000, READY_INTERVAL_MS = 500 };

/* In the order of the bits of enum engine_api. */
static const char *const api_names[] = {"chat",   "completions", "embeddings",
                                        "rerank", "tokenize",    NULL};

#define KEY(type, member) .name = #member, .offset = offsetof(struct type, member)

static const struct desc_key engine_keys[] = {
    {KEY(engine, name), .kind = DESC_TEXT, .is_required = true},
    {KEY(engine, aliases), .kind = DESC_TEXTS},
    {KEY(engine, formats), .kind = DESC_TEXTS},
    {KEY(engine, command), .kind = DESC_TEXTS, .is_required = true},
    {KEY(engine, args), .kind = DESC_TEXTS, .is_required = true},
    {KEY(engine, reserved), .kind = DESC_TEXTS},
    {KEY(engine, env), .kind = DESC_MAP},
    {KEY(engine, ready_path), .kind = DESC_PATH, .is_required = true},
    {KEY(engine, ready_interval_ms), .kind = DESC_INT, .min = READY_INTERVAL_MIN_MS,
     .max = READY_INTERVAL_MAX_MS},
    {KEY(engine, metrics_path), .kind = DESC_PATH},
    {KEY(engine, token_env), .kind = DESC_TEXT},
    {KEY(engine, apis), .kind = DESC_FLAGS, .is_required = true, .names = api_names},
};

static const struct desc_key override_keys[] = {
    {KEY(engine_override, backend), .kind = DESC_TEXT},
    {KEY(engine_override, version), .kind = DESC_TEXT},
    {KEY(engine_override, command), .kind = DESC_TEXTS},
    {KEY(engine_override, env), .kind = DESC_MAP},
};

/* ---- reading ---- */

int engine_read(const char *file, struct str text, struct engine *ret, struct err *err)
{
    struct engine engine = {.ready_interval_ms = READY_INTERVAL_MS};
    int rc = desc_read(file, text, engine_keys, ARRAY_LEN(engine_keys), &engine, err);
    if (rc == 0 && engine.command.count == 0)
        rc = err_set(err, ERR_INVALID, "%s: command: must name a program", file);
    if (rc == 0 && (rc = engine_check_placeholders(&engine, err)) < 0)
        rc = err_wrap(err, rc, "%s", file);
    if (rc == 0)
        *ret = engine;
    else
        engine_fini(&engine);
    return rc;
}

int engine_read_override(const char *file, struct str text, struct engine_override *ret,
                         struct err *err)
{
    struct engine_override override = {0};
    int rc = desc_read(file, text, override_keys, ARRAY_LEN(override_keys), &override, err);
    if (rc == 0)
        *ret = override;
    else
        engine_override_fini(&override);
    return rc;
}

void engine_override_fini(struct engine_override *override)
{
    free(override->backend);
    free(override->version);
    string_list_fini(&override->command);
    string_map_fini(&override->env);
    *override = (struct engine_override){0};
}

void engine_fini(struct engine *engine)
{
    free(engine->name);
    free(engine->version);
    free(engine->ready_path);
    free(engine->metrics_path);
    free(engine->token_env);
    free(engine->dir);
    string_list_fini(&engine->aliases);
    string_list_fini(&engine->formats);
    string_list_fini(&engine->command);
    string_list_fini(&engine->args);
    string_list_fini(&engine->reserved);
    string_map_fini(&engine->env);
    *engine = (struct engine){0};
}

/* ---- placeholders ---- */

/* Length of the placeholder at the front of `text`, braces included; 0 when there is none. */
static size_t placeholder_length(const char *text)
{
    size_t length = strspn(text + 1, "abcdefghijklmnopqrstuvwxyz_");
    return text[0] == '{' && length > 0 && text[length + 1] == '}' ? length + 2 : 0;
}

/* Appends the value of a placeholder; false when there is none. */
static bool add_value(const struct engine *engine, const struct engine_values *values,
                      struct str placeholder, struct buf *out)
{
    char port[16];
    snprintf(port, sizeof port, "%u", values->port);
    const struct {
        struct str name;
        const char *value;
    } known[] = {
        {STR("{model_path}"), values->model_path},
        {STR("{model_name}"), values->model_name},
        {STR("{host}"), values->host},
        {STR("{port}"), port},
        {STR("{dir}"), engine->dir},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (!known[i].value || !str_eq(placeholder, known[i].name))
            continue;
        buf_add_cstr(out, known[i].value);
        return true;
    }
    return false;
}

int engine_fill(const struct engine *engine, const struct engine_values *values, const char *text,
                char **ret, struct err *err)
{
    struct buf out = {0};
    while (*text) {
        size_t length = placeholder_length(text);
        if (length == 0) {
            buf_add_char(&out, *text++);
            continue;
        }
        if (!add_value(engine, values, str_sub(text, length), &out)) {
            buf_fini(&out);
            return err_set(err, ERR_INVALID,
                           "no value for placeholder %.*s, there are {model_path}, {model_name}, "
                           "{host}, {port}%s",
                           (int)length, text, engine->dir ? ", {dir}" : "");
        }
        text += length;
    }
    *ret = buf_take(&out);
    return 0;
}

static int check_text(const struct engine *engine, const char *key, const char *text,
                      struct err *err)
{
    static const struct engine_values any = {"", "", "", 1};
    auto_free char *filled = NULL;
    int rc = engine_fill(engine, &any, text, &filled, err);
    return rc < 0 ? err_wrap(err, rc, "%s", key) : 0;
}

int engine_check_placeholders(const struct engine *engine, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < engine->command.count; i++)
        rc = check_text(engine, "command", engine->command.items[i], err);
    for (size_t i = 0; rc == 0 && i < engine->args.count; i++)
        rc = check_text(engine, "args", engine->args.items[i], err);
    for (size_t i = 0; rc == 0 && i < engine->env.count; i++)
        rc = check_text(engine, engine->env.keys[i], engine->env.values[i], err);
    return rc;
}

/* ---- presence ---- */

bool engine_is_present(const struct engine *engine)
{
    static const struct engine_values none = {0};
    auto_free char *program = NULL;
    if (engine->command.count == 0 ||
        engine_fill(engine, &none, engine->command.items[0], &program, NULL) < 0)
        return false;
    auto_free char *found = program_find(program, engine_path(engine));
    return found != NULL;
}
