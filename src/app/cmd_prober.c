/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack prober`: detects devices round after round and prints each round as a JSON line. */
#include "accel/accel.h"
#include "app/app.h"
#include "app/command.h"
#include "worker/prober.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

struct prober_options {
    const char *fake_devices;
    bool once;
    bool help;
};

static int parse(int argc, char **argv, struct prober_options *ret, struct err *err)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--fake-devices") == 0 && i + 1 < argc)
            ret->fake_devices = argv[++i];
        else if (strcmp(argv[i], "--once") == 0)
            ret->once = true;
        else if (strcmp(argv[i], "--help") == 0)
            ret->help = true;
        else
            return err_set(err, ERR_INVALID,
                           "unexpected argument \"%s\"; --fake-devices FILE and --once are allowed",
                           argv[i]);
    }
    return 0;
}

static void detect(const struct prober_options *options, struct buf *line)
{
    struct accel_options accel = {.fake_file = options->fake_devices};
    struct device_list devices = {0};
    struct err err = {0};
    int rc = accel_detect(&accel, &devices, &err);
    prober_write_line(rc < 0 ? NULL : &devices, rc != 0 ? err.text : NULL, line);
    buf_add_char(line, '\n');
    device_list_fini(&devices);
}

static int print(struct str text)
{
    while (text.len) {
        ssize_t n = write(STDOUT_FILENO, text.ptr, text.len);
        if (n < 0 && errno != EINTR)
            return -errno;
        text = str_skip(text, n < 0 ? 0 : (size_t)n);
    }
    return 0;
}

/* Bytes on stdin are requests for a round. */
struct requests {
    bool is_open;   /* stdin may bring some */
    uint64_t count; /* that have come */
    uint64_t answered;
};

/* Waits for a request or `wait_ms`, and takes all that have come. */
static void await_requests(struct requests *requests, int wait_ms)
{
    struct pollfd fd = {.fd = requests->is_open ? STDIN_FILENO : -1, .events = POLLIN};
    char bytes[256];
    if (poll(&fd, 1, wait_ms) <= 0)
        return;
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    if (n > 0)
        requests->count += (uint64_t)n;
    else if (n == 0 || errno != EINTR)
        requests->is_open = false;
}

/* A round; it answers all requests that came before it. */
static int round_once(const struct prober_options *options, struct requests *requests)
{
    struct buf line = {0};
    uint64_t count = requests->count;
    detect(options, &line);
    if (count > requests->answered) {
        prober_write_answer(count, &line);
        buf_add_char(&line, '\n');
        requests->answered = count;
    }
    int rc = print(buf_str(&line));
    buf_fini(&line);
    return rc;
}

int cmd_prober(int argc, char **argv)
{
    struct prober_options options = {0};
    struct err err = {0};
    if (parse(argc, argv, &options, &err) < 0)
        return app_usage_error("prober", &err);
    if (options.help) {
        puts("Usage: gpustack prober [--fake-devices FILE] [--once]");
        return APP_OK;
    }
    struct requests requests = {.is_open = !options.once && !isatty(STDIN_FILENO)};
    int rc = round_once(&options, &requests);
    while (rc == 0 && !options.once) {
        await_requests(&requests, PROBER_ROUND_MS);
        rc = round_once(&options, &requests);
    }
    return rc == 0 ? APP_OK : APP_FAILURE;
}
