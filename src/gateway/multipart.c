/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/multipart.h"

#include "gateway/header_param.h"

#include <inttypes.h>

/* What the next byte belongs to. */
enum state {
    START,     /* the first boundary, with or without a line's end before */
    BOUNDARY,  /* the same, begun */
    BEHIND,    /* a boundary: two dashes or a line's end */
    DASH,      /* the second of them */
    BEHIND_LF, /* the line's end, after its CR */
    HEADER,    /* a line of the part's headers */
    HEADER_LF, /* its end, after its CR */
    CONTENT,
    END, /* nothing but blanks follows */
};

enum wanted { WANTED_NONE, WANTED_MODEL, WANTED_STREAM };

enum { BOUNDARY_AT = 2 }; /* in the delimiter: behind the line's end */

struct cursor {
    struct multipart *form;
    const char *start, *at, *end;
    struct err *err;
};

static uint64_t offset_of(const struct cursor *c)
{
    return c->form->base + (uint64_t)(c->at - c->start);
}

static int fault(const struct cursor *c, const char *what)
{
    return err_set(c->err, ERR_SYNTAX, "the body is not a valid form: %s at byte %" PRIu64, what,
                   offset_of(c));
}

/* ---- the boundary ---- */

static bool is_boundary_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("'()+_,-./:=? ", c));
}

