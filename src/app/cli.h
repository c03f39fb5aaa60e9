/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the client commands share: their options, the server they talk to, how they end.
 *
 *     static const struct cli_option options[] = {{.name = "follow", .letter = 'f', .flag =
 * &follow, .help = "go on as the log grows"}, {0}}; static const struct cli_spec spec = {"logs",
 * "INSTANCE", "print an engine's log", options, 1, 1}; return cli_main(&spec, argc, argv, run_logs,
 * &ctx);
 *
 * where run_logs(cli, ctx, err) does the work and returns 0 or an error with its sentence.
 *
 * One thread; calls to the server block.
 */
#pragma once

#include "app/text_table.h"
#include "base/buf.h"
#include "base/json.h"
#include "domain/record.h"
#include "http/client.h"

/* Exit statuses of client commands: scripts may rely on them. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1, /* the server refused, or what was waited for failed */
    CLI_USAGE = 2,
    CLI_UNREACHABLE = 3, /* no answer from the server */
    CLI_DENIED = 4,      /* not signed in, or not allowed */
    CLI_NOT_FOUND = 5,
};

struct cli_option {
    const char *name;  /* without dashes; NULL ends the table */
    char letter;       /* short form, or 0 */
    const char *value; /* name of its value in the help ("N"); NULL for a flag */
    const char *help;
    bool *flag;               /* one of these three is set */
    const char **text;        /* borrowed from argv */
    struct string_list *list; /* may be repeated */
};

struct cli_spec {
    const char *command;
    const char *arguments; /* "MODEL [PROMPT]" for the help */
    const char *summary;
    const struct cli_option *options;
    unsigned min_args, max_args; /* positional ones */
    struct string_list *rest;    /* takes what stands behind "--"; NULL: refused */
    bool is_local;               /* talks to no server: none is chosen, no login is read */
};

enum { PATH_BYTES = 4096 }; /* of a path or URL in a file */

struct cli {
    const struct cli_spec *spec;
    const char *args[8]; /* positional arguments; borrowed from argv */
    unsigned arg_count;
    bool json;                 /* --json: print the server's JSON instead of a table */
    const char *server_option; /* --server-url, or NULL */
    const char *ca_file;       /* --ssl-ca-file of a local command, or NULL; borrowed */
    char *server_url;          /* owned */
    char *bearer;              /* owned, wiped; NULL: none */
    char *cookie;              /* owned, wiped; "name=value" of a login in progress */
    struct http_target target;
    struct loop *loop;
    struct http_pool *pool;
};

/* What a command does once its arguments are parsed: 0, or an error with its sentence. */
typedef int cli_run(struct cli *cli, void *ctx, struct err *err);

/*
 * The whole life of a client command; returns the exit status. Parses the arguments, prints help or
 * faults. Fills in the server: --server-url, GPUSTACK_SERVER_URL, the stored login,
 * http://127.0.0.1; and the key: GPUSTACK_API_KEY, or the stored login of that server. Then run().
 */
int cli_main(const struct cli_spec *spec, int argc, char **argv, cli_run *run, void *ctx);

/* A usage fault found after the parse; ERR_INVALID. */
int cli_usage(struct err *err, const char *fmt, ...) printf_like(2, 3);

/* Points the client at another server or at a unix socket ("unix:/path"). */
int cli_set_server(struct cli *cli, const char *url, struct err *err) must_check;

/* The server's data folder: `option`, GPUSTACK_DATA_DIR or the default. Returns owned. */
char *cli_data_dir(const char *option);

/* Points the client at the admin socket of the server on this machine with that data folder. */
int cli_use_admin_socket(struct cli *cli, const char *data_dir, struct err *err) must_check;

/*
 * One call. `body` NULL: none. The answer's JSON goes to `*ret` (owned, NULL for an empty one;
 * `ret` may be NULL). A status of 400 and above is an error with the server's sentence.
 */
int cli_call(struct cli *cli, enum http_method method, const char *path, const json_t *body,
             json_t **ret, struct err *err) must_check;

/* The same, with the answer streamed to on_data() as it comes. It ends when the server ends it. */
int cli_stream(struct cli *cli, enum http_method method, const char *path, const json_t *body,
               void (*on_data)(struct str data, void *ctx), void *ctx, struct err *err) must_check;

/* GET of a list with all pages in one; `*ret` is the array (owned). */
int cli_list(struct cli *cli, const char *path, json_t **ret, struct err *err) must_check;

/* The item of a list whose "name" (or other key) is `name`; owned. ERR_NOT_FOUND names it. */
int cli_find(struct cli *cli, const char *path, const char *key, const char *name, json_t **ret,
             struct err *err) must_check;

/* Prints JSON to stdout, indented. */
void cli_print_json(const json_t *value);

/* Prints a list: with --json as it came, else a table of `head` and one add_row() an item. */
int cli_show_list(struct cli *cli, const char *path, const char *const *head,
                  void (*add_row)(struct text_table *table, const json_t *item),
                  struct err *err) must_check;
