/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/request_id.h"

#include "base/random.h"

#include <stdio.h>

static bool is_sane(struct str text)
{
    if (text.len == 0 || text.len > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= 0x20 || (unsigned char)text.ptr[i] >= 0x7f)
            return false;
    return true;
}

void request_id_set(struct request_id *id, const struct http_headers *headers)
{
    struct str sent = http_headers_get(headers, "X-Request-Id");
    if (is_sane(sent)) {
        snprintf(id->text, sizeof id->text, "%.*s", STR_ARGS(sent));
        return;
    }
    unsigned char raw[16];
    random_bytes(raw, sizeof raw);
    memcpy(id->text, "req_", 4);
    hex_encode(raw, sizeof raw, id->text + 4);
}

struct http_header request_id_header(const struct request_id *id)
{
    return (struct http_header){STR("X-Request-Id"), str_of(id->text)};
}
