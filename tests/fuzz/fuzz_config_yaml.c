/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as configuration file: read or refused with a text, and values only if allowed. */
#include "config/load_priv.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings settings = {.file = "fuzz"};
    struct err err = {0};
    struct config config = {0};
    int rc = settings_read_yaml(&settings, str_sub((const char *)data, size), &err);
    assert((rc < 0) == (err.code != 0));
    for (size_t i = 0; i < config_option_count; i++) {
        const char *text = settings.of[CONFIG_FILE][i].text;
        if (!text)
            continue;
        free(option_quote(&config_options[i], str_of(text)));
        if (option_parse(&config_options[i], str_of(text), &config) == 0)
            assert(option_is_set(&config_options[i], &config));
    }
    config_fini(&config);
    settings_fini(&settings);
    return 0;
}
