/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of option values: text to member and member to JSON, one row of `kinds` each. */
#include "base/json.h"
#include "base/num.h"
#include "base/utf8.h"
#include "config/option_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>

enum { VALUE_MAX_BYTES = 4096, QUOTE_MAX_BYTES = 80 };

static void *member_of(const struct option *option, struct config *config)
{
    return (char *)config + option->offset;
}

static const void *member_at(const struct option *option, const struct config *config)
{
    return (const char *)config + option->offset;
}

static char **text_of(const struct option *option, struct config *config)
{
    return member_of(option, config);
}

static const char *text_at(const struct option *option, const struct config *config)
{
    return *(char *const *)member_at(option, config);
}

/* Puts an owned string into its place. */
static void put_text(const struct option *option, struct config *config, char *text)
{
    char **slot = text_of(option, config);
    mem_free_secret(*slot);
    *slot = text;
}

static int parse_bool(const struct option *option, struct str text, struct config *config)
{
    static const struct {
        struct str word;
        bool value;
    } words[] = {{STR("true"), true}, {STR("false"), false}, {STR("yes"), true}, {STR("no"), false},
                 {STR("on"), true},   {STR("off"), false},   {STR("1"), true},   {STR("0"), false}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq_nocase(text, words[i].word)) {
            *(bool *)member_of(option, config) = words[i].value;
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_int(const struct option *option, struct str text, struct config *config)
{
    int64_t value;
    if (num_parse_i64(text, option->min, option->max, &value) < 0)
        return -EINVAL;
    *(int64_t *)member_of(option, config) = value;
    return 0;
}

/* Spaces are refused: a token stands in HTTP headers, and at an end they are always a slip. */
static int parse_text(const struct option *option, struct str text, struct config *config)
{
    if (text.len == 0 || text.len > (size_t)option->max || str_find(text, ' ') < text.len)
        return -EINVAL;
    put_text(option, config, str_dup(text));
    return 0;
}

/* `path` under the current folder, if it isn't absolute; without slashes at the end. */
static char *absolute_path(struct str path)
{
    while (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    if (path.ptr[0] == '/')
        return str_dup(path);
    char here[PATH_MAX];
    if (!getcwd(here, sizeof here))
        return NULL;
    return mem_printf("%s/%.*s", strcmp(here, "/") == 0 ? "" : here, STR_ARGS(path));
}

static int parse_path(const struct option *option, struct str text, struct config *config)
{
    auto_free char *path = text.len ? absolute_path(text) : NULL;
    if (!path || strlen(path) > (size_t)option->max)
        return -EINVAL;
    put_text(option, config, TAKE(path));
    return 0;
}

static int parse_output(const struct option *option, struct str text, struct config *config)
{
    if (!str_eq(text, STR("-")))
        return parse_path(option, text, config);
    put_text(option, config, mem_strdup("-"));
    return 0;
}

static int parse_name(const struct option *option, struct str text, struct config *config)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._-";
    auto_free char *name = str_dup(text);
    if (text.len == 0 || text.len > (size_t)option->max || strspn(name, allowed) != text.len)
        return -EINVAL;
    put_text(option, config, TAKE(name));
    return 0;
}

static int parse_address(const struct option *option, struct str text, struct config *config)
{
    auto_free char *address = str_dup(text);
    unsigned char binary[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, address, binary) != 1 && inet_pton(AF_INET6, address, binary) != 1)
        return -EINVAL;
    put_text(option, config, TAKE(address));
    return 0;
}

/* Host and port are looked at when somebody connects; here only what can't be meant is refused. */
static int parse_url(const struct option *option, struct str text, struct config *config)
{
    bool is_http = str_has_prefix(text, STR("http://"));
    if (!is_http && !str_has_prefix(text, STR("https://")))
        return -EINVAL;
    struct str rest = str_skip(text, is_http ? strlen("http://") : strlen("https://"));
    while (rest.len && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    size_t len = (size_t)(rest.ptr + rest.len - text.ptr);
    if (rest.len == 0 || rest.ptr[0] == '/' || len > (size_t)option->max)
        return -EINVAL;
    for (const char *refused = " @?#"; *refused; refused++)
        if (str_find(rest, *refused) < rest.len)
            return -EINVAL;
    put_text(option, config, mem_strndup(text.ptr, len));
    return 0;
}

static int parse_database(const struct option *option, struct str text, struct config *config)
{
    static const struct str scheme = STR(CONFIG_SQLITE_PREFIX);
    struct str name = str_skip(text, scheme.len);
    if (!str_has_prefix(text, scheme) || name.len == 0 || name.ptr[name.len - 1] == '/')
        return -EINVAL;
    auto_free char *path = absolute_path(name);
    if (!path || strlen(path) > (size_t)option->max)
        return -EINVAL;
    put_text(option, config, mem_printf("%s%s", scheme.ptr, path));
    return 0;
}

static int parse_level(const struct option *option, struct str text, struct config *config)
{
    auto_free char *name = str_dup(text);
    enum log_level level;
    if (log_level_parse(name, &level) < 0)
        return -EINVAL;
    *(int *)member_of(option, config) = (int)level;
    return 0;
}

static int parse_ports(const struct option *option, struct str text, struct config *config)
{
    size_t dash = str_find(text, '-');
    struct str first_text = str_sub(text.ptr, dash);
    struct str last_text = str_skip(text, dash + 1);
    int64_t first, last;
    if (num_parse_i64(first_text, option->min, option->max, &first) < 0 ||
        num_parse_i64(last_text, first, option->max, &last) < 0)
        return -EINVAL;
    config->service_port_first = first;
    config->service_port_last = last;
    return 0;
}

/* GiB to bytes in steps of 1 MiB, so that writing and reading give the same number. */
static int read_gib(const json_t *value, int64_t max_gib, uint64_t *ret_bytes)
{
    double gib = json_is_number(value) ? json_number_value(value) : -1;
    if (!(gib >= 0 && gib <= (double)max_gib))
        return -EINVAL;
    *ret_bytes = (uint64_t)(gib * 1024 + 0.5) << 20;
    return 0;
}

static int parse_reserved(const struct option *option, struct str text, struct config *config)
{
    auto_fini(json_release) json_t *root = NULL;
    if (json_read(text, &root, NULL) < 0 || !json_is_object(root))
        return -EINVAL;
    uint64_t ram = config->system_reserved_ram, vram = config->system_reserved_vram;
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        bool is_ram = strcmp(key, "ram") == 0 || strcmp(key, "memory") == 0;
        bool is_vram = strcmp(key, "vram") == 0 || strcmp(key, "gpu_memory") == 0;
        if (!is_ram && !is_vram)
            return -EINVAL;
        if (read_gib(value, option->max, is_ram ? &ram : &vram) < 0)
            return -EINVAL;
    }
    config->system_reserved_ram = ram;
    config->system_reserved_vram = vram;
    return 0;
}

static void write_bool(const struct option *option, const struct config *config,
                       struct json_writer *w)
{
    json_add_bool(w, *(const bool *)member_at(option, config));
}

static void write_int(const struct option *option, const struct config *config,
                      struct json_writer *w)
{
    json_add_int(w, *(const int64_t *)member_at(option, config));
}

static void write_text(const struct option *option, const struct config *config,
                       struct json_writer *w)
{
    json_add_cstring(w, text_at(option, config));
}

static void write_level(const struct option *option, const struct config *config,
                        struct json_writer *w)
{
    json_add_cstring(w, log_level_name(*(const int *)member_at(option, config)));
}

static void write_ports(const struct option *option, const struct config *config,
                        struct json_writer *w)
{
    auto_free char *range = mem_printf("%lld-%lld", (long long)config->service_port_first,
                                       (long long)config->service_port_last);
    json_add_cstring(w, range);
}

static void write_reserved(const struct option *option, const struct config *config,
                           struct json_writer *w)
{
    static const double gib = 1 << 30;
    json_begin_object(w);
    json_add_key(w, "ram");
    json_add_double(w, (double)config->system_reserved_ram / gib);
    json_add_key(w, "vram");
    json_add_double(w, (double)config->system_reserved_vram / gib);
    json_end_object(w);
}

static const struct kind {
    int (*parse)(const struct option *option, struct str text, struct config *config);
    void (*write)(const struct option *option, const struct config *config, struct json_writer *w);
    bool is_text;        /* the member is an owned string */
    const char *allowed; /* NULL: from min and max */
} kinds[] = {
    [OPTION_BOOL] = {parse_bool, write_bool, false, "true or false"},
    [OPTION_INT] = {parse_int, write_int, false, NULL},
    [OPTION_TEXT] = {parse_text, write_text, true, NULL},
    [OPTION_PATH] = {parse_path, write_text, true, NULL},
    [OPTION_OUTPUT] = {parse_output, write_text, true, "a path (made absolute) or -"},
    [OPTION_NAME] = {parse_name, write_text, true, NULL},
    [OPTION_ADDRESS] = {parse_address, write_text, true, "a numeric IPv4 or IPv6 address"},
    [OPTION_URL] = {parse_url, write_text, true,
                    "http://HOST[:PORT] or https://HOST[:PORT], without user or query"},
    [OPTION_DATABASE] = {parse_database, write_text, true,
                         "sqlite:///PATH (other databases are not supported)"},
    [OPTION_LEVEL] = {parse_level, write_level, false, "error, warning, info or debug"},
    [OPTION_PORTS] = {parse_ports, write_ports, false,
                      "FIRST-LAST with 1 <= FIRST <= LAST <= 65535"},
    [OPTION_RESERVED] = {parse_reserved, write_reserved, false,
                         "a JSON object of GiB like {\"ram\":2,\"vram\":1}"},
};

static bool is_printable(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    return utf8_is_valid(text);
}

int option_parse(const struct option *option, struct str text, struct config *config)
{
    if (text.len > VALUE_MAX_BYTES || !is_printable(text))
        return -EINVAL;
    return kinds[option->kind].parse(option, text, config);
}

char *option_allowed(const struct option *option)
{
    const char *fixed = kinds[option->kind].allowed;
    if (fixed)
        return mem_strdup(fixed);
    if (option->kind == OPTION_INT)
        return mem_printf("a whole number from %lld to %lld", (long long)option->min,
                          (long long)option->max);
    const char *what = option->kind == OPTION_PATH   ? "a path (made absolute)"
                       : option->kind == OPTION_NAME ? "a name of letters, digits, '.', '_', '-'"
                                                     : "text without spaces";
    return mem_printf("%s of 1 to %lld bytes", what, (long long)option->max);
}

char *option_quote(const struct option *option, struct str text)
{
    if (option->flags & OPTION_SECRET)
        return mem_strdup("the value given");
    size_t at = str_find(text, '@');
    bool has_user = at < text.len; /* "scheme://user:password@host": only what follows is shown */
    if (has_user)
        text = str_skip(text, at);
    bool is_cut = text.len > QUOTE_MAX_BYTES;
    if (is_cut)
        text.len = QUOTE_MAX_BYTES;
    char *quote =
        mem_printf("\"%s%.*s%s\"", has_user ? "..." : "", STR_ARGS(text), is_cut ? "..." : "");
    for (char *c = quote; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return quote;
}

bool option_is_set(const struct option *option, const struct config *config)
{
    return !kinds[option->kind].is_text || text_at(option, config);
}

void option_write(const struct option *option, const struct config *config, struct json_writer *w)
{
    kinds[option->kind].write(option, config, w);
}

void option_fini(const struct option *option, struct config *config)
{
    if (kinds[option->kind].is_text)
        put_text(option, config, NULL);
}
