/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/channel.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "storage/batch.h"

#include "dataplane/core/channel_impl.h"
#include "dataplane/core/core.h"
#include "dataplane/core/housekeeper.h"
#include "dataplane/core/partition.h"
#include "dataplane/core/sessions.h"

#include "dataplane/core/hot.h"

bool channel_is_connected(const struct core *core)
{
	return core->channel->port != NULL;
}

uint64_t channel_connection(const struct core *core)
{
	return core->channel->port != NULL ? core->channel->connection : 0;
}

void *channel_claim(struct core *core, uint32_t size)
{
	struct channel *channel = core->channel;
	struct upcall_header *header;

	CHECK(channel->claimed == 0);
	CHECK(size >= sizeof(*header));
	if (channel->port == NULL)
		return NULL;
	header = bytering_claim(channel->port->upcalls, size);
	if (header == NULL) {
		counters_inc(core->counters, COUNTER_CHANNEL_UPCALL_FULL);
		return NULL;
	}
	channel->claimed = size;
	header->kind = 0;
	header->core = (uint16_t)core->index;
	header->size = size;
	return header;
}

void channel_publish(struct core *core, uint32_t size)
{
	struct channel *channel = core->channel;

	CHECK(channel->port != NULL);
	CHECK(size > 0 && size <= channel->claimed);
	bytering_publish(channel->port->upcalls, size);
	channel->claimed = 0;
	channel->is_published = true;
	counters_inc(core->counters, COUNTER_CHANNEL_UPCALLS);
}

static void wake_control(const struct channel_port *port)
{
	uint64_t one = 1;

	/* EAGAIN means that it is readable already. */
	if (write(port->control_fd, &one, sizeof(one)) < 0)
		return;
}

/* The mapping may go once the server knows, and nothing in the kernel points to it. */
static void release_when_done(struct channel_port *port)
{
	struct core *core = port->core;

	if (port->is_drop_seen && !port->is_armed)
		mesh_send(core->mesh, core->index, core->count, &port->released);
}

static void let_go(struct core *core)
{
	struct channel *channel = core->channel;
	struct channel_port *port = channel->port;

	channel->port = NULL;
	channel->claimed = 0;
	channel->is_published = false;
	port->is_let_go = true;
	/* When the submission queue is full, the descriptor's next event ends the poll. */
	if (port->is_armed && uring_cancel(core->uring, &port->wake) < 0)
		counters_inc(core->counters, COUNTER_CHANNEL_LATE_RELEASE);
	sessions_control_lost(core);
}

static void on_wake(struct uring_event *event, int32_t result, uint32_t flags)
{
	struct channel_port *port = CONTAINER_OF(event, struct channel_port, wake);
	uint64_t count;

	(void)result;
	(void)flags;
	port->is_armed = false;
	if (port->is_let_go) {
		release_when_done(port);
		return;
	}
	/* Nothing to read is harmless: the rings are looked at in every turn. */
	if (read(port->wake_fd, &count, sizeof(count)) < 0)
		return;
}

void channel_on_install(void *context, struct mesh_item *item)
{
	struct core *core = context;
	struct channel_port *port = CONTAINER_OF(item, struct channel_port, install);

	if (core->channel->port != NULL)
		let_go(core);
	port->core = core;
	port->wake.fn = on_wake;
	core->channel->port = port;
	core->channel->connection++;
}

void channel_on_drop(void *context, struct mesh_item *item)
{
	struct core *core = context;
	struct channel_port *port = CONTAINER_OF(item, struct channel_port, drop);

	/* It may have been let go already: broken, or replaced. */
	if (core->channel->port == port)
		let_go(core);
	port->is_drop_seen = true;
	release_when_done(port);
}

bool channel_sleep_begin(struct core *core)
{
	struct channel_port *port = core->channel->port;

	if (port == NULL || port->is_armed)
		return true;
	port->is_armed = uring_poll_add(core->uring, port->wake_fd, POLLIN, &port->wake) == 0;
	return port->is_armed;
}

