/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/record.h"

const char *const operation_names[OPERATION_COUNT] = {
    [OPERATION_CHAT] = "chat",
    [OPERATION_COMPLETIONS] = "completions",
    [OPERATION_EMBEDDINGS] = "embeddings",
    [OPERATION_RERANK] = "rerank",
    [OPERATION_SCORE] = "score",
    [OPERATION_RESPONSES] = "responses",
    [OPERATION_MODERATIONS] = "moderations",
    [OPERATION_IMAGES] = "images",
    [OPERATION_SPEECH] = "speech",
    [OPERATION_TRANSCRIPTIONS] = "transcriptions",
    [OPERATION_TRANSLATIONS] = "translations",
    [OPERATION_MESSAGES] = "messages",
    [OPERATION_COUNT_TOKENS] = "count_tokens",
    [OPERATION_TOKENIZE] = "tokenize",
    [OPERATION_PROXY] = "proxy",
};

const char *const outcome_names[OUTCOME_COUNT] = {
    [OUTCOME_OK] = "ok",
    [OUTCOME_CLIENT_ERROR] = "client_error",
    [OUTCOME_ENGINE_ERROR] = "engine_error",
    [OUTCOME_CUT] = "cut",
    [OUTCOME_ABORTED] = "aborted",
    [OUTCOME_LIMITED] = "limited",
    [OUTCOME_NO_INSTANCE] = "no_instance",
    [OUTCOME_TIMEOUT] = "timeout",
};

const char *const phase_names[PHASE_COUNT] = {
    [PHASE_READING] = "reading", [PHASE_QUEUED] = "queued",
    [PHASE_CONNECTING] = "connecting", [PHASE_WAITING] = "waiting",
    [PHASE_STREAMING] = "streaming", [PHASE_BODY] = "body",
};

static void write_subject(const struct usage_record *record, struct json_writer *w)
{
    json_put_int(w, "seq", (int64_t)record->seq);
    json_put_string(w, "request_id", record->request_id);
    json_put_int(w, "user_id", record->user_id);
    json_put_int(w, "key_id", record->key_id);
    json_put_int(w, "model_id", record->model_id);
    json_put_string(w, "model", record->model);
    json_put_string(w, "route", record->route);
    json_put_int(w, "instance_id", record->instance_id);
    json_put_string(w, "operation", operation_names[record->operation]);
}

static void write_result(const struct usage_record *record, struct json_writer *w)
{
    json_put_string(w, "outcome", outcome_names[record->outcome]);
    json_put_int(w, "status", record->status);
    json_put_string(w, "aborted_phase", record->is_aborted ? phase_names[record->phase] : NULL);
    json_put_bool(w, "is_stream", record->is_stream);
    json_put_bool(w, "is_estimated", record->is_estimated);
    json_put_int(w, "prompt_tokens", record->prompt_tokens);
    json_put_int(w, "cached_tokens", record->cached_tokens);
    json_put_int(w, "completion_tokens", record->completion_tokens);
    json_put_int(w, "request_bytes", (int64_t)record->request_bytes);
    json_put_int(w, "response_bytes", (int64_t)record->response_bytes);
    json_put_int(w, "started_ms", record->started_ms);
    json_put_int(w, "queue_us", record->queue_us);
    json_put_int(w, "first_byte_us", record->first_byte_us);
    json_put_int(w, "total_us", record->total_us);
    json_put_int(w, "attempts", record->attempts);
}

void usage_record_put(const struct usage_record *record, struct json_writer *w)
{
    write_subject(record, w);
    write_result(record, w);
}

struct usage_spent usage_spent_of(const struct usage_record *record)
{
    return (struct usage_spent){
        .seq = record->seq,
        .user_id = record->user_id,
        .key_id = record->key_id,
        .model_id = record->model_id,
        .tokens = record->prompt_tokens + record->completion_tokens,
        .started_ms = record->started_ms,
    };
}

void usage_record_write(const struct usage_record *record, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    usage_record_put(record, &w);
    json_end_object(&w);
}
