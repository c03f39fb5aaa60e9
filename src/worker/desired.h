/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What control wants this worker to run: one line of the desired stream, parsed and checked. Plain
 * data, owned by whoever holds the struct; pure, any thread. A line is the whole state: a new one
 * replaces the old one, and an instance that isn't in it is not wanted.
 */
#pragma once

#include "domain/claim.h"
#include "domain/record.h"

enum {
    DESIRED_INSTANCES_MAX = 1024,
    DESIRED_INSPECTIONS_MAX = 256,
    DESIRED_MODEL_FILES_MAX = 1024,
    DESIRED_REPO_MAX = 512,  /* bytes of a repository's name, and of a pattern */
    DESIRED_PATH_MAX = 4096, /* bytes of a path that is to be looked at */
};

struct desired_instance {
    int64_t id;
    char *name; /* "hello-a1b2c" */
    int64_t model_id;
    char *model_name;         /* what clients write in "model" */
    int64_t model_generation; /* an engine of another generation must be replaced */
    char *source;             /* "local_path", "huggingface", "model_scope" */
    char *local_path;         /* file or folder; NULL for other sources */
    char *backend;            /* engine's name; NULL: chosen by the file's format */
    char *backend_version;    /* NULL: the newest */
    struct string_list backend_parameters;
    struct string_map env;
    struct string_list categories; /* what it is for; the first one counts */
    struct int_list gpu_indexes;
    char *claim; /* JSON of domain/claim.h, checked: what it may take of this worker; NULL: nobody
                    has reckoned */
    bool restart_on_error;
    int64_t max_restarts; /* failures in a row after which no try follows; 0: no limit */
    bool draining;        /* end its engine when nothing is under way; start none */
    int64_t rank;         /* of a gang; 0 for one that is alone */
    int64_t rank_count;   /* 1 for one that is alone */
    int64_t gang_epoch;   /* number of the gang's present try; 0 for one that is alone */
    bool go;              /* of a gang: all ranks are prepared */
    char *ranks;          /* JSON of engine/peers.h, checked; NULL or "[]" before `go` */
    char *token;          /* instance token that relay and engine demand; secret */
};

/* A path that control wants looked at, see worker/inspections.h. */
struct desired_inspection {
    char *path; /* owned; absolute */
    bool shape; /* and to know what its files are made of */
};

enum model_file_action { MODEL_FILE_DOWNLOAD, MODEL_FILE_PAUSE, MODEL_FILE_DELETE };

/* What is to be fetched from a hub, see worker/downloads.h. */
struct desired_model_file {
    int64_t id, lease; /* control's; the lease grows each time that a worker gets it */
    char *source;      /* "huggingface", "model_scope" */
    char *repo_id;     /* "OWNER/REPO" */
    char *file;        /* pattern; NULL: all files */
    enum model_file_action action;
};

struct desired_state {
    bool known;                     /* false until control has said something */
    int64_t generation;             /* control's number of this state */
    struct desired_instance *items; /* owned, ascending by id, no id twice */
    size_t count;
    struct desired_inspection *inspections; /* owned */
    size_t inspection_count;
    struct desired_model_file *model_files; /* owned */
    size_t model_file_count;
};

/*
 * Parses a line. ERR_SYNTAX, ERR_INVALID or ERR_TOO_LARGE names what is wrong. `ret` is zeroed
 * before.
 */
int desired_state_read(struct str line, struct desired_state *ret, struct err *err) must_check;

/* Frees what it owns (tokens are wiped) and zeroes it. */
void desired_state_fini(struct desired_state *state);

/* The instance of that id, or NULL; borrows from `state`. */
const struct desired_instance *desired_state_find(const struct desired_state *state, int64_t id);

/* Whether it is one rank of several. */
bool desired_instance_is_gang(const struct desired_instance *instance);

/* Whether both are the same try: what an engine of one runs with is what the other asks for. */
bool desired_instance_is_same_try(const struct desired_instance *a,
                                  const struct desired_instance *b);

/* What it may take of this worker; empty when nobody has reckoned. Over `ret`, which is zeroed or
 * valid before. */
void desired_instance_claim(const struct desired_instance *instance, struct resource_claim *ret);

/* Deep copy into `to`, which is zeroed or valid before. */
void desired_instance_copy(struct desired_instance *to, const struct desired_instance *from);
void desired_instance_fini(struct desired_instance *instance);
