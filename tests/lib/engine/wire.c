/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/engine/wire.h"

#include <stdio.h>

enum { KEPT_MEMORY = 64 << 10 };

void wire_reset(struct wire *wire, const struct script *script)
{
    struct buf out = wire->out;
    buf_clear(&out);
    *wire = (struct wire){.script = script, .out = out};
}

void wire_fini(struct wire *wire)
{
    buf_fini(&wire->out);
}

/* How many of `len` bytes behind the first `before` lie before the point; `*hit` when not all. */
static size_t room_before(const struct point *point, enum place place, int64_t before, size_t len,
                          bool *hit)
{
    if (point->place != place || before + (int64_t)len < point->at)
        return len;
    *hit = true;
    return point->at > before ? (size_t)(point->at - before) : 0;
}

static void put(struct wire *wire, enum place place, int64_t *count, struct str bytes)
{
    bool is_stalled = false, is_cut = false;
    if (wire_is_over(wire))
        return;
    size_t to_stall = room_before(&wire->script->stall, place, *count, bytes.len, &is_stalled);
    size_t to_cut = room_before(&wire->script->cut, place, *count, bytes.len, &is_cut);
    size_t take = to_stall < to_cut ? to_stall : to_cut;
    buf_add(&wire->out, bytes.ptr, take);
    *count += (int64_t)take;
    wire->is_stalled = is_stalled && to_stall <= to_cut;
    wire->is_cut = is_cut && !wire->is_stalled;
}

void wire_head(struct wire *wire, struct str bytes)
{
    put(wire, PLACE_HEAD, &wire->head_bytes, bytes);
}

void wire_body(struct wire *wire, struct str bytes)
{
    char size[32];
    if (bytes.len == 0)
        return;
    int len = snprintf(size, sizeof size, "%zx\r\n", bytes.len);
    if (wire->is_chunked && wire->pieces == wire->script->bad_chunk)
        len = snprintf(size, sizeof size, "zz\r\n");
    wire->pieces++;
    if (wire->is_chunked)
        put(wire, PLACE_BODY, &wire->body_bytes, str_sub(size, (size_t)len));
    put(wire, PLACE_BODY, &wire->body_bytes, bytes);
    if (wire->is_chunked)
        put(wire, PLACE_BODY, &wire->body_bytes, STR("\r\n"));
}

void wire_end(struct wire *wire)
{
    if (wire->is_chunked)
        put(wire, PLACE_BODY, &wire->body_bytes, STR("0\r\n\r\n"));
}

void wire_at_event(struct wire *wire, int64_t i)
{
    const struct script *script = wire->script;
    if (wire_is_over(wire))
        return;
    wire->is_stalled = script->stall.place == PLACE_CHUNK && script->stall.at == i;
    wire->is_cut = !wire->is_stalled && script->cut.place == PLACE_CHUNK && script->cut.at == i;
}

void wire_wrote(struct wire *wire, size_t n)
{
    wire->sent += n;
    if (wire->sent < wire->out.len)
        return;
    wire->sent = 0;
    if (wire->out.cap > KEPT_MEMORY)
        buf_fini(&wire->out);
    else
        buf_clear(&wire->out);
}
