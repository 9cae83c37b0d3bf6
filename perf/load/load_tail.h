/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Matches what a producer was told with what a consumer was sent: time from an acknowledgement to the
 * arrival of its record, and from when the record was due.
 *
 * Context: one thread. Memory: a table of records under way for each partition, sized at
 * load_tail_init(). Limits: records that are under way for longer than the table are counted as lost.
 */
#pragma once

#include "base/hist.h"

struct load_tail_record {
	int64_t offset; /* -1: none */
	int64_t due_ns;
	int64_t acked_ns; /* 0: not yet */
	int64_t came_ns;  /* 0: not yet */
};

struct load_tail {
	struct load_tail_record *records; /* [partitions][LOAD_TAIL_RECORDS] */
	uint32_t partitions;
	int64_t begin_ns, end_ns; /* records due outside are not counted */
	struct hist after_ack;    /* ns; 0: it came first */
	struct hist end_to_end;   /* ns, from the due time */
	uint64_t lost;
};

#define LOAD_TAIL_RECORDS 65536

/** @return 0; -ENOMEM */
NODISCARD int load_tail_init(struct load_tail *tail, uint32_t partitions);
void load_tail_free(struct load_tail *tail);

/** The forms of load_produce_options.on_ack and load_fetch_options.on_batch; ctx is the tail. */
void load_tail_on_ack(void *ctx, int32_t partition, int64_t base_offset, int64_t due_ns,
		      int64_t now_ns);
void load_tail_on_batch(void *ctx, int32_t partition, int64_t base_offset, int64_t now_ns);
