/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/prober.h"

#include "base/log.h"
#include "base/num.h"
#include "proc/process.h"
#include "proc/spawn.h"

#include <errno.h>
#include <fcntl.h>

/* ---- lines ---- */

int prober_read_line(struct str line, struct device_list *ret, char **ret_fault, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    int rc = json_read(line, &root, err);
    if (rc < 0)
        return rc;
    const char *fault = json_member_string(root, "fault");
    const json_t *devices = json_object_get(root, "devices");
    if (!devices && fault)
        return err_set(err, ERR_UNAVAILABLE, "%s", fault);
    if (!json_is_array(devices))
        return err_set(err, ERR_INVALID, "devices must be an array");
    rc = device_list_read(devices, ret, err);
    if (rc < 0)
        return rc;
    *ret_fault = mem_strdup(fault);
    return 0;
}

void prober_write_line(const struct device_list *devices, const char *fault, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    if (devices) {
        json_add_key(&w, "devices");
        device_list_write(devices, &w);
    }
    if (fault)
        json_put_string(&w, "fault", fault);
    json_end_object(&w);
}

static const struct str answer_head = {"{\"answers\":", 11};

void prober_write_answer(uint64_t answers, struct buf *out)
{
    buf_add_str(out, answer_head);
    buf_add_uint(out, answers);
    buf_add_char(out, '}');
}

/* ---- the child ---- */

struct prober {
    struct loop *loop;
    const char *const *argv;
    void (*on_answer)(void *ctx);
    void *ctx;
    struct process *process; /* NULL: none runs */
    int pipe;                /* its stdout; -1: none */
    int requests;            /* its stdin; -1: none */
    uint64_t asked;          /* rounds that were asked for, of all children together */
    uint64_t answered;       /* of them */
    uint64_t asked_before;   /* this child was started: its first round answers them */
    struct watch *watch;     /* of the pipe */
    struct buf input;        /* the line that is coming */
    struct timer timer;      /* silence while a child runs, else its restart */
    int64_t restart_ms;      /* delay of the next restart */
    struct device_list devices;
    char *last_line;  /* owned; NULL before the first */
    char *last_fault; /* owned; that was logged */
};

static void close_pipe(struct prober *prober)
{
    watch_free(TAKE(prober->watch));
    if (prober->pipe >= 0)
        close(prober->pipe);
    if (prober->requests >= 0)
        close(prober->requests);
    prober->pipe = prober->requests = -1;
    buf_clear(&prober->input);
}

/* One log line per change of cause. */
static void tell_fault(struct prober *prober, const char *fault)
{
    bool is_same = fault && prober->last_fault && strcmp(fault, prober->last_fault) == 0;
    if (fault && !is_same)
        log_warning("prober", "%s", fault);
    else if (!fault && prober->last_fault)
        log_info("prober", "works again, %zu devices", prober->devices.count);
    mem_replace(&prober->last_fault, fault);
}

static bool take_answer(struct prober *prober, struct str line)
{
    uint64_t answers = 0;
    if (!str_has_prefix(line, answer_head) || line.len <= answer_head.len + 1 ||
        num_parse_u64(str_sub(line.ptr + answer_head.len, line.len - answer_head.len - 1),
                      &answers) < 0)
        return false;
    if (answers <= prober->asked - prober->asked_before)
        prober->answered = prober->asked_before + answers;
    prober->on_answer(prober->ctx);
    return true;
}

static void take_line(struct prober *prober, struct str line)
{
    timer_start(&prober->timer, PROBER_SILENCE_MS);
    prober->restart_ms = PROBER_RESTART_MIN_MS;
    if (take_answer(prober, line))
        return;
    bool is_first = prober->answered < prober->asked_before;
    if (is_first)
        prober->answered = prober->asked_before;
    if (!is_first && prober->last_line && str_eq(str_of(prober->last_line), line))
        return;
    struct device_list devices = {0};
    auto_free char *fault = NULL;
    struct err err = {0};
    int rc = prober_read_line(line, &devices, &fault, &err);
    if (rc == 0) {
        device_list_fini(&prober->devices);
        prober->devices = devices;
    }
    tell_fault(prober, rc < 0 ? err.text : fault);
    free(prober->last_line);
    prober->last_line = str_dup(line);
    prober->on_answer(prober->ctx);
}

static void take_input(struct prober *prober)
{
    for (;;) {
        struct str all = buf_str(&prober->input);
        size_t at = str_find(all, '\n');
        if (at == all.len)
            return;
        take_line(prober, str_sub(all.ptr, at));
        buf_drop(&prober->input, at + 1);
    }
}

/* It has nothing to finish, and hung in a driver it wouldn't listen: no grace. */
static void replace_child(struct prober *prober, const char *why)
{
    tell_fault(prober, why);
    close_pipe(prober);
    process_stop(prober->process, 0);
}

/* Takes what stands in the pipe: bytes, 0 at its end, or -errno. */
static ssize_t read_pipe(struct prober *prober)
{
    enum { STEP = 16 << 10 };
    ssize_t n = read(prober->pipe, buf_reserve(&prober->input, STEP), STEP);
    if (n <= 0)
        return n < 0 ? -errno : 0;
    buf_grew(&prober->input, (size_t)n);
    take_input(prober);
    return n;
}

