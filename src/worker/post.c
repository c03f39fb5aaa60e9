/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/post.h"

#include "base/json.h"

static void on_head(struct http_call *call, const struct http_response_head *head, void *ctx)
{
    struct post *post = ctx;
    post->status = head->status;
}

static void on_body(struct http_call *call, struct str data, void *ctx)
{
    struct post *post = ctx;
    size_t room = POST_REPLY_MAX - post->reply.len;
    buf_add(&post->reply, data.ptr, data.len < room ? data.len : room);
}

static void on_end(struct http_call *call, void *ctx)
{
    struct post *post = ctx;
    post->call = NULL;
    post->cb(post, (int)post->status, buf_str(&post->reply), post->ctx);
}

static void on_error(struct http_call *call, int code, const char *text, void *ctx)
{
    struct post *post = ctx;
    post->call = NULL;
    post->cb(post, code, str_of(text), post->ctx);
}

static const struct http_call_ops ops = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

void post_init(struct post *post, struct http_pool *pool, post_cb *cb, void *ctx)
{
    post->pool = pool;
    post->cb = cb;
    post->ctx = ctx;
}

void post_fini(struct post *post)
{
    post_cancel(post);
    buf_fini(&post->body);
    buf_fini(&post->reply);
    mem_free_secret(TAKE(post->authorization));
}

void post_send(struct post *post, const struct http_target *target, const char *path,
               const char *bearer)
{
    mem_free_secret(post->authorization);
    post->authorization = mem_printf("Bearer %s", bearer);
    post->status = 0;
    buf_clear(&post->reply);
    const struct http_header headers[] = {
        {STR("Authorization"), str_of(post->authorization)},
        {STR("Content-Type"), STR("application/json")},
    };
    struct http_call_params params = {.target = target,
                                      .method = HTTP_POST,
                                      .path = str_of(path),
                                      .headers = headers,
                                      .header_count = ARRAY_LEN(headers),
                                      .body = http_body_of(buf_str(&post->body)),
                                      .connect_timeout_ms = POST_TIMEOUT_MS,
                                      .head_timeout_ms = POST_TIMEOUT_MS,
                                      .idle_timeout_ms = POST_TIMEOUT_MS};
    post->call = http_call_start(post->pool, &params, &ops, post);
}

void post_cancel(struct post *post)
{
    http_call_cancel(TAKE(post->call));
}

char *post_fault(int status, struct str reply)
{
    if (status < 0)
        return str_dup(reply);
    auto_fini(json_release) json_t *root = NULL;
    const char *message =
        json_read(reply, &root, NULL) == 0 ? json_member_string(root, "message") : NULL;
    if (message)
        return mem_printf("HTTP %d: %.300s", status, message);
    return mem_printf("HTTP %d %s", status, http_status_text((unsigned)status));
}
