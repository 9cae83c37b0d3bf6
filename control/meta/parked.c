/* SPDX-License-Identifier: Apache-2.0 */
#include "control/meta/parked.h"

#include <stdlib.h>

#include "base/check.h"

#define NO_SLOT UINT32_MAX

struct slot {
	struct parked_request request;
	uint32_t round; /* grows each time the slot is freed; the token's upper half */
	uint32_t next;  /* free list */
	bool used;
};

struct parked {
	uint32_t first_free;
	uint32_t count;
	struct slot slots[PARKED_MAX];
};

static void link_free(struct parked *parked)
{
	for (uint32_t i = 0; i < PARKED_MAX; i++)
		parked->slots[i].next = i + 1 < PARKED_MAX ? i + 1 : NO_SLOT;
	parked->first_free = 0;
}

struct parked *parked_new(void)
{
	struct parked *parked = calloc(1, sizeof(*parked));

	if (parked == NULL)
		return NULL;
	for (uint32_t i = 0; i < PARKED_MAX; i++)
		parked->slots[i].round = 1;
	link_free(parked);
	return parked;
}

void parked_free(struct parked *parked)
{
	free(parked);
}

uint64_t parked_add(struct parked *parked, const struct parked_request *request)
{
	uint32_t at = parked->first_free;
	struct slot *slot;

	if (at == NO_SLOT)
		return 0;
	slot = &parked->slots[at];
	CHECK(!slot->used);
	parked->first_free = slot->next;
	slot->request = *request;
	slot->used = true;
	parked->count++;
	return ((uint64_t)slot->round << 32) | at;
}

static bool is_valid(const struct parked *parked, uint64_t token)
{
	uint32_t at = (uint32_t)token;

	return at < PARKED_MAX && parked->slots[at].used &&
	       parked->slots[at].round == (uint32_t)(token >> 32);
}

const struct parked_request *parked_find(const struct parked *parked, uint64_t token)
{
	return is_valid(parked, token) ? &parked->slots[(uint32_t)token].request : NULL;
}

bool parked_take(struct parked *parked, uint64_t token, struct parked_request *ret_request)
{
	struct slot *slot;

	if (!is_valid(parked, token))
		return false;
	slot = &parked->slots[(uint32_t)token];
	*ret_request = slot->request;
	slot->used = false;
	slot->round = slot->round == UINT32_MAX ? 1 : slot->round + 1;
	slot->next = parked->first_free;
	parked->first_free = (uint32_t)token;
	parked->count--;
	return true;
}

void parked_clear(struct parked *parked)
{
	for (uint32_t i = 0; i < PARKED_MAX; i++) {
		struct slot *slot = &parked->slots[i];

		if (slot->used)
			slot->round = slot->round == UINT32_MAX ? 1 : slot->round + 1;
		slot->used = false;
	}
	parked->count = 0;
	link_free(parked);
}

uint32_t parked_count(const struct parked *parked)
{
	return parked->count;
}
