/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The usage record: what one request consumed and how it ended. Plain data that is made on a
 * shard's thread and handed on by value; doc/internals/gateway.md says what each member means. Its
 * JSON is the same in the journal, on the way to control and in the access log. Pure, any thread.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

enum operation {
    OPERATION_CHAT,
    OPERATION_COMPLETIONS,
    OPERATION_EMBEDDINGS,
    OPERATION_RERANK,
    OPERATION_SCORE,
    OPERATION_RESPONSES,
    OPERATION_MODERATIONS,
    OPERATION_IMAGES,     /* generations, edits, variations */
    OPERATION_SPEECH,
    OPERATION_TRANSCRIPTIONS,
    OPERATION_TRANSLATIONS,
    OPERATION_MESSAGES,
    OPERATION_COUNT_TOKENS,
    OPERATION_TOKENIZE,   /* and detokenize */
    OPERATION_PROXY,      /* a path of the model's own */
    OPERATION_COUNT
};

enum outcome {
    OUTCOME_OK,
    OUTCOME_CLIENT_ERROR, /* 4xx of the engine */
    OUTCOME_ENGINE_ERROR, /* 5xx of the engine, or it failed before its response */
    OUTCOME_CUT,          /* it failed after its response had begun */
    OUTCOME_ABORTED,      /* the client left */
    OUTCOME_LIMITED,
    OUTCOME_NO_INSTANCE,
    OUTCOME_TIMEOUT,
    OUTCOME_COUNT
};

enum phase {
    PHASE_READING,
    PHASE_QUEUED,
    PHASE_CONNECTING,
    PHASE_WAITING,
    PHASE_STREAMING,
    PHASE_BODY,
    PHASE_COUNT
};

extern const char *const operation_names[OPERATION_COUNT];
extern const char *const outcome_names[OUTCOME_COUNT];
extern const char *const phase_names[PHASE_COUNT];

enum {
    RECORD_ID_MAX = 128,   /* bytes of a request id */
    RECORD_NAME_MAX = 256, /* bytes of a model's or route's name */
};

struct usage_record {
    uint64_t seq; /* 0 until the journal has given one */
    char request_id[RECORD_ID_MAX + 1];
    char model[RECORD_NAME_MAX + 1];
    char route[RECORD_NAME_MAX + 1];
    int64_t user_id, key_id, model_id, instance_id; /* 0: none */
    enum operation operation;
    enum outcome outcome;
    unsigned status; /* 0: none was sent */
    bool is_aborted; /* then `phase` is the one in which the client left */
    enum phase phase;
    bool is_stream;
    bool is_estimated;
    int64_t prompt_tokens, cached_tokens, completion_tokens;
    uint64_t request_bytes, response_bytes;
    int64_t started_ms; /* wall time */
    int64_t queue_us, first_byte_us, total_us;
    unsigned attempts;
};

/* What budgets have to know of a record that has its number. */
struct usage_spent {
    uint64_t seq;
    int64_t user_id, key_id, model_id;
    int64_t tokens;     /* of prompt and completion */
    int64_t started_ms; /* wall time */
};

/* Of a record that has its number. */
struct usage_spent usage_spent_of(const struct usage_record *record);

/* Writes the record as a JSON object, without a line's end. */
void usage_record_write(const struct usage_record *record, struct buf *out);

/* Its members alone, without braces. */
void usage_record_write_members(const struct usage_record *record, struct buf *out);
