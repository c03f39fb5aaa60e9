/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/access_log.h"

#include "base/file.h"
#include "base/log.h"
#include "gateway/access_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* ---- a folder of the test's own ---- */

struct place {
    char folder[64];
    char path[96];
    char moved[96];
};

static void set_up(struct place *place)
{
    snprintf(place->folder, sizeof place->folder, "/tmp/gpustack-access-log-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/log", place->folder);
    snprintf(place->moved, sizeof place->moved, "%s/log.1", place->folder);
    log_set_level(LOG_ERROR);
}

static void tear_down(struct place *place)
{
    unlink(place->path);
    unlink(place->moved);
    assert_int_equal(rmdir(place->folder), 0);
}

static struct access_log *open_log(const char *path, unsigned shards)
{
    struct access_log *log = NULL;
    struct err err = {0};
    if (access_log_open(path, shards, &log, &err) < 0)
        fail_msg("%s", err.text);
    return log;
}

static void note(struct access_log *log, unsigned shard, int64_t id)
{
    struct usage_record record = {.key_id = id, .operation = OPERATION_CHAT, .status = 200,
                                  .prompt_tokens = 7};
    snprintf(record.model, sizeof record.model, "hello");
    const struct access_request request = {"POST", STR("/v1/chat/completions?api_key=secret"),
                                           "192.0.2.1"};
    access_log_note(log, shard, &record, &request);
}

/* Lines of a file; each must be whole. */
static unsigned count_lines(const char *path)
{
    struct buf text = {0};
    unsigned count = 0;
    assert_true(file_read(path, 64 << 20, &text, NULL) >= 0);
    struct str rest = buf_str(&text), line;
    assert_true(rest.len == 0 || rest.ptr[rest.len - 1] == '\n');
    while (str_split(&rest, '\n', &line)) {
        assert_true(line.ptr[0] == '{' && line.ptr[line.len - 1] == '}');
        count++;
    }
    buf_fini(&text);
    return count;
}

/* ---- the log ---- */

static void test_a_line(void **state)
{
    struct place place;
    auto_fini(json_release) json_t *line = NULL;
    struct buf text = {0};
    set_up(&place);
    struct access_log *log = open_log(place.path, 1);
    note(log, 0, 3);
    access_log_free(log);
    assert_true(file_read(place.path, 4096, &text, NULL) >= 0);
    assert_null(strstr(text.ptr, "secret"));
    assert_int_equal(json_read(str_trim(buf_str(&text)), &line, NULL), 0);
    assert_string_equal(json_member_string(line, "method"), "POST");
    assert_string_equal(json_member_string(line, "path"), "/v1/chat/completions");
    assert_string_equal(json_member_string(line, "peer"), "192.0.2.1");
    assert_string_equal(json_member_string(line, "model"), "hello");
    assert_int_equal(json_member_int(line, "key_id", 0), 3);
    assert_int_equal(json_member_int(line, "prompt_tokens", 0), 7);
    buf_fini(&text);
    tear_down(&place);
}

enum { SHARDS = 4, LINES = 1000 };

struct shard {
    struct access_log *log;
    unsigned index;
    pthread_t thread;
};

static void *note_many(void *arg)
{
    struct shard *shard = arg;
    for (int i = 0; i < LINES; i++)
        note(shard->log, shard->index, i);
    return NULL;
}

static void test_all_shards(void **state)
{
    struct place place;
    struct shard shards[SHARDS];
    set_up(&place);
    struct access_log *log = open_log(place.path, SHARDS);
    for (unsigned i = 0; i < SHARDS; i++) {
        shards[i] = (struct shard){.log = log, .index = i};
        assert_int_equal(pthread_create(&shards[i].thread, NULL, note_many, &shards[i]), 0);
    }
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_join(shards[i].thread, NULL);
    uint64_t dropped = access_log_dropped(log);
    access_log_free(log);
    assert_int_equal(count_lines(place.path) + dropped, SHARDS * LINES);
    assert_int_equal(dropped, 0);
    tear_down(&place);
}

static void wait_for_file(int watch_fd)
{
    char event[sizeof(struct inotify_event) + 256];
    assert_true(read(watch_fd, event, sizeof event) > 0);
}

static void test_reopen(void **state)
{
    struct place place;
    set_up(&place);
    struct access_log *log = open_log(place.path, 1);
    int watch_fd = inotify_init1(IN_CLOEXEC);
    assert_true(inotify_add_watch(watch_fd, place.folder, IN_CREATE) >= 0);
    note(log, 0, 1);
    note(log, 0, 2);
    assert_int_equal(rename(place.path, place.moved), 0);
    access_log_reopen(log);
    wait_for_file(watch_fd);
    note(log, 0, 3);
    access_log_free(log);
    assert_int_equal(count_lines(place.moved), 2);
    assert_int_equal(count_lines(place.path), 1);
    close(watch_fd);
    tear_down(&place);
}

