/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive doubly linked list. The list doesn't own its members; a member stands in one list per
 * node. A zeroed node is in no list.
 *
 *     LIST_FOR_EACH(struct timer, t, &loop->timers, node) ...     // `t` may be removed in the body
 */
#pragma once

#include "base/mem.h"

#include <stdbool.h>

struct list_node {
    struct list_node *prev, *next;
};

/* The head is a node that points to itself while the list is empty. */
static inline void list_init(struct list_node *head)
{
    head->prev = head->next = head;
}

static inline bool list_is_empty(const struct list_node *head)
{
    return head->next == head;
}

static inline bool list_is_linked(const struct list_node *node)
{
    return node->next != NULL;
}

static inline void list_add_tail(struct list_node *head, struct list_node *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_add_head(struct list_node *head, struct list_node *node)
{
    list_add_tail(head->next, node);
}

/* Unlinks; a node that is in no list stays so. */
static inline void list_remove(struct list_node *node)
{
    if (!node->next)
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = NULL;
}

#define LIST_FIRST(head, type, member)                                                             \
    (list_is_empty(head) ? NULL : CONTAINER_OF((head)->next, type, member))

#define LIST_FOR_EACH(type, var, head, member)                                                     \
    for (struct list_node *node_##var = (head)->next, *next_##var = node_##var->next;              \
         node_##var != (head); node_##var = next_##var, next_##var = node_##var->next)             \
        for (type *var = CONTAINER_OF(node_##var, type, member), *once_##var = var; once_##var;    \
             once_##var = NULL)
