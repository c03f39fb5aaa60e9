/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's body scanner against a full parser: what both take they read alike, and what the
 * parser takes the scanner refuses for its own reasons only, never as a fault of syntax.
 */
#include "base/mem.h"
#include "gateway/scan.h"

#include <assert.h>
#include <jansson.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const struct scan *scan, const json_t *object)
{
    const char *model = json_string_value(json_object_get(object, "model"));
    assert(strcmp(scan->model, model ? model : "") == 0);
    assert(scan->stream == json_is_true(json_object_get(object, "stream")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scan scan;
    struct err err = {0};
    auto_free char *body = mem_alloc(size); /* of exactly that size: reading past it is seen */
    memcpy(body, data, size);
    int rc = scan_request(str_sub(body, size), &scan, &err);
    assert(rc == 0 || (rc < 0 && err.code == rc && err.text[0] != '\0'));
    if (memchr(body, 0, size)) /* jansson skips a NUL between tokens, which is no JSON */
        return 0;
    json_t *object = json_loadb(body, size, 0, NULL);
    if (json_is_object(object)) {
        assert(rc != ERR_SYNTAX);
        if (rc == 0)
            compare(&scan, object);
    }
    json_decref(object);
    return 0;
}
