/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows the files of a certificate: loads them again when one of them has changed, when told to,
 * and once a day (for fresh ticket keys). One loop's thread; files are read in the pool.
 */
#pragma once

#include "io/certificate.h"
#include "io/loop.h"

enum {
    CERTIFICATE_CHECK_MS = 5000,
    CERTIFICATE_RENEW_MS = 24 * 3600 * 1000,
};

struct certificate_watch;

/*
 * `rc` 0: `fresh` is what the files hold now (borrowed). Negative: they can't be used, `text` says
 * why; told once per change of the files. Whatever was loaded before goes on.
 */
typedef void certificate_watch_cb(int rc, struct certificate *fresh, const char *text, void *ctx);

/*
 * Made before the first certificate_load() of these files, so that no change is missed. Paths are
 * copied. Returns owned.
 */
struct certificate_watch *certificate_watch_new(struct loop *loop, const char *chain_path,
                                                const char *key_path, certificate_watch_cb *cb,
                                                void *ctx);

/* Loads now, changed or not. */
void certificate_watch_reload(struct certificate_watch *watch);

/* No callback comes any more; allowed inside it. NULL is fine. */
void certificate_watch_free(struct certificate_watch *watch);
