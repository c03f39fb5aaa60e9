/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What single requests consumed, as gateways tell control: records in batches. Members are
 * described in doc/internals/gateway.md. Plain data; pure, any thread.
 *
 *     struct usage_batch batch;
 *     int rc = usage_batch_read(body, &batch, err);
 *     ...
 *     usage_batch_fini(&batch);
 */
#pragma once

#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

enum usage_operation {
    USAGE_CHAT,
    USAGE_COMPLETIONS,
    USAGE_EMBEDDINGS,
    USAGE_RERANK,
    USAGE_SCORE,
    USAGE_RESPONSES,
    USAGE_MODERATIONS,
    USAGE_IMAGES,
    USAGE_SPEECH,
    USAGE_TRANSCRIPTIONS,
    USAGE_TRANSLATIONS,
    USAGE_MESSAGES,
    USAGE_COUNT_TOKENS,
    USAGE_TOKENIZE,
    USAGE_PROXY,
    USAGE_OPERATION_COUNT
};

enum usage_outcome {
    USAGE_OK,
    USAGE_CLIENT_ERROR,
    USAGE_ENGINE_ERROR,
    USAGE_CUT,
    USAGE_ABORTED,
    USAGE_LIMITED,
    USAGE_NO_INSTANCE,
    USAGE_TIMEOUT,
    USAGE_OUTCOME_COUNT
};

enum usage_phase {
    USAGE_NOT_ABORTED, /* null in JSON */
    USAGE_READING,
    USAGE_QUEUED,
    USAGE_CONNECTING,
    USAGE_WAITING,
    USAGE_STREAMING,
    USAGE_BODY,
    USAGE_PHASE_COUNT
};

extern const char *const usage_operation_names[USAGE_OPERATION_COUNT];
extern const char *const usage_outcome_names[USAGE_OUTCOME_COUNT];
extern const char *const usage_phase_names[USAGE_PHASE_COUNT]; /* that of no phase is "" */

enum {
    USAGE_BATCH_MAX = 1000,  /* records */
    USAGE_GATEWAY_MAX = 64,  /* bytes of a gateway's uuid */
    USAGE_ID_MAX = 128,      /* of a request id */
    USAGE_NAME_MAX = 256,    /* of a model's or route's name */
};

struct usage {
    int64_t seq;
    char *request_id, *model, *route; /* owned */
    char *user_name, *key_name;       /* as they were then, owned; NULL: not known. Not read */
    int64_t user_id, key_id;          /* 0: none */
    int64_t model_id;
    int64_t instance_id; /* 0: none */
    int64_t status;      /* 0: none was sent */
    int64_t prompt_tokens, cached_tokens, completion_tokens;
    int64_t request_bytes, response_bytes;
    int64_t started_ms; /* wall time */
    int64_t queue_us, first_byte_us, total_us;
    int64_t attempts;
    int operation, outcome; /* enum usage_operation, enum usage_outcome */
    int aborted_phase;      /* enum usage_phase */
    bool is_stream, is_estimated;
};

/* Records of one gateway by ascending `seq`. */
struct usage_batch {
    char gateway[USAGE_GATEWAY_MAX + 1];
    struct usage *records; /* owned */
    size_t count;
};

/* Whether the request failed; a client that leaves is no failure. */
bool usage_is_error(const struct usage *usage);

/* Prompt and completion: what budgets count. */
int64_t usage_tokens(const struct usage *usage);

/*
 * Reads {"gateway":"UUID","records":[...]}. Members that aren't known are ignored, all others must
 * be there. ERR_SYNTAX names the record's index and the member: "records[3].status: must be
 * 0-999, not 1000". Gives back an empty batch or a whole one.
 */
int usage_batch_read(const json_t *body, struct usage_batch *ret, struct err *err) must_check;

/* Drops the records up to `seq`. */
void usage_batch_drop(struct usage_batch *batch, int64_t seq);

void usage_fini(struct usage *usage);
void usage_batch_fini(struct usage_batch *batch);
