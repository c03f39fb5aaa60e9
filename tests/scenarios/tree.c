/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include "base/num.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static yaml_document_t document;
static const char *file = "";

void tree_fail(const node *at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    auto_free char *words = mem_vprintf(fmt, args);
    va_end(args);
    printf("# %s:%zu: %s\n", file, at ? at->start_mark.line + 1 : 1, words);
    fflush(stdout);
    _exit(1);
}

const node *tree_load(const char *path)
{
    yaml_parser_t parser;
    FILE *in = fopen(path, "rb");
    file = path;
    if (!in || !yaml_parser_initialize(&parser))
        tree_fail(NULL, "can't be read");
    yaml_parser_set_input_file(&parser, in);
    if (!yaml_parser_load(&parser, &document)) {
        printf("# %s:%zu: %s\n", path, parser.problem_mark.line + 1, parser.problem);
        fflush(stdout);
        _exit(1);
    }
    yaml_parser_delete(&parser);
    fclose(in);
    const node *root = yaml_document_get_root_node(&document);
    if (!root || root->type != YAML_MAPPING_NODE)
        tree_fail(root, "a scenario is a map: cluster, request, expect");
    return root;
}

/* ---- maps and lists ---- */

static const node *at(int index)
{
    return yaml_document_get_node(&document, index);
}

static bool is_among(const char *word, const char *words)
{
    const size_t len = strlen(word);
    for (const char *p = words; (p = strstr(p, word)); p += len)
        if ((p == words || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
            return true;
    return false;
}

size_t tree_pairs(const node *map)
{
    if (!map)
        return 0;
    if (map->type != YAML_MAPPING_NODE)
        tree_fail(map, "a map is expected here (key: value)");
    return (size_t)(map->data.mapping.pairs.top - map->data.mapping.pairs.start);
}

const char *tree_pair(const node *map, size_t i, const node **ret_value)
{
    const yaml_node_pair_t *pair = &map->data.mapping.pairs.start[i];
    *ret_value = at(pair->value);
    return node_text(at(pair->key));
}

void tree_check_keys(const node *map, const char *allowed)
{
    for (size_t i = 0; i < tree_pairs(map); i++) {
        const node *value;
        const char *key = tree_pair(map, i, &value);
        if (!is_among(key, allowed))
            tree_fail(value, "\"%s\" isn't known here; there are: %s", key, allowed);
    }
}

const node *tree_get(const node *map, const char *key)
{
    for (size_t i = 0; i < tree_pairs(map); i++) {
        const node *value;
        if (strcmp(tree_pair(map, i, &value), key) == 0)
            return value;
    }
    return NULL;
}

const node *tree_need(const node *map, const char *key)
{
    const node *value = tree_get(map, key);
    if (!value)
        tree_fail(map, "\"%s\" is missing", key);
    return value;
}

size_t tree_count(const node *list)
{
    if (!list)
        return 0;
    if (list->type != YAML_SEQUENCE_NODE)
        return 1;
    return (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
}

const node *tree_item(const node *list, size_t i)
{
    return list->type == YAML_SEQUENCE_NODE ? at(list->data.sequence.items.start[i]) : list;
}

/* ---- values ---- */

const char *node_text(const node *value)
{
    if (value->type != YAML_SCALAR_NODE)
        tree_fail(value, "a single value is expected here");
    return (const char *)value->data.scalar.value;
}

uint64_t node_number(const node *value)
{
    uint64_t number;
    if (num_parse_u64(str_of(node_text(value)), &number) < 0)
        tree_fail(value, "\"%s\" isn't a whole number", node_text(value));
    return number;
}

uint64_t node_bytes(const node *value)
{
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}, {"", 0}};
    const char *text = node_text(value);
    char *end;
    double number = strtod(text, &end);
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < ARRAY_LEN(units) && end != text && number >= 0; i++)
        if (strcmp(end, units[i].name) == 0)
            return (uint64_t)(number * (double)(UINT64_C(1) << units[i].shift));
    tree_fail(value, "\"%s\" isn't a number of bytes, as \"24 GiB\" or \"512 MiB\"", text);
}

const char *tree_text(const node *map, const char *key, const char *fallback)
{
    const node *value = tree_get(map, key);
    return value ? node_text(value) : fallback;
}

uint64_t tree_number(const node *map, const char *key, uint64_t fallback)
{
    const node *value = tree_get(map, key);
    return value ? node_number(value) : fallback;
}

uint64_t tree_bytes(const node *map, const char *key, uint64_t fallback)
{
    const node *value = tree_get(map, key);
    return value ? node_bytes(value) : fallback;
}

bool tree_is(const node *map, const char *key, bool fallback)
{
    const char *text = tree_text(map, key, fallback ? "yes" : "no");
    if (!is_among(text, "yes no true false"))
        tree_fail(tree_get(map, key), "\"%s\" is neither yes nor no", text);
    return strcmp(text, "yes") == 0 || strcmp(text, "true") == 0;
}
