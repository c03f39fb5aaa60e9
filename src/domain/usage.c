/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/usage.h"

#include "domain/faults.h"

#include <stddef.h>
#include <string.h>

const char *const usage_operation_names[USAGE_OPERATION_COUNT] = {
    [USAGE_CHAT] = "chat",
    [USAGE_COMPLETIONS] = "completions",
    [USAGE_EMBEDDINGS] = "embeddings",
    [USAGE_RERANK] = "rerank",
    [USAGE_SCORE] = "score",
    [USAGE_RESPONSES] = "responses",
    [USAGE_MODERATIONS] = "moderations",
    [USAGE_IMAGES] = "images",
    [USAGE_SPEECH] = "speech",
    [USAGE_TRANSCRIPTIONS] = "transcriptions",
    [USAGE_TRANSLATIONS] = "translations",
    [USAGE_MESSAGES] = "messages",
    [USAGE_COUNT_TOKENS] = "count_tokens",
    [USAGE_TOKENIZE] = "tokenize",
    [USAGE_PROXY] = "proxy",
};

const char *const usage_outcome_names[USAGE_OUTCOME_COUNT] = {
    [USAGE_OK] = "ok",
    [USAGE_CLIENT_ERROR] = "client_error",
    [USAGE_ENGINE_ERROR] = "engine_error",
    [USAGE_CUT] = "cut",
    [USAGE_ABORTED] = "aborted",
    [USAGE_LIMITED] = "limited",
    [USAGE_NO_INSTANCE] = "no_instance",
    [USAGE_TIMEOUT] = "timeout",
};

const char *const usage_phase_names[USAGE_PHASE_COUNT] = {
    [USAGE_NOT_ABORTED] = "",        [USAGE_READING] = "reading",
    [USAGE_QUEUED] = "queued",       [USAGE_CONNECTING] = "connecting",
    [USAGE_WAITING] = "waiting",     [USAGE_STREAMING] = "streaming",
    [USAGE_BODY] = "body",
};

bool usage_is_error(const struct usage *usage)
{
    return usage->outcome != USAGE_OK && usage->outcome != USAGE_ABORTED;
}

int64_t usage_tokens(const struct usage *usage)
{
    return usage->prompt_tokens + usage->completion_tokens;
}

/* ---- the members of a record ---- */

enum member_kind { MEMBER_INT, MEMBER_BOOL, MEMBER_TEXT, MEMBER_WORD };

struct member {
    const char *name;
    enum member_kind kind;
    size_t offset;
    int64_t min, max;         /* of a number; bytes of a text */
    const char *const *words; /* MEMBER_WORD */
    int word_count;
    bool may_be_null; /* the word is then the first, and need not be there */
};

/* Sums of a million records of such sizes still fit their columns. A gateway believes an engine up
 * to 2^40 for each number, and adds up to three of them for a prompt. */
#define TOKENS_MAX (INT64_C(1) << 42)
#define BYTES_MAX 1000000000000000
#define TIME_US_MAX 10000000000000  /* 115 days */
#define WALL_MS_MAX 253402300799999 /* the year 9999 */

#define AT(member) .name = #member, .offset = offsetof(struct usage, member)
#define INTEGER(member, low, high) {AT(member), .kind = MEMBER_INT, .min = (low), .max = (high)}
#define TEXT(member, high) {AT(member), .kind = MEMBER_TEXT, .min = 1, .max = (high)}
#define WORD(member, names, count)                                                                 \
    {AT(member), .kind = MEMBER_WORD, .words = (names), .word_count = (count)}

static const struct member members[] = {
    INTEGER(seq, 1, INT64_MAX),
    TEXT(request_id, USAGE_ID_MAX),
    INTEGER(user_id, 0, INT64_MAX),
    INTEGER(key_id, 0, INT64_MAX),
    INTEGER(model_id, 1, INT64_MAX),
    TEXT(model, USAGE_NAME_MAX),
    TEXT(route, USAGE_NAME_MAX),
    INTEGER(instance_id, 0, INT64_MAX),
    WORD(operation, usage_operation_names, USAGE_OPERATION_COUNT),
    WORD(outcome, usage_outcome_names, USAGE_OUTCOME_COUNT),
    INTEGER(status, 0, 999),
    {AT(aborted_phase), .kind = MEMBER_WORD, .words = usage_phase_names,
     .word_count = USAGE_PHASE_COUNT, .may_be_null = true},
    {AT(is_stream), .kind = MEMBER_BOOL},
    {AT(is_estimated), .kind = MEMBER_BOOL},
    INTEGER(prompt_tokens, 0, TOKENS_MAX),
    INTEGER(cached_tokens, 0, TOKENS_MAX),
    INTEGER(completion_tokens, 0, TOKENS_MAX),
    INTEGER(request_bytes, 0, BYTES_MAX),
    INTEGER(response_bytes, 0, BYTES_MAX),
    INTEGER(started_ms, 0, WALL_MS_MAX),
    INTEGER(queue_us, 0, TIME_US_MAX),
    INTEGER(first_byte_us, 0, TIME_US_MAX),
    INTEGER(total_us, 0, TIME_US_MAX),
    INTEGER(attempts, 0, INT32_MAX),
};

