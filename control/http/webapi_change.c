/* SPDX-License-Identifier: Apache-2.0 */
/* Changes: Kafka requests that control serves for an HTTP call, which waits for the answer. */
#include <stdlib.h>
#include <string.h>

#include "control/http/webapi_impl.h"
#include "dataplane/wire/api.h"
#include "dataplane/wire/kafka_err.h"
#include "dataplane/wire/wire_gen.h"

#define SCRATCH_SIZE 4096 /* an answer about one topic or group has one element */

struct change {
	struct list node;
	uint64_t token;
	struct http_call *call;
	enum webapi_change_kind kind;
	int64_t due_ns;
	char name[]; /* of the topic or group */
};

/** What an answer says about the one thing that was to change. */
struct outcome {
	int16_t error; /* enum kafka_err */
	struct wire_string why;
};

static const struct {
	int16_t api_key;
	int16_t version;
} requests[] = {
	[WEBAPI_CREATE_TOPIC] = { WIRE_API_CREATE_TOPICS, WEBAPI_CREATE_TOPIC_VERSION },
	[WEBAPI_DELETE_TOPIC] = { WIRE_API_DELETE_TOPICS, WEBAPI_DELETE_TOPIC_VERSION },
	[WEBAPI_DELETE_GROUP] = { WIRE_API_DELETE_GROUPS, WEBAPI_DELETE_GROUP_VERSION },
};

static void forget(struct webapi *api, struct change *change)
{
	list_remove(&change->node);
	api->change_count--;
	free(change);
}

void webapi_change(struct webapi *api, struct http_call *call, enum webapi_change_kind kind,
		   const char *name, const uint8_t *body, uint32_t size)
{
	size_t name_size = strlen(name) + 1;
	struct change *change = NULL;

	if (api->change_count < WEBAPI_CHANGES_MAX)
		change = malloc(sizeof(*change) + name_size);
	if (change == NULL) {
		http_reply_error(call, 503, "too many changes are under way");
		return;
	}
	change->token = ++api->last_token;
	change->call = call;
	list_init(&change->node);
	change->kind = kind;
	change->due_ns = api->now_ns + WEBAPI_CHANGE_NS;
	memcpy(change->name, name, name_size);
	list_push_back(&api->changes, &change->node);
	api->change_count++;
	/* The answer may come before this returns, and the change be gone. */
	uint64_t token = change->token;
	if (api->config.ops->request(api->config.ctx, token, requests[kind].api_key,
				     requests[kind].version, body, size) != 0)
		webapi_answer(api, token, NULL, 0);
}

static int decode_create(struct reader *reader, struct wire_scratch *scratch,
			 struct outcome *ret_outcome)
{
	struct wire_create_topics_response response;
	int error = wire_decode_create_topics_response(reader, WEBAPI_CREATE_TOPIC_VERSION, scratch,
						       &response);

	if (error != 0 || response.topics_count != 1)
		return ERR_MALFORMED;
	*ret_outcome =
		(struct outcome){ response.topics[0].error_code, response.topics[0].error_message };
	return 0;
}

static int decode_delete(struct reader *reader, struct wire_scratch *scratch,
			 struct outcome *ret_outcome)
{
	struct wire_delete_topics_response response;
	int error = wire_decode_delete_topics_response(reader, WEBAPI_DELETE_TOPIC_VERSION, scratch,
						       &response);

	if (error != 0 || response.responses_count != 1)
		return ERR_MALFORMED;
	*ret_outcome = (struct outcome){ response.responses[0].error_code,
					 response.responses[0].error_message };
	return 0;
}

static int decode_delete_group(struct reader *reader, struct wire_scratch *scratch,
			       struct outcome *ret_outcome)
{
	struct wire_delete_groups_response response;
	int error = wire_decode_delete_groups_response(reader, WEBAPI_DELETE_GROUP_VERSION, scratch,
						       &response);

	if (error != 0 || response.results_count != 1)
		return ERR_MALFORMED;
	*ret_outcome = (struct outcome){ response.results[0].error_code, WIRE_STRING_NULL };
	return 0;
}

static int decode(enum webapi_change_kind kind, const uint8_t *body, uint32_t size, void *memory,
		  struct outcome *ret_outcome)
{
	struct wire_scratch scratch;
	struct reader reader;

