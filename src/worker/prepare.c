/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/prepare.h"

void prepared_fini(struct prepared *prepared)
{
    free(prepared->model_path);
    engine_set_free(prepared->engines);
    *prepared = (struct prepared){0};
}

static int find_model(const struct desired_instance *wanted, const char *worker_name,
                      struct prepared *ret, struct err *err)
{
    if (strcmp(wanted->source, "local_path") != 0)
        return err_set(err, ERR_INVALID,
                       "source %s is not supported by this version; use local_path",
                       wanted->source);
    if (!wanted->local_path || !*wanted->local_path)
        return err_set(err, ERR_INVALID, "local_path must not be empty");
    int rc = model_files_find(wanted->local_path, &ret->model_path, &ret->model_bytes, err);
    return rc < 0 ? err_wrap(err, rc, "worker %s", worker_name) : 0;
}

static int find_engine(const struct desired_instance *wanted, const char *bin_dir,
                       const char *worker_name, struct prepared *ret, struct err *err)
{
    int rc = engine_set_load(bin_dir, &ret->engines, err);
    if (rc == 0)
        rc = engine_find(ret->engines, wanted->backend, wanted->backend_version, ret->model_path,
                         &ret->engine, err);
    if (rc == 0 && !engine_is_present(ret->engine))
        rc = err_set(err, ERR_NOT_FOUND, "the program of engine %s isn't there", ret->engine->name);
    return rc < 0 ? err_wrap(err, rc, "worker %s", worker_name) : 0;
}

int prepare_engine(const struct desired_instance *wanted, const char *bin_dir,
                   const char *worker_name, struct prepared *ret, struct err *err)
{
    struct prepared prepared = {0};
    int rc = find_model(wanted, worker_name, &prepared, err);
    if (rc == 0)
        rc = find_engine(wanted, bin_dir, worker_name, &prepared, err);
    if (rc < 0)
        prepared_fini(&prepared);
    else
        *ret = prepared;
    return rc < 0 ? rc : 0;
}
