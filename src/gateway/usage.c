/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/usage.h"

#include "gateway/json_bytes_priv.h"

/* What the next byte belongs to. */
enum state {
    BEFORE, /* an outer brace */
    KEY,    /* or the brace that closes */
    IN_KEY,
    COLON,
    VALUE,
    IN_WORD,   /* a number, true, false or null */
    IN_ID,     /* the string that is the id */
    IN_STRING, /* one that isn't wanted */
    IN_NESTED, /* the same, brackets and all */
    IN_NESTED_STRING,
    COMMA, /* or the brace that closes */
    OVER,  /* it isn't JSON */
};

/* Objects that are entered. */
enum place {
    TOP,
    ENVELOPE, /* response of the Responses API, message of Messages */
    USAGE,
    DETAILS, /* of the prompt's tokens */
    TIMINGS, /* llama.cpp */
    META,    /* Cohere */
    TOKENS,
    UNITS,
    PLACE_COUNT
};

/* Numbers that are wanted. */
enum slot {
    PROMPT_TOKENS,
    COMPLETION_TOKENS,
    TOTAL_TOKENS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    CACHE_READ,
    CACHE_CREATION,
    CACHED_TOKENS,
    PROMPT_N, /* without the cached ones */
    CACHE_N,
    PREDICTED_N,
    EVALUATED, /* with the cached ones */
    PREDICTED,
    PROMPT_EVAL,
    EVAL,
    META_INPUT,
    META_OUTPUT,
    UNIT_INPUT,
    UNIT_OUTPUT,
    SLOT_COUNT
};

_Static_assert((int)SLOT_COUNT <= (int)USAGE_SLOTS, "a slot for each number");

enum kind { NUMBER, OBJECT, ID };

#define KEY(text) {text, sizeof(text) - 1}

/* A member that is wanted. */
struct usage_member {
    struct str key;
    uint8_t kind;
    uint8_t to; /* a number's slot, an object's place */
};

static const struct usage_member members_of_top[] = {
    {KEY("id"), ID, 0},
    {KEY("usage"), OBJECT, USAGE},
    {KEY("response"), OBJECT, ENVELOPE},
    {KEY("message"), OBJECT, ENVELOPE},
    {KEY("timings"), OBJECT, TIMINGS},
    {KEY("meta"), OBJECT, META},
    {KEY("tokens_evaluated"), NUMBER, EVALUATED},
    {KEY("tokens_predicted"), NUMBER, PREDICTED},
    {KEY("prompt_eval_count"), NUMBER, PROMPT_EVAL},
    {KEY("eval_count"), NUMBER, EVAL},
};

static const struct usage_member members_of_envelope[] = {
    {KEY("id"), ID, 0},
    {KEY("usage"), OBJECT, USAGE},
};

static const struct usage_member members_of_usage[] = {
    {KEY("prompt_tokens"), NUMBER, PROMPT_TOKENS},
    {KEY("completion_tokens"), NUMBER, COMPLETION_TOKENS},
    {KEY("total_tokens"), NUMBER, TOTAL_TOKENS},
    {KEY("input_tokens"), NUMBER, INPUT_TOKENS},
    {KEY("output_tokens"), NUMBER, OUTPUT_TOKENS},
    {KEY("cache_read_input_tokens"), NUMBER, CACHE_READ},
    {KEY("cache_creation_input_tokens"), NUMBER, CACHE_CREATION},
    {KEY("prompt_tokens_details"), OBJECT, DETAILS},
    {KEY("input_tokens_details"), OBJECT, DETAILS},
    {KEY("tokens"), OBJECT, TOKENS},
    {KEY("billed_units"), OBJECT, UNITS},
};

static const struct usage_member members_of_details[] = {
    {KEY("cached_tokens"), NUMBER, CACHED_TOKENS},
};

static const struct usage_member members_of_timings[] = {
    {KEY("prompt_n"), NUMBER, PROMPT_N},
    {KEY("cache_n"), NUMBER, CACHE_N},
    {KEY("predicted_n"), NUMBER, PREDICTED_N},
};

