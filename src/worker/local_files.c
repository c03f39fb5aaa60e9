/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/num.h"
#include "worker/prepare.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

enum {
    FOLDER_ENTRIES_MAX = 10000,
    PARTS_MAX = 9999,
    PART_DIGITS = 5,
};

#define SPLIT_TAIL_LEN (STR("-00001-of-00001.gguf").len)

/* Reads "<stem>-NNNNN-of-NNNNN.gguf"; false when it is no part of a split file. */
static bool parse_part(struct str name, int64_t *ret_part, int64_t *ret_parts)
{
    if (name.len <= SPLIT_TAIL_LEN || !str_has_suffix(name, STR(".gguf")))
        return false;
    struct str tail = str_skip(name, name.len - SPLIT_TAIL_LEN);
    struct str part = str_sub(tail.ptr + 1, PART_DIGITS);
    struct str middle = str_sub(tail.ptr + 1 + PART_DIGITS, 4);
    struct str parts = str_sub(tail.ptr + 5 + PART_DIGITS, PART_DIGITS);
    return tail.ptr[0] == '-' && str_eq(middle, STR("-of-")) &&
           num_parse_i64(part, 1, PARTS_MAX, ret_part) == 0 &&
           num_parse_i64(parts, 1, PARTS_MAX, ret_parts) == 0;
}

static int stat_file(const char *path, int64_t *ret_bytes, struct err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_errno(err, errno, "model file %s", path);
    *ret_bytes += st.st_size;
    return 0;
}

/* Size of a file; when it is the first part of a split one, of all parts, which must be there. */
static int measure_file(const char *path, int64_t *ret_bytes, struct err *err)
{
    int64_t part, parts;
    *ret_bytes = 0;
    if (!parse_part(str_of(path), &part, &parts) || part != 1)
        return stat_file(path, ret_bytes, err);
    int stem = (int)(strlen(path) - SPLIT_TAIL_LEN);
    for (int64_t i = 1; i <= parts; i++) {
        auto_free char *file = mem_printf("%.*s-%05d-of-%05d.gguf", stem, path, (int)i, (int)parts);
        int rc = stat_file(file, ret_bytes, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool is_model_file(const char *name)
{
    int64_t part, parts;
    if (!str_has_suffix(str_of(name), STR(".gguf")) || str_has_prefix(str_of(name), STR("mmproj")))
        return false;
    return !parse_part(str_of(name), &part, &parts) || part == 1;
}

struct folder_view {
    char *model;     /* name of one model file, owned; NULL: none */
    unsigned models; /* how many there are */
    int64_t bytes;   /* of all regular files */
};

static int view_folder(const char *path, struct folder_view *ret, struct err *err)
{
    DIR *folder = opendir(path);
    if (!folder)
        return err_errno(err, errno, "model folder %s", path);
    const struct dirent *entry;
    for (int n = 0; n < FOLDER_ENTRIES_MAX && (entry = readdir(folder)); n++) {
        struct stat st;
        if (fstatat(dirfd(folder), entry->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode))
            continue;
        ret->bytes += st.st_size;
        if (!is_model_file(entry->d_name))
            continue;
        ret->models++;
        mem_replace(&ret->model, entry->d_name);
    }
    closedir(folder);
    return 0;
}

static int find_in_folder(const char *path, char **ret_path, int64_t *ret_bytes, struct err *err)
{
    struct folder_view view = {0};
    int rc = view_folder(path, &view, err);
    auto_free char *model = view.model;
    if (rc < 0)
        return rc;
    if (view.models > 1)
        return err_set(err, ERR_INVALID,
                       "folder %s has %u models (.gguf files): local_path must name one of them",
                       path, view.models);
    if (view.models == 0) {
        *ret_path = mem_strdup(path);
        *ret_bytes = view.bytes;
        return 0;
    }
    auto_free char *file = mem_printf("%s/%s", path, model);
    rc = measure_file(file, ret_bytes, err);
    if (rc == 0)
        *ret_path = TAKE(file);
    return rc;
}

int local_files_find(const char *path, char **ret_path, int64_t *ret_bytes, struct err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_errno(err, errno, "model file %s", path);
    if (S_ISDIR(st.st_mode))
        return find_in_folder(path, ret_path, ret_bytes, err);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "model file %s is neither a file nor a folder", path);
    int rc = measure_file(path, ret_bytes, err);
    if (rc == 0)
        *ret_path = mem_strdup(path);
    return rc;
}
