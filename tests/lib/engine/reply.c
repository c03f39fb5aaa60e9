/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/engine/conn.h"

#include "base/file.h"

#include <inttypes.h>

enum {
    PENDING_MAX = 64 << 10, /* bytes that wait for the socket before more is made */
    FILE_BYTES_MAX = 64 << 20,
    GARBAGE_LINE = 64,
};

void reply_fini(struct reply *reply)
{
    buf_fini(&reply->body);
    *reply = (struct reply){0};
}

/* ---- what the response is ---- */

static int64_t count_events(const struct buf *file)
{
    int64_t count = 0;
    struct str rest = buf_str(file);
    while (rest.len) {
        const char *end = memmem(rest.ptr, rest.len, "\n\n", 2);
        rest = end ? str_skip(rest, (size_t)(end - rest.ptr) + 2) : (struct str){0};
        count++;
    }
    return count;
}

/* A file takes the place of all content; one that can't be read is a fault of the test. */
static void read_content_file(struct conn *conn)
{
    struct reply *reply = &conn->reply;
    struct err err = {0};
    if (file_read(conn->script.file, FILE_BYTES_MAX, &reply->body, &err) < 0) {
        conn->script.status = 500;
        conn->script.file[0] = '\0';
        buf_add_cstr(&reply->body, err.text);
    }
    reply->content.events = count_events(&reply->body);
}

static bool is_served(const struct conn *conn, enum api api)
{
    if (api == API_MESSAGES || api == API_COUNT_TOKENS)
        return conn->script.messages;
    return api != API_NONE && (api != API_RESPONSES || conn->script.responses);
}

static bool may_stream(enum api api)
{
    return api == API_CHAT || api == API_COMPLETIONS || api == API_LLAMA || api == API_RESPONSES ||
           api == API_MESSAGES || api == API_SPEECH;
}

static void set_content(struct conn *conn, const struct members *members)
{
    struct reply *reply = &conn->reply;
    const struct script *script = &conn->script;
    struct content *content = &reply->content;
    *content = (struct content){.api = content_api(conn->request.path),
                                .script = script,
                                .model = members->model.len ? members->model
                                                            : str_of(conn->engine->alias),
                                .number = conn->entry->number,
                                .created = conn->engine->created,
                                .events = script->chunks,
                                .wants_usage = members->include_usage};
    if (members->max_tokens >= 0 && members->max_tokens < content->events) {
        content->events = members->max_tokens;
        content->is_capped = true;
    }
    bool wants_stream = script->stream >= 0 ? script->stream : members->is_stream;
    reply->is_stream = wants_stream && may_stream(content->api) && script->size < 0;
}

/* The body of anything but a stream, or its size when it has no meaning. */
static void make_body(struct conn *conn)
{
    struct reply *reply = &conn->reply;
    const struct script *script = &conn->script;
    if (reply->is_stream || script->file[0])
        return;
    if (script->size >= 0 && script->status < 400)
        reply->size = script->size;
    else if (script->status >= 400 && reply->body.len == 0)
        content_error(&reply->content, &reply->body);
    else if (reply->content.api == API_SPEECH)
        reply->size = 4096;
    else if (reply->body.len == 0)
        content_whole(&reply->content, &reply->body);
    conn->entry->completion_tokens = script->status < 400 ? reply->content.events : 0;
}

/* Answers that aren't of an API: pages, unknown paths, malformed scripts. */
static bool make_page(struct conn *conn, const struct err *bad_script)
{
    struct reply *reply = &conn->reply;
    struct buf *body = &reply->body;
    if (bad_script->code) {
        conn->script = script_initial;
        conn->script.status = 400;
        buf_add_cstr(body, bad_script->text);
    } else if (engine_has_page(conn->request.path) &&
               engine_page(conn->engine, &conn->request, &conn->script.status, body)) {
        int64_t status = conn->script.status;
        conn->script = script_initial;
        conn->script.status = status;
    } else if (!is_served(conn, content_api(conn->request.path))) {
        conn->script = script_initial;
        conn->script.status = 404;
        buf_add_cstr(body, "{\"error\":{\"message\":\"no such path\",\"code\":404}}");
    } else {
        return false;
    }
    reply->is_stream = false;
    return true;
}