static bool is_boundary(struct str text)
{
    if (text.len == 0 || text.len > MULTIPART_BOUNDARY_MAX || text.ptr[text.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_boundary_char(text.ptr[i]))
            return false;
    return true;
}

/*
 * Whether a reader that only looks for "boundary=", as engines have them, could find another: in
 * the name of another parameter or in a value. RFC 2231's "boundary*" is one to some.
 */
static bool is_ambiguous(struct str type)
{
    static const struct str word = STR("boundary");
    unsigned count = 0;
    for (; type.len > word.len; type = str_skip(type, 1))
        if (str_eq_nocase(str_sub(type.ptr, word.len), word))
            count += type.ptr[word.len] == '=' || type.ptr[word.len] == '*';
    return count > 1;
}

int multipart_init(struct multipart *form, struct str content_type, struct err *err)
{
    struct str rest = content_type;
    struct str boundary = {0};
    struct header_param param;
    unsigned count = 0;
    int rc;
    if (!str_eq_nocase(header_param_type(&rest), STR("multipart/form-data")))
        return err_set(err, ERR_INVALID, "Content-Type must be multipart/form-data");
    while ((rc = header_param_next(&rest, &param)) > 0)
        if (str_eq_nocase(param.name, STR("boundary"))) {
            boundary = param.value;
            count++;
        }
    if (rc < 0 || count != 1 || is_ambiguous(content_type) || !is_boundary(boundary))
        return err_set(err, ERR_INVALID,
                       "Content-Type multipart/form-data must have one boundary of 1-%d characters",
                       MULTIPART_BOUNDARY_MAX);
    *form = (struct multipart){.delimiter = "\r\n--"};
    memcpy(form->delimiter + 4, boundary.ptr, boundary.len);
    form->delimiter_len = (uint8_t)(4 + boundary.len);
    return 0;
}

/* Goes on comparing with the delimiter; true at its end. */
static bool match_delimiter(struct cursor *c)
{
    struct multipart *form = c->form;
    while (c->at < c->end && form->matched < form->delimiter_len &&
           *c->at == form->delimiter[form->matched]) {
        c->at++;
        form->matched++;
    }
    return form->matched == form->delimiter_len;
}

static int pass_first_boundary(struct cursor *c)
{
    struct multipart *form = c->form;
    if (form->state == START)
        form->matched = *c->at == '-' ? BOUNDARY_AT : 0;
    form->state = BOUNDARY;
    if (match_delimiter(c))
        form->state = BEHIND;
    else if (c->at < c->end)
        return fault(c, "it doesn't begin with its boundary");
    return 0;
}

static int begin_part(struct cursor *c)
{
    struct multipart *form = c->form;
    if (form->parts == MULTIPART_PARTS_MAX)
        return err_set(c->err, ERR_TOO_LARGE, "the form has more than %d parts",
                       MULTIPART_PARTS_MAX);
    form->parts++;
    form->headers_len = form->line_len = 0;
    form->wanted = WANTED_NONE;
    form->has_name = form->is_file = form->is_encoded = false;
    form->state = HEADER;
    return 0;
}

/* One byte behind a boundary. */
static int pass_behind(struct cursor *c)
{
    struct multipart *form = c->form;
    char byte = *c->at;
    enum state state = (enum state)form->state;
    if (state == BEHIND && (byte == '-' || byte == '\r'))
        form->state = byte == '-' ? DASH : BEHIND_LF;
    else if (state == DASH && byte == '-')
        form->state = END;
    else if (state != BEHIND_LF || byte != '\n')
        return fault(c, "a boundary is followed by something else");
    c->at++;
    return state == BEHIND_LF ? begin_part(c) : 0;
}

/* ---- headers of a part ---- */

static int take_name(struct cursor *c, struct str name)
{
    struct multipart *form = c->form;
    if (form->has_name)
        return fault(c, "a part has two names");
    if (str_find(name, '\\') < name.len)
        return fault(c, "a part's name has a backslash");
    form->has_name = true;
    if (str_eq(name, STR("model")))
        form->wanted = WANTED_MODEL;
    else if (str_eq(name, STR("stream")))
        form->wanted = WANTED_STREAM;
    return 0;
}

static int take_disposition(struct cursor *c, struct str value)
{
    struct header_param param;
    int rc;
    if (!str_eq_nocase(header_param_type(&value), STR("form-data")))
        return fault(c, "a part's Content-Disposition isn't form-data");
    while ((rc = header_param_next(&value, &param)) > 0) {
        if (param.name.len >= 5 && str_eq_nocase(str_sub(param.name.ptr, 5), STR("name*")))
            return fault(c, "a part's name is encoded");
        if (str_eq_nocase(param.name, STR("filename")) ||
            str_eq_nocase(param.name, STR("filename*")))
            c->form->is_file = true;
        else if (str_eq_nocase(param.name, STR("name")) && take_name(c, param.value) < 0)
            return ERR_SYNTAX;
    }
    if (rc < 0)
        return fault(c, "a part's Content-Disposition can't be read");
    return c->form->has_name ? 0 : fault(c, "a part has no name");
}

static bool is_plain_encoding(struct str value)
{
    return str_eq_nocase(value, STR("7bit")) || str_eq_nocase(value, STR("8bit")) ||
           str_eq_nocase(value, STR("binary"));
}

/* A header without its line's end. One that is longer than `line` isn't whole. */
static int take_header(struct cursor *c, struct str line)
{
    struct multipart *form = c->form;
    struct str boundary = str_sub(form->delimiter + BOUNDARY_AT, form->delimiter_len - BOUNDARY_AT);
    size_t n = str_find(line, ':');
    struct str name = str_sub(line.ptr, n);
    struct str value = str_trim(str_skip(line, n + 1));
    if (str_has_prefix(line, boundary))
        return fault(c, "a boundary stands among a part's headers");
    if (n == line.len || n == 0 || str_find(name, ' ') < n || str_find(name, '\t') < n)
        return fault(c, "a part's header can't be read");
    if (str_eq_nocase(name, STR("content-transfer-encoding")))
        form->is_encoded |= !is_plain_encoding(value);
    if (!str_eq_nocase(name, STR("content-disposition")))
        return 0;
    if (line.len == MULTIPART_LINE_MAX)
        return err_set(c->err, ERR_TOO_LARGE,
                       "a part's Content-Disposition has more than %d bytes",
                       MULTIPART_LINE_MAX - 1);
    return take_disposition(c, value);
}

static int begin_content(struct cursor *c)
{
    struct multipart *form = c->form;
    const char *name = form->wanted == WANTED_MODEL ? "model" : "stream";
    form->state = CONTENT;
    form->content_at = offset_of(c);
    form->matched = form->held_from = BOUNDARY_AT; /* at the start of a line, nothing is held */
    if (!form->has_name)
        return fault(c, "a part has no Content-Disposition");
    if (form->wanted == WANTED_NONE)
        return 0;
    if (form->is_file || form->is_encoded)
        return err_set(c->err, ERR_INVALID,
                       "the field %s must be plain text, not a file or encoded", name);
    if (form->seen & 1u << form->wanted)
        return err_set(c->err, ERR_INVALID, "the field %s comes twice", name);
    form->seen = (uint8_t)(form->seen | 1u << form->wanted);
    return 0;
}

/* A byte of a header line, its end left out. */
static int pass_header(struct cursor *c)
{
    struct multipart *form = c->form;
    char byte = *c->at;
    if (form->headers_len == MULTIPART_HEADERS_MAX)
        return err_set(c->err, ERR_TOO_LARGE, "a part's headers have more than %d bytes",
                       MULTIPART_HEADERS_MAX);
    form->headers_len++;
    if (byte == '\n' || byte == '\0')
        return fault(c, "a header has a line feed or NUL");
    if (form->line_len == 0 && (byte == ' ' || byte == '\t'))
        return fault(c, "a header is folded");
    c->at++;
    if (byte == '\r')
        form->state = HEADER_LF;
    else if (form->line_len < MULTIPART_LINE_MAX)
        form->line[form->line_len++] = byte;
    return 0;
}

static int pass_header_end(struct cursor *c)
{
    struct multipart *form = c->form;
    struct str line = str_sub(form->line, form->line_len);
    if (*c->at != '\n')
        return fault(c, "a header has a carriage return");
    c->at++;
    form->line_len = 0;
    form->state = HEADER;
    return line.len ? take_header(c, line) : begin_content(c);
}

/* ---- content of a part ---- */

static int add_content(struct cursor *c, const char *ptr, size_t n)
{
    struct multipart *form = c->form;
    *(form->is_file ? &form->file_bytes : &form->text_bytes) += n;
    if (form->wanted == WANTED_MODEL) {
        if (n > (size_t)(SCAN_MODEL_MAX - form->model_len))
            return err_set(c->err, ERR_TOO_LARGE, "model is longer than %d bytes", SCAN_MODEL_MAX);
        memcpy(form->model + form->model_len, ptr, n);
        form->model_len = (uint16_t)(form->model_len + n);
    } else if (form->wanted == WANTED_STREAM) {
        if (n > (size_t)(MULTIPART_STREAM_MAX - form->stream_len))
            return err_set(c->err, ERR_INVALID, "stream must be true or false");
        memcpy(form->stream_text + form->stream_len, ptr, n);
        form->stream_len = (uint16_t)(form->stream_len + n);
    }
    return 0;
}

static int end_model(struct cursor *c)
{
    struct multipart *form = c->form;
    if (form->model_len == 0)
        return err_set(c->err, ERR_INVALID, "model must not be empty");
    for (size_t i = 0; i < form->model_len; i++)
        if ((unsigned char)form->model[i] < 0x20)
            return err_set(c->err, ERR_INVALID, "model has a control character");
    form->model_value = (struct scan_span){form->content_at, form->model_len};
    return 0;
}

/* The words that form readers take for a flag. */
static int end_stream(struct cursor *c)
{
    static const char *const words[2][6] = {{"false", "0", "off", "no", "f", "n"},
                                            {"true", "1", "on", "yes", "t", "y"}};
    struct multipart *form = c->form;
    struct str text = str_sub(form->stream_text, form->stream_len);
    for (size_t i = 0; i < 6; i++)
        for (size_t is_true = 0; is_true < 2; is_true++)
            if (str_eq_nocase(text, str_of(words[is_true][i]))) {
                form->stream = is_true;
                return 0;
            }
    return err_set(c->err, ERR_INVALID, "stream must be true or false");
}

static int end_part(struct cursor *c)
{
    c->form->state = BEHIND;
    if (c->form->wanted == WANTED_MODEL)
        return end_model(c);
    return c->form->wanted == WANTED_STREAM ? end_stream(c) : 0;
}

/* Goes on to behind the next LF, if there is one; a CR at the end is held back. */
static int pass_to_lf(struct cursor *c)
{
    struct multipart *form = c->form;
    const char *lf = memchr(c->at, '\n', (size_t)(c->end - c->at));
    const char *stop = lf ? lf : c->end;
    size_t n = (size_t)(stop - c->at);
    bool is_behind_cr = form->matched == 1;
    if (n > 0) {
        int rc = is_behind_cr ? add_content(c, form->delimiter, 1) : 0;
        is_behind_cr = stop[-1] == '\r';
        if (rc == 0)
            rc = add_content(c, c->at, n - is_behind_cr);
        if (rc < 0)
            return rc;
        c->at = stop;
    }
    form->matched = lf ? BOUNDARY_AT : is_behind_cr;
    form->held_from = lf && !is_behind_cr;
    c->at += lf != NULL;
    return 0;
}

/*
 * Some readers take a boundary for one behind a lone LF too, or right at the beginning of the
 * content. So "LF, boundary" is looked for, and what stands before it decides.
 */
static int pass_content(struct cursor *c)
{
    struct multipart *form = c->form;
    int rc = form->matched < BOUNDARY_AT ? pass_to_lf(c) : 0;
    if (rc < 0 || form->matched < BOUNDARY_AT)
        return rc;
    if (match_delimiter(c))
        return form->held_from == 0 ? end_part(c) : fault(c, "no CRLF stands before a boundary");
    if (c->at == c->end)
        return 0;
    size_t n = form->matched - form->held_from;
    form->matched = 0;
    return add_content(c, form->delimiter + form->held_from, n);
}

static int step(struct cursor *c)
{
    switch ((enum state)c->form->state) {
    case START:
    case BOUNDARY:
        return pass_first_boundary(c);
    case BEHIND:
    case DASH:
    case BEHIND_LF:
        return pass_behind(c);
    case HEADER:
        return pass_header(c);
    case HEADER_LF:
        return pass_header_end(c);
    case CONTENT:
        return pass_content(c);
    case END:
        if (!memchr("\r\n\t ", *c->at, 4))
            return fault(c, "something follows the last boundary");
        c->at++;
        return 0;
    }
    return 0;
}

int multipart_feed(struct multipart *form, struct str piece, struct err *err)
{
    if (piece.len == 0)
        return 0;
    struct cursor c = {form, piece.ptr, piece.ptr, piece.ptr + piece.len, err};
    int rc = 0;
    while (rc == 0 && c.at < c.end)
        rc = step(&c);
    form->base += piece.len;
    return rc;
}

int multipart_end(struct multipart *form, struct err *err)
{
    struct cursor at_end = {.form = form, .err = err};
    return form->state == END ? 0 : fault(&at_end, "its last boundary is missing");
}

bool multipart_has_model(const struct multipart *form)
{
    return form->model_value.len > 0;
}
