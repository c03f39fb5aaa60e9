/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public port's paths: what each means, in which dialect errors are told, what an engine is
 * asked for. One table; only what stands in it reaches an engine. Pure.
 */
#pragma once

#include "gateway/record.h"
#include "http/message.h"

enum route_action {
    ROUTE_INFER,   /* to an engine, chosen by the body's "model" */
    ROUTE_PROXY,   /* to an engine of the model named in the path, at the path behind it */
    ROUTE_MODELS,  /* list of models, made here */
    ROUTE_MODEL,   /* one model, made here; the rest of the path is its name */
    ROUTE_CONTROL, /* streamed through to control */
    ROUTE_METRICS,
    ROUTE_HEALTH,
    ROUTE_READY,
    ROUTE_HOME, /* the web UI, or what this is */
};

/* Whose clients call a path, and so how they are told of errors. */
enum dialect {
    DIALECT_MANAGEMENT,
    DIALECT_OPENAI,
    DIALECT_RESPONSES, /* of OpenAI too, but its events have names */
    DIALECT_ANTHROPIC,
    DIALECT_COHERE,
};

struct route {
    const char *path;
    bool is_prefix;   /* all paths that begin with it */
    unsigned methods; /* bits 1 << enum http_method; 0: all */
    enum route_action action;
    enum dialect dialect;
    enum operation operation; /* ROUTE_INFER, ROUTE_PROXY */
    const char *engine_path;  /* ROUTE_INFER: what the engine is asked for */
};

struct route_match {
    const struct route *route; /* NULL: no such path */
    bool is_allowed;           /* the method is one of the route's */
    struct str rest;           /* what follows a prefix; borrowed from the path */
    enum dialect dialect;      /* also of paths that there are not */
    bool is_free;              /* no such path, and no route begins with its first segment: what is
                                  there is for the web UI to say */
};

/* "/v1-openai/" is an older spelling of "/v1/". */
struct route_match route_find(enum http_method method, struct str path);

/* The value of an Allow header: "GET, HEAD". Returns owned. */
char *route_allow(const struct route *route);

/*
 * Splits what follows ROUTE_PROXY's prefix into a model, still percent-encoded, and the engine's
 * path behind it. False when that path isn't one that may reach an engine: with dot segments, empty
 * segments, backslashes or encoded slashes and dots, by which one path can pass for another, or one
 * that administers the engine (loads weights, sleeps, flushes caches, stops it).
 */
bool route_split_proxy(struct str rest, struct str *ret_model, struct str *ret_path);
