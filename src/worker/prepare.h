/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be known before an engine can be started: where the model's files are, how large they
 * are, and which engine runs them. Everything here blocks (the model may lie on a network file
 * system), so the runner calls it on a pool thread. No state; any thread.
 */
#pragma once

#include "engine/engine.h"
#include "worker/desired.h"
#include "worker/trouble.h"

struct prepared {
    char *model_path;            /* file, or folder without a .gguf file, for the engine; NULL: its
                                    rank needs none */
    int64_t model_bytes;         /* of the file, of all its parts, or of all files in the folder */
    struct engine_set *engines;  /* read anew for each start: an engine may have been installed */
    const struct engine *engine; /* borrows from `engines` */
};

struct prepare_request {
    const struct desired_instance *wanted;
    const char *bin_dir;     /* NULL: none */
    const char *worker_name; /* for the words, which name the path and the worker */
};

/*
 * Looks all of it up: of a gang what its rank needs, which for ranks above 0 may be the engine
 * only. Negative with `fault` set. `ret` and `fault` are zeroed before.
 */
int prepare_engine(const struct prepare_request *request, struct prepared *ret,
                   struct trouble *fault) must_check;

void prepared_fini(struct prepared *prepared);

/*
 * The file or folder at `path` that an engine gets, and its size in bytes. In a folder that is its
 * only .gguf file or the first part ("-00001-of-00003.gguf") of a split one; projectors
 * ("mmproj...") don't count. `ret_path` is owned.
 */
int local_files_find(const char *path, char **ret_path, int64_t *ret_bytes,
                     struct err *err) must_check;
