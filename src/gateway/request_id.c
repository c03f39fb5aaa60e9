/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/request_id.h"

#include "base/random.h"

#include <stdint.h>

static bool is_sane(struct str text)
{
    if (text.len == 0 || text.len > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= 0x20 || (unsigned char)text.ptr[i] >= 0x7f)
            return false;
    return true;
}

/*
 * An id has to be unlike any other, not to be a secret: a random start per thread and a counter,
 * without a system call for each.
 */
static void next_number(unsigned char ret[16])
{
    static _Thread_local uint64_t start, count;
    if (count == 0)
        random_bytes(&start, sizeof start);
    if (count == 0)
        random_bytes(&count, sizeof count);
    count++;
    memcpy(ret, &start, sizeof start);
    memcpy(ret + sizeof start, &count, sizeof count);
}

void request_id_set(struct request_id *id, const struct http_headers *headers)
{
    struct str sent = http_headers_get(headers, "X-Request-Id");
    if (is_sane(sent)) {
        memcpy(id->text, sent.ptr, sent.len);
        id->text[sent.len] = '\0';
        return;
    }
    unsigned char raw[16];
    next_number(raw);
    memcpy(id->text, "req_", 4);
    hex_encode(raw, sizeof raw, id->text + 4);
}

struct http_header request_id_header(const struct request_id *id)
{
    return (struct http_header){STR("X-Request-Id"), str_of(id->text)};
}

unsigned request_id_reply_headers(const struct request_id *id, bool is_anthropic,
                                  struct http_header *ret)
{
    ret[0] = request_id_header(id);
    if (is_anthropic)
        ret[1] = (struct http_header){STR("request-id"), str_of(id->text)};
    return is_anthropic ? 2 : 1;
}
