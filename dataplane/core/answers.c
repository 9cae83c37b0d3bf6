/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/answers.h"

#include "base/check.h"
#include "storage/partitions.h"

#include "dataplane/core/forward.h"
#include "dataplane/core/producerids.h"
#include "dataplane/core/request.h"
#include "dataplane/wire/api.h"
#include "dataplane/wire/kafka_err.h"

#include "dataplane/core/hot.h"

#define TIMESTAMP_EARLIEST       (-2)
#define TIMESTAMP_LATEST         (-1)
#define TIMESTAMP_EARLIEST_LOCAL (-4)
#define FOREIGN_MAX              1024 /* other cores' partitions in one request */

static void malformed(struct request *request)
{
	session_fail(request->session, COUNTER_SESSION_CLOSE_MALFORMED, false);
}

/* ---- ApiVersions ---- */

void answers_api_versions(struct request *request)
{
	const struct wire_api_info *self = wire_api_info(WIRE_API_API_VERSIONS);
	struct wire_scratch scratch = request_scratch(request);
	struct wire_api_versions_response response;
	struct wire_api_versions_response_api_keys *keys;
	struct writer writer;

	wire_default_api_versions_response(&response);
	/* KIP-511: version 0 of the answer is the one every client reads; it lists what we have. */
	if (request->api_version < self->min || request->api_version > self->max) {
		response.error_code = KAFKA_UNSUPPORTED_VERSION;
		request->api_version = 0;
	}
	keys = request_alloc(&scratch, wire_api_count * sizeof(*keys));
	CHECK(keys != NULL);
	for (size_t i = 0; i < wire_api_count; i++) {
		keys[i].api_key = wire_apis[i].key;
		keys[i].min_version = wire_apis[i].advertised_min;
		keys[i].max_version = wire_apis[i].max;
	}
	response.api_keys = keys;
	response.api_keys_count = (int32_t)wire_api_count;
	writer = request_begin(request);
	wire_encode_api_versions_response(&writer, request->api_version, &response);
	request_end(request, &writer);
}

/* ---- InitProducerId ---- */

void answers_init_producer_id(struct request *request)
{
	struct core *core = request->core;
	struct reader reader = request_body(request);
	struct wire_scratch scratch = request_scratch(request);
	struct wire_init_producer_id_request asked;
	struct wire_init_producer_id_response response;
	struct writer writer;
	bool is_low = false;

	if (wire_decode_init_producer_id_request(&reader, request->api_version, &scratch, &asked) !=
	    0) {
		malformed(request);
		return;
	}
	wire_default_init_producer_id_response(&response);
	if (asked.transactional_id.size >= 0) {
		response.error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
	} else {
		/* A producer that comes back with an id of its own gets a fresh one: epoch 0, no history. */
		response.producer_id = producerids_take(core->topics->snapshot, &is_low);
		if (response.producer_id < 0) {
			response.error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
			is_low = true;
		}
		if (is_low)
			forward_producer_ids(core);
	}
	if (response.error_code != KAFKA_NONE)
		response.producer_epoch = -1;
	writer = request_begin(request);
	wire_encode_init_producer_id_response(&writer, request->api_version, &response);
	request_end(request, &writer);
}

/* ---- ListOffsets ---- */

struct positions {
	int16_t error;
	int32_t leader_epoch;
	int64_t start_offset;
	int64_t high_watermark;
};

/* The published cell serves other cores' partitions: it is written before any acknowledgement. */
static struct positions positions_of(const struct core *core, const struct partition *partition)
{
	struct positions now = { .error = KAFKA_LEADER_NOT_AVAILABLE };
	struct partition_view view;

	if (partition == NULL) {
		now.error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	} else if (partition_is_here(core, partition)) {
		if (partition->log == NULL)
			return now;
		now.error = session_err_from(seglog_error(partition->log));
		now.leader_epoch = seglog_leader_epoch(partition->log);
		now.start_offset = seglog_start_offset(partition->log);
		now.high_watermark = seglog_high_watermark(partition->log);
	} else if (partition->cell != NULL && partition_cell_read(partition->cell, &view)) {
		now.error = session_err_from(view.error);
		now.leader_epoch = view.leader_epoch;
		now.start_offset = view.start_offset;
		now.high_watermark = view.high_watermark;
	}
	return now;
}

