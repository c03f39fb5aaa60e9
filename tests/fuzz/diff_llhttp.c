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
#include "base/file.h"
#include "diff_llhttp.h"
#include "http/message.h"

#include <dirent.h>
#include <stdio.h>

enum { MUTATIONS = 200000, SEEDS_MAX = 64, INPUT_MAX = 4096, STEPS_MAX = 4 };

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

/* ---- mutations ---- */

static uint64_t random_state = 0x9e3779b97f4a7c15;

static size_t random_below(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return n ? (size_t)(random_state % n) : 0;
}

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

static void insert(struct buf *text, size_t at, const char *data, size_t n)
{
    if (text->len + n > INPUT_MAX)
        return;
    buf_reserve(text, n);
    memmove(text->ptr + at + n, text->ptr + at, text->len - at);
    memcpy(text->ptr + at, data, n);
    buf_grew(text, n);
}

static void mutate(struct buf *text)
{
    size_t at = random_below(text->len);
    size_t n = 1 + random_below(8);
    n = n < text->len - at ? n : text->len - at;
    const char *word = words[random_below(ARRAY_LEN(words))];
    switch (random_below(5)) {
    case 0: /* another byte */
        if (text->len)
            text->ptr[at] = (char)random_below(256);
        break;
    case 1: /* a bit less */
        memmove(text->ptr + at, text->ptr + at + n, text->len - at - n);
        text->len -= n;
        break;
    case 2:
    case 3: /* a word more */
        insert(text, at, word, strlen(word));
        break;
    case 4: { /* a piece twice */
        auto_free char *piece = mem_strndup(text->ptr + at, n);
        insert(text, random_below(text->len + 1), piece, n);
        break;
    }
    }
}

/* ---- the run ---- */

/* In the order of their names, so that the mutations are the same everywhere. */
static size_t read_seeds(const char *folder, struct buf seeds[SEEDS_MAX])
{
    struct dirent **entries = NULL;
    size_t count = 0;
    int found = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < found; i++) {
        auto_free char *path = mem_printf("%s/%s", folder, entries[i]->d_name);
        if (count < SEEDS_MAX && entries[i]->d_name[0] != '.' &&
            file_read(path, INPUT_MAX, &seeds[count], NULL) == 0)
            count++;
        free(entries[i]);
    }
    free(entries);
    return count;
}

int main(int argc, char **argv)
{
    struct buf seeds[SEEDS_MAX] = {0};
    size_t count = argc > 1 ? read_seeds(argv[1], seeds) : 0;
    unsigned accepted = 0;
    unsigned disagreed = 0;
    for (size_t i = 0; i < count; i++)
        disagreed += !compare(buf_str(&seeds[i]), &accepted);
    for (int i = 0; count && i < MUTATIONS; i++) {
        struct buf text = {0};
        buf_add_str(&text, buf_str(&seeds[random_below(count)]));
        for (size_t steps = 1 + random_below(STEPS_MAX); steps; steps--)
            mutate(&text);
        disagreed += !compare(buf_str(&text), &accepted);
        buf_fini(&text);
    }
    for (size_t i = 0; i < count; i++)
        buf_fini(&seeds[i]);
    printf("%zu seeds, %d mutations: we accepted %u, llhttp disagreed on %u\n", count, MUTATIONS,
           accepted, disagreed);
    return count == 0 || accepted == 0 || disagreed > 0;
}
