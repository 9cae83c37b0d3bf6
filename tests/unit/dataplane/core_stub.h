/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What the loop, the channel and the socket transport call of the layers above, in the simplest
 * form: sessions echo what they receive. A test that includes this links none of the real ones.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "dataplane/core/channel.h"
#include "dataplane/core/core.h"
#include "dataplane/core/housekeeper.h"
#include "dataplane/core/partition.h"
#include "dataplane/core/sessions.h"
#include "dataplane/core/wireport.h"

/* One echo session; `hold` makes it take nothing until stub_resume. */
struct session {
	struct link *link;
	struct core *core;
};

struct stub_counts {
	uint32_t opened, closed, replies, lost, appends, snapshots;
	uint64_t reply_cookie;
	uint64_t input;
	bool hold;        /* sessions take nothing */
	uint32_t bite;    /* what they take at once; 0: all */
	bool owes;        /* at the end of input an answer is still to come */
	bool close_after; /* ask for close once something was echoed */
	bool ended;       /* a session saw the end of its input */
	struct link *last;
	struct mesh_item *snapshot;
	/* a port with interrupts */
	bool has_interrupts;
	uint32_t polls, sleeps, looks; /* polled; said to sleep, and to look first */
	uint32_t work_each;            /* of so many polls one finds work; 0: none does */
	bool is_armed, was_worked;     /* interrupts are on; the last poll found work */
	uint32_t looked_at;            /* polls, when they were put on */
	uint32_t blind, noisy;         /* put on without a look; on while there was work */
};

static struct stub_counts stub;

int session_open(struct core *core, struct link *link, int64_t now_ns)
{
	(void)now_ns;
	link->session = calloc(1, sizeof(struct session));
	link->session->link = link;
	link->session->core = core;
	stub.last = link;
	__atomic_add_fetch(&stub.opened, 1, __ATOMIC_RELEASE);
	return 0;
}

void session_close(struct link *link)
{
	free(link->session);
	link->session = NULL;
	__atomic_add_fetch(&stub.closed, 1, __ATOMIC_RELEASE);
}

size_t session_input(struct session *session, const uint8_t *bytes, size_t size, int64_t now_ns)
{
	uint32_t bite = __atomic_load_n(&stub.bite, __ATOMIC_ACQUIRE);

	(void)now_ns;
	if (__atomic_load_n(&stub.hold, __ATOMIC_ACQUIRE))
		return 0;
	if (bite > 0)
		size = MIN(size, (size_t)bite);
	if (outq_push_copy(&session->link->out, bytes, size) < 0)
		abort();
	stub.input += size;
	session->link->ops->send(session->link);
	if (stub.close_after)
		session->link->ops->close(session->link, false);
	return size;
}

bool session_eof(struct session *session)
{
	(void)session;
	__atomic_store_n(&stub.ended, true, __ATOMIC_RELEASE);
	return stub.owes;
}

bool session_room(struct session *session, struct iovec *ret_room)
{
	(void)session;
	(void)ret_room;
	return false;
}

void session_filled(struct session *session, size_t size, int64_t now_ns)
{
	(void)session;
	(void)size;
	(void)now_ns;
}

void sessions_reply(struct core *core, const struct command_reply *reply)
{
	(void)core;
	stub.replies++;
	stub.reply_cookie = reply->cookie;
}

void sessions_control_lost(struct core *core)
{
	(void)core;
	stub.lost++;
}

uint32_t sessions_turn_end(struct core *core)
{
	(void)core;
	return 0;
}

bool partition_append_command(struct core *core, const struct command_append *command)
{
	(void)core;
	(void)command;
	stub.appends++;
	return true;
}

void partition_on_durable(void *ctx, struct seglog *log)
{
	(void)ctx;
	(void)log;
}

void partition_on_detach(struct core *core, struct partition *partition)
{
	(void)core;
	(void)partition;
}

void housekeeper_on_snapshot(void *housekeeper, struct mesh_item *item)
{
	(void)housekeeper;
	stub.snapshots++;
	stub.snapshot = item;
}

void housekeeper_on_wanted(void *housekeeper, struct mesh_item *item)
{
	(void)housekeeper;
	(void)item;
}

uint32_t wireport_poll(struct wireport *port, int64_t now_ns)
{
	(void)port;
	(void)now_ns;
	stub.polls++;
	stub.noisy += stub.was_worked && stub.is_armed;
	stub.was_worked = stub.work_each > 0 && stub.polls % stub.work_each == 0;
	return stub.was_worked;
}

int wireport_wait_fd(const struct wireport *port)
{
	(void)port;
	return -1;
}

enum wireport_sleep wireport_sleep_begin(struct wireport *port)
{
	(void)port;
	if (!stub.has_interrupts)
		return WIREPORT_BLIND;
	if (!stub.is_armed) {
		stub.is_armed = true;
		stub.looked_at = stub.polls;
		stub.looks++;
		return WIREPORT_LOOK_AGAIN;
	}
	stub.blind += stub.polls == stub.looked_at;
	stub.sleeps++;
	return WIREPORT_SLEEP;
}

void wireport_sleep_end(struct wireport *port)
{
	(void)port;
	stub.is_armed = false;
}

int64_t wireport_next_ns(const struct wireport *port)
{
	(void)port;
	return INT64_MAX;
}

bool wireport_stop(struct wireport *port, int64_t now_ns)
{
	(void)port;
	(void)now_ns;
	return true;
}