static const struct usage_member members_of_meta[] = {
    {KEY("tokens"), OBJECT, TOKENS},
    {KEY("billed_units"), OBJECT, UNITS},
};

static const struct usage_member members_of_tokens[] = {
    {KEY("input_tokens"), NUMBER, META_INPUT},
    {KEY("output_tokens"), NUMBER, META_OUTPUT},
};

static const struct usage_member members_of_units[] = {
    {KEY("input_tokens"), NUMBER, UNIT_INPUT},
    {KEY("output_tokens"), NUMBER, UNIT_OUTPUT},
};

#define MEMBERS(array) {array, ARRAY_LEN(array)}

static const struct {
    const struct usage_member *members;
    size_t count;
} places[PLACE_COUNT] = {
    [TOP] = MEMBERS(members_of_top),
    [ENVELOPE] = MEMBERS(members_of_envelope),
    [USAGE] = MEMBERS(members_of_usage),
    [DETAILS] = MEMBERS(members_of_details),
    [TIMINGS] = MEMBERS(members_of_timings),
    [META] = MEMBERS(members_of_meta),
    [TOKENS] = MEMBERS(members_of_tokens),
    [UNITS] = MEMBERS(members_of_units),
};

/* ---- tokens out of numbers ---- */

static bool has(const struct usage_scan *scan, enum slot slot)
{
    return (scan->found >> slot & 1) != 0;
}

/* The first of the slots that has a value. */
static bool first_of(const struct usage_scan *scan, const uint8_t *slots, size_t count,
                     int64_t *ret)
{
    for (size_t i = 0; i < count; i++)
        if (has(scan, (enum slot)slots[i])) {
            *ret = scan->slots[slots[i]];
            return true;
        }
    return false;
}

/* Cached ones included. Slots without a value hold 0, so that sums need no question. */
static bool prompt_of(const struct usage_scan *scan, int64_t *ret)
{
    static const uint8_t first[] = {PROMPT_TOKENS}; /* before Messages' own sum */
    static const uint8_t whole[] = {META_INPUT, UNIT_INPUT, EVALUATED}; /* before llama.cpp's */
    static const uint8_t last[] = {PROMPT_EVAL};
    const int64_t *values = scan->slots;
    if (first_of(scan, first, ARRAY_LEN(first), ret))
        return true;
    if (has(scan, INPUT_TOKENS)) {
        *ret = values[INPUT_TOKENS] + values[CACHE_READ] + values[CACHE_CREATION];
        return true;
    }
    if (first_of(scan, whole, ARRAY_LEN(whole), ret))
        return true;
    if (has(scan, PROMPT_N)) {
        *ret = values[PROMPT_N] + values[CACHE_N];
        return true;
    }
    return first_of(scan, last, ARRAY_LEN(last), ret);
}

static bool completion_of(const struct usage_scan *scan, int64_t *ret)
{
    static const uint8_t slots[] = {COMPLETION_TOKENS, OUTPUT_TOKENS, META_OUTPUT, UNIT_OUTPUT,
                                    PREDICTED,         PREDICTED_N,   EVAL};
    return first_of(scan, slots, ARRAY_LEN(slots), ret);
}

/* llama.cpp's "tokens_cached" isn't among them: it counts what was made as well. */
static int64_t cached_of(const struct usage_scan *scan, int64_t prompt)
{
    static const uint8_t slots[] = {CACHED_TOKENS, CACHE_READ, CACHE_N};
    int64_t cached = 0;
    bool is_told = first_of(scan, slots, ARRAY_LEN(slots), &cached);
    if (!is_told && has(scan, EVALUATED) && has(scan, PROMPT_N)) /* before it had "cache_n" */
        cached = scan->slots[EVALUATED] - scan->slots[PROMPT_N];
    if (cached < 0)
        return 0;
    return cached < prompt ? cached : prompt;
}