static void on_pipe(struct watch *watch, unsigned events, void *ctx)
{
    struct prober *prober = ctx;
    ssize_t n = read_pipe(prober);
    if (n == -EAGAIN || n == -EINTR)
        return;
    if (n <= 0) { /* it is about to end, which will tell more */
        close_pipe(prober);
        timer_start(&prober->timer, PROBER_RESTART_MIN_MS);
    } else if (prober->input.len > PROBER_LINE_MAX) {
        replace_child(prober, "the prober's line is too long");
    }
}

static void restart_later(struct prober *prober)
{
    timer_start(&prober->timer, prober->restart_ms);
    prober->restart_ms *= 2;
    if (prober->restart_ms > PROBER_RESTART_MAX_MS)
        prober->restart_ms = PROBER_RESTART_MAX_MS;
}

/* Its last words may still stand in the pipe when its end is known already. */
static void hear_last_words(struct prober *prober)
{
    while (prober->pipe >= 0 && prober->input.len <= PROBER_LINE_MAX && read_pipe(prober) > 0)
        ;
}

static void on_child_exit(struct process *process, struct process_exit exit, void *ctx)
{
    struct prober *prober = ctx;
    if (!process_is_stopping(process))
        hear_last_words(prober);
    auto_free char *text = process_exit_text(exit);
    if (!process_is_stopping(process))
        tell_fault(prober, text);
    process_free(TAKE(prober->process));
    close_pipe(prober);
    restart_later(prober);
}

static int start_child(struct prober *prober, int input, int output, struct err *err)
{
    const char *const *environment = (const char *const *)environ;
    struct spawn_params params = {.argv = prober->argv,
                                  .env = environment,
                                  .argv0 = "gpustack",
                                  .stdin_fd = input,
                                  .stdout_fd = output,
                                  .stderr_fd = STDERR_FILENO,
                                  .pass_fd = -1,
                                  .own_session = true, /* so that what it starts dies with it */
                                  .die_with_parent = true};
    struct proc_identity id;
    int rc = spawn(&params, &id, err);
    if (rc < 0)
        return rc;
    rc = process_watch(prober->loop, &id, on_child_exit, prober, &prober->process);
    return rc < 0 ? err_errno(err, -rc, "can't watch the prober") : 0;
}

/* Both pipes and the child; on failure what there is is closed by close_pipe(). */
static int start_with_pipes(struct prober *prober, struct err *err)
{
    int in[2], out[2];
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_errno(err, errno, "no descriptors for the prober");
    prober->pipe = out[0];
    auto_close int output = out[1];
    if (pipe2(in, O_CLOEXEC) < 0)
        return err_errno(err, errno, "no descriptors for the prober");
    prober->requests = in[1];
    auto_close int input = in[0];
    /* A child that hangs reads nothing: its pipe must not stop the loop. */
    (void)fcntl(prober->requests, F_SETFL, O_NONBLOCK);
    return start_child(prober, input, output, err);
}

static void start(struct prober *prober)
{
    struct err err = {0};
    prober->asked_before = prober->asked;
    if (start_with_pipes(prober, &err) < 0) {
        tell_fault(prober, err.text);
        close_pipe(prober);
        restart_later(prober);
        return;
    }
    prober->watch = watch_new(prober->loop, prober->pipe, on_pipe, prober);
    watch_set(prober->watch, WATCH_READ);
    timer_start(&prober->timer, PROBER_SILENCE_MS);
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct prober *prober = ctx;
    if (prober->process)
        replace_child(prober, "the prober is silent and is replaced");
    else
        start(prober);
}

/* ---- life ---- */

struct prober *prober_new(struct loop *loop, const char *const *argv, void (*on_answer)(void *ctx),
                          void *ctx)
{
    struct prober *prober = mem_alloc(sizeof *prober);
    *prober = (struct prober){.loop = loop,
                              .argv = argv,
                              .on_answer = on_answer,
                              .ctx = ctx,
                              .pipe = -1,
                              .requests = -1,
                              .restart_ms = PROBER_RESTART_MIN_MS};
    timer_init(&prober->timer, loop, on_timer, prober);
    start(prober);
    return prober;
}

void prober_free(struct prober *prober)
{
    if (!prober)
        return;
    timer_stop(&prober->timer);
    close_pipe(prober);
    if (prober->process)
        process_stop(prober->process, 0);
    process_free(prober->process);
    buf_fini(&prober->input);
    device_list_fini(&prober->devices);
    free(prober->last_line);
    free(prober->last_fault);
    free(prober);
}

const struct device_list *prober_devices(const struct prober *prober)
{
    return &prober->devices;
}

bool prober_has_answered(const struct prober *prober)
{
    return prober->last_line != NULL;
}

uint64_t prober_look(struct prober *prober)
{
    prober->asked++;
    if (prober->requests >= 0)
        (void)!write(prober->requests, "?", 1); /* should it be dead, the next one answers */
    return prober->asked;
}

bool prober_has_looked(const struct prober *prober, uint64_t look)
{
    return prober->answered >= look;
}
