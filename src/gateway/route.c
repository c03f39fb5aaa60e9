/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/route.h"

#include "base/buf.h"

enum {
    READ = 1 << HTTP_GET | 1 << HTTP_HEAD,
    POST = 1 << HTTP_POST,
};

/* The first match counts. Paths of the OpenAI dialect stand here without their prefix. */
static const struct route openai_routes[] = {
    {"chat/completions", false, POST, ROUTE_INFER, "/v1/chat/completions"},
    {"completions", false, POST, ROUTE_INFER, "/v1/completions"},
    {"embeddings", false, POST, ROUTE_INFER, "/v1/embeddings"},
    {"rerank", false, POST, ROUTE_INFER, "/v1/rerank"},
    {"models", false, READ, ROUTE_MODELS, NULL},
    {"models/", true, READ, ROUTE_MODEL, NULL},
};

static const struct route rerank_route = {"/v2/rerank", false, POST, ROUTE_INFER, "/v1/rerank"};

static const struct route other_routes[] = {
    {"/v2/", true, 0, ROUTE_CONTROL, NULL},
    {"/auth/", true, 0, ROUTE_CONTROL, NULL},
    {"/debug/", true, 0, ROUTE_CONTROL, NULL},
    {"/docs", false, READ, ROUTE_CONTROL, NULL},
    {"/openapi.json", false, READ, ROUTE_CONTROL, NULL},
    {"/version", false, READ, ROUTE_CONTROL, NULL},
    {"/healthz", false, READ, ROUTE_HEALTH, NULL},
    {"/readyz", false, READ, ROUTE_READY, NULL},
    {"/", false, READ, ROUTE_HOME, NULL},
};

static bool fits(const struct route *route, struct str path)
{
    struct str wanted = str_of(route->path);
    return route->is_prefix ? str_has_prefix(path, wanted) && path.len > wanted.len
                            : str_eq(path, wanted);
}

static struct route_match search(const struct route *routes, size_t count, struct str path)
{
    for (size_t i = 0; i < count; i++)
        if (fits(&routes[i], path))
            return (struct route_match){.route = &routes[i],
                                        .rest = str_skip(path, strlen(routes[i].path))};
    return (struct route_match){0};
}

static struct route_match search_all(struct str path)
{
    static const struct str prefixes[] = {STR("/v1/"), STR("/v1-openai/")};
    struct route_match match = {0};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        if (!str_has_prefix(path, prefixes[i]))
            continue;
        match = search(openai_routes, ARRAY_LEN(openai_routes), str_skip(path, prefixes[i].len));
        match.dialect = DIALECT_OPENAI;
        return match;
    }
    if (!fits(&rerank_route, path))
        return search(other_routes, ARRAY_LEN(other_routes), path);
    return (struct route_match){.route = &rerank_route, .dialect = DIALECT_OPENAI};
}

struct route_match route_find(enum http_method method, struct str path)
{
    struct route_match match = search_all(path);
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
