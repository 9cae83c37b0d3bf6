/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/partition.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/err.h"

#include "dataplane/core/channel.h"
#include "dataplane/core/forward.h"
#include "dataplane/core/session.h"

#include "dataplane/core/hot.h"

struct partition_op *partition_op_take(struct core *core)
{
	struct list *node = list_pop_front(&core->sessions->ops_idle);
	struct partition_op *op;

	if (node == NULL)
		return NULL;
	op = LIST_ENTRY(node, struct partition_op, node);
	memset(op, 0, sizeof(*op));
	op->magic = PARTITION_OP_MAGIC;
	op->asker = core;
	list_init(&op->item.node);
	list_init(&op->cancel.node);
	list_init(&op->node);
	list_init(&op->starved);
	list_init(&op->waiter.node);
	return op;
}

void partition_op_free(struct core *core, struct partition_op *op)
{
	CHECK_OBJ(op, PARTITION_OP_MAGIC);
	CHECK(op->asker == core);
	CHECK(!list_is_linked(&op->node));
	CHECK(!list_is_linked(&op->starved));
	stage_release(&op->stage);
	op->magic = 0;
	core->sessions->memory_freed = true;
	list_push_front(&core->sessions->ops_idle, &op->node);
}

/* ---- there and back ---- */

static void came_back(void *member, struct mesh_item *item)
{
	struct partition_op *op = CONTAINER_OF(item, struct partition_op, item);

	CHECK_OBJ(op, PARTITION_OP_MAGIC);
	op->done(member, op);
}

static void finish(struct core *core, struct partition_op *op)
{
	CHECK(op->kind != PARTITION_APPEND || !list_is_linked(&op->node));
	if (op->asker == core) {
		op->done(core, op);
		return;
	}
	op->item.run = came_back;
	mesh_send(core->mesh, core->index, op->asker->index, &op->item);
}

static void fail(struct core *core, struct partition_op *op, int error)
{
	op->error = error;
	finish(core, op);
}

/* ---- append ---- */

/* Waiters lie in the order of the offsets they wait for; a duplicate waits for an older one. */
static void pending_insert(struct partition *partition, struct partition_op *op)
{
	struct list *after = partition->pending.prev;

	while (after != &partition->pending &&
	       LIST_ENTRY(after, struct partition_op, node)->wait_offset > op->wait_offset)
		after = after->prev;
	list_insert_between(&op->node, after, after->next);
}

/* Close the reservation with op's batch; done() runs now or after the flush. */
static void commit(struct core *core, struct partition_op *op)
{
	struct partition *partition = op->partition;
	struct seglog *log = partition->log;
	struct seglog_appended appended = { .base_offset = -1, .append_time = -1 };
	int error = seglog_commit(log, &op->batch, core->now_ms, &appended);

	if (error != 0 && error != ERR_DUPLICATE) {
		fail(core, op, error);
		return;
	}
	op->is_duplicate = error == ERR_DUPLICATE;
	op->base_offset = appended.base_offset;
	op->append_time = appended.append_time;
	op->start_offset = seglog_start_offset(log);
	op->wait_offset = appended.base_offset + op->batch.last_offset_delta + 1;
	if (op->is_duplicate) {
		counters_inc(core->counters, COUNTER_PRODUCE_DUPLICATES);
	} else {
		counters_inc(core->counters, COUNTER_PRODUCE_BATCHES);
		counters_add(core->counters, COUNTER_PRODUCE_BYTES, op->batch.size);
		core_mark_dirty(core, partition);
	}
	/* A duplicate's first append may itself still wait for the flush: so does its second answer. */
	if ((op->is_acks_all || op->is_duplicate) && op->wait_offset > seglog_high_watermark(log)) {
		pending_insert(partition, op);
		return;
	}
	finish(core, op);
}

