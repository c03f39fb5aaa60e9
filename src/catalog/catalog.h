/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The models that come with the binary: what they are called, what is to be said of them, and the
 * variants ("specs") in which they can be deployed. Of each variant it is known what it is made of,
 * so that placement can answer without a network; what is read of the files themselves is better.
 *
 * The data are catalog/NAME.yaml, which tools/catalog checks and makes JSON of at build time; how
 * to write them stands in doc/catalog.md.
 *
 *     const struct catalog_spec *spec = catalog_find(catalog, "hf:Qwen/Qwen3-8B");
 *     auto_fini(model_shape_fini) struct model_shape shape = {0};
 *     if (spec && catalog_shape(spec, &shape, err) == 0) ...
 *
 * Read-only once it is there; any thread.
 */
#pragma once

#include "base/json.h"
#include "weights/model_shape.h"

struct catalog_set;

/* One way to deploy a model. All borrowed from the catalog. */
struct catalog_spec {
    const struct catalog_set *set;
    int64_t id;
    /* Where its files are, in the words of control/shapes.h: "hf:REPO[/FILE]", "ms:REPO[/FILE]";
     * NULL where a hub doesn't have it. */
    char *hf_key, *ms_key;  /* owned */
    const char *precision;  /* "BF16", "Q4_K_M" */
    json_t *body;           /* owned; members of a model, and further ones that tell of the spec */
    const json_t *shape;    /* what the shape is made of */
    const json_t *device_types; /* that compute in its precision; empty: all */
};

/* A model with its variants. */
struct catalog_set {
    int64_t id;
    const char *name;       /* unique; stays, where ids may change with a version */
    const json_t *json;     /* all members; "specs" too, as they stand in the data */
    uint64_t parameter_count; /* that its publisher states, or the files hold */
    struct catalog_spec *specs; /* owned */
    size_t spec_count;
};

struct catalog {
    json_t *root;           /* owned */
    struct catalog_set *sets; /* owned; the youngest models first */
    size_t count, spec_count;
};

/* Reads what is embedded. Returns owned; a fault in it is our own bug. */
struct catalog *catalog_new(void);

/* NULL is fine. */
void catalog_free(struct catalog *catalog);

/* By id; or NULL. */
const struct catalog_set *catalog_set_by_id(const struct catalog *catalog, int64_t id);

/* The spec whose files are there, or NULL. */
const struct catalog_spec *catalog_find(const struct catalog *catalog, const char *key);

/*
 * Makes the spec's shape, as the files would be read on a hub; `ret` is zeroed before, and owned.
 * Takes some 0.1 ms. ERR_INVALID for a fault in the data, which the tests would have found.
 */
int catalog_shape(const struct catalog_spec *spec, struct model_shape *ret,
                  struct err *err) must_check;
