/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why an instance is in its state: stable codes for programs, with arguments as a JSON object. The
 * words beside them, for people, are written by whoever sets the state. Codes are never renamed.
 * Pure, any thread.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

enum reason {
    REASON_NONE,
    /* pending */
    REASON_NO_WORKER,      /* none has joined */
    REASON_NO_WORKER_FITS, /* {"workers":N,"refusals":{...},"funnel":[...],"devices":[...],
                              "ways_out":[...]}: doc/placement.md */
    REASON_READING_MODEL,  /* what it is made of is being found out */
    REASON_MODEL_UNREACHABLE, /* its files' hub can't be reached, so its need isn't known */
    REASON_MODEL_MISSING,  /* they aren't there */
    /* downloading */
    REASON_DOWNLOAD_PAUSED, /* {"model_file_id":N}: by a client */
    /* scheduled */
    REASON_NEW_SETTINGS,      /* {"generation":N}: restarts with the model's new settings */
    REASON_UNKNOWN_TO_WORKER, /* {"worker":NAME}: it lost what it knew, say with its disk */
    /* unreachable */
    REASON_WORKER_LOST, /* {"worker":NAME,"seconds":N} */
    /* running, and about to go */
    REASON_SCALED_DOWN,
    REASON_REPLACED,    /* {"by":NAME}: its replacement runs */
    REASON_MAINTENANCE, /* its worker is to be drained */
    /* running, yet something is wrong */
    REASON_PROBE_FAILS, /* {"probe":TEXT} */
    /* error: configuration */
    REASON_SOURCE_UNSUPPORTED, /* {"source":WORD} */
    REASON_MODEL_PATH_MISSING, /* {"path":PATH,"worker":NAME} */
    REASON_MODEL_FILE_INVALID, /* {"path":PATH,"worker":NAME} */
    REASON_HUB_REFUSED,        /* {"worker":NAME}: of the files' hub, by the worker's token */
    REASON_FILE_MISSING,       /* {"worker":NAME}: nothing at the hub has that name */
    REASON_ENGINE_MISSING,     /* {"backend":NAME,"version":TEXT,"worker":NAME} */
    REASON_NOT_DISTRIBUTABLE,  /* {"backend":NAME}: its description has no section `rank` */
    REASON_BAD_PARAMETERS,     /* {"detail":TEXT} */
    /* error: resources */
    REASON_NO_FREE_PORT, /* {"first":N,"last":N} */
    REASON_PORT_TAKEN,   /* {"port":N}: by a program that isn't ours */
    REASON_SPAWN_FAILED, /* {"errno":N}: the start, or the record that must come before it */
    REASON_HUB_UNREACHABLE,  /* {"worker":NAME}: from the worker that downloads */
    REASON_DISK_FULL,        /* {"needs":B,"free":B}: of the storage for model files */
    REASON_STORAGE_UNUSABLE, /* {"path":PATH}: the worker can't keep model files there */
    REASON_CHECKSUM_MISMATCH, /* {"file":NAME}: what was fetched isn't what the hub lists */
    REASON_DEVICE_MEMORY_TAKEN, /* {"gpu_index":N,"needs":B,"free":B}: by others; not started */
    REASON_HOST_MEMORY_TAKEN,   /* {"needs":B,"free":B}: the same of main memory */
    /* error: device */
    REASON_OUT_OF_DEVICE_MEMORY, /* {"log":LINE} */
    REASON_DEVICE_LOST,          /* {"log":LINE}, or {"gpu_index":N}: it isn't there any more */
    /* error: crash */
    REASON_ENGINE_EXITED,   /* {"exit_code":N,"log":LINE}; null: of an adopted one none is known */
    REASON_ENGINE_KILLED,   /* {"signal":NAME,"log":LINE} */
    REASON_OUT_OF_MEMORY,   /* {"log":LINE}: main memory, the kernel's doing included */
    REASON_STALLED,         /* {"minutes":N}: no sign of work while starting */
    REASON_LOST_WHILE_AWAY, /* it ended while its worker's process was away */
    REASON_RANK_FAILED,     /* {"rank":N,"worker":NAME}: of a gang */
    /* error: no further try */
    REASON_RESTART_DISABLED, /* {"reason":CODE}: restart_on_error is off */
    REASON_RESTART_LIMIT,    /* {"restarts":N,"reason":CODE} */
    REASON_OTHER,            /* of a worker that says a code which we don't know */
    REASON_COUNT
};

/* What kind of fault a reason tells of; for people and programs. */
enum error_class {
    CLASS_NONE, /* no fault */
    CLASS_CONFIG,
    CLASS_RESOURCE,
    CLASS_DEVICE,
    CLASS_CRASH,
    CLASS_STOPPED, /* no further try */
    CLASS_COUNT
};

/* For FIELD_ENUM fields: names by number. */
extern const char *const reason_names[REASON_COUNT];

/* "engine_exited". */
const char *reason_name(enum reason reason);

/* REASON_OTHER for a word that isn't known: a newer worker may know more. */
enum reason reason_parse(const char *name);

/* Whether its worker didn't start an engine because the memory it was given isn't free there. */
bool reason_is_memory_taken(enum reason reason);

/* What it tells of, and "config", "resource" and so on. */
enum error_class reason_class(enum reason reason);
const char *class_name(enum error_class class);
