/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/scale_agents.h"

#include "domain/device.h"

enum { START_S = 2, DRAIN_S = 1 };

/* ---- taking up what is wanted ---- */

static struct scale_engine *find_engine(struct scale_agent *agent, int64_t id)
{
    for (size_t i = 0; i < agent->count; i++)
        if (agent->engines[i].id == id)
            return &agent->engines[i];
    return NULL;
}

static struct scale_engine take_up(struct scale_agent *agent, const struct model_instance *instance,
                                   int64_t now_s)
{
    const struct scale_engine *known = find_engine(agent, instance->id);
    struct scale_engine engine = {
        .id = instance->id, .generation = instance->model_generation, .since_s = now_s};
    if (known && known->generation == instance->model_generation)
        engine = *known;
    if (instance->is_draining && !engine.is_draining)
        engine.since_s = now_s;
    engine.is_draining = instance->is_draining;
    return engine;
}

/* The line that control has written, without reading its text. */
static void follow(struct scale_agent *agent, int64_t now_s, const struct scale_control *control)
{
    const struct index_bucket *bucket =
        number_index_find(&control->cluster.instances_on_worker, agent->worker_id);
    size_t count = bucket ? bucket->count : 0;
    struct scale_engine *engines = mem_alloc_array(count + 1, sizeof *engines);
    for (size_t i = 0; i < count; i++)
        engines[i] = take_up(agent, bucket->rows[i], now_s);
    free(agent->engines);
    agent->engines = engines;
    agent->count = count;
    agent->seen_generation = control->members[agent->worker_id].generation;
    agent->is_due = true;
}

static void advance(struct scale_agent *agent, int64_t now_s)
{
    for (size_t i = 0; i < agent->count; i++) {
        struct scale_engine *engine = &agent->engines[i];
        bool is_running = engine->was_running || now_s - engine->since_s >= START_S;
        bool is_drained = engine->is_draining && now_s - engine->since_s >= DRAIN_S;
        agent->is_due = agent->is_due || is_running != engine->was_running ||
                        is_drained != engine->was_drained;
        engine->was_running = is_running;
        engine->was_drained = is_drained;
    }
}

/* ---- reporting ---- */

static void write_engine(const struct scale_engine *engine, struct buf *out)
{
    const char *state = engine->was_running && !engine->was_drained ? "running" : "starting";
    buf_printf(out,
               "{\"id\":%lld,\"model_generation\":%lld,\"state\":\"%s\",\"state_reason\":\"none\","
               "\"state_message\":\"\",\"pid\":%lld,\"port\":40000,\"ports\":[40000],"
               "\"resolved_path\":\"/models/m.gguf\",\"restart_count\":0,\"failures\":0,"
               "\"download_progress\":100,\"drained\":%s,"
               "\"computed_resource_claim\":{\"ram\":1073741824}}",
               (long long)engine->id, (long long)engine->generation, state,
               1000 + (long long)engine->id, engine->was_drained ? "true" : "false");
}

static void report(struct scale_agents *agents, struct scale_agent *agent, int64_t now_s,
                   struct scale_control *control)
{
    struct buf *body = &agents->body;
    buf_clear(body);
    buf_printf(body,
               "{\"generation\":%lld,\"status\":{\"cpu\":{\"total\":64,\"utilization_rate\":%lld},"
               "\"memory\":{\"total\":549755813888,\"used\":%lld},\"uptime\":{\"uptime\":%lld},"
               "\"gpu_devices\":%s},\"instances\":[",
               (long long)agent->seen_generation, (long long)(now_s % 100),
               (long long)(now_s * 4096), (long long)now_s, agents->devices.ptr);
    for (size_t i = 0; i < agent->count; i++) {
        buf_add_cstr(body, i ? "," : "");
        write_engine(&agent->engines[i], body);
    }
    buf_add_cstr(body, "]}");
    agent->is_due = false;
    scale_report(control, agent->worker_id, body->ptr);
}

static void step(struct scale_agents *agents, struct scale_agent *agent, int64_t now_s,
                 struct scale_control *control)
{
    if (agent->seen_generation != control->members[agent->worker_id].generation)
        follow(agent, now_s, control);
    advance(agent, now_s);
    if (agent->is_due || (now_s + agent->worker_id) % SCALE_REPORT_S == 0)
        report(agents, agent, now_s, control);
}

void scale_agents_step(struct scale_agents *agents, int64_t now_s, struct scale_control *control)
{
    for (size_t i = 0; i < agents->count; i++) {
        struct scale_agent *agent = &agents->items[i];
        if (agent->has_joined && !agent->is_silent)
            step(agents, agent, now_s, control);
    }
}

/* ---- joining ---- */

void scale_agent_join(struct scale_agents *agents, size_t number, struct scale_control *control)
{
    struct scale_agent *agent = &agents->items[number];
    auto_free char *body =
        mem_printf("{\"name\":\"node%zu\",\"hostname\":\"node%zu\",\"ip\":\"10.%zu.%zu.%zu\","
                   "\"port\":10150,\"worker_uuid\":\"uuid-%zu\",\"netns_id\":\"n%zu\","
                   "\"labels\":{\"os\":\"linux\",\"zone\":\"%c\"}}",
                   number, number, number >> 16, number >> 8 & 255, number & 255, number, number,
                   "abcd"[number % 4]);
    scale_register(control, body);
    agent->worker_id = (int64_t)number + 1;
    scale_subscribe(control, agent->worker_id);
    agent->has_joined = true;
    agent->is_due = true;
}

/* ---- life ---- */

static void write_devices(struct buf *out)
{
    char name[] = "Accelerator 64 GB", vendor[] = "NVIDIA", type[] = "cuda";
    char uuid[] = "GPU-00000000-0000-0000-0000-000000000000";
    struct device devices[SCALE_DEVICES];
    for (int i = 0; i < SCALE_DEVICES; i++)
        devices[i] = (struct device){.index = i,
                                     .island = -1,
                                     .is_healthy = true,
                                     .device_index = i,
                                     .name = name,
                                     .vendor = vendor,
                                     .type = type,
                                     .uuid = uuid,
                                     .memory = {.total_bytes = 64ULL << 30},
                                     .core_utilization = 37,
                                     .temperature_c = 51,
                                     .power_w = 250};
    const struct device_list list = {.items = devices, .count = SCALE_DEVICES};
    struct json_writer w = json_writer_into(out);
    device_list_write(&list, &w);
}

void scale_agents_init(struct scale_agents *agents, size_t count)
{
    *agents = (struct scale_agents){.count = count};
    agents->items = mem_alloc_array(count, sizeof *agents->items);
    write_devices(&agents->devices);
}

void scale_agents_fini(struct scale_agents *agents)
{
    for (size_t i = 0; i < agents->count; i++)
        free(agents->items[i].engines);
    free(agents->items);
    buf_fini(&agents->devices);
    buf_fini(&agents->body);
}
