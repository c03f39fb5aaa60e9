/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine takes of the machine: whether that is there before it is started, and how much it
 * was when it serves. Both go by a look at the devices that was asked for at that time.
 */
#include "base/file.h"
#include "base/num.h"
#include "worker/confirm.h"
#include "worker/runner_priv.h"
#include "worker/status.h"

enum { MEMINFO_MAX = 64 << 10 };

/* ---- looks ---- */

void runner_ask_look(struct runner *runner)
{
    const struct runner_host *host = runner->host;
    runner->look = host->look(host->ctx);
    runner->look_until_ms = runner_now_ms(runner) + RUNNER_DEVICES_WAIT_MS;
}

bool runner_has_looked(const struct runner *runner)
{
    const struct runner_host *host = runner->host;
    return host->has_looked(host->ctx, runner->look) ||
           runner_now_ms(runner) >= runner->look_until_ms;
}

int64_t runner_launch_at_ms(const struct runner *runner)
{
    const struct runner_host *host = runner->host;
    if (runner->wanted.gpu_indexes.count == 0)
        return runner->launch_at_ms;
    int64_t known_ms = host->devices_known_at(host->ctx);
    int64_t at_ms = known_ms > runner->launch_at_ms ? known_ms : runner->launch_at_ms;
    if (runner->look && !runner_has_looked(runner) && runner->look_until_ms > at_ms)
        at_ms = runner->look_until_ms;
    return at_ms;
}

/* ---- other engines of this worker ---- */

static bool shares_devices(const struct runner *a, const struct runner *b)
{
    const struct int_list *of_a = &a->wanted.gpu_indexes, *of_b = &b->wanted.gpu_indexes;
    for (size_t i = 0; i < of_a->count; i++)
        for (size_t k = 0; k < of_b->count; k++)
            if (of_a->items[i] == of_b->items[k])
                return true;
    return false;
}

/* Its process has taken, or gives back, memory of unknown size just now. */
static bool is_moving(const struct runner *runner)
{
    return runner->phase == PHASE_STARTING || runner->phase == PHASE_STOPPING;
}

void runner_disturb_others(const struct runner *runner)
{
    LIST_FOR_EACH(struct runner, other, runner->host->runners, node) {
        if (other != runner && shares_devices(other, runner))
            other->is_disturbed = true;
    }
}

static bool is_disturbed_at_launch(const struct runner *runner)
{
    LIST_FOR_EACH(struct runner, other, runner->host->runners, node) {
        if (other != runner && is_moving(other) && shares_devices(other, runner))
            return true;
    }
    return false;
}

/* Whether an engine is being stopped that will give back what is asked for. */
static bool awaits_another(const struct runner *runner, const struct shortage *shortage)
{
    LIST_FOR_EACH(struct runner, other, runner->host->runners, node) {
        if (other != runner && other->phase == PHASE_STOPPING &&
            (shortage->gpu_index < 0 || shares_devices(other, runner)))
            return true;
    }
    return false;
}

static size_t count_runners(const struct runner_host *host)
{
    size_t count = 0;
    LIST_FOR_EACH(struct runner, counted, host->runners, node) {
        count += counted != NULL;
    }
    return count;
}

/* Those that were launched lately and may not have taken yet what they claim. */
struct others {
    struct confirm_other *items;   /* owned */
    struct resource_claim *claims; /* owned, each owned */
    size_t count;
};

static void find_others(const struct runner *runner, struct others *ret)
{
    size_t most = count_runners(runner->host);
    *ret = (struct others){.items = mem_alloc_array(most, sizeof *ret->items),
                           .claims = mem_alloc_array(most, sizeof *ret->claims)};
    LIST_FOR_EACH(struct runner, other, runner->host->runners, node) {
        int64_t age_ms = runner_now_ms(runner) - other->launched_ms;
        if (other == runner || other->phase != PHASE_STARTING || !other->launched_ms ||
            age_ms >= RUNNER_TAKING_MS)
            continue;
        struct resource_claim *claim = &ret->claims[ret->count];
        desired_instance_claim(&other->wanted, claim);
        ret->items[ret->count++] = (struct confirm_other){
            .claim = claim, .before = &other->before, .ram_bytes = other->progress.rss_bytes};
    }
}

static void others_fini(struct others *others)
{
    for (size_t i = 0; i < others->count; i++)
        claim_fini(&others->claims[i]);
    free(others->claims);
    free(others->items);
}

/* ---- before the launch ---- */

static void read_memory(struct memory_info *ret)
{
    struct buf text = {0};
    *ret = (struct memory_info){0};
    if (file_read("/proc/meminfo", MEMINFO_MAX, &text, NULL) == 0)
        status_parse_memory(buf_str(&text), ret);
    buf_fini(&text);
}

