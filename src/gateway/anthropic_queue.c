/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_queue_priv.h"

#include "gateway/anthropic_event_priv.h"
#include "gateway/anthropic_priv.h"
#include "gateway/anthropic_response.h"

/* How far the arguments of a call are: one JSON object, of which only the skeleton is followed. */
struct progress {
    unsigned depth;
    bool in_string, escaped;
    bool is_whole;  /* the object is closed; the rest is left out */
    bool is_broken; /* it began with something else; all of it is passed on */
};

struct anthropic_block {
    enum anthropic_block_kind kind;
    int64_t call_index; /* the engine's number of the call */
    char *id, *name;    /* of a call; owned; NULL: not told yet */
    struct progress progress;
    struct buf held; /* what isn't written yet */
    bool is_started;
};

void anthropic_queue_fini(struct anthropic_queue *queue)
{
    for (size_t i = 0; i < queue->count; i++) {
        free(queue->blocks[i].id);
        free(queue->blocks[i].name);
        buf_fini(&queue->blocks[i].held);
    }
    free(queue->blocks);
    *queue = (struct anthropic_queue){0};
}

/* --- arguments -------------------------------------------------------------------------------- */

static void progress_take_char(struct progress *progress, char c)
{
    if (progress->escaped)
        progress->escaped = false;
    else if (progress->in_string && c == '\\')
        progress->escaped = true;
    else if (c == '"')
        progress->in_string = !progress->in_string;
    else if (!progress->in_string && (c == '{' || c == '['))
        progress->depth++;
    else if (!progress->in_string && (c == '}' || c == ']'))
        progress->is_whole = --progress->depth == 0;
}

/* How many bytes of the next piece belong to the arguments. */
static size_t progress_take(struct progress *progress, struct str piece)
{
    for (size_t i = 0; i < piece.len; i++) {
        if (progress->is_whole)
            return i;
        if (progress->depth == 0 && !memchr(" \t\r\n{", piece.ptr[i], 5))
            progress->is_broken = true;
        if (progress->is_broken)
            return piece.len;
        progress_take_char(progress, piece.ptr[i]);
    }
    return piece.len;
}

/* --- adding ----------------------------------------------------------------------------------- */

static int push(struct anthropic_queue *queue, enum anthropic_block_kind kind,
                struct anthropic_block **ret, struct err *err)
{
    if (queue->count == ANTHROPIC_BLOCKS_MAX)
        return err_set(err, ERR_TOO_LARGE, "the engine's response has more than %d blocks",
                       ANTHROPIC_BLOCKS_MAX);
    if (queue->count == queue->room) {
        queue->room = queue->room ? 2 * queue->room : 4;
        queue->blocks = mem_resize(queue->blocks, queue->room * sizeof *queue->blocks);
    }
    *ret = &queue->blocks[queue->count++];
    **ret = (struct anthropic_block){.kind = kind};
    return 0;
}

static int hold(struct anthropic_queue *queue, struct anthropic_block *block, struct str piece,
                struct err *err)
{
    if (piece.len > ANTHROPIC_HELD_MAX - queue->held)
        return err_set(err, ERR_TOO_LARGE,
                       "more than %d bytes of the engine's response wait for a call to end",
                       ANTHROPIC_HELD_MAX);
    buf_add_str(&block->held, piece);
    queue->held += piece.len;
    return 0;
}

int anthropic_queue_add_text(struct anthropic_queue *queue, enum anthropic_block_kind kind,
                             json_t *text, struct err *err)
{
    auto_fini(buf_fini) struct buf piece = {0};
    struct anthropic_block *last = queue->count ? &queue->blocks[queue->count - 1] : NULL;
    anthropic_add_text_of(text, &piece);
    if (piece.len == 0)
        return 0;
    int rc = last && last->kind == kind ? 0 : push(queue, kind, &last, err);
    return rc < 0 ? rc : hold(queue, last, buf_str(&piece), err);
}

/* Which call a piece continues. Some engines number all calls 0; a new one has another id then. */
static struct anthropic_block *find_call(struct anthropic_queue *queue, int64_t index,
                                         struct str id, struct str name)
{
    for (size_t i = queue->count; i-- > 0;) {
        struct anthropic_block *block = &queue->blocks[i];
        if (block->kind != ANTHROPIC_CALL || block->call_index != index)
            continue;
        bool is_other = id.len > 0 && name.len > 0 && block->id && !str_eq(id, str_of(block->id));
        return is_other ? NULL : block;
    }
    return NULL;
}

static int set_once(char **slot, struct str value, const char *what, struct err *err)
{
    if (value.len > ANTHROPIC_CALL_NAME_MAX)
        return err_set(err, ERR_TOO_LARGE, "a tool call's %s of %zu bytes is longer than %d", what,
                       value.len, ANTHROPIC_CALL_NAME_MAX);
    if (!*slot && value.len > 0)
        *slot = str_dup(value);
    return 0;
}

