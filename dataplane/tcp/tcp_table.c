/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_table.h"

#include <string.h>

#include "base/check.h"

#include "dataplane/core/hot.h"

_Static_assert(sizeof(struct tcp_tuple) == 12, "hashed and compared as bytes: no padding");
_Static_assert(sizeof(struct tcp_table_slot) == 16, "four to a cache line");

void tcp_table_init(struct tcp_table *table, struct tcp_table_slot *slots, uint32_t slot_count,
		    const struct siphash_key *key)
{
	CHECK(IS_POW2(slot_count));
	table->slots = slots;
	table->mask = slot_count - 1;
	table->count = table->last = 0;
	table->key = *key;
	for (uint32_t i = 0; i < slot_count; i++)
		slots[i].id = TCP_TABLE_NONE;
}

static uint32_t home(const struct tcp_table *table, const struct tcp_tuple *tuple)
{
	return (uint32_t)siphash(&table->key, tuple, sizeof(*tuple)) & table->mask;
}

/** @return the tuple's slot, or the empty one where its probe ends */
static uint32_t probe(const struct tcp_table *table, const struct tcp_tuple *tuple)
{
	uint32_t at = home(table, tuple);

	while (table->slots[at].id != TCP_TABLE_NONE &&
	       memcmp(&table->slots[at].tuple, tuple, sizeof(*tuple)) != 0)
		at = (at + 1) & table->mask;
	return at;
}

/* Field by field: what was just written in narrow stores must not be read back in wider loads. */
static bool is_same(const struct tcp_tuple *a, const struct tcp_tuple *b)
{
	uint32_t differs = a->peer_address ^ b->peer_address;

	differs |= a->local_address ^ b->local_address;
	differs |= (uint32_t)(a->peer_port ^ b->peer_port);
	differs |= (uint32_t)(a->local_port ^ b->local_port);
	return differs == 0;
}

/* Segments of a connection come in trains: the last one found is looked at before any hashing. */
uint32_t tcp_table_find(struct tcp_table *table, const struct tcp_tuple *tuple)
{
	const struct tcp_table_slot *last = &table->slots[table->last];
	uint32_t at;

	if (last->id != TCP_TABLE_NONE && is_same(&last->tuple, tuple))
		return last->id;
	at = probe(table, tuple);
	if (table->slots[at].id != TCP_TABLE_NONE)
		table->last = at;
	return table->slots[at].id;
}

void tcp_table_insert(struct tcp_table *table, const struct tcp_tuple *tuple, uint32_t id)
{
	struct tcp_table_slot *slot = &table->slots[probe(table, tuple)];

	CHECK(slot->id == TCP_TABLE_NONE);
	CHECK(id != TCP_TABLE_NONE);
	CHECK(table->count <= table->mask / 2);
	slot->tuple = *tuple;
	slot->id = id;
	table->count++;
}

void tcp_table_remove(struct tcp_table *table, const struct tcp_tuple *tuple)
{
	uint32_t hole = probe(table, tuple);

	CHECK(table->slots[hole].id != TCP_TABLE_NONE);
	table->count--;
	/* Entries behind the hole that probed across it move up, so that no tombstones are needed:
	   one may move when its home is not between the hole (excluded) and itself. */
	for (uint32_t at = (hole + 1) & table->mask; table->slots[at].id != TCP_TABLE_NONE;
	     at = (at + 1) & table->mask) {
		uint32_t from = home(table, &table->slots[at].tuple);

		if (((at - from) & table->mask) >= ((at - hole) & table->mask)) {
			table->slots[hole] = table->slots[at];
			hole = at;
		}
	}
	table->slots[hole].id = TCP_TABLE_NONE;
}
