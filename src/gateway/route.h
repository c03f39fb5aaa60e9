/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public port's paths: what each means and in which dialect errors are told. One table; only
 * what stands in it reaches an engine. Pure.
 */
#pragma once

#include "http/message.h"

enum route_action {
    ROUTE_INFER,   /* to an engine, chosen by the body's "model" */
    ROUTE_MODELS,  /* list of models, made here */
    ROUTE_MODEL,   /* one model, made here; the rest of the path is its name */
    ROUTE_CONTROL, /* streamed through to control */
    ROUTE_HEALTH,
    ROUTE_READY,
    ROUTE_HOME,
};

enum route_dialect { DIALECT_MANAGEMENT, DIALECT_OPENAI };

struct route {
    const char *path;
    bool is_prefix;   /* all paths that begin with it */
    unsigned methods; /* bits 1 << enum http_method; 0: all */
    enum route_action action;
    const char *engine_path; /* ROUTE_INFER: what the engine is asked for */
};

struct route_match {
    const struct route *route; /* NULL: no such path */
    bool is_allowed;           /* the method is one of the route's */
    struct str rest;           /* what follows a prefix; borrowed from the path */
    enum route_dialect dialect;
};

/* "/v1-openai/" is an older spelling of "/v1/". */
struct route_match route_find(enum http_method method, struct str path);

/* The value of an Allow header: "GET, HEAD". Returns owned. */
char *route_allow(const struct route *route);
