/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_priv.h"

#include <ctype.h>

/* Adds a block that is known to be an object of its type. */
typedef int add_fn(json_t *block, const struct anthropic_place *at, const struct anthropic_sink *to,
                   struct err *err);

static int add_text(json_t *block, const struct anthropic_place *at,
                    const struct anthropic_sink *to, struct err *err)
{
    struct str text;
    int rc = anthropic_take_string(block, "text", at, &text, err);
    if (rc == 0)
        anthropic_content_add_text(to->texts, text);
    return rc;
}

/* --- images ----------------------------------------------------------------------------------- */

/* Puts an image in its place. Away from its text, both get the same number. */
static void place_image(struct str url, const struct anthropic_sink *to)
{
    if (to->texts != to->images) {
        struct buf mark = {0};
        buf_printf(&mark, "[image %u]", to->images->images + 1);
        anthropic_content_add_text(to->texts, buf_str(&mark));
        anthropic_content_add_text(to->images, buf_str(&mark));
        buf_fini(&mark);
    }
    anthropic_content_add_image(to->images, url);
}

/* "image/png": nothing that would end the data URL's head early. */
static bool is_image_type(struct str type)
{
    if (!str_has_prefix(type, STR("image/")) || type.len == strlen("image/"))
        return false;
    for (size_t i = strlen("image/"); i < type.len; i++)
        if (!isalnum((unsigned char)type.ptr[i]) && !memchr("+-.", type.ptr[i], 3))
            return false;
    return true;
}

static int add_base64_image(const json_t *source, const struct anthropic_place *at,
                            const struct anthropic_sink *to, struct err *err)
{
    struct str type, data;
    int rc = anthropic_take_string(source, "media_type", at, &type, err);
    if (rc == 0)
        rc = anthropic_take_string(source, "data", at, &data, err);
    if (rc < 0)
        return rc;
    if (!is_image_type(type))
        return anthropic_fail_member(at, "media_type", err, "must be like 'image/png', not '%.64s'",
                                     type.ptr);
    struct buf url = {0};
    buf_add_cstr(&url, "data:");
    buf_add_str(&url, type);
    buf_add_cstr(&url, ";base64,");
    buf_add_str(&url, data);
    place_image(buf_str(&url), to);
    buf_fini(&url);
    return 0;
}

/* The object `source` of a block and its type. */
static int take_source(const json_t *block, const struct anthropic_place *at, json_t **ret,
                       struct str *ret_type, struct err *err)
{
    int rc = anthropic_take_object(block, "source", at, ret, err);
    if (rc < 0)
        return rc;
    if (!*ret)
        return anthropic_fail_member(at, "source", err, "is missing");
    struct anthropic_place place = anthropic_member(at, "source");
    return anthropic_take_string(*ret, "type", &place, ret_type, err);
}

static int add_image(json_t *block, const struct anthropic_place *at,
                     const struct anthropic_sink *to, struct err *err)
{
    struct anthropic_place place = anthropic_member(at, "source");
    struct str type, url;
    json_t *source;
    int rc = take_source(block, at, &source, &type, err);
    if (rc < 0)
        return rc;
    if (str_eq(type, STR("base64")))
        return add_base64_image(source, &place, to, err);
    if (!str_eq(type, STR("url")))
        return anthropic_fail_member(&place, "type", err,
                                     "'%.64s' can't be given to this engine; allowed: base64, url",
                                     type.ptr);
    rc = anthropic_take_string(source, "url", &place, &url, err);
    if (rc == 0)
        place_image(url, to);
    return rc;
}

/* --- texts with a frame ----------------------------------------------------------------------- */

/* <name>text</name> on a line of its own; nothing for an empty text. */
static void add_element(struct anthropic_content *content, const char *name, struct str text)
{
    if (text.len == 0)
        return;
    struct buf line = {0};
    buf_printf(&line, "<%s>", name);
    buf_add_str(&line, text);
    buf_printf(&line, "</%s>", name);
    anthropic_content_add_text(content, buf_str(&line));
    buf_fini(&line);
}

