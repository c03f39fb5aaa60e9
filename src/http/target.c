/* SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"
#include "http/client_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

enum { PORT_HTTP = 80, PORT_HTTPS = 443 };

static bool is_v6(const char *host)
{
    return strchr(host, ':') != NULL;
}

void http_target_text(const struct http_target *target, char ret[HTTP_TARGET_TEXT_MAX])
{
    if (target->unix_path[0]) {
        snprintf(ret, HTTP_TARGET_TEXT_MAX, "unix:%s", target->unix_path);
        return;
    }
    const char *scheme = target->tls ? "https" : "http";
    snprintf(ret, HTTP_TARGET_TEXT_MAX, is_v6(target->host) ? "%s://[%s]:%u" : "%s://%s:%u", scheme,
             target->host, target->port);
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

static int check_name(struct str host, struct err *err)
{
    for (size_t i = 0; i < host.len; i++)
        if (!is_name_char(host.ptr[i]))
            return err_set(err, ERR_INVALID, "\"%.*s\" is not a host name", STR_ARGS(host));
    return host.len ? 0 : err_set(err, ERR_INVALID, "the URL has no host");
}

static int check_v6(struct str host, struct err *err)
{
    struct in6_addr binary;
    auto_free char *text = str_dup(host);
    if (strlen(text) != host.len || inet_pton(AF_INET6, text, &binary) != 1)
        return err_set(err, ERR_INVALID, "\"%s\" is not an IPv6 address", text);
    return 0;
}

static int parse_port(struct str text, struct http_target *target, struct err *err)
{
    int64_t port;
    if (num_parse_i64(text, 1, UINT16_MAX, &port) < 0)
        return err_set(err, ERR_INVALID, "port must be 1-65535, not \"%.*s\"", STR_ARGS(text));
    target->port = (unsigned)port;
    return 0;
}

/* "host", "host:port", "[v6]" or "[v6]:port". */
static int parse_authority(struct str text, struct http_target *target, struct err *err)
{
    bool has_brackets = str_has_prefix(text, STR("["));
    size_t end = str_find(text, has_brackets ? ']' : ':');
    struct str host = has_brackets ? str_skip(str_sub(text.ptr, end), 1) : str_sub(text.ptr, end);
    struct str port = str_skip(text, has_brackets ? end + 1 : end);
    int rc = has_brackets ? check_v6(host, err) : check_name(host, err);
    if (rc < 0)
        return rc;
    if (host.len >= sizeof target->host)
        return err_set(err, ERR_INVALID, "the host name is longer than %zu bytes",
                       sizeof target->host - 1);
    memcpy(target->host, host.ptr, host.len);
    if (port.len == 0 && !(has_brackets && end == text.len))
        return 0;
    if (!str_has_prefix(port, STR(":")))
        return err_set(err, ERR_INVALID, "\"%.*s\" is not host[:port]", STR_ARGS(text));
    return parse_port(str_skip(port, 1), target, err);
}

static int parse_unix(struct str path, struct http_target *target, struct err *err)
{
    if (!str_has_prefix(path, STR("/")) || path.len >= sizeof target->unix_path ||
        str_find(path, '\0') != path.len)
        return err_set(err, ERR_INVALID,
                       "\"unix:%.*s\": the path must be absolute and below %zu bytes",
                       STR_ARGS(path), sizeof target->unix_path);
    memcpy(target->unix_path, path.ptr, path.len);
    return 0;
}

/* Cuts `prefix` (in any case) off the front of `*text`. */
static bool strip(struct str *text, struct str prefix)
{
    if (text->len < prefix.len || !str_eq_nocase(str_sub(text->ptr, prefix.len), prefix))
        return false;
    *text = str_skip(*text, prefix.len);
    return true;
}

int http_target_parse(const char *url, struct http_target *ret, struct err *err)
{
    struct http_target target = {.port = PORT_HTTP};
    struct str rest = str_of(url);
    int rc;
    if (strip(&rest, STR("unix:"))) {
        rc = parse_unix(rest, &target, err);
    } else {
        target.tls = strip(&rest, STR("https://"));
        if (!target.tls && !strip(&rest, STR("http://")))
            return err_set(err, ERR_INVALID, "\"%s\" must begin with http://, https:// or unix:/",
                           url);
        if (target.tls)
            target.port = PORT_HTTPS;
        if (str_has_suffix(rest, STR("/")))
            rest.len--;
        rc = parse_authority(rest, &target, err);
    }
    if (rc < 0)
        return rc;
    *ret = target;
    return 0;
}
