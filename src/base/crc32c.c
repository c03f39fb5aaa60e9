/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include <pthread.h>

enum { LANES = 8 };

/* tables[k][b]: what byte b does to the sum when k more bytes follow it. */
static uint32_t tables[LANES][256];

static void make_tables(void)
{
    static const uint32_t polynomial = 0x82f63b78; /* bits in reverse order */
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t sum = byte;
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? polynomial : 0);
        tables[0][byte] = sum;
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        for (int k = 1; k < LANES; k++)
            tables[k][byte] = tables[k - 1][byte] >> 8 ^ tables[0][tables[k - 1][byte] & 0xff];
}

static uint32_t load32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Eight bytes at a time: their look-ups don't wait for each other. */
static uint32_t step8(uint32_t sum, const unsigned char *at)
{
    uint32_t low = sum ^ load32(at), high = load32(at + 4);
    return tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^ tables[5][low >> 16 & 0xff] ^
           tables[4][low >> 24] ^ tables[3][high & 0xff] ^ tables[2][high >> 8 & 0xff] ^
           tables[1][high >> 16 & 0xff] ^ tables[0][high >> 24];
}

uint32_t crc32c_by_tables(struct str bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_tables);
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    const unsigned char *end = at + bytes.len;
    uint32_t sum = UINT32_MAX;
    for (; end - at >= LANES; at += LANES)
        sum = step8(sum, at);
    for (; at < end; at++)
        sum = sum >> 8 ^ tables[0][(sum ^ *at) & 0xff];
    return ~sum;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t by_instruction(struct str bytes)
{
    const char *at = bytes.ptr, *end = bytes.ptr + bytes.len;
    uint64_t sum = UINT32_MAX;
    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        sum = __builtin_ia32_crc32di(sum, word);
    }
    for (; at < end; at++)
        sum = __builtin_ia32_crc32qi((uint32_t)sum, (unsigned char)*at);
    return ~(uint32_t)sum;
}

uint32_t crc32c_of(struct str bytes)
{
    return __builtin_cpu_supports("sse4.2") ? by_instruction(bytes) : crc32c_by_tables(bytes);
}

#else

uint32_t crc32c_of(struct str bytes)
{
    return crc32c_by_tables(bytes);
}

#endif
