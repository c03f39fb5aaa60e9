/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the ranks of a gang are: what control gives out when all are prepared, and what the
 * placeholders of a description are filled from. Plain data; pure, any thread.
 *
 *     [{"rank":0,"ip":"10.0.0.5","ports":[40000,40001],"gpu_indexes":[0,1]},...]
 */
#pragma once

#include "domain/record.h"

enum { PEERS_MAX = 256, PEER_PORTS_MAX = 64 };

struct peer {
    int64_t rank; /* its place in the list too */
    char *ip;     /* numeric, as other machines reach it */
    struct int_list ports;
    struct int_list gpu_indexes;
};

struct peers {
    struct peer *items; /* owned; by rank, from 0, none left out */
    size_t count;
};

/*
 * Reads the array (NULL: none). ERR_SYNTAX, ERR_INVALID and ERR_TOO_LARGE name the entry; `ret` is
 * zeroed before.
 */
int peers_read(const char *json, struct peers *ret, struct err *err) must_check;
void peers_fini(struct peers *peers);
