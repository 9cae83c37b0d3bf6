/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/core.h"

#include <poll.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"

#include "dataplane/core/channel.h"
#include "dataplane/core/housekeeper.h"
#include "dataplane/core/partition.h"
#include "dataplane/core/sessions.h"
#include "dataplane/core/wireport.h"
#include "dataplane/sock/sock.h"

#include "dataplane/core/hot.h"

#define MESH_PER_TURN_MAX     256
#define COMMANDS_PER_TURN_MAX 64
#define TIMERS_PER_TURN_MAX   256
#define STALL_NS              NS_PER_MS
#define CALIBRATE_NS          NS_PER_MS /* known work is added this often */
#define SLEEP_NS_MAX          NS_PER_S
/* A port without a descriptor has to be looked at; shorter sleeps cost more than they save. */
#define SLEEP_NS_BLIND (100 * NS_PER_US)
#define SPIN_NS_BLIND  (50 * NS_PER_US)

/* Start the commits of this turn: each log gathers what came in since its last one. */
static uint32_t flush_dirty(struct core *core)
{
	uint32_t count = 0;

	LIST_EACH_SAFE(&core->dirty, node)
	{
		struct partition *partition = LIST_ENTRY(node, struct partition, dirty);

		count++;
		/* True: the submission queue is full, which uring_poll() is about to end. */
		if (partition->log == NULL || !seglog_flush(partition->log))
			list_remove(node);
	}
	return count;
}

static void reply(struct core *core, struct core_item *item)
{
	item->item.run = item->reply;
	mesh_send(core->mesh, core->index, core->count, &item->item);
}

/* Logs whose detaching waits for operations in flight. */
static void continue_detaching(struct core *core)
{
	LIST_EACH_SAFE(&core->detaching, node)
	{
		struct core_item *item = LIST_ENTRY(node, struct core_item, node);

		if (!seglog_detach(item->log))
			continue;
		list_remove(node);
		reply(core, item);
	}
}

static void continue_stopping(struct core *core)
{
	bool is_done = core->sock == NULL || sock_stop(core->sock);

	if (core->wireport != NULL)
		is_done = wireport_stop(core->wireport, core->now_ns) && is_done;
	if (!is_done || core->stop_item == NULL)
		return;
	reply(core, core->stop_item);
	core->stop_item = NULL;
}

static void on_wake(struct uring_event *event, int32_t result, uint32_t flags)
{
	(void)result;
	(void)flags;
	CONTAINER_OF(event, struct core_wake, event)->is_armed = false;
}

static bool arm(struct core *core, struct core_wake *wake, int fd)
{
	if (wake->is_armed)
		return true;
	wake->event.fn = on_wake;
	wake->is_armed = uring_poll_add(core->uring, fd, POLLIN, &wake->event) == 0;
	return wake->is_armed;
}

/* @return how long nothing is due; 0: something is due now */
static int64_t sleep_time(const struct core *core)
{
	int64_t next_ns = timers_next_ns(&core->timers);

	if (!list_is_empty(&core->dirty) ||
	    (core->sock != NULL && core->is_serving && sock_is_ready(core->sock)))
		return 0;
	if (core->wireport != NULL)
		next_ns = MIN(next_ns, wireport_next_ns(core->wireport));
	if (core->calibrate_ns > 0)
		next_ns = MIN(next_ns, core->calibrate_at_ns);
	return next_ns > core->now_ns ? MIN(next_ns - core->now_ns, SLEEP_NS_MAX) : 0;
}

/* Sleep until one of the descriptors, a completion or the next timer. */
static void sleep_on_descriptors(struct core *core)
{
	int port_fd = core->wireport != NULL ? wireport_wait_fd(core->wireport) : -1;
	int64_t sleep_ns = sleep_time(core), begin_ns;
	enum wireport_sleep port = WIREPORT_SLEEP;

	if (sleep_ns == 0)
		return;
	if (core->wireport != NULL)
		port = wireport_sleep_begin(core->wireport);
	if (port == WIREPORT_LOOK_AGAIN)
		return; /* what came before it was asked to wake us is found in the next turn */
	if (port == WIREPORT_BLIND || core->is_stopping || !list_is_empty(&core->detaching))
		sleep_ns = MIN(sleep_ns, SLEEP_NS_BLIND);
	if (!arm(core, &core->mesh_wake, mesh_wait_fd(core->mesh, core->index)) ||
	    (port_fd >= 0 && !arm(core, &core->port_wake, port_fd)) || !channel_sleep_begin(core))
		return;
	if (!mesh_sleep_begin(core->mesh, core->index))
		return;
	begin_ns = clock_now_ns();
	counters_add(core->counters, COUNTER_CORE_IDLE_NS, (uint64_t)(begin_ns - core->now_ns));
	(void)uring_wait(core->uring, sleep_ns);
	mesh_sleep_end(core->mesh, core->index);
	if (core->wireport != NULL)
		wireport_sleep_end(core->wireport);
	core->now_ns = clock_now_ns();
	core->turn_cycles = clock_cycles();
	counters_add(core->counters, COUNTER_CORE_SLEEP_NS, (uint64_t)(core->now_ns - begin_ns));
}

