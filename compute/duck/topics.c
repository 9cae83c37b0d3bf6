/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/duck/topics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"

#include "compute/duck/topics_impl.h"

static void lock(struct topics *topics)
{
	CHECK(pthread_mutex_lock(&topics->lock) == 0);
}

static void unlock(struct topics *topics)
{
	CHECK(pthread_mutex_unlock(&topics->lock) == 0);
}

/* ---- registering ---- */

static int register_function(struct duck *duck, struct topics *topics)
{
	static const struct {
		const char *name;
		int type;
		bool is_list;
	} parameters[] = {
		{ "partitions", DUCKDB_INTEGER, true },
		{ "from_offset", DUCKDB_BIGINT, false },
		{ "to_offset", DUCKDB_BIGINT, false },
		{ "from_timestamp", DUCKDB_TIMESTAMP_TZ, false },
		{ "to_timestamp", DUCKDB_TIMESTAMP_TZ, false },
		{ "columns", DUCKDB_VARCHAR, false },
	};
	duckdb_handle function = duck_api.create_table_function();
	duckdb_handle type = duck_api.create_logical_type(DUCKDB_VARCHAR);
	int error;

	duck_api.table_function_set_name(function, "topic");
	duck_api.table_function_add_parameter(function, type);
	duck_api.destroy_logical_type(&type);
	for (size_t i = 0; i < ARRAY_COUNT(parameters); i++) {
		duckdb_handle list = NULL;

		type = duck_api.create_logical_type(parameters[i].type);
		if (parameters[i].is_list)
			list = duck_api.create_list_type(type);
		duck_api.table_function_add_named_parameter(function, parameters[i].name,
							    list != NULL ? list : type);
		duck_api.destroy_logical_type(&type);
		if (list != NULL)
			duck_api.destroy_logical_type(&list);
	}
	duck_api.table_function_set_extra_info(function, topics, NULL);
	duck_api.table_function_set_bind(function, topics_bind);
	duck_api.table_function_set_init(function, topics_init);
	duck_api.table_function_set_local_init(function, topics_init_local);
	duck_api.table_function_set_function(function, topics_fill);
	duck_api.table_function_supports_projection_pushdown(function, true);
	error = duck_api.register_table_function(duck->connection, function);
	duck_api.destroy_table_function(&function);
	return error == 0 ? 0 : ERR_UNSUPPORTED;
}

int topics_register(struct duck *duck, const struct topics_config *config)
{
	struct topics *topics;
	int error;

	if (duck_api.vector_size() != COLUMN_ROWS)
		return ERR_UNSUPPORTED;
	topics = calloc(1, sizeof(*topics));
	if (topics == NULL)
		return -ENOMEM;
	CHECK(pthread_mutex_init(&topics->lock, NULL) == 0);
	topics->duck = duck;
	topics->table = config->table;
	topics->log_dir = strdup(config->log_dir);
	error = topics->log_dir != NULL ? register_function(duck, topics) : -ENOMEM;
	if (error != 0)
		topics_free(topics);
	else
		duck->topics = topics;
	return error;
}

static void free_entry(struct topics_entry *entry)
{
	if (entry == NULL)
		return;
	topicscan_close(entry->scan);
	schema_free(entry->schema);
	free(entry->ranges);
	free(entry);
}

void topics_free(struct topics *topics)
{
	if (topics == NULL)
		return;
	while (topics->entries != NULL) {
		struct topics_entry *entry = topics->entries;

		topics->entries = entry->next;
		free_entry(entry);
	}
	for (uint32_t i = 0; i < topics->bad_count; i++)
		free((void *)(uintptr_t)topics->bad[i].topic);
	free(topics->bad);
	free(topics->log_dir);
	CHECK(pthread_mutex_destroy(&topics->lock) == 0);
	free(topics);
}

/* ---- declaring ---- */

struct topics_entry *topics_find(struct topics *topics, const char *name)
{
	struct topics_entry *entry = topics->entries;

	while (entry != NULL && strcmp(entry->name, name) != 0)
		entry = entry->next;
	return entry;
}

static int fill_entry(struct topics_entry *entry, const struct topics_declaration *declaration,
		      char *reterr, size_t reterr_size)
{
	int error = 0;

	entry->keep_bad = declaration->keep_bad;
	if (declaration->columns != NULL)
		error = schema_parse(declaration->columns, &entry->schema, reterr, reterr_size);
	if (error != 0 || declaration->range_count == 0)
		return error;
	entry->ranges = calloc(declaration->range_count, sizeof(*entry->ranges));
	if (entry->ranges == NULL)
		return -ENOMEM;
	memcpy(entry->ranges, declaration->ranges,
	       declaration->range_count * sizeof(*entry->ranges));
	entry->range_count = declaration->range_count;
	return 0;
}

static void forget(struct topics *topics, const char *name)
{
	struct topics_entry **link = &topics->entries;

	while (*link != NULL && strcmp((*link)->name, name) != 0)
		link = &(*link)->next;
	if (*link != NULL) {
		struct topics_entry *entry = *link;

		*link = entry->next;
		free_entry(entry);
	}
}

