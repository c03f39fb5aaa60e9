/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration: one table of options (config/options.c), from which come the command line, the
 * GPUSTACK_* environment, the YAML file, --help and the manual page. CLI > env > file > default.
 *
 * The result is an immutable struct; a reload builds a new one, checks all of it, then swaps. Pure
 * but for reading the file. Strings are owned by the struct and never NULL unless said.
 */
#pragma once

#include "base/err.h"
#include "base/log.h"
#include "domain/record.h"

/* What database_url begins with; an absolute path follows. */
#define CONFIG_SQLITE_PREFIX "sqlite:///"

enum { CONFIG_OPTION_MAX = 48 }; /* rows of the table at most */

struct config {
    unsigned char sources[CONFIG_OPTION_MAX]; /* enum config_source of each row's value */
    char *unknown_env;     /* GPUSTACK_* variables without a meaning, "A, B", to warn of; NULL */
    /* common */
    char *config_file;     /* NULL: none */
    char *data_dir;        /* /var/lib/gpustack for root, else $XDG_DATA_HOME/gpustack */
    char *cache_dir;       /* <data_dir>/cache */
    char *bin_dir;         /* <data_dir>/bin: engine directories */
    char *log_dir;         /* <data_dir>/log */
    char *token;           /* NULL: from <data_dir>/token, made by the server when absent; secret */
    int log_level;         /* enum log_level; --debug is already taken into account */
    bool debug;            /* --debug as given; use log_level */
    /* server */
    char *host;            /* 0.0.0.0 */
    int64_t port;          /* 80; with ssl_certfile 443 */
    char *ssl_certfile;    /* NULL: in the clear */
    char *ssl_keyfile;     /* NULL exactly when ssl_certfile is */
    char *database_url;    /* sqlite:///<data_dir>/database.db */
    bool database_on_network_fs; /* --force-network-database */
    bool disable_worker;
    char *bootstrap_password; /* NULL: generated; secret */
    int64_t gateway_threads;  /* 0: one per core, at most 4 */
    int64_t max_request_body; /* MiB */
    int64_t queue_timeout;    /* s; 0: requests don't wait for an instance */
    int64_t sse_keepalive;    /* s; 0: none */
    int64_t queue_size;       /* of one model in one thread of the gateway */
    int64_t usage_journal_size; /* MiB; 1024 */
    char *access_log;         /* NULL: none; "-": standard output */
    int64_t reschedule_grace; /* 300 s */
    int64_t usage_retention_days; /* 400 */
    /* worker */
    char *server_url;      /* NULL: this is a server */
    char *ssl_ca_file;     /* NULL: none but the system's */
    char *worker_ip;       /* NULL: found */
    char *worker_name;     /* NULL: <data_dir>/worker_name, else host name */
    int64_t worker_port;   /* 10150 */
    int64_t service_port_first, service_port_last; /* 40000-40063 */
    int64_t drain_timeout; /* 120 seconds */
    char *fake_devices;    /* file; NULL: real devices */
    uint64_t system_reserved_ram, system_reserved_vram; /* bytes; {"ram":2,"vram":1} GiB */
};

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENV, CONFIG_CLI };

/*
 * Builds the configuration of a role ("start", "gateway", "worker", "control") from its arguments
 * (argv[0] is the command's name) and `environ`. Any other command takes the few options that find
 * the data folder. Returns 0, 1 when --help was asked for (print config_help()), or an error that
 * names source, option, value and what is allowed. `ret` is zeroed before and stays so on failure.
 */
int config_load(const char *command, int argc, char *const *argv, char *const *environment,
                struct config *ret, struct err *err) must_check;

void config_fini(struct config *config);

/* Help text of a command, wrapped at 80 columns. Returns owned. */
char *config_help(const char *command);

/*
 * The manual page gpustack(1), in man(7) source, from the same table. `commands` is the man(7)
 * source of the section COMMANDS. Returns owned.
 */
char *config_manual(const char *commands);

/* Sets the token, as read from a file, when it is a good one; wiped and freed with the struct. */
int config_set_token(struct config *config, const char *token, struct err *err) must_check;

/*
 * Overwrites the values of secret options in the process's own arguments, which other users can see
 * with ps. Whoever needs them later keeps a copy.
 */
void config_hide_secrets(int argc, char **argv);

/* Whether "NAME=value" sets a secret option: such entries are kept from child processes. */
bool config_env_is_secret(const char *entry);

/* Effective configuration as JSON, for handing to a child role over a descriptor; has secrets. */
void config_write(const struct config *config, struct buf *out);
int config_read(struct str json, struct config *ret, struct err *err) must_check;

/* The same without secrets, with the source of each value, for people. */
void config_write_public(const struct config *config, struct json_writer *w);

/* Takes over what may change at run time (log level); names the others that differ in the log. */
void config_apply_reload(struct config *current, const struct config *fresh);

/*
 * Where data is kept unless --data-dir says otherwise: /var/lib/gpustack for root, else
 * $XDG_DATA_HOME/gpustack or ~/.local/share/gpustack; NULL when there is no home. Returns owned.
 */
char *config_default_data_dir(char *const *environment);

/*
 * <data_dir>/run/control.sock, <data_dir>/run/admin.sock and <data_dir>/run/gateway.sock. Returns
 * owned.
 */
char *config_control_socket(const struct config *config);
char *config_admin_socket(const struct config *config);
char *config_gateway_socket(const struct config *config);

/* The SQLite file that database_url means, an absolute path. Borrows. */
const char *config_database_path(const struct config *config);

/* Numeric address by which this machine reaches its own server: `host`, or loopback when that is
 * any address. Borrows. */
const char *config_local_host(const struct config *config);

/* Base URL of the server: server_url, or that of the server on this machine. Returns owned. */
char *config_server_url(const struct config *config);

/*
 * How programs on this machine reach its own server: its URL, or where that is HTTPS, for a name
 * that need not be known here, the gateway's socket as "unix:PATH". Returns owned.
 */
char *config_local_url(const struct config *config);
