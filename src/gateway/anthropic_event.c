/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_event_priv.h"

struct json_writer anthropic_event_begin(const char *type, struct buf *out)
{
    buf_printf(out, "event: %s\ndata: ", type);
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    json_put_string(&w, "type", type);
    return w;
}

void anthropic_event_end(struct json_writer *w)
{
    json_end_object(w);
    buf_add_cstr(w->out, "\n\n");
}
