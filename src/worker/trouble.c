/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/trouble.h"

#include "base/json.h"

void trouble_fini(struct trouble *fault)
{
    free(fault->args);
    free(fault->text);
    free(fault->log);
    *fault = (struct trouble){0};
}

void trouble_set(struct trouble *fault, enum reason reason, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = mem_vprintf(fmt, args);
    va_end(args);
    trouble_fini(fault);
    *fault = (struct trouble){.reason = reason, .text = text};
}

/* Writes {"key": into an object that goes on with what is there; the value is the caller's. */
static struct json_writer begin(const struct trouble *fault, const char *key, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    if (fault->args) { /* "{...}" without its braces */
        struct str before = str_of(fault->args);
        json_add_raw(&w, str_sub(before.ptr + 1, before.len - 2));
    }
    json_add_key(&w, key);
    return w;
}

static void end(struct trouble *fault, struct json_writer *w)
{
    json_end_object(w);
    free(fault->args);
    fault->args = buf_take(w->out);
}

void trouble_add_text(struct trouble *fault, const char *key, const char *value)
{
    struct buf out = {0};
    struct json_writer w = begin(fault, key, &out);
    json_add_cstring(&w, value);
    end(fault, &w);
}

void trouble_add_int(struct trouble *fault, const char *key, int64_t value)
{
    struct buf out = {0};
    struct json_writer w = begin(fault, key, &out);
    json_add_int(&w, value);
    end(fault, &w);
}

void trouble_take_log(struct trouble *fault, char *line)
{
    free(fault->log);
    fault->log = line;
    if (line)
        trouble_add_text(fault, "log", line);
}

void trouble_move(struct trouble *to, struct trouble *from)
{
    trouble_fini(to);
    *to = *from;
    *from = (struct trouble){0};
}
