/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/listing.h"

#include "base/json.h"

/* No file of a hub is larger. */
#define FILE_BYTES_MAX (INT64_C(1) << 56)

/* A relative path without empty, "." or ".." parts and without control characters. */
static bool is_file_name(struct str name)
{
    if (name.len == 0 || name.len >= SOURCE_NAME_MAX || name.ptr[name.len - 1] == '/')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < ' ' || name.ptr[i] == 0x7f)
            return false;
    struct str part;
    while (str_split(&name, '/', &part))
        if (part.len == 0 || str_eq(part, STR(".")) || str_eq(part, STR("..")))
            return false;
    return true;
}

static int add(struct listing *listing, const char *name, int64_t bytes, struct err *err)
{
    if (!name || !is_file_name(str_of(name)))
        return err_set(err, ERR_SYNTAX, "lists a file without a usable name");
    if (bytes < 0 || bytes > FILE_BYTES_MAX)
        return err_set(err, ERR_SYNTAX, "lists the file %.128s without a size", name);
    if (listing->count == SOURCE_FILES_MAX)
        return err_set(err, ERR_TOO_LARGE, "lists more than %d files", SOURCE_FILES_MAX);
    if ((listing->count & (listing->count - 1)) == 0) { /* room doubles */
        const size_t room = listing->count ? listing->count * 2 : 1;
        listing->files = mem_resize(listing->files, room * sizeof *listing->files);
    }
    listing->files[listing->count++] =
        (struct source_file){.name = mem_strdup(name), .bytes = (uint64_t)bytes};
    return 0;
}

static bool has_type(const json_t *item, const char *key, const char *type)
{
    const char *value = json_member_string(item, key);
    return value && strcmp(value, type) == 0;
}

/* [{"type":"file","path":"a/b.gguf","size":1}, ...] */
int listing_add_hugging_face(struct listing *listing, struct str json, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    int rc = json_read(json, &root, err);
    if (rc == 0 && !json_is_array(root))
        rc = err_set(err, ERR_SYNTAX, "lists its files in a form that isn't known");
    size_t i;
    const json_t *item;
    json_array_foreach(root, i, item)
        if (rc == 0 && has_type(item, "type", "file"))
            rc = add(listing, json_member_string(item, "path"), json_member_int(item, "size", -1),
                     err);
    return rc;
}

/* {"Data":{"Files":[{"Type":"blob","Path":"a/b.gguf","Size":1}, ...]}} */
int listing_add_modelscope(struct listing *listing, struct str json, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    int rc = json_read(json, &root, err);
    const json_t *files = json_object_get(json_object_get(root, "Data"), "Files");
    if (rc == 0 && !json_is_array(files))
        rc = err_set(err, ERR_SYNTAX, "lists its files in a form that isn't known");
    size_t i;
    const json_t *item;
    json_array_foreach(files, i, item)
        if (rc == 0 && has_type(item, "Type", "blob"))
            rc = add(listing, json_member_string(item, "Path"), json_member_int(item, "Size", -1),
                     err);
    return rc;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct source_file *)a)->name, ((const struct source_file *)b)->name);
}

void listing_sort(struct listing *listing)
{
    if (listing->count)
        qsort(listing->files, listing->count, sizeof *listing->files, compare_names);
}

void listing_fini(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        free(listing->files[i].name);
    free(listing->files);
    *listing = (struct listing){0};
}
