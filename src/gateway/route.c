/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/route.h"

#include "base/buf.h"

enum {
    READ = 1 << HTTP_GET | 1 << HTTP_HEAD,
    POST = 1 << HTTP_POST,
};

#define INFER(path, dialect, operation, engine_path)                                               \
    {path, false, POST, ROUTE_INFER, DIALECT_##dialect, OPERATION_##operation, engine_path}

static const struct str v1_prefixes[] = {STR("/v1/"), STR("/v1-openai/")};

/* The first match counts. Paths under /v1/ stand here without that prefix. */
static const struct route v1_routes[] = {
    INFER("chat/completions", OPENAI, CHAT, "/v1/chat/completions"),
    INFER("completions", OPENAI, COMPLETIONS, "/v1/completions"),
    INFER("embeddings", OPENAI, EMBEDDINGS, "/v1/embeddings"),
    INFER("responses", RESPONSES, RESPONSES, "/v1/responses"),
    INFER("responses/input_tokens", OPENAI, COUNT_TOKENS, "/v1/responses/input_tokens"),
    INFER("messages", ANTHROPIC, MESSAGES, "/v1/messages"),
    INFER("messages/count_tokens", ANTHROPIC, COUNT_TOKENS, "/v1/messages/count_tokens"),
    INFER("rerank", OPENAI, RERANK, "/v1/rerank"),
    INFER("score", OPENAI, SCORE, "/v1/score"),
    INFER("moderations", OPENAI, MODERATIONS, "/v1/moderations"),
    INFER("images/generations", OPENAI, IMAGES, "/v1/images/generations"),
    INFER("images/edits", OPENAI, IMAGES, "/v1/images/edits"),
    INFER("images/variations", OPENAI, IMAGES, "/v1/images/variations"),
    INFER("audio/speech", OPENAI, SPEECH, "/v1/audio/speech"),
    INFER("audio/transcriptions", OPENAI, TRANSCRIPTIONS, "/v1/audio/transcriptions"),
    INFER("audio/translations", OPENAI, TRANSLATIONS, "/v1/audio/translations"),
    INFER("tokenize", OPENAI, TOKENIZE, "/tokenize"),
    INFER("detokenize", OPENAI, TOKENIZE, "/detokenize"),
    {"models", false, READ, ROUTE_MODELS, DIALECT_OPENAI, 0, NULL},
    {"models/", true, READ, ROUTE_MODEL, DIALECT_OPENAI, 0, NULL},
};

/* The same without a version, as some engines have them. */
static const struct route bare_routes[] = {
    INFER("/v2/rerank", COHERE, RERANK, "/v1/rerank"),
    INFER("/rerank", OPENAI, RERANK, "/v1/rerank"),
    INFER("/score", OPENAI, SCORE, "/v1/score"),
    INFER("/tokenize", OPENAI, TOKENIZE, "/tokenize"),
    INFER("/detokenize", OPENAI, TOKENIZE, "/detokenize"),
    {"/model/proxy/", true, 0, ROUTE_PROXY, DIALECT_OPENAI, OPERATION_PROXY, NULL},
    {"/v2/", true, 0, ROUTE_CONTROL, DIALECT_MANAGEMENT, 0, NULL},
    {"/auth/", true, 0, ROUTE_CONTROL, DIALECT_MANAGEMENT, 0, NULL},
    {"/debug/", true, 0, ROUTE_CONTROL, DIALECT_MANAGEMENT, 0, NULL},
    {"/docs", false, READ, ROUTE_CONTROL, DIALECT_MANAGEMENT, 0, NULL},
    {"/openapi.json", false, READ, ROUTE_CONTROL, DIALECT_MANAGEMENT, 0, NULL},
    {"/version", false, READ, ROUTE_CONTROL, DIALECT_MANAGEMENT, 0, NULL},
    {"/metrics", false, READ, ROUTE_METRICS, DIALECT_MANAGEMENT, 0, NULL},
    {"/healthz", false, READ, ROUTE_HEALTH, DIALECT_MANAGEMENT, 0, NULL},
    {"/readyz", false, READ, ROUTE_READY, DIALECT_MANAGEMENT, 0, NULL},
    {"/", false, READ, ROUTE_HOME, DIALECT_MANAGEMENT, 0, NULL},
};

static bool fits(const struct route *route, struct str path)
{
    struct str wanted = str_of(route->path);
    return route->is_prefix ? str_has_prefix(path, wanted) && path.len > wanted.len
                            : str_eq(path, wanted);
}

static struct route_match search(const struct route *routes, size_t count, struct str path,
                                 enum dialect otherwise)
{
    for (size_t i = 0; i < count; i++)
        if (fits(&routes[i], path))
            return (struct route_match){.route = &routes[i],
                                        .rest = str_skip(path, strlen(routes[i].path)),
                                        .dialect = routes[i].dialect};
    return (struct route_match){.dialect = otherwise};
}

static struct route_match search_all(struct str path)
{
    for (size_t i = 0; i < ARRAY_LEN(v1_prefixes); i++) {
        if (!str_has_prefix(path, v1_prefixes[i]))
            continue;
        struct str rest = str_skip(path, v1_prefixes[i].len);
        return search(v1_routes, ARRAY_LEN(v1_routes), rest,
                      str_has_prefix(rest, STR("messages")) ? DIALECT_ANTHROPIC : DIALECT_OPENAI);
    }
    return search(bare_routes, ARRAY_LEN(bare_routes), path, DIALECT_MANAGEMENT);
}

/* What stands between the first two slashes. */
static struct str first_segment(struct str path)
{
    struct str rest = str_skip(path, 1);
    return str_sub(rest.ptr, str_find(rest, '/'));
}

/* "/docs/x" is no page of the web UI: whoever asks for it means the API and is told. */
static bool begins_like_a_route(struct str path)
{
    struct str segment = first_segment(path);
    for (size_t i = 0; i < ARRAY_LEN(v1_prefixes); i++)
        if (str_eq(segment, first_segment(v1_prefixes[i])))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(bare_routes); i++)
        if (str_eq(segment, first_segment(str_of(bare_routes[i].path))))
            return true;
    return false;
}

