/* SPDX-License-Identifier: Apache-2.0 */
/* Engine descriptions of both kinds, and the argv and environment made from those that are read. */
#include "engine/engine_priv.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct engine *engine)
{
    static const struct engine_values values = {"/m/a.gguf", "a", "127.0.0.1", 40000};
    struct string_list argv = {0}, env = {0};
    struct string_map extra = {0};
    /* The engine's own arguments once more as parameters: every form of a flag meets itself. */
    (void)!engine_build_argv(engine, &values, &engine->args, &argv, NULL);
    engine_build_env(engine, &values, "token", &extra, &env);
    string_list_fini(&argv);
    string_list_fini(&env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct engine engine = {0};
    struct engine_override override = {0};
    struct err err = {0};
    if (engine_read("fuzz.yaml", text, &engine, &err) == 0)
        use(&engine);
    if (engine_read_override("fuzz.yaml", text, &override, &err) == 0)
        engine_override_fini(&override);
    engine_fini(&engine);
    return 0;
}
