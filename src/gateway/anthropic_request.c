/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_request.h"

#include "gateway/anthropic_priv.h"

/*
 * Members that are taken over under their own names. Those of the first three rows are Anthropic's;
 * the others are settings of engines that a client may add, and the engine checks them.
 */
static const struct {
    const char *name;
    bool is_number, is_whole; /* what is checked here */
} settings[] = {
    {"temperature", true, false},        {"top_p", true, false},
    {"top_k", true, true},               {"frequency_penalty", false, false},
    {"min_p", false, false},             {"presence_penalty", false, false},
    {"repetition_penalty", false, false}, {"seed", false, false},
};

static int write_settings(const json_t *request, struct json_writer *w, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        json_t *value = json_object_get(request, settings[i].name);
        int64_t whole;
        if (!value || json_is_null(value))
            continue;
        if (settings[i].is_number && !json_is_number(value))
            return anthropic_fail_member(NULL, settings[i].name, err, "must be a number, not %s",
                                         anthropic_kind(value));
        if (settings[i].is_whole && !json_take_integer(value, &whole))
            return anthropic_fail_member(NULL, settings[i].name, err, "must be a whole number");
        json_add_key(w, settings[i].name);
        anthropic_add_value(w, value);
    }
    return 0;
}

static int write_max_tokens(const json_t *request, struct json_writer *w, struct err *err)
{
    const json_t *value = json_object_get(request, "max_tokens");
    int64_t count;
    if (!json_take_integer(value, &count))
        return anthropic_fail_member(NULL, "max_tokens", err,
                                     "a whole number is needed, not %s", anthropic_kind(value));
    if (count < 1)
        return anthropic_fail_member(NULL, "max_tokens", err, "must be 1 or more, not %lld",
                                     (long long)count);
    json_put_int(w, "max_tokens", count);
    return 0;
}

static int write_stops(const json_t *request, struct json_writer *w, struct err *err)
{
    struct anthropic_place place = anthropic_member(NULL, "stop_sequences");
    json_t *stops, *stop;
    size_t i;
    int rc = anthropic_take_array(request, "stop_sequences", NULL, &stops, err);
    if (rc < 0 || json_array_size(stops) == 0)
        return rc;
    json_add_key(w, "stop");
    json_begin_array(w);
    json_array_foreach(stops, i, stop) {
        struct anthropic_place at = anthropic_item(&place, i);
        if (!json_is_string(stop))
            return anthropic_fail(&at, err, "must be a string, not %s", anthropic_kind(stop));
        json_add_string(w, anthropic_str(stop));
    }
    json_end_array(w);
    return 0;
}

static int write_user(const json_t *request, struct json_writer *w, struct err *err)
{
    struct anthropic_place at = anthropic_member(NULL, "metadata");
    struct str id;
    json_t *metadata;
    int rc = anthropic_take_object(request, "metadata", NULL, &metadata, err);
    if (rc == 0 && metadata)
        rc = anthropic_take_text(metadata, "user_id", &at, &id, err);
    if (rc == 0 && metadata && id.len > 0) {
        json_add_key(w, "user");
        json_add_string(w, id);
    }
    return rc;
}

static int write_stream(const json_t *request, struct json_writer *w, struct err *err)
{
    bool is_stream;
    int rc = anthropic_take_flag(request, "stream", NULL, &is_stream, err);
    if (rc < 0 || !is_stream)
        return rc;
    json_put_bool(w, "stream", true);
    json_add_key(w, "stream_options");
    json_begin_object(w);
    json_put_bool(w, "include_usage", true);
    json_end_object(w);
    return 0;
}

/* The schema of a `format` that stands at that place. */
static int take_schema(const json_t *format, const struct anthropic_place *at, json_t **ret,
                       struct err *err)
{
    struct str type;
    int rc = anthropic_take_string(format, "type", at, &type, err);
    if (rc == 0 && !str_eq(type, STR("json_schema")))
        rc = anthropic_fail_member(at, "type", err, "must be json_schema, not '%.64s'", type.ptr);
    if (rc == 0)
        rc = anthropic_take_object(format, "schema", at, ret, err);
    if (rc == 0 && !*ret)
        rc = anthropic_fail_member(at, "schema", err, "is missing");
    return rc;
}

static void put_schema(json_t *schema, struct json_writer *w)
{
    json_add_key(w, "response_format");
    json_begin_object(w);
    json_put_string(w, "type", "json_schema");
    json_add_key(w, "json_schema");
    json_begin_object(w);
    json_put_string(w, "name", "output");
    json_add_key(w, "schema");
    anthropic_add_value(w, schema);
    json_put_bool(w, "strict", true);
    json_end_object(w);
    json_end_object(w);
}

/* `output_config.format`, or under the name that it had before. */
static int write_format(const json_t *request, struct json_writer *w, struct err *err)
{
    struct anthropic_place config = anthropic_member(NULL, "output_config");
    struct anthropic_place at = anthropic_member(&config, "format");
    json_t *format, *schema;
    int rc = anthropic_take_object(json_object_get(request, "output_config"), "format", &config,
                                   &format, err);
    if (rc == 0 && !format) {
        at = anthropic_member(NULL, "output_format");
        rc = anthropic_take_object(request, "output_format", NULL, &format, err);
    }
    if (rc < 0 || !format)
        return rc;
    rc = take_schema(format, &at, &schema, err);
    if (rc == 0)
        put_schema(schema, w);
    return rc;
}

/* What only Anthropic's service has and what the answer would be wrong without. */
static int refuse_services(const json_t *request, struct err *err)
{
    const json_t *container = json_object_get(request, "container");
    if (container && !json_is_null(container))
        return anthropic_fail_member(NULL, "container", err,
                                     "is a service of Anthropic's; engines run no code");
    if (json_array_size(json_object_get(request, "mcp_servers")) > 0)
        return anthropic_fail_member(NULL, "mcp_servers", err,
                                     "is a service of Anthropic's; engines call no servers");
    return 0;
}

typedef int write_fn(const json_t *request, struct json_writer *w, struct err *err);

/* `{"model":...` and what `parts` write, up to a NULL. */
static int translate(struct str body, const char *model, write_fn *const *parts, struct buf *ret,
                     struct err *err)
{
    auto_fini(json_release) json_t *request = NULL;
    auto_fini(buf_fini) struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    int rc = anthropic_read(body, ANTHROPIC_REQUEST_MAX, &request, err);
    if (rc == 0)
        rc = refuse_services(request, err);
    json_begin_object(&w);
    json_put_string(&w, "model", model);
    for (; rc == 0 && *parts; parts++)
        rc = (*parts)(request, &w, err);
    if (rc < 0)
        return rc;
    json_end_object(&w);
    *ret = out;
    out = (struct buf){0};
    return 0;
}

int anthropic_request_to_chat(struct str body, const char *model, struct buf *ret, struct err *err)
{
    static write_fn *const parts[] = {
        anthropic_write_messages, anthropic_write_tools, anthropic_write_tool_choice,
        anthropic_write_thinking, write_format,          write_max_tokens,
        write_settings,           write_stops,           write_user,
        write_stream,             NULL,
    };
    return translate(body, model, parts, ret, err);
}

int anthropic_count_to_tokenize(struct str body, const char *model, struct buf *ret,
                                struct err *err)
{
    static write_fn *const parts[] = {
        anthropic_write_messages, anthropic_write_tools, anthropic_write_thinking, NULL};
    return translate(body, model, parts, ret, err);
}
