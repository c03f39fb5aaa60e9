/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine_priv.h"

static const char default_path[] = "/usr/local/bin:/usr/bin:/bin";

/* What passes from our environment: where things are, and what vendors' runtimes read. */
static const char *const passed_names[] = {"PATH",   "HOME", "LANG",           "LC_ALL",
                                           "TMPDIR", "TZ",   "LD_LIBRARY_PATH"};
static const char *const passed_prefixes[] = {"CUDA_", "NVIDIA_", "NCCL_",   "HIP_",  "HSA_",
                                              "ROCM_", "ROCR_",   "ASCEND_", "HCCL_", "MUSA_",
                                              "IX_",   "CNCL_",   "MLU_"};

static bool is_passed(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(passed_names); i++)
        if (str_eq(name, str_of(passed_names[i])))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(passed_prefixes); i++)
        if (str_has_prefix(name, str_of(passed_prefixes[i])))
            return true;
    return false;
}

static void add_base(struct string_map *map)
{
    string_map_set(map, "PATH", default_path);
    for (char **entry = environ; *entry; entry++) {
        struct str text = str_of(*entry);
        struct str name = str_sub(text.ptr, str_find(text, '='));
        if (name.len == text.len || !is_passed(name))
            continue;
        auto_free char *owned_name = str_dup(name);
        string_map_set(map, owned_name, *entry + name.len + 1);
    }
}

const char *engine_path(const struct engine *engine)
{
    const char *path = string_map_get(&engine->env, "PATH");
    if (!path)
        path = getenv("PATH");
    return path ? path : default_path;
}

/* Placeholders were checked when the set was loaded: what has no value here is left out. */
static void add_filled(const struct engine *engine, const struct engine_values *values,
                       const struct string_map *env, struct string_map *map)
{
    for (size_t i = 0; i < env->count; i++) {
        auto_free char *value = NULL;
        if (engine_fill(engine, values, env->values[i], &value, NULL) == 0)
            string_map_set(map, env->keys[i], value);
    }
}

void engine_own_env(const struct engine *engine, const struct engine_values *values,
                    const char *token, const struct string_map *extra, struct string_map *ret)
{
    add_filled(engine, values, &engine->env, ret);
    if (values->rank > 0)
        add_filled(engine, values, &engine->rank.env, ret);
    else if (values->peers && values->peers->count > 1)
        add_filled(engine, values, &engine->gang.env, ret);
    for (size_t i = 0; i < extra->count; i++)
        string_map_set(ret, extra->keys[i], extra->values[i]);
    /* Last: a model's own environment must not open the engine to everybody. */
    if (token && engine->token_env)
        string_map_set(ret, engine->token_env, token);
}

void engine_full_env(const struct string_map *own, struct string_list *ret)
{
    struct string_map map = {0};
    add_base(&map);
    for (size_t i = 0; i < own->count; i++)
        string_map_set(&map, own->keys[i], own->values[i]);
    for (size_t i = 0; i < map.count; i++) {
        auto_free char *entry = mem_printf("%s=%s", map.keys[i], map.values[i]);
        string_list_add(ret, entry);
    }
    string_map_fini(&map);
}

void engine_build_env(const struct engine *engine, const struct engine_values *values,
                      const char *token, const struct string_map *extra, struct string_list *ret)
{
    struct string_map own = {0};
    engine_own_env(engine, values, token, extra, &own);
    engine_full_env(&own, ret);
    string_map_fini(&own);
}
