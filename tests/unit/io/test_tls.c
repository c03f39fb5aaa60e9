/* SPDX-License-Identifier: Apache-2.0 */
/* Streams under TLS, against a server in a thread with certificates that are made here. */
#include "base/buf.h"
#include "io/listener.h"
#include "io/stream.h"

#include <errno.h>
#include <pthread.h>

#include "identity.h"

/* ---- certificates ---- */

/* Both names of the loopback address are in the trusted one, none of them in the other. */
static struct identity trusted, misnamed, unknown;
static char store[] = "/tmp/test_tls_XXXXXX";

static int make_store(void **state)
{
    (void)state;
    make_identity(&trusted, "trusted", "DNS:localhost,IP:127.0.0.1");
    make_identity(&misnamed, "misnamed", "DNS:other.example");
    make_identity(&unknown, "unknown", "DNS:localhost");
    int fd = mkstemp(store);
    FILE *file = fdopen(fd, "w");
    PEM_write_X509(file, trusted.cert);
    PEM_write_X509(file, misnamed.cert);
    fclose(file);
    return setenv("SSL_CERT_FILE", store, 1);
}

static int drop_store(void **state)
{
    (void)state;
    drop_identity(&trusted);
    drop_identity(&misnamed);
    drop_identity(&unknown);
    return unlink(store);
}

/* ---- the server: one connection, on a thread ---- */

enum { BULK = 40000 };

struct server {
    const struct identity *id; /* NULL: speaks no TLS */
    bool says_goodbye;
    int fd;
    pthread_t thread;
    char name[64]; /* that the client asked for (SNI) */
};

static void serve_tls(struct server *server, SSL *ssl)
{
    if (SSL_accept(ssl) != 1)
        return;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    snprintf(server->name, sizeof server->name, "%s", name ? name : "");
    char data[BULK];
    for (int got = 0; got < 5;) {
        int n = SSL_read(ssl, data + got, 5 - got);
        if (n <= 0)
            return;
        got += n;
    }
    memset(data, data[0], sizeof data);
    SSL_write(ssl, data, sizeof data);
    SSL_read(ssl, data, 1); /* nothing but the data is there until the client has it all */
    if (server->says_goodbye)
        SSL_shutdown(ssl);
}