void reply_start(struct conn *conn, const struct members *members, const struct err *bad_script)
{
    struct reply *reply = &conn->reply;
    struct buf body = reply->body;
    buf_clear(&body);
    *reply = (struct reply){.body = body, .is_kept = conn->request.is_kept};
    set_content(conn, members);
    if (!make_page(conn, bad_script)) {
        conn->entry->prompt_tokens = conn->script.status < 400 ? conn->script.prompt : 0;
        if (conn->script.file[0])
            read_content_file(conn);
        reply->is_stream = reply->is_stream && conn->script.status < 400;
        make_body(conn);
    }
    if (reply->size == 0)
        reply->size = (int64_t)reply->body.len;
    conn->entry->status = conn->script.status;
    wire_reset(&conn->wire, &conn->script);
    reply->due_ns = conn->engine->poller.now_ns + conn->script.head_ns;
    reply_run(conn);
}

/* ---- its head ---- */

static enum framing framing_of(const struct conn *conn)
{
    if (conn->script.framing != FRAMING_AUTO)
        return (enum framing)conn->script.framing;
    return conn->reply.is_stream ? FRAMING_CHUNKED : FRAMING_LENGTH;
}

static const char *type_of(const struct conn *conn)
{
    if (conn->script.type[0])
        return conn->script.type;
    if (conn->reply.is_stream)
        return "text/event-stream";
    if (conn->reply.body.len && conn->reply.body.ptr[0] != '{')
        return "text/plain";
    return conn->reply.content.api == API_SPEECH ? "audio/mpeg" : "application/json";
}

static void put_interim(struct conn *conn, struct buf *out)
{
    for (int64_t i = 0; i < conn->script.interim; i++)
        buf_printf(out, "HTTP/1.1 %" PRId64 " Interim\r\nX-Interim: %" PRId64 "\r\n\r\n",
                   conn->script.interim_status, i);
}

static void put_extra_headers(struct conn *conn, struct buf *out)
{
    const struct script *script = &conn->script;
    for (int64_t i = 0; i < script->headers; i++)
        buf_printf(out, "X-Extra-%" PRId64 ": %" PRId64 "\r\n", i, i);
    if (script->header_bytes) {
        buf_add_cstr(out, "X-Padding: ");
        memset(buf_reserve(out, (size_t)script->header_bytes), 'p', (size_t)script->header_bytes);
        buf_grew(out, (size_t)script->header_bytes);
        buf_add_cstr(out, "\r\n");
    }
    if (script->retry_after[0])
        buf_printf(out, "Retry-After: %s\r\n", script->retry_after);
    if (script->usage == USAGE_TEI)
        buf_printf(out, "x-compute-type: cpu\r\nx-compute-tokens: %" PRId64 "\r\n", script->prompt);
}

static void put_framing(struct conn *conn, struct buf *out)
{
    enum framing framing = framing_of(conn);
    conn->wire.is_chunked = framing == FRAMING_CHUNKED;
    if (framing == FRAMING_CHUNKED)
        buf_add_cstr(out, "Transfer-Encoding: chunked\r\n");
    else if (framing == FRAMING_LENGTH)
        buf_printf(out, "Content-Length: %" PRId64 "\r\n", conn->reply.size + conn->script.length);
    if (framing == FRAMING_CLOSE || conn->script.length > 0 ||
        conn->script.close != CLOSING_NO)
        conn->reply.is_kept = false;
    if (!conn->reply.is_kept && conn->script.close != CLOSING_SILENT && conn->script.length <= 0)
        buf_add_cstr(out, "Connection: close\r\n");
}

static void put_garbage(struct conn *conn, struct buf *out)
{
    for (int64_t i = 0; i < conn->script.garbage; i++)
        buf_add_char(out, i % GARBAGE_LINE == GARBAGE_LINE - 1 ? '\n' : (char)(0x80 + i % 96));
    conn->reply.is_kept = false;
    conn->reply.step = STEP_OVER;
}

static void put_head(struct conn *conn)
{
    struct buf out = {0};
    conn->reply.step = STEP_FIRST;
    put_interim(conn, &out);
    if (conn->script.garbage) {
        put_garbage(conn, &out);
    } else {
        buf_printf(&out, "HTTP/1.1 %" PRId64 " Scripted\r\nServer: scripted\r\n",
                   conn->script.status);
        buf_printf(&out, "Content-Type: %s\r\n", type_of(conn));
        put_extra_headers(conn, &out);
        put_framing(conn, &out);
        buf_add_cstr(&out, "\r\n");
    }
    wire_head(&conn->wire, buf_str(&out));
    buf_fini(&out);
    conn->entry->head_ns = poller_clock();
}

