/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's reader of forms, for the boundary "B". In pieces it finds what it finds in the
 * whole; the model's name stands where it says, framed as a part's content; no boundary is left
 * inside of a part; and with a second model in front the form is refused. The same bytes are also
 * taken for a Content-Type.
 */
#include "base/buf.h"
#include "fuzz.h"
#include "gateway/multipart.h"

#include <assert.h>

static const struct str content_type = {"multipart/form-data; boundary=B", 31};

static int parse(struct str body, size_t piece, struct multipart *ret, struct err *err)
{
    int rc = multipart_init(ret, content_type, err);
    while (rc == 0 && body.len) {
        size_t n = piece < body.len ? piece : body.len;
        auto_free char *copy = mem_alloc(n); /* of exactly that size: reading past it is seen */
        memcpy(copy, body.ptr, n);
        rc = multipart_feed(ret, str_sub(copy, n), err);
        body = str_skip(body, n);
    }
    return rc == 0 ? multipart_end(ret, err) : rc;
}

static void compare_pieces(struct str body, size_t piece, int whole_rc, const struct err *whole_err,
                           const struct multipart *whole)
{
    struct multipart form;
    struct err err = {0};
    int rc = parse(body, piece, &form, &err);
    assert(rc == whole_rc && strcmp(err.text, whole_err->text) == 0);
    if (rc < 0)
        return;
    assert(strcmp(form.model, whole->model) == 0 && form.stream == whole->stream);
    assert(form.model_value.at == whole->model_value.at);
    assert(form.model_value.len == whole->model_value.len);
    assert(form.file_bytes == whole->file_bytes && form.text_bytes == whole->text_bytes);
}

/* Of boundaries, with or without a CR before, there is one a part and the last. */
static void check_frame(struct str body, const struct multipart *form)
{
    size_t count = str_has_prefix(body, STR("--B"));
    for (size_t at = 0; at + 4 <= body.len; at++)
        count += memcmp(body.ptr + at, "\n--B", 4) == 0;
    assert(count == form->parts + 1u);
    assert(form->file_bytes + form->text_bytes <= body.len);
    if (form->model_value.len == 0)
        return;
    const char *value = body.ptr + form->model_value.at;
    assert(form->model_value.at + form->model_value.len + 5 <= body.len);
    assert(memcmp(value, form->model, (size_t)form->model_value.len) == 0);
    assert(memcmp(value - 4, "\r\n\r\n", 4) == 0);
    assert(memcmp(value + form->model_value.len, "\r\n--B", 5) == 0);
}

static void check_second_model(struct str body, const struct multipart *form)
{
    struct buf twice = {0};
    struct multipart ignored;
    buf_add_cstr(&twice, "--B\r\nContent-Disposition: form-data; name=model\r\n\r\nx\r\n");
    buf_add_str(&twice, str_has_prefix(body, STR("\r\n")) ? str_skip(body, 2) : body);
    int rc = parse(buf_str(&twice), twice.len, &ignored, NULL);
    if (form->parts < MULTIPART_PARTS_MAX)
        assert(rc == (form->model_value.len ? ERR_INVALID : 0));
    buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = str_sub((const char *)data, size);
    struct multipart form;
    struct err err = {0};
    int rc = multipart_init(&form, body, &err);
    assert(rc == 0 || err.code == ERR_INVALID);
    err = (struct err){0};
    rc = parse(body, size, &form, &err);
    assert(rc == 0 || (rc < 0 && err.code == rc && err.text[0] != '\0'));
    compare_pieces(body, 1, rc, &err, &form);
    compare_pieces(body, size ? 2 + data[size / 2] % 40 : 2, rc, &err, &form);
    if (rc == 0) {
        check_frame(body, &form);
        check_second_model(body, &form);
    }
    return 0;
}