static bool send_snapshot_done(struct core *core, const struct channel_snapshot *snapshot)
{
	struct upcall_snapshot *upcall;

	/* Asked by a connection that is gone: nobody waits for it. */
	if (core->channel->port == NULL || snapshot->connection != core->channel->connection)
		return true;
	upcall = channel_claim(core, sizeof(*upcall));
	if (upcall == NULL)
		return false;
	upcall->header.kind = UPCALL_SNAPSHOT;
	upcall->cookie = snapshot->cookie;
	upcall->generation = snapshot->generation;
	channel_publish(core, sizeof(*upcall));
	return true;
}

static void send_snapshots_done(struct core *core)
{
	struct channel *channel = core->channel;

	LIST_EACH_SAFE(&channel->snapshots_done, node)
	{
		if (!send_snapshot_done(core, LIST_ENTRY(node, struct channel_snapshot, node)))
			return;
		list_remove(node);
		list_push_back(&channel->snapshots_idle, node);
	}
}

void channel_on_snapshot_done(void *context, struct mesh_item *item)
{
	struct core *core = context;
	struct channel_snapshot *snapshot = CONTAINER_OF(item, struct channel_snapshot, item);

	list_push_back(&core->channel->snapshots_done, &snapshot->node);
	send_snapshots_done(core);
}

/* @return false: too many are under way, the command has to wait */
static bool pass_snapshot(struct core *core, const struct command_snapshot *command)
{
	struct channel *channel = core->channel;
	struct list *node = list_pop_front(&channel->snapshots_idle);
	struct channel_snapshot *snapshot;

	if (node == NULL)
		return false;
	snapshot = LIST_ENTRY(node, struct channel_snapshot, node);
	snapshot->connection = channel->connection;
	snapshot->cookie = command->cookie;
	snapshot->generation = command->generation;
	snapshot->item.run = housekeeper_on_snapshot;
	mesh_send(core->mesh, core->index, core->count, &snapshot->item);
	return true;
}

enum outcome { DONE, WAIT, BROKEN };

/* Judge a record by its sizes, then run it. */
static enum outcome run_command(struct core *core, const void *record, uint32_t size)
{
	const struct command_header *header = record;
	const struct command_reply *answer = record;
	const struct command_append *append = record;

	if (size < sizeof(*header) || header->size != size)
		return BROKEN;
	switch (header->kind) {
	case COMMAND_REPLY:
		if (size < sizeof(*answer) || answer->body_size != size - sizeof(*answer))
			return BROKEN;
		sessions_reply(core, answer);
		return DONE;
	case COMMAND_SNAPSHOT:
		if (size != sizeof(struct command_snapshot))
			return BROKEN;
		return pass_snapshot(core, record) ? DONE : WAIT;
	case COMMAND_APPEND:
		if (size < sizeof(*append) || append->batch_size != size - sizeof(*append) ||
		    append->batch_size < BATCH_HEADER_SIZE)
			return BROKEN;
		return partition_append_command(core, append) ? DONE : WAIT;
	default:
		return BROKEN;
	}
}

uint32_t channel_poll(struct core *core, uint32_t max)
{
	struct channel *channel = core->channel;
	uint32_t count = 0;

	if (channel->port == NULL)
		return 0;
	if (unlikely(!list_is_empty(&channel->snapshots_done)))
		send_snapshots_done(core);
	while (count < max) {
		const void *record;
		uint32_t size;
		int error = bytering_peek(channel->port->commands, &record, &size);
		enum outcome outcome = BROKEN;

		if (error == 0)
			return count;
		if (error > 0)
			outcome = run_command(core, record, size);
		if (outcome == WAIT)
			return count;
		if (outcome == BROKEN) {
			struct channel_port *port = channel->port;

			counters_inc(core->counters, COUNTER_CHANNEL_BROKEN);
			let_go(core);
			mesh_send(core->mesh, core->index, core->count, &port->broken);
			return count + 1;
		}
		bytering_release(channel->port->commands);
		counters_inc(core->counters, COUNTER_CHANNEL_COMMANDS);
		count++;
	}
	return count;
}

void channel_flush(struct core *core)
{
	struct channel *channel = core->channel;

	if (!channel->is_published)
		return;
	channel->is_published = false;
	wake_control(channel->port);
}
