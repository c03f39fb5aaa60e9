/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A body of the Messages API: any bytes give a chat completion that a parser takes, with a model
 * and messages, or an error that says something. The same for its tokens to be counted.
 */
#include "base/json.h"
#include "fuzz.h"
#include "gateway/anthropic_request.h"

#include <assert.h>

static void check_chat(const struct buf *chat, bool has_cap)
{
    json_t *root = json_loadb(chat->ptr, chat->len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    assert(json_is_object(root));
    assert(strcmp(json_member_string(root, "model"), "m") == 0);
    assert(json_is_array(json_object_get(root, "messages")));
    assert(!has_cap || json_member_int(root, "max_tokens", 0) > 0);
    json_decref(root);
}

static void translate(struct str body, bool is_count)
{
    struct buf chat = {0};
    struct err err = {0};
    int rc = is_count ? anthropic_count_to_tokenize(body, "m", &chat, &err)
                      : anthropic_request_to_chat(body, "m", &chat, &err);
    if (rc == 0)
        check_chat(&chat, !is_count);
    else
        assert(rc < 0 && err.code == rc && err.text[0] != '\0' && !chat.ptr);
    buf_fini(&chat);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *body = mem_alloc(size); /* of exactly that size: reading past it is seen */
    memcpy(body, data, size);
    translate(str_sub(body, size), false);
    translate(str_sub(body, size), true);
    return 0;
}
