/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli.h"

#include "app/credentials.h"
#include "base/log.h"
#include "config/config.h"
#include "io/stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_SERVER "http://127.0.0.1"

/* ---- options ---- */

static const struct cli_option *find_option(const struct cli_option *options, struct str name,
                                            char letter)
{
    for (; options && options->name; options++)
        if (letter ? options->letter == letter : str_eq(str_of(options->name), name))
            return options;
    return NULL;
}

static void print_option(const struct cli_option *option)
{
    char left[64];
    snprintf(left, sizeof left, "%c%c%s--%s%s%s", option->letter ? '-' : ' ',
             option->letter ? option->letter : ' ', option->letter ? ", " : "  ", option->name,
             option->value ? " " : "", option->value ? option->value : "");
    printf("  %-34s %s\n", left, option->help);
}

static void print_help(const struct cli_spec *spec, const struct cli_option *common)
{
    printf("Usage: gpustack %s [OPTIONS] %s\n\n%s\n\nOptions:\n", spec->command, spec->arguments,
           spec->summary);
    for (const struct cli_option *o = spec->options; o && o->name; o++)
        print_option(o);
    for (const struct cli_option *o = common; o->name; o++)
        print_option(o);
    if (spec->is_local) {
        printf("\nExit status: 0 done, 1 failed, 2 usage, 3 no answer, 4 not allowed,\n"
               "5 no such thing.\n");
        return;
    }
    printf("\nThe server and key come from GPUSTACK_SERVER_URL and GPUSTACK_API_KEY, or from\n"
           "\"gpustack login\". Exit status: 0 done, 1 failed, 2 usage, 3 no answer from the\n"
           "server, 4 not allowed, 5 no such thing.\n");
}

/* Stores one option's value; 1 when the value came from the next argument. */
static int take_option(const struct cli_option *option, const char *attached, const char *next,
                       struct err *err)
{
    if (option->flag) {
        if (attached)
            return cli_usage(err, "--%s takes no value, not \"%s\"", option->name, attached);
        *option->flag = true;
        return 0;
    }
    const char *value = attached ? attached : next;
    if (!value)
        return cli_usage(err, "--%s needs a value: --%s %s", option->name, option->name,
                         option->value);
    if (option->list)
        string_list_add(option->list, value);
    else
        *option->text = value;
    return attached ? 0 : 1;
}

/* Parses argv[i]; returns how many arguments it took up. */
static int parse_one(struct cli *cli, const struct cli_option *common, int argc, char **argv, int i,
                     struct err *err)
{
    const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
    if (word[0] != '-' || !word[1]) {
        if (cli->arg_count >= cli->spec->max_args)
            return cli_usage(err, "unexpected argument \"%s\"", word);
        cli->args[cli->arg_count++] = word;
        return 1;
    }
    bool is_long = word[1] == '-';
    struct str name = str_of(is_long ? word + 2 : word + 1);
    const char *attached = is_long ? strchr(word, '=') : word[2] ? word + 2 : NULL;
    if (is_long && attached)
        name.len = (size_t)(attached++ - name.ptr);
    const struct cli_option *option = find_option(cli->spec->options, name, is_long ? 0 : word[1]);
    if (!option)
        option = find_option(common, name, is_long ? 0 : word[1]);
    if (!option)
        return cli_usage(err, "unknown option \"%s\"; see gpustack %s --help", word,
                         cli->spec->command);
    int rc = take_option(option, attached, next, err);
    return rc < 0 ? rc : rc + 1;
}

static int parse(struct cli *cli, const struct cli_option *common, int argc, char **argv,
                 struct err *err)
{
    for (int i = 1; i < argc;) {
        if (strcmp(argv[i], "--") == 0 && cli->spec->rest) {
            while (++i < argc)
                string_list_add(cli->spec->rest, argv[i]);
            break;
        }
        int used = parse_one(cli, common, argc, argv, i, err);
        if (used < 0)
            return used;
        i += used;
    }
    return 0;
}

