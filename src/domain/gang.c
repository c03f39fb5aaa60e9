/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/gang.h"

#include "domain/reason.h"

static void rank_fini(struct gang_rank *rank)
{
    free(rank->worker_name);
    free(rank->worker_ip);
    free(rank->state_message);
    int_list_fini(&rank->gpu_indexes);
    int_list_fini(&rank->ports);
    claim_fini(&rank->claim);
}

void gang_fini(struct gang *gang)
{
    for (size_t i = 0; i < gang->rank_count; i++)
        rank_fini(&gang->ranks[i]);
    free(gang->ranks);
    *gang = (struct gang){0};
}

static struct gang_rank *append_rank(struct gang *gang)
{
    gang->ranks = mem_resize(gang->ranks, (gang->rank_count + 1) * sizeof *gang->ranks);
    struct gang_rank *rank = &gang->ranks[gang->rank_count++];
    *rank = (struct gang_rank){.state = INSTANCE_SCHEDULED};
    return rank;
}

void gang_add_rank(struct gang *gang, int64_t worker_id, const char *worker_name,
                   const char *worker_ip, const struct int_list *gpu_indexes)
{
    struct gang_rank *rank = append_rank(gang);
    rank->worker_id = worker_id;
    mem_replace(&rank->worker_name, worker_name);
    mem_replace(&rank->worker_ip, worker_ip);
    for (size_t i = 0; i < gpu_indexes->count; i++)
        int_list_add(&rank->gpu_indexes, gpu_indexes->items[i]);
}

int gang_rank_of(const struct gang *gang, int64_t worker_id)
{
    for (size_t i = 0; i < gang->rank_count; i++)
        if (gang->ranks[i].worker_id == worker_id)
            return (int)i;
    return -1;
}

bool instance_is_gang(const struct model_instance *instance)
{
    return instance->subordinate_worker_ids.count > 0;
}

/* A rank's claim isn't in `computed_resource_claim`, which is rank 0's. */
static void find_rank_claim(const struct model_instance *instance, int64_t worker_id,
                            struct resource_claim *ret)
{
    struct gang gang = {0};
    if (gang_read(instance->distributed_servers, &gang, NULL) < 0)
        return;
    int rank = gang_rank_of(&gang, worker_id);
    if (rank >= 0)
        claim_copy(ret, &gang.ranks[rank].claim);
    gang_fini(&gang);
}

static void read_claim(const char *text, struct resource_claim *ret)
{
    claim_fini(ret);
    if (text && claim_read(str_of(text), ret, NULL) < 0)
        claim_fini(ret);
}

void instance_desired_claim_on(const struct model_instance *instance, int64_t worker_id,
                               struct resource_claim *ret)
{
    claim_fini(ret);
    if (instance->worker_id == worker_id)
        read_claim(instance->computed_resource_claim, ret);
    else if (instance_is_gang(instance))
        find_rank_claim(instance, worker_id, ret);
}

void instance_claim_on(const struct model_instance *instance, int64_t worker_id,
                       struct resource_claim *ret)
{
    instance_desired_claim_on(instance, worker_id, ret);
    if (instance->worker_id == worker_id && claim_is_empty(ret))
        read_claim(instance->measured_claim, ret);
}

/* ---- reading ---- */

static void read_ints(const json_t *array, struct int_list *ret)
{
    size_t i;
    json_t *value;
    json_array_foreach(array, i, value)
        int_list_add(ret, json_integer_value(value));
}

