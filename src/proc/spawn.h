/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a program: argv array, explicit environment, own session and process group, never a
 * shell. The caller's loop is free to go on; nothing runs between fork and exec but calls that are
 * async-signal-safe. Linux first; see proc/identity.h for what is read from /proc.
 */
#pragma once

#include "base/err.h"
#include "proc/identity.h"

struct spawn_params {
    const char *const *argv; /* NULL-ended; argv[0] without '/' is looked up on PATH of `env`, in
                                absolute folders only; a relative one with '/' starts at cwd */
    const char *const *env;  /* NULL-ended "K=V"; the whole environment of the child */
    const char *cwd;         /* NULL: stays */
    const char *argv0;       /* what ps shows instead of argv[0]; NULL: the same */
    int stdin_fd;            /* -1: /dev/null */
    int stdout_fd;           /* -1: /dev/null */
    int stderr_fd;           /* -1: same as stdout_fd */
    int pass_fd;             /* stays open in the child as descriptor 3; -1: none */
    bool own_session;        /* setsid(): survives the parent and its terminal */
    bool die_with_parent;    /* SIGKILL when the parent's thread ends; for helpers, not engines */
};

/*
 * Starts it. The child's signals are reset, all other descriptors closed, umask 0077. -ENOENT and
 * the like when the program can't be run: the exec's own error comes back, with the program's name.
 */
int spawn(const struct spawn_params *params, struct proc_identity *ret, struct err *err) must_check;
