/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A name that clients may write in "model", and the models that requests to it are shared out to.
 * It goes before a model of the same name, so that clients need not change when their traffic
 * shall. Plain data, see record.h; how gateways choose stands in doc/internals/gateway.md.
 */
#pragma once

#include "domain/record.h"

enum {
    ROUTE_TARGETS_MAX = 16,
    ROUTE_WEIGHT_MAX = 100,
    ROUTE_WEIGHT_DEFAULT = 100, /* of a target that says none */
};

struct model_route_target {
    int64_t model_id;
    int64_t weight; /* 0-ROUTE_WEIGHT_MAX; its share is weight / sum of the targets' */
};

/* The zero value is empty. */
struct model_route_targets {
    struct model_route_target items[ROUTE_TARGETS_MAX];
    size_t count;
};

struct model_route {
    int64_t id;
    char *name;        /* unique among routes; characters as of a model's */
    char *description;
    struct string_list categories; /* words as of a model's */
    char *targets;     /* JSON array of {"model_id":N,"weight":N}, 1-ROUTE_TARGETS_MAX of them */
    int64_t fallback_model_id; /* serves when no target can; 0: none. May be a target, too */
    int64_t version;   /* grows with every change by a client */
    int64_t created_at, updated_at;
};

extern const struct record_type model_route_type;

/*
 * What the field table can't say: the name's characters, words of categories, shape of targets, no
 * model twice, a weight above 0 in one of them at least. ERR_INVALID with all faults. Whether the
 * models exist isn't known here.
 */
int model_route_validate(const struct model_route *route, struct err *err) must_check;

/* The targets of a route that is valid. */
struct model_route_targets model_route_targets(const struct model_route *route);

/* Writes the targets into the route, in one shape however a client said them. */
void model_route_set_targets(struct model_route *route, const struct model_route_targets *targets);

/* Whether any request would get to one of them: a weight is above 0. */
bool model_route_targets_serve(const struct model_route_targets *targets);

/* Whether the model is a target or the fallback. */
bool model_route_names(const struct model_route *route, int64_t model_id);
