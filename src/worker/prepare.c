/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/prepare.h"

void prepared_fini(struct prepared *prepared)
{
    free(prepared->model_path);
    engine_set_free(prepared->engines);
    *prepared = (struct prepared){0};
}

/* The words of `err` with the worker's name before them. */
static int refuse(const struct prepare_request *request, enum reason reason, const struct err *err,
                  struct trouble *fault)
{
    trouble_set(fault, reason, "worker %s: %s", request->worker_name, err->text);
    return err->code;
}

static int find_model(const struct prepare_request *request, struct prepared *ret,
                      struct trouble *fault)
{
    const struct desired_instance *wanted = request->wanted;
    const char *path = wanted->local_path ? wanted->local_path : "";
    struct err err = {0};
    int rc;
    if (strcmp(wanted->source, "local_path") != 0) {
        trouble_set(fault, REASON_SOURCE_UNSUPPORTED,
                    "source %s is not supported by this version; use local_path", wanted->source);
        trouble_add_text(fault, "source", wanted->source);
        return ERR_INVALID;
    }
    if (!*path)
        rc = err_set(&err, ERR_NOT_FOUND, "local_path must not be empty");
    else
        rc = local_files_find(path, &ret->model_path, &ret->model_bytes, &err);
    if (rc == 0)
        return 0;
    rc = refuse(request, rc == ERR_INVALID ? REASON_MODEL_FILE_INVALID : REASON_MODEL_PATH_MISSING,
                &err, fault);
    trouble_add_text(fault, "path", path);
    trouble_add_text(fault, "worker", request->worker_name);
    return rc;
}

static int find_engine(const struct prepare_request *request, struct prepared *ret, struct err *err)
{
    const struct desired_instance *wanted = request->wanted;
    int rc = engine_set_load(request->bin_dir, &ret->engines, err);
    if (rc == 0)
        rc = engine_find(ret->engines, wanted->backend, wanted->backend_version, ret->model_path,
                         &ret->engine, err);
    if (rc == 0 && !engine_is_present(ret->engine, wanted->rank > 0))
        rc = err_set(err, ERR_NOT_FOUND, "the program of engine %s%s isn't there",
                     ret->engine->name, wanted->rank > 0 ? " for ranks above 0" : "");
    return rc < 0 ? rc : 0;
}

static int find_engine_or_fault(const struct prepare_request *request, struct prepared *ret,
                                struct trouble *fault)
{
    const struct desired_instance *wanted = request->wanted;
    struct err err = {0};
    int rc = find_engine(request, ret, &err);
    if (rc < 0) {
        rc = refuse(request, REASON_ENGINE_MISSING, &err, fault);
        trouble_add_text(fault, "backend", wanted->backend);
        trouble_add_text(fault, "version", wanted->backend_version);
        trouble_add_text(fault, "worker", request->worker_name);
        return rc;
    }
    if (!desired_instance_is_gang(wanted) || engine_is_distributable(ret->engine))
        return 0;
    trouble_set(fault, REASON_NOT_DISTRIBUTABLE, "engine %s can't run on several workers",
                ret->engine->name);
    trouble_add_text(fault, "backend", ret->engine->name);
    return ERR_INVALID;
}

/* Of ranks above 0 only the engine may be needed; the file's name may still choose it. */
static bool does_without_model(const struct prepare_request *request, struct prepared *prepared)
{
    const struct desired_instance *wanted = request->wanted;
    if (wanted->rank == 0 || strcmp(wanted->source, "local_path") != 0 || !wanted->local_path ||
        engine_set_load(request->bin_dir, &prepared->engines, NULL) < 0 ||
        engine_find(prepared->engines, wanted->backend, wanted->backend_version, wanted->local_path,
                    &prepared->engine, NULL) < 0)
        return false;
    return engine_is_present(prepared->engine, true) && !engine_ranks_need_model(prepared->engine);
}

int prepare_engine(const struct prepare_request *request, struct prepared *ret,
                   struct trouble *fault)
{
    struct prepared prepared = {0};
    if (does_without_model(request, &prepared)) {
        *ret = prepared;
        return 0;
    }
    prepared_fini(&prepared);
    int rc = find_model(request, &prepared, fault);
    if (rc == 0)
        rc = find_engine_or_fault(request, &prepared, fault);
    if (rc < 0)
        prepared_fini(&prepared);
    else
        *ret = prepared;
    return rc < 0 ? rc : 0;
}
