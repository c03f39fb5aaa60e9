/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The on-disk record of an engine, by which a restarted worker finds it again:
 * <data-dir>/run/instances/<id>.json, mode 0600, replaced atomically.
 *
 * Written before the spawn, when ports are reserved, so that no two engines are ever given the same
 * ones; right after it; and when what it says changes. Removed when the instance is no longer
 * wanted and has no process. A record whose process is dead is kept: it carries the run number, the
 * failures in a row and the last one's reason. Plain data; the functions block on small local
 * files.
 *
 * Times `_ms` are the machine's monotonic clock, which goes on between processes but not over a
 * reboot; the reader clips what can't be.
 */
#pragma once

#include "domain/reason.h"
#include "domain/record.h"

enum {
    ENGINE_RECORD_MAX = 512 << 10, /* bytes of a record's file */
    ENGINE_RECORDS_MAX = 4096,    /* files that are looked at */
};

struct engine_record {
    int64_t id; /* the instance's */
    char *name;
    char *model_name; /* as it was when the engine was started: by this the engine knows it */
    int64_t model_generation;
    char *cluster_id; /* that the instance is of; NULL: not known */
    int64_t rank, rank_count, gang_epoch;
    int64_t pid;         /* 0: none lives */
    int64_t start_ticks; /* with pid and boot_id: proc/identity.h */
    char *boot_id;
    struct int_list ports; /* reserved; the first is where the engine serves */
    int64_t run;           /* number of the last run, from 0; -1: there was none */
    int64_t restart_count;
    int64_t last_restart_time; /* wall ms; 0: none */
    bool restart_on_error;
    int64_t max_restarts;
    int64_t failures; /* in a row */
    int state_reason; /* enum reason of the last failure, when no try followed yet */
    char *state_args; /* see worker/trouble.h */
    char *state_text;
    char *state_log;
    int64_t retry_at_ms;
    int64_t serving_since_ms;  /* 0: it hasn't served */
    int64_t draining_since_ms; /* 0: it isn't draining */
    char *state;               /* instance state word when it was written */
    char *ready_path;          /* probe; NULL: none, or it is no rank that takes requests */
    char *resolved_path;       /* model file that it was started with; NULL: unknown */
    int64_t model_bytes;       /* size of the model's files */
    char *measured_claim;      /* JSON of domain/claim.h: what it took when it began to serve */
    char *launch_note;         /* worker/launch_note.h, of the last run; NULL: not known */
    int64_t started_at;        /* of the last run, wall ms; 0: not known */
    char *token; /* instance token, so that the relay serves without control; secret */
};

/* The record of an instance that has done nothing yet. The memory is zeroed. */
void engine_record_init(struct engine_record *record, int64_t id);
void engine_record_fini(struct engine_record *record);

/* <data_dir>/run/instances. Returns owned. */
char *engine_record_dir(const char *data_dir);

/* Writes <dir>/<id>.json; the folder must be there. -errno. */
int engine_record_save(const char *dir, const struct engine_record *record,
                       struct err *err) must_check;

/*
 * Reads <dir>/<id>.json. ERR_INVALID also when the file tells of another id. `ret` is zeroed
 * before.
 */
int engine_record_load(const char *dir, int64_t id, struct engine_record *ret,
                       struct err *err) must_check;

void engine_record_remove(const char *dir, int64_t id);

/* Ids of the record files in `dir` (other files are ignored); none when there is no folder. */
void engine_record_ids(const char *dir, struct int_list *ret);
