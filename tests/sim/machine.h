/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's machine: its engine processes and the records on its disk. Both outlive the worker's
 * process. Pids are few, so that they come back soon, as other processes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_node;

enum {
    MACHINE_PROCESSES_MAX = 256,
    MACHINE_FOREIGN_BELOW = 16,
    MACHINE_PIDS = 300,
    MACHINE_PORT_FIRST = 40000,
    MACHINE_PORT_LAST = 40039,
    MACHINE_DEVICES_MAX = 2,
    MACHINE_PORTS_EACH = 2, /* of an engine's block */
};

/* A block of neighbours; count 0: none. */
struct sim_ports {
    int64_t first, count;
};

/* What an engine is started with; of a gang, one rank of one try. */
struct sim_try {
    int64_t model_id, generation;
    char settings[16]; /* first of the model's backend_parameters */
    int64_t rank, rank_count, epoch;
};

struct sim_engine {
    int64_t pid;
    int64_t start;       /* start time; unique in a run */
    int64_t instance_id; /* 0: a foreign process that was given a dead engine's pid */
    struct sim_try what;
    struct sim_ports ports;
    bool is_serving;
    bool is_wedged; /* does nothing and never serves */
    bool ignores_term;
    bool is_stopping;       /* was told to end */
    int64_t busy_until_ms;  /* when the last request ends, once no more come; 0: not drawn yet */
    int64_t gone_since_ms;  /* when its instance was first seen gone; 0: it is wanted */
};

/* What the worker wrote down about an instance's engine; pid 0: none lives, or one is to start. */
struct sim_record {
    int64_t instance_id, pid, start;
    struct sim_try what;
    struct sim_ports ports;
    unsigned failures;
    bool has_failed; /* and no try followed yet */
    int64_t retry_at_ms, serving_since_ms, draining_since_ms;
    int64_t restart_count, last_restart_ms; /* of its own wall clock */
};

struct sim_machine {
    struct sim_engine engines[MACHINE_PROCESSES_MAX]; /* those that live */
    size_t engine_count;
    struct sim_record records[MACHINE_PROCESSES_MAX];
    size_t record_count;
    int64_t full_until_ms; /* until then no record can be written */
    int64_t device_count;  /* accelerators */
};

/* First port of a block that no engine and no record has, behind `after`; -1: none. */
int64_t machine_free_ports(const struct sim_node *node, int64_t after);

/* Whether the blocks share a port. */
bool ports_overlap(const struct sim_ports *a, const struct sim_ports *b);

/* Starts a process; its readiness, exit and behaviour are drawn. Borrows until one ends. */
struct sim_engine *machine_spawn(struct sim_node *node, const struct sim_engine *like);

/* By start time or by pid, NULL when none lives. */
struct sim_engine *machine_find(struct sim_machine *machine, int64_t start);
struct sim_engine *machine_find_pid(struct sim_machine *machine, int64_t pid);

/* SIGTERM: it ends soon, or ignores it. */
void machine_term(struct sim_node *node, int64_t start);

/* SIGKILL. */
void machine_kill(struct sim_node *node, int64_t start);

/* All processes end, as in a reboot. */
void machine_reboot(struct sim_node *node);

/* The record of an instance, or NULL. */
struct sim_record *machine_record(struct sim_machine *machine, int64_t instance_id);

/* False when the disk is full: it stays as it was. */
bool machine_save_record(struct sim_node *node, const struct sim_record *record);
void machine_remove_record(struct sim_machine *machine, int64_t instance_id);
