/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/peers.h"

#include "domain/device.h"

#include <arpa/inet.h>

static const struct field fields[] = {
    {FIELD_OF(struct peer, rank), .kind = FIELD_INT, .max = PEERS_MAX - 1},
    {FIELD_OF(struct peer, ip), .kind = FIELD_STRING, .flags = FIELD_REQUIRED,
     .max = INET6_ADDRSTRLEN},
    {FIELD_OF(struct peer, ports), .kind = FIELD_INTS, .max = PEER_PORTS_MAX},
    {FIELD_OF(struct peer, gpu_indexes), .kind = FIELD_INTS, .max = DEVICES_MAX},
};

static const struct record_type peer_type = {
    .noun = "rank",
    .size = sizeof(struct peer),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

void peers_fini(struct peers *peers)
{
    for (size_t i = 0; i < peers->count; i++)
        record_fini(&peer_type, &peers->items[i]);
    free(peers->items);
    *peers = (struct peers){0};
}

/* Text that is no address would become an argument of a program, and an odd one of a list. */
static bool is_address(const char *text)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

static int check(const struct peer *peer, size_t place, struct err *err)
{
    if (peer->rank != (int64_t)place)
        return err_set(err, ERR_INVALID, "rank must be %zu, its place, not %lld", place,
                       (long long)peer->rank);
    if (!is_address(peer->ip))
        return err_set(err, ERR_INVALID, "ip must be a numeric address, not \"%s\"", peer->ip);
    for (size_t i = 0; i < peer->ports.count; i++)
        if (peer->ports.items[i] < 1 || peer->ports.items[i] > 65535)
            return err_set(err, ERR_INVALID, "ports must be 1-65535, not %lld",
                           (long long)peer->ports.items[i]);
    return 0;
}

static int read_all(const json_t *array, struct peers *peers, struct err *err)
{
    size_t count = json_array_size(array);
    if (count > PEERS_MAX)
        return err_set(err, ERR_TOO_LARGE, "%zu ranks are more than %d", count, PEERS_MAX);
    peers->items = mem_alloc_array(count + 1, sizeof *peers->items);
    for (size_t i = 0; i < count; i++) {
        struct peer *peer = &peers->items[peers->count++];
        int rc = record_read(&peer_type, peer, json_array_get(array, i), RECORD_CREATE, err);
        if (rc == 0)
            rc = check(peer, i, err);
        if (rc < 0)
            return err_wrap(err, rc, "ranks[%zu]", i);
    }
    return 0;
}

int peers_read(const char *json, struct peers *ret, struct err *err)
{
    if (!json)
        return 0;
    auto_fini(json_release) json_t *root = NULL;
    int rc = json_read(str_of(json), &root, err);
    if (rc < 0)
        return rc;
    if (!json_is_array(root))
        return err_set(err, ERR_INVALID, "ranks must be an array");
    struct peers peers = {0};
    rc = read_all(root, &peers, err);
    if (rc < 0)
        peers_fini(&peers);
    else
        *ret = peers;
    return rc;
}
