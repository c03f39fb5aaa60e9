/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

/* Half a byte a step: the table fits a cache line. */
uint32_t crc32c_by_table(struct str bytes)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    uint32_t sum = UINT32_MAX;
    for (size_t i = 0; i < bytes.len; i++) {
        sum ^= (unsigned char)bytes.ptr[i];
        sum = table[sum & 15] ^ sum >> 4;
        sum = table[sum & 15] ^ sum >> 4;
    }
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
    return __builtin_cpu_supports("sse4.2") ? by_instruction(bytes) : crc32c_by_table(bytes);
}

#else

uint32_t crc32c_of(struct str bytes)
{
    return crc32c_by_table(bytes);
}

#endif
