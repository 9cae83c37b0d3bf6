/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_tail.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

int load_tail_init(struct load_tail *tail, uint32_t partitions)
{
	size_t count = (size_t)partitions * LOAD_TAIL_RECORDS;

	*tail = (struct load_tail){ .partitions = partitions,
				    .begin_ns = INT64_MAX,
				    .end_ns = INT64_MAX };
	tail->records = malloc(count * sizeof(*tail->records));
	if (tail->records == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		tail->records[i] = (struct load_tail_record){ .offset = -1 };
	return 0;
}

void load_tail_free(struct load_tail *tail)
{
	free(tail->records);
	tail->records = NULL;
}

static struct load_tail_record *record_of(struct load_tail *tail, int32_t partition, int64_t offset)
{
	struct load_tail_record *record;

	CHECK(partition >= 0 && (uint32_t)partition < tail->partitions);
	record = &tail->records[(size_t)partition * LOAD_TAIL_RECORDS +
				(size_t)(offset % LOAD_TAIL_RECORDS)];
	if (record->offset != offset) {
		if (record->offset >= 0)
			tail->lost++;
		*record = (struct load_tail_record){ .offset = offset };
	}
	return record;
}

static void settle(struct load_tail *tail, struct load_tail_record *record)
{
	if (record->acked_ns == 0 || record->came_ns == 0)
		return;
	if (record->due_ns >= tail->begin_ns && record->due_ns < tail->end_ns) {
		hist_add(&tail->after_ack,
			 (uint64_t)MAX(record->came_ns - record->acked_ns, INT64_C(0)));
		hist_add(&tail->end_to_end, (uint64_t)(record->came_ns - record->due_ns));
	}
	record->offset = -1;
}

void load_tail_on_ack(void *ctx, int32_t partition, int64_t base_offset, int64_t due_ns,
		      int64_t now_ns)
{
	struct load_tail *tail = ctx;
	struct load_tail_record *record = record_of(tail, partition, base_offset);

	record->due_ns = due_ns;
	record->acked_ns = now_ns;
	settle(tail, record);
}

void load_tail_on_batch(void *ctx, int32_t partition, int64_t base_offset, int64_t now_ns)
{
	struct load_tail *tail = ctx;
	struct load_tail_record *record = record_of(tail, partition, base_offset);

	record->came_ns = now_ns;
	settle(tail, record);
}