static bool has_room(const struct runner *runner, const struct resource_claim *claim,
                     struct shortage *ret)
{
    const struct runner_host *host = runner->host;
    struct memory_info memory;
    struct others others;
    read_memory(&memory);
    find_others(runner, &others);
    const struct confirm_input input = {.claim = claim,
                                        .devices = host->devices(host->ctx),
                                        .ram_total_bytes = memory.total_bytes,
                                        .ram_available_bytes = memory.available_bytes,
                                        .others = others.items,
                                        .other_count = others.count};
    bool fits = confirm_claim(&input, ret);
    others_fini(&others);
    return fits;
}

static void tell_shortage(const struct runner *runner, const struct shortage *shortage,
                          struct trouble *fault)
{
    const char *worker = runner->host->node->name;
    auto_free char *needs = num_format_bytes(shortage->needs_bytes);
    auto_free char *free_text = num_format_bytes(shortage->free_bytes);
    auto_free char *total = num_format_bytes(shortage->total_bytes);
    if (shortage->gpu_index < 0) {
        trouble_set(fault, REASON_HOST_MEMORY_TAKEN,
                    "worker %s: the model needs %s of main memory, %s of %s are free; others have "
                    "taken it since the model was placed",
                    worker, needs, free_text, total);
    } else {
        trouble_set(fault, REASON_DEVICE_MEMORY_TAKEN,
                    "worker %s: the model needs %s of device %lld, %s of %s are free; others have "
                    "taken it since the model was placed",
                    worker, needs, (long long)shortage->gpu_index, free_text, total);
        trouble_add_int(fault, "gpu_index", shortage->gpu_index);
    }
    trouble_add_int(fault, "needs", (int64_t)shortage->needs_bytes);
    trouble_add_int(fault, "free", (int64_t)shortage->free_bytes);
}

enum runner_room runner_confirm(struct runner *runner, struct trouble *fault)
{
    bool has_devices = runner->wanted.gpu_indexes.count > 0;
    if (has_devices && !runner->look)
        runner_ask_look(runner);
    if (has_devices && !runner_has_looked(runner))
        return ROOM_UNKNOWN;
    runner->look = 0;
    struct resource_claim claim = {0};
    struct shortage shortage;
    desired_instance_claim(&runner->wanted, &claim);
    enum runner_room room = ROOM_THERE;
    if (!claim_is_empty(&claim) && !has_room(runner, &claim, &shortage))
        room = awaits_another(runner, &shortage) ? ROOM_UNKNOWN : ROOM_TAKEN;
    if (room == ROOM_TAKEN)
        tell_shortage(runner, &shortage, fault);
    else if (room == ROOM_UNKNOWN)
        runner->launch_at_ms = runner_now_ms(runner) + RUNNER_ROOM_WAIT_MS;
    claim_fini(&claim);
    return room;
}

/* ---- measuring ---- */

static uint64_t used_now(const struct runner *runner, int64_t index)
{
    const struct device_list *devices = runner->host->devices(runner->host->ctx);
    for (size_t i = 0; i < devices->count; i++)
        if (devices->items[i].index == index)
            return devices->items[i].memory.used_bytes;
    return 0;
}

void runner_note_launch(struct runner *runner)
{
    const struct int_list *indexes = &runner->wanted.gpu_indexes;
    runner->launched_ms = runner_now_ms(runner);
    runner->is_disturbed = is_disturbed_at_launch(runner);
    runner->progress = (struct proc_progress){0};
    claim_fini(&runner->before);
    for (size_t i = 0; i < indexes->count; i++)
        claim_add_device(&runner->before, indexes->items[i], used_now(runner, indexes->items[i]));
    runner_disturb_others(runner);
}

/* Of devices what their use has grown by, when nobody else can have made it grow or shrink. */
static void measure_devices(const struct runner *runner, struct resource_claim *ret)
{
    for (size_t i = 0; !runner->is_disturbed && i < runner->before.device_count; i++) {
        const struct claim_device *before = &runner->before.devices[i];
        uint64_t now = used_now(runner, before->index);
        if (now > before->bytes)
            claim_add_device(ret, before->index, now - before->bytes);
    }
}

static void measure(struct runner *runner)
{
    struct proc_progress progress;
    if (proc_read_progress(process_identity(runner->process), &progress) < 0)
        return;
    struct resource_claim measured = {.ram_bytes = progress.rss_bytes};
    measure_devices(runner, &measured);
    free(runner->record.measured_claim);
    runner->record.measured_claim = claim_text(&measured);
    claim_fini(&measured);
    runner_save_or_warn(runner);
    runner_changed(runner);
}

void runner_begin_measure(struct runner *runner)
{
    if (!runner->launched_ms)
        return; /* adopted: nobody knows what was in use before it */
    if (runner->before.device_count)
        runner_ask_look(runner);
    else
        measure(runner);
}

void runner_hear_devices(struct runner *runner)
{
    if (runner->phase != PHASE_SERVING || !runner->look || !runner_has_looked(runner))
        return;
    runner->look = 0;
    measure(runner);
}
