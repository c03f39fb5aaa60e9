/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/load/load.h"

#include "base/num.h"

#include <stdio.h>

enum { TEXT_MAX = 4 << 20 };

static const char *const error_names[ERROR_COUNT] = {
    [ERROR_CONNECT] = "connect", [ERROR_RESET] = "reset",   [ERROR_CUT] = "cut",
    [ERROR_BAD] = "bad",         [ERROR_STATUS] = "status", [ERROR_EVENTS] = "events",
};

/* ---- phases: warm-up, measure, end ---- */

static void begin_measure(struct load *load)
{
    load->is_measuring = true;
    load->figures = (struct load_figures){.connects = load->figures.connects};
    load->cpu_ns = cpu_of_processes(load->pids, load->pid_count);
    load->core_ns = load->core >= 0 ? cpu_of_core(load->core) : 0;
    load->measured_from_ns = poller_clock();
}

static void end_measure(struct load *load)
{
    load->measured_ns = poller_clock() - load->measured_from_ns;
    load->cpu_ns = cpu_of_processes(load->pids, load->pid_count) - load->cpu_ns;
    load->core_ns = load->core >= 0 ? cpu_of_core(load->core) - load->core_ns : 0;
    load->is_measuring = false;
    load->is_over = true;
}

static void on_phase(struct alarm *alarm)
{
    struct load *load = CONTAINER_OF(alarm, struct load, phase);
    if (load->is_measuring) {
        end_measure(load);
        poller_stop(&load->poller);
        return;
    }
    begin_measure(load);
    if (!load->most_requests)
        poller_alarm(&load->poller, &load->phase, load->measured_from_ns + load->measure_ns);
}

bool load_takes_request(struct load *load)
{
    if (load->is_over || (load->most_requests && load->started == load->most_requests))
        return false;
    load->started++;
    return true;
}

void load_client_is_done(struct load *load)
{
    if (--load->active > 0 || load->is_over)
        return;
    end_measure(load);
    poller_stop(&load->poller);
}

/* ---- arguments ---- */

static int wrong(const char *name, const char *value)
{
    fprintf(stderr, "load-generator: wrong value of %s: %s\n", name, value);
    return -1;
}

static int read_ms(struct str value, int64_t unit_ns, int64_t *ret)
{
    int rc = num_parse_i64(value, 0, 100000000, ret);
    *ret *= unit_ns;
    return rc;
}

struct texts {
    const char *path, *body;
    const char *headers[LOAD_HEADERS_MAX];
    size_t header_count;
    int64_t pad;
};

static int read_int(struct str value, int64_t max, int *ret)
{
    int64_t number;
    int rc = num_parse_i64(value, 0, max, &number);
    if (rc == 0)
        *ret = (int)number;
    return rc;
}

static int read_text_argument(struct texts *texts, const char *name, const char *value)
{
    if (strcmp(name, "--path") == 0)
        texts->path = value;
    else if (strcmp(name, "--body") == 0)
        texts->body = value;
    else if (strcmp(name, "--pad") == 0)
        return num_parse_i64(str_of(value), 0, TEXT_MAX, &texts->pad);
    else if (strcmp(name, "--header") == 0 && texts->header_count < LOAD_HEADERS_MAX)
        texts->headers[texts->header_count++] = value;
    else
        return -1;
    return 0;
}

static int read_argument(struct load *load, struct texts *texts, const char *name,
                         const char *text)
{
    struct str value = str_of(text);
    int64_t number = 0;
    if (strcmp(name, "--port") == 0)
        return read_int(value, 65535, &load->port);
    if (strcmp(name, "-c") == 0)
        return read_int(value, 1000000, &load->clients);
    if (strcmp(name, "--core") == 0)
        return read_int(value, 4096, &load->core);
    if (strcmp(name, "--pid") == 0 && load->pid_count < CPU_PIDS_MAX)
        return read_int(value, INT32_MAX, &load->pids[load->pid_count++]);
    if (strcmp(name, "--ramp-ms") == 0)
        return read_ms(value, NS_PER_MS, &load->ramp_ns);
    if (strcmp(name, "--align-ms") == 0)
        return read_ms(value, NS_PER_MS, &load->align_ns);
    if (strcmp(name, "--warmup") == 0)
        return read_ms(value, NS_PER_S, &load->warmup_ns);
    if (strcmp(name, "--seconds") == 0)
        return read_ms(value, NS_PER_S, &load->measure_ns);
    if (strcmp(name, "--requests") == 0)
        return num_parse_i64(value, 1, INT64_MAX, &load->most_requests);
    if (strcmp(name, "--events") == 0)
        return num_parse_i64(value, 0, INT64_MAX, &load->events);
    if (strcmp(name, "--rate") == 0 && num_parse_i64(value, 1, 10000000, &number) == 0) {
        load->rate = (double)number;
        return 0;
    }
    return read_text_argument(texts, name, text);
}