static int16_t epoch_error(int32_t asked, int32_t present)
{
	if (asked < 0 || asked == present)
		return KAFKA_NONE;
	return asked < present ? KAFKA_FENCED_LEADER_EPOCH : KAFKA_UNKNOWN_LEADER_EPOCH;
}

static bool needs_records(const struct wire_list_offsets_request *asked)
{
	for (int32_t t = 0; t < asked->topics_count; t++) {
		const struct wire_list_offsets_request_topics *topic = &asked->topics[t];

		for (int32_t p = 0; p < topic->partitions_count; p++) {
			int64_t timestamp = topic->partitions[p].timestamp;

			if (timestamp != TIMESTAMP_EARLIEST && timestamp != TIMESTAMP_LATEST &&
			    timestamp != TIMESTAMP_EARLIEST_LOCAL)
				return true;
		}
	}
	return false;
}

static void list_offset(const struct core *core, const struct topic *topic,
			const struct wire_list_offsets_request_topics_partitions *asked,
			struct wire_list_offsets_response_topics_partitions *ret)
{
	const struct partition *partition =
		topic != NULL ? topics_partition(topic, asked->partition_index) : NULL;
	struct positions now = positions_of(core, partition);

	wire_default_list_offsets_response_topics_partitions(ret);
	ret->partition_index = asked->partition_index;
	ret->error_code = now.error;
	if (now.error == KAFKA_NONE)
		ret->error_code = epoch_error(asked->current_leader_epoch, now.leader_epoch);
	if (ret->error_code != KAFKA_NONE)
		return;
	ret->leader_epoch = now.leader_epoch;
	ret->offset = asked->timestamp == TIMESTAMP_LATEST ? now.high_watermark : now.start_offset;
}

void answers_list_offsets(struct request *request)
{
	struct reader reader = request_body(request);
	struct wire_scratch scratch = request_scratch(request);
	struct wire_list_offsets_request asked;
	struct wire_list_offsets_response response;
	struct writer writer;

	if (wire_decode_list_offsets_request(&reader, request->api_version, &scratch, &asked) !=
	    0) {
		malformed(request);
		return;
	}
	if (needs_records(&asked)) {
		forward_request(request);
		return;
	}
	wire_default_list_offsets_response(&response);
	response.topics = request_alloc(&scratch, (size_t)MAX(asked.topics_count, 0) *
							  sizeof(*response.topics));
	response.topics_count = asked.topics_count;
	for (int32_t t = 0; response.topics != NULL && t < asked.topics_count; t++) {
		const struct wire_list_offsets_request_topics *from = &asked.topics[t];
		struct wire_list_offsets_response_topics *to = &response.topics[t];
		const struct topic *topic = topics_find(request->core->topics, from->name.bytes,
							(size_t)from->name.size);

		to->name = from->name;
		to->partitions = request_alloc(&scratch, (size_t)MAX(from->partitions_count, 0) *
								 sizeof(*to->partitions));
		if (to->partitions == NULL) {
			response.topics = NULL;
			break;
		}
		to->partitions_count = from->partitions_count;
		for (int32_t p = 0; p < from->partitions_count; p++)
			list_offset(request->core, topic, &from->partitions[p], &to->partitions[p]);
	}
	if (response.topics == NULL) {
		session_fail(request->session, COUNTER_SESSION_CLOSE_OUTPUT, false);
		return;
	}
	writer = request_begin(request);
	wire_encode_list_offsets_response(&writer, request->api_version, &response);
	request_end(request, &writer);
}

/* ---- OffsetForLeaderEpoch ---- */

static void epoch_done(struct core *core, struct partition_op *op)
{
	struct request *request = op->owner;
	struct session *session = request->session;

	(void)core;
	if (!request_op_back(request) || request->pending > 0)
		return;
	request->is_rerun = true;
	answers_epoch_end(request);
	session_advance(session);
}

/*
 * Other cores' partitions: the first run sends an operation for each and keeps them in order of the
 * request; when all are back, the second run takes their outcomes in the same order.
 */
struct epoch_run {
	struct request *request;
	struct list *next; /* second run: the next finished operation */
	uint32_t sent;
};

static void epoch_foreign(struct epoch_run *run, struct partition *partition, int32_t epoch,
			  struct wire_offset_for_leader_epoch_response_topics_partitions *ret)
{
	struct request *request = run->request;
	struct partition_op *op;

