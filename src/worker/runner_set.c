/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/runner_set.h"

#include "base/file.h"
#include "base/log.h"
#include "worker/launch.h"

struct runner_set {
    struct runner_host host;
    struct list_node runners;
    struct desired_state desired;
    int64_t last_port; /* that was handed out */
    char *record_dir, *serve_dir, *bin_dir;
    struct timer pass;
    struct timer tend;
    int64_t devices_due_ms; /* loop time until which the devices are waited for */
    const struct device_list *(*devices)(void *ctx);
    uint64_t (*look)(void *ctx);
    bool (*has_looked)(void *ctx, uint64_t look);
    void (*on_change)(void *ctx);
    void *ctx;
};

/* ---- the pass ---- */

static void add_runner(struct runner_set *set, struct runner *runner)
{
    list_add_tail(&set->runners, &runner->node);
}

struct runner *runner_set_find(const struct runner_set *set, int64_t instance_id)
{
    LIST_FOR_EACH(struct runner, runner, &set->runners, node) {
        if (runner->record.id == instance_id)
            return runner;
    }
    return NULL;
}

static void carry_out(struct runner_set *set, const struct effect *effect)
{
    struct runner *runner = runner_set_find(set, effect->id);
    switch (effect->kind) {
    case EFFECT_ADD:
        add_runner(set, runner_new(&set->host, effect->desired));
        return;
    case EFFECT_START:
        runner_start(runner, effect->desired);
        return;
    case EFFECT_LAUNCH:
        runner_launch(runner, effect->desired);
        return;
    case EFFECT_STOP:
        runner_stop(runner, effect->stop);
        return;
    case EFFECT_RENEW:
        runner_renew(runner, effect->desired);
        return;
    case EFFECT_REMOVE:
        list_remove(&runner->node);
        runner_remove(runner);
        return;
    }
}

/* Returns owned; `ret_count` items. */
static struct observed_instance *observe(const struct runner_set *set, size_t *ret_count)
{
    size_t count = 0;
    LIST_FOR_EACH(struct runner, counted, &set->runners, node) {
        (void)counted;
        count++;
    }
    struct observed_instance *observed = mem_alloc_array(count + 1, sizeof *observed);
    size_t i = 0;
    LIST_FOR_EACH(struct runner, runner, &set->runners, node) {
        observed[i++] = runner_observe(runner);
    }
    *ret_count = count;
    return observed;
}

static void on_pass(struct timer *timer, void *ctx)
{
    struct runner_set *set = ctx;
    size_t count;
    auto_free struct observed_instance *observed = observe(set, &count);
    int64_t now_ms = loop_now_ms(set->host.loop);
    struct effects effects = {0};
    int64_t wake_ms = worker_reconcile(&set->desired, observed, count, now_ms, &effects);
    for (size_t i = 0; i < effects.count; i++)
        carry_out(set, &effects.items[i]);
    if (effects.count) {
        timer_start(timer, 0); /* what was done may call for more */
        set->on_change(set->ctx);
    } else if (wake_ms != INT64_MAX) {
        timer_start(timer, wake_ms > now_ms ? wake_ms - now_ms : 0);
    }
    effects_fini(&effects);
}

static void on_runner_change(struct runner *runner, void *ctx)
{
    struct runner_set *set = ctx;
    timer_start(&set->pass, 0);
    set->on_change(set->ctx);
}

void runner_set_desire(struct runner_set *set, struct desired_state *desired)
{
    desired_state_fini(&set->desired);
    set->desired = *desired;
    *desired = (struct desired_state){0};
    LIST_FOR_EACH(struct runner, runner, &set->runners, node) {
        const struct desired_instance *wanted =
            desired_state_find(&set->desired, runner->record.id);
        if (wanted)
            runner_update(runner, wanted);
    }
    timer_start(&set->pass, 0);
    set->on_change(set->ctx);
}

/* ---- what runners ask for ---- */

static int reserve_ports(void *ctx, unsigned count, struct err *err)
{
    struct runner_set *set = ctx;
    struct int_list taken = {0};
    LIST_FOR_EACH(struct runner, runner, &set->runners, node) {
        for (size_t i = 0; i < runner->record.ports.count; i++)
            int_list_add(&taken, runner->record.ports.items[i]);
    }
    int first = ports_reserve(set->host.ports, count, &taken, set->last_port, err);
    int_list_fini(&taken);
    if (first > 0)
        set->last_port = first + (int64_t)count - 1;
    return first;
}

static const struct device_list *devices(void *ctx)
{
    static const struct device_list none;
    const struct runner_set *set = ctx;
    const struct device_list *known = set->devices(set->ctx);
    return known ? known : &none;
}

static int64_t devices_known_at(void *ctx)
{
    const struct runner_set *set = ctx;
    return set->devices(set->ctx) ? 0 : set->devices_due_ms;
}