/* What another thread did with the CPU meanwhile is no work of ours, nor a stall. */
static void yield(struct core *core)
{
	int64_t now_ns;

	(void)sched_yield();
	now_ns = clock_now_ns();
	counters_add(core->counters, COUNTER_CORE_YIELD_NS, (uint64_t)(now_ns - core->now_ns));
	core->now_ns = now_ns;
	core->turn_cycles = clock_cycles();
}

/*
 * A turn found nothing to do. The core spins for a while, because the next packet is likely near,
 * then sleeps. While disk operations are in flight it yields its CPU in each turn: a completion may
 * need a kernel thread bound to this CPU, which a spinning thread keeps waiting for a whole tick.
 */
static void idle(struct core *core)
{
	bool is_disk_busy = uring_disk_in_flight(core->uring) > 0;

	if (core->idle_since_ns == 0)
		core->idle_since_ns = core->now_ns;
	if (is_disk_busy)
		yield(core);
	if (core->now_ns - core->idle_since_ns < core->spin_ns)
		return;
	sleep_on_descriptors(core);
}

static void work_again(struct core *core)
{
	core->idle_since_ns = 0;
	if (core->wireport != NULL)
		wireport_sleep_end(core->wireport);
}

/*
 * Time since the last turn began belongs to that turn: busy or idle, and a stall when long. With what
 * yield() and sleep_on_descriptors() count, every nanosecond of the loop is counted once.
 */
static void track(struct core *core, uint32_t work)
{
	int64_t now_ns = clock_now_ns();
	uint64_t spent_ns = (uint64_t)(now_ns - core->now_ns);
	uint64_t now_cycles = clock_cycles();

	counters_inc(core->counters, COUNTER_CORE_CYCLES);
	if (work > 0)
		counters_add(core->counters, COUNTER_CORE_BUSY_CYCLES,
			     now_cycles - core->turn_cycles);
	core->turn_cycles = now_cycles;
	counters_add(core->counters, work > 0 ? COUNTER_CORE_BUSY_NS : COUNTER_CORE_IDLE_NS,
		     spent_ns);
	if (spent_ns > (uint64_t)STALL_NS)
		counters_inc(core->counters, COUNTER_CORE_STALLS);
	core->now_ns = now_ns;
}

/* Own TCP, and what its sessions do meanwhile, in cycles: the cost of a packet. */
static uint32_t poll_wireport(struct core *core)
{
	uint64_t begin_cycles = clock_cycles();
	uint32_t work = wireport_poll(core->wireport, core->now_ns);

	if (work > 0)
		counters_add(core->counters, COUNTER_WIREPORT_BUSY_CYCLES,
			     clock_cycles() - begin_cycles);
	return work;
}

/* Known work, so that what the loop counts as busy can be held against it. */
static uint32_t calibrate(struct core *core)
{
	int64_t begin_ns = clock_now_ns(), now_ns = begin_ns;

	if (begin_ns < core->calibrate_at_ns)
		return 0;
	while (now_ns - begin_ns < core->calibrate_ns)
		now_ns = clock_now_ns();
	counters_add(core->counters, COUNTER_CORE_CALIBRATE_NS, (uint64_t)(now_ns - begin_ns));
	/* What a sleep was late is caught up, but not what a suspended machine missed. */
	core->calibrate_at_ns =
		MAX(core->calibrate_at_ns + CALIBRATE_NS, now_ns - 100 * CALIBRATE_NS);
	return 1;
}

static void begin(struct core *core)
{
	const struct config *config = core->config;

	core->spin_ns = config->idle_spin_us * NS_PER_US;
	if (strcmp(config->idle_mode, "busy") == 0)
		core->spin_ns = INT64_MAX;
	else if (strcmp(config->idle_mode, "intr") == 0)
		core->spin_ns = 0;
	else if (core->wireport != NULL && wireport_wait_fd(core->wireport) < 0)
		core->spin_ns = MAX(core->spin_ns, SPIN_NS_BLIND);
	core->calibrate_ns = config->calibrate_percent * CALIBRATE_NS / 100;
	core->begin_ns = core->now_ns = clock_now_ns();
	core->calibrate_at_ns = core->now_ns;
	core->turn_cycles = clock_cycles();
}

