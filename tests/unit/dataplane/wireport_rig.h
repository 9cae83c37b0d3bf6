/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What test_wireport.c and test_wireport_send.c stand on: sessions that echo, cores at one memory
 * port, and a client with real TCP at the other.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#include "dataplane/core/wireport_impl.h"
#include "dataplane/net/checksum.h"
#include "dataplane/tcp/tcp_ecn.h"

#include "cm.h"
#include "far_end.h"

#define CORES    2
#define BOX      0x0a4d0002U
#define CLIENT   0x0a4d0001U
#define STREAM   (300 * 1024)
#define DEPTH    1024
#define RTO_STEP (20 * NS_PER_US)

/* ---- sessions that echo ---- */

struct session {
	struct link *link;
	bool is_blocked, is_ended;
};

static struct session session_slot;
static size_t session_budget; /* bytes it takes before it blocks */
static size_t session_taken;
static uint32_t sessions_open, session_core;
static bool session_refuses;
static bool session_owes; /* an answer is to come when the input has ended */

int session_open(struct core *core, struct link *link, int64_t now_ns)
{
	(void)now_ns;
	if (session_refuses)
		return -ENOBUFS;
	session_slot = (struct session){ .link = link };
	link->session = &session_slot;
	session_core = core->index;
	sessions_open++;
	return 0;
}

void session_close(struct link *link)
{
	link->session = NULL;
	sessions_open--;
}

size_t session_input(struct session *session, const uint8_t *bytes, size_t size, int64_t now_ns)
{
	size_t n = MIN(size, session_budget);

	(void)now_ns;
	session_budget -= n;
	session_taken += n;
	session->is_blocked = n < size;
	if (n > 0) {
		assert_int_equal(outq_push_copy(&session->link->out, bytes, n), 0);
		session->link->ops->send(session->link);
	}
	return n;
}

bool session_eof(struct session *session)
{
	session->is_ended = true;
	return session_owes;
}

uint32_t session_credit(const struct session *session)
{
	return session->is_blocked ? 0 : 1U << 20;
}

/* ---- the world: cores at one port, a client stack at the other ---- */

static struct {
	struct config config;
	struct counters counters[CORES + 1];
	struct core core[CORES];
	struct mesh *mesh;
	struct nic *near, *far;
	struct tcp_stack *client;
	int64_t now_ns;
	/* the client */
	struct tcb *tcb;
	uint8_t *sent, *got;
	size_t sent_pos, got_size; /* acknowledged; received */
	bool is_connected, is_closed, is_eof, mutes_arp;
	enum tcp_close_reason reason;
	uint32_t arp_asked, arp_answered, arp_announced, echoes;
	uint32_t ecn_capable; /* packets of the box that the network may mark */
	uint8_t mark;         /* what the network makes of those of the client */
	uint32_t drop_each;   /* of the box's packets one in so many is lost; 0: none */
	uint32_t received;
} w;

static bool client_emit(void *ctx, const struct tcp_segment_out *out)
{
	struct nic_packet packet;
	uint8_t *payload;

	(void)ctx;
	if (out->mss > 0)
		return far_end_send_large(w.far, w.near->mac, out,
					  w.sent + w.sent_pos + out->payload_pos, 1000);
	payload = far_end_begin(w.far, w.near->mac, out, &packet);
	if (payload == NULL)
		return false;
	if (out->ecn != 0)
		ip4_set_ecn(packet.data + 14, w.mark != 0 ? w.mark : out->ecn);
	memcpy(payload, w.sent + w.sent_pos + out->payload_pos, out->payload_size);
	far_end_seal(out, &packet);
	(void)nic_tx_burst(w.far, 0, &packet, 1); /* a full wire is a lost packet */
	return true;
}

static void *client_accept(void *ctx, struct tcb *tcb)
{
	(void)ctx;
	(void)tcb;
	return NULL;
}

static void client_connect(void *owner, struct tcb *tcb)
{
	(void)owner;
	(void)tcb;
	w.is_connected = true;
}

static size_t client_data(void *owner, struct tcb *tcb, const uint8_t *bytes, size_t size)
{
	(void)owner;
	(void)tcb;
	assert_true(w.got_size + size <= STREAM);
	memcpy(w.got + w.got_size, bytes, size);
	w.got_size += size;
	return size;
}

static void client_eof(void *owner, struct tcb *tcb)
{
	(void)owner;
	(void)tcb;
	w.is_eof = true;
}

static void client_acked(void *owner, struct tcb *tcb, uint64_t size)
{
	(void)owner;
	(void)tcb;
	w.sent_pos += size;
}

static void client_close(void *owner, enum tcp_close_reason reason)
{
	(void)owner;
	w.is_closed = true;
	w.reason = reason;
}

static void client_hold(void *ctx, void *buffer)
{
	(void)ctx;
	nic_packet_hold(w.far, buffer);
}

static void client_release(void *ctx, void *buffer)
{
	(void)ctx;
	nic_packet_free(w.far, 0, buffer);
}

static const struct tcp_ops client_ops = {
	.emit = client_emit,
	.on_accept = client_accept,
	.on_connect = client_connect,
	.on_data = client_data,
	.on_eof = client_eof,
	.on_acked = client_acked,
	.on_close = client_close,
	.hold = client_hold,
	.release = client_release,
};

static void client_arp(const struct eth_frame *frame)
{
	struct arp_packet arp;
	struct nic_packet packet;

	assert_true(arp_parse(frame->bytes, frame->size, &arp));
	assert_int_equal(arp.sender, BOX);
	assert_memory_equal(arp.sender_mac, w.near->mac, 6);
	if (!arp.is_request) {
		w.arp_answered++;
		return;
	}
	if (arp.target == BOX) {
		w.arp_announced++;
		return;
	}
	assert_int_equal(arp.target, CLIENT);
	w.arp_asked++;
	if (w.mutes_arp || !far_end_answer(w.far, CLIENT, &arp, &packet))
		return;
	assert_int_equal(nic_tx_burst(w.far, 0, &packet, 1), 1);
}

static void client_receive(struct nic_packet *packet)
{
	struct tcp_segment_in in;
	struct eth_frame frame;
	struct ip4_packet ip;

	assert_true(eth_parse(packet->data, packet->size, &frame));
	if (frame.type == ETH_ARP) {
		client_arp(&frame);
		return;
	}
	assert_memory_equal(frame.destination, w.far->mac, 6);
	assert_int_equal(ip4_parse(frame.bytes, frame.size, false, &ip), IP4_OK);
	assert_int_equal(ip.source, BOX);
	if (ip.protocol == IP4_ICMP) {
		assert_int_equal(checksum_fold(checksum_add(0, ip.bytes, ip.size)), 0);
		assert_int_equal(ip.bytes[0], 0);
		w.echoes++;
		return;
	}
	assert_int_equal(checksum_fold(checksum_add(checksum_pseudo(ip.source, ip.destination,
								    IP4_TCP, (uint16_t)ip.size),
						    ip.bytes, ip.size)),
			 0);
	in = far_end_segment(packet, &ip);
	w.ecn_capable += ip.ecn == TCP_ECN_ECT0;
	tcp_input(w.client, &in, w.now_ns);
}
