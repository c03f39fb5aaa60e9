/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of the journal. Read in one piece and in two it gives the same records, by ascending
 * number, and each is a whole line of ours: written again it is the same.
 */
#include "gateway/journal_line.h"
#include "gateway/segment_read.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct found {
    uint64_t last;
    size_t count, bytes;
};

static bool take(uint64_t seq, struct str open_object, void *ctx)
{
    struct found *found = ctx;
    assert(seq > found->last && open_object.len > 0 && open_object.len < JOURNAL_LINE_MAX);
    found->last = seq;
    found->count++;
    found->bytes += open_object.len;
    return true;
}

static struct found read_pieces(struct str text, size_t cut)
{
    struct found found = {0};
    struct segment_place place = {.end = text.len};
    bool goes_on = segment_parse(str_sub(text.ptr, cut), cut == text.len, &place, take, &found);
    assert(goes_on && place.offset <= cut);
    if (cut < text.len)
        goes_on = segment_parse(str_skip(text, place.offset), true, &place, take, &found);
    assert(goes_on && place.offset == text.len);
    return found;
}

static void read_back(struct str text)
{
    struct str line;
    struct usage_record record, again;
    while (str_split(&text, '\n', &line)) {
        if (journal_line_read(line, &record, NULL) < 0)
            continue;
        struct buf out = {0};
        journal_line_write(&record, &out);
        int rc = journal_line_read(str_sub(out.ptr, out.len - 1), &again, NULL);
        assert(rc == 0 && again.seq == record.seq);
        buf_fini(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct found whole = read_pieces(text, size), cut = read_pieces(text, size / 2);
    /* A line that is too long for one is cut where the piece ends. */
    assert(size > JOURNAL_LINE_MAX || (whole.count == cut.count && whole.bytes == cut.bytes));
    read_back(text);
    return 0;
}
