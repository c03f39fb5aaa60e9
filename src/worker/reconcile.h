/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's decision: desired instances + observed instances + now -> effects. Pure: no clock,
 * no socket, no file, so that tests and the simulator run exactly what the worker runs.
 *
 * Level-triggered: the pass may be run at any time and as often as one likes; when an effect was
 * carried out (or failed) the observation changes and the next pass no longer asks for it. An
 * engine is stopped for three reasons only: a desired state that control sent to this process
 * doesn't list it (in this generation, or in this epoch of its gang), or has it drained and nothing
 * is under way any more; or it makes no progress towards serving.
 *
 * All is prepared (files, engine, ports) before anything is started; of a gang, control says `go`
 * when that is so on every rank. A rank that failed waits for the gang's next epoch.
 *
 *     struct effects effects = {0};
 *     int64_t wake_ms = worker_reconcile(&desired, observed, count, now_ms, &effects);
 *     ... carry out effects.items[0..count) ...
 *     effects_fini(&effects);
 */
#pragma once

#include "worker/desired.h"

enum {
    RESTART_DELAY_MIN_MS = 10 * 1000,
    RESTART_DELAY_MAX_MS = 5 * 60 * 1000,
    REFUSED_DELAY_MS = 30 * 1000, /* for control to take away what can't be started here */
    RESTART_HEALTHY_MS =
        10 * 60 * 1000,        /* serving for so long makes failures before it forgotten */
    STALL_MS = 10 * 60 * 1000, /* no sign of work while starting */
    DRAIN_QUIET_MS = 1000, /* gateways hear of a drain when the worker does: what one of them sent
                              just before must find its engine */
};

/* What an instance is doing on this worker; the machine is drawn in worker/runner.h. */
enum runner_phase {
    PHASE_NEW,       /* nothing was tried yet, or its engine was stopped on purpose */
    PHASE_PREPARING, /* files and engine are being looked up */
    PHASE_PREPARED,  /* all is there and its ports are reserved; may be launched */
    PHASE_STARTING,  /* the process runs, the probe hasn't answered yet */
    PHASE_SERVING,
    PHASE_STOPPING, /* the stop ladder runs */
    PHASE_FAILED,   /* no process; the next try is due at `retry_at_ms` */
};

struct observed_instance {
    int64_t id;
    int64_t model_generation;
    int64_t rank, gang_epoch; /* 0 for one that is alone */
    enum runner_phase phase;
    unsigned failures;         /* in a row */
    bool is_refused;           /* FAILED: it wasn't even started, what it was given isn't free */
    int64_t launch_at_ms;      /* PREPARED: not before, the machine's devices aren't known yet, or
                                  how much of them is free */
    int64_t retry_at_ms;       /* FAILED: loop time of the next try */
    int64_t progress_at_ms;    /* STARTING: loop time of the last sign of work */
    int64_t quiet_since_ms;    /* draining: since when nothing is under way; INT64_MAX: something */
    int64_t drain_deadline_ms; /* draining: it is ended then, whatever is under way */
};

enum effect_kind {
    EFFECT_ADD,    /* a desired instance that isn't observed: begin to observe it as NEW */
    EFFECT_START,  /* begin a try: look up what its engine needs, reserve ports */
    EFFECT_LAUNCH, /* start the engine for which all is prepared */
    EFFECT_STOP,   /* stop ladder, see `stop` */
    EFFECT_RENEW,  /* it has no process and is wanted otherwise than it is: be NEW with that */
    EFFECT_REMOVE, /* it has no process and isn't wanted: forget it and its files */
};

enum stop_reason {
    STOP_UNWANTED, /* control doesn't list it any more, or in another generation or epoch */
    STOP_STALLED,  /* no progress for STALL_MS */
    STOP_DRAINED,  /* nothing is under way any more, or the time for that is over */
};

struct effect {
    enum effect_kind kind;
    int64_t id;
    enum stop_reason stop;                  /* EFFECT_STOP */
    const struct desired_instance *desired; /* ADD, START, LAUNCH, RENEW: borrowed */
};

struct effects {
    struct effect *items; /* owned */
    size_t count, cap;
};

void effects_fini(struct effects *effects);

/*
 * Appends what is to be done now. Returns the loop time at which the decision may change by time
 * alone, INT64_MAX when never. No id may be observed twice.
 */
int64_t worker_reconcile(const struct desired_state *desired,
                         const struct observed_instance *observed, size_t count, int64_t now_ms,
                         struct effects *effects);

/* Failures in a row after one more, given how long the engine had served before it. */
unsigned restart_failures(unsigned failures_before, int64_t served_ms);

/* Whether a further try follows after so many failures in a row. */
enum restart_verdict {
    RESTART_LATER,
    RESTART_NEVER,   /* restart_on_error is off */
    RESTART_LIMITED, /* max_restarts is reached */
    RESTART_BY_GANG, /* control decides for all ranks together */
};
enum restart_verdict restart_judge(const struct desired_instance *wanted, unsigned failures);

/* Delay before the try that follows failure number `failures` (>= 1): 10 s, 20 s, 40 s, ... 5 min.
 */
int64_t restart_delay_ms(unsigned failures);
