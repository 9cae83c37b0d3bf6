/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/housekeeper_queue.h"

void housekeeper_queue_init(struct housekeeper_queue *queue)
{
	list_init(&queue->asked);
	list_init(&queue->round);
	queue->turns = 0;
}

void housekeeper_queue_ask(struct housekeeper_queue *queue, struct list *node)
{
	list_remove(node);
	list_push_front(&queue->asked, node);
}

void housekeeper_queue_add(struct housekeeper_queue *queue, struct list *node)
{
	if (!list_is_linked(node))
		list_push_back(&queue->round, node);
}

struct list *housekeeper_queue_next(struct housekeeper_queue *queue)
{
	uint32_t turn = queue->turns++ % HOUSEKEEPER_QUEUE_TURNS;
	struct list *node;

	if (housekeeper_queue_is_empty(queue))
		return NULL;
	if (list_is_empty(&queue->asked) || (turn == 0 && !list_is_empty(&queue->round)))
		node = queue->round.next;
	else
		node = turn == HOUSEKEEPER_QUEUE_TURNS / 2 ? queue->asked.prev : queue->asked.next;
	list_remove(node);
	return node;
}
