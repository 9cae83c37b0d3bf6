/* SPDX-License-Identifier: Apache-2.0 */
#include "control/group/coordinator.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"

#include "control/group/coordinator_impl.h"
#include "dataplane/wire/wire_gen.h"

#define OFFSETS_TOPIC      "__consumer_offsets"
#define LOAD_BATCHES       512 /* replayed in one turn */
#define LOAD_RETRY_NS      (20 * NS_PER_MS)
#define EXPIRY_INTERVAL_NS (60 * NS_PER_S)
#define MS_PER_MINUTE      60000

static void store(void *context, const struct group *group, uint64_t ticket)
{
	struct coordinator *coordinator = context;
	int64_t size = grouplog_group_batch(group, coordinator->groups.wall_ms, coordinator->buffer,
					    COORDINATOR_BATCH_MAX);
	enum kafka_err error = coordinator_append(coordinator, group->id, ticket, NULL, size);

	if (error != KAFKA_NONE)
		rebalance_stored(&coordinator->groups, wire_string_from(group->id), ticket, error,
				 coordinator->now_ns);
}

static const struct group_ops group_ops = {
	.join_done = membercalls_join_done,
	.sync_done = membercalls_sync_done,
	.store = store,
};

struct coordinator *coordinator_new(const struct config *config, const struct meta *meta,
				    const struct parked *parked, const struct coordinator_ops *ops,
				    void *context)
{
	struct coordinator *coordinator = calloc(1, sizeof(*coordinator));
	struct group_settings settings = {
		.session_min_ms = (int32_t)config->group_session_min_ms,
		.session_max_ms = (int32_t)config->group_session_max_ms,
		.initial_delay_ms = (int32_t)config->group_rebalance_delay_ms,
		.size_max = (int32_t)config->group_size_max,
	};

	if (coordinator == NULL)
		return NULL;
	coordinator->config = config;
	coordinator->meta = meta;
	coordinator->parked = parked;
	coordinator->ops = ops;
	coordinator->context = context;
	groups_init(&coordinator->groups, &settings, &group_ops, coordinator);
	list_init(&coordinator->appends);
	coordinator->buffer = malloc(COORDINATOR_BATCH_MAX);
	coordinator->reply = malloc(COORDINATOR_BATCH_MAX);
	if (coordinator->buffer == NULL || coordinator->reply == NULL) {
		coordinator_free(coordinator);
		return NULL;
	}
	return coordinator;
}

void coordinator_free(struct coordinator *coordinator)
{
	if (coordinator == NULL)
		return;
	coordinator_stop(coordinator);
	free(coordinator->buffer);
	free(coordinator->reply);
	free(coordinator);
}

struct groups *coordinator_groups(struct coordinator *coordinator)
{
	return &coordinator->groups;
}

/* ---- appends and the answers that wait for them ---- */

static uint8_t *copy_of(const struct writer *writer)
{
	size_t size = writer_size(writer);
	uint8_t *copy = malloc(size > 0 ? size : 1);

	if (copy != NULL)
		memcpy(copy, writer->begin, size);
	return copy;
}

struct coordinator_answer *coordinator_answer_new(uint64_t token, const struct writer *done,
						  const struct writer *fail)
{
	struct coordinator_answer *answer = calloc(1, sizeof(*answer));

	if (answer == NULL)
		return NULL;
	answer->token = token;
	answer->done_body = copy_of(done);
	answer->done_size = (uint32_t)writer_size(done);
	answer->fail_body = copy_of(fail);
	answer->fail_size = (uint32_t)writer_size(fail);
	if (answer->done_body == NULL || answer->fail_body == NULL) {
		coordinator_answer_free(answer);
		return NULL;
	}
	return answer;
}

void coordinator_answer_free(struct coordinator_answer *answer)
{
	if (answer == NULL)
		return;
	free(answer->done_body);
	free(answer->fail_body);
	free(answer);
}

static void append_free(struct coordinator_append *append)
{
	free(append->group_id);
	free(append);
}

