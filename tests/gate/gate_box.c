/* SPDX-License-Identifier: Apache-2.0 */
#include "gate_box.h"

#include <stdlib.h>
#include <string.h>

#include "base/portlist.h"

#include "dataplane/core/wireport.h"
#include "dataplane/nic/nic_mem.h"

#include "../unit/storage/uring_fake.h"
#include "gate_count.h"
#include "gate_peer.h"

#define TURN_NS       INT64_C(20000)
#define SEGMENT       1448 /* MTU 1500 less headers with time stamps */
#define TURNS_MAX     200000
#define MERGED        (44 * SEGMENT) /* of one frame of a port that merges */
#define WIRE_DEPTH    1024
#define PER_TURN_MAX  256
#define OUT_PEEKS_MAX 16

bool gate_is_counting;
static struct corebox *box;
static struct client *client;
static struct nic *near, *far;

/* ---- the port: what it does is not ours ---- */

static const struct nic_ops *port_ops;

static uint16_t port_rx(struct nic *nic, uint16_t queue, struct nic_packet *packets, uint16_t max)
{
	uint16_t count;

	gate_count_pause();
	count = port_ops->rx_burst(nic, queue, packets, max);
	gate_count_resume();
	return count;
}

static void port_hold(struct nic *nic, void *handle)
{
	gate_count_pause();
	port_ops->packet_hold(nic, handle);
	gate_count_resume();
}

static void port_free(struct nic *nic, uint16_t queue, void *handle)
{
	gate_count_pause();
	port_ops->packet_free(nic, queue, handle);
	gate_count_resume();
}

static bool port_alloc(struct nic *nic, uint16_t queue, struct nic_packet *ret_packet)
{
	bool is_there;

	gate_count_pause();
	is_there = port_ops->tx_alloc(nic, queue, ret_packet);
	gate_count_resume();
	return is_there;
}

static uint16_t port_tx(struct nic *nic, uint16_t queue, struct nic_packet *packets, uint16_t count)
{
	uint16_t sent;

	gate_count_pause();
	sent = port_ops->tx_burst(nic, queue, packets, count);
	gate_count_resume();
	return sent;
}

static uint8_t *port_extend(struct nic *nic, uint16_t queue, struct nic_packet *packet,
			    uint16_t size)
{
	uint8_t *bytes;

	gate_count_pause();
	bytes = port_ops->tx_extend(nic, queue, packet, size);
	gate_count_resume();
	return bytes;
}

static bool port_lend(struct nic *nic, uint16_t queue, struct nic_packet *packet,
		      const uint8_t *bytes, uint16_t size, struct nic_lent *lent)
{
	bool is_done;

	gate_count_pause();
	is_done = port_ops->tx_lend(nic, queue, packet, bytes, size, lent);
	gate_count_resume();
	return is_done;
}

static bool port_lent_end(struct nic *nic, struct nic_lent *lent)
{
	bool is_back;

	gate_count_pause();
	is_back = port_ops->lent_end(nic, lent);
	gate_count_resume();
	return is_back;
}

static void port_open(uint32_t offloads)
{
	static struct nic_ops ops;

	CHECK(nic_mem_open(1500, WIRE_DEPTH, &near, &far) == 0);
	port_ops = near->ops;
	ops = *port_ops;
	ops.rx_burst = port_rx;
	ops.packet_hold = port_hold;
	ops.packet_free = port_free;
	ops.tx_alloc = port_alloc;
	ops.tx_burst = port_tx;
	ops.tx_extend = port_extend;
	ops.tx_lend = port_lend;
	ops.lent_end = port_lent_end;
	near->ops = &ops;
	near->offloads = offloads;
	if ((offloads & NIC_RX_MERGE) != 0) /* what it has merged, the far one leaves whole */
		far->offloads = NIC_TX_CHECKSUM | NIC_TX_PIECES | NIC_TX_SPLIT;
}

/* ---- the box ---- */

void gate_box_open(void)
{
	box = corebox_new(1);
	client = client_new(box, 0);
}

