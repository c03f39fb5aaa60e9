/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/url.h"

#include <string.h>

void url_fini(struct url *url)
{
    free(url->path);
    *url = (struct url){0};
}

/* Where the authority ends: at the first '/', '?' or '#'. */
static size_t authority_end(struct str text, size_t start)
{
    size_t end = start;
    while (end < text.len && !strchr("/?#", text.ptr[end]))
        end++;
    return end;
}

static int check_text(struct str text, struct err *err)
{
    if (text.len == 0 || text.len > URL_MAX)
        return err_set(err, ERR_INVALID, "a URL has %zu bytes; 1 to %d are allowed", text.len,
                       URL_MAX);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return err_set(err, ERR_INVALID,
                           "a URL has the byte 0x%02x; others than printable ASCII must be written "
                           "as %%XX",
                           (unsigned char)text.ptr[i]);
    return 0;
}

static int parse(struct str text, struct url *ret, struct err *err)
{
    int rc = check_text(text, err);
    if (rc < 0)
        return rc;
    text.len = str_find(text, '#');
    const size_t scheme = str_find(text, ':');
    if (scheme + 3 > text.len || !str_eq(str_sub(text.ptr + scheme, 3), STR("://")))
        return err_set(err, ERR_INVALID, "a URL must begin with http:// or https://");
    const size_t end = authority_end(text, scheme + 3);
    if (memchr(text.ptr + scheme, '@', end - scheme)) /* its text may be a password */
        return err_set(err, ERR_INVALID, "a URL with a user's name or password isn't read");
    auto_free char *base = mem_strndup(text.ptr, end);
    rc = http_target_parse(base, &ret->target, err);
    if (rc < 0)
        return rc;
    const struct str path = str_skip(text, end);
    ret->path = mem_printf("%s%.*s", path.len && path.ptr[0] == '/' ? "" : "/", STR_ARGS(path));
    return 0;
}

int url_parse(const char *text, struct url *ret, struct err *err)
{
    return parse(str_of(text), ret, err);
}

int url_resolve(const struct url *base, struct str location, struct url *ret, struct err *err)
{
    const char *scheme = base->target.tls ? "https" : "http";
    const struct str path = url_path_only(base);
    size_t folder = path.len;
    while (folder > 0 && path.ptr[folder - 1] != '/')
        folder--;
    auto_free char *root = url_text(base);
    root[strlen(root) - strlen(base->path)] = '\0';
    auto_free char *text = NULL;
    if (str_has_prefix(location, STR("//")))
        text = mem_printf("%s:%.*s", scheme, STR_ARGS(location));
    else if (str_has_prefix(location, STR("/")))
        text = mem_printf("%s%.*s", root, STR_ARGS(location));
    else if (str_has_prefix(location, STR("http://")) || str_has_prefix(location, STR("https://")))
        text = str_dup(location);
    else
        text = mem_printf("%s%.*s%.*s", root, (int)folder, path.ptr, STR_ARGS(location));
    return parse(str_of(text), ret, err);
}

bool url_is_same_origin(const struct url *a, const struct url *b)
{
    return a->target.tls == b->target.tls && a->target.port == b->target.port &&
           str_eq_nocase(str_of(a->target.host), str_of(b->target.host));
}

struct str url_path_only(const struct url *url)
{
    const struct str all = str_of(url->path);
    return str_sub(all.ptr, str_find(all, '?'));
}

static char *text_with(const struct url *url, struct str path)
{
    const bool is_v6 = strchr(url->target.host, ':') != NULL;
    return mem_printf("%s://%s%s%s:%u%.*s", url->target.tls ? "https" : "http", is_v6 ? "[" : "",
                      url->target.host, is_v6 ? "]" : "", url->target.port, STR_ARGS(path));
}

char *url_text(const struct url *url)
{
    return text_with(url, str_of(url->path));
}

char *url_public_text(const struct url *url)
{
    return text_with(url, url_path_only(url));
}

void url_encode_path(struct buf *out, struct str path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-._~/";
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] && strchr(plain, path.ptr[i]))
            buf_add_char(out, path.ptr[i]);
        else
            buf_printf(out, "%%%02X", (unsigned char)path.ptr[i]);
    }
}
