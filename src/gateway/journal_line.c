/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/journal_line.h"

#include "base/num.h"
#include "gateway/record_read.h"

#include <assert.h>
#include <stdio.h>

#define SUM_MEMBER ",\"crc32\":\""
#define SEQ_MEMBER "{\"seq\":"

enum {
    SUM_DIGITS = 8,
    SUM_BYTES = sizeof SUM_MEMBER - 1 + SUM_DIGITS + 2, /* with the quote and the brace behind */
};

/* Half a byte a step: the table fits a cache line, and the disk is slower by far. */
static uint32_t crc32_of(struct str text)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < text.len; i++) {
        crc ^= (unsigned char)text.ptr[i];
        crc = table[crc & 15] ^ (crc >> 4);
        crc = table[crc & 15] ^ (crc >> 4);
    }
    return ~crc;
}

/* What ends a line whose object has this open text, without the line's end. */
static void format_sum(struct str open_object, char ret[SUM_BYTES + 1])
{
    snprintf(ret, SUM_BYTES + 1, SUM_MEMBER "%08x\"}", crc32_of(open_object));
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
