/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack workers` and `gpustack devices`: the machines and their accelerators. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"
#include "app/text_table.h"
#include "base/num.h"

static char *bytes_text(const json_t *holder, const char *key)
{
    int64_t bytes = json_member_int(holder, key, -1);
    return bytes < 0 ? mem_strdup("-") : num_format_bytes((uint64_t)bytes);
}

static void add_worker_row(struct text_table *table, const json_t *worker)
{
    const json_t *status = json_object_get(worker, "status");
    const json_t *memory = json_object_get(status, "memory");
    auto_free char *total = bytes_text(memory, "total");
    auto_free char *used = bytes_text(memory, "used");
    auto_free char *devices =
        mem_printf("%zu", json_array_size(json_object_get(status, "gpu_devices")));
    auto_free char *cpus = mem_printf("%lld", (long long)json_number_value(json_object_get(
                                                  json_object_get(status, "cpu"), "total")));
    auto_free char *age = age_since(json_member_string(worker, "heartbeat_time"));
    const char *message = json_member_string(worker, "state_message");
    text_table_row(table, json_member_string(worker, "name"), json_member_string(worker, "state"),
                   json_member_string(worker, "ip"), cpus, used, total, devices, age,
                   message && *message ? message : "-", NULL);
}

static int run_workers(struct cli *cli, void *ctx, struct err *err)
{
    static const char *const head[] = {"NAME",  "STATE",   "ADDRESS", "CPUS",    "MEMORY USED",
                                       "TOTAL", "DEVICES", "SEEN",    "MESSAGE", NULL};
    return cli_show_list(cli, "/v2/workers", head, add_worker_row, err);
}

int cmd_workers(int argc, char **argv)
{
    static const struct cli_spec spec = {
        .command = "workers", .arguments = "", .summary = "Lists the machines of the cluster."};
    return cli_main(&spec, argc, argv, run_workers, NULL);
}

static void add_device_row(struct text_table *table, const json_t *device)
{
    const json_t *memory = json_object_get(device, "memory");
    const json_t *core = json_object_get(device, "core");
    auto_free char *total = bytes_text(memory, "total");
    auto_free char *used = bytes_text(memory, "used");
    const json_t *load = json_object_get(core, "utilization_rate");
    auto_free char *busy =
        json_is_number(load) ? mem_printf("%.0f%%", json_number_value(load)) : mem_strdup("-");
    text_table_row(table, json_member_string(device, "id"), json_member_string(device, "vendor"),
                   json_member_string(device, "name"), used, total, busy, NULL);
}

static int run_devices(struct cli *cli, void *ctx, struct err *err)
{
    static const char *const head[] = {"DEVICE", "VENDOR", "NAME", "MEMORY USED",
                                       "TOTAL",  "BUSY",   NULL};
    return cli_show_list(cli, "/v2/gpu-devices", head, add_device_row, err);
}

int cmd_devices(int argc, char **argv)
{
    static const struct cli_spec spec = {
        .command = "devices", .arguments = "", .summary = "Lists the accelerators of all workers."};
    return cli_main(&spec, argc, argv, run_devices, NULL);
}
