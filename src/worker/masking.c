/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/masking.h"

#include <ctype.h>

/* A value this short stands in other words by chance; it is masked under its own name only. */
enum { SECRET_MIN = 6, WORD_MAX = 32 };

static const char mask[] = "***";

/* ---- names ---- */

static bool has_suffix(const char *word, const char *suffix)
{
    return str_has_suffix(str_of(word), str_of(suffix));
}

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

/* Whatever stands behind them. */
static bool is_secret_word(const char *word)
{
    static const char *const parts[] = {"secret", "passw", "passphrase", "credential"};
    static const char *const words[] = {"auth", "authorization", "bearer", "cookie", "pwd", "pass",
                                        "hft" /* of llama.cpp: --hf-token */};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (strstr(word, parts[i]))
            return true;
    return is_one_of(word, words, ARRAY_LEN(words));
}

/* "token", "apikey": but a token's id or length is none. */
static bool is_key_word(const char *word, const char *next)
{
    static const char *const harmless[] = {"id",     "ids",  "count", "len",  "length", "limit",
                                           "budget", "type", "dtype", "size", "cache"};
    bool is_key = has_suffix(word, "token") || has_suffix(word, "key") || has_suffix(word, "keys");
    return is_key && !is_one_of(next, harmless, ARRAY_LEN(harmless));
}

/* The next word of the name in lower case; empty when there is none. */
static void next_word(struct str *rest, char word[static WORD_MAX])
{
    size_t n = 0;
    while (rest->len && !isalnum((unsigned char)*rest->ptr))
        *rest = str_skip(*rest, 1);
    for (; rest->len && isalnum((unsigned char)*rest->ptr); *rest = str_skip(*rest, 1))
        if (n < WORD_MAX - 1)
            word[n++] = (char)tolower((unsigned char)*rest->ptr);
    word[n] = '\0';
}

bool masking_is_secret_name(struct str name)
{
    char word[WORD_MAX], next[WORD_MAX];
    next_word(&name, word);
    while (*word) {
        next_word(&name, next);
        if (is_secret_word(word) || is_key_word(word, next))
            return true;
        memcpy(word, next, sizeof word);
    }
    return false;
}

/* ---- texts ---- */

static void replace(char **text, struct buf *by)
{
    mem_free_secret(*text);
    *text = buf_take(by);
}

static void mask_whole(char **text)
{
    mem_free_secret(*text);
    *text = mem_strdup(mask);
}

/* Each place in which the secret stands. */
static void mask_secret(char **text, const char *secret)
{
    size_t len = strlen(secret);
    if (len < SECRET_MIN || !strstr(*text, secret))
        return;
    struct buf out = {0};
    const char *rest = *text, *found;
    for (; (found = strstr(rest, secret)); rest = found + len) {
        buf_add(&out, rest, (size_t)(found - rest));
        buf_add_str(&out, STR("***"));
    }
    buf_add_str(&out, str_of(rest));
    replace(text, &out);
}

/* The first place that `find` knows: where its secret part begins and how long that is. */
static void mask_found(char **text, bool (*find)(const char *text, size_t *ret_at, size_t *ret_len))
{
    size_t at, len;
    if (!find(*text, &at, &len))
        return;
    struct buf out = {0};
    buf_add(&out, *text, at);
    buf_add_str(&out, STR("***"));
    buf_add_str(&out, str_of(*text + at + len));
    replace(text, &out);
}

/* https://user:PASSWORD@host */
static bool find_password(const char *text, size_t *ret_at, size_t *ret_len)
{
    const char *host = strstr(text, "://");
    if (!host)
        return false;
    host += 3;
    size_t authority = strcspn(host, "/?# \t\"'");
    const char *at = memrchr(host, '@', authority);
    const char *colon = at ? memchr(host, ':', (size_t)(at - host)) : NULL;
    if (!colon)
        return false;
    *ret_at = (size_t)(colon + 1 - text);
    *ret_len = (size_t)(at - colon - 1);
    return true;
}

static bool find_bearer(const char *text, size_t *ret_at, size_t *ret_len)
{
    const char *found = strcasestr(text, "bearer ");
    if (!found)
        return false;
    found += strlen("bearer ");
    *ret_at = (size_t)(found - text);
    *ret_len = strcspn(found, " \t\"',");
    return true;
}

/* ---- lists ---- */

/* NAME=VALUE of `env` and its like, --name=value: where the value begins, or 0. */
static size_t find_value(const char *arg)
{
    size_t equals = strcspn(arg, "=");
    if (!arg[equals])
        return 0;
    bool is_variable =
        equals > 0 && strspn(arg, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == equals;
    bool is_secret =
        (*arg == '-' || is_variable) && masking_is_secret_name(str_sub(arg, equals));
    return is_secret ? equals + 1 : 0;
}

static void mask_behind(char **text, size_t at)
{
    char *masked = mem_printf("%.*s%s", (int)at, *text, mask);
    mem_free_secret(*text);
    *text = masked;
}

/* What it is given: some take several. A value may begin with a dash, but hardly with two. */
static size_t values_of(const struct string_list *argv, size_t flag)
{
    size_t end = flag + 1;
    if (end < argv->count && strncmp(argv->items[end], "--", 2) != 0)
        end++;
    while (end < argv->count && end > flag + 1 && argv->items[end][0] != '-')
        end++;
    return end;
}

/* Adds the text to what is looked for everywhere. */
static void note(struct string_list *secrets, const char *text)
{
    if (strlen(text) >= SECRET_MIN)
        string_list_add(secrets, text);
}

static void mask_flags(struct string_list *argv, struct string_list *secrets)
{
    for (size_t i = 1; i < argv->count; i++) {
        size_t value = find_value(argv->items[i]);
        if (value) {
            note(secrets, argv->items[i] + value);
            mask_behind(&argv->items[i], value);
        } else if (argv->items[i][0] == '-' && !strchr(argv->items[i], '=') &&
                   masking_is_secret_name(str_of(argv->items[i]))) {
            for (size_t end = values_of(argv, i); i + 1 < end; i++) {
                note(secrets, argv->items[i + 1]);
                mask_whole(&argv->items[i + 1]);
            }
        }
    }
}

static void mask_variables(struct string_map *env, struct string_list *secrets)
{
    for (size_t i = 0; i < env->count; i++) {
        if (!masking_is_secret_name(str_of(env->keys[i])))
            continue;
        note(secrets, env->values[i]);
        mask_whole(&env->values[i]);
    }
}

static void mask_texts(char **texts, size_t count, const struct string_list *secrets)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < secrets->count; k++)
            mask_secret(&texts[i], secrets->items[k]);
        mask_found(&texts[i], find_password);
        mask_found(&texts[i], find_bearer);
    }
}

void masking_apply(struct string_list *argv, struct string_map *env, const char *token)
{
    struct string_list secrets = {0};
    if (token)
        note(&secrets, token);
    mask_flags(argv, &secrets);
    mask_variables(env, &secrets);
    mask_texts(argv->items, argv->count, &secrets);
    mask_texts(env->values, env->count, &secrets);
    for (size_t i = 0; i < secrets.count; i++)
        explicit_bzero(secrets.items[i], strlen(secrets.items[i]));
    string_list_fini(&secrets);
}
