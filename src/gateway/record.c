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

/* ---- JSON: every record is written, so its members are put together without a writer ---- */

#define KEY(name) STR(",\"" name "\":")

static void add_int(struct buf *out, int64_t value)
{
    if (value < 0)
        buf_add_char(out, '-');
    buf_add_uint(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

/* Into its callers, so that the copies of keys have lengths that are known. */
static inline __attribute__((always_inline)) void put_int(struct buf *out, struct str key,
                                                          int64_t value)
{
    buf_add_str(out, key);
    add_int(out, value);
}

static void put_text(struct buf *out, struct str key, const char *text)
{
    buf_add_str(out, key);
    if (text)
        json_quote(str_of(text), out);
    else
        buf_add_str(out, STR("null"));
}

static void put_bool(struct buf *out, struct str key, bool value)
{
    buf_add_str(out, key);
    buf_add_str(out, value ? STR("true") : STR("false"));
}

static void put_subject(const struct usage_record *record, struct buf *out)
{
    put_int(out, STR("\"seq\":"), (int64_t)record->seq);
    put_text(out, KEY("request_id"), record->request_id);
    put_int(out, KEY("user_id"), record->user_id);
    put_int(out, KEY("key_id"), record->key_id);
    put_int(out, KEY("model_id"), record->model_id);
    put_text(out, KEY("model"), record->model);
    put_text(out, KEY("route"), record->route);
    put_int(out, KEY("instance_id"), record->instance_id);
    put_text(out, KEY("operation"), operation_names[record->operation]);
}

static void put_result(const struct usage_record *record, struct buf *out)
{
    put_text(out, KEY("outcome"), outcome_names[record->outcome]);
    put_int(out, KEY("status"), record->status);
    put_text(out, KEY("aborted_phase"), record->is_aborted ? phase_names[record->phase] : NULL);
    put_bool(out, KEY("is_stream"), record->is_stream);
    put_bool(out, KEY("is_estimated"), record->is_estimated);
    put_int(out, KEY("prompt_tokens"), record->prompt_tokens);
    put_int(out, KEY("cached_tokens"), record->cached_tokens);
    put_int(out, KEY("completion_tokens"), record->completion_tokens);
    put_int(out, KEY("request_bytes"), (int64_t)record->request_bytes);
    put_int(out, KEY("response_bytes"), (int64_t)record->response_bytes);
    put_int(out, KEY("started_ms"), record->started_ms);
    put_int(out, KEY("queue_us"), record->queue_us);
    put_int(out, KEY("first_byte_us"), record->first_byte_us);
    put_int(out, KEY("total_us"), record->total_us);
    put_int(out, KEY("attempts"), record->attempts);
}

void usage_record_write_members(const struct usage_record *record, struct buf *out)
{
    put_subject(record, out);
    put_result(record, out);
}

void usage_record_write(const struct usage_record *record, struct buf *out)
{
    buf_add_char(out, '{');
    usage_record_write_members(record, out);
    buf_add_char(out, '}');
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