static int read_arguments(struct load *load, struct texts *texts, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (read_argument(load, texts, argv[i], value) < 0)
            return wrong(argv[i], value);
    }
    return 0;
}

/* ---- the request ---- */

/* The body with "PAD" replaced by so many bytes. */
static void make_body(const struct texts *texts, struct buf *out)
{
    static const char filling[] = "The quick brown fox jumps over the lazy dog and runs away. ";
    const char *mark = texts->body ? strstr(texts->body, "PAD") : NULL;
    if (!mark) {
        buf_add_cstr(out, texts->body ? texts->body : "");
        return;
    }
    buf_add(out, texts->body, (size_t)(mark - texts->body));
    for (int64_t left = texts->pad; left > 0; left -= (int64_t)sizeof filling - 1)
        buf_add(out, filling,
                left < (int64_t)sizeof filling - 1 ? (size_t)left : sizeof filling - 1);
    buf_add_cstr(out, mark + 3);
}

static void make_request(const struct texts *texts, struct buf *out)
{
    struct buf body = {0};
    make_body(texts, &body);
    buf_printf(out, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", texts->body ? "POST" : "GET",
               texts->path);
    for (size_t i = 0; i < texts->header_count; i++)
        buf_printf(out, "%s\r\n", texts->headers[i]);
    if (texts->body)
        buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.len);
    buf_add_cstr(out, "\r\n");
    buf_add_str(out, buf_str(&body));
    buf_fini(&body);
}

/* ---- the report ---- */

static void report(const struct load *load)
{
    const struct load_figures *figures = &load->figures;
    struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    json_begin_object(&w);
    json_put_int(&w, "requests", (int64_t)figures->requests);
    json_put_int(&w, "ok", (int64_t)figures->ok);
    json_add_key(&w, "errors");
    json_begin_object(&w);
    for (int i = 0; i < ERROR_COUNT; i++)
        json_put_int(&w, error_names[i], (int64_t)figures->errors[i]);
    json_end_object(&w);
    json_put_int(&w, "events", figures->events);
    json_put_int(&w, "body_bytes", (int64_t)figures->body_bytes);
    json_put_int(&w, "connects", (int64_t)figures->connects);
    json_put_int(&w, "ns", load->measured_ns);
    json_put_int(&w, "cpu_ns", load->cpu_ns);
    json_put_int(&w, "core_ns", load->core_ns);
    json_add_key(&w, "latency");
    histogram_write(&figures->latency, &w);
    json_add_key(&w, "first");
    histogram_write(&figures->first, &w);
    json_add_key(&w, "late");
    histogram_write(&figures->late, &w);
    json_end_object(&w);
    printf("%s\n", out.ptr);
    buf_fini(&out);
}

int main(int argc, char **argv)
{
    struct load *load = mem_alloc(sizeof *load);
    struct texts texts = {.path = "/v1/chat/completions"};
    *load = (struct load){.clients = 1, .core = -1, .events = -1, .measure_ns = NS_PER_S};
    if (read_arguments(load, &texts, argc, argv) < 0)
        return 2;
    make_request(&texts, &load->request);
    poller_init(&load->poller);
    load->begun_ns = poller_clock();
    load->phase.cb = on_phase;
    poller_alarm(&load->poller, &load->phase, load->begun_ns + load->warmup_ns);
    for (int i = 0; i < load->clients; i++)
        client_start(load, i);
    poller_run(&load->poller);
    report(load);
    return load->figures.ok ? 0 : 1;
}