enum kafka_err coordinator_append(struct coordinator *coordinator, const char *group_id,
				  uint64_t ticket, struct coordinator_answer *answer, int64_t size)
{
	struct coordinator_append *append;
	uint32_t partition;
	int error;

	if (size < 0)
		return size == ERR_TOO_LARGE ? KAFKA_INVALID_COMMIT_OFFSET_SIZE
					     : KAFKA_COORDINATOR_NOT_AVAILABLE;
	if (!coordinator->running)
		return KAFKA_COORDINATOR_NOT_AVAILABLE;
	append = calloc(1, sizeof(*append) + (size_t)size);
	if (append == NULL)
		return KAFKA_COORDINATOR_NOT_AVAILABLE;
	append->group_id = strdup(group_id);
	if (append->group_id == NULL) {
		append_free(append);
		return KAFKA_COORDINATOR_NOT_AVAILABLE;
	}
	list_init(&append->link);
	append->cookie = ++coordinator->cookie;
	append->ticket = ticket;
	append->answer = answer;
	append->size = (uint32_t)size;
	memcpy(append->batch, coordinator->buffer, (size_t)size);
	partition = grouplog_partition(wire_string_from(group_id), coordinator->partitions);
	error = coordinator->ops->append(coordinator->context, partition, append->cookie,
					 append->batch, append->size);
	if (error != 0) {
		append_free(append);
		return KAFKA_COORDINATOR_NOT_AVAILABLE;
	}
	list_push_back(&coordinator->appends, &append->link);
	if (answer != NULL)
		answer->waiting++;
	return KAFKA_NONE;
}

static void answer_progress(struct coordinator *coordinator, struct coordinator_answer *answer,
			    bool failed)
{
	CHECK(answer->waiting > 0);
	answer->failed |= failed;
	if (--answer->waiting > 0)
		return;
	if (answer->failed)
		coordinator->ops->reply(coordinator->context, answer->token, answer->fail_body,
					answer->fail_size);
	else
		coordinator->ops->reply(coordinator->context, answer->token, answer->done_body,
					answer->done_size);
	coordinator_answer_free(answer);
}

static struct coordinator_append *find_append(struct coordinator *coordinator, uint64_t cookie)
{
	LIST_EACH(&coordinator->appends, node)
	{
		struct coordinator_append *append =
			LIST_ENTRY(node, struct coordinator_append, link);

		if (append->cookie == cookie)
			return append;
	}
	return NULL;
}

/** Offsets and tombstones take effect now that they are durable, by the path of a replay. */
static void take_effect(struct coordinator *coordinator, const struct coordinator_append *append)
{
	struct batch batch;
	int error = batch_decode(append->batch, &batch);

	CHECK(error == 0 && batch.size == append->size);
	error = grouplog_apply(&coordinator->groups, append->batch, &batch);
	if (error != 0)
		log_error("group %s: its committed offsets are in the log but not in memory: %s",
			  append->group_id, err_str(error));
}

void coordinator_appended(struct coordinator *coordinator, uint64_t cookie, int error,
			  int64_t now_ns, int64_t wall_ms)
{
	struct coordinator_append *append = find_append(coordinator, cookie);

	if (append == NULL)
		return; /* of an earlier connection */
	coordinator->now_ns = now_ns;
	coordinator->groups.wall_ms = wall_ms;
	list_remove(&append->link);
	if (error != 0)
		log_warn("append to " OFFSETS_TOPIC " for group %s failed: %s", append->group_id,
			 err_str(error));
	if (append->ticket != 0)
		rebalance_stored(&coordinator->groups, wire_string_from(append->group_id),
				 append->ticket,
				 error == 0 ? KAFKA_NONE : KAFKA_COORDINATOR_NOT_AVAILABLE, now_ns);
	else if (error == 0)
		take_effect(coordinator, append);
	if (append->answer != NULL)
		answer_progress(coordinator, append->answer, error != 0);
	append_free(append);
}

/* ---- start, stop, replay ---- */

void coordinator_start(struct coordinator *coordinator, const char *log_dir,
		       const struct partitions *table)
{
	const struct metaimage_topic *topic =
		metaimage_topic(meta_image(coordinator->meta), WIRE_STRING(OFFSETS_TOPIC));

	CHECK(topic != NULL);
	coordinator_stop(coordinator);
	coordinator->log_dir = log_dir;
	coordinator->table = table;
	coordinator->partitions = (uint32_t)topic->partition_count;
	coordinator->running = true;
}

