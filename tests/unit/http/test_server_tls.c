/* SPDX-License-Identifier: Apache-2.0 */
/* A server under TLS, against OpenSSL as the client, in one thread. */
#include "http/server.h"
#include "io/certificate.h"

#include <sys/resource.h>

#include "../io/identity.h"
#include "wire.h"

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define REPLY                                                                                      \
    "HTTP/1.1 200 OK\r\nDate: " WIRE_DATE "\r\nContent-Length: 2\r\n\r\nok"

static char folder[] = "/tmp/test_server_tls_XXXXXX";
static char chain_path[64], key_path[64];
static struct certificate *first, *second;

static struct certificate *load(const char *subject)
{
    struct identity id;
    struct certificate *got = NULL;
    make_identity(&id, subject, "DNS:localhost");
    write_cert(chain_path, &id);
    write_key(key_path, &id, 0600, NULL);
    assert_int_equal(certificate_load(chain_path, key_path, &got, NULL), 0);
    drop_identity(&id);
    return got;
}

static int make_certificates(void **state)
{
    (void)state;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    assert_non_null(mkdtemp(folder));
    snprintf(chain_path, sizeof chain_path, "%s/chain.pem", folder);
    snprintf(key_path, sizeof key_path, "%s/key.pem", folder);
    first = load("first");
    second = load("second");
    return 0;
}

static int drop_certificates(void **state)
{
    (void)state;
    certificate_unref(first);
    certificate_unref(second);
    unlink(chain_path);
    unlink(key_path);
    return rmdir(folder);
}

/* ---- server and client ---- */

struct world {
    struct loop *loop;
    struct http_server *server;
    unsigned port;
    bool was_tls;
    bool cuts; /* the body to the connection's end is cut off */
    SSL_CTX *client;
};

static void on_request(struct http_exchange *ex, void *ctx)
{
    struct world *w = ctx;
    w->was_tls = http_exchange_is_tls(ex);
    if (!w->cuts) {
        http_reply(ex, 200, NULL, 0, STR("ok"));
        return;
    }
    http_reply_start(ex, 200, NULL, 0, -1);
    http_reply_write(ex, STR("ok"));
    http_exchange_abort(ex);
}

static void set_up(struct world *w)
{
    wire_begin();
    *w = (struct world){.loop = loop_new(&wire_clock)};
    w->server = http_server_new(w->loop, on_request, w);
    http_server_set_certificate(w->server, first);
    int port = http_server_listen_tcp(w->server, "127.0.0.1", 0, false, NULL);
    assert_true(port > 0);
    w->port = (unsigned)port;
    w->client = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(w->client, SSL_SESS_CACHE_CLIENT);
}

static void tear_down(struct world *w)
{
    http_server_free(w->server);
    loop_free(w->loop);
    SSL_CTX_free(w->client);
}

static SSL *begin(struct world *w)
{
    SSL *ssl = SSL_new(w->client);
    SSL_set_fd(ssl, wire_connect(w->port));
    return ssl;
}

static void drop(SSL *ssl)
{
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
}

static bool wants_more(SSL *ssl, int rc)
{
    int kind = SSL_get_error(ssl, rc);
    return kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE;
}

/* Whether the handshake comes to its end. */
static bool shake(struct world *w, SSL *ssl)
{
    for (;;) {
        int rc = SSL_connect(ssl);
        if (rc == 1 || !wants_more(ssl, rc))
            return rc == 1;
        wire_turn(w->loop);
    }
}

static SSL *connect_tls(struct world *w)
{
    SSL *ssl = begin(w);
    assert_true(shake(w, ssl));
    return ssl;
}

/* Reads `n` bytes, or up to the end; what SSL_get_error() says of that. */
static int read_some(struct world *w, SSL *ssl, char *data, int n)
{
    for (int got = 0; got < n;) {
        int rc = SSL_read(ssl, data + got, n - got);
        if (rc <= 0 && !wants_more(ssl, rc))
            return SSL_get_error(ssl, rc);
        got += rc > 0 ? rc : 0;
        if (rc <= 0)
            wire_turn(w->loop);
    }
    return SSL_ERROR_NONE;
}

static void ask(struct world *w, SSL *ssl)
{
    char data[sizeof REPLY] = "";
    assert_int_equal(SSL_write(ssl, GET, sizeof GET - 1), sizeof GET - 1);
    assert_int_equal(read_some(w, ssl, data, sizeof REPLY - 1), SSL_ERROR_NONE);
    assert_string_equal(data, REPLY);
}

static void expect_name(SSL *ssl, const char *name)
{
    char text[64] = "";
    X509 *cert = SSL_get1_peer_certificate(ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, text, sizeof text);
    X509_free(cert);
    assert_string_equal(text, name);
}

/* ---- tests ---- */

static void test_requests(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct world w;
        set_up(&w);
        SSL_CTX_set_max_proto_version(w.client, version);
        SSL *ssl = connect_tls(&w);
        assert_int_equal(SSL_version(ssl), version);
        for (int i = 0; i < 3; i++)
            ask(&w, ssl);
        assert_true(w.was_tls);
        drop(ssl);
        tear_down(&w);
    }
}

