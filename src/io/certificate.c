/* SPDX-License-Identifier: Apache-2.0 */
#include "io/certificate.h"

#include "base/file.h"
#include "io/certificate_priv.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum {
    SUBJECT_MAX = 256,
    TICKETS_PER_HANDSHAKE = 1, /* a client opens its next connections with the last one */
};

struct certificate {
    atomic_uint refs;
    SSL_CTX *settings; /* owned */
    char *warning;     /* owned; NULL: none */
    char *text;        /* owned */
};

struct certificate *certificate_ref(struct certificate *certificate)
{
    atomic_fetch_add_explicit(&certificate->refs, 1, memory_order_relaxed);
    return certificate;
}

void certificate_unref(struct certificate *certificate)
{
    if (!certificate ||
        atomic_fetch_sub_explicit(&certificate->refs, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(certificate->settings);
    free(certificate->warning);
    free(certificate->text);
    free(certificate);
}

const char *certificate_warning(const struct certificate *certificate)
{
    return certificate->warning;
}

const char *certificate_text(const struct certificate *certificate)
{
    return certificate->text;
}

SSL_CTX *certificate_settings(const struct certificate *certificate)
{
    return certificate->settings;
}

/* ---- reading ---- */

static const char *last_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "unknown reason";
}

/* A file's content as OpenSSL reads it; the buffer is the caller's, to be wiped. */
static BIO *open_file(const char *path, const char *what, struct buf *content, struct err *err)
{
    int rc = file_read(path, CERTIFICATE_FILE_MAX, content, err);
    if (rc < 0) {
        err_wrap(err, rc, "%s", what);
        return NULL;
    }
    ERR_clear_error();
    return BIO_new_mem_buf(content->ptr ? content->ptr : "", (int)content->len);
}

/* The certificates behind the server's own, up to the file's end. */
static int add_chain(SSL_CTX *settings, BIO *file, const char *path, struct err *err)
{
    X509 *next;
    while ((next = PEM_read_bio_X509(file, NULL, NULL, NULL)))
        if (SSL_CTX_add0_chain_cert(settings, next) != 1) {
            X509_free(next);
            return err_set(err, ERR_INVALID, "certificate file %s: a certificate of its chain "
                           "can't be used: %s", path, last_reason());
        }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return err_set(err, ERR_INVALID, "certificate file %s: its chain is damaged: %s", path,
                       last_reason());
    return 0;
}

static int use_chain(SSL_CTX *settings, BIO *file, const char *path, struct err *err)
{
    X509 *own = PEM_read_bio_X509_AUX(file, NULL, NULL, NULL);
    if (!own)
        return err_set(err, ERR_INVALID, "certificate file %s has no certificate in PEM form: %s",
                       path, last_reason());
    int rc = SSL_CTX_use_certificate(settings, own);
    X509_free(own);
    if (rc != 1)
        return err_set(err, ERR_INVALID, "certificate file %s can't be used: %s", path,
                       last_reason());
    return add_chain(settings, file, path, err);
}

/* OpenSSL asks for a passphrase: there is nobody to type one. `ctx` notes that it was asked. */
static int refuse_passphrase(char *text, int size, int writes, void *ctx)
{
    (void)text, (void)size, (void)writes;
    *(bool *)ctx = true;
    return -1;
}

static int use_key(SSL_CTX *settings, BIO *file, const char *path, const char *chain_path,
                   struct err *err)
{
    bool asked = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(file, NULL, refuse_passphrase, &asked);
    if (!key && asked)
        return err_set(err, ERR_INVALID, "key file %s is protected by a passphrase; give one "
                       "without, readable by this user only", path);
    if (!key)
        return err_set(err, ERR_INVALID, "key file %s has no private key in PEM form: %s", path,
                       last_reason());
    int rc = X509_check_private_key(SSL_CTX_get0_certificate(settings), key);
    if (rc != 1) {
        EVP_PKEY_free(key);
        return err_set(err, ERR_INVALID, "the key in %s does not belong to the certificate in %s",
                       path, chain_path);
    }
    rc = SSL_CTX_use_PrivateKey(settings, key);
    EVP_PKEY_free(key);
    if (rc != 1)
        return err_set(err, ERR_INVALID, "key file %s can't be used: %s", path, last_reason());
    return 0;
}

static void drop_secret(struct buf *content)
{
    if (content->ptr)
        explicit_bzero(content->ptr, content->cap);
    buf_fini(content);
}

static int read_chain(SSL_CTX *settings, const char *path, struct err *err)
{
    struct buf content = {0};
    BIO *file = open_file(path, "certificate file", &content, err);
    int rc = file ? use_chain(settings, file, path, err) : -EIO;
    BIO_free(file);
    buf_fini(&content);
    return rc;
}

static int read_key(SSL_CTX *settings, const char *path, const char *chain_path, struct err *err)
{
    struct buf content = {0};
    BIO *file = open_file(path, "key file", &content, err);
    int rc = file ? use_key(settings, file, path, chain_path, err) : -EIO;
    BIO_free(file);
    drop_secret(&content);
    return rc;
}

/* ---- settings ---- */

/* Protocols that may be agreed on, best first, each with its length in front. */
static const unsigned char protocols[] = "\x08http/1.1";

static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_size,
                           const unsigned char *offered, unsigned size, void *ctx)
{
    (void)ssl, (void)ctx;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, ret_size, protocols, sizeof protocols - 1, offered, size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *settings_new(struct err *err)
{
    static const unsigned char context[] = "gpustack";
    ERR_clear_error();
    SSL_CTX *settings = SSL_CTX_new(TLS_server_method());
    if (!settings || SSL_CTX_set_min_proto_version(settings, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_session_id_context(settings, context, sizeof context - 1) != 1 ||
        SSL_CTX_set_num_tickets(settings, TICKETS_PER_HANDSHAKE) != 1) {
        err_set(err, ERR_UNAVAILABLE, "can't set up TLS: %s", last_reason());
        SSL_CTX_free(settings);
        return NULL;
    }
    SSL_CTX_set_alpn_select_cb(settings, choose_protocol, NULL);
    SSL_CTX_set_options(settings, SSL_OP_NO_RENEGOTIATION);
    /* Sessions are kept by clients, in tickets: no cache that threads would share. */
    SSL_CTX_set_session_cache_mode(settings, SSL_SESS_CACHE_OFF);
    /* Idle connections are many: their buffers are given back meanwhile. */
    SSL_CTX_set_mode(settings, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                   SSL_MODE_RELEASE_BUFFERS);
    return settings;
}

/* ---- what to say of it ---- */

static char *find_warning(const X509 *own, const char *chain_path, const char *key_path)
{
    struct stat st;
    if (X509_cmp_current_time(X509_get0_notAfter(own)) < 0)
        return mem_printf("the certificate in %s has expired: clients will refuse it", chain_path);
    if (X509_cmp_current_time(X509_get0_notBefore(own)) > 0)
        return mem_printf("the certificate in %s isn't valid yet: clients will refuse it",
                          chain_path);
    if (stat(key_path, &st) == 0 && (st.st_mode & (S_IRGRP | S_IROTH)))
        return mem_printf("key file %s has mode %04o: other users can read it; 0600 is better",
                          key_path, (unsigned)st.st_mode & 07777);
    return NULL;
}

static char *describe(const X509 *own)
{
    char subject[SUBJECT_MAX] = "";
    struct tm end = {0};
    X509_NAME_get_text_by_NID(X509_get_subject_name(own), NID_commonName, subject, sizeof subject);
    (void)ASN1_TIME_to_tm(X509_get0_notAfter(own), &end);
    return mem_printf("CN=%s, valid until %04d-%02d-%02d", subject, end.tm_year + 1900,
                      end.tm_mon + 1, end.tm_mday);
}

int certificate_load(const char *chain_path, const char *key_path, struct certificate **ret,
                     struct err *err)
{
    struct err local = {0};
    SSL_CTX *settings = settings_new(&local);
    int rc = settings ? read_chain(settings, chain_path, &local) : local.code;
    if (rc == 0)
        rc = read_key(settings, key_path, chain_path, &local);
    ERR_clear_error();
    if (rc < 0) {
        SSL_CTX_free(settings);
        return err_set(err, local.code, "%s", local.text);
    }
    const X509 *own = SSL_CTX_get0_certificate(settings);
    struct certificate *certificate = mem_alloc(sizeof *certificate);
    certificate->refs = 1;
    certificate->settings = settings;
    certificate->warning = find_warning(own, chain_path, key_path);
    certificate->text = describe(own);
    *ret = certificate;
    return 0;
}
