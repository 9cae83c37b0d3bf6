/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/fetch.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"

#include "dataplane/core/request.h"
#include "dataplane/wire/api.h"
#include "dataplane/wire/kafka_err.h"

#include "dataplane/core/hot.h"

static void attempt(struct fetch *fetch);

static struct core *core_of(const struct fetch *fetch)
{
	return fetch->request->core;
}

/* ---- reads ---- */

static struct fetch_read *read_take(struct fetch *fetch, struct fetch_entry *entry)
{
	struct list *node = list_pop_front(&core_of(fetch)->sessions->fetches->reads);
	struct fetch_read *read;

	if (node == NULL)
		return NULL;
	read = LIST_ENTRY(node, struct fetch_read, node);
	read->fetch = fetch;
	read->entry = entry;
	read->op = NULL;
	read->is_out = false;
	read->error = 0;
	read->size = 0;
	read->read.slice_count = 0;
	read->read.size = 0;
	entry->read = read;
	fetch->read_count++;
	return read;
}

static void read_give(struct fetch *fetch, struct fetch_entry *entry)
{
	struct core *core = core_of(fetch);
	struct fetch_read *read = entry->read;

	CHECK(!read->is_out);
	if (read->op != NULL)
		partition_op_free(core, read->op);
	else if (read->read.slice_count > 0)
		seglog_read_release(&read->read);
	entry->read = NULL;
	fetch->read_count--;
	core->sessions->memory_freed = true;
	list_push_front(&core->sessions->fetches->reads, &read->node);
}

static void reads_give(struct fetch *fetch)
{
	struct fetch_entry *entries = fetch_entries(fetch);

	for (uint32_t i = 0; i < fetch->count && fetch->read_count > 0; i++)
		if (entries[i].read != NULL)
			read_give(fetch, &entries[i]);
}

static void decide(struct fetch *fetch);

/* A read that was out is back. */
static void read_back(struct fetch *fetch)
{
	CHECK(fetch->out > 0);
	fetch->out--;
	if (fetch->out == 0 && !fetch->is_trying)
		decide(fetch);
}

static void on_cold_read(struct seglog_read *cold, int error)
{
	struct fetch_read *read = cold->owner;

	read->is_out = false;
	read->error = error;
	read->size = error == 0 ? cold->size : 0;
	if (error != 0)
		cold->slice_count = 0;
	read_back(read->fetch);
}

static void on_foreign_read(struct core *core, struct partition_op *op)
{
	struct fetch_read *read = op->owner;
	struct fetch *fetch = read->fetch;

	if (op->error == ERR_TOO_LARGE && fetch->request->session != NULL) {
		/* The first batch is larger than the stage: once more with one that holds it. */
		stage_release(&op->stage);
		if (stage_take(&op->stage, core->chunks, op->read_size) == 0) {
			partition_run(core, op);
			return;
		}
		op->error = -EAGAIN;
	}
	read->is_out = false;
	read->error = op->error;
	read->size = op->error == 0 ? op->read_size : 0;
	if (!request_op_back(fetch->request))
		return;
	read_back(fetch);
}

static int read_foreign(struct fetch *fetch, struct fetch_read *read, uint32_t size)
{
	struct core *core = core_of(fetch);
	struct partition_op *op = partition_op_take(core);

	if (op == NULL)
		return -EAGAIN;
	if (stage_take(&op->stage, core->chunks, MIN(MAX(size, CHUNK_SIZE_MIN), CHUNK_SIZE_MAX)) !=
	    0) {
		partition_op_free(core, op);
		return -EAGAIN;
	}
	counters_inc(core->counters, COUNTER_FETCH_FOREIGN_READS);
	op->kind = PARTITION_READ;
	op->partition = read->entry->partition;
	op->read = &read->read;
	op->owner = read;
	op->done = on_foreign_read;
	read->op = op;
	read->is_out = true;
	read->read.size_max = MIN(size, op->stage.size);
	fetch->out++;
	fetch->request->pending++;
	partition_run(core, op);
	return 0;
}

/* @return 0 started or done; -EAGAIN memory is short; else an error of the partition */
static int read_start(struct fetch *fetch, struct fetch_entry *entry, uint32_t size)
{
	struct core *core = core_of(fetch);
	struct fetch_read *read = read_take(fetch, entry);
	int error;

	if (read == NULL)
		return -EAGAIN;
	read->read.offset = entry->offset;
	read->read.size_max = size;
	read->read.limit = entry->high_watermark;
	if (!partition_is_here(core, entry->partition)) {
		error = read_foreign(fetch, read, size);
		if (error != 0)
			read_give(fetch, entry);
		return error;
	}
	read->read.done = on_cold_read;
	read->read.owner = read;
	error = seglog_read(entry->partition->log, &read->read);
	if (error == -EINPROGRESS) {
		counters_inc(core->counters, COUNTER_FETCH_COLD_READS);
		read->is_out = true;
		fetch->out++;
		return 0;
	}
	if (error != 0) {
		read->read.slice_count = 0;
		read_give(fetch, entry);
		return error;
	}
	read->size = read->read.size;
	return 0;
}

