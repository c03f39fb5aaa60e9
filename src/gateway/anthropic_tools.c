/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_priv.h"

/* --- tools ------------------------------------------------------------------------------------ */

static void write_tool(struct json_writer *w, const json_t *tool, struct str name, json_t *schema)
{
    const json_t *description = json_object_get(tool, "description");
    json_begin_object(w);
    json_put_string(w, "type", "function");
    json_add_key(w, "function");
    json_begin_object(w);
    json_add_key(w, "name");
    json_add_string(w, name);
    if (json_is_string(description)) {
        json_add_key(w, "description");
        json_add_string(w, anthropic_str(description));
    }
    json_add_key(w, "parameters");
    anthropic_add_value(w, schema);
    if (json_is_true(json_object_get(tool, "strict")))
        json_put_bool(w, "strict", true);
    json_end_object(w);
    json_end_object(w);
}

static int add_tool(const json_t *tool, const struct anthropic_place *at, struct json_writer *w,
                    struct err *err)
{
    struct str type, name, description;
    json_t *schema;
    if (!json_is_object(tool))
        return anthropic_fail(at, err, "must be an object, not %s", anthropic_kind(tool));
    int rc = anthropic_take_text(tool, "type", at, &type, err);
    if (rc < 0)
        return rc;
    if (type.len > 0 && !str_eq(type, STR("custom")))
        return anthropic_fail_member(at, "type", err,
                                     "'%.64s' is a tool of Anthropic's service; allowed: custom "
                                     "tools with an input_schema",
                                     type.ptr);
    rc = anthropic_take_string(tool, "name", at, &name, err);
    if (rc == 0)
        rc = anthropic_take_text(tool, "description", at, &description, err);
    if (rc == 0)
        rc = anthropic_take_object(tool, "input_schema", at, &schema, err);
    if (rc < 0)
        return rc;
    if (!schema)
        return anthropic_fail_member(at, "input_schema", err, "is missing");
    write_tool(w, tool, name, schema);
    return 0;
}

int anthropic_write_tools(const json_t *request, struct json_writer *w, struct err *err)
{
    struct anthropic_place place = anthropic_member(NULL, "tools");
    json_t *tools, *tool;
    size_t i;
    int rc = anthropic_take_array(request, "tools", NULL, &tools, err);
    if (rc < 0 || json_array_size(tools) == 0)
        return rc;
    json_add_key(w, "tools");
    json_begin_array(w);
    json_array_foreach(tools, i, tool) {
        struct anthropic_place at = anthropic_item(&place, i);
        rc = add_tool(tool, &at, w, err);
        if (rc < 0)
            return rc;
    }
    json_end_array(w);
    return 0;
}

/* --- choice ----------------------------------------------------------------------------------- */

static const struct {
    const char *type, *chat; /* NULL: the tool is named */
} choices[] = {{"auto", "auto"}, {"any", "required"}, {"none", "none"}, {"tool", NULL}};

static void write_named_choice(struct json_writer *w, struct str name)
{
    json_begin_object(w);
    json_put_string(w, "type", "function");
    json_add_key(w, "function");
    json_begin_object(w);
    json_add_key(w, "name");
    json_add_string(w, name);
    json_end_object(w);
    json_end_object(w);
}

static int write_choice(const json_t *choice, const struct anthropic_place *at,
                        struct json_writer *w, struct err *err)
{
    struct str type, name = {0};
    size_t i = 0;
    int rc = anthropic_take_string(choice, "type", at, &type, err);
    if (rc < 0)
        return rc;
    while (i < ARRAY_LEN(choices) && !str_eq(type, str_of(choices[i].type)))
        i++;
    if (i == ARRAY_LEN(choices))
        return anthropic_fail_member(at, "type", err,
                                     "must be auto, any, tool or none, not '%.64s'", type.ptr);
    if (!choices[i].chat && (rc = anthropic_take_string(choice, "name", at, &name, err)) < 0)
        return rc;
    json_add_key(w, "tool_choice");
    if (choices[i].chat)
        json_add_cstring(w, choices[i].chat);
    else
        write_named_choice(w, name);
    return 0;
}

/* Engines refuse a choice where there are no tools, even the choice of none. */
static int check_choice_without_tools(const json_t *choice, const struct anthropic_place *at,
                                      struct err *err)
{
    struct str type;
    int rc = anthropic_take_string(choice, "type", at, &type, err);
    if (rc < 0 || str_eq(type, STR("auto")) || str_eq(type, STR("none")))
        return rc;
    return anthropic_fail(at, err, "'%.64s' needs tools, and there are none", type.ptr);
}

int anthropic_write_tool_choice(const json_t *request, struct json_writer *w, struct err *err)
{
    struct anthropic_place at = anthropic_member(NULL, "tool_choice");
    json_t *choice;
    bool is_serial;
    int rc = anthropic_take_object(request, "tool_choice", NULL, &choice, err);
    if (rc < 0 || !choice)
        return rc;
    if (json_array_size(json_object_get(request, "tools")) == 0)
        return check_choice_without_tools(choice, &at, err);
    rc = anthropic_take_flag(choice, "disable_parallel_tool_use", &at, &is_serial, err);
    if (rc == 0)
        rc = write_choice(choice, &at, w, err);
    if (rc == 0 && is_serial)
        json_put_bool(w, "parallel_tool_calls", false);
    return rc;
}
