/* SPDX-License-Identifier: Apache-2.0 */
#include "app/credentials.h"

#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <libgen.h>

enum { CREDENTIALS_MAX = 64 << 10 };

static char *credentials_path(void)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (xdg && *xdg)
        return mem_printf("%s/gpustack/credentials.json", xdg);
    return mem_printf("%s/.config/gpustack/credentials.json", home && *home ? home : "/root");
}

int credentials_load(struct credentials *ret, struct err *err)
{
    auto_free char *path = credentials_path();
    struct buf text = {0};
    int rc = file_read(path, CREDENTIALS_MAX, &text, err);
    if (rc == -ENOENT) {
        *ret = (struct credentials){0};
        if (err)
            err->code = 0;
        return 0;
    }
    auto_fini(json_release) json_t *root = NULL;
    if (rc == 0)
        rc = json_read(buf_str(&text), &root, err);
    if (rc == 0) {
        ret->server_url = mem_strdup(json_member_string(root, "server_url"));
        ret->api_key = mem_strdup(json_member_string(root, "api_key"));
    } else {
        (void)err_wrap(err, rc,
                       "the stored login %s can't be used; remove it and run gpustack login", path);
    }
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    buf_fini(&text);
    return rc;
}

int credentials_save(const struct credentials *credentials, struct err *err)
{
    auto_free char *path = credentials_path();
    auto_free char *copy = mem_strdup(path);
    int rc = file_make_dirs(dirname(copy), 0700, err);
    if (rc < 0)
        return rc;
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_begin_object(&w);
    json_put_string(&w, "server_url", credentials->server_url);
    json_put_string(&w, "api_key", credentials->api_key);
    json_end_object(&w);
    buf_add_char(&text, '\n');
    rc = file_write(path, buf_str(&text), 0600, err);
    explicit_bzero(text.ptr, text.len);
    buf_fini(&text);
    return rc;
}

void credentials_fini(struct credentials *credentials)
{
    free(credentials->server_url);
    mem_free_secret(credentials->api_key);
    *credentials = (struct credentials){0};
}
