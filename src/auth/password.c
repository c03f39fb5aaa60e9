/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"
#include "base/random.h"

#include <sodium.h>

static const char symbols[] = "!@#$%^&*_+";

/* Made once from a random password nobody knows, with the limits that auth_password_hash() uses. */
static const char nobodys_hash[] = "$argon2id$v=19$m=65536,t=2,p=1$kKQloUKlmPECZHGvPq4q/w$"
                                   "MMLAMAhaNuj9kFfW5sHHrTQ6SgSKxoZIdHDqqR75J8Q";

char *auth_password_hash(struct str password)
{
    if (password.len > AUTH_PASSWORD_MAX)
        return NULL;
    char hash[crypto_pwhash_STRBYTES];
    if (crypto_pwhash_str(hash, password.len ? password.ptr : "", password.len,
                          crypto_pwhash_OPSLIMIT_INTERACTIVE,
                          crypto_pwhash_MEMLIMIT_INTERACTIVE) < 0)
        return NULL;
    return mem_strdup(hash);
}

bool auth_password_verify(const char *hash, struct str password)
{
    if (password.len > AUTH_PASSWORD_MAX)
        return false;
    int rc = crypto_pwhash_str_verify(hash ? hash : nobodys_hash, password.len ? password.ptr : "",
                                      password.len);
    return hash && rc == 0;
}

static bool has_one_of(struct str text, char first, char last)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] >= first && text.ptr[i] <= last)
            return true;
    return false;
}

static bool has_symbol(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (memchr(symbols, text.ptr[i], sizeof symbols - 1))
            return true;
    return false;
}

int auth_password_check(struct str password, struct err *err)
{
    if (password.len < 8 || password.len > AUTH_PASSWORD_MAX)
        return err_set(err, ERR_INVALID, "password must be 8-%d bytes, not %zu", AUTH_PASSWORD_MAX,
                       password.len);
    if (has_one_of(password, 'A', 'Z') && has_one_of(password, 'a', 'z') &&
        has_one_of(password, '0', '9') && has_symbol(password))
        return 0;
    return err_set(err, ERR_INVALID,
                   "password must have an upper-case letter, a lower-case letter, a digit and one "
                   "of %s",
                   symbols);
}

char *auth_password_make(void)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789!@#$%^&*_+";
    for (;;) {
        char *password = random_text(12, alphabet);
        if (auth_password_check(str_of(password), NULL) == 0)
            return password;
        mem_free_secret(password);
    }
}
