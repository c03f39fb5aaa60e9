/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stored login of the client commands: one server and one API key, in
 * $XDG_CONFIG_HOME/gpustack/credentials.json (else ~/.config), readable by the user only.
 */
#pragma once

#include "base/err.h"

struct credentials {
    char *server_url; /* without a slash at the end; NULL when nothing is stored */
    char *api_key;    /* wiped on fini */
};

/* A missing file gives an empty result and 0. ERR_SYNTAX names a broken file. */
int credentials_load(struct credentials *ret, struct err *err) must_check;
int credentials_save(const struct credentials *credentials, struct err *err) must_check;
void credentials_fini(struct credentials *credentials);
