/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/engine/script.h"

#include "base/num.h"

#include <stddef.h>

const struct script script_initial = {
    .status = 200,
    .stream = -1,
    .size = -1,
    .chunks = 16,
    .bytes = 4,
    .done = 1,
    .finish = 1,
    .error_at = -1,
    .prompt = 10,
    .completion = -1,
    .interim_status = 103,
    .bad_chunk = -1,
    .read = -1,
    .look = 1,
    .idle_permille = 1000,
    .health = 200,
    .responses = 1,
};

enum kind { KIND_INT, KIND_TIME, KIND_TEXT, KIND_POINT, KIND_WORD };

struct key {
    const char *name;
    enum kind kind;
    size_t offset;
    int64_t min, max;  /* of a text: `max` is its room */
    const char *words; /* of a word: its values from 0 on, with spaces between */
};

#define AT(member) offsetof(struct script, member)
#define INT(member, min, max) {#member, KIND_INT, AT(member), min, max, NULL}
#define TEXT(member) {#member, KIND_TEXT, AT(member), 0, sizeof((struct script){0}.member), NULL}
#define TIME(member) {#member "_ms", KIND_TIME, AT(member##_ns), 0, INT64_C(3600000), NULL}
#define WORD(member, words) {#member, KIND_WORD, AT(member), 0, 0, words}
#define POINT(member) {#member, KIND_POINT, AT(member), 0, INT64_C(1) << 40, NULL}

static const struct key keys[] = {
    INT(status, 100, 999),
    TEXT(error),
    TEXT(retry_after),
    TEXT(type),
    TEXT(file),
    INT(stream, -1, 1),
    INT(size, -1, INT64_C(1) << 36),
    INT(chunks, 0, INT64_C(1) << 40),
    INT(bytes, 0, 1 << 24),
    INT(reasoning, 0, INT64_C(1) << 40),
    INT(done, 0, 1),
    INT(finish, 0, 1),
    INT(error_at, -1, INT64_C(1) << 40),
    INT(comments, 0, 1 << 20),
    INT(crlf, 0, 1),
    INT(prompt, 0, INT64_MAX),
    INT(cached, 0, INT64_MAX),
    INT(completion, -1, INT64_MAX),
    WORD(usage, "openai always each null finish vllm llama tei total cohere none"),
    TIME(head),
    TIME(first),
    TIME(delay),
    TIME(align),
    TIME(trickle),
    INT(trickle, 0, 1 << 30),
    POINT(stall),
    POINT(cut),
    WORD(by, "fin rst"),
    INT(garbage, 0, 1 << 30),
    INT(interim, 0, 1000),
    INT(interim_status, 100, 199),
    INT(headers, 0, 100000),
    INT(header_bytes, 0, 1 << 26),
    WORD(framing, "auto length chunked close"),
    INT(length, -(INT64_C(1) << 36), INT64_C(1) << 36),
    INT(bad_chunk, -1, INT64_C(1) << 40),
    INT(read, -1, INT64_C(1) << 40),
    INT(early, 0, 1),
    INT(look, 0, 1),
    WORD(close, "0 say silent"),
    TIME(idle),
    INT(idle_permille, 0, 1000),
    INT(health, 100, 999),
    WORD(accept, "1 fin rst"),
    INT(messages, 0, 1),
    INT(responses, 0, 1),
};

/* ---- values ---- */

static int read_word(const char *words, struct str value, int64_t *ret)
{
    struct str rest = str_of(words), word;
    for (int64_t i = 0; str_split(&rest, ' ', &word); i++) {
        if (str_eq(word, value)) {
            *ret = i;
            return 0;
        }
    }
    return ERR_INVALID;
}

/* "1.25" milliseconds into nanoseconds. */
static int read_time(struct str value, int64_t max_ms, int64_t *ret)
{
    size_t dot = str_find(value, '.');
    struct str decimals = str_skip(value, dot + 1);
    int64_t whole, part = 0;
    if (num_parse_i64(str_sub(value.ptr, dot), 0, max_ms, &whole) < 0)
        return ERR_INVALID;
    if (dot < value.len &&
        (decimals.len > 3 || num_parse_i64(decimals, 0, 999, &part) < 0))
        return ERR_INVALID;
    for (size_t i = decimals.len; i < 6; i++)
        part *= 10;
    *ret = whole * 1000000 + part;
    return 0;
}

static int read_point(struct str value, int64_t max, struct point *ret)
{
    size_t colon = str_find(value, ':');
    int64_t place, at = 0;
    if (read_word("none head body chunk", str_sub(value.ptr, colon), &place) < 0)
        return ERR_INVALID;
    if (colon < value.len && num_parse_i64(str_skip(value, colon + 1), 0, max, &at) < 0)
        return ERR_INVALID;
    *ret = (struct point){.place = (enum place)place, .at = at};
    return 0;
}

static int read_text(struct str value, size_t room, char *ret)
{
    if (value.len >= room)
        return ERR_INVALID;
    memcpy(ret, value.ptr, value.len);
    ret[value.len] = '\0';
    return 0;
}

static int read_value(const struct key *key, struct str value, struct script *script)
{
    void *member = (char *)script + key->offset;
    switch (key->kind) {
    case KIND_INT:
        return num_parse_i64(value, key->min, key->max, member);
    case KIND_TIME:
        return read_time(value, key->max, member);
    case KIND_TEXT:
        return read_text(value, (size_t)key->max, member);
    case KIND_POINT:
        return read_point(value, key->max, member);
    case KIND_WORD:
        return read_word(key->words, value, member);
    }
    return ERR_INVALID;
}

/* ---- words ---- */

static int read_pair(struct str word, struct script *script, struct err *err)
{
    size_t equals = str_find(word, '=');
    struct str name = str_sub(word.ptr, equals);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (!str_eq(name, str_of(keys[i].name)))
            continue;
        if (read_value(&keys[i], str_skip(word, equals + 1), script) < 0)
            return err_set(err, ERR_INVALID, "script: %.*s is out of range or malformed",
                           STR_ARGS(word));
        return 0;
    }
    return err_set(err, ERR_INVALID, "script: there is no key %.*s", STR_ARGS(name));
}

int script_read(struct str text, struct script *script, struct err *err)
{
    struct str word;
    while (str_split(&text, ' ', &word)) {
        int rc = word.len ? read_pair(word, script, err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}
