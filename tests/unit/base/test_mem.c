/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_OWN_MALLOC 1 /* a sanitizer's, which doesn't know these settings */
#else
#define HAS_OWN_MALLOC 0
#endif

/* Blocks that the system gave by themselves, and will get back so. */
static size_t single_blocks(void)
{
    return mallinfo2().hblks;
}

static void test_large_blocks_go_back(void **state)
{
    if (HAS_OWN_MALLOC)
        return; /* cmocka's skip() counts as a failure here */
    mem_return_large();
    free(mem_alloc(8 * MEM_LARGE)); /* by itself malloc would now keep blocks of this size */
    size_t before = single_blocks();
    char *block = mem_alloc(4 * MEM_LARGE);
    assert_int_equal(single_blocks(), before + 1);
    block = mem_resize(block, 6 * MEM_LARGE);
    assert_int_equal(single_blocks(), before + 1);
    free(block);
    assert_int_equal(single_blocks(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_blocks_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
