/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of all workers, as their reports show them; id "worker:type:index" as in GPUStack. They
 * are no records: rows are made of the reports for each request, and can't be watched.
 */
#include "api/api_priv.h"
#include "domain/gang.h"

struct gpu_row {
    char *id;
    int64_t worker_id;
    char *worker_name, *worker_ip;
    int64_t index, device_index, device_chip_index;
    char *name, *vendor, *type, *uuid, *driver_version, *runtime_version;
    double temperature; /* negative: not known */
    json_t *device;     /* all of it, as reported; owned */
    uint64_t allocated; /* bytes that instances have claimed */
};

#define FIELD(member) FIELD_OF(struct gpu_row, member)

/* What devices can be filtered and sorted by; the first four are not the device's own. */
static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_STRING},
    {FIELD(worker_id), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD(worker_name), .kind = FIELD_STRING},
    {FIELD(worker_ip), .kind = FIELD_STRING},
    {FIELD(index), .kind = FIELD_INT, .max = INT32_MAX},
    {FIELD(device_index), .kind = FIELD_INT, .max = INT32_MAX},
    {FIELD(device_chip_index), .kind = FIELD_INT, .max = INT32_MAX},
    {FIELD(name), .kind = FIELD_STRING},
    {FIELD(vendor), .kind = FIELD_STRING},
    {FIELD(type), .kind = FIELD_STRING},
    {FIELD(uuid), .kind = FIELD_STRING},
    {FIELD(driver_version), .kind = FIELD_STRING},
    {FIELD(runtime_version), .kind = FIELD_STRING},
    {FIELD(temperature), .kind = FIELD_DOUBLE, .flags = FIELD_NULLABLE, .fallback = "-1"},
};

enum { OWN_FIELDS = 4 };

static const struct record_type gpu_type = {
    .noun = "gpu-device",
    .size = sizeof(struct gpu_row),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

struct gpu_rows {
    void **items; /* struct gpu_row, each owned */
    size_t count;
};

/* ---- rows ---- */

/* Bytes that the instances on a worker have claimed of one of its devices. */
static uint64_t claimed(const struct request *rq, const struct worker *worker, int64_t index)
{
    uint64_t sum = 0;
    const struct cluster *cluster = rq->cluster;
    CLUSTER_FOR_KEY(&cluster->instances_on_worker, worker->id, struct model_instance, instance) {
        struct resource_claim claim = {0};
        instance_claim_on(instance, worker->id, &claim);
        sum += claim_device_bytes(&claim, index);
        claim_fini(&claim);
    }
    return sum;
}

static void add_row(const struct request *rq, const struct worker *worker, json_t *device,
                    struct gpu_rows *rows)
{
    struct gpu_row *row = mem_alloc(sizeof *row);
    record_init(&gpu_type, row);
    for (size_t i = OWN_FIELDS; i < ARRAY_LEN(fields); i++) {
        const json_t *value = json_object_get(device, fields[i].name);
        if (value && record_read_field(&fields[i], row, value, NULL) < 0)
            continue; /* null, or of a worker that tells it otherwise: not known */
    }
    row->id = mem_printf("%s:%s:%lld", worker->name, row->type ? row->type : "unknown",
                         (long long)row->index);
    row->worker_id = worker->id;
    row->worker_name = mem_strdup(worker->name);
    row->worker_ip = mem_strdup(worker->ip);
    row->device = json_incref(device);
    row->allocated = claimed(rq, worker, row->index);
    rows->items = mem_resize(rows->items, (rows->count + 1) * sizeof *rows->items);
    rows->items[rows->count++] = row;
}

static void add_worker(const struct request *rq, const struct worker *worker, struct gpu_rows *rows)
{
    auto_fini(json_release) json_t *status = NULL;
    if (!worker->status || json_read(str_of(worker->status), &status, NULL) < 0)
        return;
    size_t i;
    json_t *device;
    json_array_foreach(json_object_get(status, "gpu_devices"), i, device)
        add_row(rq, worker, device, rows);
}

static struct gpu_rows make_rows(const struct request *rq)
{
    struct gpu_rows rows = {0};
    CLUSTER_FOR_EACH(rq->cluster, KIND_WORKER, struct worker, worker)
        add_worker(rq, worker, &rows);
    return rows;
}

static void free_rows(struct gpu_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct gpu_row *row = rows->items[i];
        json_decref(row->device);
        record_fini(&gpu_type, row);
        free(row);
    }
    free(rows->items);
}

/* ---- answers ---- */

static void write_memory(const struct gpu_row *row, struct json_writer *w)
{
    json_t *memory = json_copy(json_object_get(row->device, "memory"));
    if (!json_is_object(memory)) {
        json_decref(memory);
        memory = json_object();
    }
    json_object_set_new(memory, "allocated", json_integer((json_int_t)row->allocated));
    json_add_key(w, "memory");
    json_add_tree(w, memory);
    json_decref(memory);
}

static void write_row(struct request *rq, const void *record, struct json_writer *w)
{
    const struct gpu_row *row = record;
    json_begin_object(w);
    for (size_t i = 0; i < OWN_FIELDS; i++) {
        json_add_key(w, fields[i].name);
        record_write_field(&fields[i], row, w);
    }
    const char *key;
    json_t *value;
    json_object_foreach(row->device, key, value) {
        if (strcmp(key, "memory") == 0)
            continue;
        json_add_key(w, key);
        json_add_tree(w, value);
    }
    write_memory(row, w);
    json_end_object(w);
}

int gpu_devices_list(struct request *rq, struct err *err)
{
    static const struct list_view view = {.type = &gpu_type, .write = write_row};
    struct list_query query;
    int rc = list_read_query(rq, &view, &query, err);
    if (rc < 0)
        return rc;
    if (query.watch) {
        list_query_fini(&query);
        return err_set(err, ERR_INVALID, "gpu-devices can't be watched; watch workers, whose "
                                         "status shows their devices");
    }
    struct gpu_rows rows = make_rows(rq);
    list_write(rq, &view, &query, rows.items, rows.count);
    free_rows(&rows);
    list_query_fini(&query);
    return 0;
}

int gpu_devices_get(struct request *rq, struct err *err)
{
    const char *id = strrchr(rq->path, '/') + 1;
    struct gpu_rows rows = make_rows(rq);
    int rc = err_set(err, ERR_NOT_FOUND,
                     "there is no gpu-device \"%.128s\"; ids are worker:type:index, as the list "
                     "shows them",
                     id);
    for (size_t i = 0; rc < 0 && i < rows.count; i++) {
        const struct gpu_row *row = rows.items[i];
        if (strcmp(row->id, id) != 0)
            continue;
        write_row(rq, row, &rq->json);
        rc = 0;
    }
    free_rows(&rows);
    return rc;
}
