/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network between control and the nodes.
 *
 * What a worker sends are requests: each may be lost, delayed, doubled, overtaken by another, and
 * its reply lost. What control sends are lines of a stream: as over TCP they come in order or not
 * at all; after a lost one the stream is dead, which the worker finds out by silence. A partition
 * drops requests and holds lines back; one that lasts kills the stream.
 */
#pragma once

#include "base/list.h"

#include <stdint.h>

struct sim;
struct sim_node;

enum request_kind { REQUEST_REGISTER, REQUEST_STREAM, REQUEST_REPORT };

/* One node's way to control. */
struct sim_link {
    int64_t partition_until_ms;
    uint64_t dead_stream;   /* number of the last stream that died; none above it has */
    struct list_node lines; /* struct line, see net.c: on their way, oldest first */
    uint64_t last_request;  /* numbers of requests and streams; grows */
    uint64_t last_arrived;  /* highest number of those that have arrived */
};

/* An empty way. */
void net_init(struct sim_link *link);
void net_fini(struct sim_link *link);

/* Sends a request and returns its number; control, then sim_node_reply() come. Texts are copied. */
uint64_t net_request(struct sim_node *node, enum request_kind kind, const char *bearer,
                     const char *text);

/* Control's reply to it. */
void net_reply(struct sim_node *node, uint64_t request, unsigned status, const char *text);

/* A line of the stream that was opened by request `stream`. */
void net_line(struct sim_node *node, uint64_t stream, const char *text);

/* Control's side of the stream is closed. */
void net_close(struct sim_node *node, uint64_t stream);

/* Cuts the node off for so long. */
void net_partition(struct sim_node *node, int64_t duration_ms);

/* Whether lines of that stream arrive. */
bool net_is_open(const struct sim_node *node, uint64_t stream);
