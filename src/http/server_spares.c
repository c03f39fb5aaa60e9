/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of exchanges and buffers that a server uses again: a few of each, so that a request costs
 * no trip to the allocator and an idle server holds little. */
#include "http/server_priv.h"

enum { SPARE_BUF_MAX = 8 << 10 }; /* a larger buffer isn't held */

void server_buf_take(struct http_server *server, struct buf *ret)
{
    if (ret->ptr || server->spares.buf_count == 0)
        return;
    *ret = server->spares.bufs[--server->spares.buf_count];
}

void server_buf_give(struct http_server *server, struct buf *buf)
{
    struct server_spares *spares = &server->spares;
    if (!buf->ptr)
        return;
    if (buf->cap < CONN_READ_HEAD || buf->cap > SPARE_BUF_MAX ||
        spares->buf_count == SERVER_SPARE_BUFS) {
        buf_fini(buf);
        return;
    }
    buf_clear(buf);
    spares->bufs[spares->buf_count++] = *buf;
    *buf = (struct buf){0};
}

struct http_exchange *server_exchange_new(struct server_conn *conn)
{
    struct server_spares *spares = &conn->server->spares;
    struct http_exchange *ex;
    if (spares->exchange_count) {
        ex = spares->exchanges[--spares->exchange_count];
        *ex = (struct http_exchange){.conn = NULL};
    } else {
        ex = mem_alloc(sizeof *ex);
    }
    ex->conn = conn;
    ex->high_water = HTTP_HIGH_WATER;
    /* The table of headers isn't zeroed: its count says what is in use. */
    ex->head = spares->head_count ? spares->heads[--spares->head_count]
                                  : mem_alloc(sizeof *ex->head);
    return ex;
}

void http_exchange_forget_head(struct http_exchange *ex)
{
    struct http_server *server = ex->conn->server;
    struct server_spares *spares = &server->spares;
    struct http_request_head *head = TAKE(ex->head);
    if (!head)
        return;
    if (ex->text.ptr)
        explicit_bzero(ex->text.ptr, ex->text.len); /* credentials stand there */
    server_buf_give(server, &ex->text);
    if (spares->head_count < SERVER_SPARE_EXCHANGES)
        spares->heads[spares->head_count++] = head;
    else
        free(head);
}

void server_exchange_free(struct http_exchange *ex)
{
    struct server_spares *spares = &ex->conn->server->spares;
    http_exchange_forget_head(ex);
    if (spares->exchange_count < SERVER_SPARE_EXCHANGES)
        spares->exchanges[spares->exchange_count++] = ex;
    else
        free(ex);
}

void server_spares_fini(struct server_spares *spares)
{
    while (spares->buf_count)
        buf_fini(&spares->bufs[--spares->buf_count]);
    while (spares->exchange_count)
        free(spares->exchanges[--spares->exchange_count]);
    while (spares->head_count)
        free(spares->heads[--spares->head_count]);
}
