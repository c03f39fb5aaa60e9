/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads an HTTP/1.1 server and measures it, on one thread.
 *
 *     load-generator --port 8080 -c 64 --seconds 10 --header "Authorization: Bearer KEY"
 *         --body '{"model":"m"}' --pid 4711
 *
 *   --port N              on 127.0.0.1
 *   --path PATH           /v1/chat/completions
 *   --body TEXT           of the request, sent as JSON; without it the request is a GET
 *   --pad N               N further bytes in it, as the content of a message: "PAD" in TEXT
 *   --header LINE         one more header; up to 16
 *   -c N                  connections; each has one request under way
 *   --rate R              open loop: R requests a second, evenly over the connections. A late one
 *                         is measured from when it should have been sent
 *   --ramp-ms T           connections are made over this time, not at once
 *   --warmup S            seconds that aren't measured
 *   --seconds S           that are; or
 *   --requests N          so many requests, all measured
 *   --events N            content events that each stream must have
 *   --align-ms T          the engine's align_ms: how late events come is measured
 *   --pid N               processes whose CPU time is measured; up to 16
 *   --core N              a core whose busy time is measured
 *
 * Prints one JSON object. "ok" are responses of status 200 that were whole; "errors" all others, by
 * what was wrong. Exit status 1 when there was no "ok".
 */
#pragma once

#include "lib/load/cpu.h"
#include "lib/load/histogram.h"
#include "lib/load/response.h"
#include "lib/net/poller.h"

#include <stdbool.h>

enum { LOAD_HEADERS_MAX = 16, LOAD_READ_BYTES = 256 << 10 };

enum load_error {
    ERROR_CONNECT,
    ERROR_RESET,  /* the connection broke in a request */
    ERROR_CUT,    /* it ended within a response */
    ERROR_BAD,    /* the response isn't HTTP, or has bytes behind its end */
    ERROR_STATUS, /* other than 200 */
    ERROR_EVENTS, /* some are missing, or the stream's end is */
    ERROR_COUNT
};

struct load_figures {
    uint64_t requests, ok; /* that ended */
    uint64_t errors[ERROR_COUNT];
    uint64_t body_bytes, connects;
    int64_t events;
    struct histogram latency; /* of ok ones, to the last byte */
    struct histogram first;   /* to the first byte of the body */
    struct histogram late;    /* of events behind their time, with align_ns */
};

struct load {
    struct poller poller;
    int port;
    struct buf request; /* head and body, the same for all */
    int clients;
    double rate; /* 0: closed loop */
    int64_t ramp_ns, warmup_ns, measure_ns, align_ns;
    int64_t most_requests; /* 0: as long as measure_ns */
    int64_t events;        /* of each stream; -1: not checked */
    int pids[CPU_PIDS_MAX];
    size_t pid_count;
    int core; /* -1: none */

    bool is_measuring, is_over;
    int64_t begun_ns;         /* of the run; of the schedule of an open loop */
    int64_t started;          /* requests, for most_requests */
    int active;               /* clients with a request under way, or one to come */
    int64_t measured_from_ns, measured_ns;
    int64_t cpu_ns, core_ns;  /* at the beginning of the measure, then in it */
    struct alarm phase;
    struct load_figures figures;
    char input[LOAD_READ_BYTES];
};

/* Makes a client; number `i` of load->clients. */
void client_start(struct load *load, int i);

/* A client has nothing more to do. */
void load_client_is_done(struct load *load);

/* Whether another request may be begun. */
bool load_takes_request(struct load *load);
