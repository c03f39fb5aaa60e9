/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/engine/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { ENDING_MS = 5000 };

/* ---- the end ---- */

static void end_entry(struct conn *conn, enum log_end end)
{
    if (conn->entry)
        log_end(&conn->engine->log, TAKE(conn->entry), end, poller_clock());
}

static void destroy(struct conn *conn)
{
    struct poller *poller = &conn->engine->poller;
    end_entry(conn, END_CLIENT);
    poller_disarm(poller, &conn->step_alarm);
    poller_disarm(poller, &conn->trickle_alarm);
    close(poller_unwatch(poller, &conn->watch));
    request_fini(&conn->request);
    reply_fini(&conn->reply);
    wire_fini(&conn->wire);
    buf_fini(&conn->rest);
    poller_free_later(poller, conn);
}

/*
 * Ends the connection from our side. close() would send a reset when there is input that wasn't
 * read, so a FIN is sent by itself and what comes is passed over until the client's.
 */
static void end(struct conn *conn, enum how how)
{
    struct poller *poller = &conn->engine->poller;
    if (how == HOW_RST) {
        struct linger linger = {.l_onoff = 1};
        (void)setsockopt(conn->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        destroy(conn);
        return;
    }
    (void)shutdown(conn->watch.fd, SHUT_WR);
    conn->state = CONN_ENDING;
    poller_disarm(poller, &conn->trickle_alarm);
    poller_change(poller, &conn->watch, EPOLLIN);
    poller_alarm(poller, &conn->step_alarm, poller->now_ns + ENDING_MS * NS_PER_MS);
}

/* ---- writing ---- */

static uint32_t read_events(const struct conn *conn)
{
    bool wants_input = !conn->is_whole &&
                       (conn->script.read < 0 || !conn->request.has_head ||
                        conn->request.body_bytes < (uint64_t)conn->script.read);
    return EPOLLRDHUP | (wants_input ? EPOLLIN : 0);
}

/* After the last byte before a cut; a stall just stays. */
static bool at_end_of_pending(struct conn *conn)
{
    poller_change(&conn->engine->poller, &conn->watch,
                  conn->watch.events & ~(uint32_t)EPOLLOUT);
    if (!conn->wire.is_cut)
        return true;
    end_entry(conn, END_CUT);
    end(conn, (enum how)conn->script.by);
    return false;
}

bool conn_flush(struct conn *conn)
{
    struct poller *poller = &conn->engine->poller;
    struct str pending = wire_pending(&conn->wire);
    size_t most = conn->script.trickle ? (size_t)conn->script.trickle : pending.len;
    if (conn->trickle_alarm.slot)
        return false;
    if (pending.len == 0)
        return at_end_of_pending(conn);
    ssize_t n = send(conn->watch.fd, pending.ptr, pending.len < most ? pending.len : most,
                     MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        destroy(conn);
        return false;
    }
    wire_wrote(&conn->wire, n > 0 ? (size_t)n : 0);
    if (n == (ssize_t)pending.len)
        return at_end_of_pending(conn);
    if (n == (ssize_t)most)
        poller_alarm(poller, &conn->trickle_alarm, poller->now_ns + conn->script.trickle_ns);
    else
        poller_change(poller, &conn->watch, conn->watch.events | EPOLLOUT);
    return false;
}

static void on_trickle(struct alarm *alarm)
{
    reply_run(CONTAINER_OF(alarm, struct conn, trickle_alarm));
}

/* ---- reading ---- */

static void start_reply(struct conn *conn)
{
    struct engine *engine = conn->engine;
    struct members members;
    struct err err = {0};
    members_read(conn->is_whole ? buf_str(&conn->request.body) : (struct str){0}, &members);
    engine_script(engine, &conn->request, members.script, &conn->script, &err);
    if (engine->log.is_on)
        conn->entry->script = str_dup(members.script.len
                                          ? members.script
                                          : request_header(&conn->request, STR("X-Script")));
    conn->state = CONN_REPLYING;
    reply_start(conn, &members, &err);
}

static void on_head(struct conn *conn)
{
    struct engine *engine = conn->engine;
    struct request *request = &conn->request;
    bool is_counted = !engine_has_page(request->path);
    conn->entry = log_begin(&engine->log, request, is_counted);
    conn->entry->connection = conn->number;
    conn->entry->on_connection = ++conn->requests;
    conn->entry->started_ns = engine->poller.now_ns;
    /* What the header says of reading counts from here on; the body's own script is yet to come,
     * and so is the complaint about a malformed one. */
    conn->script = engine->script;
    if (script_read(request_header(request, STR("X-Script")), &conn->script, NULL) < 0)
        conn->script = engine->script;
    request->is_looked_at = conn->script.look || !is_counted;
    if (request_header(request, STR("Expect")).len && !conn->script.early)
        (void)send(conn->watch.fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
}

/* Takes input until the request is whole; the rest waits for the next one. */
static void take_input(struct conn *conn, struct str data)
{
    for (;;) {
        enum request_news news = request_feed(&conn->request, &data);
        if (news == REQUEST_MORE)
            return;
        if (news == REQUEST_BAD) {
            destroy(conn);
            return;
        }
        if (news == REQUEST_HEAD) {
            on_head(conn);
            if (conn->script.early && conn->state == CONN_READING)
                start_reply(conn);
            if (conn->watch.fd < 0 || conn->state == CONN_ENDING)
                return;
            continue;
        }
        buf_add_str(&conn->rest, data);
        conn->is_whole = true;
        if (conn->entry) {
            conn->entry->whole_ns = conn->engine->poller.now_ns;
            log_whole(&conn->engine->log, conn->entry, &conn->request);
        }
        if (conn->state == CONN_READING)
            start_reply(conn);
        return;
    }
}

/* Input behind a request that is being answered: it may wait in the socket. */
static void pause_input(struct conn *conn)
{
    poller_change(&conn->engine->poller, &conn->watch,
                  conn->watch.events & ~(uint32_t)EPOLLIN);
}

static void on_readable(struct conn *conn)
{
    struct engine *engine = conn->engine;
    if (conn->is_whole && conn->state == CONN_REPLYING) {
        pause_input(conn);
        return;
    }
    ssize_t n = recv(conn->watch.fd, engine->input, sizeof engine->input, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        destroy(conn);
        return;
    }
    if (n < 0 || conn->state == CONN_ENDING)
        return;
    if (conn->state == CONN_READING)
        poller_disarm(&engine->poller, &conn->step_alarm);
    take_input(conn, str_sub(engine->input, (size_t)n));
    if (conn->watch.fd >= 0 && conn->state == CONN_READING)
        poller_change(&engine->poller, &conn->watch, read_events(conn));
}

static void on_event(struct poll_watch *watch, uint32_t events)
{
    struct conn *conn = CONTAINER_OF(watch, struct conn, watch);
    bool has_left = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (has_left && (conn->is_whole || !(events & EPOLLIN))) {
        destroy(conn);
        return;
    }
    if (events & EPOLLIN)
        on_readable(conn);
    if ((events & EPOLLOUT) && watch->fd >= 0 && conn->state == CONN_REPLYING)
        reply_run(conn);
}

/* ---- between requests ---- */

static void arm_idle(struct conn *conn)
{
    struct engine *engine = conn->engine;
    int64_t idle_ns = conn->script.idle_ns;
    if (!idle_ns)
        return;
    if (conn->script.idle_permille < 1000) {
        if ((int64_t)engine_random(engine, 1000) >= conn->script.idle_permille)
            return;
        idle_ns = (int64_t)engine_random(engine, (uint64_t)idle_ns);
    }
    poller_alarm(&engine->poller, &conn->step_alarm, engine->poller.now_ns + idle_ns);
}

void conn_replied(struct conn *conn)
{
    bool is_kept = conn->reply.is_kept && conn->is_whole;
    end_entry(conn, END_DONE);
    if (!is_kept) {
        end(conn, (enum how)conn->script.by);
        return;
    }
    conn->state = CONN_READING;
    conn->is_whole = false;
    request_reset(&conn->request);
    if (conn->rest.len == 0) {
        poller_change(&conn->engine->poller, &conn->watch, EPOLLIN | EPOLLRDHUP);
        arm_idle(conn);
        return;
    }
    struct buf rest = conn->rest;
    conn->rest = (struct buf){0};
    take_input(conn, buf_str(&rest));
    buf_fini(&rest);
    if (conn->watch.fd >= 0 && conn->state == CONN_READING)
        poller_change(&conn->engine->poller, &conn->watch, read_events(conn));
}

static void on_alarm(struct alarm *alarm)
{
    struct conn *conn = CONTAINER_OF(alarm, struct conn, step_alarm);
    if (conn->state == CONN_REPLYING)
        reply_run(conn);
    else if (conn->state == CONN_READING)
        end(conn, (enum how)conn->script.by);
    else
        destroy(conn);
}

void conn_accept(struct engine *engine, int fd)
{
    struct conn *conn = mem_alloc(sizeof *conn);
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->engine = engine;
    conn->number = ++engine->log.connections;
    conn->script = engine->script;
    conn->step_alarm.cb = on_alarm;
    conn->trickle_alarm.cb = on_trickle;
    poller_watch(&engine->poller, &conn->watch, fd, EPOLLIN | EPOLLRDHUP, on_event);
    if (engine->script.accept != ACCEPT_YES)
        end(conn, engine->script.accept == ACCEPT_RST ? HOW_RST : HOW_FIN);
}
