/* SPDX-License-Identifier: Apache-2.0 */
/* Response heads: what is accepted lies within the input and doesn't depend on how bytes arrive. */
#include "fuzz.h"
#include "http/message.h"

#include <assert.h>

static void check_head(const struct http_response_head *head)
{
    assert(head->status >= 100 && head->status <= 599 && head->minor <= 1);
    assert(head->headers.count <= HTTP_HEADERS_MAX);
    assert(head->body != HTTP_BODY_TO_CLOSE || !head->keep_alive);
}

static void check(struct str text, bool to_head)
{
    struct http_response_head head;
    int rc = http_parse_response(text, to_head, &head, NULL);
    assert(rc <= 0 || (size_t)rc <= text.len);
    if (rc > 0)
        check_head(&head);
    for (size_t n = 0; n < text.len; n++) {
        int early = http_parse_response(str_sub(text.ptr, n), to_head, &head, NULL);
        assert(early == 0 || early == rc);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_sub((const char *)data, size);
    check(text, false);
    check(text, true);
    return 0;
}
