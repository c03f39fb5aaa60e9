/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports for engines, from the service port range. A port is free when no engine's record has it and
 * a bind to 127.0.0.1 works at this moment; who holds it afterwards is the record. One thread.
 */
#pragma once

#include "domain/record.h"

struct port_range {
    int64_t first, last; /* both inclusive, 1-65535 */
};

/*
 * A free port of `range` that isn't in `taken`, beginning behind `after` (0: at the front) and
 * going round once, so that a port that was just given up isn't handed out at once.
 * ERR_UNAVAILABLE.
 */
int port_reserve(struct port_range range, const struct int_list *taken, int64_t after,
                 struct err *err) must_check;
