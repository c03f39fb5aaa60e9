/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/checksum.h"

#include "base/random.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

struct checksum {
    EVP_MD_CTX *context; /* NULL: of no kind */
};

struct checksum *checksum_new(enum sum_kind kind, uint64_t bytes)
{
    struct checksum *checksum = mem_alloc(sizeof *checksum);
    char head[32];
    if (kind == SUM_NONE)
        return checksum;
    checksum->context = EVP_MD_CTX_new();
    if (!checksum->context ||
        EVP_DigestInit_ex(checksum->context, kind == SUM_SHA256 ? EVP_sha256() : EVP_sha1(),
                          NULL) != 1)
        abort(); /* no memory; neither needs more than that */
    const int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)bytes);
    if (kind == SUM_GIT_SHA1)
        EVP_DigestUpdate(checksum->context, head, (size_t)n + 1);
    return checksum;
}

void checksum_add(struct checksum *checksum, struct str piece)
{
    if (checksum->context)
        EVP_DigestUpdate(checksum->context, piece.ptr, piece.len);
}

bool checksum_matches(struct checksum *checksum, const char *sum)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1];
    unsigned length = 0;
    if (!checksum->context)
        return true;
    EVP_DigestFinal_ex(checksum->context, digest, &length);
    hex_encode(digest, length, text);
    return strcmp(text, sum) == 0;
}

void checksum_free(struct checksum *checksum)
{
    if (!checksum)
        return;
    EVP_MD_CTX_free(checksum->context);
    free(checksum);
}
