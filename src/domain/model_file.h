/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one source (repository and pattern of files) needs on one storage, and how far it is there.
 * A storage is the cache folder of a worker, or of several that share it: its identity is a uuid
 * that lies in it. Control decides that files shall be there and which worker fetches them, the
 * worker observes. Plain data; made and kept by control/model_files.h.
 *
 * Rows of the API that aren't in the store, of local paths, have the same shape.
 */
#pragma once

#include "domain/model.h"

enum model_file_state {
    MODEL_FILE_WAITING,     /* its worker hasn't begun: others go first, or it hasn't heard of it */
    MODEL_FILE_LISTING,     /* the hub is asked which files there are */
    MODEL_FILE_DOWNLOADING,
    MODEL_FILE_VERIFYING,   /* checksums */
    MODEL_FILE_PAUSED,      /* by a client */
    MODEL_FILE_READY,       /* all files are there, whole */
    MODEL_FILE_ERROR,       /* see state_reason */
    MODEL_FILE_DELETING,    /* its files are being removed, then the row goes */
    /* of local paths, as a worker found them: */
    MODEL_FILE_PRESENT,
    MODEL_FILE_MISSING,
    MODEL_FILE_UNREADABLE,
    MODEL_FILE_FORBIDDEN,
    MODEL_FILE_STATE_COUNT
};

enum {
    MODEL_FILE_FILES_MAX = 64, /* whose progress is told */
    MODEL_FILE_KEY_MAX = 1200, /* bytes */
};

struct model_file {
    int64_t id;
    char *key;             /* unique: source and storage, see model_file_key() */
    int source;            /* enum model_source */
    char *huggingface_repo_id, *huggingface_filename; /* file: a pattern; NULL: the repository */
    char *model_scope_model_id, *model_scope_file_path;
    char *local_path;      /* of a local path; else NULL */
    char *storage_id;      /* uuid */
    int64_t worker_id;     /* which has the lease: it fetches, and tells of it */
    int64_t lease;         /* fencing number: grows each time the lease is given out */
    bool is_paused;        /* a client wants no bytes fetched for now */
    bool is_kept;          /* a client asked for it: it stays though no model needs it */
    int state;             /* enum model_file_state */
    int state_reason;      /* enum reason, of an error */
    char *state_args;      /* JSON object of the reason's arguments, or NULL */
    char *state_message;   /* why, in words; NULL when all is well */
    int64_t size;          /* bytes of all files; 0: not listed yet */
    int64_t file_count;
    char *revision;        /* that the files are of; NULL: not known yet */
    char *resolved_path;   /* what an engine gets, relative to the storage; NULL: not ready yet */
    /* transient: */
    char *worker_name;
    struct int_list worker_ids; /* all workers that see the storage, ascending */
    int64_t downloaded;    /* bytes that are there, of all files */
    double download_progress; /* percent */
    int64_t bytes_per_second;
    int64_t eta_s;         /* seconds; 0: not known */
    int64_t files_ready;
    char *files;           /* JSON array of {name,size,downloaded}, or NULL */
    int64_t retry_at;      /* wall ms of the next try by itself; 0: none is due */
    struct string_list resolved_paths; /* absolute, on its worker */
    char *models;          /* JSON array of {id,name}: those that use it */
    char *storage;         /* JSON object: the file system, or NULL */
    char *identity;        /* of a local path: tells one content from another */
    int64_t created_at, updated_at;
};

extern const struct record_type model_file_type;

/* "waiting". */
const char *model_file_state_name(enum model_file_state state);

/* -EINVAL for a word that isn't one of a download's states. */
int model_file_state_parse(const char *name, enum model_file_state *ret) must_check;

/* Whether the files are of a hub, from which workers fetch. */
bool model_source_is_hub(enum model_source source);

/* What the record is called among its kind: "hf:OWNER/REPO/x.gguf on UUID". Returns owned. */
char *model_file_key(const struct model_file *file);

/* Copies source and names of the model into the record. */
void model_file_take_source(struct model_file *file, const struct model *model);

/* Whether it is what the model's source names, on whichever storage. */
bool model_file_is_of(const struct model_file *file, const struct model *model);

/* Its repository ("Qwen/Qwen3-0.6B-GGUF") and pattern (NULL: all files). Borrow. */
const char *model_file_repo(const struct model_file *file);
const char *model_file_pattern(const struct model_file *file);

/* For people: "Qwen/Qwen3-0.6B-GGUF, *Q8_0*". Returns owned. */
char *model_file_title(const struct model_file *file);

/*
 * What a client may ask for: a hub, its repository as OWNER/NAME, a pattern without "..".
 * ERR_INVALID with all faults.
 */
int model_file_validate(const struct model_file *file, struct err *err) must_check;