void gate_box_open_wire(uint32_t offloads)
{
	const struct portlist_port settings = { .address = GATE_BOX_ADDRESS, .prefix = 24 };
	struct core *core;
	char reason[256];

	gate_box_open();
	core = box->cores[0];
	port_open(offloads);
	CHECK(wireport_new(core, near, &settings, reason, sizeof(reason)) == 0);
	gate_peer_open(far, near->mac, (offloads & NIC_RX_MERGE) != 0 ? MERGED : 0, core->now_ns);
	for (uint32_t i = 0; i < TURNS_MAX && !gate_peer_is_connected(); i++)
		gate_box_turn();
	CHECK(gate_peer_is_connected());
}

void gate_box_close(void)
{
	struct core *core = box->cores[0];

	if (core->wireport != NULL) {
		while (!wireport_stop(core->wireport, core->now_ns))
			core->now_ns += TURN_NS;
		wireport_free(core->wireport);
		core->wireport = NULL;
		gate_peer_close();
		nic_close(near);
		nic_close(far);
	}
	client_free(client);
	corebox_free(box);
}

/* Everything that was asked of the disk has happened. */
static void complete_disk(struct uring *uring)
{
	uint32_t index = 0;

	while (index < uring_fake_count(uring)) {
		const struct uring_fake_op *op = uring_fake_at(uring, index);

		if (op->kind == URING_FAKE_POLL)
			index++;
		else if (op->kind == URING_FAKE_READ)
			uring_fake_perform(uring, index);
		else
			uring_fake_complete(uring, index, (int32_t)op->size);
	}
}

static void keep_house(struct core *core)
{
	while (box->housekeep_count > 0) {
		struct partition *partition = box->wants_housekeep[--box->housekeep_count];

		seglog_housekeep(partition->log, core->now_ms);
		core_mark_dirty(core, partition);
	}
}

void gate_box_turn(void)
{
	struct core *core = box->cores[0];
	struct list *node;

	core->now_ns += TURN_NS;
	gate_count_begin();
	(void)mesh_poll(core->mesh, 0, PER_TURN_MAX);
	if (core->wireport != NULL)
		(void)wireport_poll(core->wireport, core->now_ns);
	(void)timers_run(&core->timers, core->now_ns, PER_TURN_MAX);
	(void)sessions_turn_end(core);
	while ((node = list_pop_front(&core->dirty)) != NULL)
		(void)seglog_flush(LIST_ENTRY(node, struct partition, dirty)->log);
	(void)uring_poll(core->uring);
	gate_count_end();
	complete_disk(core->uring);
	keep_house(core);
	if (core->wireport != NULL)
		gate_peer_poll(core->now_ns);
}

/* The transport's side of an answer: look at it, drop what is sent. */
static size_t drain(void)
{
	struct iovec iov[OUT_PEEKS_MAX];
	size_t total = 0;
	uint32_t count;

	while ((count = outq_peek(&client->link.out, 0, iov, OUT_PEEKS_MAX)) > 0) {
		size_t size = 0;

		for (uint32_t i = 0; i < count; i++)
			size += iov[i].iov_len;
		gate_count_begin();
		outq_pop(&client->link.out, size);
		gate_count_end();
		total += size;
	}
	return total;
}

size_t gate_box_call(const uint8_t *frame, size_t size)
{
	size_t total = 0;

	for (size_t at = 0; at < size;) {
		size_t n = MIN(size - at, (size_t)SEGMENT), taken;

		gate_count_begin();
		taken = session_input(client->link.session, frame + at, n, box->cores[0]->now_ns);
		gate_count_end();
		CHECK(taken == n);
		at += n;
	}
	for (uint32_t i = 0; i < TURNS_MAX && total == 0; i++) {
		gate_box_turn();
		total = drain();
	}
	CHECK(total > 0 && !client->is_closed);
	return total;
}

size_t gate_box_call_wire(const uint8_t *frame, size_t size)
{
	gate_peer_send(frame, size);
	for (uint32_t i = 0; i < TURNS_MAX && gate_peer_answer() == 0; i++)
		gate_box_turn();
	CHECK(gate_peer_answer() > 0);
	return gate_peer_answer();
}
