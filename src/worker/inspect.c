/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/inspect.h"

#include "weights/shape_json.h"
#include "weights/weights.h"
#include "worker/storage.h"

#include <errno.h>

static const char *const state_names[] = {
    [INSPECTION_PRESENT] = "present",
    [INSPECTION_MISSING] = "missing",
    [INSPECTION_UNREADABLE] = "unreadable",
    [INSPECTION_FORBIDDEN] = "forbidden",
};

const char *inspection_state_name(enum inspection_state state)
{
    return state_names[state];
}

void inspection_fini(struct inspection *inspection)
{
    free(inspection->message);
    free(inspection->identity);
    free(inspection->storage);
    free(inspection->shape);
    free(inspection->projector);
    *inspection = (struct inspection){0};
}

void inspection_fail(struct inspection *inspection, const char *message)
{
    inspection_fini(inspection);
    inspection->state = INSPECTION_UNREADABLE;
    inspection->message = mem_strdup(message);
    inspection->identity = mem_strdup("");
}

static enum inspection_state state_of(int rc)
{
    switch (rc) {
    case -ENOENT:
    case -ENOTDIR:
        return INSPECTION_MISSING;
    case -EACCES:
    case -EPERM:
        return INSPECTION_FORBIDDEN;
    default:
        return INSPECTION_UNREADABLE;
    }
}

/* A fault of the file system's, not of what stands in the files. */
static bool is_errno(int rc)
{
    return rc < 0 && rc > ERR_LAST;
}

static char *json_of(const struct model_shape *shape)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    model_shape_write(shape, &w);
    return buf_take(&text);
}

static int read_shape(struct source *source, struct inspection *ret, struct err *err)
{
    auto_fini(model_shape_fini) struct model_shape shape = {0}, projector = {0};
    const int rc = weights_read_apart(source, "", &shape, &projector, err);
    if (rc < 0)
        return rc;
    ret->shape = json_of(&shape);
    if (projector.format != FORMAT_UNKNOWN)
        ret->projector = json_of(&projector);
    return 0;
}

static void look_inside(const struct inspection_request *request, struct source *source,
                        struct inspection *ret)
{
    struct err err = {0};
    ret->identity = source_identity(source);
    for (size_t i = 0; i < source->file_count; i++)
        ret->bytes += source->files[i].bytes;
    const char *known = request->known_identity;
    if (!request->wants_shape || (known && strcmp(known, ret->identity) == 0))
        return;
    const int rc = read_shape(source, ret, &err);
    ret->was_read = true;
    if (rc == 0)
        return;
    if (is_errno(rc))
        inspection_fail(ret, err.text);
    else
        ret->message = mem_strdup(err.text);
    ret->state = is_errno(rc) ? state_of(rc) : INSPECTION_UNREADABLE;
}

void inspect_path(const struct inspection_request *request, struct inspection *ret)
{
    struct source *source = NULL;
    struct err err = {0};
    const int rc = source_open_path(request->path, &source, &err);
    if (rc < 0) {
        inspection_fail(ret, err.text);
        ret->state = state_of(rc);
        return;
    }
    look_inside(request, source, ret);
    ret->storage = storage_of(request->path);
    source_free(source);
}