static void test_old_versions_are_refused(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    SSL_CTX_set_min_proto_version(w.client, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(w.client, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(w.client, "ALL:@SECLEVEL=0");
    SSL *ssl = begin(&w);
    assert_false(shake(&w, ssl));
    drop(ssl);
    tear_down(&w);
}

static void test_protocol_by_alpn(void **state)
{
    (void)state;
    static const struct {
        const char *offered;
        bool works;
    } cases[] = {{"\x02h2\x08http/1.1", true}, {"\x08http/1.1", true}, {"\x02h2", false}};
    struct world w;
    set_up(&w);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SSL *ssl = begin(&w);
        SSL_set_alpn_protos(ssl, (const unsigned char *)cases[i].offered,
                            (unsigned)strlen(cases[i].offered));
        assert_int_equal(shake(&w, ssl), cases[i].works);
        const unsigned char *chosen = NULL;
        unsigned size = 0;
        SSL_get0_alpn_selected(ssl, &chosen, &size);
        if (cases[i].works)
            assert_true(str_eq(str_sub((const char *)chosen, size), STR("http/1.1")));
        drop(ssl);
    }
    tear_down(&w);
}

static void test_sessions_are_resumed(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    SSL *ssl = connect_tls(&w);
    ask(&w, ssl); /* the ticket stands before the reply */
    SSL_SESSION *session = SSL_get1_session(ssl);
    SSL_shutdown(ssl); /* a session that wasn't ended isn't taken up again */
    drop(ssl);
    for (int round = 0; round < 2; round++) {
        ssl = begin(&w);
        SSL_set_session(ssl, session);
        assert_true(shake(&w, ssl));
        assert_int_equal(SSL_session_reused(ssl), round == 0);
        ask(&w, ssl);
        drop(ssl);
        http_server_set_certificate(w.server, second); /* has ticket keys of its own */
    }
    SSL_SESSION_free(session);
    tear_down(&w);
}

static void test_certificate_is_replaced(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    SSL *before = connect_tls(&w);
    ask(&w, before);
    http_server_set_certificate(w.server, second);
    SSL *after = connect_tls(&w);
    expect_name(before, "first");
    expect_name(after, "second");
    ask(&w, before);
    ask(&w, after);
    drop(before);
    drop(after);
    tear_down(&w);
}

static void test_http_in_the_clear(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    int fd = wire_connect(w.port);
    wire_send(w.loop, fd, STR(GET));
    struct buf got = {0};
    assert_true(wire_read_to_end(w.loop, fd, &got));
    assert_true(str_has_prefix(buf_str(&got), STR("HTTP/1.1 400 Bad Request\r\n")));
    assert_non_null(strstr(got.ptr, "use an https:// URL"));
    buf_fini(&got);
    close(fd);
    tear_down(&w);
}

static void test_cut_body_shows(void **state)
{
    (void)state;
    static const char request[] = "GET / HTTP/1.0\r\n\r\n";
    struct world w;
    set_up(&w);
    w.cuts = true;
    SSL *ssl = connect_tls(&w);
    SSL_write(ssl, request, sizeof request - 1);
    char data[4096];
    assert_int_not_equal(read_some(&w, ssl, data, sizeof data), SSL_ERROR_ZERO_RETURN);
    drop(ssl);
    tear_down(&w);
}

static void test_silent_clients(void **state)
{
    (void)state;
    static const char *const starts[] = {"", "\x16", "\x16\x03\x01"};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        struct world w;
        set_up(&w);
        wire_about = starts[i];
        int fd = wire_connect(w.port);
        wire_send(w.loop, fd, str_of(starts[i]));
        wire_settle(w.loop);
        wire_advance(w.loop, HTTP_HANDSHAKE_TIMEOUT_MS - 1);
        wire_expect_silence(w.loop, fd);
        wire_advance(w.loop, 1);
        struct buf got = {0};
        (void)wire_read_to_end(w.loop, fd, &got); /* a reset, where bytes were left unread */
        assert_int_equal(got.len, 0);
        buf_fini(&got);
        close(fd);
        tear_down(&w);
    }
}

static void test_freed_in_every_phase(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    int fds[12];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = wire_connect(w.port);
        if (i > 0)
            wire_send(w.loop, fds[i], STR("\x16"));
    }
    wire_turn(w.loop);
    wire_turn(w.loop);
    tear_down(&w);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
}

/* All places are taken by clients that go no further: the next waits, then takes the oldest's. */
static void test_places_are_limited(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    int fds[HTTP_HANDSHAKES_MAX];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = wire_connect(w.port);
        wire_send(w.loop, fds[i], STR("\x16"));
        wire_turn(w.loop);
    }
    for (size_t i = 0; i < ARRAY_LEN(fds) / 4; i++)
        wire_settle(w.loop);
    SSL *ssl = begin(&w);
    SSL_connect(ssl);
    wire_settle(w.loop);
    assert_true(wants_more(ssl, SSL_connect(ssl)));
    wire_advance(w.loop, 1000);
    assert_true(shake(&w, ssl));
    ask(&w, ssl);
    struct buf got = {0};
    (void)wire_read_to_end(w.loop, fds[0], &got);
    wire_expect_silence(w.loop, fds[ARRAY_LEN(fds) - 1]);
    buf_fini(&got);
    drop(ssl);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    tear_down(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_old_versions_are_refused),
        cmocka_unit_test(test_protocol_by_alpn),
        cmocka_unit_test(test_sessions_are_resumed),
        cmocka_unit_test(test_certificate_is_replaced),
        cmocka_unit_test(test_http_in_the_clear),
        cmocka_unit_test(test_cut_body_shows),
        cmocka_unit_test(test_silent_clients),
        cmocka_unit_test(test_freed_in_every_phase),
        cmocka_unit_test(test_places_are_limited),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
