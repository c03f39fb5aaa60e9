/* SPDX-License-Identifier: Apache-2.0 */
/* Whether what was promised is free, by numbers. */
#include "worker/confirm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A machine of two devices of 1000 bytes and 10,000 bytes of main memory. */
struct machine {
    uint64_t used[2];
    uint64_t ram_available;
};

static bool fits(const struct machine *machine, const char *claim_text_,
                 const struct confirm_other *others, size_t count, struct shortage *ret)
{
    struct device devices[] = {
        {.index = 0, .memory = {.total_bytes = 1000, .used_bytes = machine->used[0]}},
        {.index = 1, .memory = {.total_bytes = 1000, .used_bytes = machine->used[1]}},
        {.index = 2}, /* its size is unknown */
    };
    const struct device_list list = {devices, ARRAY_LEN(devices)};
    struct resource_claim claim = {0};
    assert_int_equal(claim_read(str_of(claim_text_), &claim, NULL), 0);
    const struct confirm_input input = {.claim = &claim,
                                        .devices = &list,
                                        .ram_total_bytes = 10000,
                                        .ram_available_bytes = machine->ram_available,
                                        .others = others,
                                        .other_count = count};
    bool is_there = confirm_claim(&input, ret);
    claim_fini(&claim);
    return is_there;
}

static void test_what_is_free_is_enough(void **state)
{
    static const struct {
        struct machine machine;
        const char *claim;
        int64_t gpu_index; /* where it is too little; -2: nowhere */
        uint64_t free_bytes;
    } rows[] = {
        {{{0, 0}, 5000}, "{\"vram\":{\"0\":1000,\"1\":1000},\"ram\":5000}", -2, 0},
        {{{0, 0}, 5000}, "{}", -2, 0},
        {{{400, 0}, 5000}, "{\"vram\":{\"0\":600}}", -2, 0},
        {{{400, 0}, 5000}, "{\"vram\":{\"0\":610}}", -2, 0}, /* a hundredth of 1000 is tolerated */
        {{{400, 0}, 5000}, "{\"vram\":{\"0\":611}}", 0, 600},
        {{{400, 0}, 5000}, "{\"vram\":{\"1\":1000,\"0\":611}}", 0, 600},
        {{{0, 2000}, 5000}, "{\"vram\":{\"1\":11}}", 1, 0}, /* more used than there is */
        {{{0, 0}, 5000}, "{\"ram\":5100}", -2, 0},
        {{{0, 0}, 5000}, "{\"ram\":5101}", -1, 5000},
        {{{0, 0}, 5000}, "{\"vram\":{\"2\":99999,\"7\":99999}}", -2, 0},
        {{{900, 0}, 5000}, "{\"vram\":{\"0\":0},\"is_whole\":true}", -2, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shortage shortage = {.gpu_index = -2};
        bool is_there = fits(&rows[i].machine, rows[i].claim, NULL, 0, &shortage);
        if (is_there != (rows[i].gpu_index == -2) || shortage.gpu_index != rows[i].gpu_index ||
            shortage.free_bytes != rows[i].free_bytes)
            fail_msg("row %zu: device %d, %d free", i, (int)shortage.gpu_index,
                     (int)shortage.free_bytes);
    }
}

/* Two others were launched when 100 bytes were in use, and claim 300 and 200 of device 0. */
static void test_what_others_are_about_to_take_is_not_free(void **state)
{
    static const struct {
        uint64_t used, free_bytes;
    } rows[] = {
        {100, 400}, /* nothing taken: 900 - 500 */
        {250, 400}, /* 150 taken: 750 - 350 */
        {600, 400}, /* all taken */
        {700, 300}, /* somebody else has taken 100 */
        {50, 450},  /* somebody has given back 50 */
    };
    struct resource_claim claims[2] = {{.ram_bytes = 1000}, {.ram_bytes = 500}}, before = {0};
    claim_add_device(&claims[0], 0, 300);
    claim_add_device(&claims[1], 0, 200);
    claim_add_device(&before, 0, 100);
    const struct confirm_other others[] = {{&claims[0], &before, 400}, {&claims[1], &before, 600}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct machine machine = {{rows[i].used, 0}, 5000};
        struct shortage shortage = {0};
        assert_false(fits(&machine, "{\"vram\":{\"0\":999}}", others, 2, &shortage));
        assert_int_equal(shortage.free_bytes, rows[i].free_bytes);
        assert_true(fits(&machine, "{\"vram\":{\"1\":999}}", others, 2, &shortage));
    }
    /* Of main memory the first will still take 600 bytes, the second nothing. */
    const struct machine machine = {{0, 0}, 5000};
    struct shortage shortage = {0};
    assert_true(fits(&machine, "{\"ram\":4500}", others, 2, &shortage));
    assert_false(fits(&machine, "{\"ram\":4501}", others, 2, &shortage));
    assert_int_equal(shortage.free_bytes, 4400);
    assert_int_equal(shortage.total_bytes, 10000);
    claim_fini(&claims[0]);
    claim_fini(&claims[1]);
    claim_fini(&before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_free_is_enough),
        cmocka_unit_test(test_what_others_are_about_to_take_is_not_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
