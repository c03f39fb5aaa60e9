/* SPDX-License-Identifier: Apache-2.0 */
/* Placeholders: their list is in doc/engines.md. */
#include "base/num.h"
#include "engine/engine_priv.h"

struct fill {
    const struct engine *engine;
    const struct engine_values *values;
    struct buf *out;
};

/* Length of the placeholder at the front of `text`, braces included; 0 when there is none. */
static size_t placeholder_length(const char *text)
{
    if (text[0] != '{' || text[1] < 'a' || text[1] > 'z')
        return 0;
    size_t length = strspn(text + 1, "abcdefghijklmnopqrstuvwxyz_0123456789");
    return text[length + 1] == '}' ? length + 2 : 0;
}

static const struct peer *peer_at(const struct fill *fill, int64_t rank)
{
    const struct peers *peers = fill->values->peers;
    return peers && rank >= 0 && (size_t)rank < peers->count ? &peers->items[rank] : NULL;
}

/* ---- values; false: there is none here ---- */

static bool add_text(const struct fill *fill, const char *text)
{
    if (text)
        buf_add_cstr(fill->out, text);
    return text != NULL;
}

static bool add_number(const struct fill *fill, int64_t number)
{
    buf_printf(fill->out, "%lld", (long long)number);
    return true;
}

/* `digits` is what stands behind "port": nothing for the first, "1" for the second. */
static bool add_port(const struct fill *fill, const struct int_list *ports, struct str digits)
{
    int64_t place = 0;
    if (digits.len && num_parse_i64(digits, 1, ENGINE_PORTS_MAX, &place) < 0)
        return false;
    return ports && (size_t)place < ports->count && add_number(fill, ports->items[place]);
}

static void add_address(const struct fill *fill, const char *ip)
{
    buf_printf(fill->out, strchr(ip, ':') ? "[%s]" : "%s", ip);
}

/* "ip:port,ip:port" of ranks 1 and up, each with its first port. */
static bool add_rpc(const struct fill *fill)
{
    const struct peer *peer;
    for (int64_t rank = 1; (peer = peer_at(fill, rank)); rank++) {
        if (peer->ports.count == 0)
            return false;
        if (rank > 1)
            buf_add_char(fill->out, ',');
        add_address(fill, peer->ip);
        buf_printf(fill->out, ":%lld", (long long)peer->ports.items[0]);
    }
    return peer_at(fill, 0) != NULL;
}

static bool add_ips(const struct fill *fill)
{
    const struct peer *peer;
    for (int64_t rank = 0; (peer = peer_at(fill, rank)); rank++)
        buf_printf(fill->out, "%s%s", rank ? "," : "", peer->ip);
    return peer_at(fill, 0) != NULL;
}

static bool add_gpu_total(const struct fill *fill)
{
    const struct peer *peer;
    size_t total = 0;
    for (int64_t rank = 0; (peer = peer_at(fill, rank)); rank++)
        total += peer->gpu_indexes.count;
    return peer_at(fill, 0) != NULL && add_number(fill, (int64_t)total);
}

/* What only a gang has. */
static bool add_gang_value(const struct fill *fill, struct str name)
{
    const struct peer *own = peer_at(fill, fill->values->rank), *first = peer_at(fill, 0);
    if (!own)
        return false;
    if (str_eq(name, STR("rank")))
        return add_number(fill, own->rank);
    if (str_eq(name, STR("rank_count")))
        return add_number(fill, (int64_t)fill->values->peers->count);
    if (str_eq(name, STR("ip")))
        return add_text(fill, own->ip);
    if (str_eq(name, STR("rank0_ip")))
        return add_text(fill, first->ip);
    if (str_has_prefix(name, STR("rank0_port")))
        return add_port(fill, &first->ports, str_skip(name, STR("rank0_port").len));
    if (str_eq(name, STR("rpc")))
        return add_rpc(fill);
    if (str_eq(name, STR("ips")))
        return add_ips(fill);
    if (str_eq(name, STR("ranks")))
        return add_text(fill, fill->values->ranks);
    if (str_eq(name, STR("gpu_count")))
        return add_number(fill, (int64_t)own->gpu_indexes.count);
    return str_eq(name, STR("gpu_total")) && add_gpu_total(fill);
}

static bool add_value(const struct fill *fill, struct str name)
{
    const struct engine_values *values = fill->values;
    if (str_eq(name, STR("model_path")))
        return add_text(fill, values->model_path);
    if (str_eq(name, STR("model_name")))
        return add_text(fill, values->model_name);
    if (str_eq(name, STR("host")))
        return add_text(fill, values->host);
    if (str_eq(name, STR("dir")))
        return add_text(fill, fill->engine->dir);
    if (str_has_prefix(name, STR("port")))
        return add_port(fill, values->ports, str_skip(name, STR("port").len));
    const char *figure = engine_figure(values->figures, name);
    if (figure)
        return add_text(fill, figure);
    return add_gang_value(fill, name);
}

