/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes and tasks of a cluster trace as CSV files (the openb traces of Alibaba's clusterdata):
 * nodes "sn,cpu_milli,memory_mib,gpu,model", tasks "name,cpu_milli,memory_mib,num_gpu,gpu_milli"
 * and perhaps ",gpu_spec": models that it may run on, separated by '|'. Units are thousandths of a
 * device.
 */
#pragma once

#include "base/err.h"
#include "sched/mix.h"

enum {
    TRACE_FILE_MAX = 64 << 20,
    TRACE_TASKS_MAX = 1000000,
    TRACE_DEVICE_UNITS = 1000,
};

struct trace_task {
    struct demand demand;
    uint32_t shape; /* number of the distinct demand */
};

/* The zero value is empty. */
struct trace {
    struct inventory nodes; /* all free, in the order of the file */
    struct trace_task *tasks; /* owned */
    size_t task_count;
    struct demand *shapes; /* owned; the distinct demands */
    size_t shape_count;
    char *classes[INVENTORY_CLASSES_MAX]; /* owned; names of the models */
};

/* Adds the nodes of a file. -errno, ERR_SYNTAX. */
int trace_read_nodes(struct trace *trace, const char *path, struct err *err) must_check;

/* Adds the tasks of a file, after those that are there. */
int trace_read_tasks(struct trace *trace, const char *path, struct err *err) must_check;

/* Device units that a task asks for. */
uint64_t trace_units(const struct demand *demand);

/* The kinds of the tasks, without their main memory; `of_units`: see mix_finish(), 0 as in the
 * published protocol. */
void trace_mix(const struct trace *trace, double of_units, struct mix *ret);

void trace_fini(struct trace *trace);
