/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_priv.h"

void anthropic_content_start(struct anthropic_content *content)
{
    *content = (struct anthropic_content){0};
    content->writer = json_writer_into(&content->parts);
}

void anthropic_content_fini(struct anthropic_content *content)
{
    buf_fini(&content->text);
    buf_fini(&content->parts);
}

void anthropic_content_add_text(struct anthropic_content *content, struct str text)
{
    if (text.len == 0)
        return;
    if (content->text.len > 0)
        buf_add_char(&content->text, '\n');
    buf_add_str(&content->text, text);
}

/* The text that has come together becomes a part. */
static void end_text(struct anthropic_content *content)
{
    if (content->text.len == 0)
        return;
    json_begin_object(&content->writer);
    json_put_string(&content->writer, "type", "text");
    json_add_key(&content->writer, "text");
    json_add_string(&content->writer, buf_str(&content->text));
    json_end_object(&content->writer);
    buf_clear(&content->text);
}

void anthropic_content_add_image(struct anthropic_content *content, struct str url)
{
    struct json_writer *w = &content->writer;
    if (content->images++ == 0)
        json_begin_array(w);
    end_text(content);
    json_begin_object(w);
    json_put_string(w, "type", "image_url");
    json_add_key(w, "image_url");
    json_begin_object(w);
    json_add_key(w, "url");
    json_add_string(w, url);
    json_end_object(w);
    json_end_object(w);
}

bool anthropic_content_is_empty(const struct anthropic_content *content)
{
    return content->text.len == 0 && content->images == 0;
}

void anthropic_content_write(struct anthropic_content *content, struct json_writer *w)
{
    if (content->images == 0) {
        json_add_string(w, buf_str(&content->text));
        return;
    }
    end_text(content);
    json_end_array(&content->writer);
    json_add_raw(w, buf_str(&content->parts));
}