int anthropic_queue_add_call(struct anthropic_queue *queue, json_t *piece, struct err *err)
{
    auto_free char *dumped = NULL;
    json_t *function = json_object_get(piece, "function");
    json_t *arguments = json_object_get(function, "arguments");
    struct str id = anthropic_str(json_object_get(piece, "id"));
    struct str name = anthropic_str(json_object_get(function, "name"));
    struct str text = anthropic_str(arguments);
    int64_t index = json_member_int(piece, "index", 0);
    struct anthropic_block *block = find_call(queue, index, id, name);
    int rc = block ? 0 : push(queue, ANTHROPIC_CALL, &block, err);
    if (rc < 0)
        return rc;
    block->call_index = index;
    rc = set_once(&block->id, id, "id", err);
    if (rc == 0)
        rc = set_once(&block->name, name, "name", err);
    if (rc < 0)
        return rc;
    if (json_is_object(arguments)) {
        struct buf whole = {0};
        struct json_writer w = json_writer_into(&whole);
        anthropic_add_value(&w, arguments);
        text = buf_str(&whole);
        dumped = buf_take(&whole);
    }
    return hold(queue, block, str_sub(text.ptr, progress_take(&block->progress, text)), err);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void write_start(const struct anthropic_queue *queue, const struct anthropic_block *block,
                        struct buf *out)
{
    struct json_writer w = anthropic_event_begin("content_block_start", out);
    json_put_int(&w, "index", (int64_t)queue->started);
    json_add_key(&w, "content_block");
    json_begin_object(&w);
    switch (block->kind) {
    case ANTHROPIC_TEXT:
        json_put_string(&w, "type", "text");
        json_put_string(&w, "text", "");
        break;
    case ANTHROPIC_THINKING:
        json_put_string(&w, "type", "thinking");
        json_put_string(&w, "thinking", "");
        json_put_string(&w, "signature", "");
        break;
    case ANTHROPIC_CALL:
        json_put_string(&w, "type", "tool_use");
        anthropic_put_call_id(&w, str_of(block->id), queue->request_id, queue->started);
        json_put_string(&w, "name", block->name);
        json_add_key(&w, "input");
        json_begin_object(&w);
        json_end_object(&w);
        break;
    }
    json_end_object(&w);
    anthropic_event_end(&w);
}

static void write_delta(const struct anthropic_queue *queue, const char *type, const char *member,
                        struct str text, struct buf *out)
{
    struct json_writer w = anthropic_event_begin("content_block_delta", out);
    json_put_int(&w, "index", (int64_t)queue->started - 1);
    json_add_key(&w, "delta");
    json_begin_object(&w);
    json_put_string(&w, "type", type);
    json_add_key(&w, member);
    json_add_string(&w, text);
    json_end_object(&w);
    anthropic_event_end(&w);
}

static void write_held(struct anthropic_queue *queue, struct anthropic_block *block,
                       struct buf *out)
{
    static const struct {
        const char *type, *member;
    } deltas[] = {
        [ANTHROPIC_TEXT] = {"text_delta", "text"},
        [ANTHROPIC_THINKING] = {"thinking_delta", "thinking"},
        [ANTHROPIC_CALL] = {"input_json_delta", "partial_json"},
    };
    if (block->held.len > 0)
        write_delta(queue, deltas[block->kind].type, deltas[block->kind].member,
                    buf_str(&block->held), out);
    queue->held -= block->held.len;
    buf_fini(&block->held);
}

static void write_stop(const struct anthropic_queue *queue, const struct anthropic_block *block,
                       struct buf *out)
{
    if (block->kind == ANTHROPIC_THINKING)
        write_delta(queue, "signature_delta", "signature", STR(ANTHROPIC_SIGNATURE), out);
    struct json_writer w = anthropic_event_begin("content_block_stop", out);
    json_put_int(&w, "index", (int64_t)queue->started - 1);
    anthropic_event_end(&w);
}

/* A call needs its name; a text of white space only is no block, see anthropic_response.c. */
static bool can_start(const struct anthropic_block *block)
{
    switch (block->kind) {
    case ANTHROPIC_TEXT:
        return !anthropic_is_blank(buf_str(&block->held));
    case ANTHROPIC_THINKING:
        return true;
    case ANTHROPIC_CALL:
        return block->name != NULL;
    }
    return false;
}

static void start(struct anthropic_queue *queue, struct anthropic_block *block, struct buf *out)
{
    write_start(queue, block, out);
    queue->started++;
    queue->has_calls |= block->kind == ANTHROPIC_CALL;
    block->is_started = true;
}

/* Whether the block at the head is over, so that the next may begin. */
static bool is_over(const struct anthropic_queue *queue, bool at_end)
{
    const struct anthropic_block *block = &queue->blocks[queue->head];
    if (at_end)
        return true;
    if (queue->head + 1 == queue->count)
        return false;
    return block->kind != ANTHROPIC_CALL || (block->is_started && block->progress.is_whole);
}

int anthropic_queue_write(struct anthropic_queue *queue, bool at_end, struct buf *out,
                          struct err *err)
{
    for (; queue->head < queue->count; queue->head++) {
        struct anthropic_block *block = &queue->blocks[queue->head];
        if (!block->is_started && can_start(block))
            start(queue, block, out);
        if (block->is_started)
            write_held(queue, block, out);
        if (!is_over(queue, at_end))
            return 0;
        if (block->is_started)
            write_stop(queue, block, out);
        else if (block->kind == ANTHROPIC_CALL)
            return err_set(err, ERR_PROTOCOL, "the engine's tool call %lld has no name",
                           (long long)block->call_index);
        queue->held -= block->held.len; /* of white space */
        buf_fini(&block->held);
    }
    return 0;
}
