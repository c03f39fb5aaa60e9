/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of all workers, as their reports show them; id "worker:type:index" as in GPUStack. */
#include "api/api_priv.h"

static void write_device(const struct worker *worker, json_t *device, struct json_writer *w)
{
    const char *type = json_member_string(device, "type");
    auto_free char *id = mem_printf("%s:%s:%lld", worker->name, type ? type : "unknown",
                                    (long long)json_member_int(device, "index", 0));
    json_begin_object(w);
    json_put_string(w, "id", id);
    json_put_int(w, "worker_id", worker->id);
    json_put_string(w, "worker_name", worker->name);
    json_put_string(w, "worker_ip", worker->ip);
    const char *key;
    json_t *value;
    json_object_foreach(device, key, value) {
        json_add_key(w, key);
        json_add_tree(w, value);
    }
    json_end_object(w);
}

static int64_t write_worker(const struct worker *worker, struct json_writer *w)
{
    auto_fini(json_release) json_t *status = NULL;
    if (!worker->status || json_read(str_of(worker->status), &status, NULL) < 0)
        return 0;
    const json_t *devices = json_object_get(status, "gpu_devices");
    size_t i;
    json_t *device;
    json_array_foreach(devices, i, device)
        write_device(worker, device, w);
    return (int64_t)json_array_size(devices);
}

int gpu_devices_list(struct request *rq, struct err *err)
{
    int64_t total = 0;
    json_begin_object(&rq->json);
    json_add_key(&rq->json, "items");
    json_begin_array(&rq->json);
    CLUSTER_FOR_EACH(rq->cluster, KIND_WORKER, struct worker, worker)
        total += write_worker(worker, &rq->json);
    json_end_array(&rq->json);
    json_add_key(&rq->json, "pagination");
    json_begin_object(&rq->json);
    json_put_int(&rq->json, "page", 1);
    json_put_int(&rq->json, "perPage", total);
    json_put_int(&rq->json, "total", total);
    json_put_int(&rq->json, "totalPage", total ? 1 : 0);
    json_end_object(&rq->json);
    json_end_object(&rq->json);
    return 0;
}
