/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/reason.h"

#include <assert.h>
#include <string.h>

const char *const reason_names[REASON_COUNT] = {
    [REASON_NONE] = "none",
    [REASON_NO_WORKER] = "no_worker",
    [REASON_NO_WORKER_FITS] = "no_worker_fits",
    [REASON_READING_MODEL] = "reading_model",
    [REASON_MODEL_UNREACHABLE] = "model_unreachable",
    [REASON_MODEL_MISSING] = "model_missing",
    [REASON_DOWNLOAD_PAUSED] = "download_paused",
    [REASON_NEW_SETTINGS] = "new_settings",
    [REASON_UNKNOWN_TO_WORKER] = "unknown_to_worker",
    [REASON_WORKER_LOST] = "worker_lost",
    [REASON_SCALED_DOWN] = "scaled_down",
    [REASON_REPLACED] = "replaced",
    [REASON_MAINTENANCE] = "maintenance",
    [REASON_PROBE_FAILS] = "probe_fails",
    [REASON_SOURCE_UNSUPPORTED] = "source_unsupported",
    [REASON_MODEL_PATH_MISSING] = "model_path_missing",
    [REASON_MODEL_FILE_INVALID] = "model_file_invalid",
    [REASON_HUB_REFUSED] = "hub_refused",
    [REASON_FILE_MISSING] = "file_missing",
    [REASON_ENGINE_MISSING] = "engine_missing",
    [REASON_NOT_DISTRIBUTABLE] = "not_distributable",
    [REASON_BAD_PARAMETERS] = "bad_parameters",
    [REASON_NO_FREE_PORT] = "no_free_port",
    [REASON_PORT_TAKEN] = "port_taken",
    [REASON_SPAWN_FAILED] = "spawn_failed",
    [REASON_HUB_UNREACHABLE] = "hub_unreachable",
    [REASON_DISK_FULL] = "disk_full",
    [REASON_STORAGE_UNUSABLE] = "storage_unusable",
    [REASON_CHECKSUM_MISMATCH] = "checksum_mismatch",
    [REASON_DEVICE_MEMORY_TAKEN] = "device_memory_taken",
    [REASON_HOST_MEMORY_TAKEN] = "host_memory_taken",
    [REASON_OUT_OF_DEVICE_MEMORY] = "out_of_device_memory",
    [REASON_DEVICE_LOST] = "device_lost",
    [REASON_ENGINE_EXITED] = "engine_exited",
    [REASON_ENGINE_KILLED] = "engine_killed",
    [REASON_OUT_OF_MEMORY] = "out_of_memory",
    [REASON_STALLED] = "stalled",
    [REASON_LOST_WHILE_AWAY] = "lost_while_away",
    [REASON_RANK_FAILED] = "rank_failed",
    [REASON_RESTART_DISABLED] = "restart_disabled",
    [REASON_RESTART_LIMIT] = "restart_limit",
    [REASON_OTHER] = "other",
};

const char *reason_name(enum reason reason)
{
    assert(reason < REASON_COUNT);
    return reason_names[reason];
}

enum reason reason_parse(const char *name)
{
    for (unsigned i = 0; i < REASON_COUNT; i++)
        if (strcmp(reason_names[i], name) == 0)
            return (enum reason)i;
    return REASON_OTHER;
}

bool reason_is_memory_taken(enum reason reason)
{
    return reason == REASON_DEVICE_MEMORY_TAKEN || reason == REASON_HOST_MEMORY_TAKEN;
}

enum error_class reason_class(enum reason reason)
{
    if (reason >= REASON_SOURCE_UNSUPPORTED && reason <= REASON_BAD_PARAMETERS)
        return CLASS_CONFIG;
    if (reason >= REASON_NO_FREE_PORT && reason <= REASON_HOST_MEMORY_TAKEN)
        return CLASS_RESOURCE;
    if (reason == REASON_OUT_OF_DEVICE_MEMORY || reason == REASON_DEVICE_LOST)
        return CLASS_DEVICE;
    if (reason >= REASON_ENGINE_EXITED && reason <= REASON_RANK_FAILED)
        return CLASS_CRASH;
    if (reason == REASON_RESTART_DISABLED || reason == REASON_RESTART_LIMIT)
        return CLASS_STOPPED;
    return reason == REASON_OTHER ? CLASS_CRASH : CLASS_NONE;
}

const char *class_name(enum error_class class)
{
    static const char *const names[] = {
        [CLASS_NONE] = "none",     [CLASS_CONFIG] = "config", [CLASS_RESOURCE] = "resource",
        [CLASS_DEVICE] = "device", [CLASS_CRASH] = "crash",   [CLASS_STOPPED] = "stopped",
    };
    static_assert(ARRAY_LEN(names) == CLASS_COUNT, "every class has a name");
    assert(class < CLASS_COUNT);
    return names[class];
}
