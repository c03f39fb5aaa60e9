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
    {"config-file", 0, OPTION_PATH, OPTION_NOT_IN_FILE, ROLES_ALL, AT(config_file), 0,
     PATH_MAX_BYTES, NULL, NULL, "FILE",
     "YAML file with more options: the names below with '_' instead of '-'."},
    {"data-dir", 0, OPTION_PATH, 0, ROLES_ALL, AT(data_dir), 0, DATA_DIR_MAX, NULL,
     "/var/lib/gpustack for root, else ~/.local/share/gpustack", "DIR",
     "Folder for everything that must be kept: database, token, logs."},
    {"debug", 'd', OPTION_BOOL, OPTION_RELOADABLE, ROLES_ALL, AT(debug), 0, 0, "false", NULL, NULL,
     "The same as --log-level debug."},
    {"log-level", 0, OPTION_LEVEL, OPTION_RELOADABLE, ROLES_ALL, AT(log_level), 0, 0, "info", NULL,
     "LEVEL", "Least important kind of log lines to write: error, warning, info or debug."},
    {"cache-dir", 0, OPTION_PATH, 0, ROLES_DAEMON, AT(cache_dir), 0, PATH_MAX_BYTES, NULL,
     "<data-dir>/cache", "DIR", "Folder for downloaded model files."},
    {"bin-dir", 0, OPTION_PATH, 0, ROLES_DAEMON, AT(bin_dir), 0, PATH_MAX_BYTES, NULL,
     "<data-dir>/bin", "DIR", "Folder with inference engines of your own."},
    {"log-dir", 0, OPTION_PATH, 0, ROLES_DAEMON, AT(log_dir), 0, PATH_MAX_BYTES, NULL,
     "<data-dir>/log", "DIR", "Folder for the logs of inference engines."},
    {"token", 't', OPTION_TEXT, OPTION_SECRET, ROLES_DAEMON, AT(token), 0, SECRET_MAX_BYTES, NULL,
     "content of <data-dir>/token, which a server makes once", "TOKEN",
     "Secret by which workers join a server. Better set it by environment or file than on a "
     "command line, which other users can see."},

    {"host", 0, OPTION_ADDRESS, 0, ROLES_SERVER, AT(host), 0, 0, "0.0.0.0", NULL, "ADDRESS",
     "Address on which the server listens; :: for IPv6."},
    {"port", 0, OPTION_INT, 0, ROLES_SERVER, AT(port), 1, 65535, "80", NULL, "PORT",
     "Port on which the server listens."},
    {"database-url", 0, OPTION_DATABASE, 0, ROLES_SERVER, AT(database_url), 0, PATH_MAX_BYTES, NULL,
     "sqlite:///<data-dir>/database.db", "URL", "Database of the server: sqlite:///PATH."},
    {"force-network-database", 0, OPTION_BOOL, 0, ROLES_SERVER, AT(database_on_network_fs), 0, 0,
     "false", NULL, NULL,
     "Accept a database file on a network file system, where SQLite's locks may not hold."},
    {"disable-worker", 0, OPTION_BOOL, 0, ROLES_SERVER, AT(disable_worker), 0, 0, "false", NULL,
     NULL, "Start the server only; this machine then runs no models."},
    {"bootstrap-password", 0, OPTION_TEXT, OPTION_SECRET, ROLES_SERVER, AT(bootstrap_password), 0,
     SECRET_MAX_BYTES, NULL, "generated", "PASSWORD",
     "Password of the user admin, used only when the database is new."},
    {"gateway-threads", 0, OPTION_INT, 0, ROLES_SERVER, AT(gateway_threads), 0, 64, "0", NULL,
     "N", "Threads that serve requests; 0: one per core, at most 4."},

    {"server-url", 's', OPTION_URL, 0, ROLES_WORKER, AT(server_url), 0, PATH_MAX_BYTES, NULL,
     "none: this machine is the server", "URL",
     "Server to join. Its presence makes this machine a worker only."},
    {"worker-ip", 0, OPTION_ADDRESS, 0, ROLES_WORKER, AT(worker_ip), 0, 0, NULL,
     "first address that isn't local to this machine", "ADDRESS",
     "Address by which the server reaches this worker."},
    {"worker-name", 0, OPTION_NAME, 0, ROLES_WORKER, AT(worker_name), 0, NAME_MAX_BYTES, NULL,
     "content of <data-dir>/worker_name, else the host name", "NAME",
     "Name of this worker, unique in the cluster."},
    {"worker-port", 0, OPTION_INT, 0, ROLES_WORKER, AT(worker_port), 1, 65535, "10150", NULL,
     "PORT", "Port on which the worker listens for the server."},
    {"service-port-range", 0, OPTION_PORTS, 0, ROLES_WORKER, AT(service_port_first), 1, 65535,
     "40000-40063", NULL, "FIRST-LAST", "Ports for inference engines, one per model instance."},
    {"fake-devices", 0, OPTION_PATH, 0, ROLES_WORKER, AT(fake_devices), 0, PATH_MAX_BYTES, NULL,
     "none: the machine's own devices", "FILE",
     "Take the devices from this JSON file instead of looking for them; for tests."},
    {"system-reserved", 0, OPTION_RESERVED, 0, ROLES_WORKER, AT(system_reserved_ram), 0, 1 << 20,
     "{\"ram\":2,\"vram\":1}", NULL, "JSON",
     "GiB of memory that models must leave free: ram of the machine, vram of each device."},
};

const size_t config_option_count = ARRAY_LEN(config_options);
_Static_assert(ARRAY_LEN(config_options) <= CONFIG_OPTION_MAX, "raise CONFIG_OPTION_MAX");

/* Whether `word` is `name` with each '-' replaced by `dash` and each letter mapped by `letter_case`. */
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
