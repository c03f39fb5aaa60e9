/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The administrator: creates, changes and deletes models, instances and workers as api/ does, and
 * remembers what was acknowledged. After each start of control every acknowledged write must be
 * there; of one without an answer either all or nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sim;

enum { USER_MODELS = 4, USER_DELETED_MAX = 64 };

/* A model as the administrator knows it. */
struct user_model {
    bool exists;
    int64_t replicas;
    unsigned settings; /* goes into backend_parameters */
    char zone[2];      /* worker_selector's "zone"; "": none */
    int64_t devices;   /* gpu_selector's gpus_per_replica; 0: none */
};

struct user_slot {
    struct user_model acknowledged, asked;
    bool is_waiting; /* `asked` has no answer yet */
};

struct user_deleted {
    int kind;
    int64_t id;
    bool is_acknowledged;
};

struct sim_user {
    struct user_slot slots[USER_MODELS]; /* model "m0", "m1", ... */
    struct user_deleted deleted[USER_DELETED_MAX];
    int64_t deleted_count;
};

/* Does something; nothing when control is down. */
void sim_user_act(struct sim *sim);

/* Ends all maintenance, so that the run can come to its end. */
void sim_user_calm(struct sim *sim);

/* Control has loaded its state: checks it. */
void sim_user_control_started(struct sim *sim);
