/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/multipart.h"

#include "base/buf.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* All forms have the boundary "B". */

static const struct str content_type = {"multipart/form-data; boundary=B", 31};

/* ---- however it is cut ---- */

static int feed_copy(struct multipart *form, const char *ptr, size_t len, struct err *err)
{
    auto_free char *copy = mem_alloc(len); /* of exactly that size: reading past it is seen */
    memcpy(copy, ptr, len);
    return multipart_feed(form, str_sub(copy, len), err);
}

static int parse_pieces(struct str body, size_t a, size_t b, struct multipart *ret, struct err *err)
{
    int rc = multipart_init(ret, content_type, err);
    if (rc == 0)
        rc = feed_copy(ret, body.ptr, a, err);
    if (rc == 0)
        rc = feed_copy(ret, body.ptr + a, b - a, err);
    if (rc == 0)
        rc = feed_copy(ret, body.ptr + b, body.len - b, err);
    return rc == 0 ? multipart_end(ret, err) : rc;
}

static int parse_bytewise(struct str body, struct multipart *ret, struct err *err)
{
    int rc = multipart_init(ret, content_type, err);
    for (size_t i = 0; rc == 0 && i < body.len; i++)
        rc = feed_copy(ret, body.ptr + i, 1, err);
    return rc == 0 ? multipart_end(ret, err) : rc;
}

static bool same(const struct multipart *a, const struct multipart *b)
{
    return strcmp(a->model, b->model) == 0 && a->model_value.at == b->model_value.at &&
           a->model_value.len == b->model_value.len && a->stream == b->stream &&
           a->file_bytes == b->file_bytes && a->text_bytes == b->text_bytes;
}

/* Whole, and then the same in all ways to cut it in three, and byte by byte. */
static int parse_all_cuts(struct str body, struct multipart *ret, struct err *err)
{
    int rc = parse_pieces(body, 0, body.len, ret, err);
    for (size_t a = 0; a <= body.len; a++)
        for (size_t b = a; b <= body.len; b++) {
            struct multipart form;
            struct err other = {0};
            int again = b < body.len ? parse_pieces(body, a, b, &form, &other)
                                     : parse_bytewise(body, &form, &other);
            if (again != rc || strcmp(other.text, err->text) != 0 || (rc == 0 && !same(ret, &form)))
                fail_msg("%.*s cut at %zu and %zu: %d %s", STR_ARGS(body), a, b, again, other.text);
        }
    return rc;
}

/* ---- what is found ---- */

#define PART(name, content)                                                                        \
    "--B\r\nContent-Disposition: form-data; name=" name "\r\n\r\n" content "\r\n"
#define LAST "--B--\r\n"

