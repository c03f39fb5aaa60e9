/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model as options of a command describe it, and the body that the server is sent for it. What a
 * source may be differs: workers open files, and only questions may be asked about a hub's.
 */
#pragma once

#include "app/cli.h"

struct model_spec {
    const char *name, *replicas, *backend, *version, *priority, *strategy;
    struct string_list parameters, env, categories, selectors, gpu_ids; /* owned */
    bool no_restart;
};

void model_spec_fini(struct model_spec *spec);

/* The file's or repository's name without folders, ".gguf" and the number of its part. Owned. */
char *model_spec_default_name(const char *source);

/*
 * The members that say where the files are: a path from / on the workers, or a file or folder here,
 * which means the same path there; or "hf:OWNER/REPO[/FILE]" and "ms:...", FILE a name or pattern.
 * Owned. ERR_INVALID says what is allowed.
 */
int model_spec_source(const char *source, json_t **ret, struct err *err) must_check;

/* Adds the options to the body. ERR_INVALID names the option. */
int model_spec_add(const struct model_spec *spec, json_t *body, struct err *err) must_check;
