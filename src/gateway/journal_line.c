/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/journal_line.h"

#include "base/crc32c.h"
#include "base/num.h"
#include "base/random.h"
#include "gateway/record_read.h"

#include <assert.h>

#define SUM_MEMBER ",\"crc32c\":\""
#define SEQ_MEMBER "{\"seq\":"

enum {
    SUM_DIGITS = 8,
    SUM_BYTES = sizeof SUM_MEMBER - 1 + SUM_DIGITS + 2, /* with the quote and the brace behind */
};

/* What ends a line whose object has this open text, without the line's end. */
static void format_sum(struct str open_object, char ret[SUM_BYTES + 1])
{
    static const struct str member = STR(SUM_MEMBER);
    uint32_t sum = crc32c_of(open_object);
    const unsigned char bytes[] = {(unsigned char)(sum >> 24), (unsigned char)(sum >> 16),
                                   (unsigned char)(sum >> 8), (unsigned char)sum};
    memcpy(ret, member.ptr, member.len);
    hex_encode(bytes, sizeof bytes, ret + member.len);
    memcpy(ret + SUM_BYTES - 2, "\"}", sizeof "\"}");
}

void journal_line_write(const struct usage_record *record, struct buf *out)
{
    char sum[SUM_BYTES + 1];
    size_t start = out->len;
    usage_record_write(record, out);
    out->len--; /* the brace goes behind the sum */
    format_sum(str_skip(buf_str(out), start), sum);
    buf_add_cstr(out, sum);
    assert(out->len - start <= JOURNAL_LINE_MAX);
    buf_add_char(out, '\n');
}

int journal_line_check(struct str line, uint64_t *ret_seq, struct str *ret_open_object)
{
    char sum[SUM_BYTES + 1];
    uint64_t seq;
    if (line.len > JOURNAL_LINE_MAX || line.len < SUM_BYTES ||
        !str_has_prefix(line, STR(SEQ_MEMBER)))
        return ERR_SYNTAX;
    struct str open_object = str_sub(line.ptr, line.len - SUM_BYTES);
    format_sum(open_object, sum);
    struct str number = str_skip(open_object, STR(SEQ_MEMBER).len);
    number.len = str_find(number, ',');
    if (!str_has_suffix(line, str_of(sum)) || num_parse_u64(number, &seq) < 0 || seq == 0 ||
        seq > INT64_MAX)
        return ERR_SYNTAX;
    *ret_seq = seq;
    *ret_open_object = open_object;
    return 0;
}

int journal_line_read(struct str line, struct usage_record *ret, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    struct str open_object;
    uint64_t seq;
    if (journal_line_check(line, &seq, &open_object) < 0)
        return err_set(err, ERR_SYNTAX, "the line isn't whole");
    int rc = json_read(line, &root, err);
    return rc < 0 ? rc : usage_record_read(root, ret, err);
}
