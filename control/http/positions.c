/* SPDX-License-Identifier: Apache-2.0 */
#include "control/http/positions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int positions_compare(const struct position *a, const struct position *b)
{
	int order = memcmp(&a->topic_id, &b->topic_id, sizeof(a->topic_id));

	if (order != 0)
		return order;
	return (a->partition > b->partition) - (a->partition < b->partition);
}

static int compare(const void *a, const void *b)
{
	return positions_compare(a, b);
}

void positions_init(struct positions *positions)
{
	*positions = (struct positions){ NULL, 0, 0 };
}

void positions_fini(struct positions *positions)
{
	free(positions->all);
	positions_init(positions);
}

static void copy_cell(const struct partition_view *view, struct position *ret_position)
{
	*ret_position = (struct position){
		.topic_id = view->topic_id,
		.partition = view->partition,
		.core = view->core,
		.leader_epoch = view->leader_epoch,
		.error = view->error,
		.start_offset = view->start_offset,
		.high_watermark = view->high_watermark,
		.next_offset = view->next_offset,
		.size = view->size,
	};
}

int positions_refresh(struct positions *positions, const struct partitions *table)
{
	uint32_t cells = partitions_count(table);
	struct partition_view view;

	if (cells > positions->capacity) {
		struct position *grown = reallocarray(positions->all, cells, sizeof(*grown));

		if (grown == NULL)
			return -ENOMEM;
		positions->all = grown;
		positions->capacity = cells;
	}
	positions->count = 0;
	for (uint32_t i = 0; i < cells; i++) {
		if (partition_cell_read(partitions_at(table, i), &view))
			copy_cell(&view, &positions->all[positions->count++]);
	}
	if (positions->count > 0)
		qsort(positions->all, positions->count, sizeof(*positions->all), compare);
	return 0;
}

const struct position *positions_find(const struct positions *positions,
				      const struct uuid *topic_id, uint32_t partition)
{
	struct position key = { .topic_id = *topic_id, .partition = partition };

	if (positions->count == 0)
		return NULL;
	return bsearch(&key, positions->all, positions->count, sizeof(key), compare);
}
