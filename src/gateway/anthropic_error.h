/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as clients of Anthropic's API expect them:
 * {"type":"error","error":{"type":"...","message":"..."},"request_id":"..."}. Pure, any thread.
 */
#pragma once

#include "base/buf.h"

enum { ANTHROPIC_FAULT_MAX = 1 << 20 }; /* bytes of an engine's error body that are looked at */

/* Anthropic's type of an error with this HTTP status ("not_found_error"). Never NULL. */
const char *anthropic_error_type(unsigned status);

/* Appends an error body; a NULL `request_id` becomes null. */
void anthropic_write_error(const char *type, struct str message, const char *request_id,
                           struct buf *out);

/* Appends the error body for an engine's answer with another status than 200: its message out of
 * whatever shape the engine uses, or its text, and the type that belongs to the status. */
void anthropic_error_from_engine(unsigned status, struct str body, const char *request_id,
                                 struct buf *out);
