/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row of the table of options, and what can be done with a row. Private to config/.
 *
 * Adding an option is a member in struct config and a row in options.c: command line, environment,
 * YAML, help, manual and hand-over follow from the row. Pure, any thread.
 */
#pragma once

#include "config/config.h"

enum option_kind {
    OPTION_BOOL,     /* bool */
    OPTION_INT,      /* int64_t with min and max */
    OPTION_TEXT,     /* char *: printable, at most `max` bytes */
    OPTION_PATH,     /* char *: made absolute, at most `max` bytes */
    OPTION_OUTPUT,   /* char *: as OPTION_PATH, or "-" for standard output */
    OPTION_NAME,     /* char *: letters, digits, '.', '_', '-' */
    OPTION_ADDRESS,  /* char *: numeric IPv4 or IPv6 address */
    OPTION_URL,      /* char *: http or https, without a slash at the end */
    OPTION_DATABASE, /* char *: sqlite:///PATH, PATH made absolute */
    OPTION_LEVEL,    /* int: enum log_level */
    OPTION_PORTS,    /* service_port_first and service_port_last */
    OPTION_RESERVED, /* system_reserved_ram and system_reserved_vram */
};

enum option_flags {
    OPTION_SECRET = 1,      /* its value is in no error, help, log or public dump */
    OPTION_RELOADABLE = 2,  /* SIGHUP changes it in running processes */
    OPTION_NOT_IN_FILE = 4, /* only from command line and environment */
};

/* Commands whose command line takes an option; environment and file are shared by all. */
enum option_roles {
    ROLE_START = 1,
    ROLE_CONTROL = 2,
    ROLE_GATEWAY = 4,
    ROLE_WORKER = 8,
    ROLE_OTHER = 16, /* commands that only need to find the data folder */
    ROLES_SERVER = ROLE_START | ROLE_CONTROL | ROLE_GATEWAY,
    ROLES_WORKER = ROLE_START | ROLE_WORKER,
    ROLES_DAEMON = ROLES_SERVER | ROLES_WORKER,
    ROLES_ALL = ROLES_DAEMON | ROLE_OTHER
};

/* Headings of --help. */
enum option_group { GROUP_COMMON, GROUP_SERVER, GROUP_WORKER, GROUP_COUNT };

struct option {
    const char *name; /* "data-dir": --data-dir, GPUSTACK_DATA_DIR, data_dir: */
    char letter;      /* 'd' for -d; 0: none */
    enum option_group group;
    enum option_kind kind;
    unsigned flags, roles;
    size_t offset;           /* of the (first) member in struct config */
    int64_t min, max;        /* OPTION_INT: range; strings: bytes at most */
    const char *fallback;    /* default as text; NULL: none, or computed by load.c */
    const char *fallback_is; /* what help says of a computed default; NULL: `fallback` */
    const char *metavar;     /* "DIR"; NULL for OPTION_BOOL */
    const char *help;        /* a sentence or two */
};

extern const struct option config_options[];
extern const size_t config_option_count;

static inline size_t option_index(const struct option *option)
{
    return (size_t)(option - config_options);
}

/* By "data-dir", by 'd'. NULL when there is none. */
const struct option *option_by_name(struct str name);
const struct option *option_by_letter(char letter);

/* By YAML key "data_dir" and by environment name "DATA_DIR" (without prefix). NULL: none. */
const struct option *option_by_key(struct str key);
const struct option *option_by_env(struct str name);

/* "data_dir" and "GPUSTACK_DATA_DIR". Return owned. */
char *option_key(const struct option *option);
char *option_env(const struct option *option);

/* The option of one of `roles` whose name is most like `word` ('_' is '-'); NULL: none. */
const struct option *option_nearest(struct str word, unsigned roles);

/* Reads a value into `config`; -EINVAL, and nothing is changed, when it isn't allowed. */
int option_parse(const struct option *option, struct str text, struct config *config) must_check;

/* What option_parse() takes, to stand after "must be". Returns owned. */
char *option_allowed(const struct option *option);

/* `text` in quotes, fit for an error: cut, without credentials, no secrets. Returns owned. */
char *option_quote(const struct option *option, struct str text);

/* Whether it has a value, and writing that value; both also for secrets. */
bool option_is_set(const struct option *option, const struct config *config);
void option_write(const struct option *option, const struct config *config, struct json_writer *w);

/* Frees the value, wiping secrets. */
void option_fini(const struct option *option, struct config *config);
