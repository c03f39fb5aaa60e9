/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine's events, one a line: whatever they are, what comes out are well-formed events in the
 * order that clients count on, with exactly one last one. Each line is read as a whole response,
 * as the reply to a count and as an error's body too.
 */
#include "base/json.h"
#include "fuzz.h"
#include "gateway/anthropic_error.h"
#include "gateway/anthropic_stream.h"

#include <assert.h>

static const struct anthropic_reply about = {.model = "m", .request_id = "r"};

/* What a client has seen so far. */
struct client {
    bool is_started, is_ended;
    int64_t blocks; /* begun */
    bool is_open;   /* the last of them isn't stopped */
};

static void take_block_event(struct client *client, const char *type, const json_t *event)
{
    int64_t index = json_member_int(event, "index", -1);
    assert(client->is_started);
    if (strcmp(type, "content_block_start") == 0) {
        assert(!client->is_open && index == client->blocks);
        client->blocks++;
        client->is_open = true;
        return;
    }
    assert(client->is_open && index == client->blocks - 1);
    client->is_open = strcmp(type, "content_block_stop") != 0;
}

static void take_event(struct client *client, struct str line, const json_t *event)
{
    const char *type = json_member_string(event, "type");
    assert(type && str_eq(line, str_of(type)) && !client->is_ended);
    if (strcmp(type, "message_start") == 0) {
        assert(!client->is_started);
        client->is_started = true;
    } else if (strcmp(type, "message_delta") == 0) {
        assert(client->is_started && !client->is_open);
        assert(json_member_string(json_object_get(event, "delta"), "stop_reason"));
    } else if (strcmp(type, "message_stop") == 0 || strcmp(type, "error") == 0) {
        client->is_ended = true;
    } else {
        take_block_event(client, type, event);
    }
}

static void take_events(struct client *client, struct str events)
{
    struct str type = {0}, data = {0}, empty = {0};
    while (str_split(&events, '\n', &type)) {
        assert(str_has_prefix(type, STR("event: ")));
        assert(str_split(&events, '\n', &data) && str_has_prefix(data, STR("data: ")));
        assert(str_split(&events, '\n', &empty) && empty.len == 0);
        data = str_skip(data, strlen("data: "));
        json_t *event = json_loadb(data.ptr, data.len, JSON_ALLOW_NUL, NULL);
        assert(event);
        take_event(client, str_skip(type, strlen("event: ")), event);
        json_decref(event);
    }
}

static void expect_json(const struct buf *text)
{
    json_t *root = json_loadb(text->ptr, text->len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    assert(json_is_object(root));
    json_decref(root);
}

static void take_whole(struct str body)
{
    struct buf out = {0};
    struct err err = {0};
    if (anthropic_response_from_chat(body, &about, &out, &err) == 0)
        expect_json(&out);
    else
        assert(err.text[0] != '\0' && !out.ptr);
    buf_clear(&out);
    if (anthropic_count_from_tokenize(body, &out, NULL) == 0)
        expect_json(&out);
    buf_clear(&out);
    anthropic_error_from_engine(400 + body.len % 200, body, "r", &out);
    expect_json(&out);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct anthropic_stream *stream = anthropic_stream_new(&about);
    struct client client = {0};
    struct str rest = str_sub((const char *)data, size), line;
    struct buf out = {0};
    while (str_split(&rest, '\n', &line)) {
        take_whole(line);
        anthropic_stream_event(stream, line, &out);
        take_events(&client, buf_str(&out));
        assert(client.is_ended == anthropic_stream_is_complete(stream));
        buf_clear(&out);
    }
    anthropic_stream_end(stream, &out);
    take_events(&client, buf_str(&out));
    assert(client.is_ended && anthropic_stream_is_complete(stream));
    anthropic_stream_free(stream);
    buf_fini(&out);
    return 0;
}