/* What the total says of a number that wasn't told. Alone it is the prompt's: nothing was made. */
static void use_total(const struct usage_scan *scan, struct usage *told)
{
    if (!has(scan, TOTAL_TOKENS))
        return;
    int64_t rest = scan->slots[TOTAL_TOKENS] - told->prompt - told->completion;
    if (rest < 0 || (told->has_prompt && told->has_completion))
        return;
    if (told->has_prompt)
        told->completion = rest;
    else
        told->prompt = rest;
    told->has_prompt = told->has_completion = true;
}

bool usage_scan_end(const struct usage_scan *scan, struct usage *usage)
{
    struct usage told = {0};
    told.has_prompt = prompt_of(scan, &told.prompt);
    told.has_completion = completion_of(scan, &told.completion);
    use_total(scan, &told);
    if (told.has_prompt) {
        usage->has_prompt = true;
        usage->prompt = told.prompt;
        usage->cached = cached_of(scan, told.prompt);
    }
    if (told.has_completion) {
        usage->has_completion = true;
        usage->completion = told.completion;
    }
    return told.has_prompt || told.has_completion;
}

/* ---- keys, numbers and ids: in place when they are whole, else collected ---- */

struct cursor {
    struct usage_scan *s;
    const char *at, *end;
};

/* As hold() in scan.c. */
static struct str hold(struct usage_scan *s, struct str part, bool is_last)
{
    if (is_last && s->held_len == 0)
        return part;
    size_t room = sizeof s->held - s->held_len;
    size_t n = part.len < room ? part.len : room;
    memcpy(s->held + s->held_len, part.ptr, n);
    s->held_len = (uint8_t)(s->held_len + n);
    struct str whole = str_sub(s->held, s->held_len);
    if (is_last)
        s->held_len = 0;
    return whole;
}

/* The wanted member of that name in the present object, or NULL. */
static const struct usage_member *member_of(const struct usage_scan *s, struct str key)
{
    uint8_t place = s->path[s->path_len - 1];
    for (size_t i = 0; i < places[place].count; i++)
        if (str_eq(places[place].members[i].key, key))
            return &places[place].members[i];
    return NULL;
}

/* "12", and "12.0" as some write it. */
static bool parse_count(struct str word, int64_t *ret)
{
    int64_t value = 0;
    size_t i = 0;
    for (; i < word.len && word.ptr[i] >= '0' && word.ptr[i] <= '9'; i++) {
        value = value * 10 + (word.ptr[i] - '0');
        if (value > USAGE_TOKENS_MAX)
            return false;
    }
    if (i == 0)
        return false;
    if (i < word.len && word.ptr[i] == '.')
        for (i++; i < word.len && word.ptr[i] == '0';)
            i++;
    if (i < word.len)
        return false;
    *ret = value;
    return true;
}

static void take_number(struct usage_scan *s, struct str word)
{
    uint8_t slot = s->wanted->to;
    if (word.len > USAGE_ID_MAX || !parse_count(word, &s->slots[slot]))
        return;
    s->found |= 1u << slot;
}

static void take_id(struct usage_scan *s, struct str id)
{
    if (id.len > USAGE_ID_MAX || memchr(id.ptr, '\\', id.len))
        return;
    memcpy(s->id, id.ptr, id.len);
    s->id[id.len] = '\0';
}

/* ---- the skeleton, without judging it ---- */

static int peek(struct cursor *c)
{
    c->at = json_pass(c->at, c->end, JSON_BLANK);
    return c->at < c->end ? (unsigned char)*c->at : -1;
}

static void enter(struct usage_scan *s, uint8_t place)
{
    s->path[s->path_len++] = place;
    s->state = KEY;
}

static void leave(struct usage_scan *s)
{
    s->path_len--;
    s->state = s->path_len ? COMMA : BEFORE; /* another may follow, one a line */
}

/* To behind the end of the string; false when it isn't in the piece. */
static bool pass_string(struct cursor *c)
{
    const char *quote = json_string_end(c->at, c->end, &c->s->is_escaped);
    c->at = quote ? quote + 1 : c->end;
    return quote != NULL;
}

/* The same, and what is inside once it is whole. */
static bool take_string(struct cursor *c, struct str *ret)
{
    const char *inside = c->at;
    bool is_last = pass_string(c);
    *ret = hold(c->s, str_sub(inside, (size_t)(c->at - is_last - inside)), is_last);
    return is_last;
}

