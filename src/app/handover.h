/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory file by which the supervisor hands the configuration, secrets included, to the roles.
 *
 * It never shrinks, so that a reader can't lose what it has mapped or measured; a shorter text is
 * filled up with spaces. Children get a read-only descriptor.
 */
#pragma once

#include "config/config.h"

struct handover {
    int write_fd; /* ours alone */
    int read_fd;  /* to pass on */
};

int handover_init(struct handover *handover, const struct config *config,
                  struct err *err) must_check;

/* Replaces the content. */
int handover_update(struct handover *handover, const struct config *config,
                    struct err *err) must_check;

void handover_fini(struct handover *handover);

/* In the role: reads from the descriptor that was passed. */
int handover_read(int fd, struct config *ret, struct err *err) must_check;
