/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and self-signed certificates for tests of TLS, made when they are needed. */
#pragma once

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

/* `names` as in "DNS:localhost,IP:127.0.0.1"; good from an hour ago for `valid_s` from now. */
static inline void make_identity_until(struct identity *id, const char *subject, const char *names,
                                       long valid_s)
{
    id->key = EVP_EC_gen("P-256");
    id->cert = X509_new();
    assert_non_null(id->key);
    X509_set_version(id->cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id->cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(id->cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(id->cert), valid_s);
    X509_NAME *name = X509_get_subject_name(id->cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)subject, -1, -1, 0);
    X509_set_issuer_name(id->cert, name);
    X509_set_pubkey(id->cert, id->key);
    X509_EXTENSION *alt = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_add_ext(id->cert, alt, -1);
    X509_EXTENSION_free(alt);
    assert_true(X509_sign(id->cert, id->key, EVP_sha256()) > 0);
}

static inline void make_identity(struct identity *id, const char *subject, const char *names)
{
    make_identity_until(id, subject, names, 3600);
}

static inline void drop_identity(struct identity *id)
{
    X509_free(id->cert);
    EVP_PKEY_free(id->key);
}

static inline FILE *open_pem(const char *path, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fchmod(fileno(file), mode), 0);
    return file;
}

static inline void write_cert(const char *path, const struct identity *id)
{
    FILE *file = open_pem(path, 0644);
    PEM_write_X509(file, id->cert);
    fclose(file);
}

/* `passphrase` NULL: in the clear. */
static inline void write_key(const char *path, const struct identity *id, mode_t mode,
                             const char *passphrase)
{
    FILE *file = open_pem(path, mode);
    PEM_write_PKCS8PrivateKey(file, id->key, passphrase ? EVP_aes_128_cbc() : NULL, passphrase,
                              passphrase ? (int)strlen(passphrase) : 0, NULL, NULL);
    fclose(file);
}
