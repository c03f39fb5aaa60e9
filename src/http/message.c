/* SPDX-License-Identifier: Apache-2.0 */
#include "http/message.h"

#include "base/num.h"
#include "http/char_priv.h"

#include <errno.h>

enum {
    LEADING_LINES_MAX = 4,       /* empty lines that may stand before a request */
    CONNECTION_OPTIONS_MAX = 32, /* names in all Connection headers together */
};

static const struct str method_names[HTTP_METHOD_COUNT] = {
    [HTTP_GET] = STR("GET"),         [HTTP_HEAD] = STR("HEAD"),   [HTTP_POST] = STR("POST"),
    [HTTP_PUT] = STR("PUT"),         [HTTP_PATCH] = STR("PATCH"), [HTTP_DELETE] = STR("DELETE"),
    [HTTP_OPTIONS] = STR("OPTIONS"),
};

const char *http_method_name(enum http_method method)
{
    return method_names[method].ptr;
}

struct str http_headers_get(const struct http_headers *headers, const char *name)
{
    struct str wanted = str_of(name);
    for (unsigned i = 0; i < headers->count; i++)
        if (str_eq_nocase(headers->items[i].name, wanted))
            return headers->items[i].value;
    return (struct str){0};
}

/* ---- lines ---- */

/* Text that is being parsed; `rest` moves on, `seen` counts what was used up. */
struct cursor {
    struct str rest;
    size_t seen;
};

/*
 * The next line without its CRLF. 1 when there is one, 0 when bytes are missing, ERR_SYNTAX. Bare
 * CR and LF are found as soon as they are there: no peer can be made to wait for a head's end that
 * another parser has seen already. And before anything else in the line is looked at, so that the
 * verdict doesn't depend on how the bytes arrive.
 */
static int next_line(struct cursor *in, struct str *ret, struct err *err)
{
    size_t n = str_find(in->rest, '\n');
    size_t cr = str_find(str_sub(in->rest.ptr, n), '\r');
    if (n == in->rest.len) {
        if (cr + 1 < n)
            return err_set(err, ERR_SYNTAX, "a CR stands without its LF");
        return 0;
    }
    if (cr + 1 != n)
        return err_set(err, ERR_SYNTAX,
                       cr == n ? "a line ends in LF without CR" : "a CR stands without its LF");
    *ret = str_sub(in->rest.ptr, cr);
    in->rest = str_skip(in->rest, n + 1);
    in->seen += n + 1;
    return 1;
}

static bool is_all(struct str s, bool (*is_member)(unsigned char))
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_member((unsigned char)s.ptr[i]))
            return false;
    return true;
}

