/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads: what is accepted lies within the input and doesn't depend on how bytes arrive. */
#include "fuzz.h"
#include "http/message.h"

#include <assert.h>

static bool lies_within(struct str part, struct str whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void check_head(const struct http_request_head *head, struct str text)
{
    assert(lies_within(head->target, text) && head->target.len <= HTTP_TARGET_MAX);
    assert(head->path.len > 0 && head->path.ptr[0] == '/');
    assert(lies_within(head->query, text));
    assert(head->headers.count <= HTTP_HEADERS_MAX && head->minor <= 1);
    for (unsigned i = 0; i < head->headers.count; i++) {
        assert(head->headers.items[i].name.len > 0);
        assert(lies_within(head->headers.items[i].name, text));
        assert(lies_within(head->headers.items[i].value, text));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_sub((const char *)data, size);
    struct http_request_head head;
    int rc = http_parse_request(text, &head, NULL);
    if (rc > 0) {
        assert((size_t)rc <= size);
        check_head(&head, str_sub(text.ptr, (size_t)rc));
    }
    /* Any prefix needs more bytes, or gives the verdict of the whole. */
    for (size_t n = 0; n < size; n++) {
        int early = http_parse_request(str_sub(text.ptr, n), &head, NULL);
        assert(early == 0 || early == rc);
    }
    return 0;
}
