/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/desc_priv.h"

#include "base/buf.h"
#include "base/num.h"
#include "base/utf8.h"
#include "domain/record.h"

#include <errno.h>
#include <yaml.h>

struct reader {
    const char *file;
    yaml_document_t *doc;
    const struct desc_key *keys;
    size_t key_count;
    void *out;
};

/* ---- nodes ---- */

static yaml_node_t *node_at(const struct reader *reader, int index)
{
    return yaml_document_get_node(reader->doc, index);
}

static struct str node_text(const yaml_node_t *node)
{
    return str_sub((const char *)node->data.scalar.value, node->data.scalar.length);
}

static unsigned long node_line(const yaml_node_t *node)
{
    return (unsigned long)node->start_mark.line + 1;
}

/* "FILE line 3: KEY: " before the text, which says what is allowed. */
static int refuse(const struct reader *reader, const yaml_node_t *node, const char *key,
                  const char *allowed, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s line %lu: %s: must be %s", reader->file, node_line(node),
                   key, allowed);
}

/* A scalar's text: not empty, not null, without NUL; libyaml has checked that it is UTF-8. */
static int read_text(const struct reader *reader, const yaml_node_t *node, const char *key,
                     struct str *ret, struct err *err)
{
    if (node->type != YAML_SCALAR_NODE)
        return refuse(reader, node, key, "text", err);
    struct str text = node_text(node);
    bool is_plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (text.len == 0 || (is_plain && (str_eq(text, STR("~")) || str_eq(text, STR("null")))))
        return refuse(reader, node, key, "text, not empty", err);
    if (text.len > DESC_TEXT_MAX || str_find(text, '\0') < text.len)
        return refuse(reader, node, key, "text of at most 4096 bytes without NUL", err);
    *ret = text;
    return 0;
}

/* ---- values by kind ---- */

static int read_scalar(const struct reader *reader, const yaml_node_t *node,
                       const struct desc_key *key, char **ret, struct err *err)
{
    struct str text;
    int rc = read_text(reader, node, key->name, &text, err);
    if (rc < 0)
        return rc;
    if (key->kind == DESC_PATH && text.ptr[0] != '/')
        return refuse(reader, node, key->name, "a path that begins with '/'", err);
    *ret = str_dup(text);
    return 0;
}

static int read_int(const struct reader *reader, const yaml_node_t *node,
                    const struct desc_key *key, int64_t *ret, struct err *err)
{
    if (node->type == YAML_SCALAR_NODE &&
        num_parse_i64(node_text(node), key->min, key->max, ret) == 0)
        return 0;
    auto_free char *allowed =
        mem_printf("an integer from %lld to %lld", (long long)key->min, (long long)key->max);
    return refuse(reader, node, key->name, allowed, err);
}

static int read_texts(const struct reader *reader, const yaml_node_t *node,
                      const struct desc_key *key, struct string_list *ret, struct err *err)
{
    if (node->type != YAML_SEQUENCE_NODE ||
        node->data.sequence.items.top - node->data.sequence.items.start > DESC_ITEMS_MAX)
        return refuse(reader, node, key->name, "a list of at most 256 texts", err);
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        struct str text;
        int rc = read_text(reader, node_at(reader, *item), key->name, &text, err);
        if (rc < 0)
            return rc;
        auto_free char *copy = str_dup(text);
        string_list_add(ret, copy);
    }
    return 0;
}

/* Bit of a name, or the error text with all names. */
static int read_flag(const struct reader *reader, const yaml_node_t *node,
                     const struct desc_key *key, const char *name, struct err *err)
{
    struct buf allowed = {0};
    for (int bit = 0; key->names[bit]; bit++) {
        if (strcmp(key->names[bit], name) == 0) {
            buf_fini(&allowed);
            return bit;
        }
        buf_printf(&allowed, "%s%s", bit ? ", " : "a list of ", key->names[bit]);
    }
    int rc = refuse(reader, node, key->name, allowed.ptr, err);
    buf_fini(&allowed);
    return rc;
}

static int read_flags(const struct reader *reader, const yaml_node_t *node,
                      const struct desc_key *key, unsigned *ret, struct err *err)
{
    struct string_list list = {0};
    unsigned flags = 0;
    int rc = read_texts(reader, node, key, &list, err);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        int bit = read_flag(reader, node, key, list.items[i], err);
        if (bit < 0)
            rc = bit;
        else
            flags |= 1U << bit;
    }
    string_list_fini(&list);
    if (rc == 0)
        *ret = flags;
    return rc;
}

static bool is_variable_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!(is_digit && i > 0) && c != '_' && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z'))
            return false;
    }
    return name.len > 0;
}

static int read_variable(const struct reader *reader, const yaml_node_pair_t *pair,
                         const struct desc_key *key, struct string_map *ret, struct err *err)
{
    const yaml_node_t *name_node = node_at(reader, pair->key);
    const yaml_node_t *value_node = node_at(reader, pair->value);
    struct str name, value;
    int rc = read_text(reader, name_node, key->name, &name, err);
    if (rc < 0)
        return rc;
    if (!is_variable_name(name))
        return refuse(reader, name_node, key->name, "a map of names made of letters, digits, _",
                      err);
    auto_free char *owned_name = str_dup(name);
    if (string_map_get(ret, owned_name))
        return refuse(reader, name_node, owned_name, "there once", err);
    rc = read_text(reader, value_node, owned_name, &value, err);
    if (rc < 0)
        return rc;
    auto_free char *owned_value = str_dup(value);
    string_map_set(ret, owned_name, owned_value);
    return 0;
}

