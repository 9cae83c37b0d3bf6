/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/check.h"
#include "storage/partitions.h"

#include "dataplane/core/fetch.h"
#include "dataplane/core/request.h"
#include "dataplane/wire/api.h"
#include "dataplane/wire/kafka_err.h"

#include "dataplane/core/hot.h"

#define TOPIC_IDS_FROM 13
#define EPOCH_FINAL    (-1) /* no session, and the one named is over */
#define EPOCH_INITIAL  0    /* make a session */
#define WAIT_MS_MAX    300000

/* ---- one entry ---- */

struct view {
	int error;
	int32_t leader_epoch;
	int64_t start_offset;
	int64_t high_watermark;
	int64_t next_offset;
};

static bool view_of(const struct core *core, const struct partition *partition,
		    struct view *ret_view)
{
	struct partition_view cell;

	if (!partition_is_here(core, partition)) {
		if (partition->cell == NULL || !partition_cell_read(partition->cell, &cell))
			return false;
		*ret_view = (struct view){ cell.error, cell.leader_epoch, cell.start_offset,
					   cell.high_watermark, cell.next_offset };
		return true;
	}
	if (partition->log == NULL)
		return false;
	*ret_view =
		(struct view){ seglog_error(partition->log), seglog_leader_epoch(partition->log),
			       seglog_start_offset(partition->log),
			       seglog_high_watermark(partition->log),
			       seglog_next_offset(partition->log) };
	return true;
}

static struct partition *partition_now(const struct core *core, struct fetch_entry *entry)
{
	const struct topic *topic;

	if (uuid_is_zero(&entry->topic_id))
		return NULL;
	topic = topics_find_id(core->topics, &entry->topic_id);
	return topic != NULL ? topics_partition(topic, entry->index) : NULL;
}

void fetch_judge(struct core *core, struct fetch_entry *entry, bool uses_ids)
{
	struct view now;

	entry->high_watermark = -1;
	entry->start_offset = -1;
	entry->partition = partition_now(core, entry);
	if (entry->partition == NULL) {
		entry->error = uses_ids ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		return;
	}
	if (!view_of(core, entry->partition, &now)) {
		entry->error = KAFKA_LEADER_NOT_AVAILABLE;
		return;
	}
	entry->error = session_err_from(now.error);
	if (entry->error != KAFKA_NONE)
		return;
	if (entry->leader_epoch >= 0 && entry->leader_epoch != now.leader_epoch) {
		entry->error = entry->leader_epoch < now.leader_epoch ? KAFKA_FENCED_LEADER_EPOCH
								      : KAFKA_UNKNOWN_LEADER_EPOCH;
		return;
	}
	entry->high_watermark = now.high_watermark;
	entry->start_offset = now.start_offset;
	if (entry->offset < now.start_offset || entry->offset > now.next_offset)
		entry->error = KAFKA_OFFSET_OUT_OF_RANGE;
}

/* ---- the request ---- */

struct asked {
	struct fetch *fetch;
	struct core *core;
	const struct wire_fetch_request *request;
	bool uses_ids;
	bool has_unknown_name; /* cannot be remembered: a session would lose the name */
};

static struct uuid id_of(const struct asked *asked, struct wire_string name, const struct uuid *id)
{
	const struct topic *topic;

	if (asked->uses_ids)
		return *id;
	topic = topics_find(asked->core->topics, name.bytes, (size_t)MAX(name.size, 0));
	return topic != NULL ? topic->info->id : (struct uuid){ 0 };
}

static int add_partition(struct asked *asked, const struct wire_fetch_request_topics *topic,
			 const struct uuid *id,
			 const struct wire_fetch_request_topics_partitions *from)
{
	struct fetch *fetch = asked->fetch;
	struct fetchsession *session = fetch->session;
	struct fetch_entry *entry = NULL;

	if (session != NULL && session->count > 0 && !uuid_is_zero(id))
		entry = fetchsession_entry(asked->core, session, id, from->partition);
	if (entry == NULL && session != NULL)
		entry = fetchsession_append(asked->core, &session->buffer, &session->count);
	else if (entry == NULL)
		entry = fetchsession_append(asked->core, &fetch->buffer, &fetch->count);
	if (entry == NULL)
		return -EAGAIN;
	entry->topic_id = *id;
	entry->index = from->partition;
	entry->leader_epoch = from->current_leader_epoch;
	entry->offset = from->fetch_offset;
	entry->size_max = (uint32_t)MAX(from->partition_max_bytes, 0);
	if (asked->uses_ids)
		return 0;
	/* The name lies in the frame: it serves this answer only. */
	entry->name = topic->topic.bytes;
	entry->name_size = topic->topic.size;
	if (uuid_is_zero(id)) {
		entry->is_forgotten = session != NULL;
		asked->has_unknown_name = true;
	}
	return 0;
}

