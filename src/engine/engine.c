/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

#include "base/program.h"
#include "engine/desc_priv.h"
#include "engine/engine_priv.h"

enum { READY_INTERVAL_MIN_MS = 50, READY_INTERVAL_MAX_MS = 60000, READY_INTERVAL_MS = 500 };

/* In the order of the bits of enum engine_api. */
static const char *const api_names[] = {"chat",   "completions", "embeddings",
                                        "rerank", "tokenize",    NULL};

#define KEY(type, member) .name = #member, .offset = offsetof(struct type, member)

static const struct desc_key gang_keys[] = {
    {KEY(engine_gang, args), .kind = DESC_TEXTS},
    {KEY(engine_gang, env), .kind = DESC_MAP},
    {KEY(engine_gang, ports), .kind = DESC_INT, .min = 1, .max = ENGINE_PORTS_MAX},
};

static const struct desc_key rank_keys[] = {
    {KEY(engine_rank, command), .kind = DESC_TEXTS, .is_required = true},
    {KEY(engine_rank, args), .kind = DESC_TEXTS, .is_required = true},
    {KEY(engine_rank, env), .kind = DESC_MAP},
    {KEY(engine_rank, ports), .kind = DESC_INT, .max = ENGINE_PORTS_MAX},
    {KEY(engine_rank, takes_parameters), .kind = DESC_BOOL},
};

#define LIST_KEY(place, text)                                                                      \
    {.name = text, .kind = DESC_TEXTS, .offset = (place) * sizeof(struct string_list)}

/* Of both sections, `placed` and `placed_unless`: into arrays of lists. */
static const struct desc_key placed_keys[ENGINE_FIGURE_COUNT] = {
    LIST_KEY(ENGINE_LAYERS, "layers"),
    LIST_KEY(ENGINE_SPLIT, "split"),
    LIST_KEY(ENGINE_CONTEXT, "context"),
    LIST_KEY(ENGINE_MEMORY_FRACTION, "memory_fraction"),
    LIST_KEY(ENGINE_TENSOR_PARALLEL, "tensor_parallel"),
    LIST_KEY(ENGINE_PIPELINE_PARALLEL, "pipeline_parallel"),
};

/* Of `tasks` and `tasks_unless`. */
static const struct desc_key task_keys[ENGINE_TASK_COUNT] = {
    LIST_KEY(ENGINE_EMBEDDING, "embedding"),
    LIST_KEY(ENGINE_RERANKER, "reranker"),
};

static const struct desc_key engine_keys[] = {
    {KEY(engine, name), .kind = DESC_TEXT, .is_required = true},
    {KEY(engine, aliases), .kind = DESC_TEXTS},
    {KEY(engine, formats), .kind = DESC_TEXTS},
    {KEY(engine, command), .kind = DESC_TEXTS, .is_required = true},
    {KEY(engine, args), .kind = DESC_TEXTS, .is_required = true},
    {KEY(engine, reserved), .kind = DESC_TEXTS},
    {KEY(engine, env), .kind = DESC_MAP},
    {KEY(engine, ports), .kind = DESC_INT, .min = 1, .max = ENGINE_PORTS_MAX},
    {KEY(engine, gang), .kind = DESC_SECTION, .section = gang_keys,
     .section_count = ARRAY_LEN(gang_keys)},
    {KEY(engine, rank), .kind = DESC_SECTION, .section = rank_keys,
     .section_count = ARRAY_LEN(rank_keys)},
    {KEY(engine, placed), .kind = DESC_SECTION, .section = placed_keys,
     .section_count = ARRAY_LEN(placed_keys)},
    {KEY(engine, placed_unless), .kind = DESC_SECTION, .section = placed_keys,
     .section_count = ARRAY_LEN(placed_keys)},
    {KEY(engine, tasks), .kind = DESC_SECTION, .section = task_keys,
     .section_count = ARRAY_LEN(task_keys)},
    {KEY(engine, tasks_unless), .kind = DESC_SECTION, .section = task_keys,
     .section_count = ARRAY_LEN(task_keys)},
    {KEY(engine, ready_path), .kind = DESC_PATH, .is_required = true},
    {KEY(engine, ready_interval_ms), .kind = DESC_INT, .min = READY_INTERVAL_MIN_MS,
     .max = READY_INTERVAL_MAX_MS},
    {KEY(engine, metrics_path), .kind = DESC_PATH},
    {KEY(engine, token_env), .kind = DESC_TEXT},
    {KEY(engine, apis), .kind = DESC_FLAGS, .is_required = true, .names = api_names},
    {KEY(engine, device_types), .kind = DESC_TEXTS},
};

