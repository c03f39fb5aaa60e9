/* SPDX-License-Identifier: Apache-2.0 */
/* A client and a script server in one loop, and calls that record what becomes of them. */
#pragma once

#include "http/client.h"

#include "script_server.h"

/* ---- a call and what came of it ---- */

struct record {
    struct loop *loop;
    struct http_call *call; /* NULL once ended */
    unsigned heads, pieces, drains, ends, errors;
    unsigned status;
    int code;
    struct err text;
    struct buf body;
    void (*in_head)(struct record *);
    void (*in_body)(struct record *);
    void (*in_end)(struct record *);
    struct http_pool *pool;
};

static void on_head(struct http_call *call, const struct http_response_head *head, void *ctx)
{
    struct record *record = ctx;
    assert_ptr_equal(call, record->call);
    record->heads++;
    record->status = head->status;
    loop_stop(record->loop);
    if (record->in_head)
        record->in_head(record);
}

static void on_body(struct http_call *call, struct str data, void *ctx)
{
    struct record *record = ctx;
    assert_ptr_equal(call, record->call);
    assert_true(data.len > 0);
    record->pieces++;
    buf_add_str(&record->body, data);
    loop_stop(record->loop);
    if (record->in_body)
        record->in_body(record);
}

static void on_drain(struct http_call *call, void *ctx)
{
    (void)call;
    struct record *record = ctx;
    record->drains++;
    loop_stop(record->loop);
}

static void on_end(struct http_call *call, void *ctx)
{
    (void)call;
    struct record *record = ctx;
    record->ends++;
    record->call = NULL;
    loop_stop(record->loop);
    if (record->in_end)
        record->in_end(record);
}

static void on_error(struct http_call *call, int code, const char *text, void *ctx)
{
    (void)call;
    struct record *record = ctx;
    record->errors++;
    record->code = code;
    err_set(&record->text, code, "%s", text);
    record->call = NULL;
    loop_stop(record->loop);
}

static const struct http_call_ops ops = {.on_head = on_head,
                                         .on_body = on_body,
                                         .on_drain = on_drain,
                                         .on_end = on_end,
                                         .on_error = on_error};

static inline bool is_over(const struct record *record)
{
    return record->ends + record->errors > 0;
}

/* ---- a client, a server, one loop ---- */

struct fixture {
    struct loop *loop;
    struct http_pool *pool;
    struct script_server server;
    struct http_target target;
};

static inline void set_up(struct fixture *f, const struct reply *replies, unsigned count)
{
    *f = (struct fixture){.loop = loop_new(&virtual_clock)};
    f->pool = http_pool_new(f->loop);
    server_start(&f->server, f->loop, replies, count);
    f->target.port = f->server.port;
    memcpy(f->target.host, "127.0.0.1", sizeof "127.0.0.1");
}

static inline void tear_down(struct fixture *f)
{
    server_stop(&f->server);
    http_pool_free(f->pool);
    loop_free(f->loop);
}

static inline struct http_call_params get(struct fixture *f)
{
    return (struct http_call_params){
        .target = &f->target, .method = HTTP_GET, .path = STR("/x?y=1")};
}

static inline void start(struct fixture *f, struct record *record,
                         const struct http_call_params *params)
{
    *record = (struct record){.loop = f->loop, .pool = f->pool};
    record->call = http_call_start(f->pool, params, &ops, record);
    assert_non_null(record->call);
    assert_false(is_over(record));
}

static inline void run_call(struct fixture *f, struct record *record,
                            const struct http_call_params *params)
{
    start(f, record, params);
    RUN_UNTIL(f->loop, is_over(record));
}

static inline void expect_body(struct record *record, unsigned status, const char *body)
{
    assert_int_equal(record->errors, 0);
    assert_int_equal(record->ends, 1);
    assert_int_equal(record->status, status);
    assert_string_equal(record->body.ptr ? record->body.ptr : "", body);
    buf_fini(&record->body);
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
