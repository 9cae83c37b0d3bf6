/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Intrusive doubly linked list: a ring through a head node.
 *
 * Context: one thread owns a list. Memory: the nodes live in their owners. Limits: none.
 */
#pragma once

#include "base/check.h"

struct list {
	struct list *next, *prev; /* a node outside any list points at itself */
};

static inline void list_init(struct list *node)
{
	node->next = node->prev = node;
}

static inline bool list_is_empty(const struct list *head)
{
	return head->next == head;
}

/** @return true while `node` is on some list */
static inline bool list_is_linked(const struct list *node)
{
	return node->next != node;
}

static inline void list_insert_between(struct list *node, struct list *prev, struct list *next)
{
	CHECK(!list_is_linked(node));
	node->prev = prev;
	node->next = next;
	prev->next = node;
	next->prev = node;
}

static inline void list_push_front(struct list *head, struct list *node)
{
	list_insert_between(node, head, head->next);
}

static inline void list_push_back(struct list *head, struct list *node)
{
	list_insert_between(node, head->prev, head);
}

/** Take `node` off its list; harmless when it is on none. */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/** @return first node, taken off; NULL when the list is empty */
static inline struct list *list_pop_front(struct list *head)
{
	struct list *node = head->next;

	if (node == head)
		return NULL;
	list_remove(node);
	return node;
}

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

/** Visit each node; the current one must stay linked. */
#define LIST_EACH(head, node)                                                                      \
	for (struct list *node = (head)->next; node != (head); node = node->next)

/** Visit each node; the current one may be removed. */
#define LIST_EACH_SAFE(head, node)                                                                 \
	for (struct list *node = (head)->next, *node##_next = node->next; node != (head);          \
	     node = node##_next, node##_next = node->next)