struct route_match route_find(enum http_method method, struct str path)
{
    struct route_match match = search_all(path);
    match.is_free = !match.route && !begins_like_a_route(path);
    if (match.route)
        match.is_allowed = match.route->methods == 0 || (match.route->methods & 1u << method) != 0;
    return match;
}

char *route_allow(const struct route *route)
{
    struct buf out = {0};
    for (int method = 0; method < HTTP_METHOD_COUNT; method++) {
        if (route->methods != 0 && !(route->methods & 1u << method))
            continue;
        buf_add_cstr(&out, out.len ? ", " : "");
        buf_add_cstr(&out, http_method_name((enum http_method)method));
    }
    return buf_take(&out);
}

/* ---- a model's own paths ---- */

/*
 * What administers an engine, wherever it stands in its path: vLLM, SGLang, llama.cpp, MindIE and
 * Triton. Words of a segment, since engines get new paths with each version:
 */
static const char *const forbidden_words[] = {
    "abort",      "adapter", "adapters", "admin",    "cache",  "corpus",   "dumper", "expert",
    "flush",      "gc",      "hicache",  "internal", "lora",   "loras",    "memory", "occupation",
    "pause",      "paused",  "profile",  "remote",   "resume", "role",     "rpc",    "session",
    "sessions",   "shutdown", "sleep",   "sleeping", "slot",   "slots",    "stop",   "unload",
    "wake",       "weight",  "weights",  "worker",   "workers",
};

/* And whole segments: */
static const char *const forbidden_segments[] = {
    "configure-logging",
    "continue-generation",
    "control",
    "cors-proxy",
    "get-server-info",
    "invocations",
    "load",
    "props",
    "repository",
    "scale-elastic-ep",
    "server-info",
    "set-trace-level",
    "slow-down",
    "stopservice",
    "stream",
    "streams",
    "tools",
};

static char plain_of(char c)
{
    return c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Without case and with '-' for '_'. */
static bool is_same_word(struct str text, const char *word)
{
    if (text.len != strlen(word))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (plain_of(text.ptr[i]) != word[i])
            return false;
    return true;
}

static bool is_among(struct str text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_same_word(text, words[i]))
            return true;
    return false;
}

static bool is_forbidden(struct str segment)
{
    static const char marks[] = "-_.:~@+,=";
    if (is_among(segment, forbidden_segments, ARRAY_LEN(forbidden_segments)))
        return true;
    size_t begin = 0;
    for (size_t i = 0; i <= segment.len; i++) {
        if (i < segment.len && !memchr(marks, segment.ptr[i], sizeof marks - 1))
            continue;
        if (is_among(str_sub(segment.ptr + begin, i - begin), forbidden_words,
                     ARRAY_LEN(forbidden_words)))
            return true;
        begin = i + 1;
    }
    return false;
}

/* What no decoder can read as more than one segment: letters, digits and a few marks. */
static bool is_plain(struct str segment)
{
    static const char marks[] = "._-~:@+,=";
    for (size_t i = 0; i < segment.len; i++) {
        char c = segment.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            !memchr(marks, c, sizeof marks - 1))
            return false;
    }
    return segment.len > 0 && !str_eq(segment, STR(".")) && !str_eq(segment, STR(".."));
}

bool route_split_proxy(struct str rest, struct str *ret_model, struct str *ret_path)
{
    size_t slash = str_find(rest, '/');
    struct str path = str_skip(rest, slash), left = str_skip(path, 1), segment;
    if (slash == 0 || left.len == 0 || left.ptr[left.len - 1] == '/')
        return false;
    while (str_split(&left, '/', &segment))
        if (!is_plain(segment) || is_forbidden(segment))
            return false;
    *ret_model = str_sub(rest.ptr, slash);
    *ret_path = path;
    return true;
}
