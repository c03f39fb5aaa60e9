/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/timeline.h"

#include "base/json.h"
#include "base/mem.h"
#include "domain/record_priv.h"

static json_t *time_value(int64_t wall_ms)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_add_time(&w, wall_ms);
    json_t *value = NULL;
    if (json_read(buf_str(&text), &value, NULL) < 0)
        value = json_null();
    buf_fini(&text);
    return value;
}

static json_t *text_value(const char *text)
{
    json_t *value = text ? json_string(text) : NULL;
    return value ? value : json_null(); /* what is no UTF-8 can't be kept */
}

/* The spans; an array whatever the record holds. Returns owned. */
static json_t *read_spans(const struct model_instance *instance)
{
    json_t *spans = NULL;
    if (!instance->timeline || json_read(str_of(instance->timeline), &spans, NULL) < 0 ||
        !json_is_array(spans)) {
        json_decref(spans);
        spans = json_array();
    }
    return spans;
}

static void write_spans(struct model_instance *instance, json_t *spans)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_add_tree(&w, spans);
    free(instance->timeline);
    instance->timeline = buf_take(&text);
}

static void set_words(json_t *span, const struct cause *cause)
{
    json_t *args = NULL;
    if (!cause->args || json_read(str_of(cause->args), &args, NULL) < 0)
        args = json_null();
    json_object_set_new(span, "args", args);
    json_object_set_new(span, "message", text_value(cause->message));
}

static bool is_error(const json_t *span)
{
    const char *state = json_member_string(span, "state");
    return state && strcmp(state, instance_state_name(INSTANCE_ERROR)) == 0;
}

static void drop_oldest(json_t *spans)
{
    json_array_remove(spans, is_error(json_array_get(spans, 0)) ? 1 : 0);
}

static void add_span(json_t *spans, enum instance_state state, const struct cause *cause,
                     int64_t now_ms)
{
    json_t *last = json_array_get(spans, json_array_size(spans) - 1);
    if (last)
        json_object_set_new(last, "until", time_value(now_ms));
    json_t *span = json_object();
    json_object_set_new(span, "state", json_string(instance_state_name(state)));
    json_object_set_new(span, "reason", json_string(reason_name(cause->reason)));
    set_words(span, cause);
    json_object_set_new(span, "since", time_value(now_ms));
    json_object_set_new(span, "until", json_null());
    json_array_append_new(spans, span);
    if (json_array_size(spans) > TIMELINE_SPANS_MAX)
        drop_oldest(spans);
}

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Reports repeat themselves every few seconds; they must not cost a look into the timeline. */
static bool is_in_state(const struct model_instance *instance, enum instance_state state,
                        const struct cause *cause)
{
    return instance->timeline && instance->state == (int)state &&
           instance->state_reason == (int)cause->reason &&
           is_same_text(instance->state_args, cause->args) &&
           is_same_text(instance->state_message, cause->message);
}

void instance_set_state(struct model_instance *instance, enum instance_state state,
                        const struct cause *cause, int64_t now_ms)
{
    if (is_in_state(instance, state, cause))
        return;
    json_t *spans = read_spans(instance);
    json_t *last = json_array_get(spans, json_array_size(spans) - 1);
    bool is_new =
        !last || instance->state != (int)state || instance->state_reason != (int)cause->reason;
    if (is_new) {
        add_span(spans, state, cause, now_ms);
        instance->state_since = now_ms;
    } else {
        set_words(last, cause);
    }
    write_spans(instance, spans);
    json_decref(spans);
    instance->state = (int)state;
    instance->state_reason = (int)cause->reason;
    mem_replace(&instance->state_args, cause->args);
    mem_replace(&instance->state_message, cause->message);
}

/* ---- telling it ---- */

/* A time of a span, or `fallback` for null. */
static int64_t read_time(const json_t *span, const char *key, int64_t fallback)
{
    const char *text = json_member_string(span, key);
    int64_t at;
    return text && timestamp_parse(str_of(text), &at) == 0 ? at : fallback;
}

void timeline_write(const struct model_instance *instance, int64_t now_ms, struct json_writer *w)
{
    json_t *spans = read_spans(instance);
    size_t i;
    json_t *span;
    json_array_foreach(spans, i, span) {
        int64_t since = read_time(span, "since", now_ms), until = read_time(span, "until", now_ms);
        json_object_set_new(span, "duration_ms", json_integer(until > since ? until - since : 0));
    }
    json_add_tree(w, spans);
    json_decref(spans);
}