static void test_bad_path(void **state)
{
    struct access_log *log = NULL;
    struct err err = {0};
    assert_int_equal(access_log_open("/nonexistent/log", 1, &log, &err), -ENOENT);
    assert_non_null(strstr(err.text, "access log /nonexistent/log: "));
    assert_null(log);
    note(log, 0, 1); /* no log is fine */
    access_log_reopen(log);
    assert_int_equal(access_log_dropped(log), 0);
    access_log_free(log);
}

/* Nothing can be written: all is counted, nobody waits. Its error goes to stderr once. */
static void test_full_disk(void **state)
{
    struct access_log *log = open_log("/dev/full", 1);
    for (int i = 0; i < 100; i++)
        note(log, 0, i);
    while (access_log_dropped(log) < 100)
        sched_yield();
    access_log_free(log);
}

struct reader {
    int fd;
    uint64_t lines;
    pthread_t thread;
};

static void *read_all(void *arg)
{
    struct reader *reader = arg;
    char bytes[65536];
    for (ssize_t n; (n = read(reader->fd, bytes, sizeof bytes)) > 0;)
        for (ssize_t i = 0; i < n; i++)
            reader->lines += bytes[i] == '\n';
    return NULL;
}

/* The reader of a pipe comes late: rings fill, lines are dropped and counted, shards go on. */
static void test_slow_reader(void **state)
{
    struct place place;
    struct reader reader = {0};
    enum { MANY = 8000 };
    set_up(&place);
    assert_int_equal(mkfifo(place.path, 0600), 0);
    reader.fd = open(place.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct access_log *log = open_log(place.path, 1);
    for (int i = 0; i < MANY; i++)
        note(log, 0, i);
    assert_true(access_log_dropped(log) > 0);
    fcntl(reader.fd, F_SETFL, 0);
    assert_int_equal(pthread_create(&reader.thread, NULL, read_all, &reader), 0);
    uint64_t dropped = access_log_dropped(log);
    access_log_free(log);
    pthread_join(reader.thread, NULL);
    assert_int_equal(reader.lines + dropped, MANY);
    close(reader.fd);
    tear_down(&place);
}

/* ---- the ring ---- */

static struct access_ring *new_ring(void)
{
    struct access_ring *ring = aligned_alloc(_Alignof(struct access_ring), sizeof *ring);
    *ring = (struct access_ring){0};
    access_ring_init(ring);
    return ring;
}

static void free_ring(struct access_ring *ring)
{
    access_ring_fini(ring);
    free(ring);
}

static bool put(struct access_ring *ring, const char *bytes, size_t n)
{
    const struct str parts[] = {str_sub(bytes, n / 2), {0}, str_sub(bytes + n / 2, n - n / 2)};
    return access_ring_put(ring, parts, ARRAY_LEN(parts));
}

static void test_ring_is_full(void **state)
{
    struct access_ring *ring = new_ring();
    char *big = mem_alloc(ACCESS_RING_BYTES + 1);
    assert_false(put(ring, big, ACCESS_RING_BYTES + 1));
    assert_true(put(ring, big, ACCESS_RING_BYTES));
    assert_false(put(ring, big, 1));
    assert_int_equal(ring->dropped, 2);
    assert_int_equal(access_ring_ready(ring), ACCESS_RING_BYTES);
    access_ring_take(ring, big, 3);
    assert_true(put(ring, "abc", 3));
    assert_false(put(ring, big, 1));
    access_ring_take(ring, big, ACCESS_RING_BYTES);
    assert_memory_equal(big + ACCESS_RING_BYTES - 3, "abc", 3);
    assert_int_equal(access_ring_ready(ring), 0);
    free(big);
    free_ring(ring);
}

enum { NUMBERS = 300000, NUMBER_MAX = 64 };

/* A length of 4 bytes and as many bytes that are told by the number. */
static void *put_numbers(void *arg)
{
    struct access_ring *ring = arg;
    for (uint32_t i = 0; i < NUMBERS;) {
        char bytes[NUMBER_MAX];
        uint32_t n = i % NUMBER_MAX;
        memset(bytes, (int)(i % 251), sizeof bytes);
        const struct str parts[] = {str_sub((const char *)&n, sizeof n), str_sub(bytes, n)};
        if (access_ring_put(ring, parts, ARRAY_LEN(parts)))
            i++;
        else
            sched_yield();
    }
    return NULL;
}

static void test_ring_between_threads(void **state)
{
    struct access_ring *ring = new_ring();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, put_numbers, ring), 0);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        char bytes[NUMBER_MAX], expected[NUMBER_MAX];
        uint32_t n;
        while (access_ring_ready(ring) == 0)
            sched_yield();
        access_ring_take(ring, &n, sizeof n);
        assert_int_equal(n, i % NUMBER_MAX);
        access_ring_take(ring, bytes, n);
        memset(expected, (int)(i % 251), sizeof expected);
        assert_memory_equal(bytes, expected, n);
    }
    pthread_join(thread, NULL);
    free_ring(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line),       cmocka_unit_test(test_all_shards),
        cmocka_unit_test(test_reopen),       cmocka_unit_test(test_bad_path),
        cmocka_unit_test(test_full_disk),    cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_ring_is_full), cmocka_unit_test(test_ring_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