static struct str trim_blanks(struct str s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = str_skip(s, 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* ---- headers ---- */

static int parse_header(struct str line, struct http_headers *headers, struct err *err)
{
    size_t colon = str_find(line, ':');
    struct str name = str_sub(line.ptr, colon);
    struct str value = trim_blanks(str_skip(line, colon + 1));
    if (colon == line.len || !http_is_token(name))
        return err_set(err, ERR_SYNTAX, "header line %u has no proper name before a colon",
                       headers->count + 1);
    if (!http_is_value(value))
        return err_set(err, ERR_SYNTAX, "header %.*s has a control character in its value",
                       STR_ARGS(name));
    if (headers->count == HTTP_HEADERS_MAX)
        return err_set(err, ERR_TOO_LARGE, "more than %d headers", HTTP_HEADERS_MAX);
    headers->items[headers->count++] = (struct http_header){name, value};
    return 0;
}

/* Header lines up to the empty one. 1, 0 when bytes are missing, or an error. */
static int parse_headers(struct cursor *in, struct http_headers *headers, struct err *err)
{
    struct str line;
    headers->count = 0;
    for (;;) {
        int rc = next_line(in, &line, err);
        if (rc <= 0 || line.len == 0)
            return rc;
        rc = parse_header(line, headers, err);
        if (rc < 0)
            return rc;
    }
}

/* ---- what headers say about framing ---- */

/* What the framing headers of a message say, each allowed once. */
struct framing {
    bool has_length, has_coding, has_host, expects_continue;
    bool says_close, says_keep_alive;
    unsigned option_count; /* of Connection */
    uint64_t length;
};

static int read_length(struct str value, struct framing *f, struct err *err)
{
    if (f->has_length)
        return err_set(err, ERR_SYNTAX, "Content-Length stands twice");
    if (num_parse_u64(value, &f->length) < 0 || f->length > INT64_MAX)
        return err_set(err, ERR_SYNTAX, "Content-Length must be a number of bytes");
    f->has_length = true;
    return 0;
}

static int read_coding(struct str value, struct framing *f, struct err *err)
{
    if (f->has_coding)
        return err_set(err, ERR_SYNTAX, "Transfer-Encoding stands twice");
    if (!str_eq_nocase(value, STR("chunked")))
        return err_set(err, ERR_SYNTAX, "Transfer-Encoding must be \"chunked\"");
    f->has_coding = true;
    return 0;
}

static bool is_host_char(unsigned char c)
{
    return http_char_is_token(c) ? c != '#' && c != '^' && c != '`' && c != '|'
                                 : c != '\0' && strchr(":[]();,=", c);
}

static int read_host(struct str value, struct framing *f, struct err *err)
{
    if (f->has_host)
        return err_set(err, ERR_SYNTAX, "Host stands twice");
    if (!is_all(value, is_host_char))
        return err_set(err, ERR_SYNTAX, "Host is not a host name with an optional port");
    f->has_host = true;
    return 0;
}

static int read_connection(struct str value, struct framing *f, struct err *err)
{
    struct str option;
    while (str_split(&value, ',', &option)) {
        option = trim_blanks(option);
        if (!is_all(option, http_char_is_token) || ++f->option_count > CONNECTION_OPTIONS_MAX)
            return err_set(err, ERR_SYNTAX, "Connection is not a list of at most %d names",
                           CONNECTION_OPTIONS_MAX);
        f->says_close |= str_eq_nocase(option, STR("close"));
        f->says_keep_alive |= str_eq_nocase(option, STR("keep-alive"));
    }
    return 0;
}

static int read_expect(struct str value, struct framing *f, struct err *err)
{
    f->expects_continue = str_eq_nocase(value, STR("100-continue"));
    return 0;
}

static const struct {
    struct str name;
    int (*read)(struct str value, struct framing *f, struct err *err);
} framing_headers[] = {
    {STR("Content-Length"), read_length},
    {STR("Transfer-Encoding"), read_coding},
    {STR("Host"), read_host},
    {STR("Connection"), read_connection},
    {STR("Expect"), read_expect},
};

/* Reads the framing headers; `minor` is the message's version. */
static int read_framing(const struct http_headers *headers, unsigned minor, struct framing *f,
                        struct err *err)
{
    for (unsigned i = 0; i < headers->count; i++)
        for (size_t k = 0; k < ARRAY_LEN(framing_headers); k++) {
            if (!str_eq_nocase(headers->items[i].name, framing_headers[k].name))
                continue;
            int rc = framing_headers[k].read(headers->items[i].value, f, err);
            if (rc < 0)
                return rc;
        }
    if (f->has_coding && f->has_length)
        return err_set(err, ERR_SYNTAX, "Content-Length stands with Transfer-Encoding");
    if (f->has_coding && minor == 0)
        return err_set(err, ERR_SYNTAX, "Transfer-Encoding stands in an HTTP/1.0 message");
    return 0;
}

static bool keeps_alive(const struct framing *f, unsigned minor)
{
    return !f->says_close && (minor > 0 || f->says_keep_alive);
}

/* "HTTP/1.0" or "HTTP/1.1". Any other version is -EPROTONOSUPPORT. */
static int parse_version(struct str text, unsigned *ret_minor, struct err *err)
{
    bool has_form = text.len == 8 && str_has_prefix(text, STR("HTTP/")) && text.ptr[6] == '.';
    unsigned major = has_form ? (unsigned char)text.ptr[5] - '0' : 10;
    unsigned minor = has_form ? (unsigned char)text.ptr[7] - '0' : 10;
    if (major > 9 || minor > 9)
        return err_set(err, ERR_SYNTAX, "the first line has no HTTP version");
    if (major != 1 || minor > 1)
        return err_set(err, -EPROTONOSUPPORT, "HTTP/%u.%u is not supported, only 1.0 and 1.1",
                       major, minor);
    *ret_minor = minor;
    return 0;
}

/* ---- requests ---- */

static int parse_method(struct str text, enum http_method *ret, struct err *err)
{
    for (unsigned i = 0; i < HTTP_METHOD_COUNT; i++)
        if (str_eq(text, method_names[i])) {
            *ret = (enum http_method)i;
            return 0;
        }
    if (!http_is_token(text))
        return err_set(err, ERR_SYNTAX, "the request line has no method");
    return err_set(err, -ENOSYS, "method %.*s is not known", text.len < 32 ? (int)text.len : 32,
                   text.ptr);
}

/* Visible ASCII but '#': a fragment is never sent. */
static bool is_target_char(unsigned char c)
{
    return c > 0x20 && c < 0x7f && c != '#';
}

/* From "http://host/path?query", cuts off what stands before the path. False for other forms. */
static bool strip_authority(struct str *text)
{
    size_t scheme = str_find(*text, ':');
    struct str name = str_sub(text->ptr, scheme);
    struct str rest = str_skip(*text, scheme + 1);
    if ((!str_eq_nocase(name, STR("http")) && !str_eq_nocase(name, STR("https"))) ||
        !str_has_prefix(rest, STR("//")))
        return false;
    rest = str_skip(rest, 2);
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?')
        end++;
    *text = str_skip(rest, end);
    return end > 0 && is_all(str_sub(rest.ptr, end), is_host_char);
}

static int parse_target(struct str text, struct http_request_head *head, struct err *err)
{
    if (text.len > HTTP_TARGET_MAX)
        return err_set(err, ERR_TOO_LARGE, "the request target is longer than %d bytes",
                       HTTP_TARGET_MAX);
    struct str local = text;
    bool has_path = str_has_prefix(text, STR("/")) || strip_authority(&local);
    if (!has_path || !is_all(text, is_target_char))
        return err_set(err, ERR_SYNTAX, "the request target must be a path or an http URL");
    size_t query = str_find(local, '?');
    head->target = text;
    head->path = query ? str_sub(local.ptr, query) : STR("/");
    head->query = str_skip(local, query + 1);
    return 0;
}

static int parse_request_line(struct str line, struct http_request_head *head, struct err *err)
{
    size_t method_end = str_find(line, ' ');
    int rc = parse_method(str_sub(line.ptr, method_end), &head->method, err);
    if (rc < 0)
        return rc;
    struct str rest = str_skip(line, method_end + 1);
    size_t target_end = str_find(rest, ' ');
    rc = parse_version(str_skip(rest, target_end + 1), &head->minor, err);
    if (rc < 0)
        return rc;
    return parse_target(str_sub(rest.ptr, target_end), head, err);
}

static int finish_request(struct http_request_head *head, struct err *err)
{
    struct framing f = {0};
    int rc = read_framing(&head->headers, head->minor, &f, err);
    if (rc < 0)
        return rc;
    if (!f.has_host && head->minor > 0)
        return err_set(err, ERR_SYNTAX, "Host is missing");
    head->keep_alive = keeps_alive(&f, head->minor);
    head->expect_continue = f.expects_continue && head->minor > 0;
    head->content_length = f.length;
    head->body = f.has_coding   ? HTTP_BODY_CHUNKED
                 : f.has_length ? HTTP_BODY_LENGTH
                                : HTTP_BODY_NONE;
    return 0;
}

/* The first line that isn't empty. */
static int skip_empty_lines(struct cursor *in, struct str *ret, struct err *err)
{
    for (int i = 0; i <= LEADING_LINES_MAX; i++) {
        int rc = next_line(in, ret, err);
        if (rc <= 0 || ret->len > 0)
            return rc;
    }
    return err_set(err, ERR_SYNTAX, "more than %d empty lines before the request",
                   LEADING_LINES_MAX);
}

static int read_request(struct cursor *in, struct http_request_head *head, struct err *err)
{
    struct str line;
    int rc = skip_empty_lines(in, &line, err);
    if (rc <= 0)
        return rc;
    rc = parse_request_line(line, head, err);
    if (rc < 0)
        return rc;
    rc = parse_headers(in, &head->headers, err);
    if (rc <= 0)
        return rc;
    rc = finish_request(head, err);
    return rc < 0 ? rc : 1;
}

/* A head must be complete within the limit, however its bytes arrive. */
static struct cursor cursor_at(struct str data)
{
    return (struct cursor){str_sub(data.ptr, data.len < HTTP_HEAD_MAX ? data.len : HTTP_HEAD_MAX),
                           0};
}

/* The table of headers is large, and mostly not in use. */
static void copy_headers(struct http_headers *to, const struct http_headers *from)
{
    to->count = from->count;
    memcpy(to->items, from->items, from->count * sizeof *from->items);
}

static void copy_request(struct http_request_head *to, const struct http_request_head *from)
{
    memcpy(to, from, offsetof(struct http_request_head, headers));
    copy_headers(&to->headers, &from->headers);
}

static void copy_response(struct http_response_head *to, const struct http_response_head *from)
{
    memcpy(to, from, offsetof(struct http_response_head, headers));
    copy_headers(&to->headers, &from->headers);
}

static int incomplete(struct str data, struct err *err)
{
    if (data.len < HTTP_HEAD_MAX)
        return 0;
    return err_set(err, ERR_TOO_LARGE, "the head is larger than %d bytes", HTTP_HEAD_MAX);
}

int http_parse_request(struct str data, struct http_request_head *ret, struct err *err)
{
    struct http_request_head head;
    struct cursor in = cursor_at(data);
    int rc = read_request(&in, &head, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return incomplete(data, err);
    copy_request(ret, &head);
    return (int)in.seen;
}

/* ---- responses ---- */

static int parse_status_line(struct str line, struct http_response_head *head, struct err *err)
{
    size_t version_end = str_find(line, ' ');
    int rc = parse_version(str_sub(line.ptr, version_end), &head->minor, err);
    if (rc < 0)
        return rc;
    struct str rest = str_skip(line, version_end + 1);
    int64_t status;
    /* "HTTP/1.1 200" without a space behind is wrong but common, and can't be misread. */
    if (rest.len < 3 || num_parse_i64(str_sub(rest.ptr, 3), 100, 599, &status) < 0 ||
        (rest.len > 3 && rest.ptr[3] != ' '))
        return err_set(err, ERR_SYNTAX, "the status line has no status from 100 to 599");
    head->reason = str_skip(rest, 4);
    if (!http_is_value(head->reason))
        return err_set(err, ERR_SYNTAX, "the status line has a control character");
    head->status = (unsigned)status;
    return 0;
}

static enum http_body_kind response_body(unsigned status, bool to_head, const struct framing *f)
{
    if (to_head || status < 200 || status == 204 || status == 304)
        return HTTP_BODY_NONE;
    if (f->has_coding)
        return HTTP_BODY_CHUNKED;
    return f->has_length ? HTTP_BODY_LENGTH : HTTP_BODY_TO_CLOSE;
}

static int finish_response(struct http_response_head *head, bool to_head, struct err *err)
{
    struct framing f = {0};
    int rc = read_framing(&head->headers, head->minor, &f, err);
    if (rc < 0)
        return rc;
    head->body = response_body(head->status, to_head, &f);
    head->content_length = f.length;
    /* A peer that announces a body where none may be might also send it: don't read on there. */
    bool suspect = (head->status < 200 || head->status == 204) && (f.has_coding || f.length > 0);
    head->keep_alive = keeps_alive(&f, head->minor) && head->body != HTTP_BODY_TO_CLOSE && !suspect;
    return 0;
}

static int read_response(struct cursor *in, bool to_head, struct http_response_head *head,
                         struct err *err)
{
    struct str line;
    int rc = next_line(in, &line, err);
    if (rc <= 0)
        return rc;
    rc = parse_status_line(line, head, err);
    if (rc < 0)
        return rc;
    rc = parse_headers(in, &head->headers, err);
    if (rc <= 0)
        return rc;
    rc = finish_response(head, to_head, err);
    return rc < 0 ? rc : 1;
}

int http_parse_response(struct str data, bool to_head, struct http_response_head *ret,
                        struct err *err)
{
    struct http_response_head head;
    struct cursor in = cursor_at(data);
    int rc = read_response(&in, to_head, &head, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return incomplete(data, err);
    copy_response(ret, &head);
    return (int)in.seen;
}
