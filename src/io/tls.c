/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tls_priv.h"

#include "io/certificate_priv.h"
#include "io/loop_priv.h"
#include "io/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { RECORD_MAX = 16 << 10 }; /* bytes of one TLS record */

static const char *last_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "unknown reason";
}

static SSL_CTX *settings_new(struct err *err)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_default_verify_paths(ctx) != 1) {
        err_set(err, ERR_UNAVAILABLE, "can't set up TLS: %s", last_reason());
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    /* Kept connections are many: their buffers are given back while they idle. */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    return ctx;
}

int stream_trust_file(struct loop *loop, const char *path, struct err *err)
{
    if (access(path, R_OK) < 0)
        return err_errno(err, errno, "can't read CA file %s", path);
    if (!loop->tls)
        loop->tls = settings_new(err);
    if (!loop->tls)
        return ERR_UNAVAILABLE;
    ERR_clear_error();
    if (SSL_CTX_load_verify_file(loop->tls, path) != 1)
        return err_set(err, ERR_INVALID, "CA file %s has no certificate in PEM form: %s", path,
                       last_reason());
    return 0;
}

void tls_forget_settings(struct loop *loop)
{
    SSL_CTX_free(loop->tls);
    loop->tls = NULL;
}

static bool is_address(const char *host)
{
    unsigned char binary[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1;
}

/* Sets what the certificate is checked for; names are also sent (SNI), addresses are not. */
static bool set_peer(SSL *ssl, const char *host)
{
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    /* As SSL_set_tlsext_host_name(), whose cast clang refuses; the name is only read. */
    return SSL_set1_host(ssl, host) == 1 &&
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                    (void *)(uintptr_t)host) == 1;
}

struct tls *tls_new(struct loop *loop, int fd, const char *host, struct err *err)
{
    if (!loop->tls)
        loop->tls = settings_new(err);
    if (!loop->tls)
        return NULL;
    ERR_clear_error();
    SSL *ssl = SSL_new(loop->tls);
    if (!ssl || SSL_set_fd(ssl, fd) != 1 || !set_peer(ssl, host)) {
        err_set(err, ERR_UNAVAILABLE, "can't set up TLS: %s", last_reason());
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    struct tls *tls = mem_alloc(sizeof *tls);
    tls->ssl = ssl;
    return tls;
}

struct tls *tls_new_server(int fd, const struct certificate *certificate, struct err *err)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(certificate_settings(certificate));
    if (!ssl || SSL_set_fd(ssl, fd) != 1) {
        err_set(err, ERR_UNAVAILABLE, "can't set up TLS: %s", last_reason());
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    struct tls *tls = mem_alloc(sizeof *tls);
    tls->ssl = ssl;
    return tls;
}

int tls_handshake(struct tls *tls, unsigned *ret_events, struct err *err)
{
    ERR_clear_error();
    errno = 0;
    int rc = SSL_do_handshake(tls->ssl);
    if (rc == 1)
        return 0;
    int kind = SSL_get_error(tls->ssl, rc);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
        *ret_events = kind == SSL_ERROR_WANT_READ ? WATCH_READ : WATCH_WRITE;
        return -EAGAIN;
    }
    long verdict = SSL_get_verify_result(tls->ssl);
    if (verdict != X509_V_OK)
        return err_set(err, ERR_PROTOCOL, "certificate refused: %s",
                       X509_verify_cert_error_string(verdict));
    if (kind == SSL_ERROR_SYSCALL)
        return err_errno(err, errno ? errno : ECONNRESET, "connection lost");
    return err_set(err, ERR_PROTOCOL, "%s", last_reason());
}

/* -errno of an operation that failed, or 0 for the peer's goodbye. */
static int failure(struct tls *tls, int rc)
{
    int kind = SSL_get_error(tls->ssl, rc);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    if (kind == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (kind == SSL_ERROR_SYSCALL && errno != 0)
        return -errno;
    return -ECONNRESET;
}

ssize_t tls_read(struct tls *tls, void *data, size_t n)
{
    ERR_clear_error();
    errno = 0;
    int rc = SSL_read(tls->ssl, data, n > INT_MAX ? INT_MAX : (int)n);
    tls->read_wants_write = rc <= 0 && SSL_want_write(tls->ssl);
    return rc > 0 ? rc : failure(tls, rc);
}

/* One record at most; a goodbye of the peer's makes writing an error. */
static ssize_t write_record(struct tls *tls, const void *data, size_t n)
{
    ERR_clear_error();
    errno = 0;
    int rc = SSL_write(tls->ssl, data, n > RECORD_MAX ? RECORD_MAX : (int)n);
    tls->write_wants_read = rc <= 0 && SSL_want_read(tls->ssl);
    if (rc > 0)
        return rc;
    int code = failure(tls, rc);
    return code ? code : -EPIPE;
}

/* Copies a record's worth of bytes behind the first `skip` of all parts. */
static size_t gather(const struct iovec *parts, int count, size_t skip, char *ret)
{
    size_t n = 0;
    for (int i = 0; i < count && n < RECORD_MAX; i++) {
        size_t past = skip < parts[i].iov_len ? skip : parts[i].iov_len;
        size_t piece = parts[i].iov_len - past;
        skip -= past;
        if (piece > RECORD_MAX - n)
            piece = RECORD_MAX - n;
        if (piece)
            memcpy(ret + n, (const char *)parts[i].iov_base + past, piece);
        n += piece;
    }
    return n;
}

/*
 * Small parts share records: each costs a system call and 22 bytes or more. A record that has to
 * wait is tried again with the same bytes in front, for the owner keeps them in order.
 */
ssize_t tls_write(struct tls *tls, const struct iovec *parts, int count)
{
    char record[RECORD_MAX];
    ssize_t total = 0;
    for (;;) {
        size_t size = gather(parts, count, (size_t)total, record);
        if (size == 0)
            return total;
        ssize_t n = write_record(tls, record, size);
        if (n < 0)
            return total ? total : n;
        total += n;
    }
}

bool tls_has_bytes(const struct tls *tls)
{
    return SSL_pending(tls->ssl) > 0;
}

bool tls_is_stale(struct tls *tls)
{
    /* A look also takes in session tickets, which are no reason to give the connection up. */
    char byte;
    ERR_clear_error();
    errno = 0;
    int rc = SSL_peek(tls->ssl, &byte, 1);
    return rc > 0 || failure(tls, rc) != -EAGAIN;
}

void tls_say_goodbye(struct tls *tls)
{
    ERR_clear_error();
    if (SSL_is_init_finished(tls->ssl))
        (void)SSL_shutdown(tls->ssl);
}

void tls_be_rude(struct tls *tls)
{
    SSL_set_quiet_shutdown(tls->ssl, 1);
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    timer_stop(&tls->more);
    tls_say_goodbye(tls);
    SSL_free(tls->ssl);
    free(tls);
}