/* ---- its body ---- */

/* A body that is there, or that has no meaning, in pieces that fit the socket. */
static void put_plain(struct conn *conn)
{
    static const char filling[PENDING_MAX];
    struct reply *reply = &conn->reply;
    size_t left = (size_t)reply->size - reply->put;
    size_t n = left < PENDING_MAX ? left : PENDING_MAX;
    const char *from = reply->body.len ? reply->body.ptr + reply->put : filling;
    wire_body(&conn->wire, str_sub(from, n));
    reply->put += n;
    if (reply->put == (size_t)reply->size)
        reply->step = STEP_OVER;
}

static void put_file_event(struct conn *conn)
{
    struct reply *reply = &conn->reply;
    struct str rest = str_skip(buf_str(&reply->body), reply->put);
    const char *end = memmem(rest.ptr, rest.len, "\n\n", 2);
    size_t n = end ? (size_t)(end - rest.ptr) + 2 : rest.len;
    wire_body(&conn->wire, str_sub(rest.ptr, n));
    reply->put += n;
}

static void put_made_event(struct conn *conn)
{
    struct buf out = {0};
    content_event(&conn->reply.content, conn->reply.event, &out);
    wire_body(&conn->wire, buf_str(&out));
    buf_fini(&out);
}

/* What comes instead of the event, or behind the last one. */
static void put_tail(struct conn *conn, bool is_error)
{
    struct buf out = {0};
    if (is_error)
        content_error_event(&conn->reply.content, &out);
    else if (!conn->script.file[0])
        content_tail(&conn->reply.content, &out);
    wire_body(&conn->wire, buf_str(&out));
    buf_fini(&out);
    conn->reply.step = STEP_OVER;
}

static void put_event(struct conn *conn)
{
    struct reply *reply = &conn->reply;
    bool is_error = reply->event == conn->script.error_at;
    wire_at_event(&conn->wire, reply->event);
    if (is_error || reply->event == reply->content.events) {
        put_tail(conn, is_error);
        return;
    }
    if (wire_is_over(&conn->wire))
        return;
    if (conn->script.file[0])
        put_file_event(conn);
    else
        put_made_event(conn);
    reply->event++;
    conn->entry->events++;
    conn->entry->completion_tokens++;
}

/* ---- its pace ---- */

/* When the next event is due, now that one was put; the tail follows the last one at once. */
static void set_next_due(struct conn *conn)
{
    struct reply *reply = &conn->reply;
    const struct script *script = &conn->script;
    if (reply->event == reply->content.events || !reply->is_stream)
        return;
    if (script->align_ns)
        reply->due_ns = (conn->engine->poller.now_ns / script->align_ns + 1) * script->align_ns;
    else
        reply->due_ns += script->delay_ns;
}

static void put_step(struct conn *conn)
{
    struct reply *reply = &conn->reply;
    if (reply->step == STEP_HEAD) {
        put_head(conn);
        reply->due_ns = conn->engine->poller.now_ns + conn->script.first_ns;
        return;
    }
    reply->step = STEP_BODY;
    if (reply->is_stream)
        put_event(conn);
    else
        put_plain(conn);
    if (reply->step == STEP_OVER)
        wire_end(&conn->wire);
    else
        set_next_due(conn);
}

static bool is_due(const struct conn *conn)
{
    return conn->reply.step != STEP_OVER && !wire_is_over(&conn->wire) &&
           conn->reply.due_ns <= conn->engine->poller.now_ns;
}

/* What is due already, but doesn't fit with the rest, waits a turn: others have theirs too. */
void reply_run(struct conn *conn)
{
    while (is_due(conn) && wire_pending(&conn->wire).len < PENDING_MAX)
        put_step(conn);
    if (!conn_flush(conn) || wire_is_over(&conn->wire))
        return;
    if (conn->reply.step == STEP_OVER)
        conn_replied(conn);
    else
        poller_alarm(&conn->engine->poller, &conn->step_alarm, conn->reply.due_ns);
}
