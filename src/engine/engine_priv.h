/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of engine/ share. */
#pragma once

#include "base/embed.h"
#include "base/str.h"
#include "engine/engine.h"

extern const struct embedded_file engine_files[]; /* engines/ of the source tree */

/* What <bin-dir>/<backend>_<version>/engine.yaml may say; all of it is optional. */
struct engine_override {
    char *backend, *version; /* when given, those of the folder's name */
    struct string_list command;
    struct string_map env;
    struct string_list device_types;
    struct engine_override_rank {
        struct string_list command;
        struct string_map env;
    } rank;
};

/* Reads a description. `ret` is zeroed before and after a failure. `file` is for error texts. */
int engine_read(const char *file, struct str text, struct engine *ret, struct err *err) must_check;
int engine_read_override(const char *file, struct str text, struct engine_override *ret,
                         struct err *err) must_check;

void engine_override_fini(struct engine_override *override);
void engine_fini(struct engine *engine);

/*
 * `text` with its placeholders filled in; other braces stay unless they look like one: '{', a
 * lower-case letter, more of those and digits and '_', '}'. ERR_INVALID. `*ret` is owned.
 */
int engine_fill(const struct engine *engine, const struct engine_values *values, const char *text,
                char **ret, struct err *err) must_check;

/* Whether `text` has a placeholder that says where something is, which is not a model's to say. */
bool engine_names_place(const char *text);

/* Whether every placeholder of `engine` can be filled. ERR_INVALID naming the key. */
int engine_check_placeholders(const struct engine *engine, struct err *err) must_check;

/* The figure of that name, or NULL when it isn't known or there is none such. Borrows. */
const char *engine_figure(const struct engine_figures *figures, struct str name);

/* Whether the section `placed` can be filled, each key from its own figure. ERR_INVALID. */
int engine_check_placed(const struct engine *engine, struct err *err) must_check;

/* The same of the section `tasks`. */
int engine_check_tasks(const struct engine *engine, struct err *err) must_check;

/* The PATH that the engine runs with. Borrows from `engine` or the process. */
const char *engine_path(const struct engine *engine);
