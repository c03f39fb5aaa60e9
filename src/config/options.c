/* SPDX-License-Identifier: Apache-2.0 */
#include "config/option_priv.h"

#include <ctype.h>

#define AT(member) offsetof(struct config, member)

enum {
    DATA_DIR_MAX = 90, /* "<data-dir>/run/control.sock" must fit a unix socket's address */
    PATH_MAX_BYTES = 1024,
    SECRET_MAX_BYTES = 256,
    NAME_MAX_BYTES = 63,
};

const struct option config_options[] = {
    /* clang-format off: a row reads as: what, where, values, words */
    {.name = "config-file", .group = GROUP_COMMON, .kind = OPTION_PATH,
     .flags = OPTION_NOT_IN_FILE, .roles = ROLES_ALL,
     .offset = AT(config_file), .max = PATH_MAX_BYTES, .metavar = "FILE",
     .help = "YAML file with more options: the names below with '_' instead of '-'."},
    {.name = "data-dir", .group = GROUP_COMMON, .kind = OPTION_PATH, .roles = ROLES_ALL,
     .offset = AT(data_dir), .max = DATA_DIR_MAX,
     .fallback_is = "/var/lib/gpustack for root, else ~/.local/share/gpustack", .metavar = "DIR",
     .help = "Folder for everything that must be kept: database, token, logs."},
    {.name = "debug", .letter = 'd', .group = GROUP_COMMON, .kind = OPTION_BOOL,
     .flags = OPTION_RELOADABLE, .roles = ROLES_ALL,
     .offset = AT(debug), .fallback = "false",
     .help = "The same as --log-level debug."},
    {.name = "log-level", .group = GROUP_COMMON, .kind = OPTION_LEVEL, .flags = OPTION_RELOADABLE,
     .roles = ROLES_ALL,
     .offset = AT(log_level), .fallback = "info", .metavar = "LEVEL",
     .help = "Least important kind of log lines to write: error, warning, info or debug."},
    {.name = "cache-dir", .group = GROUP_COMMON, .kind = OPTION_PATH, .roles = ROLES_DAEMON,
     .offset = AT(cache_dir), .max = PATH_MAX_BYTES,
     .fallback_is = "<data-dir>/cache", .metavar = "DIR",
     .help = "Folder for downloaded model files."},
    {.name = "bin-dir", .group = GROUP_COMMON, .kind = OPTION_PATH, .roles = ROLES_DAEMON,
     .offset = AT(bin_dir), .max = PATH_MAX_BYTES,
     .fallback_is = "<data-dir>/bin", .metavar = "DIR",
     .help = "Folder with inference engines of your own."},
    {.name = "log-dir", .group = GROUP_COMMON, .kind = OPTION_PATH, .roles = ROLES_DAEMON,
     .offset = AT(log_dir), .max = PATH_MAX_BYTES,
     .fallback_is = "<data-dir>/log", .metavar = "DIR",
     .help = "Folder for the logs of inference engines."},
    {.name = "token", .letter = 't', .group = GROUP_COMMON, .kind = OPTION_TEXT,
     .flags = OPTION_SECRET, .roles = ROLES_DAEMON,
     .offset = AT(token), .max = SECRET_MAX_BYTES,
     .fallback_is = "content of <data-dir>/token, which a server makes once", .metavar = "TOKEN",
     .help = "Secret by which workers join a server. Better set it by environment or file than on "
             "a command line, which other users can see."},

    {.name = "host", .group = GROUP_SERVER, .kind = OPTION_ADDRESS, .roles = ROLES_SERVER,
     .offset = AT(host), .fallback = "0.0.0.0", .metavar = "ADDRESS",
     .help = "Address on which the server listens; :: for IPv6."},
    {.name = "port", .group = GROUP_SERVER, .kind = OPTION_INT, .roles = ROLES_SERVER,
     .offset = AT(port), .min = 1, .max = 65535, .fallback = "80",
     .fallback_is = "80, with --ssl-certfile 443", .metavar = "PORT",
     .help = "Port on which the server listens."},
    {.name = "ssl-certfile", .group = GROUP_SERVER, .kind = OPTION_PATH, .roles = ROLES_SERVER,
     .offset = AT(ssl_certfile), .max = PATH_MAX_BYTES,
     .fallback_is = "none: HTTP in the clear", .metavar = "FILE",
     .help = "Certificate chain (PEM) with which the server's port speaks HTTPS. A new file is "
             "taken up while it runs."},
    {.name = "ssl-keyfile", .group = GROUP_SERVER, .kind = OPTION_PATH, .roles = ROLES_SERVER,
     .offset = AT(ssl_keyfile), .max = PATH_MAX_BYTES,
     .fallback_is = "none", .metavar = "FILE",
     .help = "Private key (PEM, without a passphrase) of --ssl-certfile."},
    {.name = "database-url", .group = GROUP_SERVER, .kind = OPTION_DATABASE,
     .roles = ROLES_SERVER,
     .offset = AT(database_url), .max = PATH_MAX_BYTES,
     .fallback_is = "sqlite:///<data-dir>/database.db", .metavar = "URL",
     .help = "Database of the server: sqlite:///PATH."},
    {.name = "force-network-database", .group = GROUP_SERVER, .kind = OPTION_BOOL,
     .roles = ROLES_SERVER,
     .offset = AT(database_on_network_fs), .fallback = "false",
     .help = "Accept a database file on a network file system, where SQLite's locks may not hold."},
    {.name = "disable-worker", .group = GROUP_SERVER, .kind = OPTION_BOOL, .roles = ROLES_SERVER,
     .offset = AT(disable_worker), .fallback = "false",
     .help = "Start the server only; this machine then runs no models."},
    {.name = "bootstrap-password", .group = GROUP_SERVER, .kind = OPTION_TEXT,
     .flags = OPTION_SECRET, .roles = ROLES_SERVER,
     .offset = AT(bootstrap_password), .max = SECRET_MAX_BYTES,
     .fallback_is = "generated", .metavar = "PASSWORD",
     .help = "Password of the user admin, used only when the database is new."},
    {.name = "gateway-threads", .group = GROUP_SERVER, .kind = OPTION_INT, .roles = ROLES_SERVER,
     .offset = AT(gateway_threads), .max = 64, .fallback = "0", .metavar = "N",
     .help = "Threads that serve requests; 0: one per core, at most 4."},
    {.name = "max-request-body", .group = GROUP_SERVER, .kind = OPTION_INT, .roles = ROLES_SERVER,
     .offset = AT(max_request_body), .min = 1, .max = 65536, .fallback = "512", .metavar = "MIB",
     .help = "Largest body of an inference request, in MiB."},
    {.name = "queue-timeout", .group = GROUP_SERVER, .kind = OPTION_INT, .roles = ROLES_SERVER,
     .offset = AT(queue_timeout), .max = 3600, .fallback = "30", .metavar = "SECONDS",
     .help = "How long a request waits for a model that has no instance ready; 0: not at all."},
    {.name = "queue-size", .group = GROUP_SERVER, .kind = OPTION_INT, .roles = ROLES_SERVER,
     .offset = AT(queue_size), .min = 1, .max = 100000, .fallback = "256", .metavar = "N",
     .help = "Requests that may wait for one model in each thread of the gateway."},
    {.name = "sse-keepalive", .group = GROUP_SERVER, .kind = OPTION_INT, .roles = ROLES_SERVER,
     .offset = AT(sse_keepalive), .max = 3600, .fallback = "0", .metavar = "SECONDS",
     .help = "Send a comment in a stream of events that was silent for so long; 0: never."},
    {.name = "usage-journal-size", .group = GROUP_SERVER, .kind = OPTION_INT,
     .roles = ROLES_SERVER,
     .offset = AT(usage_journal_size), .min = 16, .max = 1 << 20, .fallback = "1024",
     .metavar = "MIB",
     .help = "Disk space for usage records that the server hasn't taken yet; the oldest are given "
             "up above it."},
    {.name = "access-log", .group = GROUP_SERVER, .kind = OPTION_OUTPUT, .roles = ROLES_SERVER,
     .offset = AT(access_log), .max = PATH_MAX_BYTES,
     .fallback_is = "none", .metavar = "FILE",
     .help = "Write a JSON line for each inference request to this file, which SIGHUP opens anew; "
             "-: to standard output."},
    {.name = "reschedule-grace", .group = GROUP_SERVER, .kind = OPTION_INT, .roles = ROLES_SERVER,
     .offset = AT(reschedule_grace), .min = 60, .max = 604800, .fallback = "300",
     .metavar = "SECONDS",
     .help = "Silence of a worker after which its instances are replaced, one at a time."},
    {.name = "usage-retention-days", .group = GROUP_SERVER, .kind = OPTION_INT,
     .roles = ROLES_SERVER,
     .offset = AT(usage_retention_days), .min = 1, .max = 36500, .fallback = "400",
     .metavar = "DAYS",
     .help = "How long the usage of single requests is kept; sums by hour and day stay."},

    {.name = "server-url", .letter = 's', .group = GROUP_WORKER, .kind = OPTION_URL,
     .roles = ROLES_WORKER | ROLE_GATEWAY,
     .offset = AT(server_url), .max = PATH_MAX_BYTES,
     .fallback_is = "none: this machine is the server", .metavar = "URL",
     .help = "Server to join. With it, start runs a worker only, and gateway serves for that "
             "server."},
    {.name = "ssl-ca-file", .group = GROUP_WORKER, .kind = OPTION_PATH,
     .roles = ROLES_WORKER | ROLE_GATEWAY,
     .offset = AT(ssl_ca_file), .max = PATH_MAX_BYTES,
     .fallback_is = "none: the system's authorities only", .metavar = "FILE",
     .help = "Certificates (PEM) of authorities that are trusted too, for a --server-url with "
             "https."},
    {.name = "worker-ip", .group = GROUP_WORKER, .kind = OPTION_ADDRESS, .roles = ROLES_WORKER,
     .offset = AT(worker_ip),
     .fallback_is = "first address that isn't local to this machine", .metavar = "ADDRESS",
     .help = "Address by which the server reaches this worker."},
    {.name = "worker-name", .group = GROUP_WORKER, .kind = OPTION_NAME, .roles = ROLES_WORKER,
     .offset = AT(worker_name), .max = NAME_MAX_BYTES,
     .fallback_is = "content of <data-dir>/worker_name, else the host name", .metavar = "NAME",
     .help = "Name of this worker, unique in the cluster."},
    {.name = "worker-port", .group = GROUP_WORKER, .kind = OPTION_INT, .roles = ROLES_WORKER,
     .offset = AT(worker_port), .min = 1, .max = 65535, .fallback = "10150", .metavar = "PORT",
     .help = "Port on which the worker listens for the server."},
    {.name = "service-port-range", .group = GROUP_WORKER, .kind = OPTION_PORTS,
     .roles = ROLES_WORKER,
     .offset = AT(service_port_first), .min = 1, .max = 65535, .fallback = "40000-40063",
     .metavar = "FIRST-LAST",
     .help = "Ports for inference engines, one or a few neighbours per model instance."},
    {.name = "drain-timeout", .group = GROUP_WORKER, .kind = OPTION_INT, .roles = ROLES_WORKER,
     .offset = AT(drain_timeout), .max = 24 * 3600, .fallback = "120", .metavar = "SECONDS",
     .help = "How long a model instance that shall go may finish the requests under way; 0: not."},
    {.name = "fake-devices", .group = GROUP_WORKER, .kind = OPTION_PATH, .roles = ROLES_WORKER,
     .offset = AT(fake_devices), .max = PATH_MAX_BYTES,
     .fallback_is = "none: the machine's own devices", .metavar = "FILE",
     .help = "Take the devices from this JSON file instead of looking for them; for tests."},
    {.name = "system-reserved", .group = GROUP_WORKER, .kind = OPTION_RESERVED,
     .roles = ROLES_WORKER,
     .offset = AT(system_reserved_ram), .max = 1 << 20, .fallback = "{\"ram\":2,\"vram\":1}",
     .metavar = "JSON",
     .help = "GiB of memory that models must leave free: ram of the machine, vram of each device."},
    /* clang-format on */
};

