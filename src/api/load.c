/* SPDX-License-Identifier: Apache-2.0 */
#include "api/load.h"

static const char *const kind_names[LOAD_KINDS] = {
    [LOAD_CPU] = "cpu", [LOAD_RAM] = "ram", [LOAD_GPU] = "gpu", [LOAD_VRAM] = "vram"};

/* ---- measuring ---- */

/* Sums of what was told, and how many told it. */
struct sums {
    double values[LOAD_KINDS];
    unsigned counts[LOAD_KINDS];
    unsigned device_count;
};

static void add(struct sums *sums, enum load_kind kind, const json_t *percent)
{
    if (!json_is_number(percent))
        return;
    sums->values[kind] += json_number_value(percent);
    sums->counts[kind]++;
}

/* The share of a memory that is used, also when only bytes are told. */
static void add_memory(struct sums *sums, enum load_kind kind, const json_t *memory)
{
    const json_t *rate = json_object_get(memory, "utilization_rate");
    double total = json_number_value(json_object_get(memory, "total"));
    const json_t *used = json_object_get(memory, "used");
    if (json_is_number(rate) || total <= 0 || !json_is_number(used)) {
        add(sums, kind, rate);
        return;
    }
    sums->values[kind] += 100 * json_number_value(used) / total;
    sums->counts[kind]++;
}

static void add_worker(struct sums *sums, const struct worker *worker)
{
    auto_fini(json_release) json_t *status = NULL;
    if (!worker->status || json_read(str_of(worker->status), &status, NULL) < 0)
        return;
    add(sums, LOAD_CPU, json_object_get(json_object_get(status, "cpu"), "utilization_rate"));
    add_memory(sums, LOAD_RAM, json_object_get(status, "memory"));
    size_t i;
    json_t *device;
    json_array_foreach(json_object_get(status, "gpu_devices"), i, device) {
        sums->device_count++;
        add(sums, LOAD_GPU, json_object_get(json_object_get(device, "core"), "utilization_rate"));
        add_memory(sums, LOAD_VRAM, json_object_get(device, "memory"));
    }
}

void load_measure(const struct cluster *cluster, int64_t now_ms, struct load *ret)
{
    struct sums sums = {0};
    CLUSTER_FOR_EACH(cluster, KIND_WORKER, struct worker, worker)
        add_worker(&sums, worker);
    /* GPUStack's way: a worker that tells nothing counts as idle, a device does not count. */
    sums.counts[LOAD_CPU] = sums.counts[LOAD_RAM] =
        (unsigned)cluster->tables[KIND_WORKER].count;
    *ret = (struct load){.at_ms = now_ms, .device_count = sums.device_count};
    for (int kind = 0; kind < LOAD_KINDS; kind++)
        if (sums.counts[kind])
            ret->values[kind] = sums.values[kind] / sums.counts[kind];
}

/* ---- history ---- */

void load_add(struct load_history *history, const struct load *load)
{
    history->samples[history->next] = *load;
    history->next = (history->next + 1) % LOAD_SAMPLES;
    if (history->count < LOAD_SAMPLES)
        history->count++;
}

static void write_series(const struct load_history *history, enum load_kind kind,
                         struct json_writer *w)
{
    unsigned first = (history->next + LOAD_SAMPLES - history->count) % LOAD_SAMPLES;
    json_add_key(w, kind_names[kind]);
    json_begin_array(w);
    for (unsigned i = 0; i < history->count; i++) {
        const struct load *load = &history->samples[(first + i) % LOAD_SAMPLES];
        json_begin_object(w);
        json_put_int(w, "timestamp", load->at_ms / 1000);
        json_add_key(w, "value");
        json_add_double(w, load->values[kind]);
        json_end_object(w);
    }
    json_end_array(w);
}

void load_write(const struct load_history *history, const struct load *current,
                struct json_writer *w)
{
    json_begin_object(w);
    json_add_key(w, "current");
    json_begin_object(w);
    for (int kind = 0; kind < LOAD_KINDS; kind++) {
        json_add_key(w, kind_names[kind]);
        json_add_double(w, current->values[kind]);
    }
    json_end_object(w);
    json_add_key(w, "history");
    json_begin_object(w);
    for (int kind = 0; kind < LOAD_KINDS; kind++)
        write_series(history, (enum load_kind)kind, w);
    json_end_object(w);
    json_end_object(w);
}
