/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's files: what is appended comes back once and in order, whatever the disk does. */
#include "base/log.h"
#include "fault_disk.h"
#include "gateway/journal_line.h"
#include "gateway/segments.h"

struct seen {
    uint64_t seqs[64];
    size_t count, max;
};

static bool note(uint64_t seq, struct str open_object, void *ctx)
{
    struct seen *seen = ctx;
    if (seen->max && seen->count == seen->max)
        return false;
    assert_true(seen->count < ARRAY_LEN(seen->seqs));
    seen->seqs[seen->count++] = seq;
    return true;
}

/* The records behind `after` are `first` to `last` (none when last < first). */
static void expect_records(struct segments *segments, uint64_t after, uint64_t first, uint64_t last)
{
    struct seen seen = {0};
    assert_int_equal(segments_each(segments, after, note, &seen, NULL), 0);
    assert_int_equal(seen.count, last + 1 - first);
    for (size_t i = 0; i < seen.count; i++)
        assert_int_equal(seen.seqs[i], first + i);
}

static int append(struct segments *segments, uint64_t first, uint64_t last, int64_t now_ms)
{
    struct buf lines = {0};
    for (uint64_t seq = first; seq <= last; seq++)
        journal_line_write(&(struct usage_record){.seq = seq, .model = "hello"}, &lines);
    int rc = segments_append(segments, buf_str(&lines), first, last, now_ms, NULL);
    buf_fini(&lines);
    return rc;
}

static void append_durable(struct segments *segments, uint64_t first, uint64_t last)
{
    assert_int_equal(append(segments, first, last, 0), 0);
    assert_int_equal(segments_sync(segments, NULL), 0);
}

