/* SPDX-License-Identifier: Apache-2.0 */
#include "api/login_limit.h"

#include "auth/auth.h"
#include "base/mem.h"

#include <string.h>

#define uthash_fatal(text) abort()
#define HASH_FUNCTION HASH_SAX /* the default one falls through cases without a mark */
#include <uthash.h>

/* A user name from an address. In the table in the order of the last failure, oldest first. */
struct pair {
    UT_hash_handle hh;
    char key[AUTH_DIGEST_HEX]; /* a digest: names are of any length */
    unsigned failures;
    int64_t failed_ms; /* the last time */
    int64_t next_ms;   /* no try before this */
};

struct login_limit {
    struct pair *pairs; /* uthash by key */
};

struct login_limit *login_limit_new(void)
{
    return mem_alloc(sizeof(struct login_limit));
}

static void drop(struct login_limit *limit, struct pair *pair)
{
    HASH_DEL(limit->pairs, pair);
    free(pair);
}

void login_limit_free(struct login_limit *limit)
{
    if (!limit)
        return;
    struct pair *pair, *next;
    HASH_ITER(hh, limit->pairs, pair, next)
        drop(limit, pair);
    free(limit);
}

static void make_key(const char *name, const char *address, char ret[AUTH_DIGEST_HEX])
{
    auto_free char *text = mem_printf("%s\n%s", address, name);
    auth_digest(str_of(text), ret);
}

static struct pair *find(const struct login_limit *limit, const char *name, const char *address)
{
    char key[AUTH_DIGEST_HEX];
    struct pair *pair = NULL;
    make_key(name, address, key);
    HASH_FIND_STR(limit->pairs, key, pair);
    return pair;
}

static int64_t wait_after(unsigned failures)
{
    int64_t wait_ms = 1000;
    for (unsigned i = LOGIN_FREE_FAILURES; i < failures && wait_ms < LOGIN_WAIT_MAX_MS; i++)
        wait_ms *= 2;
    return wait_ms < LOGIN_WAIT_MAX_MS ? wait_ms : LOGIN_WAIT_MAX_MS;
}

int64_t login_limit_ask(struct login_limit *limit, const char *name, const char *address,
                        int64_t now_ms)
{
    struct pair *pair = find(limit, name, address);
    if (!pair || pair->failures < LOGIN_FREE_FAILURES)
        return 0;
    if (now_ms < pair->next_ms)
        return pair->next_ms - now_ms;
    pair->next_ms = now_ms + wait_after(pair->failures);
    return 0;
}

/* Those that have been quiet for long, and the oldest when there are too many. */
static void forget(struct login_limit *limit, int64_t now_ms)
{
    struct pair *pair, *next;
    HASH_ITER(hh, limit->pairs, pair, next) {
        bool is_full = HASH_COUNT(limit->pairs) >= LOGIN_PAIRS_MAX;
        if (now_ms - pair->failed_ms < LOGIN_FORGET_MS && !is_full)
            return;
        drop(limit, pair);
    }
}

void login_limit_note(struct login_limit *limit, const char *name, const char *address,
                      bool is_right, int64_t now_ms)
{
    struct pair *pair = find(limit, name, address);
    unsigned failures = pair ? pair->failures + 1 : 1;
    if (pair)
        drop(limit, pair);
    forget(limit, now_ms);
    if (is_right)
        return;
    pair = mem_alloc(sizeof *pair); /* put in anew: it is the youngest now */
    make_key(name, address, pair->key);
    pair->failures = failures;
    pair->failed_ms = now_ms;
    pair->next_ms = now_ms + wait_after(failures);
    HASH_ADD_STR(limit->pairs, key, pair);
}
