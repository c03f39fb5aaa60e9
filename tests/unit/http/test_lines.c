/* SPDX-License-Identifier: Apache-2.0 */
#include "http/lines.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "script_server.h"

#define HEAD "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

struct fixture {
    struct loop *loop;
    struct http_pool *pool;
    struct script_server server;
    struct line_stream *stream;
    unsigned opens, lines, breaks;
    unsigned status;     /* of the last break */
    struct err text;     /* of the last break */
    struct buf trace;    /* lines, each with a '|' behind */
    const char *free_at; /* free the stream in that callback: "open", "line", "break" */
};

static void maybe_free(struct fixture *f, const char *where)
{
    loop_stop(f->loop);
    if (f->free_at && strcmp(f->free_at, where) == 0)
        line_stream_free(TAKE(f->stream));
}

static void on_open(struct line_stream *stream, void *ctx)
{
    (void)stream;
    struct fixture *f = ctx;
    f->opens++;
    maybe_free(f, "open");
}

static void on_line(struct line_stream *stream, struct str line, void *ctx)
{
    (void)stream;
    struct fixture *f = ctx;
    f->lines++;
    if (line.len < 100) {
        buf_add_str(&f->trace, line);
        buf_add_char(&f->trace, '|');
    }
    maybe_free(f, "line");
}

static void on_break(struct line_stream *stream, unsigned status, const char *text, void *ctx)
{
    (void)stream;
    struct fixture *f = ctx;
    f->breaks++;
    f->status = status;
    err_set(&f->text, ERR_CLOSED, "%s", text);
    maybe_free(f, "break");
}

static void set_up(struct fixture *f, const struct reply *replies, unsigned count)
{
    *f = (struct fixture){.loop = loop_new(&virtual_clock)};
    f->pool = http_pool_new(f->loop);
    server_start(&f->server, f->loop, replies, count);
    struct line_stream_params params = {
        .pool = f->pool,
        .target = {.host = "127.0.0.1", .port = f->server.port},
        .path = "/feed",
        .bearer = "secret",
        .on_open = on_open,
        .on_line = on_line,
        .on_break = on_break,
        .ctx = f,
    };
    f->stream = line_stream_new(&params);
}

static void tear_down(struct fixture *f)
{
    line_stream_free(f->stream);
    server_stop(&f->server);
    http_pool_free(f->pool);
    loop_free(f->loop);
    buf_fini(&f->trace);
}

static void test_lines_across_reads(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = NULL}};
    struct fixture f;
    set_up(&f, replies, 1);
    RUN_UNTIL(f.loop, f.server.answered == 1);
    assert_non_null(strstr(f.server.seen.ptr, "GET /feed HTTP/1.1\r\n"));
    assert_non_null(strstr(f.server.seen.ptr, "Authorization: Bearer secret\r\n"));
    server_dribble(&f.server.conns[0], HEAD "3\r\nab\n\r\n1\r\n\n\r\n8\r\nc\r\nd\n\ne\n\r\n");
    RUN_UNTIL(f.loop, f.lines == 4);
    assert_string_equal(f.trace.ptr, "ab|c|d|e|");
    server_send(&f.server.conns[0], "B\r\nf\ng\nh\n\n\ni\nj\r\n");
    server_send(&f.server.conns[0], "2\r\nk\n\r\n");
    RUN_UNTIL(f.loop, f.lines == 9);
    assert_string_equal(f.trace.ptr, "ab|c|d|e|f|g|h|i|jk|");
    assert_int_equal(f.opens, 1);
    assert_int_equal(f.breaks, 0);
    tear_down(&f);
}