static void test_finds_model_and_stream(void **state)
{
    static const struct {
        const char *body, *model;
        bool stream;
        uint64_t file_bytes, text_bytes;
    } rows[] = {
        {LAST, "", false, 0, 0},
        {"--B--", "", false, 0, 0},
        {"\r\n" LAST, "", false, 0, 0},
        {PART("model", "a") LAST, "a", false, 0, 1},
        {PART("\"model\"", "a b\xc3\xa4") LAST, "a b\xc3\xa4", false, 0, 5},
        {PART("file; filename=\"x.wav\"", "RIFF\r\n--\r\r\n-B\n") PART("model", "m") LAST, "m",
         false, 14, 1},
        {PART("model", "m") PART("file; filename=x", "") PART("x", "y") LAST, "m", false, 0, 2},
        {PART("stream", "true") PART("model", "m") LAST, "m", true, 0, 5},
        {PART("stream", "False") PART("model", "m") LAST, "m", false, 0, 6},
        {PART("\"stream\"", "1") LAST, "", true, 0, 1},
        {PART("Model", "no") PART("models", "no") PART("\"\"", "") LAST, "", false, 0, 4},
        {PART("x", "\r\n--b\r\n--\r\n\r\n--A\r") PART("model", "m") LAST, "m", false, 0, 18},
        {PART("x", "--") PART("y", "-\r") PART("z", "--C") LAST, "", false, 0, 7},
        {PART("x;filename*=utf-8''a%22b", "abc") LAST, "", false, 3, 0},
        {PART("\"x\" ; filename=\"a;b\\c\" ;", "abc") LAST, "", false, 3, 0},
        {"--B\r\ncontent-type: text/plain\r\nCONTENT-DISPOSITION:FORM-DATA; NAME=model\r\n"
         "Content-Transfer-Encoding: 8bit\r\n\r\nm\r\n" LAST, "m", false, 0, 1},
        {PART("model", "m") LAST "\r\n \t\r\n", "m", false, 0, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct multipart form;
        struct err err = {0};
        struct str body = str_of(rows[i].body);
        if (parse_all_cuts(body, &form, &err) != 0)
            fail_msg("%s: %s", rows[i].body, err.text);
        assert_string_equal(form.model, rows[i].model);
        assert_int_equal(form.stream, rows[i].stream);
        assert_int_equal(form.file_bytes, rows[i].file_bytes);
        assert_int_equal(form.text_bytes, rows[i].text_bytes);
        assert_true(str_eq(str_sub(body.ptr + form.model_value.at, form.model_value.len),
                           str_of(rows[i].model)));
    }
}

static const struct {
    const char *body;
    int code;
    const char *text;
} refused[] = {
    {"", ERR_SYNTAX, "its last boundary is missing at byte 0"},
    {"--B\r\n", ERR_SYNTAX, "its last boundary is missing"},
    {PART("model", "a"), ERR_SYNTAX, "its last boundary is missing"},
    {PART("model", "a") "--B", ERR_SYNTAX, "its last boundary is missing"},
    {PART("model", "a") "--B-", ERR_SYNTAX, "its last boundary is missing"},
    {"preamble\r\n" LAST, ERR_SYNTAX, "doesn't begin with its boundary at byte 0"},
    {"--A--", ERR_SYNTAX, "doesn't begin with its boundary at byte 2"},
    {"-B--", ERR_SYNTAX, "doesn't begin with its boundary at byte 1"},
    {"\r\n\r\n--B--", ERR_SYNTAX, "doesn't begin with its boundary"},
    {"\n--B--", ERR_SYNTAX, "doesn't begin with its boundary"},
    {LAST "x", ERR_SYNTAX, "something follows the last boundary at byte 7"},
    {LAST PART("model", "a") LAST, ERR_SYNTAX, "something follows the last boundary"},
    {"--Bx\r\n", ERR_SYNTAX, "a boundary is followed by something else at byte 3"},
    {"--B \r\n", ERR_SYNTAX, "a boundary is followed by something else"},
    {"--B\n", ERR_SYNTAX, "a boundary is followed by something else"},
    {"--B\rx", ERR_SYNTAX, "a boundary is followed by something else"},
    {"--B-x", ERR_SYNTAX, "a boundary is followed by something else"},
    {PART("x", "a\n--B") LAST, ERR_SYNTAX, "no CRLF stands before a boundary"},
    {PART("x", "--B") LAST, ERR_SYNTAX, "no CRLF stands before a boundary"},
    {PART("x", "\r\n--Bx") LAST, ERR_SYNTAX, "a boundary is followed by something else"},
    {PART("model", "a") PART("model", "a") LAST, ERR_INVALID, "the field model comes twice"},
    {PART("stream", "1") PART("stream", "1") LAST, ERR_INVALID, "the field stream comes twice"},
    {PART("model", "") LAST, ERR_INVALID, "model must not be empty"},
    {PART("model", "a\tb") LAST, ERR_INVALID, "model has a control character"},
    {PART("stream", "") LAST, ERR_INVALID, "stream must be true or false"},
    {PART("stream", "2") LAST, ERR_INVALID, "stream must be true or false"},
    {PART("stream", "true true") LAST, ERR_INVALID, "stream must be true or false"},
    {PART("model; filename=x", "a") LAST, ERR_INVALID, "the field model must be plain text"},
    {PART("model; filename*=x", "a") LAST, ERR_INVALID, "the field model must be plain text"},
    {PART("model\r\nContent-Transfer-Encoding: base64", "YQ==") LAST, ERR_INVALID,
     "the field model must be plain text"},
    {PART("a; name=model", "b") LAST, ERR_SYNTAX, "a part has two names"},
    {PART("a\r\nContent-Disposition: form-data; name=model", "b") LAST, ERR_SYNTAX,
     "a part has two names"},
    {PART("\"mode\\l\"", "b") LAST, ERR_SYNTAX, "a part's name has a backslash"},
    {PART("a; name*=utf-8''model", "b") LAST, ERR_SYNTAX, "a part's name is encoded"},
    {PART("a; NAME*0=model", "b") LAST, ERR_SYNTAX, "a part's name is encoded"},
    {PART("a; filename=\"a\\\"; name=b", "b") LAST, ERR_SYNTAX, "can't be read"},
    {PART("\"a", "b") LAST, ERR_SYNTAX, "can't be read"},
    {PART("\"a\"b", "b") LAST, ERR_SYNTAX, "can't be read"},
    {PART("", "b") LAST, ERR_SYNTAX, "can't be read"},
    {PART("a; b", "b") LAST, ERR_SYNTAX, "can't be read"},
    {PART("a; b c=d", "b") LAST, ERR_SYNTAX, "can't be read"},
    {"--B\r\n\r\nx\r\n" LAST, ERR_SYNTAX, "a part has no Content-Disposition"},
    {"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n" LAST, ERR_SYNTAX,
     "a part has no name"},
    {"--B\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n" LAST, ERR_SYNTAX,
     "isn't form-data"},
    {"--B\r\nnonsense\r\n\r\nx\r\n" LAST, ERR_SYNTAX, "a part's header can't be read"},
    {"--B\r\n: a\r\n\r\nx\r\n" LAST, ERR_SYNTAX, "a part's header can't be read"},
    {"--B\r\nContent-Disposition : a\r\n\r\nx\r\n" LAST, ERR_SYNTAX, "header can't be read"},
    {"--B\r\n--B: a\r\n\r\nx\r\n" LAST, ERR_SYNTAX, "a boundary stands among a part's headers"},
    {"--B\r\nA: b\r\n c\r\n\r\nx\r\n" LAST, ERR_SYNTAX, "a header is folded"},
    {"--B\r\nA: b\n\r\nx\r\n" LAST, ERR_SYNTAX, "a header has a line feed or NUL"},
    {"--B\r\nA: b\rc\r\n\r\nx\r\n" LAST, ERR_SYNTAX, "a header has a carriage return"},
};

static void test_refuses(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct multipart form;
        struct err err = {0};
        int rc = parse_all_cuts(str_of(refused[i].body), &form, &err);
        if (rc != refused[i].code || !strstr(err.text, refused[i].text))
            fail_msg("row %zu, %s: %d %s", i, refused[i].body, rc, err.text);
    }
}

