/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/translation.h"

#include "base/json.h"
#include "gateway/anthropic_error.h"
#include "gateway/anthropic_request.h"
#include "gateway/anthropic_response.h"
#include "gateway/anthropic_stream.h"

#include <assert.h>

struct translation {
    enum operation operation;
    char *name; /* owned: the model as the client wrote it */
    struct request_id id;
    struct buf body;                 /* the translated request, the model's name left empty */
    struct buf served_name;          /* JSON: what stands there instead */
    struct buf kept;                 /* the response, if it isn't events */
    struct sse sse;                  /* the engine's events */
    struct anthropic_stream *stream; /* NULL until the first came */
};

void translation_free(struct translation *t)
{
    if (!t)
        return;
    anthropic_stream_free(t->stream);
    sse_fini(&t->sse);
    buf_fini(&t->kept);
    buf_fini(&t->served_name);
    buf_fini(&t->body);
    free(t->name);
    free(t);
}

struct translation *translation_new(enum operation operation, const char *name,
                                    const struct request_id *id)
{
    struct translation *t = mem_alloc(sizeof *t);
    t->operation = operation;
    t->name = mem_strdup(name);
    t->id = *id;
    return t;
}

int translation_read(struct translation *t, struct str body, struct err *err)
{
    return t->operation == OPERATION_COUNT_TOKENS
               ? anthropic_count_to_tokenize(body, "", &t->body, err)
               : anthropic_request_to_chat(body, "", &t->body, err);
}

/* The name is the first member, so it is put in without the rest being written again. */
struct http_body translation_body(struct translation *t, const char *served_name)
{
    static const struct str key = STR("{\"model\":"), empty = STR("\"\"");
    struct str body = buf_str(&t->body);
    assert(str_has_prefix(body, key) && str_has_prefix(str_skip(body, key.len), empty));
    buf_clear(&t->served_name);
    struct json_writer w = json_writer_into(&t->served_name);
    json_add_cstring(&w, served_name);
    return (struct http_body){
        .parts = {key, buf_str(&t->served_name), str_skip(body, key.len + empty.len)}, .count = 3};
}

void translation_drop_body(struct translation *t)
{
    buf_fini(&t->body);
}

const char *translation_path(const struct translation *t)
{
    return t->operation == OPERATION_COUNT_TOKENS ? "/tokenize" : "/v1/chat/completions";
}

/* ---- a response that isn't events ---- */

bool translation_keep(struct translation *t, struct str piece)
{
    if (piece.len > TRANSLATION_RESPONSE_MAX - t->kept.len)
        return false;
    buf_add_str(&t->kept, piece);
    return true;
}

static int translate(const struct translation *t, struct buf *out, struct err *err)
{
    const struct anthropic_reply about = {.model = t->name, .request_id = t->id.text};
    if (t->operation == OPERATION_COUNT_TOKENS)
        return anthropic_count_from_tokenize(buf_str(&t->kept), out, err);
    return anthropic_response_from_chat(buf_str(&t->kept), &about, out, err);
}

unsigned translation_finish(const struct translation *t, unsigned status, struct buf *out)
{
    struct err err = {0};
    if (status != 200) {
        anthropic_error_from_engine(status, buf_str(&t->kept), t->id.text, out);
        return status;
    }
    if (translate(t, out, &err) == 0)
        return 200;
    auto_free char *message = mem_printf("the engine's answer can't be understood: %s", err.text);
    anthropic_write_error(anthropic_error_type(502), str_of(message), t->id.text, out);
    return 502;
}

/* ---- events ---- */

static struct anthropic_stream *stream_of(struct translation *t)
{
    const struct anthropic_reply about = {.model = t->name, .request_id = t->id.text};
    if (!t->stream)
        t->stream = anthropic_stream_new(&about);
    return t->stream;
}

static void take_event(struct translation *t, const struct sse_event *event, struct buf *out)
{
    if (event->is_partial) {
        auto_free char *message = mem_printf("an event of the engine's response is larger than %d "
                                             "bytes", SSE_EVENT_MAX);
        translation_fail(t, 502, message, out);
    } else if (event->data.ptr) {
        anthropic_stream_event(stream_of(t), event->data, out);
    }
}

void translation_feed(struct translation *t, struct str piece, struct buf *out)
{
    struct sse_event event;
    sse_feed(&t->sse, piece);
    while (sse_next(&t->sse, &event))
        take_event(t, &event, out);
}

void translation_end(struct translation *t, struct buf *out)
{
    anthropic_stream_end(stream_of(t), out);
}

void translation_fail(struct translation *t, unsigned status, const char *message, struct buf *out)
{
    anthropic_stream_fail(stream_of(t), anthropic_error_type(status), str_of(message), out);
}

const char *translation_fault(const struct translation *t)
{
    return t->stream ? anthropic_stream_fault(t->stream) : NULL;
}