static int refuse(const struct fill *fill, struct str placeholder, struct err *err)
{
    bool is_gang = peer_at(fill, 0);
    return err_set(err, ERR_INVALID,
                   "no value for placeholder %.*s, there are {model_path}, {model_name}, {host}, "
                   "{port}%s%s",
                   STR_ARGS(placeholder), fill->engine->dir ? ", {dir}" : "",
                   is_gang ? ", {rank}, {rank_count}, {ip}, {ips}, {rank0_ip}, {rank0_port}, "
                             "{rpc}, {ranks}, {gpu_count}, {gpu_total}"
                           : "");
}

int engine_fill(const struct engine *engine, const struct engine_values *values, const char *text,
                char **ret, struct err *err)
{
    struct buf out = {0};
    struct fill fill = {engine, values, &out};
    while (*text) {
        size_t length = placeholder_length(text);
        if (length == 0) {
            buf_add_char(&out, *text++);
            continue;
        }
        if (!add_value(&fill, str_sub(text + 1, length - 2))) {
            buf_fini(&out);
            return refuse(&fill, str_sub(text, length), err);
        }
        text += length;
    }
    *ret = buf_take(&out);
    return 0;
}

bool engine_names_place(const char *text)
{
    static const char *const marks[] = {"{host}", "{port", "{model_path}", "{ip", "{rank", "{rpc}"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (strstr(text, marks[i]))
            return true;
    return false;
}

/* ---- checking a description ---- */

/* One of the programs that a description tells of. */
struct role {
    const struct string_list *command, *args;
    const struct string_map *env;
};

static int check_text(const struct engine *engine, const struct engine_values *values,
                      const char *key, const char *text, struct err *err)
{
    auto_free char *filled = NULL;
    int rc = engine_fill(engine, values, text, &filled, err);
    return rc < 0 ? err_wrap(err, rc, "%s", key) : 0;
}

static int check_role(const struct engine *engine, const struct engine_values *values,
                      struct role role, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < role.command->count; i++)
        rc = check_text(engine, values, "command", role.command->items[i], err);
    for (size_t i = 0; rc == 0 && i < role.args->count; i++)
        rc = check_text(engine, values, "args", role.args->items[i], err);
    for (size_t i = 0; rc == 0 && i < role.env->count; i++)
        rc = check_text(engine, values, role.env->keys[i], role.env->values[i], err);
    return rc;
}

/* Of rank 0 the section `gang` comes on top, and the ports may be others than those alone. */
static int check_gang(const struct engine *engine, struct engine_values *values,
                      const struct peers *peers, struct err *err)
{
    values->peers = peers;
    values->rank = 0;
    values->ports = &peers->items[0].ports;
    int rc = check_role(engine, values,
                        (struct role){&engine->command, &engine->args, &engine->env}, err);
    if (rc == 0)
        rc =
            check_role(engine, values,
                       (struct role){&engine->command, &engine->gang.args, &engine->gang.env}, err);
    if (rc < 0)
        return err_wrap(err, rc, "gang");
    values->rank = 1;
    values->ports = &peers->items[1].ports;
    rc = check_role(engine, values,
                    (struct role){&engine->rank.command, &engine->rank.args, &engine->rank.env},
                    err);
    return rc < 0 ? err_wrap(err, rc, "rank") : 0;
}

/* With values that have exactly what there will be. */
int engine_check_placeholders(const struct engine *engine, struct err *err)
{
    static int64_t numbers[ENGINE_PORTS_MAX];
    struct int_list ports = {numbers, engine_port_count(engine, 0, 1)};
    char ip[] = "::1";
    struct peer two[] = {
        {.ip = ip, .ports = {numbers, engine_port_count(engine, 0, 2)}},
        {.rank = 1, .ip = ip, .ports = {numbers, engine_port_count(engine, 1, 2)}}};
    struct peers peers = {two, ARRAY_LEN(two)};
    struct engine_values values = {
        .model_path = "", .model_name = "", .host = "", .ports = &ports, .ranks = "[]"};
    int rc = engine_check_placed(engine, err);
    if (rc == 0)
        rc = engine_check_tasks(engine, err);
    if (rc < 0)
        return rc;
    rc = check_role(engine, &values,
                        (struct role){&engine->command, &engine->args, &engine->env}, err);
    if (rc < 0 || !engine_is_distributable(engine))
        return rc;
    return check_gang(engine, &values, &peers, err);
}