int topics_declare(struct duck *duck, const char *topic,
		   const struct topics_declaration *declaration, char *reterr, size_t reterr_size)
{
	struct topics *topics = duck->topics;
	struct topics_entry *entry;
	int error;

	CHECK(topics != NULL);
	if (strlen(topic) >= sizeof(entry->name)) {
		(void)snprintf(reterr, reterr_size, "%.20s...: too long for a topic's name", topic);
		return ERR_CONFIG;
	}
	(void)snprintf(reterr, reterr_size, "no memory for the topic's columns");
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		return -ENOMEM;
	(void)snprintf(entry->name, sizeof(entry->name), "%s", topic);
	error = fill_entry(entry, declaration, reterr, reterr_size);
	if (error != 0) {
		free_entry(entry);
		return error;
	}
	forget(topics, topic);
	entry->next = topics->entries;
	topics->entries = entry;
	return 0;
}

void topics_release(struct duck *duck)
{
	for (struct topics_entry *entry = duck->topics->entries; entry != NULL;
	     entry = entry->next) {
		topicscan_close(entry->scan);
		entry->scan = NULL;
	}
}

/* ---- errors ---- */

void topics_begin(struct topics *topics)
{
	topics->error = 0;
}

void topics_fail(struct topics *topics, int error, const char *sentence)
{
	lock(topics);
	if (topics->error == 0) {
		topics->error = error;
		(void)snprintf(topics->sentence, sizeof(topics->sentence), "%s", sentence);
	}
	unlock(topics);
}

enum duck_status topics_error(struct topics *topics, char *reterr, size_t reterr_size)
{
	if (topics->error == 0)
		return DUCK_OK;
	(void)snprintf(reterr, reterr_size, "%s", topics->sentence);
	if (topics->error == -ENOMEM)
		return DUCK_MEMORY;
	if (topics->error == ERR_CORRUPT || topics->error == ERR_OFFLINE ||
	    topics->error > ERR_TRUNCATED)
		return DUCK_IO;
	return DUCK_USER;
}

int topics_failure(const struct duck *duck)
{
	return duck->topics != NULL ? duck->topics->error : 0;
}

/* ---- bad records ---- */

/** The strings of a bad record lie in one block that begins with the topic's name. */
static int keep_locked(struct topics *topics, const char *topic,
		       const struct topicscan_record *record, const char *reason)
{
	const size_t topic_size = strlen(topic) + 1, reason_size = strlen(reason) + 1;
	const size_t value_size = record->value != NULL ? (size_t)record->value_size : 0;
	const size_t size = topic_size + reason_size + value_size;
	char *block;

	if (topics->bad_size + size > TOPICS_BAD_MAX)
		return ERR_TOO_LARGE;
	if (topics->bad_count == topics->bad_room) {
		const uint32_t room = MAX(2 * topics->bad_room, 64U);
		struct topics_bad *grown = realloc(topics->bad, room * sizeof(*grown));

		if (grown == NULL)
			return -ENOMEM;
		topics->bad = grown;
		topics->bad_room = room;
	}
	block = malloc(size);
	if (block == NULL)
		return -ENOMEM;
	memcpy(block, topic, topic_size);
	memcpy(block + topic_size, reason, reason_size);
	if (value_size > 0)
		memcpy(block + topic_size + reason_size, record->value, value_size);
	topics->bad[topics->bad_count++] = (struct topics_bad){
		.topic = block,
		.partition = record->partition,
		.offset = record->offset,
		.timestamp_ms = record->timestamp_ms,
		.value = record->value != NULL ? (const uint8_t *)block + topic_size + reason_size
					       : NULL,
		.value_size = (uint32_t)value_size,
		.reason = block + topic_size,
	};
	topics->bad_size += size;
	return 0;
}

int topics_keep(struct topics *topics, const char *topic, const struct topicscan_record *record,
		const char *reason)
{
	int error;

	lock(topics);
	error = keep_locked(topics, topic, record, reason);
	unlock(topics);
	return error;
}

static int compare_bad(const void *left, const void *right)
{
	const struct topics_bad *a = left, *b = right;
	const int topic = strcmp(a->topic, b->topic);

	if (topic != 0)
		return topic;
	if (a->partition != b->partition)
		return a->partition < b->partition ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/** A topic that is read twice yields its bad records twice. */
const struct topics_bad *topics_bad(struct duck *duck, uint32_t *ret_count)
{
	struct topics *topics = duck->topics;
	uint32_t kept = 0;

	if (topics->bad_count > 0)
		qsort(topics->bad, topics->bad_count, sizeof(*topics->bad), compare_bad);
	for (uint32_t i = 0; i < topics->bad_count; i++) {
		if (kept > 0 && compare_bad(&topics->bad[kept - 1], &topics->bad[i]) == 0)
			free((void *)(uintptr_t)topics->bad[i].topic);
		else
			topics->bad[kept++] = topics->bad[i];
	}
	topics->bad_count = kept;
	*ret_count = kept;
	return topics->bad;
}

struct topics_progress topics_progress(const struct duck *duck)
{
	const struct topics *topics = duck->topics;

	if (topics == NULL)
		return (struct topics_progress){ 0 };
	return (struct topics_progress){ .records = atomic_load(&topics->records),
					 .bytes = atomic_load(&topics->bytes),
					 .bad = atomic_load(&topics->bads),
					 .records_total = atomic_load(&topics->records_total) };
}
