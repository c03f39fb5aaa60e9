/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes and the models that they name: none names a model that isn't there. Deterministic;
 * control's thread.
 */
#pragma once

#include "control/cluster.h"

/* ERR_INVALID names each target, and the fallback, that isn't there. For a valid route. */
int model_routes_check(const struct cluster *cluster, const struct model_route *route,
                       struct err *err) must_check;

/* The names of the routes that name the model, with ", " between; NULL: none. Returns owned. */
char *model_routes_of(const struct cluster *cluster, int64_t model_id);

/*
 * Takes the model out of the routes that name it, for it is about to go. A route that no request
 * could get through any more, since no weight above 0 is left in it, goes too.
 */
void model_routes_drop(struct cluster *cluster, const struct model *model, int64_t now_ms);
