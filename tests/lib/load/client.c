/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/load/load.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { RECONNECT_MS = 10 };

/* One connection and its present request. */
struct client {
    struct poll_watch watch;
    struct load *load;
    struct alarm alarm;   /* when the next request is due */
    int64_t next;         /* number of that request among all of an open loop */
    int64_t due_ns;       /* when the present request should have been sent */
    bool has_request;     /* one is under way */
    bool is_measured;     /* it began in the measured time */
    size_t sent;          /* bytes of it */
    int64_t first_ns;     /* first byte of the response's body; 0: none yet */
    struct response response;
};

static void next_request(struct client *client);

/* ---- connections ---- */

static void disconnect(struct client *client)
{
    int fd = poller_unwatch(&client->load->poller, &client->watch);
    if (fd >= 0)
        close(fd);
}

static void on_event(struct poll_watch *watch, uint32_t events);

static bool connect_client(struct client *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)client->load->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
        close(fd);
        return false;
    }
    client->load->figures.connects++;
    poller_watch(&client->load->poller, &client->watch, fd, EPOLLIN | EPOLLOUT, on_event);
    return true;
}

/* ---- a request's end ---- */

static void leave(struct client *client)
{
    struct load *load = client->load;
    disconnect(client);
    poller_disarm(&load->poller, &client->alarm);
    response_fini(&client->response);
    poller_free_later(&load->poller, client);
    load_client_is_done(load);
}

static void count_ok(struct client *client)
{
    struct load_figures *figures = &client->load->figures;
    figures->ok++;
    figures->body_bytes += client->response.body_bytes;
    histogram_add(&figures->latency, poller_clock() - client->due_ns);
    if (client->first_ns)
        histogram_add(&figures->first, client->first_ns - client->due_ns);
}

static void end_request(struct client *client, bool is_ok, enum load_error error)
{
    struct load_figures *figures = &client->load->figures;
    client->has_request = false;
    if (client->is_measured && client->load->is_measuring) {
        figures->requests++;
        if (is_ok)
            count_ok(client);
        else
            figures->errors[error]++;
    }
    next_request(client);
}

static void fail(struct client *client, enum load_error error)
{
    disconnect(client);
    end_request(client, false, error);
}

static void on_response(struct client *client)
{
    const struct response *response = &client->response;
    int64_t wanted = client->load->events;
    if (!response->is_kept)
        disconnect(client);
    if (response->status != 200)
        end_request(client, false, ERROR_STATUS);
    else if (response->is_events && wanted >= 0 &&
             (response->missing || response->events != wanted || !response->is_ended))
        end_request(client, false, ERROR_EVENTS);
    else
        end_request(client, true, ERROR_COUNT);
}

/* ---- reading and writing ---- */

static void count_events(struct client *client, int64_t before)
{
    struct load *load = client->load;
    int64_t fresh = client->response.events - before;
    if (fresh <= 0 || !load->is_measuring)
        return;
    load->figures.events += fresh;
    if (load->align_ns)
        histogram_add(&load->figures.late, poller_clock() % load->align_ns);
}

/* The connection is over while a request is under way. */
static void on_end(struct client *client, bool is_fin)
{
    bool is_head = client->response.state == RESPONSE_HEAD;
    if (is_fin && response_close(&client->response) == RESPONSE_DONE)
        on_response(client);
    else if (client->sent == 0)
        fail(client, ERROR_CONNECT);
    else
        fail(client, is_head ? ERROR_RESET : ERROR_CUT);
}

static void on_readable(struct client *client)
{
    struct load *load = client->load;
    ssize_t n = recv(client->watch.fd, load->input, sizeof load->input, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (!client->has_request) { /* the server closes an idle connection, or talks unasked */
        disconnect(client);
        return;
    }
    int64_t events = client->response.events;
    if (n <= 0) {
        on_end(client, n == 0);
        return;
    }
    enum response_state state = response_feed(&client->response, str_sub(load->input, (size_t)n));
    if (!client->first_ns && client->response.body_bytes)
        client->first_ns = poller_clock();
    count_events(client, events);
    if (state == RESPONSE_DONE)
        on_response(client);
    else if (state == RESPONSE_BAD)
        fail(client, ERROR_BAD);
}

static void send_more(struct client *client)
{
    struct load *load = client->load;
    struct str rest = str_skip(buf_str(&load->request), client->sent);
    ssize_t n = send(client->watch.fd, rest.ptr, rest.len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        fail(client, ERROR_RESET);
        return;
    }
    client->sent += n > 0 ? (size_t)n : 0;
    bool is_whole = client->sent == load->request.len;
    poller_change(&load->poller, &client->watch, EPOLLIN | (is_whole ? 0 : EPOLLOUT));
}

static void on_event(struct poll_watch *watch, uint32_t events)
{
    struct client *client = CONTAINER_OF(watch, struct client, watch);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(client);
    if ((events & EPOLLOUT) && watch->fd >= 0 && client->has_request)
        send_more(client);
}

/* ---- the schedule ---- */

static void begin_request(struct client *client)
{
    client->has_request = true;
    client->is_measured = client->load->is_measuring;
    client->sent = 0;
    client->first_ns = 0;
    response_begin(&client->response);
    if (client->watch.fd >= 0) {
        send_more(client);
    } else if (!connect_client(client)) {
        client->has_request = false;
        client->load->figures.requests++;
        client->load->figures.errors[ERROR_CONNECT]++;
        poller_alarm(&client->load->poller, &client->alarm,
                     poller_clock() + RECONNECT_MS * NS_PER_MS);
    }
}

static void on_due(struct alarm *alarm)
{
    struct client *client = CONTAINER_OF(alarm, struct client, alarm);
    if (!load_takes_request(client->load)) {
        leave(client);
        return;
    }
    if (client->load->rate <= 0)
        client->due_ns = poller_clock();
    begin_request(client);
}

static void next_request(struct client *client)
{
    struct load *load = client->load;
    if (load->rate > 0) {
        client->due_ns = load->begun_ns + (int64_t)((double)client->next * 1e9 / load->rate);
        client->next += load->clients;
    } else {
        client->due_ns = poller_clock();
    }
    if (client->due_ns > poller_clock())
        poller_alarm(&load->poller, &client->alarm, client->due_ns);
    else
        on_due(&client->alarm);
}

void client_start(struct load *load, int i)
{
    struct client *client = mem_alloc(sizeof *client);
    client->load = load;
    client->watch.fd = -1;
    client->alarm.cb = on_due;
    client->next = i;
    load->active++;
    poller_alarm(&load->poller, &client->alarm,
                 load->begun_ns + 1 + load->ramp_ns * i / load->clients);
}
