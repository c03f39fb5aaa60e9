/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/weights.h"

#include "weights/gguf.h"
#include "weights/gguf_split.h"
#include "weights/hf.h"

#include <fnmatch.h>
#include <stdio.h>

enum { NAMES_SHOWN = 5 };

/* ---- which files ---- */

static struct str base_name(struct str name)
{
    while (str_find(name, '/') < name.len)
        name = str_skip(name, str_find(name, '/') + 1);
    return name;
}

static bool is_gguf(struct str name)
{
    return str_has_suffix(name, STR(".gguf"));
}

/* "mmproj-F16.gguf", "Qwen2.5-VL-7B.mmproj-Q8_0.gguf" */
static bool is_projector(const char *name)
{
    return is_gguf(str_of(name)) && strcasestr(base_name(str_of(name)).ptr, "mmproj");
}

/* A single file or the first part of a split. */
static bool is_first(struct str name)
{
    struct gguf_split split;
    return !gguf_split_parse(name, &split) || split.part == 1;
}

static bool is_wanted(const char *wanted, const char *name)
{
    return *wanted == '\0' || strcmp(wanted, name) == 0 || fnmatch(wanted, name, 0) == 0;
}

/* What lies beside models and is none: a projector, layers that predict further tokens, statistics
 * for quantising. The word that tells it, or NULL for a model. */
static const char *companion_word(const char *name)
{
    const struct str base = base_name(str_of(name));
    if (is_projector(name))
        return "mmproj";
    if (str_has_prefix(base, STR("mtp-")))
        return "mtp";
    return str_has_prefix(base, STR("imatrix")) || str_has_suffix(base, STR("imatrix.gguf"))
               ? "imatrix"
               : NULL;
}

/* Whether a file is a model by itself, and the one that is asked for: a companion by its own word
 * only, not by a pattern that its model has in common with it. */
static bool is_candidate(const struct source_file *file, const char *wanted)
{
    const struct str name = str_of(file->name);
    const char *word = companion_word(file->name);
    if (!is_wanted(wanted, file->name) || !is_gguf(name) || !is_first(name))
        return false;
    return !word || strcasestr(wanted, word);
}

/* ---- GGUF ---- */

/* Whether it lies in the model's folder or in one above: those below another belong to others. */
static bool is_beside(const struct source_file *projector, const struct source_file *model)
{
    const struct str name = str_of(projector->name);
    return str_has_prefix(str_of(model->name), str_sub(name.ptr, name.len - base_name(name).len));
}

/* "-F16" before "BF16", the larger and smaller ones last. */
static int preference(const struct source_file *projector)
{
    return strcasestr(projector->name, "-f16") ? 2 : strcasestr(projector->name, "f16") ? 1 : 0;
}

/* The most precise of the projectors beside a model that are no larger than half precision. */
static const struct source_file *find_projector(const struct source *source,
                                                const struct source_file *model)
{
    const struct source_file *best = NULL;
    for (size_t i = 0; i < source->file_count; i++) {
        const struct source_file *file = &source->files[i];
        if (is_projector(file->name) && is_beside(file, model) &&
            (!best || preference(file) > preference(best)))
            best = file;
    }
    return best;
}

/* A projector is loaded beside its model: its tensors belong to none of the model's layers. */
static void add_projector(struct model_shape *shape, const struct model_shape *projector)
{
    shape->has_vision |= projector->has_vision;
    shape->has_audio |= projector->has_audio;
    shape->vision_head_count = projector->vision_head_count;
    shape->vision_layer_count = projector->vision_layer_count;
    shape->vision_hidden_size = projector->vision_hidden_size;
    shape->vision_tokens_max = projector->vision_tokens_max;
    shape->vision_token_patches = projector->vision_token_patches;
    shape->parameter_count += projector->parameter_count;
    shape->file_bytes += projector->file_bytes;
    shape->tensor_bytes += projector->tensor_bytes;
    shape->other_bytes += projector->tensor_bytes;
    shape->parts = mem_alloc_array(1, sizeof *shape->parts);
    shape->part_count = 1;
    snprintf(shape->parts[0].name, sizeof shape->parts[0].name, "projector");
    shape->parts[0].bytes = projector->tensor_bytes;
}

static int read_gguf(struct source *source, const struct source_file *file,
                     struct model_shape *ret, struct model_shape *ret_projector, struct err *err)
{
    const struct source_file *beside = find_projector(source, file);
    struct model_shape model = {0}, projector = {0};
    int rc = gguf_read(source, file, &model, err);
    if (rc == 0 && model.kind == KIND_LLM && beside && beside != file)
        rc = gguf_read(source, beside, &projector, err);
    if (rc < 0) {
        model_shape_fini(&model);
        return rc;
    }
    *ret = model;
    *ret_projector = projector;
    return 0;
}

static int fail_ambiguous(const struct source *source, const char *wanted, size_t count,
                          struct err *err)
{
    auto_fini(buf_fini) struct buf names = {0};
    size_t shown = 0;
    for (size_t i = 0; i < source->file_count && shown < NAMES_SHOWN; i++)
        if (is_candidate(&source->files[i], wanted))
            buf_printf(&names, "%s%s", shown++ ? ", " : "", source->files[i].name);
    return err_set(err, ERR_INVALID, "there are %zu models, name one of them: %s%s", count,
                   names.ptr, count > shown ? ", ..." : "");
}

/* ---- other formats ---- */

/* A folder without a GGUF file. */
static int read_other(struct source *source, const char *wanted, struct model_shape *ret,
                      struct err *err)
{
    if (*wanted)
        return err_set(err, ERR_NOT_FOUND, "no .gguf file matches \"%s\"", wanted);
    if (source->file_count == 0)
        return err_set(err, ERR_NOT_FOUND, "there are no files");
    return hf_read(source, ret, err);
}

int weights_read_apart(struct source *source, const char *file, struct model_shape *ret,
                       struct model_shape *ret_projector, struct err *err)
{
    const struct source_file *found = NULL;
    size_t count = 0;
    *ret_projector = (struct model_shape){0};
    for (size_t i = 0; i < source->file_count; i++) {
        if (!is_candidate(&source->files[i], file))
            continue;
        count++;
        found = found ? found : &source->files[i];
    }
    if (count > 1)
        return fail_ambiguous(source, file, count, err);
    if (found)
        return read_gguf(source, found, ret, ret_projector, err);
    if (source->file_count == 1 && *file == '\0') { /* of any name: some stores have hashes */
        const int rc = gguf_probe(source, source->files, err);
        if (rc != 0)
            return rc < 0 ? rc : read_gguf(source, source->files, ret, ret_projector, err);
    }
    return read_other(source, file, ret, err);
}

int weights_read(struct source *source, const char *file, struct model_shape *ret, struct err *err)
{
    struct model_shape projector;
    const int rc = weights_read_apart(source, file, ret, &projector, err);
    if (rc == 0 && projector.format != FORMAT_UNKNOWN)
        add_projector(ret, &projector);
    model_shape_fini(&projector);
    return rc;
}
