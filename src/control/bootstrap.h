/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first administrator. When the store has no user yet, `admin` is made with the given password,
 * or with a generated one that must be changed at the first login and stands, readable by the
 * server's user only, in <data-dir>/initial_admin_password.
 */
#pragma once

#include "control/control.h"

/* Blocks for the hashing of one password. `password` NULL: generated. */
int bootstrap_admin(struct control *control, const char *data_dir, const char *password,
                    struct err *err) must_check;
