/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack prober`: detects devices round after round and prints each round as a JSON line. */
#include "accel/accel.h"
#include "app/app.h"
#include "app/command.h"
#include "worker/prober.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

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
    const struct timespec pause = {.tv_sec = PROBER_ROUND_MS / 1000};
    struct buf line = {0};
    int rc;
    do {
        buf_clear(&line);
        detect(&options, &line);
        rc = print(buf_str(&line));
    } while (rc == 0 && !options.once && nanosleep(&pause, NULL) == 0);
    buf_fini(&line);
    return rc == 0 ? APP_OK : APP_FAILURE;
}