static void test_breaks_are_told_with_their_reason(void **state)
{
    (void)state;
    static const struct {
        struct reply reply;
        unsigned status, opens;
        const char *text;
    } cases[] = {
        {{.bytes = "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"}, 401, 0, "401"},
        {{.bytes = "HTTP/1.1 204 No\r\n\r\n"}, 204, 0, "204"},
        {{.closes = true}, 0, 0, "without a response"},
        {{.bytes = HEAD "0\r\n\r\n"}, 0, 1, "ended the stream"},
        {{.bytes = HEAD "1\r\na", .closes = true}, 0, 1, "in the middle"},
        {{.bytes = "nonsense\r\n"}, 0, 0, "broken response"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        set_up(&f, &cases[i].reply, 1);
        RUN_UNTIL(f.loop, f.breaks == 1);
        assert_int_equal(f.status, cases[i].status);
        assert_int_equal(f.opens, cases[i].opens);
        assert_non_null(strstr(f.text.text, cases[i].text));
        assert_int_equal(f.lines, 0);
        tear_down(&f);
    }
}

static void test_retries_back_off_until_a_line_comes(void **state)
{
    (void)state;
    static const int64_t delays[] = {200, 400, 800, 1600, 3200, 5000, 5000};
    enum { REFUSED = ARRAY_LEN(delays) };
    struct reply replies[REFUSED + 2];
    for (size_t i = 0; i < REFUSED; i++)
        replies[i] = (struct reply){.closes = true};
    replies[REFUSED] = (struct reply){.bytes = HEAD "2\r\na\n\r\n0\r\n\r\n"};
    replies[REFUSED + 1] = (struct reply){.bytes = HEAD "2\r\nb\n\r\n"};
    struct fixture f;
    set_up(&f, replies, REFUSED + 2);
    for (unsigned i = 0; i < REFUSED; i++) {
        RUN_UNTIL(f.loop, f.breaks == i + 1);
        unsigned answered = f.server.answered;
        pass_ms(f.loop, delays[i] - 1);
        for (int k = 0; k < 10; k++)
            turn(f.loop); /* enough for a connection that was begun to show */
        assert_int_equal(f.server.answered, answered);
        pass_ms(f.loop, 1);
        RUN_UNTIL(f.loop, f.server.answered == answered + 1);
    }
    RUN_UNTIL(f.loop, f.breaks == REFUSED + 1);
    assert_string_equal(f.trace.ptr, "a|");
    pass_ms(f.loop, LINES_RETRY_MIN_MS);
    RUN_UNTIL(f.loop, f.lines == 2);
    assert_string_equal(f.trace.ptr, "a|b|");
    tear_down(&f);
}

static void test_line_that_was_cut_is_not_joined_to_the_next_stream(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = HEAD "5\r\na\nbro\r\n", .closes = true},
                                           {.bytes = HEAD "4\r\nken\n\r\n"}};
    struct fixture f;
    set_up(&f, replies, 2);
    RUN_UNTIL(f.loop, f.breaks == 1);
    pass_ms(f.loop, LINES_RETRY_MIN_MS);
    RUN_UNTIL(f.loop, f.lines == 2);
    assert_string_equal(f.trace.ptr, "a|ken|");
    tear_down(&f);
}

static void test_silence_breaks_and_heartbeats_do_not(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = HEAD "2\r\na\n\r\n"}};
    struct fixture f;
    set_up(&f, replies, 1);
    RUN_UNTIL(f.loop, f.lines == 1);
    for (int i = 0; i < 5; i++) {
        pass_ms(f.loop, LINES_SILENCE_MS - 1);
        server_send(&f.server.conns[0], "1\r\n\n\r\n");
        turn(f.loop);
        turn(f.loop);
        assert_int_equal(f.breaks, 0);
    }
    pass_ms(f.loop, LINES_SILENCE_MS);
    assert_int_equal(f.breaks, 1);
    assert_non_null(strstr(f.text.text, "sent nothing for 15000 ms"));
    RUN_UNTIL(f.loop, f.server.closed == 1);
    tear_down(&f);
}

static void test_line_that_is_too_long_breaks(void **state)
{
    (void)state;
    static const struct {
        size_t length; /* of the line, its end not counted */
        unsigned lines, breaks;
    } cases[] = {{LINES_LINE_MAX, 1, 0}, {LINES_LINE_MAX + 1, 0, 1}};
    static const struct reply replies[] = {{.bytes = "HTTP/1.1 200 OK\r\n\r\n"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        set_up(&f, replies, 1);
        RUN_UNTIL(f.loop, f.opens == 1);
        auto_free char *line = mem_alloc(cases[i].length + 1);
        memset(line, 'x', cases[i].length);
        line[cases[i].length] = '\n';
        size_t sent = 0;
        while (f.lines + f.breaks == 0) {
            struct iovec part = {line + sent, cases[i].length + 1 - sent};
            ssize_t n = part.iov_len ? stream_write(f.server.conns[0].stream, &part, 1) : 0;
            sent += n > 0 ? (size_t)n : 0;
            turn(f.loop);
        }
        assert_int_equal(f.lines, cases[i].lines);
        assert_int_equal(f.breaks, cases[i].breaks);
        tear_down(&f);
    }
}

static void test_stream_freed_in_its_callbacks(void **state)
{
    (void)state;
    static const char *const places[] = {"open", "line", "break"};
    static const struct reply replies[] = {{.bytes = HEAD "4\r\na\nb\n\r\n0\r\n\r\n"}};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct fixture f;
        set_up(&f, replies, 1);
        f.free_at = places[i];
        RUN_UNTIL(f.loop, f.stream == NULL);
        pass_ms(f.loop, LINES_RETRY_MAX_MS);
        turn(f.loop);
        assert_int_equal(f.lines, i);
        assert_int_equal(f.server.accepted, 1);
        tear_down(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_across_reads),
        cmocka_unit_test(test_breaks_are_told_with_their_reason),
        cmocka_unit_test(test_retries_back_off_until_a_line_comes),
        cmocka_unit_test(test_line_that_was_cut_is_not_joined_to_the_next_stream),
        cmocka_unit_test(test_silence_breaks_and_heartbeats_do_not),
        cmocka_unit_test(test_line_that_is_too_long_breaks),
        cmocka_unit_test(test_stream_freed_in_its_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
