/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/load/response.h"

#include "base/mem.h"
#include "base/num.h"

/* ---- events ---- */

/* `{"content":"0012"...`: the number is the event's. Events without content aren't counted. */
static void take_event(struct response *response, struct str event)
{
    static const char mark[] = "\"content\":\"";
    const char *at = memmem(event.ptr, event.len, mark, sizeof mark - 1);
    const char *end = event.ptr + event.len;
    if (!at) {
        response->is_ended |= memmem(event.ptr, event.len, "[DONE]", 6) != NULL;
        return;
    }
    int64_t number = 0;
    for (at += sizeof mark - 1; at < end && *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (*at - '0');
    response->missing += number != response->events;
    response->events = number + 1;
}

/* Whole events are taken where they lie; half ones are held until the rest comes. */
static bool take_events(struct response *response, struct str data)
{
    while (data.len) {
        const char *end = memmem(data.ptr, data.len, "\n\n", 2);
        bool is_split = response->hold_len && data.ptr[0] == '\n' &&
                        response->hold[response->hold_len - 1] == '\n';
        size_t n = is_split ? 1 : end ? (size_t)(end - data.ptr) + 2 : data.len;
        if (response->hold_len + n > RESPONSE_HEAD_MAX)
            return false;
        if (response->hold_len == 0 && end) {
            take_event(response, str_sub(data.ptr, n));
        } else {
            memcpy(response->hold + response->hold_len, data.ptr, n);
            response->hold_len += n;
            if (is_split || end) {
                take_event(response, str_sub(response->hold, response->hold_len));
                response->hold_len = 0;
            }
        }
        data = str_skip(data, n);
    }
    return true;
}

static bool take_body(struct response *response, struct str data)
{
    response->body_bytes += data.len;
    return !response->is_events || take_events(response, data);
}

/* ---- the head ---- */

static void read_header(struct response *response, struct str line)
{
    size_t colon = str_find(line, ':');
    struct str name = str_sub(line.ptr, colon), value = str_trim(str_skip(line, colon + 1));
    if (str_eq_nocase(name, STR("Content-Length"))) {
        response->is_to_close = false;
        if (num_parse_u64(value, &response->left) < 0)
            response->state = RESPONSE_BAD;
    } else if (str_eq_nocase(name, STR("Transfer-Encoding"))) {
        response->is_to_close = false;
        response->is_chunked = str_eq_nocase(value, STR("chunked"));
    } else if (str_eq_nocase(name, STR("Connection"))) {
        response->is_kept = !str_eq_nocase(value, STR("close"));
    } else if (str_eq_nocase(name, STR("Content-Type"))) {
        response->is_events = str_has_prefix(value, STR("text/event-stream"));
    }
}

static void read_head(struct response *response, struct str head)
{
    struct str line, word;
    int64_t status = 0;
    response->state = RESPONSE_BODY;
    response->is_to_close = response->is_kept = true;
    if (!str_split(&head, '\n', &line) || !str_split(&line, ' ', &word) ||
        !str_has_prefix(word, STR("HTTP/1.")) || !str_split(&line, ' ', &word) ||
        num_parse_i64(word, 100, 999, &status) < 0)
        response->state = RESPONSE_BAD;
    response->status = (unsigned)status;
    while (str_split(&head, '\n', &line))
        read_header(response, line);
    if (response->is_to_close)
        response->is_kept = false;
    if (response->state == RESPONSE_BODY && !response->is_chunked && !response->is_to_close &&
        response->left == 0)
        response->state = RESPONSE_DONE;
}

/* Returns how much of `data` belongs to the head, once it is whole; else all was held. */
static size_t take_head(struct response *response, struct str data)
{
    size_t before = response->hold_len;
    size_t room = RESPONSE_HEAD_MAX - before, n = data.len < room ? data.len : room;
    const char *end = before ? NULL : memmem(data.ptr, data.len, "\r\n\r\n", 4);
    if (end) { /* nearly always */
        read_head(response, str_sub(data.ptr, (size_t)(end - data.ptr) + 2));
        return (size_t)(end - data.ptr) + 4;
    }
    memcpy(response->hold + before, data.ptr, n);
    end = memmem(response->hold, before + n, "\r\n\r\n", 4);
    response->hold_len = before + n;
    if (!end && response->hold_len == RESPONSE_HEAD_MAX)
        response->state = RESPONSE_BAD;
    if (!end)
        return data.len;
    read_head(response, str_sub(response->hold, (size_t)(end - response->hold) + 2));
    response->hold_len = 0;
    return (size_t)(end - response->hold) + 4 - before;
}

/* ---- the body's coding ---- */

static struct str take_data(struct response *response, struct str data)
{
    size_t n = data.len < response->left ? data.len : (size_t)response->left;
    if (!take_body(response, str_sub(data.ptr, n)))
        response->state = RESPONSE_BAD;
    response->left -= n;
    return str_skip(data, n);
}

static void take_size_char(struct response *response, char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *digit = c ? strchr(digits, c | 0x20) : NULL;
    if (digit && c != '\r' && c != '\n') {
        response->left = response->left * 16 + (uint64_t)(digit - digits);
        response->has_digit = true;
    } else if (c == '\n' && response->has_digit) {
        response->coding = response->left ? CODING_DATA : CODING_TRAILER;
        response->has_digit = false;
    } else if (c != '\r') {
        response->state = RESPONSE_BAD;
    }
}

static void take_trailer_char(struct response *response, char c)
{
    if (c == '\n' && response->line_bytes == 0)
        response->state = RESPONSE_DONE;
    response->line_bytes = c == '\n' ? 0 : response->line_bytes + (c != '\r');
    if (response->line_bytes > RESPONSE_LINE_MAX)
        response->state = RESPONSE_BAD;
}

static struct str take_chunked(struct response *response, struct str data)
{
    switch (response->coding) {
    case CODING_SIZE:
        take_size_char(response, data.ptr[0]);
        return str_skip(data, 1);
    case CODING_DATA:
        data = take_data(response, data);
        if (response->left == 0)
            response->coding = CODING_DATA_END;
        return data;
    case CODING_DATA_END:
        if (data.ptr[0] == '\n')
            response->coding = CODING_SIZE;
        return str_skip(data, 1);
    case CODING_TRAILER:
        take_trailer_char(response, data.ptr[0]);
        return str_skip(data, 1);
    }
    return data;
}

static struct str take_plain(struct response *response, struct str data)
{
    if (response->is_to_close) {
        if (!take_body(response, data))
            response->state = RESPONSE_BAD;
        return (struct str){0};
    }
    data = take_data(response, data);
    if (response->left == 0 && response->state == RESPONSE_BODY)
        response->state = RESPONSE_DONE;
    return data;
}

/* ---- the whole ---- */

enum response_state response_feed(struct response *response, struct str data)
{
    if (response->state == RESPONSE_HEAD)
        data = str_skip(data, take_head(response, data));
    while (data.len && response->state == RESPONSE_BODY)
        data = response->is_chunked ? take_chunked(response, data) : take_plain(response, data);
    if (data.len)
        response->state = RESPONSE_BAD;
    return response->state;
}

enum response_state response_close(struct response *response)
{
    bool is_whole = response->state == RESPONSE_BODY && response->is_to_close;
    response->state = is_whole ? RESPONSE_DONE : RESPONSE_BAD;
    return response->state;
}

void response_begin(struct response *response)
{
    char *hold = response->hold ? response->hold : mem_alloc(RESPONSE_HEAD_MAX);
    *response = (struct response){.hold = hold};
}

void response_fini(struct response *response)
{
    free(response->hold);
}
