/* SPDX-License-Identifier: Apache-2.0 */
/* Whose usage has a budget. Pure; control's thread. */
#pragma once

#include "control/cluster.h"
#include "control/spending.h"

/* The limits of a record that has some, or NULL; and as what it is counted then. Borrows. */
const struct limits *subject_limits(enum kind kind, const void *record,
                                    enum spending_subject *ret_subject);