static uint64_t look(void *ctx)
{
    const struct runner_set *set = ctx;
    return set->look(set->ctx);
}

static bool has_looked(void *ctx, uint64_t number)
{
    const struct runner_set *set = ctx;
    return set->has_looked(set->ctx, number);
}

static void on_tend(struct timer *timer, void *ctx)
{
    struct runner_set *set = ctx;
    LIST_FOR_EACH(struct runner, runner, &set->runners, node) {
        runner_tend(runner);
    }
    timer_start(timer, RUNNER_SET_TEND_MS);
}

void runner_set_wake(struct runner_set *set)
{
    if (!set)
        return;
    LIST_FOR_EACH(struct runner, runner, &set->runners, node) {
        runner_hear_devices(runner);
    }
    timer_start(&set->pass, 0);
}

void runner_set_join(struct runner_set *set)
{
    const char *own = set->host.node->cluster_id;
    LIST_FOR_EACH(struct runner, runner, &set->runners, node) {
        const char *cluster = runner->record.cluster_id;
        if (!cluster || !*cluster || strcmp(cluster, own) == 0)
            continue;
        log_warning("worker", "%s: its engine is of cluster %s and is left alone in cluster %s",
                    runner->record.name, cluster, own);
        list_remove(&runner->node);
        runner_free(runner);
    }
}

/* ---- life ---- */

static void adopt_all(struct runner_set *set)
{
    struct found_engines found = {0};
    engines_find(set->record_dir, set->host.node->uuid, &found);
    for (size_t i = 0; i < found.faults.count; i++)
        log_warning("worker", "a record of an engine is not used: %s", found.faults.items[i]);
    for (size_t i = 0; i < found.count; i++)
        add_runner(set, runner_adopt(&set->host, &found.items[i]));
    found_engines_fini(&found);
}

int runner_set_new(const struct runner_set_params *params, struct runner_set **ret, struct err *err)
{
    const struct config *config = params->config;
    auto_free char *record_dir = engine_record_dir(config->data_dir);
    auto_free char *serve_dir = launch_serve_dir(config->log_dir);
    int rc = file_make_dirs(record_dir, 0755, err);
    if (rc == 0)
        rc = file_make_dirs(serve_dir, 0755, err);
    if (rc < 0)
        return rc;
    struct runner_set *set = mem_alloc(sizeof *set);
    set->record_dir = TAKE(record_dir);
    set->serve_dir = TAKE(serve_dir);
    set->bin_dir = mem_strdup(config->bin_dir);
    set->devices = params->devices;
    set->look = params->look;
    set->has_looked = params->has_looked;
    set->devices_due_ms = loop_now_ms(params->loop) + RUNNER_DEVICES_WAIT_MS;
    set->on_change = params->on_change;
    set->ctx = params->ctx;
    set->host =
        (struct runner_host){.loop = params->loop,
                             .pool = params->pool,
                             .node = params->node,
                             .record_dir = set->record_dir,
                             .serve_dir = set->serve_dir,
                             .bin_dir = set->bin_dir,
                             .drain_timeout_ms = config->drain_timeout * 1000,
                             .ports = {config->service_port_first, config->service_port_last},
                             .reserve_ports = reserve_ports,
                             .devices = devices,
                             .devices_known_at = devices_known_at,
                             .look = look,
                             .has_looked = has_looked,
                             .runners = &set->runners,
                             .on_change = on_runner_change,
                             .ctx = set};
    list_init(&set->runners);
    timer_init(&set->pass, params->loop, on_pass, set);
    timer_init(&set->tend, params->loop, on_tend, set);
    timer_start(&set->tend, RUNNER_SET_TEND_MS);
    adopt_all(set);
    *ret = set;
    return 0;
}

void runner_set_free(struct runner_set *set)
{
    if (!set)
        return;
    LIST_FOR_EACH(struct runner, runner, &set->runners, node) {
        runner_free(runner);
    }
    timer_stop(&set->pass);
    timer_stop(&set->tend);
    desired_state_fini(&set->desired);
    free(set->record_dir);
    free(set->serve_dir);
    free(set->bin_dir);
    free(set);
}

/* ---- what others see ---- */

bool runner_set_is_settled(const struct runner_set *set)
{
    LIST_FOR_EACH(struct runner, runner, &set->runners, node) {
        if (!runner_is_settled(runner))
            return false;
    }
    return true;
}

int64_t runner_set_generation(const struct runner_set *set)
{
    return set->desired.generation;
}

void runner_set_write_report(const struct runner_set *set, struct json_writer *w)
{
    json_begin_array(w);
    LIST_FOR_EACH(struct runner, runner, &set->runners, node) {
        runner_write_report(runner, w);
    }
    json_end_array(w);
}

const char *runner_set_serve_dir(const struct runner_set *set)
{
    return set->serve_dir;
}
