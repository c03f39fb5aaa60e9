/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML file as a tree. A fault ends the process with FILE:LINE: and what is allowed, since each
 * file is read in a process of its own.
 *
 *     const node *root = tree_load("one.yaml");
 *     tree_check_keys(root, "cluster request expect");
 *     const node *request = tree_need(root, "request");
 *     uint64_t bytes = tree_bytes(request, "memory", 0);
 */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <yaml.h>

typedef yaml_node_t node;

/* The root of a file, a map. */
const node *tree_load(const char *path);

/* Prints FILE:LINE: and the words, and ends the process. */
void tree_fail(const node *at, const char *fmt, ...) printf_like(2, 3) __attribute__((noreturn));

/* All keys of the map must be among `allowed`, separated by spaces. */
void tree_check_keys(const node *map, const char *allowed);

/* The value of a key, or NULL; `map` may be NULL. */
const node *tree_get(const node *map, const char *key);

/* The same; it must be there. */
const node *tree_need(const node *map, const char *key);

/* Length of a list, 0 for NULL; the i-th item; a single value counts as a list of one. */
size_t tree_count(const node *list);
const node *tree_item(const node *list, size_t i);

/* Pairs of a map, in the order in which they stand there. */
size_t tree_pairs(const node *map);
const char *tree_pair(const node *map, size_t i, const node **ret_value);

/* Values of a key; `fallback` when it isn't there. Texts are borrowed. */
const char *tree_text(const node *map, const char *key, const char *fallback);
uint64_t tree_number(const node *map, const char *key, uint64_t fallback);
uint64_t tree_bytes(const node *map, const char *key, uint64_t fallback); /* "24 GiB" */
bool tree_is(const node *map, const char *key, bool fallback);            /* yes, no */

/* The node itself as such a value. */
const char *node_text(const node *value);
uint64_t node_number(const node *value);
uint64_t node_bytes(const node *value);
