/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_priv.h"

/*
 * Engines have two switches for reasoning: variables of the chat template, of which hybrid models
 * read one or the other, and an effort in words. Without `thinking` neither is written: what the
 * operator has set for the model holds. A budget in tokens has no common name and is left out.
 */
static const char *const switches[] = {"enable_thinking", "thinking"};

static const struct {
    const char *type;
    bool is_on;
} modes[] = {{"enabled", true}, {"adaptive", true}, {"between_tools", true}, {"disabled", false}};

static const struct {
    const char *effort, *chat;
} efforts[] = {{"low", "low"}, {"medium", "medium"}, {"high", "high"}, {"xhigh", "high"},
               {"max", "high"}};

static int take_mode(const json_t *thinking, bool *ret, struct err *err)
{
    struct anthropic_place at = anthropic_member(NULL, "thinking");
    struct str type;
    int rc = anthropic_take_string(thinking, "type", &at, &type, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (str_eq(type, str_of(modes[i].type))) {
            *ret = modes[i].is_on;
            return 0;
        }
    return anthropic_fail_member(&at, "type", err,
                                 "must be enabled, adaptive, between_tools or disabled, "
                                 "not '%.64s'",
                                 type.ptr);
}

/* The client's own variables go before ours. */
static void write_variables(json_t *own, const bool *is_on, struct json_writer *w)
{
    const char *key;
    json_t *value;
    json_add_key(w, "chat_template_kwargs");
    json_begin_object(w);
    json_object_foreach(own, key, value) {
        json_add_key(w, key);
        anthropic_add_value(w, value);
    }
    for (size_t i = 0; is_on && i < ARRAY_LEN(switches); i++)
        if (!json_object_get(own, switches[i]))
            json_put_bool(w, switches[i], *is_on);
    json_end_object(w);
}

static int write_effort(const json_t *config, struct json_writer *w, struct err *err)
{
    struct anthropic_place at = anthropic_member(NULL, "output_config");
    struct str effort;
    int rc = anthropic_take_text(config, "effort", &at, &effort, err);
    if (rc < 0 || effort.len == 0)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(efforts); i++)
        if (str_eq(effort, str_of(efforts[i].effort))) {
            json_put_string(w, "reasoning_effort", efforts[i].chat);
            return 0;
        }
    return anthropic_fail_member(&at, "effort", err,
                                 "must be low, medium, high, xhigh or max, not '%.64s'",
                                 effort.ptr);
}

int anthropic_write_thinking(const json_t *request, struct json_writer *w, struct err *err)
{
    json_t *thinking, *own, *config;
    bool is_on = false;
    int rc = anthropic_take_object(request, "thinking", NULL, &thinking, err);
    if (rc == 0)
        rc = anthropic_take_object(request, "chat_template_kwargs", NULL, &own, err);
    if (rc == 0)
        rc = anthropic_take_object(request, "output_config", NULL, &config, err);
    if (rc == 0 && thinking)
        rc = take_mode(thinking, &is_on, err);
    if (rc < 0)
        return rc;
    if (thinking || own)
        write_variables(own, thinking ? &is_on : NULL, w);
    return config ? write_effort(config, w, err) : 0;
}
