/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened to an object: one row per object and code. The same again raises `count` and
 * `last_at` and is no new row. Events outlive the object that they speak of. Plain data; how many
 * are kept stands in control/events.h.
 */
#pragma once

#include "domain/record.h"

/* Stable codes; never renamed. */
enum event_code {
    EVENT_JOINED,           /* worker */
    EVENT_LOST,             /* worker: {"seconds":N} without contact */
    EVENT_BACK,             /* worker */
    EVENT_ADDRESS_CHANGED,  /* worker: {"from":ADDRESS,"to":ADDRESS} */
    EVENT_UUID_REFUSED,     /* worker: {"known":ADDRESS,"refused":ADDRESS} */
    EVENT_MAINTENANCE,      /* worker: {"enabled":BOOL,"drain":BOOL} */
    EVENT_HELD_BACK,        /* worker: {"silent":N,"workers":N}: too many at once to replace them */
    EVENT_CREATED,          /* model, instance, route */
    EVENT_SETTINGS_CHANGED, /* model: {"generation":N}; route */
    EVENT_SCALED,           /* model: {"from":N,"to":N} */
    EVENT_ROLLED_BACK,      /* model: {"to":GENERATION,"generation":N} */
    EVENT_DELETED,          /* model, instance, worker, route, model file */
    EVENT_PLACED,           /* instance: {"worker":NAME} */
    EVENT_UNPLACED,         /* instance: {"reason":CODE}: no worker takes it */
    EVENT_SERVES,           /* instance: {"worker":NAME} */
    EVENT_FAILED,           /* instance: {"worker":NAME,"reason":CODE} */
    EVENT_UNREACHABLE,      /* instance: {"worker":NAME} */
    EVENT_DRAINS,           /* instance: {"reason":CODE} */
    EVENT_REPLACED,         /* instance: {"by":NAME,"reason":CODE} */
    EVENT_MOVED,            /* instance: {"from":WORKER,"failures":N}: failed there */
    EVENT_GANG_STOPPED,     /* instance: {"rank":N,"worker":NAME}: all its ranks start anew */
    EVENT_DOWNLOAD_BEGUN,   /* model file: {"worker":NAME} */
    EVENT_DOWNLOAD_READY,   /* model file: {"worker":NAME,"bytes":N} */
    EVENT_DOWNLOAD_FAILED,  /* model file: {"worker":NAME,"reason":CODE} */
    EVENT_DOWNLOAD_MOVED,   /* model file: {"from":WORKER,"to":WORKER}: another one fetches it */
    EVENT_CODE_COUNT
};

enum event_type { EVENT_NORMAL, EVENT_WARNING, EVENT_TYPE_COUNT };

struct event {
    int64_t id;
    char *object_kind; /* noun of the record type: "model-instance" */
    int64_t object_id;
    char *object_name;
    int code;       /* enum event_code; "reason" in JSON */
    int type;       /* enum event_type */
    char *message;  /* for people, of the last time */
    char *args;     /* JSON object of the code's arguments, of the last time, or NULL */
    int64_t count;  /* how often */
    int64_t first_at, last_at; /* wall ms */
    int64_t created_at, updated_at;
};

extern const struct record_type event_type;

/* "joined". */
const char *event_code_name(enum event_code code);

/* Whether it tells of a fault. */
enum event_type event_code_type(enum event_code code);
