/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine descriptions: data from YAML files that say how to start and probe an inference engine.
 *
 * Built-in ones come from engines/ of the source tree, embedded in the binary. An engine directory
 * (--bin-dir) may hold more: <bin-dir>/<backend>_<version>/ with an optional engine.yaml whose
 * `command` and `env` (and those of its section `rank`) replace the built-in ones ("{dir}" is that
 * folder), or just the executable.
 * The doc/engines.md manual describes the format. Loading blocks; the result is immutable.
 */
#pragma once

#include "base/err.h"
#include "domain/claim.h"
#include "domain/device.h"
#include "domain/record.h"
#include "engine/peers.h"

enum { ENGINE_PORTS_MAX = 16 }; /* of one process */

/* What it serves; names in YAML: chat, completions, embeddings, rerank, tokenize. */
enum engine_api {
    ENGINE_CHAT = 1, ENGINE_COMPLETIONS = 2, ENGINE_EMBEDDINGS = 4, ENGINE_RERANK = 8,
    ENGINE_TOKENIZE = 16
};

/* Section `gang`: what rank 0 has besides when the engine runs on several workers. */
struct engine_gang {
    struct string_list args; /* behind those of the template */
    struct string_map env;
    int64_t ports; /* in place of the engine's; 0: as many as ever */
};

/* Section `rank`: the program of ranks 1 and up. */
struct engine_rank {
    struct string_list command; /* empty: the engine can't run on several workers */
    struct string_list args;
    struct string_map env;
    int64_t ports;         /* 0: none; else it is up when something listens on the first */
    bool takes_parameters; /* the model's parameters follow the arguments, as on rank 0 */
};

/* What placement reckons with and an engine can be told; keys of the section `placed`. */
enum engine_figure {
    ENGINE_LAYERS,            /* {layers}: how many go to devices */
    ENGINE_SPLIT,             /* {split}: over several devices, their parts in proportion */
    ENGINE_CONTEXT,           /* {context}: tokens */
    ENGINE_MEMORY_FRACTION,   /* {memory_fraction}: of each device's memory, 0.001-1.000 */
    ENGINE_TENSOR_PARALLEL,   /* {tensor_parallel} */
    ENGINE_PIPELINE_PARALLEL, /* {pipeline_parallel} */
    ENGINE_FIGURE_COUNT
};

extern const char *const engine_figure_names[ENGINE_FIGURE_COUNT];

/* What a model is for, where an engine must be told; keys of the section `tasks`, and the words of
 * a model's categories. */
enum engine_task { ENGINE_EMBEDDING, ENGINE_RERANKER, ENGINE_TASK_COUNT };

extern const char *const engine_task_names[ENGINE_TASK_COUNT];

struct engine {
    char *name;                  /* "llama.cpp": the model's `backend` */
    struct string_list aliases;  /* "llama-box" */
    char *version;               /* of an installed copy; NULL for the one on PATH */
    struct string_list formats;  /* file suffixes that it is chosen for: ".gguf" */
    struct string_list command;  /* program and fixed first arguments; placeholders allowed */
    struct string_list args;     /* argv template; see engine_build_argv() */
    struct string_list reserved; /* flags that a model may not set, besides those of the template
                                    that say where things are: {host}, {port}, {model_path}, ... */
    struct string_map env;
    int64_t ports;     /* neighbours; it serves on the first */
    char *ready_path;  /* GET here gives 200 when it serves: "/health" */
    int64_t ready_interval_ms;
    char *metrics_path; /* NULL: none */
    char *token_env;   /* environment variable by which it takes a bearer token to demand; NULL */
    unsigned apis;     /* enum engine_api bits */
    struct string_list device_types; /* accelerators that it can use ("cuda"); empty: any */
    char *dir;         /* folder that it was found in; NULL */
    struct engine_gang gang;
    struct engine_rank rank;
    /* Arguments that tell it a figure, and the model's flags and variables that forbid them. */
    struct string_list placed[ENGINE_FIGURE_COUNT];
    struct string_list placed_unless[ENGINE_FIGURE_COUNT];
    /* The same for what a model is for. */
    struct string_list tasks[ENGINE_TASK_COUNT];
    struct string_list tasks_unless[ENGINE_TASK_COUNT];
};