static void read_rank(struct gang *gang, const json_t *object)
{
    struct gang_rank *rank = append_rank(gang);
    rank->worker_id = json_member_int(object, "worker_id", 0);
    mem_replace(&rank->worker_name, json_member_string(object, "worker_name"));
    mem_replace(&rank->worker_ip, json_member_string(object, "worker_ip"));
    mem_replace(&rank->state_message, json_member_string(object, "state_message"));
    read_ints(json_object_get(object, "gpu_indexes"), &rank->gpu_indexes);
    read_ints(json_object_get(object, "ports"), &rank->ports);
    const json_t *claim = json_object_get(object, "computed_resource_claim");
    if (claim_read_value(claim, &rank->claim, NULL) < 0)
        claim_fini(&rank->claim);
    rank->pid = json_member_int(object, "pid", 0);
    rank->is_prepared = json_is_true(json_object_get(object, "prepared"));
    const char *state = json_member_string(object, "state");
    const char *reason = json_member_string(object, "state_reason");
    enum instance_state known;
    if (state && instance_state_parse(state, &known) == 0)
        rank->state = (int)known;
    rank->state_reason = (int)(reason ? reason_parse(reason) : REASON_NONE);
}

int gang_read(const char *text, struct gang *ret, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    int rc = json_read(str_of(text), &root, err);
    const json_t *main_worker = json_object_get(root, "main_worker");
    const json_t *others = json_object_get(root, "subordinate_workers");
    if (rc == 0 && (!json_is_object(main_worker) || !json_is_array(others)))
        rc = err_set(err, ERR_INVALID, "distributed_servers must have main_worker and "
                                       "subordinate_workers");
    if (rc < 0)
        return rc;
    ret->epoch = json_member_int(root, "epoch", 1);
    ret->go = json_is_true(json_object_get(root, "go"));
    ret->failed_rank = json_member_int(root, "failed_rank", -1);
    read_rank(ret, main_worker);
    size_t i;
    json_t *other;
    json_array_foreach(others, i, other)
        read_rank(ret, other);
    return 0;
}

/* ---- writing ---- */

static void write_ints(struct json_writer *w, const char *key, const struct int_list *list)
{
    json_add_key(w, key);
    json_begin_array(w);
    for (size_t i = 0; i < list->count; i++)
        json_add_int(w, list->items[i]);
    json_end_array(w);
}

static void write_rank(const struct gang_rank *rank, struct json_writer *w)
{
    static const struct int_list none = {0};
    json_begin_object(w);
    json_put_int(w, "worker_id", rank->worker_id);
    json_put_string(w, "worker_name", rank->worker_name);
    json_put_string(w, "worker_ip", rank->worker_ip);
    write_ints(w, "gpu_indexes", &rank->gpu_indexes);
    write_ints(w, "gpu_addresses", &none);
    json_add_key(w, "computed_resource_claim");
    if (claim_is_empty(&rank->claim))
        json_add_null(w);
    else
        claim_write(&rank->claim, w);
    write_ints(w, "ports", &rank->ports);
    json_put_int(w, "pid", rank->pid);
    json_put_bool(w, "prepared", rank->is_prepared);
    json_put_string(w, "state", instance_state_name((enum instance_state)rank->state));
    json_put_string(w, "state_reason", reason_name((enum reason)rank->state_reason));
    json_put_string(w, "state_message", rank->state_message ? rank->state_message : "");
    json_end_object(w);
}

void gang_store(const struct gang *gang, struct model_instance *instance)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_begin_object(&w);
    json_put_string(&w, "mode", "initialize_later");
    json_put_bool(&w, "download_model_files", true);
    json_put_int(&w, "epoch", gang->epoch);
    json_put_bool(&w, "go", gang->go);
    json_add_key(&w, "failed_rank");
    if (gang->failed_rank < 0)
        json_add_null(&w);
    else
        json_add_int(&w, gang->failed_rank);
    json_add_key(&w, "main_worker");
    write_rank(&gang->ranks[0], &w);
    json_add_key(&w, "subordinate_workers");
    json_begin_array(&w);
    int_list_fini(&instance->subordinate_worker_ids);
    for (size_t i = 1; i < gang->rank_count; i++) {
        write_rank(&gang->ranks[i], &w);
        int_list_add(&instance->subordinate_worker_ids, gang->ranks[i].worker_id);
    }
    json_end_array(&w);
    json_end_object(&w);
    free(instance->distributed_servers);
    instance->distributed_servers = buf_take(&text);
}
