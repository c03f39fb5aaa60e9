/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The management API: /v2 and /auth, served on control's unix sockets.
 *
 * run/control.sock is where the gateway forwards to: every request proves who it is. run/admin.sock
 * is for root and the server's own user on this machine (SO_PEERCRED): they are the first
 * administrator, as they could read the database anyway. Control's thread.
 */
#pragma once

#include "control/control.h"

struct api;

struct json_writer;

/* All but `control` and the callback's ctx is copied. */
struct api_params {
    struct control *control;
    const char *control_socket, *admin_socket;
    const char *backends; /* JSON array of engine descriptions, see api/backends.c */
    /* Writes the effective configuration, without secrets. */
    void (*write_config)(struct json_writer *w, void *ctx);
    void *ctx;
};

/* Listens on both sockets. */
int api_new(const struct api_params *params, struct api **ret, struct err *err) must_check;

/* Stops listening; requests in progress go on. */
void api_drain(struct api *api);

/* Closes all connections. NULL is fine. Call before control_free(). */
void api_free(struct api *api);
