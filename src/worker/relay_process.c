/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance's engine was started with, over HTTP. */
#include "worker/relay_priv.h"

static void put_number(struct json_writer *w, const char *key, int64_t number)
{
    json_add_key(w, key);
    if (number > 0)
        json_add_int(w, number);
    else
        json_add_null(w);
}

/* A member of the note as it is. */
static void put_noted(struct json_writer *w, const json_t *note, const char *key)
{
    const json_t *value = json_object_get(note, key);
    json_add_key(w, key);
    if (value)
        json_add_tree(w, value);
    else
        json_add_null(w);
}

static void write_process(const struct runner *runner, struct json_writer *w)
{
    const struct engine_record *record = &runner->record;
    const char *ranks = runner->wanted.ranks;
    auto_fini(json_release) json_t *note = NULL;
    if (record->launch_note && json_read(str_of(record->launch_note), &note, NULL) < 0)
        note = NULL; /* of a file that somebody changed */
    json_begin_object(w);
    put_noted(w, note, "command");
    put_noted(w, note, "env");
    put_noted(w, note, "working_dir");
    put_number(w, "pid", runner->process ? record->pid : 0);
    json_add_key(w, "started_at");
    json_add_time(w, record->started_at);
    json_put_string(w, "worker", runner->host->node->name);
    put_number(w, "port", runner_port(runner));
    json_add_key(w, "run");
    if (record->run >= 0)
        json_add_int(w, record->run);
    else
        json_add_null(w);
    json_put_int(w, "rank", record->rank);
    json_add_key(w, "ranks");
    json_add_raw(w, ranks ? str_of(ranks) : STR("[]"));
    json_end_object(w);
}

void relay_process(struct http_exchange *ex, const struct runner *runner)
{
    struct buf body = {0};
    struct json_writer w = json_writer_into(&body);
    write_process(runner, &w);
    const struct http_header type = {STR("Content-Type"), STR("application/json")};
    http_reply(ex, 200, &type, 1, buf_str(&body));
    buf_fini(&body);
}
