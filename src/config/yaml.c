/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file: one YAML mapping of scalars; an option whose value is JSON may also be
 * written as a mapping. Aliases, anchors, tags and deeper nesting are refused: nothing needs them.
 */
#include "base/json.h"
#include "config/load_priv.h"

#include <errno.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the one being looked at */
    struct settings *settings;
    struct err *err;
};

static unsigned line_of(const struct reader *reader)
{
    return (unsigned)reader->event.start_mark.line + 1;
}

static int fail(struct reader *reader, const char *what)
{
    return err_set(reader->err, ERR_SYNTAX, "%s:%u: %s", reader->settings->file, line_of(reader),
                   what);
}

/* Moves to the next event. Libyaml says what is wrong in words of its own. */
static int next(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    if (yaml_parser_parse(&reader->parser, &reader->event))
        return 0;
    memset(&reader->event, 0, sizeof reader->event);
    return err_set(reader->err, ERR_SYNTAX, "%s:%zu: %s", reader->settings->file,
                   reader->parser.problem_mark.line + 1,
                   reader->parser.problem ? reader->parser.problem : "not YAML");
}

static struct str scalar_text(const struct reader *reader)
{
    return str_sub((const char *)reader->event.data.scalar.value, reader->event.data.scalar.length);
}

static bool is_plain_scalar(const struct reader *reader)
{
    return reader->event.type == YAML_SCALAR_EVENT && !reader->event.data.scalar.anchor &&
           !reader->event.data.scalar.tag;
}

/* "key:" and "key: null" say nothing about the option. */
static bool is_null(const struct reader *reader)
{
    struct str text = scalar_text(reader);
    return reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text.len == 0 || str_eq(text, STR("~")) || str_eq_nocase(text, STR("null")));
}

static void put(struct reader *reader, const struct option *option, struct str text, unsigned line)
{
    settings_put(reader->settings, CONFIG_FILE, option, text);
    reader->settings->of[CONFIG_FILE][option_index(option)].line = line;
}

/* "{ram: 2, vram: 1}" as the JSON text that the option takes. */
static int read_mapping(struct reader *reader, struct buf *json)
{
    struct json_writer w = json_writer_into(json);
    json_begin_object(&w);
    for (;;) {
        int rc = next(reader);
        if (rc < 0)
            return rc;
        if (reader->event.type == YAML_MAPPING_END_EVENT)
            break;
        if (!is_plain_scalar(reader))
            return fail(reader, "this mapping may hold numbers only");
        auto_free char *key = str_dup(scalar_text(reader));
        json_add_key(&w, key);
        rc = next(reader);
        if (rc < 0)
            return rc;
        if (!is_plain_scalar(reader) || scalar_text(reader).len == 0)
            return fail(reader, "this mapping may hold numbers only");
        json_add_raw(&w, scalar_text(reader));
    }
    json_end_object(&w);
    return 0;
}

static int read_value(struct reader *reader, const struct option *option)
{
    int rc = next(reader);
    if (rc < 0)
        return rc;
    unsigned line = line_of(reader);
    if (is_plain_scalar(reader)) {
        if (!is_null(reader))
            put(reader, option, scalar_text(reader), line);
        return 0;
    }
    if (reader->event.type != YAML_MAPPING_START_EVENT || option->kind != OPTION_RESERVED)
        return fail(reader, "the value must be a single scalar");
    struct buf json = {0};
    rc = read_mapping(reader, &json);
    if (rc == 0)
        put(reader, option, buf_str(&json), line);
    buf_fini(&json);
    return rc;
}

static int unknown_key(struct reader *reader, struct str key)
{
    const struct option *nearest = option_nearest(key, ROLES_ALL);
    auto_free char *nearest_key = nearest ? option_key(nearest) : NULL;
    auto_free char *hint =
        nearest ? mem_printf("; did you mean \"%s\"?", nearest_key) : mem_strdup("");
    auto_free char *text =
        mem_printf("unknown key \"%.*s\"%s", (int)(key.len > 80 ? 80 : key.len), key.ptr, hint);
    return fail(reader, text);
}

/* The event is a key's scalar. */
static int read_pair(struct reader *reader)
{
    if (!is_plain_scalar(reader))
        return fail(reader, "the file must be a mapping of option names to values");
    struct str key = scalar_text(reader);
    const struct option *option = option_by_key(key);
    if (!option || (option->flags & OPTION_NOT_IN_FILE))
        return unknown_key(reader, key);
    if (reader->settings->of[CONFIG_FILE][option_index(option)].text)
        return fail(reader, "this key stands in the file twice");
    return read_value(reader, option);
}

static int read_pairs(struct reader *reader)
{
    for (;;) {
        int rc = next(reader);
        if (rc < 0)
            return rc;
        if (reader->event.type == YAML_MAPPING_END_EVENT)
            return 0;
        rc = read_pair(reader);
        if (rc < 0)
            return rc;
    }
}

/* Stream start, one document with one mapping, stream end. An empty file is fine. */
static int read_stream(struct reader *reader)
{
    bool had_document = false;
    for (;;) {
        int rc = next(reader);
        if (rc < 0)
            return rc;
        switch (reader->event.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_STREAM_END_EVENT:
            return 0;
        case YAML_DOCUMENT_START_EVENT:
            if (had_document)
                return fail(reader, "the file must hold one document");
            had_document = true;
            break;
        case YAML_SCALAR_EVENT:
            if (!is_null(reader))
                return fail(reader, "the file must be a mapping of option names to values");
            break;
        case YAML_MAPPING_START_EVENT:
            rc = read_pairs(reader);
            if (rc < 0)
                return rc;
            break;
        case YAML_NO_EVENT:
        case YAML_ALIAS_EVENT:
        case YAML_SEQUENCE_START_EVENT:
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
            return fail(reader, "the file must be a mapping of option names to values");
        }
    }
}

int settings_read_yaml(struct settings *settings, struct str text, struct err *err)
{
    struct reader reader = {.settings = settings, .err = err};
    if (!yaml_parser_initialize(&reader.parser))
        abort();
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)(text.ptr ? text.ptr : ""),
                                 text.len);
    int rc = read_stream(&reader);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    return rc;
}
