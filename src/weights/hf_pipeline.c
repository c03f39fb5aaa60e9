/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf_model_priv.h"

#include "weights/json_view.h"

#include <stdio.h>

/* Folders that hold copies in other formats, or nothing that is loaded. */
static bool is_copy(struct str folder)
{
    static const char *const COPIES[] = {"original", "onnx",  "openvino", "coreml", "metal",
                                         "gguf",     "flax",  "tf",       "assets", "runs"};
    for (size_t i = 0; i < ARRAY_LEN(COPIES); i++)
        if (str_eq(folder, str_of(COPIES[i])))
            return true;
    return str_has_prefix(folder, STR(".")) || str_has_prefix(folder, STR("checkpoint-"));
}

static int add_component(struct source *source, struct str name, struct model_shape *shape,
                         struct err *err)
{
    auto_fini(hf_files_fini) struct hf_files files = {0};
    char folder[SOURCE_NAME_MAX];
    if (name.len + 2 > sizeof folder || name.len == 0)
        return 0;
    snprintf(folder, sizeof folder, "%.*s/", STR_ARGS(name));
    int rc = hf_files_select(source, folder, &files, err);
    if (rc == 0 && files.bytes > HF_BYTES_MAX - shape->file_bytes)
        rc = err_set(err, ERR_TOO_LARGE, "%s: the weights have more than 2^56 bytes", folder);
    if (rc == 0)
        rc = hf_bytes_count(source, &files, shape, err);
    if (rc < 0 || files.count == 0)
        return rc;
    hf_part_add(shape, name, files.bytes);
    shape->file_bytes += files.bytes;
    shape->format = files.format;
    shape->is_split |= files.is_split;
    return 0;
}

/* "unet": ["diffusers", "UNet2DConditionModel"]; [null, null] is one that was left out. */
static bool is_component(struct str key, struct str value)
{
    struct json_view_items items = json_view_items(value);
    struct str library;
    return key.len > 0 && key.ptr[0] != '_' && json_view_kind(value) == JSON_VIEW_ARRAY &&
           json_view_next(&items, NULL, &library) && json_view_kind(library) == JSON_VIEW_STRING;
}

static int add_listed(struct source *source, const struct source_file *index,
                      struct model_shape *shape, struct err *err)
{
    auto_fini(buf_fini) struct buf text = {0};
    struct str root, key, value, class = {0};
    int rc = index->bytes > HF_CONFIG_MAX
                 ? err_set(err, ERR_TOO_LARGE, "has %llu bytes, at most %d are read",
                           (unsigned long long)index->bytes, HF_CONFIG_MAX)
                 : source_read_small(source, index, &text, err);
    if (rc >= 0)
        rc = json_view_check(buf_str(&text), &root, err);
    if (rc < 0)
        return err_wrap(err, rc, "%s", index->name);
    json_view_member(root, "_class_name", &class);
    clean_text_copy(shape->architecture, sizeof shape->architecture, json_view_text(class));
    struct json_view_items items = json_view_items(root);
    for (unsigned count = 0; rc == 0 && json_view_next(&items, &key, &value);) {
        if (!is_component(key, value))
            continue;
        if (++count > 4 * MODEL_SHAPE_PARTS_MAX)
            return err_set(err, ERR_TOO_LARGE, "%s names more than %d components", index->name,
                           4 * MODEL_SHAPE_PARTS_MAX);
        rc = add_component(source, key, shape, err);
    }
    shape->kind = KIND_DIFFUSION;
    return rc;
}

/* Files are in the order of their names: those of a folder follow each other. */
static int add_folders(struct source *source, struct model_shape *shape, struct err *err)
{
    struct str last = {0};
    int rc = 0;
    for (size_t i = 0; i < source->file_count && rc == 0; i++) {
        const struct str name = str_of(source->files[i].name);
        const struct str folder = str_sub(name.ptr, str_find(name, '/'));
        if (folder.len == name.len || str_eq(folder, last))
            continue;
        last = folder;
        if (shape->part_count < MODEL_SHAPE_PARTS_MAX && !is_copy(folder))
            rc = add_component(source, folder, shape, err);
    }
    return rc;
}

int hf_pipeline_read(struct source *source, const struct source_file *index,
                     struct model_shape *ret, struct err *err)
{
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    const int rc = index ? add_listed(source, index, &shape, err)
                         : add_folders(source, &shape, err);
    if (rc < 0)
        return rc;
    shape.tensor_bytes = shape.other_bytes = shape.file_bytes;
    snprintf(shape.quantization, sizeof shape.quantization, "%s", hf_dtype_label(shape.dtype));
    *ret = shape;
    shape = (struct model_shape){0};
    return 0;
}
