/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gateway's parsers cost, each in nanoseconds an input: the best of some rounds, as the
 * machine may be busy. Numbers to look at, nothing is asserted:
 *
 *     meson test -C build/check-gcc --benchmark --verbose gateway/parsers
 */
#include "base/buf.h"
#include "gateway/multipart.h"
#include "gateway/sse.h"
#include "gateway/usage.h"

#include <stdio.h>
#include <time.h>

enum { ROUNDS = 30, ROUND_US = 3000 };

struct work {
    const char *name;
    void (*make)(struct buf *input);
    void (*run)(struct str input);
};

/* Keeps the compiler from dropping what nobody reads. */
static void keep(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* ---- inputs ---- */

static void add_messages(struct buf *out, size_t bytes, const char *sentence)
{
    buf_add_cstr(out, "{\"model\":\"qwen2.5-7b-instruct\",\"messages\":[");
    for (size_t i = 0; out->len < bytes; i++) {
        buf_printf(out, "%s{\"role\":\"%s\",\"content\":\"", i ? "," : "",
                   i % 2 ? "assistant" : "user");
        for (int j = 0; j < 3; j++)
            buf_add_cstr(out, sentence);
        buf_add_cstr(out, "\"}");
    }
    buf_add_cstr(out, "],\"temperature\":0.7,\"max_tokens\":256,\"stream\":true,"
                      "\"stream_options\":{\"include_usage\":true}}");
}

static void make_chat(struct buf *out)
{
    add_messages(out, 900, "The quick brown fox jumps over the lazy dog by the river bank. ");
}

static void make_chat_220k(struct buf *out)
{
    add_messages(out, 220 << 10, "The quick brown fox jumps over the lazy dog by the river bank. ");
}

static void make_escapes(struct buf *out)
{
    add_messages(out, 64 << 10, "if (\\\"a\\\" == b) {\\n\\tprintf(\\\"%s\\\\n\\\", c);\\n}\\n");
}

static void make_image(struct buf *out)
{
    buf_add_cstr(out, "{\"model\":\"qwen2-vl\",\"messages\":[{\"role\":\"user\",\"content\":["
                      "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,");
    for (unsigned i = 0; out->len < 2 << 20; i++)
        buf_add_char(out, (char)('A' + i * 7 % 26));
    buf_add_cstr(out, "\"}}]}],\"stream\":true}");
}

static void make_tokens(struct buf *out)
{
    buf_add_cstr(out, "{\"model\":\"a\",\"input\":[");
    for (unsigned i = 0; out->len < 100 << 10; i++)
        buf_printf(out, "%s%u", i ? "," : "", i * 7919 % 151643);
    buf_add_cstr(out, "]}");
}

static void make_form(struct buf *out)
{
    uint32_t x = 1;
    buf_add_cstr(out, "------4f2a9c\r\nContent-Disposition: form-data; name=\"file\"; "
                      "filename=\"a.wav\"\r\n\r\n");
    for (; out->len < 2 << 20; x = x * 1664525 + 1013904223)
        buf_add_char(out, (char)(x >> 24));
    buf_add_cstr(out, "\r\n------4f2a9c\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n"
                      "whisper\r\n------4f2a9c--\r\n");
}

static void make_chunk(struct buf *out)
{
    buf_add_cstr(out, "{\"id\":\"chatcmpl-6f0b1f0e8d3f4b0f8c3e\","
                      "\"object\":\"chat.completion.chunk\","
                      "\"created\":1764100000,\"model\":\"qwen2.5-7b\",\"choices\":[{\"index\":0,"
                      "\"delta\":{\"content\":\" brown\"},\"logprobs\":null,"
                      "\"finish_reason\":null}]}");
}

static void make_events(struct buf *out)
{
    for (int i = 0; i < 64; i++) {
        buf_add_cstr(out, "data: ");
        make_chunk(out);
        buf_add_cstr(out, "\n\n");
    }
}

static void make_usage(struct buf *out)
{
    make_chunk(out);
    out->len--;
    buf_add_cstr(out, ",\"usage\":{\"prompt_tokens\":1200,\"completion_tokens\":35,"
                      "\"total_tokens\":1235,\"prompt_tokens_details\":{\"cached_tokens\":1024}}}");
}

static void make_embeddings(struct buf *out)
{
    buf_add_cstr(out, "{\"object\":\"list\",\"data\":[");
    for (unsigned i = 0; out->len < 5 << 20; i++) {
        buf_printf(out, "%s{\"object\":\"embedding\",\"index\":%u,\"embedding\":[0.0",
                   i ? "," : "", i);
        for (unsigned j = 0; j < 1024; j++)
            buf_printf(out, ",-0.0%u", (i * 31 + j) * 7919 % 99991);
        buf_add_cstr(out, "]}");
    }
    buf_add_cstr(out, "],\"model\":\"bge\",\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}");
}

/* ---- the parsers ---- */

static void run_scan(struct str input)
{
    struct scan scan;
    scan_init(&scan);
    int rc = scan_feed(&scan, input, NULL);
    if (rc == 0)
        rc = scan_end(&scan, NULL);
    keep(&rc);
    keep(&scan);
}

static void run_form(struct str input)
{
    struct multipart form;
    int rc = multipart_init(&form, STR("multipart/form-data; boundary=----4f2a9c"), NULL);
    if (rc == 0)
        rc = multipart_feed(&form, input, NULL);
    keep(&rc);
    keep(&form);
}

static void run_chunk(struct str input)
{
    struct chunk_view view;
    chunk_read(input, &view);
    keep(&view);
}

static void run_usage(struct str input)
{
    struct usage usage = {0};
    usage_read(input, &usage);
    keep(&usage);
}

static void run_events(struct str input)
{
    struct sse sse = {0};
    struct sse_event event;
    sse_feed(&sse, input);
    while (sse_next(&sse, &event))
        keep(&event);
    sse_fini(&sse);
}

static const struct work works[] = {
    {"scan, chat 1 KB", make_chat, run_scan},
    {"scan, chat 220 KB", make_chat_220k, run_scan},
    {"scan, 64 KB with escapes", make_escapes, run_scan},
    {"scan, 2 MB of base64", make_image, run_scan},
    {"scan, 100 KB of token ids", make_tokens, run_scan},
    {"multipart, 2 MB of audio", make_form, run_form},
    {"sse, 64 events", make_events, run_events},
    {"chunk_read", make_chunk, run_chunk},
    {"usage_read of a chunk", make_usage, run_usage},
    {"usage of 5 MB of embeddings", make_embeddings, run_usage},
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double round_ns(const struct work *work, struct str input, unsigned times)
{
    int64_t start = now_ns();
    for (unsigned i = 0; i < times; i++)
        work->run(input);
    return (double)(now_ns() - start) / times;
}

static void measure(const struct work *work)
{
    struct buf input = {0};
    work->make(&input);
    double best = round_ns(work, buf_str(&input), 1);
    unsigned times = 1 + (unsigned)(ROUND_US * 1000 / (best + 1));
    for (int i = 0; i < ROUNDS; i++) {
        double ns = round_ns(work, buf_str(&input), times);
        best = ns < best ? ns : best;
    }
    printf("%-32s %9zu bytes %12.0f ns %8.2f GB/s\n", work->name, input.len, best,
           (double)input.len / best);
    buf_fini(&input);
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(works); i++)
        measure(&works[i]);
    return 0;
}
