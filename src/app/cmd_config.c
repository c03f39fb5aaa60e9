/* SPDX-License-Identifier: Apache-2.0 */
/* gpustack config: what `gpustack start` with the same arguments would use, and from where. */
#include "app/app.h"
#include "app/command.h"

#include <stdio.h>

static void print_public(const struct config *config)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    config_write_public(config, &w);
    auto_fini(json_release) json_t *root = NULL;
    if (json_read(buf_str(&text), &root, NULL) == 0)
        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    puts("");
    buf_fini(&text);
}

int cmd_config(int argc, char **argv)
{
    struct config config;
    struct err err = {0};
    int rc = app_load_config(argc, argv, "config", &config, &err);
    if (rc != 0)
        return rc < 0 ? app_usage_error("config", &err) : APP_OK;
    print_public(&config);
    config_fini(&config);
    return APP_OK;
}