static void *serve(void *arg)
{
    struct server *server = arg;
    fcntl(server->fd, F_SETFL, 0);
    if (server->id) {
        SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
        SSL_CTX_use_certificate(ctx, server->id->cert);
        SSL_CTX_use_PrivateKey(ctx, server->id->key);
        SSL *ssl = SSL_new(ctx);
        SSL_set_fd(ssl, server->fd);
        serve_tls(server, ssl);
        SSL_free(ssl);
        SSL_CTX_free(ctx);
    } else {
        char data[1024];
        (void)!read(server->fd, data, sizeof data);
        (void)!write(server->fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    }
    close(server->fd);
    return NULL;
}

static void on_accept(struct listener *listener, int fd, const char *peer, int64_t peer_uid,
                      void *ctx)
{
    (void)listener, (void)peer, (void)peer_uid;
    struct server *server = ctx;
    server->fd = fd;
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

/* ---- the client ---- */

struct client {
    struct loop *loop;
    struct listener *listener;
    struct server server;
    struct stream *stream;
    size_t step; /* bytes per read */
    int rc;
    struct err text;
    struct buf input;
    int end; /* 1 until reading ended, then what it ended with */
};

static void on_event(struct stream *stream, unsigned events, void *ctx)
{
    struct client *client = ctx;
    assert_int_equal(events, WATCH_READ);
    char data[4096];
    ssize_t n = stream_read(stream, data, client->step);
    if (n > 0) {
        buf_add(&client->input, data, (size_t)n);
        char thanks = '!';
        struct iovec part = {&thanks, 1};
        if (client->input.len == BULK)
            assert_int_equal(stream_write(stream, &part, 1), 1);
    } else if (n != -EAGAIN) {
        client->end = (int)n;
        loop_stop(client->loop);
    }
}

static void on_connect(struct stream *stream, int rc, const char *text, void *ctx)
{
    (void)stream;
    struct client *client = ctx;
    client->rc = rc;
    err_set(&client->text, rc, "%s", text);
    loop_stop(client->loop);
}

static void connect_client(struct client *client, const struct identity *id, const char *host)
{
    *client = (struct client){.loop = loop_new(&clock_system), .end = 1, .step = 100};
    client->server.id = id;
    unsigned port;
    assert_int_equal(listener_tcp(client->loop, "127.0.0.1", 0, false, on_accept, &client->server,
                                  &client->listener, &port, NULL),
                     0);
    struct stream_address address = {.host = host, .port = port, .tls = true, .timeout_ms = 30000};
    client->stream = stream_connect(client->loop, &address, on_connect, on_event, client);
    loop_run(client->loop);
}

static void drop_client(struct client *client)
{
    stream_free(client->stream);
    pthread_join(client->server.thread, NULL);
    listener_free(client->listener);
    loop_free(client->loop);
    buf_fini(&client->input);
}

static void test_handshakes_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const struct identity *id;
        const char *text;
    } cases[] = {
        {&unknown, "certificate refused: self-signed certificate"},
        {&misnamed, "certificate refused: hostname mismatch"},
        {NULL, "wrong version number"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client client;
        connect_client(&client, cases[i].id, "localhost");
        assert_int_equal(client.rc, ERR_PROTOCOL);
        assert_non_null(strstr(client.text.text, "TLS handshake with localhost:"));
        assert_non_null(strstr(client.text.text, cases[i].text));
        drop_client(&client);
    }
}

/* Time stands still until the test moves it. */
static int64_t virtual_ms = 1000;

static int64_t read_virtual(void *ctx)
{
    (void)ctx;
    return virtual_ms;
}

static const struct clock virtual_clock = {.mono_ms = read_virtual, .wall_ms = read_virtual};

static void on_accept_silently(struct listener *listener, int fd, const char *peer,
                               int64_t peer_uid, void *ctx)
{
    (void)listener, (void)peer, (void)peer_uid;
    struct client *client = ctx;
    client->server.fd = fd;
    loop_stop(client->loop);
}

static void test_handshake_times_out(void **state)
{
    (void)state;
    struct client client = {.loop = loop_new(&virtual_clock)};
    unsigned port;
    assert_int_equal(listener_tcp(client.loop, "127.0.0.1", 0, false, on_accept_silently, &client,
                                  &client.listener, &port, NULL),
                     0);
    struct stream_address address = {
        .host = "127.0.0.1", .port = port, .tls = true, .timeout_ms = 700};
    client.stream = stream_connect(client.loop, &address, on_connect, on_event, &client);
    loop_run(client.loop);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(client.rc, 0);
        virtual_ms += i == 0 ? 699 : 1;
        loop_wake_stop(client.loop);
        loop_run(client.loop);
    }
    assert_int_equal(client.rc, ERR_TIMEOUT);
    assert_non_null(strstr(client.text.text, "no answer within 700 ms"));
    close(client.server.fd);
    stream_free(client.stream);
    listener_free(client.listener);
    loop_free(client.loop);
}

static void say_hello(struct client *client)
{
    char one[] = "hel", two[] = "lo";
    struct iovec parts[] = {{one, 3}, {two, 2}};
    assert_int_equal(stream_write(client->stream, parts, 2), 5);
}

static void test_bytes_under_tls(void **state)
{
    (void)state;
    static const struct {
        const char *host, *sni;
        bool goodbye;
        size_t step;
        int end;
    } cases[] = {
        {"localhost", "localhost", true, 100, 0},
        {"localhost", "localhost", false, 4096, -ECONNRESET},
        {"127.0.0.1", "", true, 4096, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client client;
        connect_client(&client, &trusted, cases[i].host);
        client.server.says_goodbye = cases[i].goodbye; /* read after our first bytes */
        client.step = cases[i].step;
        assert_int_equal(client.rc, 0);
        assert_false(stream_is_stale(client.stream));
        say_hello(&client);
        stream_want(client.stream, WATCH_READ);
        loop_run(client.loop);
        assert_int_equal(client.end, cases[i].end);
        assert_int_equal(client.input.len, BULK);
        assert_true(client.input.ptr[0] == 'h' && client.input.ptr[BULK - 1] == 'h');
        assert_true(stream_is_stale(client.stream));
        assert_string_equal(client.server.name, cases[i].sni);
        drop_client(&client);
    }
}

static void test_freed_with_bytes_left(void **state)
{
    (void)state;
    struct client client;
    connect_client(&client, &trusted, "localhost");
    say_hello(&client);
    stream_want(client.stream, WATCH_READ);
    while (client.input.len == 0) {
        loop_wake_stop(client.loop);
        loop_run(client.loop);
    }
    drop_client(&client); /* a record is half read: its timer must go */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshakes_that_are_refused),
        cmocka_unit_test(test_handshake_times_out),
        cmocka_unit_test(test_bytes_under_tls),
        cmocka_unit_test(test_freed_with_bytes_left),
    };
    return cmocka_run_group_tests(tests, make_store, drop_store);
}
