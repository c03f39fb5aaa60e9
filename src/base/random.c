/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void random_bytes(void *out, size_t n)
{
    char *at = out;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            abort();
        at += got;
        n -= (size_t)got;
    }
}

void hex_encode(const void *data, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

char *random_hex(size_t bytes)
{
    auto_free char *raw = mem_alloc(bytes);
    random_bytes(raw, bytes);
    char *text = mem_alloc(2 * bytes + 1);
    hex_encode(raw, bytes, text);
    return text;
}

char *random_text(size_t n, const char *alphabet)
{
    size_t size = strlen(alphabet);
    assert(size > 0 && size <= 256);
    unsigned limit = (unsigned)(256 - 256 % size); /* bytes at or above would skew the draw */
    char *text = mem_alloc(n + 1);
    for (size_t i = 0; i < n;) {
        unsigned char byte;
        random_bytes(&byte, 1);
        if (byte < limit)
            text[i++] = alphabet[byte % size];
    }
    return text;
}

char *random_uuid(void)
{
    unsigned char b[16];
    random_bytes(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    char hex[33];
    hex_encode(b, sizeof b, hex);
    return mem_printf("%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}