/** The connections of all parked requests are served by the dataplane's own retriable errors. */
void coordinator_stop(struct coordinator *coordinator)
{
	struct list *node;

	while ((node = list_pop_front(&coordinator->appends)) != NULL) {
		struct coordinator_append *append =
			LIST_ENTRY(node, struct coordinator_append, link);

		if (append->answer != NULL && --append->answer->waiting == 0)
			coordinator_answer_free(append->answer);
		append_free(append);
	}
	groups_clear(&coordinator->groups);
	segreader_close(coordinator->reader);
	coordinator->reader = NULL;
	coordinator->loading = 0;
	coordinator->load_error = 0;
	coordinator->partitions = 0;
	coordinator->running = false;
}

bool coordinator_is_loaded(const struct coordinator *coordinator)
{
	return coordinator->running && coordinator->loading == coordinator->partitions;
}

enum kafka_err coordinator_ready(const struct coordinator *coordinator, struct wire_string group)
{
	if (!coordinator->running)
		return KAFKA_COORDINATOR_NOT_AVAILABLE;
	return grouplog_partition(group, coordinator->partitions) < coordinator->loading
		       ? KAFKA_NONE
		       : KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
}

/** A partition is read: its members have a fresh session from now on. */
static void finish_partition(struct coordinator *coordinator, int64_t now_ns)
{
	struct groups *groups = &coordinator->groups;

	for (size_t i = 0; i < groups->count; i++) {
		struct group *group = groups->all[i];

		if (grouplog_partition(wire_string_from(group->id), coordinator->partitions) !=
		    coordinator->loading)
			continue;
		LIST_EACH(&group->members, node)
		rebalance_restore(LIST_ENTRY(node, struct group_member, link), now_ns);
	}
	segreader_close(coordinator->reader);
	coordinator->reader = NULL;
	coordinator->loading++;
	if (coordinator->loading == coordinator->partitions)
		log_info("%zu groups read from " OFFSETS_TOPIC, groups->count);
}

/** @return 1 more to do now; 0 done with a partition; -EAGAIN later */
static int load_some(struct coordinator *coordinator)
{
	const struct metaimage_topic *topic =
		metaimage_topic(meta_image(coordinator->meta), WIRE_STRING(OFFSETS_TOPIC));
	const uint8_t *bytes;
	struct batch batch;
	int got = 0;

	if (coordinator->reader == NULL)
		got = segreader_open(coordinator->log_dir, coordinator->table, &topic->id,
				     coordinator->loading, -2, &coordinator->reader);
	if (got != 0) {
		/* What is unknown is not taken up by the dataplane yet: that is no news. */
		if (coordinator->load_error != got && got != ERR_UNKNOWN)
			log_info(OFFSETS_TOPIC "-%u is not readable yet: %s", coordinator->loading,
				 err_str(got));
		coordinator->load_error = got;
		return -EAGAIN;
	}
	coordinator->load_error = 0;
	for (uint32_t i = 0; i < LOAD_BATCHES; i++) {
		got = segreader_next(coordinator->reader, &batch, &bytes);
		if (got == 0)
			return 0;
		if (got > 0)
			got = grouplog_apply(&coordinator->groups, bytes, &batch);
		if (got != 0) {
			log_error(OFFSETS_TOPIC "-%u cannot be replayed: %s; its groups start "
						"with what was read",
				  coordinator->loading, err_str(got));
			return 0;
		}
	}
	return 1;
}

/* ---- time ---- */

