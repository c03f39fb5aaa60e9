/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that is being watched: its exit comes as an event (pidfd), whether it is our child or
 * was adopted; stopping it is a ladder from SIGTERM to SIGKILL for its whole group. One loop.
 */
#pragma once

#include "io/loop.h"
#include "proc/identity.h"

enum { PROCESS_TERM_GRACE_MS = 10000 };

struct process;

struct process_exit {
    bool known; /* false for adopted processes: the kernel tells only their real parent */
    int status; /* as of waitpid(2) when known */
};

/*
 * "exit status 1", "killed by signal 9 (KILL)", "ended (exit status unknown, it was adopted)".
 * Returns owned.
 */
char *process_exit_text(struct process_exit exit);

typedef void process_exit_cb(struct process *process, struct process_exit exit, void *ctx);

/*
 * Watches a live process; reaps it when it is our child. `on_exit` comes once, also when it is dead
 * already, never from inside this call. -ESRCH when it is not our child and gone. Returns owned.
 *
 * When the leader ends without process_stop(), what is left of its group gets SIGKILL, and
 * on_exit() comes when the group is empty: nothing holds its port or its devices then.
 */
int process_watch(struct loop *loop, const struct proc_identity *id, process_exit_cb *on_exit,
                  void *ctx, struct process **ret) must_check;

const struct proc_identity *process_identity(const struct process *process);

/*
 * SIGTERM to the group now, SIGKILL after `grace_ms`, again every second while one of the group is
 * left; on_exit() comes when the leader is gone and the group is empty. Repeating is harmless.
 */
void process_stop(struct process *process, int64_t grace_ms);

bool process_is_stopping(const struct process *process);

/* Forgets it without touching it: it goes on running. NULL is fine. */
void process_free(struct process *process);
