/* SPDX-License-Identifier: Apache-2.0 */
/* One server-sent event of Anthropic's dialect, written around its data's members. Pure. */
#pragma once

#include "base/json.h"

/* Begins the event `type`: its lines, and the data's object with the member `type`. */
struct json_writer anthropic_event_begin(const char *type, struct buf *out);

/* Ends the object and the event. */
void anthropic_event_end(struct json_writer *w);