static void pass_nested(struct cursor *c)
{
    struct usage_scan *s = c->s;
    while ((c->at = json_next_structure(c->at, c->end)) < c->end) {
        char byte = *c->at++;
        if (byte == '"') {
            if (!pass_string(c)) {
                s->state = IN_NESTED_STRING;
                return;
            }
        } else if (byte == '{' || byte == '[') {
            s->depth++;
        } else if (--s->depth == 0) {
            s->state = COMMA;
            return;
        }
    }
}

static void begin_value(struct cursor *c)
{
    struct usage_scan *s = c->s;
    char byte = *c->at;
    if (byte == '"') {
        c->at++;
        s->state = s->wanted && s->wanted->kind == ID ? IN_ID : IN_STRING;
    } else if (byte == '{' && s->wanted && s->wanted->kind == OBJECT) {
        c->at++;
        enter(s, s->wanted->to);
    } else if (byte == '{' || byte == '[') {
        s->depth = 0;
        s->state = IN_NESTED;
    } else {
        s->state = json_is(byte, JSON_WORD) ? IN_WORD : OVER;
    }
}

static void pass_word(struct cursor *c)
{
    struct usage_scan *s = c->s;
    const char *start = c->at;
    c->at = json_pass(c->at, c->end, JSON_WORD);
    bool is_last = c->at < c->end;
    if (is_last)
        s->state = COMMA;
    if (!s->wanted || s->wanted->kind != NUMBER)
        return;
    struct str word = hold(s, str_sub(start, (size_t)(c->at - start)), is_last);
    if (is_last)
        take_number(s, word);
}

/* Bytes of which there is one, when the piece goes on: `byte` is the next. */
static void pass_mark(struct cursor *c, char byte)
{
    struct usage_scan *s = c->s;
    enum state next = OVER;
    if (s->state == BEFORE && byte == '{') {
        enter(s, TOP);
        next = KEY;
    } else if (s->state == KEY && byte == '"') {
        next = IN_KEY;
    } else if (s->state == COLON && byte == ':') {
        next = VALUE;
    } else if (s->state == COMMA && byte == ',') {
        next = KEY;
    } else if ((s->state == KEY || s->state == COMMA) && byte == '}') {
        leave(s);
        next = (enum state)s->state;
    }
    c->at++;
    s->state = (uint8_t)next;
}

static void step(struct cursor *c)
{
    struct usage_scan *s = c->s;
    struct str text;
    switch ((enum state)s->state) {
    case BEFORE:
    case KEY:
    case COLON:
    case COMMA:
        if (peek(c) >= 0)
            pass_mark(c, *c->at);
        break;
    case VALUE:
        if (peek(c) >= 0)
            begin_value(c);
        break;
    case IN_KEY:
        if (take_string(c, &text)) {
            s->wanted = member_of(s, text);
            s->state = COLON;
        }
        break;
    case IN_ID:
        if (take_string(c, &text)) {
            take_id(s, text);
            s->state = COMMA;
        }
        break;
    case IN_WORD:
        pass_word(c);
        break;
    case IN_STRING:
        if (pass_string(c))
            s->state = COMMA;
        break;
    case IN_NESTED:
        pass_nested(c);
        break;
    case IN_NESTED_STRING:
        if (pass_string(c))
            s->state = IN_NESTED;
        break;
    case OVER:
        c->at = c->end;
        break;
    }
}

void usage_scan_init(struct usage_scan *scan)
{
    *scan = (struct usage_scan){0};
}

void usage_scan_feed(struct usage_scan *scan, struct str piece)
{
    if (piece.len == 0)
        return;
    struct cursor c = {scan, piece.ptr, piece.ptr + piece.len};
    while (c.at < c.end)
        step(&c);
}

bool usage_read(struct str json, struct usage *usage)
{
    struct usage_scan scan;
    usage_scan_init(&scan);
    usage_scan_feed(&scan, json);
    return usage_scan_end(&scan, usage);
}
