/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/record_read.h"

#include <stdio.h>

/* Members are taken one after the other; the first fault stays. */
struct reader {
    const json_t *object;
    struct err *err;
    int rc; /* 0 until a member was wrong */
};

static void refuse(struct reader *r, const char *key, const char *what)
{
    if (r->rc == 0)
        r->rc = err_set(r->err, ERR_INVALID, "%s must be %s", key, what);
}

static int64_t read_count(struct reader *r, const char *key)
{
    const json_t *value = json_object_get(r->object, key);
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return (int64_t)json_integer_value(value);
    refuse(r, key, "an integer of 0 or more");
    return 0;
}

static unsigned read_small(struct reader *r, const char *key)
{
    int64_t value = read_count(r, key);
    if (value > UINT32_MAX)
        refuse(r, key, "an integer below 2^32");
    return (unsigned)value;
}

static bool read_bool(struct reader *r, const char *key)
{
    const json_t *value = json_object_get(r->object, key);
    if (!json_is_boolean(value))
        refuse(r, key, "true or false");
    return json_is_true(value);
}

/* `room` is the size of `ret`. Bytes that aren't UTF-8 were written as U+FFFD, which is longer. */
static void read_text(struct reader *r, const char *key, char *ret, size_t room)
{
    const json_t *value = json_object_get(r->object, key);
    if (json_is_string(value))
        snprintf(ret, room, "%s", json_string_value(value));
    else
        refuse(r, key, "a string");
}

static unsigned read_word(struct reader *r, const char *key, const char *const *names,
                          unsigned count)
{
    const char *word = json_member_string(r->object, key);
    for (unsigned i = 0; word && i < count; i++)
        if (strcmp(word, names[i]) == 0)
            return i;
    refuse(r, key, "a word that is known");
    return 0;
}

static void read_subject(struct reader *r, struct usage_record *ret)
{
    ret->seq = (uint64_t)read_count(r, "seq");
    read_text(r, "request_id", ret->request_id, sizeof ret->request_id);
    ret->user_id = read_count(r, "user_id");
    ret->key_id = read_count(r, "key_id");
    ret->model_id = read_count(r, "model_id");
    read_text(r, "model", ret->model, sizeof ret->model);
    read_text(r, "route", ret->route, sizeof ret->route);
    ret->instance_id = read_count(r, "instance_id");
    ret->operation = (enum operation)read_word(r, "operation", operation_names, OPERATION_COUNT);
}

static void read_end(struct reader *r, struct usage_record *ret)
{
    ret->outcome = (enum outcome)read_word(r, "outcome", outcome_names, OUTCOME_COUNT);
    ret->status = read_small(r, "status");
    ret->is_aborted = !json_is_null(json_object_get(r->object, "aborted_phase"));
    if (ret->is_aborted)
        ret->phase = (enum phase)read_word(r, "aborted_phase", phase_names, PHASE_COUNT);
    ret->is_stream = read_bool(r, "is_stream");
    ret->is_estimated = read_bool(r, "is_estimated");
}

static void read_numbers(struct reader *r, struct usage_record *ret)
{
    ret->prompt_tokens = read_count(r, "prompt_tokens");
    ret->cached_tokens = read_count(r, "cached_tokens");
    ret->completion_tokens = read_count(r, "completion_tokens");
    ret->request_bytes = (uint64_t)read_count(r, "request_bytes");
    ret->response_bytes = (uint64_t)read_count(r, "response_bytes");
    ret->started_ms = read_count(r, "started_ms");
    ret->queue_us = read_count(r, "queue_us");
    ret->first_byte_us = read_count(r, "first_byte_us");
    ret->total_us = read_count(r, "total_us");
    ret->attempts = read_small(r, "attempts");
}

int usage_record_read(const json_t *object, struct usage_record *ret, struct err *err)
{
    struct reader r = {.object = object, .err = err};
    struct usage_record record = {0};
    if (!json_is_object(object))
        return err_set(err, ERR_INVALID, "a record must be a JSON object");
    read_subject(&r, &record);
    read_end(&r, &record);
    read_numbers(&r, &record);
    if (r.rc == 0)
        *ret = record;
    return r.rc;
}