static int read_map(const struct reader *reader, const yaml_node_t *node,
                    const struct desc_key *key, struct string_map *ret, struct err *err)
{
    if (node->type != YAML_MAPPING_NODE ||
        node->data.mapping.pairs.top - node->data.mapping.pairs.start > DESC_ITEMS_MAX)
        return refuse(reader, node, key->name, "a map of at most 256 texts", err);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        int rc = read_variable(reader, pair, key, ret, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_bool(const struct reader *reader, const yaml_node_t *node,
                     const struct desc_key *key, bool *ret, struct err *err)
{
    struct str text = node->type == YAML_SCALAR_NODE ? node_text(node) : STR("");
    bool is_true = str_eq(text, STR("true"));
    if (!is_true && !str_eq(text, STR("false")))
        return refuse(reader, node, key->name, "true or false", err);
    *ret = is_true;
    return 0;
}

static int read_mapping(const struct reader *reader, const yaml_node_t *node, struct err *err);

/* Sections have no sections, so this ends. */
static int read_section(const struct reader *reader, const yaml_node_t *node,
                        const struct desc_key *key, void *out, struct err *err)
{
    struct reader inner = {reader->file, reader->doc, key->section, key->section_count, out};
    if (node->type != YAML_MAPPING_NODE)
        return refuse(reader, node, key->name, "a mapping of keys", err);
    return read_mapping(&inner, node, err);
}

static int read_value(const struct reader *reader, const yaml_node_t *node,
                      const struct desc_key *key, struct err *err)
{
    void *at = (char *)reader->out + key->offset;
    switch (key->kind) {
    case DESC_TEXT:
    case DESC_PATH:
        return read_scalar(reader, node, key, at, err);
    case DESC_INT:
        return read_int(reader, node, key, at, err);
    case DESC_BOOL:
        return read_bool(reader, node, key, at, err);
    case DESC_TEXTS:
        return read_texts(reader, node, key, at, err);
    case DESC_MAP:
        return read_map(reader, node, key, at, err);
    case DESC_FLAGS:
        return read_flags(reader, node, key, at, err);
    case DESC_SECTION:
        return read_section(reader, node, key, at, err);
    }
    return -EINVAL;
}

/* ---- the mapping ---- */

static int refuse_key(const struct reader *reader, const yaml_node_t *node, struct err *err)
{
    struct buf allowed = {0};
    for (size_t i = 0; i < reader->key_count; i++)
        buf_printf(&allowed, "%s%s", i ? ", " : "", reader->keys[i].name);
    struct str name = node->type == YAML_SCALAR_NODE ? node_text(node) : STR("?");
    if (name.len > 64 || !utf8_is_valid(name))
        name = STR("?");
    int rc = err_set(err, ERR_INVALID, "%s line %lu: unknown key '%.*s', allowed are %s",
                     reader->file, node_line(node), STR_ARGS(name), allowed.ptr);
    buf_fini(&allowed);
    return rc;
}

/* Reads one pair; `seen` has a byte per key of the table. */
static int read_pair(const struct reader *reader, const yaml_node_pair_t *pair, bool *seen,
                     struct err *err)
{
    const yaml_node_t *node = node_at(reader, pair->key);
    for (size_t i = 0; node->type == YAML_SCALAR_NODE && i < reader->key_count; i++) {
        const struct desc_key *key = &reader->keys[i];
        if (!str_eq(node_text(node), str_of(key->name)))
            continue;
        if (seen[i])
            return refuse(reader, node, key->name, "there once", err);
        seen[i] = true;
        return read_value(reader, node_at(reader, pair->value), key, err);
    }
    return refuse_key(reader, node, err);
}

static int read_mapping(const struct reader *reader, const yaml_node_t *node, struct err *err)
{
    auto_free bool *seen = mem_alloc_array(reader->key_count, sizeof *seen);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        int rc = read_pair(reader, pair, seen, err);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < reader->key_count; i++)
        if (reader->keys[i].is_required && !seen[i])
            return err_set(err, ERR_INVALID, "%s: key '%s' is missing", reader->file,
                           reader->keys[i].name);
    return 0;
}

static int read_root(const struct reader *reader, struct err *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(reader->doc);
    if (!root || root->type != YAML_MAPPING_NODE)
        return err_set(err, ERR_INVALID, "%s: must be a mapping of keys", reader->file);
    return read_mapping(reader, root, err);
}

static int load_document(yaml_parser_t *parser, const char *file, yaml_document_t *ret,
                         struct err *err)
{
    if (yaml_parser_load(parser, ret))
        return 0;
    return err_set(err, ERR_SYNTAX, "%s line %lu: %s", file,
                   (unsigned long)parser->problem_mark.line + 1,
                   parser->problem ? parser->problem : "can't be read as YAML");
}

/* A second document would be ignored in silence. */
static int check_is_last(yaml_parser_t *parser, const char *file, struct err *err)
{
    yaml_document_t next;
    int rc = load_document(parser, file, &next, err);
    if (rc < 0)
        return rc;
    if (yaml_document_get_root_node(&next))
        rc = err_set(err, ERR_INVALID, "%s: must be one document", file);
    yaml_document_delete(&next);
    return rc;
}

int desc_read(const char *file, struct str text, const struct desc_key *keys, size_t key_count,
              void *out, struct err *err)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    if (text.len > DESC_FILE_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s: larger than %d bytes", file, DESC_FILE_MAX);
    if (!yaml_parser_initialize(&parser))
        abort(); /* libyaml fails here for want of memory only */
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.ptr ? text.ptr : ""),
                                 text.len);
    int rc = load_document(&parser, file, &doc, err);
    if (rc == 0) {
        struct reader reader = {file, &doc, keys, key_count, out};
        rc = read_root(&reader, err);
        if (rc == 0)
            rc = check_is_last(&parser, file, err);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    return rc;
}
