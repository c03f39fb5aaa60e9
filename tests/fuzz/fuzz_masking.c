/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines (an argument a line; environment behind an empty line): the token is nowhere to be
 * seen afterwards, and nothing is added or taken away.
 */
#include "worker/masking.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TOKEN "5ecret-t0ken"

static void read_lines(struct str text, struct string_list *argv, struct string_map *env)
{
    struct str line;
    bool is_env = false;
    while (str_split(&text, '\n', &line)) {
        auto_free char *item = str_dup(line);
        size_t equals = strcspn(item, "=");
        if (!*item) {
            is_env = true;
        } else if (!is_env) {
            string_list_add(argv, item);
        } else if (item[equals]) {
            item[equals] = '\0';
            string_map_set(env, item, item + equals + 1);
        }
    }
}

static void check_text(const char *text)
{
    assert(!strstr(text, TOKEN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct string_list argv = {0};
    struct string_map env = {0};
    read_lines(str_sub((const char *)data, size < 4096 ? size : 4096), &argv, &env);
    size_t arguments = argv.count, variables = env.count;
    masking_apply(&argv, &env, TOKEN);
    assert(argv.count == arguments && env.count == variables);
    for (size_t i = 0; i < argv.count; i++)
        check_text(argv.items[i]);
    for (size_t i = 0; i < env.count; i++)
        check_text(env.values[i]);
    string_list_fini(&argv);
    string_map_fini(&env);
    return 0;
}