/* ---- waiting ---- */

static void make_ready(struct fetch *fetch)
{
	if (!list_is_linked(&fetch->ready))
		list_push_back(&core_of(fetch)->sessions->ready, &fetch->ready);
}

static void on_wake(struct core *core, struct partition_waiter *waiter)
{
	(void)core;
	make_ready(CONTAINER_OF(waiter, struct fetch_entry, waiter)->fetch);
}

static void on_time(struct timer *timer, int64_t now_ns)
{
	(void)now_ns;
	make_ready(CONTAINER_OF(timer, struct fetch, timer));
}

/* It comes back twice when it was cancelled (partition.c); the entry has forgotten it then. */
static void on_foreign_wake(struct core *core, struct partition_op *op)
{
	struct fetch_entry *entry = op->owner;

	op->in_flight--;
	if (entry != NULL) {
		entry->wait = NULL;
		op->owner = NULL;
		make_ready(entry->fetch);
	}
	if (op->in_flight == 0)
		partition_op_free(core, op);
}

static void wait_foreign(struct fetch *fetch, struct fetch_entry *entry)
{
	struct core *core = core_of(fetch);
	struct partition_op *op = partition_op_take(core);

	if (op == NULL) {
		fetch->is_short = true; /* looked at again by time */
		return;
	}
	op->kind = PARTITION_WAIT;
	op->partition = entry->partition;
	op->offset = MAX(entry->offset, entry->high_watermark);
	op->owner = entry;
	op->done = on_foreign_wake;
	entry->wait = op;
	partition_run(core, op);
}

static void unwait_entry(struct core *core, struct fetch_entry *entry)
{
	struct partition_op *op = entry->wait;

	list_remove(&entry->waiter.node);
	if (op == NULL)
		return;
	entry->wait = NULL;
	op->owner = NULL;
	partition_wait_cancel(core, op);
}

static void unwait(struct fetch *fetch)
{
	struct fetch_entry *entries = fetch_entries(fetch);

	timer_disarm(&core_of(fetch)->timers, &fetch->timer);
	list_remove(&fetch->ready);
	if (!fetch->is_waiting)
		return;
	fetch->is_waiting = false;
	for (uint32_t i = 0; i < fetch->count; i++)
		unwait_entry(core_of(fetch), &entries[i]);
}

static void wait(struct fetch *fetch)
{
	struct core *core = core_of(fetch);
	struct fetch_entry *entries = fetch_entries(fetch);
	int64_t due_ns = fetch->deadline_ns;

	if (!fetch->is_waiting)
		counters_inc(core->counters, COUNTER_FETCH_WAITS);
	fetch->is_waiting = true;
	for (uint32_t i = 0; i < fetch->count; i++) {
		struct fetch_entry *entry = &entries[i];

		entry->fetch = fetch;
		if (!partition_is_here(core, entry->partition)) {
			if (entry->wait == NULL)
				wait_foreign(fetch, entry);
			continue;
		}
		entry->waiter.wake = on_wake;
		if (!list_is_linked(&entry->waiter.node))
			list_push_back(&entry->partition->waiters, &entry->waiter.node);
	}
	if (fetch->is_short) {
		sessions_memory_short(core);
		due_ns = MIN(due_ns, core->now_ns + SESSION_RETRY_NS);
	}
	timer_arm(&core->timers, &fetch->timer, due_ns);
}

/* ---- trying ---- */

static void finish(struct fetch *fetch)
{
	struct request *request = fetch->request;
	struct session *session = request->session;

	unwait(fetch);
	if (fetch_answer(fetch) != 0) {
		session_fail(session, COUNTER_SESSION_CLOSE_OUTPUT, true);
		return;
	}
	request_done(request);
	session->link->ops->send(session->link);
	session_advance(session);
}

static void decide(struct fetch *fetch)
{
	struct core *core = core_of(fetch);
	struct fetch_entry *entries = fetch_entries(fetch);
	uint64_t size = 0;

	CHECK(fetch->out == 0);
	for (uint32_t i = 0; i < fetch->count && fetch->read_count > 0; i++) {
		struct fetch_read *read = entries[i].read;

		if (read == NULL)
			continue;
		size += read->size;
		if (read->error == -EAGAIN)
			fetch->is_short = true;
		else if (read->error != 0)
			entries[i].error = session_err_from(read->error);
		fetch->has_error = fetch->has_error || entries[i].error != KAFKA_NONE;
		if (read->error != 0)
			read_give(fetch, &entries[i]);
	}
	if (fetch->has_error || fetch->count == 0 || (int64_t)size >= fetch->min_bytes ||
	    core->now_ns >= fetch->deadline_ns) {
		finish(fetch);
		return;
	}
	reads_give(fetch);
	wait(fetch);
}