static int choose_server(struct cli *cli, struct err *err)
{
    struct credentials stored = {0};
    int rc = credentials_load(&stored, err);
    if (rc < 0)
        return rc;
    const char *from_env = getenv("GPUSTACK_SERVER_URL");
    const char *key = getenv("GPUSTACK_API_KEY");
    const char *url = cli->server_option      ? cli->server_option
                      : from_env && *from_env ? from_env
                      : stored.server_url     ? stored.server_url
                                              : DEFAULT_SERVER;
    rc = cli_set_server(cli, url, err);
    if (key && *key)
        cli->bearer = mem_strdup(key);
    else if (rc == 0 && stored.server_url && strcmp(stored.server_url, cli->server_url) == 0)
        cli->bearer = mem_strdup(stored.api_key);
    credentials_fini(&stored);
    return rc;
}

static int exit_status(int rc)
{
    switch (rc) {
    case -EINVAL:
        return CLI_USAGE;
    case ERR_UNAUTHORIZED:
    case ERR_FORBIDDEN:
        return CLI_DENIED;
    case ERR_NOT_FOUND:
        return CLI_NOT_FOUND;
    case -ECONNREFUSED:
    case -ENOENT:
    case ERR_TIMEOUT:
    case ERR_CLOSED:
        return CLI_UNREACHABLE;
    default:
        return rc < 0 ? CLI_FAILED : CLI_OK;
    }
}

static void open_loop(struct cli *cli)
{
    if (cli->loop)
        return;
    cli->loop = loop_new(&clock_system);
    cli->pool = http_pool_new(cli->loop);
}

/* `path` NULL: what the environment says. */
static int trust(struct cli *cli, const char *path, struct err *err)
{
    if (!path)
        path = getenv("GPUSTACK_SSL_CA_FILE");
    if (!path || !*path)
        return 0;
    open_loop(cli);
    return stream_trust_file(cli->loop, path, err);
}

/* 0 to go on, 1 when help was printed, or an error. */
static int begin(struct cli *cli, int argc, char **argv, struct err *err)
{
    bool help = false;
    const char *ca_file = NULL;
    const struct cli_option common[] = {
        {.name = "server-url",
         .value = "URL",
         .help = "the server to talk to",
         .text = &cli->server_option},
        {.name = "json", .help = "print JSON as the server sends it", .flag = &cli->json},
        {.name = "ssl-ca-file",
         .value = "FILE",
         .help = "trust these authorities, too (PEM)",
         .text = &ca_file},
        {.name = "help", .letter = 'h', .help = "print this", .flag = &help},
        {0},
    };
    const struct cli_option local[] = {
        {.name = "json", .help = "print JSON", .flag = &cli->json},
        common[2],
        common[3],
        {0},
    };
    const struct cli_option *shared = cli->spec->is_local ? local : common;
    int rc = parse(cli, shared, argc, argv, err);
    if (rc == 0 && help) {
        print_help(cli->spec, shared);
        return 1;
    }
    if (rc == 0 && cli->arg_count < cli->spec->min_args)
        rc = cli_usage(err, "usage: gpustack %s %s", cli->spec->command, cli->spec->arguments);
    if (rc < 0)
        return rc;
    if (cli->spec->is_local) {
        cli->ca_file = ca_file ? ca_file : getenv("GPUSTACK_SSL_CA_FILE");
        return 0;
    }
    rc = trust(cli, ca_file, err);
    return rc == 0 ? choose_server(cli, err) : rc;
}

static int end(struct cli *cli, int rc, const struct err *err)
{
    if (rc < 0)
        fprintf(stderr, "gpustack %s: %s\n", cli->spec->command,
                err->code ? err->text : err_name(rc));
    http_pool_free(cli->pool);
    if (cli->loop)
        loop_free(cli->loop);
    free(cli->server_url);
    mem_free_secret(cli->bearer);
    mem_free_secret(cli->cookie);
    return exit_status(rc);
}

int cli_main(const struct cli_spec *spec, int argc, char **argv, cli_run *run, void *ctx)
{
    struct cli cli = {.spec = spec};
    struct err err = {0};
    log_set_level(LOG_ERROR);
    int rc = begin(&cli, argc, argv, &err);
    if (rc == 0)
        rc = run(&cli, ctx, &err);
    return end(&cli, rc, &err);
}

