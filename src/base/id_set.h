/* SPDX-License-Identifier: Apache-2.0 */
/* A set of ids, 8 bytes each, ascending. The zero value is empty. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_set {
    int64_t *items; /* owned */
    size_t count, cap;
};

/* Whether that changed anything. */
bool id_set_add(struct id_set *set, int64_t id);
bool id_set_remove(struct id_set *set, int64_t id);

/* Whether the id is in it. */
bool id_set_has(const struct id_set *set, int64_t id);

void id_set_fini(struct id_set *set);