/* @return 0 done with it; -EAGAIN memory is short; -EBUSY the tail is taken */
static int append_staged(struct core *core, struct partition_op *op)
{
	struct seglog *log = op->partition->log;
	uint32_t size = op->stage.size;
	uint32_t at = 0;
	int error;

	if (log == NULL) {
		fail(core, op, ERR_UNKNOWN);
		return 0;
	}
	error = seglog_reserve(log, size, core->now_ms);
	if (error == -EAGAIN || error == -EBUSY)
		return error;
	if (error != 0) {
		fail(core, op, error);
		return 0;
	}
	while (at < size) {
		uint32_t to_size;
		uint32_t from_size;
		uint8_t *to = seglog_room(log, at, &to_size);
		const uint8_t *from = stage_room(&op->stage, at, &from_size);
		uint32_t n = MIN(to_size, from_size);

		memcpy(to, from, n);
		at += n;
	}
	commit(core, op);
	return 0;
}

static void starve(struct core *core, struct partition_op *op)
{
	if (!list_is_linked(&op->starved))
		list_push_back(&core->sessions->starved, &op->starved);
}

static uint32_t drain(struct core *core, struct partition *partition)
{
	uint32_t count = 0;

	while (!list_is_empty(&partition->blocked)) {
		struct list *node = partition->blocked.next;
		struct partition_op *op = LIST_ENTRY(node, struct partition_op, node);
		int error;

		if (partition->log != NULL && seglog_is_reserved(partition->log))
			break;
		list_remove(node);
		list_remove(&op->starved);
		error = append_staged(core, op);
		if (error != 0) {
			list_push_front(&partition->blocked, node);
			if (error == -EAGAIN)
				starve(core, op);
			break;
		}
		count++;
	}
	return count;
}

static void contention_begins(struct core *core)
{
	struct timer *timer = &core->sessions->contention;

	if (!timer_is_armed(timer))
		timer_arm(&core->timers, timer, core->now_ns + SESSION_RETRY_NS);
}

static void run_append(struct core *core, struct partition_op *op)
{
	struct partition *partition = op->partition;
	int error = -EBUSY;

	if (!partition_is_contended(partition))
		error = append_staged(core, op);
	if (error == 0)
		return;
	list_push_back(&partition->blocked, &op->node);
	if (error == -EAGAIN)
		starve(core, op);
	else
		contention_begins(core);
}

void partition_commit(struct core *core, struct partition_op *op)
{
	struct partition *partition = op->partition;

	commit(core, op);
	if (!list_is_empty(&partition->blocked))
		(void)drain(core, partition); /* how many followed does not matter here */
}

void partition_abandoned(struct core *core, struct partition *partition)
{
	if (!list_is_empty(&partition->blocked))
		(void)drain(core, partition); /* how many followed does not matter here */
}

uint32_t partition_retry_starved(struct core *core)
{
	struct list retry;
	struct list *node;
	uint32_t count = 0;

	/* Those that starve again land on the list anew: one round only. */
	list_init(&retry);
	while ((node = list_pop_front(&core->sessions->starved)) != NULL)
		list_push_back(&retry, node);
	while ((node = list_pop_front(&retry)) != NULL) {
		struct partition_op *op = LIST_ENTRY(node, struct partition_op, starved);

		count += drain(core, op->partition);
	}
	return count;
}

/* ---- read, epoch end, wait ---- */

/* The slices hold chunks of the owner's pool, so the owner copies and lets go. */
static void read_copy(struct core *core, struct partition_op *op, int error)
{
	struct seglog_read *read = op->read;
	uint32_t at = 0;

	if (error == 0 && read->size > op->stage.size) {
		op->read_size = read->size;
		error = ERR_TOO_LARGE;
	}
	if (error == 0) {
		for (uint32_t i = 0; i < read->slice_count; i++) {
			const struct seglog_slice *slice = &read->slices[i];
			uint32_t done = 0;

			while (done < slice->size) {
				uint32_t room;
				uint8_t *to = stage_room(&op->stage, at, &room);
				uint32_t n = MIN(room, slice->size - done);

				memcpy(to, slice->bytes + done, n);
				done += n;
				at += n;
			}
		}
		op->read_size = at;
	}
	seglog_read_release(read);
	fail(core, op, error);
}

static void read_done(struct seglog_read *read, int error)
{
	struct partition_op *op = read->owner;

	CHECK_OBJ(op, PARTITION_OP_MAGIC);
	read_copy(op->runner, op, error);
}

