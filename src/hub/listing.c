/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/listing.h"

#include "base/json.h"

/* No file of a hub is larger. */
#define FILE_BYTES_MAX (INT64_C(1) << 56)

bool listing_is_file_name(struct str name)
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

static bool is_hex(const char *text, size_t length)
{
    return strlen(text) == length && strspn(text, "0123456789abcdef") == length;
}

/* One that isn't well-formed tells nothing. */
static void set_sum(struct listed_file *file, const char *sha256, const char *git_sha1)
{
    enum { SHA1_HEX = 40, SHA256_HEX = 64 };
    if (sha256 && is_hex(sha256, SHA256_HEX)) {
        file->sum_kind = SUM_SHA256;
        memcpy(file->sum, sha256, SHA256_HEX);
    } else if (git_sha1 && is_hex(git_sha1, SHA1_HEX)) {
        file->sum_kind = SUM_GIT_SHA1;
        memcpy(file->sum, git_sha1, SHA1_HEX);
    }
}

int listing_add(struct listing *listing, const struct listed_text *text, struct err *err)
{
    const char *name = text->name;
    if (!name || !listing_is_file_name(str_of(name)))
        return err_set(err, ERR_SYNTAX, "lists a file without a usable name");
    if (text->bytes < 0 || text->bytes > FILE_BYTES_MAX)
        return err_set(err, ERR_SYNTAX, "lists the file %.128s without a size", name);
    if (listing->count == SOURCE_FILES_MAX)
        return err_set(err, ERR_TOO_LARGE, "lists more than %d files", SOURCE_FILES_MAX);
    if ((listing->count & (listing->count - 1)) == 0) { /* room doubles */
        const size_t room = listing->count ? listing->count * 2 : 1;
        listing->files = mem_resize(listing->files, room * sizeof *listing->files);
    }
    struct listed_file *file = &listing->files[listing->count++];
    *file = (struct listed_file){.name = mem_strdup(name), .bytes = (uint64_t)text->bytes};
    set_sum(file, text->sha256, text->git_sha1);
    return 0;
}

static bool has_type(const json_t *item, const char *key, const char *type)
{
    const char *value = json_member_string(item, key);
    return value && strcmp(value, type) == 0;
}

/* An LFS file's own `oid` is that of the pointer to it. */
static int add_hugging_face(struct listing *listing, const json_t *item, struct err *err)
{
    const json_t *lfs = json_object_get(item, "lfs");
    return listing_add(listing,
                       &(struct listed_text){
                           .name = json_member_string(item, "path"),
                           .bytes = json_member_int(item, "size", -1),
                           .sha256 = json_member_string(lfs, "oid"),
                           .git_sha1 = lfs ? NULL : json_member_string(item, "oid")},
                       err);
}

/* [{"type":"file","path":"a/b.gguf","size":1,"oid":"..","lfs":{"oid":".."}}, ...] */
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
            rc = add_hugging_face(listing, item, err);
    return rc;
}

/* {"Data":{"Files":[{"Type":"blob","Path":"a/b.gguf","Size":1,"Sha256":".."}, ...]}} */
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
            rc = listing_add(listing,
                             &(struct listed_text){.name = json_member_string(item, "Path"),
                                                   .bytes = json_member_int(item, "Size", -1),
                                                   .sha256 = json_member_string(item, "Sha256")},
                             err);
    return rc;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct listed_file *)a)->name, ((const struct listed_file *)b)->name);
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
