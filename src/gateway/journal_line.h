/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of the journal: a usage record's JSON object with its own check sum as the last member, so
 * that a line that was torn by a crash or went bad on the disk is known as such:
 *
 *     {"seq":1,"request_id":...,"attempts":1,"crc32c":"9ae0daaf"}
 *
 * The sum is CRC-32C over all that stands before `,"crc32c"`. Pure, any thread.
 */
#pragma once

#include "gateway/record.h"

enum { JOURNAL_LINE_MAX = 8 << 10 }; /* bytes; the longest record, all escaped, is half of it */

/* Appends the record's line with its end. */
void journal_line_write(const struct usage_record *record, struct buf *out);

/*
 * Checks a line without its end. Gives the record's number and its object as it was before the sum
 * came in, but for the closing brace; borrowed from `line`. ERR_SYNTAX when the line isn't whole.
 */
int journal_line_check(struct str line, uint64_t *ret_seq, struct str *ret_open_object) must_check;

/* The same and read. ERR_SYNTAX, or as usage_record_read(). */
int journal_line_read(struct str line, struct usage_record *ret, struct err *err) must_check;