static void run_read(struct core *core, struct partition_op *op)
{
	int error;

	op->read->limit = seglog_high_watermark(op->partition->log);
	op->read->done = read_done;
	op->read->owner = op;
	error = seglog_read(op->partition->log, op->read);
	if (error == -EINPROGRESS)
		return;
	if (error != 0) {
		fail(core, op, error);
		return;
	}
	read_copy(core, op, 0);
}

static void wait_wake(struct core *core, struct partition_waiter *waiter)
{
	finish(core, CONTAINER_OF(waiter, struct partition_op, waiter));
}

static void run_wait(struct core *core, struct partition_op *op)
{
	if (seglog_high_watermark(op->partition->log) > op->offset) {
		finish(core, op);
		return;
	}
	op->waiter.wake = wait_wake;
	list_push_back(&op->partition->waiters, &op->waiter.node);
}

static void run_op(struct core *core, struct partition_op *op)
{
	struct partition *partition = op->partition;

	CHECK(partition->owner == core->index);
	op->runner = core;
	if (partition->log == NULL) {
		fail(core, op, ERR_UNKNOWN);
		return;
	}
	switch (op->kind) {
	case PARTITION_APPEND:
		run_append(core, op);
		return;
	case PARTITION_READ:
		run_read(core, op);
		return;
	case PARTITION_EPOCH_END:
		op->offset = seglog_epoch_end(partition->log, op->epoch, &op->epoch);
		finish(core, op);
		return;
	case PARTITION_WAIT:
		run_wait(core, op);
		return;
	}
	WRONG("partition operation");
}

static void arrived(void *member, struct mesh_item *item)
{
	run_op(member, CONTAINER_OF(item, struct partition_op, item));
}

void partition_run(struct core *core, struct partition_op *op)
{
	CHECK_OBJ(op, PARTITION_OP_MAGIC);
	CHECK(op->asker == core);
	op->error = 0;
	op->in_flight = 1;
	if (op->partition->owner == core->index) {
		run_op(core, op);
		return;
	}
	if (op->kind == PARTITION_APPEND)
		counters_inc(core->counters, COUNTER_PRODUCE_FOREIGN_BATCHES);
	op->item.run = arrived;
	mesh_send(core->mesh, core->index, op->partition->owner, &op->item);
}

static void cancel_back(void *member, struct mesh_item *item)
{
	struct partition_op *op = CONTAINER_OF(item, struct partition_op, cancel);

	op->done(member, op);
}

static void cancel_arrived(void *member, struct mesh_item *item)
{
	struct partition_op *op = CONTAINER_OF(item, struct partition_op, cancel);
	struct core *core = member;

	if (list_is_linked(&op->waiter.node)) {
		list_remove(&op->waiter.node);
		finish(core, op);
	}
	item->run = cancel_back;
	mesh_send(core->mesh, core->index, op->asker->index, item);
}

/* The operation may be on its way back already, so it is over when both items are: done() runs for
   each, and counts in_flight down. */
void partition_wait_cancel(struct core *core, struct partition_op *op)
{
	CHECK(op->kind == PARTITION_WAIT);
	CHECK(op->partition->owner != core->index);
	op->in_flight++;
	op->cancel.run = cancel_arrived;
	mesh_send(core->mesh, core->index, op->partition->owner, &op->cancel);
}

/* ---- what storage says ---- */

static void wake_all(struct core *core, struct partition *partition)
{
	struct list woken;
	struct list *node;

	/* A waiter may link itself again at once. */
	list_init(&woken);
	while ((node = list_pop_front(&partition->waiters)) != NULL)
		list_push_back(&woken, node);
	while ((node = list_pop_front(&woken)) != NULL) {
		struct partition_waiter *waiter = LIST_ENTRY(node, struct partition_waiter, node);

		waiter->wake(core, waiter);
	}
}

void partition_on_durable(void *ctx, struct seglog *log)
{
	struct core *core = ctx;
	struct partition *partition = seglog_owner(log);
	int64_t durable = seglog_high_watermark(log);
	int error = seglog_error(log);

	core->sessions->memory_freed = true;
	while (!list_is_empty(&partition->pending)) {
		struct partition_op *op =
			LIST_ENTRY(partition->pending.next, struct partition_op, node);

		if (op->wait_offset > durable && error == 0)
			break;
		list_remove(&op->node);
		fail(core, op, op->wait_offset > durable ? error : 0);
	}
	wake_all(core, partition);
}