const size_t config_option_count = ARRAY_LEN(config_options);
_Static_assert(ARRAY_LEN(config_options) <= CONFIG_OPTION_MAX, "raise CONFIG_OPTION_MAX");

/* Whether `word` is `name` with `dash` for each '-' and each letter mapped by `letter_case`. */
static bool name_matches(const char *name, struct str word, char dash, int (*letter_case)(int))
{
    if (strlen(name) != word.len)
        return false;
    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] != (name[i] == '-' ? dash : (char)letter_case(name[i])))
            return false;
    return true;
}

static const struct option *find_option(struct str word, char dash, int (*letter_case)(int))
{
    for (size_t i = 0; i < config_option_count; i++)
        if (name_matches(config_options[i].name, word, dash, letter_case))
            return &config_options[i];
    return NULL;
}

const struct option *option_by_name(struct str name)
{
    return find_option(name, '-', tolower);
}

const struct option *option_by_key(struct str key)
{
    return find_option(key, '_', tolower);
}

const struct option *option_by_env(struct str name)
{
    return find_option(name, '_', toupper);
}

const struct option *option_by_letter(char letter)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (config_options[i].letter == letter && letter)
            return &config_options[i];
    return NULL;
}

char *option_key(const struct option *option)
{
    char *key = mem_strdup(option->name);
    for (char *at = key; *at; at++)
        if (*at == '-')
            *at = '_';
    return key;
}

