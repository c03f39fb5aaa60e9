/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history's file: whatever it holds, reading stays within the budget, and what was taken is
 * written and read again. The checksum of the input is set right, else nothing behind it would ever
 * be reached.
 */
#include "base/crc32c.h"
#include "control/series_save.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BUDGET = 1 << 20 };

static void write_and_read(struct series *series)
{
    struct series *again = series_new(BUDGET);
    struct series_copy copy;
    struct buf bytes = {0};
    series_copy(series, &copy);
    series_write_file(&copy, &bytes);
    series_copy_fini(&copy);
    int rc = series_read_file(again, buf_str(&bytes), NULL);
    assert(rc == 0);
    series_free(again);
    buf_fini(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct series *series = series_new(BUDGET);
    struct buf bytes = {0};
    buf_add(&bytes, data, size);
    uint32_t sum = crc32c_of(buf_str(&bytes));
    for (unsigned i = 0; i < 4; i++)
        buf_add_char(&bytes, (char)(unsigned char)(sum >> 8 * i));
    if (series_read_file(series, buf_str(&bytes), NULL) == 0) {
        assert(series_bytes(series) <= BUDGET);
        write_and_read(series);
        series_expire(series, INT64_C(1764547200000));
    }
    series_free(series);
    buf_fini(&bytes);
    return 0;
}
