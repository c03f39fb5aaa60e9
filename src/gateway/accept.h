/* SPDX-License-Identifier: Apache-2.0 */
/* Lists with weights, as in Accept and Accept-Encoding: "gzip;q=0.5, *;q=0". Pure. */
#pragma once

#include "base/str.h"

enum { ACCEPT_ABSENT = -1 };

/*
 * Thousandths that `list` gives `name`: by its own item, else by one that is "*". 0 says that it
 * isn't wanted; ACCEPT_ABSENT that nothing is said of it. A malformed item counts as not there, of
 * two for the same the first counts; case doesn't matter.
 */
int accept_weight(struct str list, struct str name);