static int add_document_source(const json_t *block, const struct anthropic_place *at,
                               const struct anthropic_sink *to, struct err *err)
{
    struct anthropic_place place = anthropic_member(at, "source");
    struct str type, data;
    json_t *source;
    int rc = take_source(block, at, &source, &type, err);
    if (rc < 0)
        return rc;
    if (str_eq(type, STR("content"))) {
        struct anthropic_place content = anthropic_member(&place, "content");
        return anthropic_add_blocks(json_object_get(source, "content"), &content, to, err);
    }
    if (!str_eq(type, STR("text")))
        return anthropic_fail_member(&place, "type", err,
                                     "'%.64s' can't be given to this engine, which reads no PDF "
                                     "and stores no files; allowed: text, content",
                                     type.ptr);
    rc = anthropic_take_string(source, "data", &place, &data, err);
    if (rc == 0)
        anthropic_content_add_text(to->texts, data);
    return rc;
}

static int add_document(json_t *block, const struct anthropic_place *at,
                        const struct anthropic_sink *to, struct err *err)
{
    struct str title, context;
    int rc = anthropic_take_text(block, "title", at, &title, err);
    if (rc == 0)
        rc = anthropic_take_text(block, "context", at, &context, err);
    if (rc < 0)
        return rc;
    anthropic_content_add_text(to->texts, STR("<document>"));
    add_element(to->texts, "title", title);
    add_element(to->texts, "context", context);
    rc = add_document_source(block, at, to, err);
    anthropic_content_add_text(to->texts, STR("</document>"));
    return rc;
}

static int add_search_result(json_t *block, const struct anthropic_place *at,
                             const struct anthropic_sink *to, struct err *err)
{
    struct anthropic_place content = anthropic_member(at, "content");
    struct str title, source;
    int rc = anthropic_take_text(block, "title", at, &title, err);
    if (rc == 0)
        rc = anthropic_take_text(block, "source", at, &source, err);
    if (rc < 0)
        return rc;
    anthropic_content_add_text(to->texts, STR("<search_result>"));
    add_element(to->texts, "title", title);
    add_element(to->texts, "source", source);
    rc = anthropic_add_blocks(json_object_get(block, "content"), &content, to, err);
    anthropic_content_add_text(to->texts, STR("</search_result>"));
    return rc;
}

/* The answer of a client's own search for tools. The engine has all of them from the beginning. */
static int add_tool_reference(json_t *block, const struct anthropic_place *at,
                              const struct anthropic_sink *to, struct err *err)
{
    struct str name;
    int rc = anthropic_take_string(block, "tool_name", at, &name, err);
    if (rc == 0)
        add_element(to->texts, "tool", name);
    return rc;
}

/* --- any -------------------------------------------------------------------------------------- */

static const struct {
    const char *type;
    add_fn *add;
} types[] = {
    {"text", add_text},
    {"image", add_image},
    {"document", add_document},
    {"search_result", add_search_result},
    {"tool_reference", add_tool_reference},
};

int anthropic_add_block(json_t *block, const struct anthropic_place *at,
                        const struct anthropic_sink *to, struct err *err)
{
    struct str type;
    if (!json_is_object(block))
        return anthropic_fail(at, err, "must be an object, not %s", anthropic_kind(block));
    int rc = anthropic_take_string(block, "type", at, &type, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_eq(type, str_of(types[i].type)))
            return types[i].add(block, at, to, err);
    return anthropic_fail_member(at, "type", err,
                                 "'%.64s' can't be given to this engine; allowed: text, image, "
                                 "document, search_result, tool_reference",
                                 type.ptr);
}

int anthropic_add_blocks(json_t *content, const struct anthropic_place *at,
                         const struct anthropic_sink *to, struct err *err)
{
    json_t *block;
    size_t i;
    if (!content || json_is_null(content))
        return 0;
    if (json_is_string(content)) {
        anthropic_content_add_text(to->texts, anthropic_str(content));
        return 0;
    }
    if (!json_is_array(content))
        return anthropic_fail(at, err, "must be a string or an array, not %s",
                              anthropic_kind(content));
    json_array_foreach(content, i, block) {
        struct anthropic_place place = anthropic_item(at, i);
        int rc = anthropic_add_block(block, &place, to, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
