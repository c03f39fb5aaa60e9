/* SPDX-License-Identifier: Apache-2.0 */
/* Models of the server's catalog by their names, as `gpustack deploy` and `catalog` take them. */
#pragma once

#include "app/cli.h"

/* Whether the source of a command is a name of the catalog's and no file: "qwen3-8b:Q4_K_M". */
bool catalog_source_is(const char *source);

/*
 * The sets that match the search (NULL: all), in each of its specs a member "fit" with the row of
 * /v2/model-sets/fit. Owned.
 */
int catalog_source_list(struct cli *cli, const char *search, json_t **ret,
                        struct err *err) must_check;

/*
 * The body that deploys NAME[:PRECISION]: of the specs the first that fits, else that fits partly,
 * else the first. Owned. ERR_NOT_FOUND says what there is.
 */
int catalog_source_body(struct cli *cli, const char *source, json_t **ret,
                        struct err *err) must_check;
