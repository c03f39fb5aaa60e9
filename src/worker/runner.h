/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One instance on this worker: carries out what worker/reconcile.h decides, and observes its
 * engine.
 *
 *           start          looked up         launch          probe: 200
 *      NEW -------> PREPARING -------> PREPARED -------> STARTING -------> SERVING
 *       ^               | fault            | fault           | exit, stop      | exit, stop
 *       |               v                  v                 v                 v
 *       |            FAILED <--------------+-----------------+-----------------+ exit
 *       |               |  ^                                 |                 |
 *       |   start, due  |  |                                 v                 v stop
 *       |   PREPARING <-+  +------------------------------ STOPPING <----------+
 *       |                            exit, stalled           | exit, not wanted or drained
 *       +----------------------------------------------------+
 *
 *      adopted: NEW -> STARTING when its process lives; NEW -> FAILED when it died while we were
 *               away or had failed before
 *      renewed: PREPARING, PREPARED or FAILED -> NEW when it is wanted otherwise: in another
 *               generation, in another epoch of its gang, or not at all for it is draining
 *
 * A rank above 0 takes no requests: it is SERVING when something listens on its first port, or,
 * when it has none, as soon as its process lives.
 *
 * A runner never decides: it doesn't restart or stop an engine by itself. Freeing it leaves the
 * engine running. One loop's thread.
 */
#pragma once

#include "domain/device.h"
#include "proc/process.h"
#include "worker/adopt.h"
#include "worker/node.h"
#include "worker/port_watch.h"
#include "worker/ports.h"
#include "worker/prepare.h"
#include "worker/probe.h"
#include "worker/reconcile.h"

enum {
    RUNNER_ADOPTED_PROBE_MS = 1000, /* until an adopted engine answered */
    RUNNER_HEALTH_MS = 10000,       /* between two probes of a serving engine */
    RUNNER_HEALTH_MISSES = 3,       /* probes in a row without an answer that are worth a message */
    RUNNER_PROGRESS_MS = 5000,      /* between two looks at what a starting engine has done */
    RUNNER_DRAIN_MS = 500,          /* between two looks at the connections of a draining one */
    RUNNER_DEVICES_WAIT_MS = 10000, /* after which a prober that says nothing isn't waited for */
    RUNNER_ROOM_WAIT_MS = 500,      /* between two looks whether another engine has made room */
    RUNNER_TAKING_MS = 600000,      /* after its launch an engine may still take what it claims */
};

struct runner;

/* What all runners of a worker share; borrowed for their lives. */
struct runner_host {
    struct loop *loop;
    struct http_pool *pool;
    const struct node *node;
    const char *record_dir; /* folder of the records */
    const char *serve_dir;  /* folder of the engines' logs */
    const char *bin_dir;
    int64_t drain_timeout_ms;
    struct port_range ports; /* for the words; reserve_ports() gives them out */
    /* The first of `count` free neighbours, or a negative code with `err` set. */
    int (*reserve_ports)(void *ctx, unsigned count, struct err *err);
    /* This machine's devices. */
    const struct device_list *(*devices)(void *ctx);
    /* Loop time from which they are known, or are taken as they are; 0: now. */
    int64_t (*devices_known_at)(void *ctx);
    /* Asks for a look at the devices that begins now; what comes back is for has_looked(). */
    uint64_t (*look)(void *ctx);
    bool (*has_looked)(void *ctx, uint64_t look);
    const struct list_node *runners; /* all of this worker */
    /* Something that reconciling or the report depends on has changed. Not from inside a call. */
    void (*on_change)(struct runner *runner, void *ctx);
    void *ctx;
};

struct prepare_job;

struct runner {
    struct list_node node; /* the owner's list */
    const struct runner_host *host;
    struct desired_instance wanted; /* as of the last start, or what a record tells */
    struct engine_record record;    /* as on disk; ports are empty while none are reserved */
    bool is_stale;                  /* the record on disk is older, it couldn't be written */
    enum runner_phase phase;
    struct trouble fault;     /* what is wrong, and how the last try ended while FAILED */
    int64_t model_bytes;      /* 0: not known */
    struct process *process;  /* STARTING, SERVING, STOPPING */
    struct prepare_job *job;  /* PREPARING */
    struct prepared prepared; /* PREPARED */
    struct probe probe;
    struct port_watch port_watch; /* of a rank that starts, or of an engine that drains */
    bool was_probed;              /* the probe has answered since the process is watched */
    bool may_serve;               /* requests may have been sent to the process */
    unsigned missed_probes;       /* in a row */
    unsigned failures;            /* in a row, for the back-off */
    uint64_t look;                /* PREPARED, SERVING: at the devices, awaited; 0: none */
    int64_t look_until_ms;        /* and until when */
    int64_t launch_at_ms;         /* PREPARED: not before, another engine is to make room */
    int64_t launched_ms;          /* loop time; 0: its engine, if it has one, was adopted */
    struct resource_claim before; /* what its devices had in use then */
    bool is_disturbed; /* another engine on one of them came or went since, or was about to */
    int64_t retry_at_ms;          /* FAILED */
    int64_t serving_since_ms;     /* SERVING */
    int64_t progress_at_ms;       /* STARTING: last sign of work */
    int64_t progress_seen_ms;     /* when we last looked */
    int64_t quiet_since_ms;       /* draining: since when no connection is seen; INT64_MAX */
    struct proc_progress progress;
    uint64_t log_bytes;
    int64_t memory_kills;  /* of the kernel, when its process was last seen alive */
    enum stop_reason stop; /* STOPPING */
};

/* For a desired instance that isn't known here. Returns owned. */
struct runner *runner_new(const struct runner_host *host, const struct desired_instance *wanted);

/* For an engine found at start-up; takes the content of `found->record`. Returns owned. */
struct runner *runner_adopt(const struct runner_host *host, struct found_engine *found);

/* Stops observing; the engine runs on. NULL is fine. */
void runner_free(struct runner *runner);

/* Removes record and logs and frees: for an instance that isn't wanted any more. No process. */
void runner_remove(struct runner *runner);

/*
 * Takes what may change without a restart (token, restart_on_error, draining, ...) and what
 * adoption left open; of settings of another generation only whether to drain.
 */
void runner_update(struct runner *runner, const struct desired_instance *wanted);

/* Phase NEW or FAILED: begins a try; how the preparing ends is told by on_change(). */
void runner_start(struct runner *runner, const struct desired_instance *wanted);

/*
 * Phase PREPARED: starts the engine if what it may take is free, else enters FAILED without
 * counting a failure. Before it knows it stays PREPARED, to be called again.
 */
void runner_launch(struct runner *runner, const struct desired_instance *wanted);

/* No process: becomes NEW with other settings or of another try; run numbers and logs go on. */
void runner_renew(struct runner *runner, const struct desired_instance *wanted);

/* Phase STARTING or SERVING: begins the stop ladder. */
void runner_stop(struct runner *runner, enum stop_reason reason);

/* The devices were looked at. */
void runner_hear_devices(struct runner *runner);

/* What the decision needs to know. */
struct observed_instance runner_observe(const struct runner *runner);

/* Where its engine takes requests on 127.0.0.1, the first that is reserved; 0 when none is. */
unsigned runner_port(const struct runner *runner);

/* False while an adopted engine hasn't been probed: its state would be a guess. */
bool runner_is_settled(const struct runner *runner);

/* Its object in the status report. */
void runner_write_report(const struct runner *runner, struct json_writer *w);

/* Now and then: keeps the log of a live engine below its limit, writes what couldn't be written. */
void runner_tend(struct runner *runner);