static const struct desc_key override_rank_keys[] = {
    {KEY(engine_override_rank, command), .kind = DESC_TEXTS},
    {KEY(engine_override_rank, env), .kind = DESC_MAP},
};

static const struct desc_key override_keys[] = {
    {KEY(engine_override, backend), .kind = DESC_TEXT},
    {KEY(engine_override, version), .kind = DESC_TEXT},
    {KEY(engine_override, command), .kind = DESC_TEXTS},
    {KEY(engine_override, env), .kind = DESC_MAP},
    {KEY(engine_override, device_types), .kind = DESC_TEXTS},
    {KEY(engine_override, rank), .kind = DESC_SECTION, .section = override_rank_keys,
     .section_count = ARRAY_LEN(override_rank_keys)},
};

/* ---- reading ---- */

int engine_read(const char *file, struct str text, struct engine *ret, struct err *err)
{
    struct engine engine = {.ready_interval_ms = READY_INTERVAL_MS, .ports = 1};
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
    string_list_fini(&override->device_types);
    string_list_fini(&override->rank.command);
    string_map_fini(&override->rank.env);
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
    string_list_fini(&engine->device_types);
    string_map_fini(&engine->env);
    for (int i = 0; i < ENGINE_FIGURE_COUNT; i++) {
        string_list_fini(&engine->placed[i]);
        string_list_fini(&engine->placed_unless[i]);
    }
    for (int i = 0; i < ENGINE_TASK_COUNT; i++) {
        string_list_fini(&engine->tasks[i]);
        string_list_fini(&engine->tasks_unless[i]);
    }
    string_list_fini(&engine->gang.args);
    string_map_fini(&engine->gang.env);
    string_list_fini(&engine->rank.command);
    string_list_fini(&engine->rank.args);
    string_map_fini(&engine->rank.env);
    *engine = (struct engine){0};
}

/* ---- roles ---- */

bool engine_is_distributable(const struct engine *engine)
{
    return engine->rank.command.count > 0;
}

unsigned engine_port_count(const struct engine *engine, int64_t rank, int64_t rank_count)
{
    if (rank > 0)
        return (unsigned)engine->rank.ports;
    return (unsigned)(rank_count > 1 && engine->gang.ports ? engine->gang.ports : engine->ports);
}

bool engine_ranks_need_model(const struct engine *engine)
{
    static const char mark[] = "{model_path}";
    const struct engine_rank *rank = &engine->rank;
    for (size_t i = 0; i < rank->args.count; i++)
        if (strstr(rank->args.items[i], mark))
            return true;
    for (size_t i = 0; i < rank->env.count; i++)
        if (strstr(rank->env.values[i], mark))
            return true;
    return false;
}

/* ---- presence ---- */

bool engine_is_present(const struct engine *engine, bool of_rank)
{
    static const struct engine_values none = {0};
    const struct string_list *command = of_rank ? &engine->rank.command : &engine->command;
    auto_free char *program = NULL;
    if (command->count == 0 || engine_fill(engine, &none, command->items[0], &program, NULL) < 0)
        return false;
    auto_free char *found = program_find(program, engine_path(engine));
    return found != NULL;
}
