/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this worker is: identity and addresses. The identity is a UUID made once in
 * <data-dir>/worker_uuid; the name is --worker-name, else <data-dir>/worker_name, else the host
 * name, and control may change it. One loop's thread after node_init().
 */
#pragma once

#include "config/config.h"
#include "http/client.h"

struct node {
    char *uuid;
    char *name;
    bool name_is_configured; /* by --worker-name: control refuses it rather than changes it */
    bool name_is_saved;      /* <data-dir>/worker_name has it */
    char *hostname;
    char *netns_id;   /* base/netns.h */
    char *ip;         /* NULL until node_find_ip() */
    char *cluster_id; /* from the registration; "" before */
};

/* Reads or makes the files. Blocks on small local files. */
int node_init(const struct config *config, struct node *ret, struct err *err) must_check;
void node_fini(struct node *node);

/* The identity of the worker of a data folder. -ENOENT when none has run there. Returns owned. */
int node_read_uuid(const char *data_dir, char **ret, struct err *err) must_check;

/* Takes the name that control gave and writes it to <data-dir>/worker_name when that is news. */
int node_set_name(struct node *node, const char *data_dir, const char *name,
                  struct err *err) must_check;

/*
 * Address by which others reach this machine, as seen from the server at `host`: the one that the
 * kernel would send from; when the server is on loopback, the first IPv4 that is neither loopback
 * nor link-local, else 127.0.0.1. Resolves the name: blocks, for a pool thread. Returns owned, or
 * NULL with `err` set.
 */
char *node_find_ip(const char *host, unsigned port, struct err *err);

/* The server as this worker reaches it: --server-url, else the server on this machine. */
int node_server_target(const struct config *config, struct http_target *ret,
                       struct err *err) must_check;
