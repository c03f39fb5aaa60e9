/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/selection.h"

#include "weights/gguf_split.h"

#include <fnmatch.h>
#include <string.h>

static struct str base_name(struct str path)
{
    size_t start = path.len;
    while (start > 0 && path.ptr[start - 1] != '/')
        start--;
    return str_skip(path, start);
}

static bool is_gguf(const char *name)
{
    return str_has_suffix(str_of(name), STR(".gguf"));
}

static bool is_projector(const char *name)
{
    return is_gguf(name) && str_has_prefix(base_name(str_of(name)), STR("mmproj"));
}

static bool is_model_gguf(const char *name)
{
    return is_gguf(name) && !is_projector(name);
}

/* The same weights in another format, as publishers leave them beside .safetensors. */
static bool is_other_format(const char *name)
{
    static const char *const suffixes[] = {".bin", ".pth",  ".pt",      ".gguf",
                                           ".h5",  ".onnx", ".msgpack", ".ckpt"};
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
        if (str_has_suffix(str_of(name), str_of(suffixes[i])))
            return true;
    return str_has_prefix(str_of(name), STR("original/"));
}

static void choose(const struct listing *listing, size_t i, struct selection *ret)
{
    if (ret->chosen[i])
        return;
    ret->chosen[i] = true;
    ret->count++;
    ret->bytes += listing->files[i].bytes;
}

/* Up to SELECTION_NAMES of the files, for whoever named one that isn't there. Returns owned. */
static char *names_of(const struct listing *listing, bool (*is_shown)(const char *name))
{
    struct buf text = {0};
    size_t shown = 0, all = 0;
    for (size_t i = 0; i < listing->count; i++) {
        if (!is_shown(listing->files[i].name))
            continue;
        if (all++ < SELECTION_NAMES) {
            buf_printf(&text, "%s%.128s", shown ? ", " : "", listing->files[i].name);
            shown++;
        }
    }
    if (all > shown)
        buf_printf(&text, " and %zu more", all - shown);
    return text.len ? buf_take(&text) : mem_strdup("no files");
}

static bool is_any(const char *name)
{
    return *name != '\0';
}

/* ---- GGUF ---- */

/* All parts of the split that a file belongs to, or the file alone. */
static int choose_parts(const struct listing *listing, size_t first, struct selection *ret,
                        struct err *err)
{
    struct gguf_split split;
    if (!gguf_split_parse(str_of(listing->files[first].name), &split)) {
        ret->entry = listing->files[first].name;
        choose(listing, first, ret);
        return 0;
    }
    size_t found = 0;
    for (size_t i = 0; i < listing->count; i++) {
        struct gguf_split other;
        if (!gguf_split_parse(str_of(listing->files[i].name), &other) ||
            !str_eq(other.stem, split.stem) || other.count != split.count)
            continue;
        if (other.part == 1)
            ret->entry = listing->files[i].name;
        choose(listing, i, ret);
        found++;
    }
    if (found == split.count && ret->entry)
        return 0;
    return err_set(err, ERR_NOT_FOUND, "of the %u parts of %.*s only %zu are in the repository",
                   split.count, STR_ARGS(split.stem), found);
}

/* The more precise, the lower; names say so. */
static int rank_of_projector(const char *name)
{
    static const char *const words[] = {"f32", "F32", "bf16", "BF16", "f16", "F16"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strstr(name, words[i]))
            return (int)i / 2;
    return (int)ARRAY_LEN(words);
}

static void choose_projector(const struct listing *listing, struct selection *ret)
{
    const struct str entry = str_of(ret->entry);
    const struct str folder = str_sub(entry.ptr, entry.len - base_name(entry).len);
    size_t best = listing->count;
    for (size_t i = 0; i < listing->count; i++) {
        const char *name = listing->files[i].name;
        const struct str own = str_of(name);
        if (!is_projector(name) ||
            !str_eq(str_sub(own.ptr, own.len - base_name(own).len), folder))
            continue;
        if (best == listing->count ||
            rank_of_projector(name) < rank_of_projector(listing->files[best].name))
            best = i;
    }
    if (best < listing->count)
        choose(listing, best, ret);
}

static int choose_gguf(const struct listing *listing, size_t first, struct selection *ret,
                       struct err *err)
{
    const int rc = choose_parts(listing, first, ret, err);
    if (rc == 0)
        choose_projector(listing, ret);
    return rc;
}

/* ---- by pattern ---- */

static bool matches(const char *pattern, const char *name)
{
    return strcmp(pattern, name) == 0 || fnmatch(pattern, name, 0) == 0;
}

static int choose_matching(const struct listing *listing, const char *pattern,
                           struct selection *ret, struct err *err)
{
    for (size_t i = 0; i < listing->count; i++)
        if (is_model_gguf(listing->files[i].name) && matches(pattern, listing->files[i].name))
            return choose_gguf(listing, i, ret, err);
    for (size_t i = 0; i < listing->count; i++)
        if (matches(pattern, listing->files[i].name))
            choose(listing, i, ret);
    if (ret->count)
        return 0;
    auto_free char *names = names_of(listing, is_any);
    return err_set(err, ERR_NOT_FOUND, "no file of the repository matches \"%.128s\"; there are %s",
                   pattern, names);
}

/* ---- all ---- */

static bool has_safetensors(const struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        if (str_has_suffix(str_of(listing->files[i].name), STR(".safetensors")))
            return true;
    return false;
}

/* How many models the GGUF files are: a split counts once. */
static size_t count_gguf(const struct listing *listing, size_t *ret_first)
{
    size_t count = 0;
    for (size_t i = listing->count; i-- > 0;) {
        struct gguf_split split;
        if (!is_model_gguf(listing->files[i].name) ||
            (gguf_split_parse(str_of(listing->files[i].name), &split) && split.part != 1))
            continue;
        count++;
        *ret_first = i;
    }
    return count;
}

static int choose_all(const struct listing *listing, struct selection *ret, struct err *err)
{
    const bool leaves_out = has_safetensors(listing);
    size_t first = 0;
    const size_t models = leaves_out ? 0 : count_gguf(listing, &first);
    if (models == 1)
        return choose_gguf(listing, first, ret, err);
    if (models > 1) {
        auto_free char *names = names_of(listing, is_model_gguf);
        return err_set(err, ERR_INVALID, "the repository has %zu GGUF models, name one: %s", models,
                       names);
    }
    for (size_t i = 0; i < listing->count; i++)
        if (!leaves_out || !is_other_format(listing->files[i].name))
            choose(listing, i, ret);
    return ret->count ? 0 : err_set(err, ERR_NOT_FOUND, "the repository has no files");
}

int selection_make(const struct listing *listing, const char *pattern, struct selection *ret,
                   struct err *err)
{
    struct selection made = {.chosen = mem_alloc_array(listing->count + 1, sizeof *made.chosen)};
    const int rc = pattern && *pattern ? choose_matching(listing, pattern, &made, err)
                                       : choose_all(listing, &made, err);
    if (rc < 0)
        selection_fini(&made);
    else
        *ret = made;
    return rc;
}

void selection_fini(struct selection *selection)
{
    free(selection->chosen);
    *selection = (struct selection){0};
}