void partition_on_detach(struct core *core, struct partition *partition)
{
	struct list *node;

	while ((node = list_pop_front(&partition->pending)) != NULL)
		fail(core, LIST_ENTRY(node, struct partition_op, node), ERR_UNKNOWN);
	produce_give_up(core, partition);
	while ((node = list_pop_front(&partition->blocked)) != NULL) {
		struct partition_op *op = LIST_ENTRY(node, struct partition_op, node);

		list_remove(&op->starved);
		fail(core, op, ERR_UNKNOWN);
	}
	wake_all(core, partition);
}

/* ---- control's appends ---- */

static void retry_later(struct core *core)
{
	struct timer *retry = &core->sessions->retry;

	if (!timer_is_armed(retry))
		timer_arm(&core->timers, retry, core->now_ns + SESSION_RETRY_NS);
}

/* @return false: no room */
static bool send_outcome(struct core *core, struct partition_op *op)
{
	/* Asked by a connection that is gone: a new control would take it for another append's. */
	if (op->connection == channel_connection(core) &&
	    !forward_appended(core, op->cookie, op->error, op->error == 0 ? op->base_offset : -1))
		return false;
	partition_op_free(core, op);
	return true;
}

static void command_done(struct core *core, struct partition_op *op)
{
	if (list_is_empty(&core->sessions->unsent) && send_outcome(core, op))
		return;
	list_push_back(&core->sessions->unsent, &op->node);
	retry_later(core);
}

uint32_t partition_send_outcomes(struct core *core)
{
	struct list *unsent = &core->sessions->unsent;
	uint32_t count = 0;
	struct list *node;

	while ((node = list_pop_front(unsent)) != NULL) {
		if (!send_outcome(core, LIST_ENTRY(node, struct partition_op, node))) {
			list_push_front(unsent, node);
			retry_later(core);
			break;
		}
		count++;
	}
	return count;
}

static int command_check(const struct command_append *command, struct batch *ret_batch)
{
	int error;

	if (command->batch_size <= BATCH_HEADER_SIZE ||
	    command->batch_size > command->header.size - sizeof(*command))
		return ERR_MALFORMED;
	error = batch_decode(command->batch, ret_batch);
	if (error != 0)
		return error;
	if (ret_batch->size != command->batch_size || ret_batch->magic != BATCH_MAGIC)
		return ERR_MALFORMED;
	if (crc32c_extend(CRC32C_INIT, command->batch + BATCH_CRC_BEGIN,
			  command->batch_size - BATCH_CRC_BEGIN) != ret_batch->crc)
		return ERR_CORRUPT;
	return 0;
}

static int command_run(struct core *core, const struct command_append *command)
{
	const struct topic *topic = topics_find_id(core->topics, &command->topic_id);
	struct partition *partition;
	struct partition_op *op;
	struct batch batch;
	uint32_t room;
	int error = command_check(command, &batch);

	if (error != 0)
		return error;
	partition = topic != NULL ? topics_partition(topic, (int32_t)command->partition) : NULL;
	if (partition == NULL)
		return ERR_UNKNOWN;
	op = partition_op_take(core);
	if (op == NULL)
		return -EAGAIN;
	error = stage_take(&op->stage, core->chunks, command->batch_size);
	if (error != 0) {
		partition_op_free(core, op);
		return error;
	}
	for (uint32_t at = 0; at < command->batch_size; at += room) {
		uint8_t *to = stage_room(&op->stage, at, &room);

		memcpy(to, command->batch + at, room);
	}
	op->kind = PARTITION_APPEND;
	op->partition = partition;
	op->batch = batch;
	op->is_acks_all = true;
	op->cookie = command->cookie;
	op->connection = channel_connection(core);
	op->done = command_done;
	partition_run(core, op);
	return 0;
}

bool partition_append_command(struct core *core, const struct command_append *command)
{
	int error = command_run(core, command);

	if (error == 0 || forward_appended(core, command->cookie, error, -1))
		return true;
	retry_later(core);
	return false;
}
