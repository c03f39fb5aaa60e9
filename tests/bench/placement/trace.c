/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/placement/trace.h"

#include "base/file.h"
#include "base/num.h"

enum { COLUMNS = 6 }; /* that are read */

/* ---- CSV ---- */

static size_t split_line(struct str line, struct str ret[COLUMNS])
{
    size_t count = 0;
    while (count < COLUMNS && str_split(&line, ',', &ret[count]))
        count++;
    return count;
}

static int bad_number(const char *path, struct str value, struct err *err)
{
    return err_set(err, ERR_SYNTAX, "%s: \"%.*s\" isn't a number of 0 to 10^12", path,
                   STR_ARGS(value));
}

static int read_number(const char *path, struct str value, uint64_t *ret, struct err *err)
{
    int64_t number;
    if (num_parse_i64(value, 0, INT64_C(1000000000000), &number) < 0)
        return bad_number(path, value, err);
    *ret = (uint64_t)number;
    return 0;
}

/* Calls `add` for each line below the first. */
static int read_lines(struct trace *trace, const char *path,
                      int (*add)(struct trace *trace, const char *path,
                                 const struct str columns[COLUMNS], struct err *err),
                      struct err *err)
{
    auto_fini(buf_fini) struct buf content = {0};
    int rc = file_read(path, TRACE_FILE_MAX, &content, err);
    if (rc < 0)
        return rc;
    struct str rest = buf_str(&content), line;
    bool is_first = true;
    while (str_split(&rest, '\n', &line)) {
        struct str columns[COLUMNS] = {{0}};
        line = str_trim(line);
        if (!is_first && line.len > 0) {
            if (split_line(line, columns) < COLUMNS - 1)
                return err_set(err, ERR_SYNTAX, "%s: \"%.*s\" has fewer than %d columns", path,
                               STR_ARGS(line), COLUMNS - 1);
            rc = add(trace, path, columns, err);
            if (rc < 0)
                return rc;
        }
        is_first = false;
    }
    return 0;
}

/* ---- nodes ---- */

/* The bit of a model of devices, a new one when it wasn't seen before. 0: too many. */
static uint32_t class_bit(struct trace *trace, struct str name)
{
    for (unsigned i = 0; i < INVENTORY_CLASSES_MAX; i++) {
        if (!trace->classes[i])
            trace->classes[i] = str_dup(name);
        if (str_eq(str_of(trace->classes[i]), name))
            return UINT32_C(1) << i;
    }
    return 0;
}

static int add_node(struct trace *trace, const char *path, const struct str columns[COLUMNS],
                    struct err *err)
{
    struct inventory_node node = {.failure_domain = (uint32_t)trace->nodes.node_count};
    uint64_t devices = 0;
    int rc = read_number(path, columns[1], &node.cpu_free, err);
    if (rc == 0)
        rc = read_number(path, columns[2], &node.ram_free, err);
    if (rc == 0)
        rc = read_number(path, columns[3], &devices, err);
    if (rc < 0)
        return rc;
    node.class_bit = class_bit(trace, columns[4]);
    if (devices > INVENTORY_DEVICES_MAX || !node.class_bit ||
        trace->nodes.node_count == INVENTORY_NODES_MAX)
        return err_set(err, ERR_TOO_LARGE,
                       "%s: more than %d nodes, %d devices of a node or %d models", path,
                       INVENTORY_NODES_MAX, INVENTORY_DEVICES_MAX, INVENTORY_CLASSES_MAX);
    inventory_add_node(&trace->nodes, &node);
    for (uint64_t i = 0; i < devices; i++)
        inventory_add_device(&trace->nodes, (struct inventory_device){
                                                .total = TRACE_DEVICE_UNITS,
                                                .free = TRACE_DEVICE_UNITS});
    return 0;
}

int trace_read_nodes(struct trace *trace, const char *path, struct err *err)
{
    return read_lines(trace, path, add_node, err);
}

/* ---- tasks ---- */

static bool is_same(const struct demand *a, const struct demand *b)
{
    return a->cpu == b->cpu && a->ram == b->ram && a->units == b->units &&
           a->devices == b->devices && a->class_set == b->class_set;
}

static uint32_t shape_of(struct trace *trace, const struct demand *demand)
{
    for (size_t i = 0; i < trace->shape_count; i++)
        if (is_same(&trace->shapes[i], demand))
            return (uint32_t)i;
    trace->shapes = mem_resize(trace->shapes, (trace->shape_count + 1) * sizeof *trace->shapes);
    trace->shapes[trace->shape_count] = *demand;
    return (uint32_t)trace->shape_count++;
}

static int add_task(struct trace *trace, const char *path, const struct str columns[COLUMNS],
                    struct err *err)
{
    struct demand demand = {0};
    uint64_t devices = 0;
    struct str specs = columns[5], spec;
    int rc = read_number(path, columns[1], &demand.cpu, err);
    if (rc == 0)
        rc = read_number(path, columns[2], &demand.ram, err);
    if (rc == 0)
        rc = read_number(path, columns[3], &devices, err);
    if (rc == 0)
        rc = read_number(path, columns[4], &demand.units, err);
    if (rc < 0)
        return rc;
    if (devices > INVENTORY_DEVICES_MAX || trace->task_count == TRACE_TASKS_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s: more than %d tasks or %d devices of a task", path,
                       TRACE_TASKS_MAX, INVENTORY_DEVICES_MAX);
    demand.devices = (uint32_t)devices;
    demand.units = devices ? demand.units : 0;
    while (specs.len > 0 && str_split(&specs, '|', &spec))
        demand.class_set |= class_bit(trace, spec);
    if ((trace->task_count & (trace->task_count - 1)) == 0)
        trace->tasks = mem_resize(trace->tasks, (trace->task_count * 2 + 1) * sizeof *trace->tasks);
    trace->tasks[trace->task_count++] =
        (struct trace_task){.demand = demand, .shape = shape_of(trace, &demand)};
    return 0;
}

int trace_read_tasks(struct trace *trace, const char *path, struct err *err)
{
    return read_lines(trace, path, add_task, err);
}

uint64_t trace_units(const struct demand *demand)
{
    return demand->units * demand->devices;
}

void trace_mix(const struct trace *trace, double of_units, struct mix *ret)
{
    for (size_t i = 0; i < trace->task_count; i++) {
        struct demand kind = trace->tasks[i].demand;
        kind.ram = 0;
        mix_add(ret, &kind, 1);
    }
    mix_finish(ret, MIX_COVERAGE, of_units);
}

void trace_fini(struct trace *trace)
{
    inventory_fini(&trace->nodes);
    free(trace->tasks);
    free(trace->shapes);
    for (unsigned i = 0; i < INVENTORY_CLASSES_MAX; i++)
        free(trace->classes[i]);
    *trace = (struct trace){0};
}
