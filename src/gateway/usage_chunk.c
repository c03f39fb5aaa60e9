/* SPDX-License-Identifier: Apache-2.0 */
/* One event of a stream: what it is, and timing added to its usage. */
#include "base/num.h"
#include "gateway/json_read_priv.h"
#include "gateway/usage.h"

#include <inttypes.h>

enum { CHOICES_MAX = 1 << 16 }; /* an index above isn't one */

#define KEY(text) {text, sizeof(text) - 1}

/* A string, array or object with something in it. */
static bool is_filled(struct str value)
{
    if (value.len <= 2)
        return false;
    if (value.ptr[0] == '"')
        return true;
    if (value.ptr[0] != '[' && value.ptr[0] != '{')
        return false;
    return json_pass(value.ptr + 1, value.ptr + value.len, JSON_BLANK) <
           value.ptr + value.len - 1;
}

static bool is_null(struct str value)
{
    return str_eq(value, STR("null"));
}

/* A string without its quotes; empty when it is another value. */
static struct str string_of(struct str value)
{
    return value.len >= 2 && value.ptr[0] == '"' ? str_sub(value.ptr + 1, value.len - 2)
                                                 : str_sub(NULL, 0);
}

static bool is_one_of(struct str key, const struct str *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(key, names[i]))
            return true;
    return false;
}

/* Of a chat's choice, of a Messages event, or the text itself as in an event of Responses. */
static void read_delta(struct json_reader *r, struct chunk_view *view)
{
    static const struct str content[] = {
        KEY("content"),       KEY("reasoning_content"), KEY("reasoning"), KEY("tool_calls"),
        KEY("function_call"), KEY("refusal"),           KEY("audio"),     KEY("text"),
        KEY("thinking"),      KEY("partial_json"),
    };
    struct str key;
    if (!json_enter(r, '{')) {
        view->has_content |= is_filled(json_skip(r));
        return;
    }
    while (json_next_key(r, &key)) {
        struct str value = json_skip(r);
        if (is_one_of(key, content, ARRAY_LEN(content)))
            view->has_content |= is_filled(value);
        else if (str_eq(key, STR("stop_reason")))
            view->has_finish |= !is_null(value);
    }
}

static void note_index(struct str value, struct chunk_view *view)
{
    uint64_t index;
    if (num_parse_u64(value, &index) == 0 && index < CHOICES_MAX && index >= view->choices)
        view->choices = (unsigned)index + 1;
}

static void read_choice(struct json_reader *r, struct chunk_view *view)
{
    struct str key;
    bool is_finished = false;
    if (!json_enter(r, '{')) {
        json_skip(r);
        return;
    }
    while (json_next_key(r, &key)) {
        if (str_eq(key, STR("delta")) || str_eq(key, STR("message")))
            read_delta(r, view);
        else if (str_eq(key, STR("finish_reason")))
            is_finished = !is_null(json_skip(r));
        else if (str_eq(key, STR("index")))
            note_index(json_skip(r), view);
        else if (str_eq(key, STR("text")))
            view->has_content |= is_filled(json_skip(r));
        else
            json_skip(r);
    }
    view->finishes += is_finished;
    view->has_finish |= is_finished;
}

static void read_choices(struct json_reader *r, struct chunk_view *view)
{
    if (!json_enter(r, '[')) {
        json_skip(r);
        return;
    }
    view->has_choices = true;
    view->choices_is_empty = true;
    while (json_next_item(r)) {
        view->choices_is_empty = false;
        read_choice(r, view);
    }
}

static void take_usage(struct str value, struct chunk_view *view)
{
    if (value.len && value.ptr[0] == '{')
        view->usage = value;
}

/* A response of Responses or a message of Messages, both with usage. */
static void read_envelope(struct json_reader *r, struct chunk_view *view)
{
    struct str key;
    json_enter(r, '{');
    while (json_next_key(r, &key)) {
        struct str value = json_skip(r);
        if (str_eq(key, STR("usage")) && view->usage.len == 0)
            take_usage(value, view);
        else if (str_eq(key, STR("content")))
            view->has_content |= is_filled(value);
    }
}

/* Members that aren't entered. */
static void take_member(struct str key, struct str value, struct chunk_view *view)
{
    if (str_eq(key, STR("usage")))
        take_usage(value, view);
    else if (str_eq(key, STR("type")))
        view->type = string_of(value);
    else if (str_eq(key, STR("id")))
        view->id = string_of(value);
    else if (str_eq(key, STR("model")))
        view->model = string_of(value);
    else if (str_eq(key, STR("content")) || str_eq(key, STR("response")))
        view->has_content |= is_filled(value); /* text, as llama.cpp and Ollama have it */
    else if (str_eq(key, STR("error")))
        view->has_error |= !is_null(value);
    else if (str_eq(key, STR("object")))
        view->has_error |= str_eq(value, STR("\"error\""));
}

bool chunk_read(struct str data, struct chunk_view *ret)
{
    struct json_reader r = json_reader_of(data);
    struct chunk_view view = {.is_done = str_eq(str_trim(data), STR("[DONE]"))};
    struct str key;
    if (!view.is_done && !json_enter(&r, '{'))
        return false;
    while (!view.is_done && json_next_key(&r, &key)) {
        if (str_eq(key, STR("choices")))
            read_choices(&r, &view);
        else if (str_eq(key, STR("delta")))
            read_delta(&r, &view);
        else if (json_peek(&r) == '{' &&
                 (str_eq(key, STR("message")) || str_eq(key, STR("response"))))
            read_envelope(&r, &view);
        else
            take_member(key, json_skip(&r), &view);
    }
    if (r.is_bad)
        return false;
    *ret = view;
    return true;
}

/* ---- timing ---- */

static bool has_member(struct str object, const char *name)
{
    struct json_reader r = json_reader_of(object);
    struct str key;
    if (!json_enter(&r, '{'))
        return false;
    while (json_next_key(&r, &key)) {
        if (str_eq(key, str_of(name)))
            return true;
        json_skip(&r);
    }
    return false;
}

void usage_write_timing(struct str data, const struct chunk_view *chunk,
                        const struct usage_timing *timing, struct buf *out)
{
    const struct {
        const char *name;
        double value;
    } members[] = {
        {"tokens_per_second", timing->tokens_per_second},
        {"time_to_first_token_ms", timing->time_to_first_token_ms},
        {"time_per_output_token_ms", timing->time_per_output_token_ms},
    };
    if (chunk->usage.len == 0) {
        buf_add_str(out, data);
        return;
    }
    const char *close = chunk->usage.ptr + chunk->usage.len - 1;
    bool is_first = !is_filled(chunk->usage);
    buf_add(out, data.ptr, (size_t)(close - data.ptr));
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        double value = members[i].value;
        if (!(value >= 0 && value < (double)USAGE_TOKENS_MAX) ||
            has_member(chunk->usage, members[i].name))
            continue;
        /* No "%f": its point depends on the locale. */
        int64_t thousandths = (int64_t)(value * 1000 + 0.5);
        buf_printf(out, "%s\"%s\":%" PRId64 ".%03" PRId64, is_first ? "" : ",", members[i].name,
                   thousandths / 1000, thousandths % 1000);
        is_first = false;
    }
    buf_add(out, close, (size_t)(data.ptr + data.len - close));
}
