/* SPDX-License-Identifier: Apache-2.0 */
/* Engine descriptions of both kinds, and the argv and environment made from those that are read. */
#include "engine/engine_priv.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t numbers[ENGINE_PORTS_MAX];

/* What a description that was read holds must be fillable for each of its programs. */
static void use(const struct engine *engine, int64_t rank, const struct peers *peers)
{
    struct int_list ports = {numbers, engine_port_count(engine, rank, peers ? 2 : 1)};
    char one[] = "1";
    struct engine_figures figures = {0};
    for (int i = 0; i < ENGINE_FIGURE_COUNT; i++)
        figures.texts[i] = one;
    struct engine_values values = {.model_path = "/m/a.gguf",
                                   .model_name = "a",
                                   .host = "127.0.0.1",
                                   .ports = &ports,
                                   .rank = rank,
                                   .peers = peers,
                                   .ranks = "[]",
                                   .figures = &figures};
    struct string_list none = {0}, argv = {0}, env = {0};
    struct string_map extra = {0};
    assert(engine_build_argv(engine, &values, &none, &argv, NULL) == 0);
    string_list_fini(&argv);
    /* The engine's own arguments once more as parameters: every form of a flag meets itself. */
    (void)!engine_build_argv(engine, &values, &engine->args, &argv, NULL);
    engine_build_env(engine, &values, "token", &extra, &env);
    string_list_fini(&argv);
    string_list_fini(&env);
}

static void use_all(const struct engine *engine)
{
    char ip[] = "10.0.0.1";
    struct peer two[] = {
        {.ip = ip, .ports = {numbers, engine_port_count(engine, 0, 2)}},
        {.rank = 1, .ip = ip, .ports = {numbers, engine_port_count(engine, 1, 2)}},
    };
    struct peers peers = {two, ARRAY_LEN(two)};
    use(engine, 0, NULL);
    if (!engine_is_distributable(engine))
        return;
    use(engine, 0, &peers);
    use(engine, 1, &peers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct engine engine = {0};
    struct engine_override override = {0};
    struct err err = {0};
    if (engine_read("fuzz.yaml", text, &engine, &err) == 0)
        use_all(&engine);
    if (engine_read_override("fuzz.yaml", text, &override, &err) == 0)
        engine_override_fini(&override);
    engine_fini(&engine);
    return 0;
}
