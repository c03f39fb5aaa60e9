/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server's certificate chain with its private key, ready for TLS handshakes: TLS 1.2 and 1.3,
 * "http/1.1" by ALPN, session tickets, no renegotiation.
 *
 * Immutable and counted: any thread may hold, use and give back a reference. Tickets are good
 * with this object only, so a fresh one of the same files also means fresh ticket keys.
 */
#pragma once

#include "base/err.h"

struct certificate;

enum { CERTIFICATE_FILE_MAX = 1 << 20 }; /* bytes of either file */

/*
 * Reads both files (PEM; the chain begins with the server's own certificate). The text names the
 * file and what is wrong: it can't be read, has no certificate or key, the key is protected by a
 * passphrase, is too weak or belongs to another certificate. Blocks. Returns a reference.
 */
int certificate_load(const char *chain_path, const char *key_path, struct certificate **ret,
                     struct err *err) must_check;

/* One more reference to it; each is given back by itself. */
struct certificate *certificate_ref(struct certificate *certificate);

/* Gives a reference back; frees with the last one. NULL is fine. */
void certificate_unref(struct certificate *certificate);

/*
 * What an operator should know although it works: others may read the key file, the certificate
 * isn't valid yet or no longer. A sentence, or NULL. Borrows.
 */
const char *certificate_warning(const struct certificate *certificate);

/* "CN=example.org, valid until 2027-01-31": for the log. Borrows. */
const char *certificate_text(const struct certificate *certificate);