static void try_entry(struct fetch *fetch, struct fetch_entry *entry, int64_t *budget)
{
	bool uses_ids = fetch->request->api_version >= 13;
	int64_t want;
	int error;

	fetch_judge(core_of(fetch), entry, uses_ids);
	if (entry->error != KAFKA_NONE) {
		fetch->has_error = true;
		return;
	}
	if (entry->offset >= entry->high_watermark || *budget <= 0 ||
	    fetch->read_count >= FETCH_READS_PER_ANSWER)
		return;
	want = MIN((int64_t)entry->size_max, *budget);
	error = read_start(fetch, entry, (uint32_t)want);
	if (error == -EAGAIN) {
		fetch->is_short = true;
	} else if (error != 0) {
		entry->error = session_err_from(error);
		fetch->has_error = true;
	} else {
		/* How much a cold or foreign read brings is not known yet. */
		*budget -= entry->read->is_out ? want : (int64_t)entry->read->size;
	}
}

static void attempt(struct fetch *fetch)
{
	struct fetch_entry *entries = fetch_entries(fetch);
	uint32_t first = fetch->session != NULL && fetch->count > 0
				 ? fetch->session->turn % fetch->count
				 : 0;
	int64_t budget = fetch->max_bytes;

	fetch->has_error = fetch->error != KAFKA_NONE;
	fetch->is_short = false;
	fetch->is_trying = true;
	/* Each answer starts behind the partition served last, so that none starves. */
	for (uint32_t i = 0; fetch->error == KAFKA_NONE && i < fetch->count; i++)
		try_entry(fetch, &entries[(first + i) % fetch->count], &budget);
	fetch->is_trying = false;
	if (fetch->out == 0)
		decide(fetch);
}

/* ---- life ---- */

void fetch_start(struct request *request)
{
	struct core *core = request->core;
	struct list *node = list_pop_front(&core->sessions->fetches->fetches);
	struct fetch *fetch;
	int error;

	if (node == NULL) {
		session_fail(request->session, COUNTER_SESSION_CLOSE_OUTPUT, false);
		return;
	}
	fetch = LIST_ENTRY(node, struct fetch, node);
	memset(fetch, 0, sizeof(*fetch));
	list_init(&fetch->node);
	list_init(&fetch->ready);
	timer_init(&fetch->timer, on_time);
	fetch->request = request;
	request->fetch = fetch;
	error = fetch_setup(fetch);
	if (error != 0) {
		session_fail(request->session,
			     error == ERR_MALFORMED ? COUNTER_SESSION_CLOSE_MALFORMED
						    : COUNTER_SESSION_CLOSE_OUTPUT,
			     false);
		return;
	}
	attempt(fetch);
}

static void session_release(struct fetch *fetch)
{
	struct core *core = core_of(fetch);
	struct fetchsession *session = fetch->session;
	struct fetch_entry *entries = fetch_entries(fetch);
	bool has_forgotten = false;

	if (session == NULL)
		return;
	for (uint32_t i = 0; i < fetch->count; i++) {
		entries[i].name = NULL;
		has_forgotten = has_forgotten || entries[i].is_forgotten;
	}
	session->is_busy = false;
	fetch->session = NULL;
	if (session->is_dropped)
		fetchsession_drop(core, session);
	else if (has_forgotten)
		fetchsession_compact(session);
}

void fetch_cancel(struct request *request)
{
	struct fetch *fetch = request->fetch;
	struct fetch_entry *entries = fetch_entries(fetch);

	unwait(fetch);
	for (uint32_t i = 0; i < fetch->count && fetch->out > 0; i++) {
		struct fetch_read *read = entries[i].read;

		if (read == NULL || !read->is_out || read->op != NULL)
			continue;
		seglog_read_cancel(&read->read);
		read->is_out = false;
		read->read.slice_count = 0;
		fetch->out--;
	}
}

void fetch_free(struct request *request)
{
	struct fetch *fetch = request->fetch;
	struct sessions *sessions = request->core->sessions;

	unwait(fetch);
	reads_give(fetch);
	session_release(fetch);
	buffer_give(sessions->buffers, fetch->buffer);
	fetch->buffer = NULL;
	request->fetch = NULL;
	list_push_front(&sessions->fetches->fetches, &fetch->node);
}

uint32_t fetch_retry_ready(struct core *core, uint32_t max)
{
	struct list *ready = &core->sessions->ready;
	uint32_t count = 0;

	while (count < max && !list_is_empty(ready)) {
		struct fetch *fetch = LIST_ENTRY(ready->next, struct fetch, ready);

		list_remove(&fetch->ready);
		timer_disarm(&core_of(fetch)->timers, &fetch->timer);
		count++;
		if (fetch->out == 0)
			attempt(fetch);
	}
	return count;
}