void core_run(struct core *core)
{
	begin(core);
	while (!core->stop) { /* one turn; every call is bounded and returns the work it did */
		uint32_t work = 0;

		core->now_ms = clock_wall_ms();
		work += mesh_poll(core->mesh, core->index, MESH_PER_TURN_MAX);
		work += channel_poll(core, COMMANDS_PER_TURN_MAX);
		if (core->wireport != NULL && core->is_serving)
			work += poll_wireport(core);
		if (core->sock != NULL && core->is_serving)
			work += sock_poll(core->sock, core->now_ns);
		work += timers_run(&core->timers, core->now_ns, TIMERS_PER_TURN_MAX);
		work += sessions_turn_end(core);
		work += flush_dirty(core);
		work += uring_poll(core->uring); /* submits; runs completions: acks, readiness */
		channel_flush(core);
		if (!list_is_empty(&core->detaching))
			continue_detaching(core);
		if (core->is_stopping)
			continue_stopping(core);
		if (unlikely(core->calibrate_ns > 0))
			work += calibrate(core);
		track(core, work);
		if (work == 0)
			idle(core);
		else if (core->idle_since_ns != 0)
			work_again(core);
	}
}

void core_on_topics(void *context, struct mesh_item *mesh_item)
{
	struct core *core = context;
	struct core_item *item = CONTAINER_OF(mesh_item, struct core_item, item);

	core->topics = item->topics != NULL ? item->topics : core->topics_empty;
	core->is_serving = true; /* clients of a restarted box must not see it without its topics */
	reply(core, item);
}

static void on_housekept(void *context, struct mesh_item *mesh_item);

static void ask_housekeeper(struct core *core, struct partition *partition)
{
	partition->housekeep_queued = true;
	partition->housekeep_again = false;
	partition->housekeep.run = housekeeper_on_wanted;
	partition->housekept = on_housekept;
	mesh_send(core->mesh, core->index, core->count, &partition->housekeep);
}

static void on_housekept(void *context, struct mesh_item *mesh_item)
{
	struct core *core = context;
	struct partition *partition = CONTAINER_OF(mesh_item, struct partition, housekeep);

	partition->housekeep_queued = false;
	if (partition->log != NULL)
		core_mark_dirty(core, partition);
	if (partition->housekeep_again)
		ask_housekeeper(core, partition);
}

static void on_housekeep(void *context, struct seglog *log)
{
	struct partition *partition = seglog_owner(log);

	/* The item is out, and the housekeeper may have looked already: ask once more afterwards. */
	if (partition->housekeep_queued)
		partition->housekeep_again = true;
	else
		ask_housekeeper(context, partition);
}

void core_on_attach(void *context, struct mesh_item *mesh_item)
{
	struct core *core = context;
	struct core_item *item = CONTAINER_OF(mesh_item, struct core_item, item);
	const struct seglog_core seglog_core = {
		.chunks = core->chunks,
		.uring = core->uring,
		.counters = core->counters,
		.flush_ns = core->flush_ns,
		.ctx = core,
		.on_durable = partition_on_durable,
		.on_housekeep = on_housekeep,
	};

	CHECK(item->partition->owner == core->index);
	CHECK(item->partition->log == NULL);
	if (core->seglog_core.chunks == NULL) {
		core->seglog_core = seglog_core;
		seglog_core_init(&core->seglog_core);
	}
	item->error = seglog_attach(item->log, &core->seglog_core, item->partition);
	if (item->error == 0)
		item->partition->log = item->log;
	reply(core, item);
}

void core_on_detach(void *context, struct mesh_item *mesh_item)
{
	struct core *core = context;
	struct core_item *item = CONTAINER_OF(mesh_item, struct core_item, item);
	struct partition *partition = item->partition;

	item->log = partition->log;
	item->error = 0;
	if (partition->log == NULL) {
		reply(core, item);
		return;
	}
	partition_on_detach(core, partition);
	partition->log = NULL;
	list_remove(&partition->dirty);
	list_push_back(&core->detaching, &item->node);
}

void core_on_configure(void *context, struct mesh_item *mesh_item)
{
	struct core *core = context;
	struct core_item *item = CONTAINER_OF(mesh_item, struct core_item, item);

	if (item->partition->log != NULL)
		seglog_configure(item->partition->log, &item->settings);
	reply(core, item);
}

void core_on_nudge(void *context, struct mesh_item *item)
{
	struct partition *partition = CONTAINER_OF(item, struct partition, nudge);

	__atomic_store_n(&partition->is_nudged, 0, __ATOMIC_RELEASE);
	if (partition->log != NULL)
		core_mark_dirty(context, partition);
}

void core_on_stop_transports(void *context, struct mesh_item *mesh_item)
{
	struct core *core = context;

	core->is_stopping = true;
	core->stop_item = CONTAINER_OF(mesh_item, struct core_item, item);
}

void core_on_stop(void *context, struct mesh_item *mesh_item)
{
	struct core *core = context;

	(void)mesh_item;
	core->stop = true;
}