int cli_usage(struct err *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    auto_free char *text = mem_vprintf(fmt, args);
    va_end(args);
    return err_set(err, -EINVAL, "%s", text);
}

int cli_set_server(struct cli *cli, const char *url, struct err *err)
{
    struct http_target target;
    int rc = http_target_parse(url, &target, err);
    if (rc < 0)
        return err_wrap(err, -EINVAL, "server \"%s\"", url);
    cli->target = target;
    size_t len = strlen(url);
    while (len && url[len - 1] == '/')
        len--;
    free(cli->server_url);
    cli->server_url = mem_strndup(url, len);
    return 0;
}

char *cli_data_dir(const char *option)
{
    const char *from_env = getenv("GPUSTACK_DATA_DIR");
    auto_free char *dir = option                  ? mem_strdup(option)
                          : from_env && *from_env ? mem_strdup(from_env)
                                                  : config_default_data_dir(environ);
    /* A socket's address must be absolute; a folder that isn't there is told of by who opens it. */
    char *absolute = dir ? realpath(dir, NULL) : NULL;
    return absolute ? absolute : mem_strdup(dir ? dir : ".");
}

int cli_use_admin_socket(struct cli *cli, const char *data_dir, struct err *err)
{
    auto_free char *url = mem_printf("unix:%s/run/admin.sock", data_dir);
    mem_free_secret(TAKE(cli->bearer));
    return cli_set_server(cli, url, err);
}

/* ---- calls ---- */

enum { ANSWER_MAX = 64 << 20, ERROR_BODY_MAX = 1 << 20 };

struct call {
    struct cli *cli;
    bool is_login; /* its refusal is about the password, not about being signed in */
    unsigned status;
    struct buf body; /* whole answer, or the error's body of a stream */
    void (*on_data)(struct str data, void *ctx);
    void *ctx;
    char *set_cookie;
    int rc;
    struct err err;
};

static void on_head(struct http_call *http, const struct http_response_head *head, void *ctx)
{
    struct call *call = ctx;
    call->status = head->status;
    struct str cookie = http_headers_get(&head->headers, "set-cookie");
    if (cookie.len)
        call->set_cookie = str_dup(str_sub(cookie.ptr, str_find(cookie, ';')));
}

static void on_body(struct http_call *http, struct str data, void *ctx)
{
    struct call *call = ctx;
    bool is_error = call->status >= 400;
    if (call->on_data && !is_error) {
        call->on_data(data, call->ctx);
        return;
    }
    if (call->body.len + data.len <= (is_error ? ERROR_BODY_MAX : ANSWER_MAX))
        buf_add_str(&call->body, data);
}

static void on_end(struct http_call *http, void *ctx)
{
    struct call *call = ctx;
    loop_stop(call->cli->loop);
}

static void on_error(struct http_call *http, int code, const char *text, void *ctx)
{
    struct call *call = ctx;
    call->rc = err_set(&call->err, code, "%s does not answer: %s", call->cli->server_url, text);
    loop_stop(call->cli->loop);
}

static const struct http_call_ops call_ops = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

static int code_of_status(unsigned status)
{
    switch (status) {
    case 401:
        return ERR_UNAUTHORIZED;
    case 403:
        return ERR_FORBIDDEN;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 503:
        return ERR_UNAVAILABLE;
    default:
        return ERR_INVALID;
    }
}

/* The sentence in an error's body, of the management API's or OpenAI's shape. */
static int take_problem(const struct call *call, struct err *err)
{
    auto_fini(json_release) json_t *body = NULL;
    const char *text = NULL;
    if (json_read(buf_str(&call->body), &body, NULL) == 0) {
        text = json_member_string(body, "message");
        if (!text)
            text = json_member_string(json_object_get(body, "error"), "message");
    }
    int code = code_of_status(call->status);
    if (!text)
        return err_set(err, code, "%s answered with status %u", call->cli->server_url,
                       call->status);
    if (code == ERR_UNAUTHORIZED && !call->cli->bearer && !call->cli->cookie && !call->is_login)
        return err_set(err, code,
                       "not signed in to %s: run \"gpustack login\" or set "
                       "GPUSTACK_API_KEY",
                       call->cli->server_url);
    return err_set(err, code, "%s", text);
}