static int add_topics(struct asked *asked)
{
	const struct wire_fetch_request *request = asked->request;

	for (int32_t t = 0; t < request->topics_count; t++) {
		const struct wire_fetch_request_topics *topic = &request->topics[t];
		struct uuid id = id_of(asked, topic->topic, &topic->topic_id);

		for (int32_t p = 0; p < topic->partitions_count; p++) {
			int error = add_partition(asked, topic, &id, &topic->partitions[p]);

			if (error != 0)
				return error;
		}
	}
	return 0;
}

static void forget(struct asked *asked)
{
	const struct wire_fetch_request *request = asked->request;
	struct fetchsession *session = asked->fetch->session;
	bool has_forgotten = false;

	for (int32_t t = 0; t < request->forgotten_topics_data_count; t++) {
		const struct wire_fetch_request_forgotten_topics_data *topic =
			&request->forgotten_topics_data[t];
		struct uuid id = id_of(asked, topic->topic, &topic->topic_id);

		for (int32_t p = 0; p < topic->partitions_count; p++) {
			struct fetch_entry *entry = NULL;

			if (session->count > 0)
				entry = fetchsession_entry(asked->core, session, &id,
							   topic->partitions[p]);
			if (entry != NULL) {
				entry->is_forgotten = true;
				has_forgotten = true;
			}
		}
	}
	if (has_forgotten)
		fetchsession_compact(session);
}

/* ---- sessions (KIP-227) ---- */

static int16_t session_continue(struct asked *asked)
{
	const struct wire_fetch_request *request = asked->request;
	struct fetchsession *session = fetchsession_find(asked->core, request->session_id);

	if (session == NULL)
		return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
	if (session->epoch != request->session_epoch || session->is_busy)
		return KAFKA_INVALID_FETCH_SESSION_EPOCH;
	if (session->uses_ids != asked->uses_ids)
		return KAFKA_FETCH_SESSION_TOPIC_ID_ERROR;
	session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
	session->is_busy = true;
	fetchsession_touch(asked->core, session);
	asked->fetch->session = session;
	asked->fetch->session_id = session->id;
	asked->fetch->is_incremental = true;
	return KAFKA_NONE;
}

static void session_make(struct asked *asked)
{
	struct fetch *fetch = asked->fetch;
	struct fetchsession *session;

	if (fetch->count == 0 || asked->has_unknown_name)
		return;
	session = fetchsession_add(asked->core, fetch->buffer, fetch->count);
	if (session == NULL)
		return;
	fetch->buffer = NULL;
	session->uses_ids = asked->uses_ids;
	session->is_busy = true;
	fetch->session = session;
	fetch->session_id = session->id;
}

static int set_up_session(struct asked *asked)
{
	const struct wire_fetch_request *request = asked->request;
	struct fetch *fetch = asked->fetch;
	int error;

	if (request->session_epoch != EPOCH_FINAL && request->session_epoch != EPOCH_INITIAL) {
		fetch->error = session_continue(asked);
		if (fetch->error != KAFKA_NONE)
			return 0;
		forget(asked);
		return add_topics(asked);
	}
	if (request->session_id != 0) {
		struct fetchsession *old = fetchsession_find(asked->core, request->session_id);

		if (old != NULL)
			fetchsession_drop(asked->core, old);
	}
	error = add_topics(asked);
	if (error == 0 && request->session_epoch == EPOCH_INITIAL)
		session_make(asked);
	return error;
}

int fetch_setup(struct fetch *fetch)
{
	struct request *request = fetch->request;
	struct reader reader = request_body(request);
	struct wire_scratch scratch = request_scratch(request);
	struct wire_fetch_request decoded;
	struct asked asked = { .fetch = fetch,
			       .core = request->core,
			       .request = &decoded,
			       .uses_ids = request->api_version >= TOPIC_IDS_FROM };
	int error = wire_decode_fetch_request(&reader, request->api_version, &scratch, &decoded);

	if (error != 0)
		return ERR_MALFORMED;
	fetch->max_wait_ms = MIN(MAX(decoded.max_wait_ms, 0), WAIT_MS_MAX);
	fetch->min_bytes = decoded.min_bytes;
	fetch->max_bytes = MIN((uint32_t)MAX(decoded.max_bytes, 0), FETCH_RESPONSE_MAX);
	fetch->deadline_ns = request->core->now_ns + (int64_t)fetch->max_wait_ms * 1000000;
	error = set_up_session(&asked);
	if (fetch->session != NULL)
		fetch->count = fetch->session->count;
	return error;
}
