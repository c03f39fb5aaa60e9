/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A feed line of kind "spending": what a key, a user or a model has spent in the present period of
 * its budget, as control has counted (doc/internals/gateway.md, "Budgets"). Pure, any thread.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "gateway/limit.h"

enum { SPENDING_GATEWAY_MAX = 64 }; /* bytes of a gateway's name */

struct spending {
    enum limit_kind subject;
    int64_t id;
    int64_t period_start_ms; /* wall time */
    int64_t tokens;          /* of all gateways */
    char gateway[SPENDING_GATEWAY_MAX + 1];
    uint64_t applied; /* last record of that gateway that is in `tokens`; 0: none */
};

/* ERR_INVALID names the member that is missing or wrong. */
int spending_read(const json_t *object, struct spending *ret, struct err *err) must_check;
