/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The definition, a bit at a time. */
static uint32_t slowly(struct str bytes)
{
    uint32_t sum = UINT32_MAX;
    for (size_t i = 0; i < bytes.len; i++) {
        sum ^= (unsigned char)bytes.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? 0x82f63b78 : 0);
    }
    return ~sum;
}

static void test_known_sums(void **state)
{
    assert_int_equal(crc32c_of(STR("")), 0);
    assert_int_equal(crc32c_of(STR("123456789")), 0xe3069283);
}

static void test_every_length_and_place(void **state)
{
    char bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 37 + 11);
    for (size_t start = 0; start < 9; start++)
        for (size_t len = 0; start + len <= sizeof bytes; len++) {
            struct str part = str_sub(bytes + start, len);
            assert_int_equal(crc32c_of(part), slowly(part));
            assert_int_equal(crc32c_by_table(part), slowly(part));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_sums),
        cmocka_unit_test(test_every_length_and_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
