/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway's state file: read at once or in pieces it makes the same tables or the same fault. */
#include "gateway/state_file.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads in pieces of `step` bytes. */
static int read_all(struct str text, size_t step, struct tables *tables)
{
    struct state_reader reader = {.identity = "me", .tables = tables};
    int rc = 0;
    while (rc == 0 && text.len) {
        size_t n = text.len < step ? text.len : step;
        rc = state_reader_push(&reader, str_sub(text.ptr, n), NULL);
        text = str_skip(text, n);
    }
    if (rc == 0)
        rc = state_reader_end(&reader, NULL);
    state_reader_fini(&reader);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct tables whole = {0}, pieces = {0};
    int rc = read_all(text, size + 1, &whole);
    int again = read_all(text, 7, &pieces);
    assert(rc == again && whole.seq == pieces.seq && whole.is_ready == pieces.is_ready);
    for (int kind = 0; kind < ENTRY_KINDS; kind++)
        assert(whole.kinds[kind].count == pieces.kinds[kind].count);
    tables_fini(&whole);
    tables_fini(&pieces);
    return 0;
}