char *option_env(const struct option *option)
{
    char *env = mem_printf("GPUSTACK_%s", option->name);
    for (char *at = env; *at; at++)
        *at = *at == '-' ? '_' : (char)toupper(*at);
    return env;
}

enum { WORD_MAX = 32 }; /* longer words are like no option */

/* Levenshtein distance; '_' and '-' are the same letter. */
static size_t word_distance(struct str word, const char *name)
{
    size_t row[WORD_MAX + 1];
    for (size_t i = 0; i <= word.len; i++)
        row[i] = i;
    for (size_t j = 0; name[j]; j++) {
        size_t diagonal = row[0];
        row[0] = j + 1;
        for (size_t i = 0; i < word.len; i++) {
            char letter = word.ptr[i] == '_' ? '-' : (char)tolower((unsigned char)word.ptr[i]);
            size_t cost = diagonal + (letter != name[j]);
            diagonal = row[i + 1];
            size_t shorter = (row[i] < row[i + 1] ? row[i] : row[i + 1]) + 1;
            row[i + 1] = cost < shorter ? cost : shorter;
        }
    }
    return row[word.len];
}

const struct option *option_nearest(struct str word, unsigned roles)
{
    if (word.len > WORD_MAX)
        return NULL;
    const struct option *nearest = NULL;
    size_t least = word.len / 3 + 2; /* what is farther away than that isn't a slip of the hand */
    for (size_t i = 0; i < config_option_count; i++) {
        size_t distance = word_distance(word, config_options[i].name);
        if ((config_options[i].roles & roles) && distance < least) {
            least = distance;
            nearest = &config_options[i];
        }
    }
    return nearest;
}