	reader_init(&reader, body, size);
	wire_scratch_init(&scratch, memory, SCRATCH_SIZE);
	switch (kind) {
	case WEBAPI_CREATE_TOPIC:
		return decode_create(&reader, &scratch, ret_outcome);
	case WEBAPI_DELETE_TOPIC:
		return decode_delete(&reader, &scratch, ret_outcome);
	case WEBAPI_DELETE_GROUP:
		return decode_delete_group(&reader, &scratch, ret_outcome);
	}
	return ERR_UNSUPPORTED;
}

static unsigned http_status(int16_t error)
{
	static const struct {
		enum kafka_err error;
		unsigned status;
	} table[] = {
		{ KAFKA_TOPIC_ALREADY_EXISTS, 409 },
		{ KAFKA_NON_EMPTY_GROUP, 409 },
		{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 404 },
		{ KAFKA_GROUP_ID_NOT_FOUND, 404 },
		{ KAFKA_INVALID_TOPIC_EXCEPTION, 400 },
		{ KAFKA_INVALID_PARTITIONS, 400 },
		{ KAFKA_INVALID_REPLICATION_FACTOR, 400 },
		{ KAFKA_INVALID_CONFIG, 400 },
		{ KAFKA_INVALID_REQUEST, 400 },
		{ KAFKA_INVALID_GROUP_ID, 400 },
		{ KAFKA_REQUEST_TIMED_OUT, 504 },
		{ KAFKA_COORDINATOR_NOT_AVAILABLE, 503 },
		{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, 503 },
		{ KAFKA_NOT_COORDINATOR, 503 },
	};

	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		if ((int16_t)table[i].error == error)
			return table[i].status;
	}
	return 500;
}

static void reply_done(struct webapi *api, const struct change *change)
{
	const struct metaimage_topic *topic;

	if (change->kind != WEBAPI_CREATE_TOPIC) {
		http_reply_json(change->call, 200,
				json_pack("{s:o*, s:b}", "name", webapi_text(change->name),
					  "deleted", true));
		return;
	}
	api->positions_ns = 0; /* its partitions are newer than the copy */
	topic = metaimage_topic(meta_image(api->config.meta), wire_string_from(change->name));
	if (topic == NULL)
		http_reply_error(change->call, 409, "topic %s was deleted meanwhile", change->name);
	else
		http_reply_json(change->call, 201, webapi_topic_json(api, topic));
}

static void reply(struct webapi *api, const struct change *change, const uint8_t *body,
		  uint32_t size)
{
	uint8_t memory[SCRATCH_SIZE];
	struct outcome outcome;

	if (body == NULL) {
		http_reply_error(change->call, 503, "the box cannot serve this now; try again");
		return;
	}
	if (decode(change->kind, body, size, memory, &outcome) != 0) {
		http_reply_error(change->call, 500, "the answer does not decode");
		return;
	}
	if (outcome.error == KAFKA_NONE) {
		reply_done(api, change);
	} else if (outcome.why.size > 0) {
		char *why = strndup(outcome.why.bytes, (size_t)outcome.why.size);
		http_reply_error(change->call, http_status(outcome.error), "%s",
				 why != NULL ? why : kafka_err_str(outcome.error));
		free(why);
	} else {
		http_reply_error(change->call, http_status(outcome.error), "%s: %s", change->name,
				 kafka_err_str(outcome.error));
	}
}

void webapi_answer(struct webapi *api, uint64_t token, const uint8_t *body, uint32_t size)
{
	LIST_EACH_SAFE(&api->changes, node)
	{
		struct change *change = LIST_ENTRY(node, struct change, node);

		if (change->token != token)
			continue;
		reply(api, change, body, size);
		forget(api, change);
		return;
	}
}

int64_t webapi_change_run(struct webapi *api)
{
	LIST_EACH_SAFE(&api->changes, node)
	{
		struct change *change = LIST_ENTRY(node, struct change, node);

		if (change->due_ns > api->now_ns)
			return change->due_ns;
		http_reply_error(change->call, 504,
				 "no answer in time; the change may still come about");
		forget(api, change);
	}
	return INT64_MAX;
}

void webapi_change_clear(struct webapi *api)
{
	LIST_EACH_SAFE(&api->changes, node)
	forget(api, LIST_ENTRY(node, struct change, node));
}