struct engine_set;

/* Built-in descriptions plus those under `bin_dir` (NULL: none). A bad file is named in `err`. */
int engine_set_load(const char *bin_dir, struct engine_set **ret, struct err *err) must_check;
void engine_set_free(struct engine_set *set);

/* All of them, the built-in ones first; NULL from `set`'s count on. Borrows from `set`. */
const struct engine *engine_set_at(const struct engine_set *set, size_t i);

/*
 * The engine for a backend name (or alias) and version, or, when `backend` is NULL, the one whose
 * formats match `model_path`. Installed copies win over PATH, the newest version first.
 * ERR_NOT_FOUND names what was asked for and what there is. Borrows from `set`.
 */
int engine_find(const struct engine_set *set, const char *backend, const char *version,
                const char *model_path, const struct engine **ret, struct err *err) must_check;

/* Whether it can run on several workers. */
bool engine_is_distributable(const struct engine *engine);

/* Whether ranks 1 and up need the model's files. */
bool engine_ranks_need_model(const struct engine *engine);

/* How many neighbouring ports a process of it needs; `rank_count` 1: it is alone. */
unsigned engine_port_count(const struct engine *engine, int64_t rank, int64_t rank_count);

/* Each figure as text; the zero value knows none. */
struct engine_figures {
    char *texts[ENGINE_FIGURE_COUNT]; /* owned; NULL: not known, or of no use here */
};

/*
 * The figures of a claim; `is_alone` unless it is a rank of several, `devices` are the machine's.
 * `ret` is zeroed before, and the caller's to free.
 */
void engine_figures_of(const struct resource_claim *claim, bool is_alone,
                       const struct device_list *devices, struct engine_figures *ret);
void engine_figures_fini(struct engine_figures *figures);

/* What the placeholders are filled from; the manual has their list. */
struct engine_values {
    const char *model_path;
    const char *model_name;
    const char *host;             /* where it listens */
    const struct int_list *ports; /* reserved for it */
    int64_t rank;                 /* decides which program it is */
    const struct peers *peers;    /* all ranks; NULL or empty: it is alone */
    const char *ranks;            /* the same as JSON text */
    const struct engine_figures *figures; /* what was reckoned with; NULL: nothing */
    const struct string_map *env;         /* the model's own environment; NULL: none */
    const char *category; /* the model's first; NULL: it has none */
};

/*
 * Full argv: command, args with placeholders filled, what was reckoned with and what the model is
 * for, each unless the model says it itself, then the model's own parameters. A parameter that
 * repeats a flag of the template replaces it there ("--ctx-size 4096"). "--key=value" and
 * "--key value" in one list item are both understood: each becomes two arguments; nothing is split
 * further and nothing unquoted. ERR_INVALID for an unknown placeholder or a reserved flag.
 */
int engine_build_argv(const struct engine *engine, const struct engine_values *values,
                      const struct string_list *parameters, struct string_list *ret,
                      struct err *err) must_check;

/*
 * What the description and the model say of the environment: the engine's env with placeholders
 * filled, then `extra`, then `token` (may be NULL) under token_env, later ones winning.
 * Placeholders were checked when the set was loaded.
 */
void engine_own_env(const struct engine *engine, const struct engine_values *values,
                    const char *token, const struct string_map *extra, struct string_map *ret);

/*
 * Full environment "K=V": a small base (PATH, HOME, LANG, TMPDIR, vendor variables that pass) and
 * over it `own`.
 */
void engine_full_env(const struct string_map *own, struct string_list *ret);

/* Both in one call. */
void engine_build_env(const struct engine *engine, const struct engine_values *values,
                      const char *token, const struct string_map *extra, struct string_list *ret);

/*
 * Whether the program exists and is executable (searched on PATH when without '/'); of ranks 1 and
 * up with `of_rank`.
 */
bool engine_is_present(const struct engine *engine, bool of_rank);
