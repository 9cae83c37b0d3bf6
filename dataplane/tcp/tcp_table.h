/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Flow table: four-tuple to a small number, open addressing with linear probes.
 *
 * The hash is keyed, so that strangers cannot choose tuples that collide. The table is at most half
 * full, so probes are short.
 *
 * Context: owning core. Memory: the caller's slots. Limits: slot_count / 2 entries.
 */
#pragma once

#include "base/siphash.h"

#include "dataplane/tcp/tcp.h"

#define TCP_TABLE_NONE UINT32_MAX

struct tcp_table_slot {
	struct tcp_tuple tuple;
	uint32_t id; /* TCP_TABLE_NONE: empty */
};

struct tcp_table {
	struct tcp_table_slot *slots;
	uint32_t mask;  /* slots - 1 */
	uint32_t count; /* used */
	uint32_t last;  /* slot of the last tuple found */
	struct siphash_key key;
};

/** @param slots  [slot_count], a power of two; borrowed for life */
void tcp_table_init(struct tcp_table *table, struct tcp_table_slot *slots, uint32_t slot_count,
		    const struct siphash_key *key);

/** @return id; TCP_TABLE_NONE when unknown */
uint32_t tcp_table_find(struct tcp_table *table, const struct tcp_tuple *tuple);

/** The tuple must not be in the table, which must have room. */
void tcp_table_insert(struct tcp_table *table, const struct tcp_tuple *tuple, uint32_t id);

/** The tuple must be in the table. */
void tcp_table_remove(struct tcp_table *table, const struct tcp_tuple *tuple);
