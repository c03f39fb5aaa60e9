/* SPDX-License-Identifier: Apache-2.0 */
#include "app/instances.h"

#include "base/clock.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { POLL_MS = 200, FAILURES_MAX = 3 };

int model_id_by_name(struct cli *cli, const char *name, int64_t *ret, struct err *err)
{
    auto_fini(json_release) json_t *model = NULL;
    int rc = cli_find(cli, "/v2/models", "name", name, &model, err);
    if (rc == 0)
        *ret = json_member_int(model, "id", 0);
    return rc;
}

/* Prints "NAME: state, message" once per change; `seen` remembers what was printed. */
static void tell(struct string_map *seen, const json_t *instance)
{
    const char *name = json_member_string(instance, "name");
    const char *message = json_member_string(instance, "state_message");
    auto_free char *text = mem_printf("%s%s%s", json_member_string(instance, "state"),
                                      message && *message ? ": " : "", message ? message : "");
    const char *before = string_map_get(seen, name);
    if (before && strcmp(before, text) == 0)
        return;
    string_map_set(seen, name, text);
    fprintf(stderr, "%s: %s\n", name, text);
}

struct progress {
    int64_t wanted, running;
    bool has_failed; /* an instance has failed for good, or often, or its files aren't there */
    char *fault;     /* what the first instance in error says; owned, NULL when none is */
};

/* Whether that goes away when somebody changes something, and not before. */
static bool is_final(const char *reason)
{
    static const char *const words[] = {"model_missing", "bad_parameters", "file_missing",
                                        "hub_refused"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(reason, words[i]) == 0)
            return true;
    return false;
}

static int look(struct cli *cli, int64_t model_id, struct string_map *seen, struct progress *ret,
                struct err *err)
{
    auto_free char *model_path = mem_printf("/v2/models/%lld", (long long)model_id);
    auto_free char *path = mem_printf("%s/instances", model_path);
    auto_fini(json_release) json_t *model = NULL, *instances = NULL;
    int rc = cli_call(cli, HTTP_GET, model_path, NULL, &model, err);
    if (rc == 0)
        rc = cli_list(cli, path, &instances, err);
    if (rc < 0)
        return rc;
    *ret = (struct progress){.wanted = json_member_int(model, "replicas", 0)};
    size_t i;
    json_t *instance;
    json_array_foreach(instances, i, instance) {
        const char *state = json_member_string(instance, "state");
        tell(seen, instance);
        ret->running += strcmp(state, "running") == 0;
        const char *reason = json_member_string(instance, "state_reason");
        bool is_missing = reason && is_final(reason);
        bool gives_up = is_missing || !json_is_true(json_object_get(model, "restart_on_error")) ||
                        json_member_int(instance, "restart_count", 0) >= FAILURES_MAX;
        if (strcmp(state, "error") != 0 && !is_missing)
            continue;
        ret->has_failed = ret->has_failed || gives_up;
        if (!ret->fault)
            ret->fault = mem_strdup(json_member_string(instance, "state_message"));
    }
    return 0;
}

static void pause_ms(int ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&ts, NULL);
}

/* 1 when all run, 0 to wait on, or why it won't come to that. */
static int judge(const struct progress *progress, bool is_late, struct err *err)
{
    const char *fault = progress->fault ? progress->fault : "no reason was told";
    if (progress->has_failed)
        return err_set(err, ERR_UNAVAILABLE, "it does not start: %s", fault);
    if (progress->running >= progress->wanted)
        return 1;
    if (is_late)
        return err_set(err, ERR_UNAVAILABLE, "%lld of %lld replicas run%s%s",
                       (long long)progress->running, (long long)progress->wanted,
                       progress->fault ? ": " : " when the time is over",
                       progress->fault ? progress->fault : "");
    return 0;
}

int model_wait(struct cli *cli, int64_t model_id, int64_t timeout_ms, struct err *err)
{
    struct string_map seen = {0};
    int64_t deadline = clock_mono_ms(&clock_system) + timeout_ms;
    int rc;
    for (;;) {
        struct progress progress = {0};
        rc = look(cli, model_id, &seen, &progress, err);
        if (rc == 0)
            rc = judge(&progress, timeout_ms && clock_mono_ms(&clock_system) > deadline, err);
        free(progress.fault);
        if (rc != 0)
            break;
        pause_ms(POLL_MS);
    }
    string_map_fini(&seen);
    return rc < 0 ? rc : 0;
}

char *bytes_text(const json_t *holder, const char *key)
{
    int64_t bytes = json_member_int(holder, key, -1);
    return bytes < 0 ? mem_strdup("-") : num_format_bytes((uint64_t)bytes);
}

char *age_since(const char *time_text)
{
    struct tm tm = {0};
    if (!time_text || !strptime(time_text, "%Y-%m-%dT%H:%M:%S", &tm))
        return mem_strdup("-");
    int64_t seconds = clock_wall_ms(&clock_system) / 1000 - (int64_t)timegm(&tm);
    seconds = seconds < 0 ? 0 : seconds;
    if (seconds < 120)
        return mem_printf("%llds", (long long)seconds);
    if (seconds < 7200)
        return mem_printf("%lldm", (long long)(seconds / 60));
    if (seconds < 48 * 3600)
        return mem_printf("%lldh", (long long)(seconds / 3600));
    return mem_printf("%lldd", (long long)(seconds / 86400));
}