	if (request->is_rerun) {
		if (run->next == &request->ops) {
			ret->error_code = KAFKA_LEADER_NOT_AVAILABLE;
			return;
		}
		op = LIST_ENTRY(run->next, struct partition_op, node);
		run->next = run->next->next;
		ret->error_code = session_err_from(op->error);
		ret->leader_epoch = op->epoch;
		ret->end_offset = op->offset;
		return;
	}
	op = run->sent < FOREIGN_MAX ? partition_op_take(request->core) : NULL;
	if (op == NULL)
		return; /* the second run finds none left and says so */
	op->kind = PARTITION_EPOCH_END;
	op->partition = partition;
	op->epoch = epoch;
	op->owner = request;
	op->done = epoch_done;
	list_push_back(&request->ops, &op->node);
	request->pending++;
	run->sent++;
}

static void epoch_one(struct epoch_run *run, const struct topic *topic,
		      const struct wire_offset_for_leader_epoch_request_topics_partitions *asked,
		      struct wire_offset_for_leader_epoch_response_topics_partitions *ret)
{
	const struct core *core = run->request->core;
	struct partition *partition =
		topic != NULL ? topics_partition(topic, asked->partition) : NULL;
	struct positions now = positions_of(core, partition);
	int32_t epoch = -1;

	wire_default_offset_for_leader_epoch_response_topics_partitions(ret);
	ret->partition = asked->partition;
	/* Whether it is here decides first, so that both runs meet the same partitions. */
	if (partition != NULL && !partition_is_here(core, partition))
		epoch_foreign(run, partition, asked->leader_epoch, ret);
	else
		ret->error_code = now.error;
	if (now.error == KAFKA_NONE && ret->error_code == KAFKA_NONE)
		ret->error_code = epoch_error(asked->current_leader_epoch, now.leader_epoch);
	if (partition == NULL || !partition_is_here(core, partition))
		return;
	if (ret->error_code != KAFKA_NONE)
		return;
	ret->end_offset = seglog_epoch_end(partition->log, asked->leader_epoch, &epoch);
	ret->leader_epoch = epoch;
}

static bool epoch_fill(struct epoch_run *run, struct wire_scratch *scratch,
		       const struct wire_offset_for_leader_epoch_request *asked,
		       struct wire_offset_for_leader_epoch_response *response)
{
	response->topics = request_alloc(scratch, (size_t)MAX(asked->topics_count, 0) *
							  sizeof(*response->topics));
	if (response->topics == NULL)
		return false;
	response->topics_count = asked->topics_count;
	for (int32_t t = 0; t < asked->topics_count; t++) {
		const struct wire_offset_for_leader_epoch_request_topics *from = &asked->topics[t];
		struct wire_offset_for_leader_epoch_response_topics *to = &response->topics[t];
		const struct topic *topic = topics_find(
			run->request->core->topics, from->topic.bytes, (size_t)from->topic.size);

		to->topic = from->topic;
		to->partitions = request_alloc(scratch, (size_t)MAX(from->partitions_count, 0) *
								sizeof(*to->partitions));
		if (to->partitions == NULL)
			return false;
		to->partitions_count = from->partitions_count;
		for (int32_t p = 0; p < from->partitions_count; p++)
			epoch_one(run, topic, &from->partitions[p], &to->partitions[p]);
	}
	return true;
}

static void epoch_send(struct request *request)
{
	LIST_EACH(&request->ops, node)
	partition_run(request->core, LIST_ENTRY(node, struct partition_op, node));
}

void answers_epoch_end(struct request *request)
{
	struct reader reader = request_body(request);
	struct wire_scratch scratch = request_scratch(request);
	struct epoch_run run = { .request = request, .next = request->ops.next };
	struct wire_offset_for_leader_epoch_request asked;
	struct wire_offset_for_leader_epoch_response response;
	struct writer writer;

	if (wire_decode_offset_for_leader_epoch_request(&reader, request->api_version, &scratch,
							&asked) != 0) {
		malformed(request);
		return;
	}
	wire_default_offset_for_leader_epoch_response(&response);
	if (!epoch_fill(&run, &scratch, &asked, &response)) {
		session_fail(request->session, COUNTER_SESSION_CLOSE_OUTPUT, false);
		return;
	}
	if (run.sent > 0) {
		epoch_send(request);
		return;
	}
	writer = request_begin(request);
	wire_encode_offset_for_leader_epoch_response(&writer, request->api_version, &response);
	request_end(request, &writer);
}
