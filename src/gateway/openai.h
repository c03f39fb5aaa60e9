/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenAI dialect's own replies: errors and the list of models. The exchange's thread.
 */
#pragma once

#include "gateway/request_id.h"
#include "gateway/snapshot.h"
#include "http/server.h"

/* What went wrong; openai.c has status, type, code and param of each in one table. */
enum openai_fault {
    OPENAI_BAD_BODY,        /* 400 */
    OPENAI_BAD_CREDENTIALS, /* 401 */
    OPENAI_NOT_PERMITTED,   /* 403 */
    OPENAI_MODEL_FORBIDDEN, /* 403 */
    OPENAI_MODEL_UNKNOWN,   /* 404 */
    OPENAI_PATH_UNKNOWN,    /* 404 */
    OPENAI_METHOD_UNKNOWN,  /* 405 */
    OPENAI_BODY_TOO_LARGE,  /* 413 */
    OPENAI_ENGINE_FAILED,   /* 502: it broke the exchange off */
    OPENAI_ENGINE_AWAY,     /* 503: it can't be connected to */
    OPENAI_NO_INSTANCE,     /* 503: no instance is ready */
    OPENAI_NOT_READY,       /* 503: this gateway knows nothing yet */
    OPENAI_FAULTS
};

/* {"error":{"message":...,"type":...,"code":...,"param":...}} without a line's end. */
void openai_write_error(enum openai_fault fault, const char *message, struct buf *out);

/* Replies with an error; `allow` is the Allow header's value for a 405, else NULL. */
void openai_reply_error(struct http_exchange *ex, const struct request_id *id,
                        enum openai_fault fault, const char *message, const char *allow);

/* Replies with the models that have an endpoint and that `key` (NULL: no limits) may use. */
void openai_reply_models(struct http_exchange *ex, const struct request_id *id,
                         const struct snapshot *snapshot, const struct entry *key);

void openai_reply_model(struct http_exchange *ex, const struct request_id *id,
                        const struct entry *model);

/*
 * Finds the model `name` for the owner of `key` (NULL: no limits). `*ret` borrows from the
 * snapshot. Otherwise false with the fault and its text.
 */
bool openai_find_model(const struct snapshot *snapshot, const struct entry *key, const char *name,
                       struct entry **ret, enum openai_fault *ret_fault, struct err *err);
