/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our request parser against llhttp (strict build): whatever we accept as a complete request,
 * llhttp must accept with the same length. The other way round we are stricter on purpose. Input is
 * the corpus and seeded mutations of it, so a failure comes again.
 *
 * Exceptions, where llhttp is not asked: an Upgrade header (llhttp ends the message at its head; we
 * ignore it), trailers that name framing headers (llhttp reads those as such; we drop them), and a
 * tab behind a number in the head (white space to RFC 9110, but not to llhttp).
 */
#include "diff_llhttp.h"
#include "http/message.h"
#include "mutation.h"

#include <stdio.h>

enum { MUTATIONS = 200000 };

/* ---- verdicts ---- */

/* Length of the body, or SIZE_MAX when it is incomplete or malformed. */
static size_t our_body(const struct http_request_head *head, struct str rest)
{
    size_t all = rest.len;
    struct http_chunked state = {0};
    int rc = 0;
    if (head->body == HTTP_BODY_NONE)
        return 0;
    if (head->body == HTTP_BODY_LENGTH)
        return head->content_length <= all ? (size_t)head->content_length : SIZE_MAX;
    while (rc == 0 && rest.len) {
        struct str payload;
        rc = http_chunked_decode(&state, &rest, &payload, NULL);
    }
    return rc == 1 ? all - rest.len : SIZE_MAX;
}

/* A request at the front of `text`, as we see it. */
struct seen {
    struct http_request_head head;
    struct str head_text;
    struct str body_text; /* framed */
    size_t length;        /* of both */
};

static bool we_accept(struct str text, struct seen *ret)
{
    int rc = http_parse_request(text, &ret->head, NULL);
    if (rc <= 0)
        return false;
    struct str rest = str_skip(text, (size_t)rc);
    size_t body = our_body(&ret->head, rest);
    if (body == SIZE_MAX)
        return false;
    ret->head_text = str_sub(text.ptr, (size_t)rc);
    ret->body_text = str_sub(rest.ptr, body);
    ret->length = (size_t)rc + body;
    return true;
}

static bool is_exception(const struct seen *seen)
{
    static const char *const framing[] = {"content-length", "transfer-encoding", "connection",
                                          "upgrade"};
    if (http_headers_get(&seen->head.headers, "Upgrade").ptr ||
        str_find(seen->head_text, '\t') < seen->head_text.len)
        return true;
    if (seen->head.body != HTTP_BODY_CHUNKED)
        return false;
    auto_free char *body = str_dup(seen->body_text);
    for (size_t i = 0; i < ARRAY_LEN(framing); i++)
        if (strcasestr(body, framing[i]))
            return true;
    return false;
}

/* False when the parsers disagree. */
static bool compare(struct str text, unsigned *accepted)
{
    struct seen ours;
    if (!we_accept(text, &ours))
        return true;
    ++*accepted;
    const char *reason;
    size_t theirs = llhttp_request_length(text.ptr, text.len, &reason);
    if (ours.length == theirs || is_exception(&ours))
        return true;
    printf("ours %zu, llhttp %zu (%s):\n%.*s\n---\n", ours.length, theirs, reason, STR_ARGS(text));
    return false;
}

/* ---- the run ---- */

static const char *const words[] = {
    "\r\n",
    "\r",
    "\n",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "0\r\n\r\n",
    "\r\n\r\n",
    "chunked",
    "+5",
    "0x5",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Connection: close\r\n",
    "Host: b\r\n",
    "HTTP/1.0",
    "HTTP/1.1",
    "GET ",
    "PATCH ",
    "http://",
    "\x80",
    "\x7f",
    "\x01",
    " \r\n",
    "a: b\r\n",
    "A:\r\n",
    "5\r\nhello\r\n",
};

int main(int argc, char **argv)
{
    struct mutation mutation = {.words = words, .word_count = ARRAY_LEN(words)};
    struct buf text = {0};
    unsigned accepted = 0;
    unsigned disagreed = 0;
    if (argc > 1)
        mutation_read_seeds(&mutation, argv[1]);
    size_t count = mutation.seed_count;
    for (size_t i = 0; i < count; i++)
        disagreed += !compare(buf_str(&mutation.seeds[i]), &accepted);
    for (int i = 0; count && i < MUTATIONS; i++) {
        mutation_make(&mutation, &text);
        disagreed += !compare(buf_str(&text), &accepted);
    }
    buf_fini(&text);
    mutation_fini(&mutation);
    printf("%zu seeds, %d mutations: we accepted %u, llhttp disagreed on %u\n", count, MUTATIONS,
           accepted, disagreed);
    return count == 0 || accepted == 0 || disagreed > 0;
}