static void expire_group(struct coordinator *coordinator, struct group *group, int64_t wall_ms)
{
	int64_t keep_ms = coordinator->config->offsets_retention_minutes * MS_PER_MINUTE;
	size_t room = group->offsets.count > 0 ? group->offsets.count : 1;
	struct grouplog_offset *gone = calloc(room, sizeof(*gone));
	int32_t count = 0;
	bool is_last;

	if (gone == NULL)
		return; /* the next round tries again */
	for (size_t i = 0; i < group->offsets.count; i++) {
		const struct offset *offset = &group->offsets.all[i];
		int64_t since = MAX(offset->commit_ms, group->state_since_ms);

		if (wall_ms - since > keep_ms)
			gone[count++] =
				(struct grouplog_offset){ .topic = wire_string_from(offset->topic),
							  .partition = offset->partition,
							  .is_tombstone = true };
	}
	is_last = (size_t)count == group->offsets.count;
	if (is_last && count == 0 && group->protocol_type == NULL) {
		groups_remove(&coordinator->groups, group); /* never written anywhere */
	} else if (count > 0 || is_last) {
		int64_t size = grouplog_offsets_batch(group->id, gone, count, is_last, wall_ms,
						      coordinator->buffer, COORDINATOR_BATCH_MAX);

		/* A failure is told by the log; the next round tries again. */
		(void)coordinator_append(coordinator, group->id, 0, NULL, size);
	}
	free(gone);
}

/** Tombstones for what one group has committed of a topic. */
static void forget_topic(struct coordinator *coordinator, struct group *group,
			 struct wire_string topic)
{
	struct grouplog_offset *gone = calloc(group->offsets.count, sizeof(*gone));
	int32_t count = 0;

	if (gone == NULL)
		return;
	for (size_t i = 0; i < group->offsets.count; i++) {
		const struct offset *offset = &group->offsets.all[i];

		if (group_text_equal(offset->topic, topic))
			gone[count++] = (struct grouplog_offset){ .topic = topic,
								  .partition = offset->partition,
								  .is_tombstone = true };
	}
	if (count > 0) {
		int64_t size = grouplog_offsets_batch(group->id, gone, count, false,
						      coordinator->groups.wall_ms,
						      coordinator->buffer, COORDINATOR_BATCH_MAX);

		if (coordinator_append(coordinator, group->id, 0, NULL, size) != KAFKA_NONE)
			log_warn("group %s keeps offsets of the deleted topic %s", group->id,
				 topic.bytes);
	}
	free(gone);
}

void coordinator_topic_deleted(struct coordinator *coordinator, const char *topic)
{
	struct groups *groups = &coordinator->groups;

	for (size_t i = 0; i < groups->count && coordinator->running; i++)
		if (groups->all[i]->offsets.count > 0)
			forget_topic(coordinator, groups->all[i], wire_string_from(topic));
}

static void expire(struct coordinator *coordinator, int64_t wall_ms)
{
	struct groups *groups = &coordinator->groups;

	for (size_t i = groups->count; i-- > 0;) {
		struct group *group = groups->all[i];

		if (group->state == GROUP_EMPTY && group->pending_count == 0)
			expire_group(coordinator, group, wall_ms);
	}
}

int64_t coordinator_run(struct coordinator *coordinator, int64_t now_ns, int64_t wall_ms)
{
	int64_t due_ns;

	coordinator->now_ns = now_ns;
	coordinator->groups.wall_ms = wall_ms;
	if (!coordinator->running)
		return INT64_MAX;
	if (!coordinator_is_loaded(coordinator)) {
		int got = load_some(coordinator);

		if (got == -EAGAIN)
			return now_ns + LOAD_RETRY_NS;
		if (got == 0)
			finish_partition(coordinator, now_ns);
		coordinator->expiry_ns = now_ns + EXPIRY_INTERVAL_NS;
		return now_ns;
	}
	due_ns = rebalance_run(&coordinator->groups, now_ns);
	if (now_ns >= coordinator->expiry_ns) {
		expire(coordinator, wall_ms);
		coordinator->expiry_ns = now_ns + EXPIRY_INTERVAL_NS;
	}
	return MIN(due_ns, coordinator->expiry_ns);
}

enum call_result coordinator_call(struct coordinator *coordinator, struct call *call)
{
	coordinator->now_ns = call->now_ns;
	coordinator->groups.wall_ms = call->wall_ms;
	if (call->api_key == WIRE_API_OFFSET_COMMIT)
		return offsetcalls_commit(coordinator, call);
	if (call->api_key == WIRE_API_OFFSET_FETCH)
		return offsetcalls_fetch(coordinator, call);
	return membercalls_call(coordinator, call);
}
