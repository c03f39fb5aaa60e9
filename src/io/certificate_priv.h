/* SPDX-License-Identifier: Apache-2.0 */
/* What OpenSSL needs of a certificate, for tls.c. */
#pragma once

#include "io/certificate.h"

struct ssl_ctx_st;

/* Settings for a connection; they hold themselves for as long as a connection needs them. */
struct ssl_ctx_st *certificate_settings(const struct certificate *certificate);
