/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/manifest.h"

#include "base/json.h"

enum { VERSION = 1 };

static const char *const sum_keys[] = {[SUM_GIT_SHA1] = "git_sha1", [SUM_SHA256] = "sha256"};

/* ---- writing ---- */

static void write_file(const struct listed_file *file, struct json_writer *w)
{
    json_begin_object(w);
    json_put_string(w, "name", file->name);
    json_put_int(w, "size", (int64_t)file->bytes);
    if (file->sum_kind != SUM_NONE)
        json_put_string(w, sum_keys[file->sum_kind], file->sum);
    json_end_object(w);
}

void manifest_write(const struct manifest *manifest, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    json_put_int(&w, "version", VERSION);
    json_put_string(&w, "place", manifest->place);
    json_put_string(&w, "pattern", manifest->pattern);
    json_put_string(&w, "revision", manifest->revision);
    json_put_string(&w, "folder", manifest->folder);
    json_put_string(&w, "entry", manifest->entry);
    json_add_key(&w, "files");
    json_begin_array(&w);
    for (size_t i = 0; i < manifest->files.count; i++)
        write_file(&manifest->files.files[i], &w);
    json_end_array(&w);
    json_end_object(&w);
}

/* ---- reading ---- */

static int read_names(const json_t *root, struct manifest *ret, struct err *err)
{
    const char *place = json_member_string(root, "place");
    const char *folder = json_member_string(root, "folder");
    const char *revision = json_member_string(root, "revision");
    const char *entry = json_member_string(root, "entry");
    if (json_member_int(root, "version", 0) != VERSION)
        return err_set(err, ERR_NEWER, "its version must be %d", VERSION);
    if (!place || !folder || !listing_is_file_name(str_of(folder)) ||
        (entry && !listing_is_file_name(str_of(entry))))
        return err_set(err, ERR_INVALID, "it must have place, folder and entry");
    ret->place = mem_strdup(place);
    ret->folder = mem_strdup(folder);
    ret->entry = mem_strdup(entry);
    ret->revision = mem_strdup(revision ? revision : "");
    ret->pattern = mem_strdup(json_member_string(root, "pattern"));
    return 0;
}

int manifest_read(struct str json, struct manifest *ret, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    struct manifest manifest = {0};
    int rc = json_read(json, &root, err);
    if (rc == 0)
        rc = read_names(root, &manifest, err);
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(root, "files"), i, item)
        if (rc == 0)
            rc = listing_add(&manifest.files,
                             &(struct listed_text){
                                 .name = json_member_string(item, "name"),
                                 .bytes = json_member_int(item, "size", -1),
                                 .sha256 = json_member_string(item, sum_keys[SUM_SHA256]),
                                 .git_sha1 = json_member_string(item, sum_keys[SUM_GIT_SHA1])},
                             err);
    if (rc == 0 && manifest.files.count == 0)
        rc = err_set(err, ERR_INVALID, "it lists no files");
    if (rc == 0 && manifest.entry && !manifest_find(&manifest, manifest.entry))
        rc = err_set(err, ERR_INVALID, "its entry isn't one of its files");
    if (rc < 0)
        manifest_fini(&manifest);
    else
        *ret = manifest;
    return rc < 0 ? rc : 0;
}

const struct listed_file *manifest_find(const struct manifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->files.count; i++)
        if (strcmp(manifest->files.files[i].name, name) == 0)
            return &manifest->files.files[i];
    return NULL;
}

void manifest_fini(struct manifest *manifest)
{
    free(manifest->place);
    free(manifest->pattern);
    free(manifest->revision);
    free(manifest->folder);
    free(manifest->entry);
    listing_fini(&manifest->files);
    *manifest = (struct manifest){0};
}
