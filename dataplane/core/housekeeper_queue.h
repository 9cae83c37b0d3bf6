/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * In which order the housekeeper comes to logs whose cores do not wait for it: ends of rolled segments,
 * deletions, retention.
 *
 * The log that asked last comes first: it is busy, and soon wants the file that it may delete now. Those
 * that asked long ago ask no more, so they can wait, as can those whose turn comes by the clock alone; each
 * kind has one turn of HOUSEKEEPER_QUEUE_TURNS all the same.
 *
 * Context: main thread. Memory: the nodes live in their owners.
 */
#pragma once

#include "base/list.h"

#define HOUSEKEEPER_QUEUE_TURNS 16

struct housekeeper_queue {
	struct list asked; /* newest first */
	struct list round; /* oldest first */
	uint32_t turns;
};

void housekeeper_queue_init(struct housekeeper_queue *queue);

/** `node` was asked for; it may be in the queue. */
void housekeeper_queue_ask(struct housekeeper_queue *queue, struct list *node);

/** The turn of `node` has come by the clock; without effect while it is in the queue. */
void housekeeper_queue_add(struct housekeeper_queue *queue, struct list *node);

/** @return the next one, out of the queue; NULL: there is none */
struct list *housekeeper_queue_next(struct housekeeper_queue *queue);

static inline bool housekeeper_queue_is_empty(const struct housekeeper_queue *queue)
{
	return list_is_empty(&queue->asked) && list_is_empty(&queue->round);
}