/* What a member may be, for an error text. Returns owned. */
static char *allowed_text(const struct member *member)
{
    struct buf text = {0};
    switch (member->kind) {
    case MEMBER_INT:
        buf_printf(&text, "%lld-%lld", (long long)member->min, (long long)member->max);
        break;
    case MEMBER_BOOL:
        buf_add_cstr(&text, "true or false");
        break;
    case MEMBER_TEXT:
        buf_printf(&text, "a text of %lld-%lld bytes", (long long)member->min,
                   (long long)member->max);
        break;
    case MEMBER_WORD:
        buf_add_cstr(&text, member->may_be_null ? "null or one of" : "one of");
        for (int i = member->may_be_null; i < member->word_count; i++)
            buf_printf(&text, "%s %s", i > member->may_be_null ? "," : "", member->words[i]);
        break;
    }
    return buf_take(&text);
}

static int refuse(const struct member *member, size_t index, const json_t *value, struct err *err)
{
    auto_free char *allowed = allowed_text(member);
    auto_free char *seen = value ? faults_shown(value) : mem_strdup("missing");
    return err_set(err, ERR_SYNTAX, "records[%zu].%s: must be %s, not %s", index, member->name,
                   allowed, seen);
}

static bool read_integer(const struct member *member, const json_t *value, int64_t *ret)
{
    int64_t number;
    if (!json_take_integer(value, &number) || number < member->min || number > member->max)
        return false;
    *ret = number;
    return true;
}

static bool read_text(const struct member *member, const json_t *value, char **ret)
{
    struct str text = str_sub(json_string_value(value), json_string_length(value));
    if (!text.ptr || (int64_t)text.len < member->min || (int64_t)text.len > member->max ||
        str_find(text, '\0') < text.len)
        return false;
    *ret = str_dup(text);
    return true;
}

static bool read_word(const struct member *member, const json_t *value, int *ret)
{
    const char *text = json_string_value(value);
    *ret = 0;
    if (member->may_be_null && (!value || json_is_null(value)))
        return true;
    for (int i = member->may_be_null; text && i < member->word_count; i++) {
        *ret = i;
        if (strcmp(member->words[i], text) == 0)
            return true;
    }
    return false;
}

static bool read_member(const struct member *member, const json_t *value, struct usage *usage)
{
    void *at = (char *)usage + member->offset;
    switch (member->kind) {
    case MEMBER_INT:
        return read_integer(member, value, at);
    case MEMBER_BOOL:
        *(bool *)at = json_is_true(value);
        return json_is_boolean(value);
    case MEMBER_TEXT:
        return read_text(member, value, at);
    case MEMBER_WORD:
        return read_word(member, value, at);
    }
    return false;
}

static int read_record(const json_t *object, size_t index, struct usage *usage, struct err *err)
{
    if (!json_is_object(object))
        return err_set(err, ERR_SYNTAX, "records[%zu]: must be an object", index);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const json_t *value = json_object_get(object, members[i].name);
        if (!read_member(&members[i], value, usage))
            return refuse(&members[i], index, value, err);
    }
    return 0;
}

/* ---- batches ---- */

static int read_gateway(const json_t *value, char ret[static USAGE_GATEWAY_MAX + 1],
                        struct err *err)
{
    const char *text = json_string_value(value);
    size_t len = text ? strspn(text, "0123456789abcdefABCDEF-") : 0;
    if (len == 0 || len > USAGE_GATEWAY_MAX || len != json_string_length(value))
        return err_set(err, ERR_SYNTAX, "gateway: must be a uuid of at most %d bytes",
                       USAGE_GATEWAY_MAX);
    memcpy(ret, text, len + 1);
    return 0;
}

static int read_records(const json_t *array, struct usage_batch *batch, struct err *err)
{
    if (!json_is_array(array))
        return err_set(err, ERR_SYNTAX, "records: must be a list");
    size_t count = json_array_size(array);
    if (count > USAGE_BATCH_MAX)
        return err_set(err, ERR_SYNTAX, "records: must be at most %d, not %zu", USAGE_BATCH_MAX,
                       count);
    batch->records = mem_alloc_array(count, sizeof *batch->records);
    int64_t last = 0;
    for (size_t i = 0; i < count; i++) {
        struct usage *usage = &batch->records[i];
        batch->count++;
        int rc = read_record(json_array_get(array, i), i, usage, err);
        if (rc < 0)
            return rc;
        if (usage->seq <= last)
            return err_set(err, ERR_SYNTAX, "records[%zu].seq: must be above %lld, not %lld", i,
                           (long long)last, (long long)usage->seq);
        last = usage->seq;
    }
    return 0;
}

int usage_batch_read(const json_t *body, struct usage_batch *ret, struct err *err)
{
    *ret = (struct usage_batch){0};
    int rc = read_gateway(json_object_get(body, "gateway"), ret->gateway, err);
    if (rc == 0)
        rc = read_records(json_object_get(body, "records"), ret, err);
    if (rc < 0)
        usage_batch_fini(ret);
    return rc;
}

void usage_batch_drop(struct usage_batch *batch, int64_t seq)
{
    size_t known = 0;
    while (known < batch->count && batch->records[known].seq <= seq)
        usage_fini(&batch->records[known++]);
    batch->count -= known;
    memmove(batch->records, batch->records + known, batch->count * sizeof *batch->records);
}

void usage_fini(struct usage *usage)
{
    free(usage->request_id);
    free(usage->model);
    free(usage->route);
    free(usage->user_name);
    free(usage->key_name);
    *usage = (struct usage){0};
}

void usage_batch_fini(struct usage_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        usage_fini(&batch->records[i]);
    free(batch->records);
    *batch = (struct usage_batch){0};
}