static void run_call(struct call *call, enum http_method method, const char *path,
                     const json_t *body)
{
    struct cli *cli = call->cli;
    open_loop(cli);
    auto_free char *bearer = cli->bearer ? mem_printf("Bearer %s", cli->bearer) : NULL;
    struct http_header headers[3];
    unsigned count = 0;
    headers[count++] = (struct http_header){STR("Content-Type"), STR("application/json")};
    if (bearer)
        headers[count++] = (struct http_header){STR("Authorization"), str_of(bearer)};
    else if (cli->cookie)
        headers[count++] = (struct http_header){STR("Cookie"), str_of(cli->cookie)};
    auto_free char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    const struct http_call_params params = {
        .target = &cli->target,
        .method = method,
        .path = str_of(path),
        .headers = headers,
        .header_count = count,
        .body = http_body_of(str_of(text)),
    };
    http_call_start(cli->pool, &params, &call_ops, call);
    loop_run(cli->loop);
}

static int finish_call(struct call *call, json_t **ret, struct err *err)
{
    int rc = call->rc;
    if (rc < 0) {
        if (err)
            *err = call->err;
    } else if (call->status >= 400) {
        rc = take_problem(call, err);
    } else if (ret && call->body.len) {
        rc = json_read(buf_str(&call->body), ret, err);
    }
    if (rc == 0 && call->set_cookie) {
        mem_free_secret(call->cli->cookie);
        call->cli->cookie = TAKE(call->set_cookie);
    }
    mem_free_secret(call->set_cookie);
    buf_fini(&call->body);
    return rc;
}

int cli_call(struct cli *cli, enum http_method method, const char *path, const json_t *body,
             json_t **ret, struct err *err)
{
    struct call call = {.cli = cli, .is_login = strcmp(path, "/auth/login") == 0};
    if (ret)
        *ret = NULL;
    run_call(&call, method, path, body);
    return finish_call(&call, ret, err);
}

int cli_stream(struct cli *cli, enum http_method method, const char *path, const json_t *body,
               void (*on_data)(struct str data, void *ctx), void *ctx, struct err *err)
{
    struct call call = {.cli = cli, .on_data = on_data, .ctx = ctx};
    run_call(&call, method, path, body);
    return finish_call(&call, NULL, err);
}

int cli_list(struct cli *cli, const char *path, json_t **ret, struct err *err)
{
    auto_free char *all = mem_printf("%s%cpage=-1", path, strchr(path, '?') ? '&' : '?');
    json_t *page;
    int rc = cli_call(cli, HTTP_GET, all, NULL, &page, err);
    if (rc < 0)
        return rc;
    *ret = json_incref(json_object_get(page, "items"));
    json_decref(page);
    return *ret ? 0 : err_set(err, ERR_PROTOCOL, "the server's list has no items");
}

int cli_find(struct cli *cli, const char *path, const char *key, const char *name, json_t **ret,
             struct err *err)
{
    auto_fini(json_release) json_t *items = NULL;
    int rc = cli_list(cli, path, &items, err);
    if (rc < 0)
        return rc;
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item) {
        const char *value = json_member_string(item, key);
        if (value && strcmp(value, name) == 0) {
            *ret = json_incref(item);
            return 0;
        }
    }
    const char *noun = strrchr(path, '/') + 1;
    return err_set(err, ERR_NOT_FOUND, "there is no \"%s\" among the %s", name, noun);
}

void cli_print_json(const json_t *value)
{
    auto_free char *text =
        json_dumps(value, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
    puts(text ? text : "null");
}

int cli_show_list(struct cli *cli, const char *path, const char *const *head,
                  void (*add_row)(struct text_table *table, const json_t *item), struct err *err)
{
    auto_fini(json_release) json_t *items = NULL;
    int rc = cli_list(cli, path, &items, err);
    if (rc < 0)
        return rc;
    if (cli->json) {
        cli_print_json(items);
        return 0;
    }
    struct text_table table = {0};
    text_table_head(&table, head);
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
        add_row(&table, item);
    text_table_print(&table);
    return 0;
}
