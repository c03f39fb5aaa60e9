/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a runner share: runner.c has its states and its life, runner_start.c the way to
 * a process, runner_watch.c what is seen of it, runner_fault.c how it ends, runner_report.c what
 * others are told.
 */
#pragma once

#include "base/log.h"
#include "domain/instance.h"
#include "worker/runner.h"

static inline int64_t runner_now_ms(const struct runner *runner)
{
    return loop_now_ms(runner->host->loop);
}

static inline bool runner_is_gang(const struct runner *runner)
{
    return desired_instance_is_gang(&runner->wanted);
}

/* Checks the edge, logs, tells the owner. What is wrong (`runner->fault`) is set before. */
void runner_set_phase(struct runner *runner, enum runner_phase phase);

/* Something that the report tells has changed. */
void runner_changed(struct runner *runner);

/* Writes the record. -errno: then it is stale and written later. */
int runner_save(struct runner *runner, struct err *err) must_check;

/* The same where nothing hangs on it: a failure is a line in the log. */
void runner_save_or_warn(struct runner *runner);

/* No ports are reserved any more. */
void runner_release_ports(struct runner *runner);

/* GPUStack's word for what it is doing. */
enum instance_state runner_state(const struct runner *runner);

/* What is wrong in words, with what comes next. Returns owned; "" when all is well. */
char *runner_message(const struct runner *runner);

/* ---- runner_start.c ---- */

/* What the pool finds out for it isn't wanted any more. */
void runner_drop_job(struct runner *runner);

/* ---- runner_watch.c ---- */

/* Begins to observe the process that was set: STARTING. */
void runner_observe_engine(struct runner *runner, int64_t probe_ms);

/* The process is gone or to be stopped: no more probes and looks. */
void runner_stop_observing(struct runner *runner);

/* Looks at the connections while it drains, and at the health while it doesn't. */
void runner_observe_drain(struct runner *runner);

/* For the probe and the port watch. */
void runner_on_probe(struct probe *probe, bool serves, const char *text, void *ctx);
void runner_on_port(struct port_watch *watch, const struct port_use *use, void *ctx);

/* ---- runner_confirm.c ---- */

enum runner_room {
    ROOM_THERE,
    ROOM_TAKEN,   /* by others: it can't start here */
    ROOM_UNKNOWN, /* not yet, or another engine is about to make room */
};

/* Whether what it may take is free. Asks for a look at the devices first; TAKEN sets `fault`. */
enum runner_room runner_confirm(struct runner *runner, struct trouble *fault);

/* Asks for a look at the devices, and whether it is over; after 10 s it is. */
void runner_ask_look(struct runner *runner);
bool runner_has_looked(const struct runner *runner);

/* PREPARED: loop time before which launching it is of no use. */
int64_t runner_launch_at_ms(const struct runner *runner);

/* Its process is about to start: what its devices have in use, and others' measures are spoilt. */
void runner_note_launch(struct runner *runner);

/* Its process has come or gone: what others on its devices measure would be of it as well. */
void runner_disturb_others(const struct runner *runner);

/* It serves: what it has taken is measured, as soon as the devices have been looked at. */
void runner_begin_measure(struct runner *runner);

/* ---- runner_fault.c ---- */

/* Enters FAILED though nothing was started: no failure counts, the next look is in 30 s. */
void runner_refuse(struct runner *runner, struct trouble *fault);

/* Whether that is why it is FAILED, and it isn't for the gang to decide. */
bool runner_is_refused(const struct runner *runner);

/* Enters FAILED. Takes the content of `fault`. */
void runner_fail(struct runner *runner, struct trouble *fault);

/* Enters FAILED as a record tells it, after a restart of the worker. */
void runner_recall_failure(struct runner *runner);

/* For the process. */
void runner_on_exit(struct process *process, struct process_exit exit, void *ctx);
