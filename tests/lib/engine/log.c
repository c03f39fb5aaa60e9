/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/engine/log.h"

#include "base/json.h"
#include "base/random.h"

static const char *const end_names[] = {
    [END_OPEN] = "open",     [END_DONE] = "done", [END_CUT] = "cut",
    [END_CLIENT] = "client", [END_BAD] = "bad",
};

static void entry_unref(struct log_entry *entry)
{
    if (--entry->refs > 0)
        return;
    free(entry->method);
    free(entry->path);
    free(entry->headers);
    free(entry->script);
    free(entry->body);
    free(entry);
}

static void keep(struct log *log, struct log_entry *entry)
{
    if (log->count == LOG_ENTRIES_MAX)
        return;
    if (log->count == log->cap) {
        log->cap = log->cap * 2 + 64;
        log->entries = mem_resize(log->entries, log->cap * sizeof log->entries[0]);
    }
    log->entries[log->count++] = entry;
    entry->refs++;
}

/* Names in lower case; of two of the same name the last one counts for a reader. */
static char *headers_json(const struct request *request)
{
    struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    json_begin_object(&w);
    for (size_t i = 0; i < request->header_count; i++) {
        auto_free char *name = str_dup(request->headers[i].name);
        for (char *c = name; *c; c++)
            *c |= *c >= 'A' && *c <= 'Z' ? 0x20 : 0;
        json_add_key(&w, name);
        json_add_string(&w, request->headers[i].value);
    }
    json_end_object(&w);
    return buf_take(&out);
}

struct log_entry *log_begin(struct log *log, const struct request *request, bool is_counted)
{
    struct log_entry *entry = mem_alloc(sizeof *entry);
    entry->refs = 1;
    entry->is_counted = is_counted;
    if (!is_counted)
        return entry;
    entry->number = ++log->requests;
    entry->concurrent = ++log->in_progress;
    if (log->is_on) {
        entry->method = str_dup(request->method);
        entry->path = str_dup(request->path);
        entry->headers = headers_json(request);
        keep(log, entry);
    }
    return entry;
}

void log_whole(struct log *log, struct log_entry *entry, struct request *request)
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    entry->body_bytes = request->body_bytes;
    if (!log->is_on || !entry->is_counted || !request->is_looked_at)
        return;
    crypto_hash_sha256_final(&request->hash, digest);
    hex_encode(digest, sizeof digest, entry->digest);
    struct str body = buf_str(&request->body);
    if (body.len <= LOG_BODY_MAX)
        entry->body = str_dup(body);
}

static void add_up(struct log *log, const struct log_entry *entry)
{
    log->in_progress--;
    log->done += entry->end == END_DONE;
    log->cut += entry->end == END_CUT;
    log->client_closed += entry->end == END_CLIENT;
    log->prompt_tokens += entry->prompt_tokens;
    log->completion_tokens += entry->completion_tokens;
}

void log_end(struct log *log, struct log_entry *entry, enum log_end end, int64_t now_ns)
{
    entry->end = end;
    entry->ended_ns = now_ns;
    if (entry->is_counted)
        add_up(log, entry);
    entry_unref(entry);
}

void log_reset(struct log *log)
{
    for (size_t i = 0; i < log->count; i++)
        entry_unref(log->entries[i]);
    free(log->entries);
    *log = (struct log){.is_on = log->is_on, .in_progress = log->in_progress};
}

static void write_entry(const struct log_entry *entry, struct json_writer *w)
{
    json_begin_object(w);
    json_put_int(w, "number", (int64_t)entry->number);
    json_put_int(w, "connection", (int64_t)entry->connection);
    json_put_int(w, "on_connection", entry->on_connection);
    json_put_string(w, "method", entry->method);
    json_put_string(w, "path", entry->path);
    json_add_key(w, "headers");
    json_add_raw(w, str_of(entry->headers));
    json_put_string(w, "script", entry->script);
    json_put_string(w, "body", entry->body);
    json_put_int(w, "body_bytes", (int64_t)entry->body_bytes);
    json_put_string(w, "digest", entry->digest);
    json_put_int(w, "concurrent", entry->concurrent);
    json_put_int(w, "started_ns", entry->started_ns);
    json_put_int(w, "whole_ns", entry->whole_ns);
    json_put_int(w, "head_ns", entry->head_ns);
    json_put_int(w, "ended_ns", entry->ended_ns);
    json_put_int(w, "status", entry->status);
    json_put_int(w, "events", entry->events);
    json_put_int(w, "prompt_tokens", entry->prompt_tokens);
    json_put_int(w, "completion_tokens", entry->completion_tokens);
    json_put_string(w, "end", end_names[entry->end]);
    json_end_object(w);
}

void log_write(const struct log *log, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    json_add_key(&w, "requests");
    json_begin_array(&w);
    for (size_t i = 0; i < log->count; i++)
        write_entry(log->entries[i], &w);
    json_end_array(&w);
    json_end_object(&w);
}

void log_write_totals(const struct log *log, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    json_put_int(&w, "requests", (int64_t)log->requests);
    json_put_int(&w, "done", (int64_t)log->done);
    json_put_int(&w, "cut", (int64_t)log->cut);
    json_put_int(&w, "client_closed", (int64_t)log->client_closed);
    json_put_int(&w, "in_progress", log->in_progress);
    json_put_int(&w, "connections", (int64_t)log->connections);
    json_put_int(&w, "prompt_tokens", log->prompt_tokens);
    json_put_int(&w, "completion_tokens", log->completion_tokens);
    json_end_object(&w);
}
