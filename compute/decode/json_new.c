/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "compute/decode/json_impl.h"

#define SCRATCH_MIN  (64U << 10)
#define SCRATCH_KEEP (4U << 20)

static uint32_t hash(uint32_t parent, const char *key, uint32_t size)
{
	uint64_t value = UINT64_C(0xcbf29ce484222325) ^ parent;

	for (uint32_t i = 0; i < size; i++)
		value = (value ^ (uint8_t)key[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(value >> 32 ^ value);
}

/* Where the key is in the table, or would be. */
static uint32_t *find_cell(const struct json_decoder *decoder, uint32_t parent, const char *key,
			   uint32_t size)
{
	for (uint32_t i = hash(parent, key, size);; i++) {
		uint32_t *cell = &decoder->table[i & decoder->table_mask];
		const struct slot *slot = &decoder->slots[*cell];

		if (*cell == JSON_NO_SLOT || (slot->parent == parent && slot->key_size == size &&
					      memcmp(slot->key, key, size) == 0))
			return cell;
	}
}

static uint32_t add_slot(struct json_decoder *decoder, uint32_t *cell, uint32_t parent,
			 const char *key, uint32_t size)
{
	struct slot *slot = &decoder->slots[decoder->slot_count];

	slot->parent = parent;
	slot->field = JSON_NO_FIELD;
	slot->key_size = (uint8_t)size;
	memcpy(slot->key, key, size);
	*cell = decoder->slot_count;
	return decoder->slot_count++;
}

static void compile_field(struct json_decoder *decoder, uint32_t index)
{
	const struct schema_field *field = &decoder->schema->fields[index];
	struct target *target = &decoder->targets[index];
	uint32_t at = JSON_ROOT_SLOT;

	for (uint32_t i = 0; i < field->depth; i++) {
		uint32_t size = (uint32_t)strlen(field->path[i]);
		uint32_t *cell = find_cell(decoder, at, field->path[i], size);

		decoder->slots[at].has_children = true;
		at = *cell != JSON_NO_SLOT ? *cell
					   : add_slot(decoder, cell, at, field->path[i], size);
	}
	target->type = field->type;
	target->is_json = field->is_json;
	target->is_required = field->is_required;
	target->scale = field->scale;
	target->limit = field->type == COLUMN_INTEGER ? INT32_MAX : INT64_MAX;
	if (field->type == COLUMN_DECIMAL) {
		target->limit = 1;
		for (uint32_t i = 0; i < field->precision; i++)
			target->limit *= 10;
		target->limit--;
	}
	target->slot = at;
	target->next = decoder->slots[at].field;
	decoder->slots[at].field = index;
}

int json_decoder_new(const struct schema *schema, struct json_decoder **ret_decoder)
{
	CLEANUP(json_decoder_freep) struct json_decoder *decoder = calloc(1, sizeof(*decoder));
	size_t slots = JSON_ROOT_SLOT + 1 + JSON_LEARNED_MAX, table = 1024;

	if (decoder == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < schema->count; i++)
		slots += schema->fields[i].depth;
	while (table < 2 * slots)
		table *= 2;
	decoder->schema = schema;
	decoder->targets = calloc(MAX(schema->count, 1U), sizeof(*decoder->targets));
	decoder->slots = calloc(slots, sizeof(*decoder->slots));
	decoder->table = calloc(table, sizeof(*decoder->table));
	if (decoder->targets == NULL || decoder->slots == NULL || decoder->table == NULL)
		return -ENOMEM;
	decoder->table_mask = (uint32_t)table - 1;
	decoder->slots[JSON_NO_SLOT].field = JSON_NO_FIELD;
	decoder->slots[JSON_ROOT_SLOT].field = JSON_NO_FIELD;
	decoder->slot_count = JSON_ROOT_SLOT + 1;
	for (uint32_t i = 0; i < schema->count; i++)
		compile_field(decoder, i);
	*ret_decoder = TAKE_PTR(decoder);
	return 0;
}

static void free_scratch(struct scratch *scratch)
{
	while (scratch != NULL) {
		struct scratch *below = scratch->below;

		free(scratch);
		scratch = below;
	}
}

void json_decoder_free(struct json_decoder *decoder)
{
	if (decoder == NULL)
		return;
	free_scratch(decoder->scratch);
	free(decoder->marks);
	free(decoder->table);
	free(decoder->slots);
	free(decoder->targets);
	free(decoder);
}

void json_decoder_reset(struct json_decoder *decoder)
{
	struct scratch *top = decoder->scratch;

	if (top == NULL)
		return;
	free_scratch(top->below); /* blocks double, so the top one has room for half of all */
	top->below = NULL;
	top->used = 0;
	if (top->size > SCRATCH_KEEP) {
		free(top);
		decoder->scratch = NULL;
	}
}

char *json_new_scratch(struct json_decoder *decoder, size_t size)
{
	struct scratch *top = decoder->scratch;
	char *taken;

	if (top == NULL || top->size - top->used < size) {
		size_t room = top != NULL && top->size < SCRATCH_KEEP ? 2 * top->size : SCRATCH_MIN;

		room = MAX(room, size);
		top = malloc(sizeof(*top) + room);
		if (top == NULL) {
			decoder->error = -ENOMEM;
			return NULL;
		}
		top->below = decoder->scratch;
		top->size = room;
		top->used = 0;
		decoder->scratch = top;
	}
	taken = top->bytes + top->used;
	top->used += size;
	return taken;
}

uint32_t json_new_slot(struct json_decoder *decoder, uint32_t parent, const char *key,
		       uint32_t size)
{
	uint32_t *cell = find_cell(decoder, parent, key, size);

	if (*cell != JSON_NO_SLOT || size >= COLUMN_NAME_MAX ||
	    decoder->learned_count == JSON_LEARNED_MAX)
		return *cell;
	decoder->learned_count++;
	return add_slot(decoder, cell, parent, key, size);
}
