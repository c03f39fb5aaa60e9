/* SPDX-License-Identifier: Apache-2.0 */
/* Chunked bodies: the same payload and verdict at once and byte by byte. */
#include "base/buf.h"
#include "fuzz.h"
#include "http/message.h"

#include <assert.h>

/* Feeds pieces of `step` bytes; returns the verdict and how many bytes were used up. */
static int decode(struct str text, size_t step, struct buf *out, size_t *ret_used)
{
    struct http_chunked state = {0};
    size_t used = 0;
    int rc = 0;
    while (rc == 0 && used < text.len) {
        size_t n = text.len - used < step ? text.len - used : step;
        struct str piece = str_sub(text.ptr + used, n);
        struct str payload = {0};
        do {
            rc = http_chunked_decode(&state, &piece, &payload, NULL);
            buf_add_str(out, payload);
        } while (rc == 0 && payload.len > 0);
        assert(rc != 0 || piece.len == 0);
        used += n - piece.len;
    }
    *ret_used = used;
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_sub((const char *)data, size);
    struct buf whole = {0};
    struct buf bytes = {0};
    size_t whole_used, bytes_used;
    int rc = decode(text, size ? size : 1, &whole, &whole_used);
    assert(decode(text, 1, &bytes, &bytes_used) == rc);
    assert(bytes_used == whole_used && whole_used <= size);
    assert(str_eq(buf_str(&whole), buf_str(&bytes)));
    buf_fini(&whole);
    buf_fini(&bytes);
    return 0;
}