static struct segments open_at(const char *dir, uint64_t last)
{
    struct segments segments;
    struct err err = {0};
    uint64_t found;
    if (segments_open(&segments, dir, &fault_disk, &found, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(found, last);
    return segments;
}

static void test_append_and_read(void **state)
{
    char *dir = folder_new();
    struct segments s = open_at(dir, 0);
    expect_records(&s, 0, 1, 0);
    assert_int_equal(append(&s, 1, 3, 0), 0);
    expect_records(&s, 0, 1, 0); /* not before it is durable */
    assert_int_equal(segments_sync(&s, NULL), 0);
    expect_records(&s, 0, 1, 3);
    append_durable(&s, 4, 5);
    expect_records(&s, 3, 4, 5);
    segments_fini(&s);

    s = open_at(dir, 5);
    append_durable(&s, 6, 6);
    assert_int_equal(s.count, 2);
    expect_records(&s, 0, 1, 6);
    expect_records(&s, 5, 6, 6);
    expect_records(&s, 6, 7, 6);
    segments_fini(&s);
    folder_free(dir);
}

static void test_reads_on_from_its_place(void **state)
{
    char *dir = folder_new();
    struct segments s = open_at(dir, 0);
    append_durable(&s, 1, 5);
    segments_close_last(&s);
    append_durable(&s, 6, 10);
    for (uint64_t after = 0; after < 10; after += 2) {
        struct seen seen = {.max = 2};
        assert_int_equal(segments_each(&s, after, note, &seen, NULL), 0);
        assert_int_equal(seen.count, 2);
        assert_int_equal(seen.seqs[0], after + 1);
        assert_int_equal(s.place.seq, after + 2);
    }
    expect_records(&s, 3, 4, 10); /* elsewhere */
    segments_fini(&s);
    folder_free(dir);
}

static void test_new_file_by_size_and_age(void **state)
{
    char *dir = folder_new();
    struct segments s = open_at(dir, 0);
    assert_false(segments_is_last_full(&s, SEGMENT_MS));
    assert_int_equal(append(&s, 1, 1, 1000), 0);
    assert_false(segments_is_last_full(&s, 1000 + SEGMENT_MS - 1));
    assert_true(segments_is_last_full(&s, 1000 + SEGMENT_MS));
    s.length = SEGMENT_BYTES;
    assert_true(segments_is_last_full(&s, 1000));
    segments_fini(&s);
    folder_free(dir);
}

/* Appends text to the only file, as a crash or a bad disk might leave it. */
static void spoil(const char *dir, uint64_t first, const char *text)
{
    auto_free char *path = mem_printf("%s/%020llu.ndjson", dir, (unsigned long long)first);
    auto_close int fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void test_torn_end(void **state)
{
    char *dir = folder_new();
    struct segments s = open_at(dir, 0);
    append_durable(&s, 1, 3);
    segments_fini(&s);
    spoil(dir, 1, "{\"seq\":4,\"request_id\":\"to");
    s = open_at(dir, 4); /* the torn one may have been 4 */
    append_durable(&s, 5, 6);
    struct seen seen = {0};
    assert_int_equal(segments_each(&s, 2, note, &seen, NULL), 0);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.seqs[0], 3);
    assert_int_equal(seen.seqs[1], 5);
    segments_fini(&s);
    folder_free(dir);
}

static void test_spoilt_line_between(void **state)
{
    char *dir = folder_new();
    struct segments s = open_at(dir, 0);
    append_durable(&s, 1, 3);
    auto_free char *path = mem_printf("%s/%020d.ndjson", dir, 1);
    auto_free char *text = content_of(dir, "00000000000000000001.ndjson");
    *strstr(text, "\"seq\":2") = 'X';
    assert_int_equal(file_write(path, str_of(text), 0600, NULL), 0);
    struct seen seen = {0};
    assert_int_equal(segments_each(&s, 0, note, &seen, NULL), 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.seqs[1], 3);
    segments_fini(&s);
    s = open_at(dir, 4); /* one more than it need be, never one less */
    segments_fini(&s);
    folder_free(dir);
}

static void test_very_long_rubbish(void **state)
{
    char *dir = folder_new();
    struct segments s = open_at(dir, 0);
    struct buf rubbish = {0};
    append_durable(&s, 1, 1);
    segments_fini(&s);
    memset(buf_reserve(&rubbish, 700000), 'x', 700000);
    buf_grew(&rubbish, 700000);
    buf_add_char(&rubbish, '\n');
    journal_line_write(&(struct usage_record){.seq = 2}, &rubbish);
    spoil(dir, 1, rubbish.ptr);
    uint64_t last;
    assert_int_equal(segments_open(&s, dir, &fault_disk, &last, NULL), 0);
    assert_true(last >= 2);
    expect_records(&s, 0, 1, 2);
    segments_fini(&s);
    buf_fini(&rubbish);
    folder_free(dir);
}

static void test_full_disk(void **state)
{
    char *dir = folder_new();
    struct segments s = open_at(dir, 0);
    append_durable(&s, 1, 2);
    write_room = 700; /* a line and a half */
    assert_int_equal(append(&s, 3, 6, 0), -ENOSPC);
    expect_records(&s, 0, 1, 2);
    assert_int_equal(append(&s, 3, 6, 0), -ENOSPC); /* a new file, and again */
    assert_int_equal(append(&s, 3, 6, 0), -ENOSPC);
    assert_int_equal(s.count, 2);
    fault_disk_heal();
    append_durable(&s, 3, 6);
    expect_records(&s, 0, 1, 6);
    assert_int_equal(s.count, 2);
    segments_fini(&s);
    s = open_at(dir, 6);
    expect_records(&s, 0, 1, 6);
    segments_fini(&s);
    folder_free(dir);
}

/* What isn't durable is written again to a new file; the old one's rest is never read twice. */
static void test_failed_sync(void **state)
{
    char *dir = folder_new();
    struct segments s = open_at(dir, 0);
    append_durable(&s, 1, 2);
    assert_int_equal(append(&s, 3, 4, 0), 0);
    sync_error = EIO;
    assert_int_equal(segments_sync(&s, NULL), -EIO);
    expect_records(&s, 0, 1, 2);
    fault_disk_heal();
    auto_free char *kept = content_of(dir, "00000000000000000001.ndjson");
    assert_null(strstr(kept, "\"seq\":3"));
    append_durable(&s, 3, 5);
    expect_records(&s, 0, 1, 5);
    segments_fini(&s);
    /* As if it had not been possible to cut the old one. */
    struct buf again = {0};
    journal_line_write(&(struct usage_record){.seq = 3}, &again);
    spoil(dir, 1, again.ptr);
    buf_fini(&again);
    s = open_at(dir, 5);
    expect_records(&s, 0, 1, 5);
    segments_fini(&s);
    folder_free(dir);
}

static void test_forget(void **state)
{
    char *dir = folder_new();
    struct segments s = open_at(dir, 0);
    for (uint64_t first = 1; first < 9; first += 2) {
        append_durable(&s, first, first + 1);
        segments_close_last(&s);
    }
    assert_int_equal(segments_forget(&s, 1), 0);
    assert_int_equal(segments_forget(&s, 5), 2);
    expect_records(&s, 0, 5, 8);
    assert_int_equal(segments_forget(&s, 8), 1); /* the last one says which number comes next */
    assert_int_equal(append(&s, 9, 9, 0), 0);
    assert_int_equal(segments_forget(&s, 8), 0); /* the new one can't yet */
    assert_int_equal(segments_sync(&s, NULL), 0);
    assert_int_equal(segments_forget(&s, 8), 1);
    expect_records(&s, 0, 9, 9);
    segments_fini(&s);
    s = open_at(dir, 9);
    segments_fini(&s);
    folder_free(dir);
}

static void test_drop_oldest(void **state)
{
    char *dir = folder_new();
    struct segments s = open_at(dir, 0);
    append_durable(&s, 1, 4);
    assert_int_equal(segments_drop_oldest(&s), 0);
    uint64_t bytes = segments_bytes(&s);
    assert_true(bytes > 0);
    segments_close_last(&s);
    append_durable(&s, 5, 8);
    assert_int_equal(segments_bytes(&s), 2 * bytes);
    assert_int_equal(segments_drop_oldest(&s), 4);
    assert_int_equal(segments_bytes(&s), bytes);
    expect_records(&s, 0, 5, 8);
    segments_fini(&s);
    folder_free(dir);
}

static void test_foreign_files(void **state)
{
    static const char *const names[] = {
        "1.ndjson", "rejected.ndjson", "0000000000000000000x.ndjson", "00000000000000000000.ndjson",
        "99999999999999999999.ndjson"};
    char *dir = folder_new();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        auto_free char *path = mem_printf("%s/%s", dir, names[i]);
        assert_int_equal(file_write(path, STR("x\n"), 0600, NULL), 0);
    }
    struct segments s = open_at(dir, 0);
    assert_int_equal(s.count, 0);
    segments_fini(&s);
    folder_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_and_read),
        cmocka_unit_test(test_reads_on_from_its_place),
        cmocka_unit_test(test_new_file_by_size_and_age),
        cmocka_unit_test(test_torn_end),
        cmocka_unit_test(test_spoilt_line_between),
        cmocka_unit_test(test_very_long_rubbish),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_failed_sync),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_drop_oldest),
        cmocka_unit_test(test_foreign_files),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