static void test_model_is_known_when_its_part_ends(void **state)
{
    struct str body = STR(PART("x", "y") PART("model", "abc") PART("z", "") LAST);
    struct multipart form;
    struct err err = {0};
    assert_int_equal(parse_all_cuts(body, &form, &err), 0);
    size_t known_at = (size_t)(form.model_value.at + form.model_value.len) + 5; /* CR LF - - B */
    assert_int_equal(multipart_init(&form, content_type, NULL), 0);
    for (size_t i = 0; i < body.len; i++) {
        assert_int_equal(multipart_has_model(&form), i >= known_at);
        assert_int_equal(multipart_feed(&form, str_sub(body.ptr + i, 1), NULL), 0);
    }
}

static void test_boundaries(void **state)
{
    static const struct {
        const char *content_type, *boundary;
    } rows[] = {
        {"multipart/form-data; boundary=abc", "abc"},
        {"Multipart/Form-Data;Boundary=\"abc\"", "abc"},
        {"multipart/form-data ; charset=utf-8; boundary=----WebKitFormBoundary7MA4YWxk ; x=y",
         "----WebKitFormBoundary7MA4YWxk"},
        {"multipart/form-data; boundary=\"a b'()+_,-./:=?c\"", "a b'()+_,-./:=?c"},
        {"multipart/form-data; boundary=a=b", "a=b"},
        {"multipart/form-data; boundary="
         "0123456789012345678901234567890123456789012345678901234567890123456789",
         "0123456789012345678901234567890123456789012345678901234567890123456789"},
        {"multipart/form-data; boundary="
         "0123456789012345678901234567890123456789012345678901234567890123456789a", NULL},
        {"", NULL},
        {"multipart/form-data", NULL},
        {"multipart/form-data;", NULL},
        {"multipart/form-data; xboundary=b; boundary=a", NULL},
        {"multipart/form-data; boundary=a; x=\"Boundary=b\"", NULL},
        {"multipart/form-data; boundary=a; boundary*=b", NULL},
        {"multipart/form-data; boundary=", NULL},
        {"multipart/form-data; boundary=\"\"", NULL},
        {"multipart/form-data; boundary=\"a", NULL},
        {"multipart/form-data; boundary=\"a \"", NULL},
        {"multipart/form-data; boundary=\"a\\\"\"", NULL},
        {"multipart/form-data; boundary=a b", NULL},
        {"multipart/form-data; boundary=a\r", NULL},
        {"multipart/form-data; boundary=a*b", NULL},
        {"multipart/form-data; boundary=a; boundary=a", NULL},
        {"multipart/mixed; boundary=a", NULL},
        {"application/json", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct multipart form;
        struct err err = {0};
        int rc = multipart_init(&form, str_of(rows[i].content_type), &err);
        if (rc != (rows[i].boundary ? 0 : ERR_INVALID))
            fail_msg("%s: %d %s", rows[i].content_type, rc, err.text);
        if (rc == 0)
            assert_true(str_eq(str_sub(form.delimiter + 4, form.delimiter_len - 4u),
                               str_of(rows[i].boundary)));
    }
}

/* ---- limits ---- */

static void add_part(struct buf *out, const char *head, char fill, size_t count)
{
    buf_printf(out, "--B\r\nContent-Disposition: form-data; name=%s\r\n\r\n", head);
    for (size_t i = 0; i < count; i++)
        buf_add_char(out, fill);
    buf_add_cstr(out, "\r\n");
}

static int parse(struct buf *body, struct multipart *ret, struct err *err)
{
    buf_add_cstr(body, LAST);
    int rc = parse_pieces(buf_str(body), body->len / 3, body->len / 2, ret, err);
    struct multipart form;
    struct err other = {0};
    assert_int_equal(parse_bytewise(buf_str(body), &form, &other), rc);
    assert_string_equal(other.text, err->text);
    buf_fini(body);
    return rc;
}

static void test_limits_the_name(void **state)
{
    struct multipart form;
    for (size_t len = SCAN_MODEL_MAX; len <= SCAN_MODEL_MAX + 1; len++) {
        struct buf body = {0};
        struct err err = {0};
        add_part(&body, "model", 'm', len);
        int rc = parse(&body, &form, &err);
        assert_int_equal(rc, len > SCAN_MODEL_MAX ? ERR_TOO_LARGE : 0);
        assert_true(rc == 0 || strstr(err.text, "model is longer than 256 bytes"));
    }
}

static void test_limits_the_parts(void **state)
{
    struct multipart form;
    for (int count = MULTIPART_PARTS_MAX; count <= MULTIPART_PARTS_MAX + 1; count++) {
        struct buf body = {0};
        struct err err = {0};
        for (int i = 0; i < count; i++)
            add_part(&body, "x", 'y', 1);
        int rc = parse(&body, &form, &err);
        assert_int_equal(rc, count > MULTIPART_PARTS_MAX ? ERR_TOO_LARGE : 0);
        assert_true(rc == 0 || strstr(err.text, "more than 256 parts"));
    }
}

/* A part whose headers have `len` bytes, in lines of at most `line`. */
static int parse_headers_of(size_t len, size_t line, struct err *err)
{
    static const char disposition[] = "Content-Disposition: form-data; name=x\r\n";
    struct buf body = {0};
    struct multipart form;
    buf_add_cstr(&body, "--B\r\n");
    buf_add_cstr(&body, disposition);
    size_t rest = len - (sizeof disposition - 1) - 1; /* of the empty line the CR counts */
    while (rest) {
        size_t n = rest < 2 * line ? rest : line;
        buf_add_cstr(&body, "A:");
        for (size_t i = 0; i < n - 3; i++)
            buf_add_char(&body, 'a');
        buf_add_cstr(&body, "\r\n"); /* its LF isn't counted */
        rest -= n;
    }
    buf_add_cstr(&body, "\r\n\r\n");
    return parse(&body, &form, err);
}

static void test_limits_the_headers(void **state)
{
    struct err err = {0};
    assert_int_equal(parse_headers_of(MULTIPART_HEADERS_MAX + 1, 1000, &err), 0);
    assert_int_equal(parse_headers_of(MULTIPART_HEADERS_MAX + 2, 1000, &err), ERR_TOO_LARGE);
    assert_non_null(strstr(err.text, "headers have more than 8192 bytes"));
    err = (struct err){0};
    assert_int_equal(parse_headers_of(MULTIPART_HEADERS_MAX, 5000, &err), 0); /* none of ours */
}

static void test_limits_the_disposition(void **state)
{
    for (size_t len = MULTIPART_LINE_MAX - 1; len <= MULTIPART_LINE_MAX; len++) {
        struct buf body = {0};
        struct buf head = {0};
        struct err err = {0};
        struct multipart form;
        buf_add_cstr(&head, "x; filename=");
        while (head.len + strlen("Content-Disposition: form-data; name=") < len)
            buf_add_char(&head, 'a');
        add_part(&body, head.ptr, 'y', 1);
        int rc = parse(&body, &form, &err);
        assert_int_equal(rc, len < MULTIPART_LINE_MAX ? 0 : ERR_TOO_LARGE);
        buf_fini(&head);
    }
}

static void test_files_may_be_large(void **state)
{
    struct buf body = {0};
    struct err err = {0};
    struct multipart form;
    add_part(&body, "file; filename=a", '\r', 1 << 20);
    add_part(&body, "model", 'm', 3);
    assert_int_equal(parse(&body, &form, &err), 0);
    assert_int_equal(form.file_bytes, 1 << 20);
    assert_string_equal(form.model, "mmm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_model_and_stream),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_model_is_known_when_its_part_ends),
        cmocka_unit_test(test_boundaries),
        cmocka_unit_test(test_limits_the_name),
        cmocka_unit_test(test_limits_the_parts),
        cmocka_unit_test(test_limits_the_headers),
        cmocka_unit_test(test_limits_the_disposition),
        cmocka_unit_test(test_files_may_be_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
