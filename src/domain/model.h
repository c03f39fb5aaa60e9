/* SPDX-License-Identifier: Apache-2.0 */
/* A model that is to be served. Plain data with GPUStack's names, see record.h. */
#pragma once

#include "domain/limits.h"

enum model_source { MODEL_HUGGINGFACE, MODEL_MODEL_SCOPE, MODEL_LOCAL_PATH, MODEL_SOURCE_COUNT };

/* See sched/place.h; `auto` weighs all that counts, the others are GPUStack's. */
enum placement_strategy { PLACEMENT_SPREAD, PLACEMENT_BINPACK, PLACEMENT_AUTO, PLACEMENT_COUNT };

/* Who may use it. Only `authed` has a meaning in this version: any user or key that may infer. */
enum model_access {
    MODEL_ACCESS_AUTHED,
    MODEL_ACCESS_PUBLIC,
    MODEL_ACCESS_ALLOWED_PRINCIPALS,
    MODEL_ACCESS_COUNT
};

enum {
    MODEL_NAME_MAX = 128, /* bytes */
    MODEL_REPLICAS_MAX = 1000,
    MODEL_RESTARTS_MAX = 10000,
    MODEL_DEVICES_MAX = 4096,
    MODEL_FIRST_BYTE_S_MAX = 86400,
    MODEL_PRIORITY_MAX = 1000,
};

struct model {
    int64_t id;
    char *name;        /* unique; what clients write in "model": 1-128 of letters, digits,
                          . _ - : /, the first a letter or digit */
    char *description;
    int source;        /* enum model_source */
    char *local_path;  /* file or folder on the workers; required for local_path */
    char *huggingface_repo_id, *huggingface_filename;
    char *model_scope_model_id, *model_scope_file_path;
    int64_t replicas;       /* wanted, 0-MODEL_REPLICAS_MAX */
    int64_t ready_replicas; /* running now; transient */
    struct string_list categories; /* llm, embedding, image, reranker, speech_to_text, ... */
    int placement_strategy;
    int64_t priority;       /* of those that wait the highest is placed first; 0-1000 */
    struct string_map worker_selector; /* labels that a worker must have */
    char *gpu_selector;     /* JSON {"gpu_ids":[...],"gpus_per_replica":N} or NULL */
    char *backend;          /* engine name ("llama.cpp"); NULL: chosen from the file */
    char *backend_version;  /* NULL: default */
    struct string_list backend_parameters; /* appended to the engine's argv */
    struct string_map env;  /* added to the engine's environment; wins */
    bool cpu_offloading;
    bool distributed_inference_across_workers;
    bool restart_on_error;
    int64_t max_restarts;   /* failures in a row after which no further try is made; 0: no limit */
    char *meta;             /* JSON object from the engine, or NULL; transient */
    int64_t generation;     /* grows with every change that an instance must follow */
    /* GPUStack's further fields: kept, checked and shown; api/openapi.yaml says which of them have
       an effect. */
    char *image_name, *run_command;
    int access_policy;      /* enum model_access */
    bool generic_proxy;     /* gateways pass on any path of its engine */
    int64_t first_byte_timeout; /* seconds from the request to an engine until the first byte of its
                                   response; 0: none, an engine may think for long */
    struct limits limits;   /* of all requests to it; instances run on when they change */
    bool distributable;     /* whether an instance may span workers, by its engine; transient */
    char *extended_kv_cache, *speculative_config, *scaling_schedule; /* JSON objects or NULL */
    char *lora_list;        /* JSON array of objects or NULL */
    int64_t stopped_replicas; /* what `replicas` was when it was stopped; 0: it wasn't */
    int64_t version;        /* grows with every change by a client */
    int64_t created_at, updated_at;
};

extern const struct record_type model_type;

/*
 * What the field table can't say: name's characters, the source's required path, shapes of
 * gpu_selector and other objects, words of categories, no "=" in names of env, no --port or --host
 * among backend_parameters (ports are ours). ERR_INVALID with all faults.
 */
int model_validate(const struct model *model, struct err *err) must_check;

/* Whether an instance runs with this field: not its name, counts, description and restart rules. */
bool model_is_setting(const struct field *field);

/* Whether what an instance runs with differs: then running instances must be replaced. */
bool model_needs_restart(const struct model *before, const struct model *after);
