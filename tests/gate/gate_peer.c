/* SPDX-License-Identifier: Apache-2.0 */
#include "gate_peer.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#include "../unit/dataplane/far_end.h"

#define BOX   GATE_BOX_ADDRESS
#define PEER  0x0a4d0001U
#define PORT  9092
#define FROM  40000
#define BURST 32

static struct {
	struct nic *nic;
	uint8_t box_mac[6];
	struct tcp_stack *tcp;
	struct tcb *tcb;
	struct counters counters;
	int64_t now_ns;
	bool is_connected;
	const uint8_t *out; /* [out_size], of which out_acked are acknowledged */
	size_t out_size, out_acked;
	uint8_t *in; /* [GATE_PEER_ANSWER_MAX], of which in_size came */
	size_t in_size;
} peer;

static bool on_emit(void *ctx, const struct tcp_segment_out *out)
{
	struct nic_packet packet;
	uint8_t *payload;

	(void)ctx;
	if (out->mss > 0)
		return far_end_send_large(peer.nic, peer.box_mac, out,
					  peer.out + peer.out_acked + out->payload_pos, out->mss);
	payload = far_end_begin(peer.nic, peer.box_mac, out, &packet);
	if (payload == NULL)
		return false;
	if (out->payload_size > 0)
		memcpy(payload, peer.out + peer.out_acked + out->payload_pos, out->payload_size);
	far_end_seal(out, &packet);
	CHECK(nic_tx_burst(peer.nic, 0, &packet, 1) == 1);
	return true;
}

static void *on_accept(void *ctx, struct tcb *tcb)
{
	(void)ctx;
	(void)tcb;
	return NULL;
}

static void on_connect(void *owner, struct tcb *tcb)
{
	(void)owner;
	(void)tcb;
	peer.is_connected = true;
}

static size_t on_data(void *owner, struct tcb *tcb, const uint8_t *bytes, size_t size)
{
	(void)owner;
	(void)tcb;
	CHECK(peer.in_size + size <= GATE_PEER_ANSWER_MAX);
	memcpy(peer.in + peer.in_size, bytes, size);
	peer.in_size += size;
	return size;
}

static void on_eof(void *owner, struct tcb *tcb)
{
	(void)owner;
	(void)tcb;
}

static void on_acked(void *owner, struct tcb *tcb, uint64_t size)
{
	(void)owner;
	(void)tcb;
	peer.out_acked += size;
}

static void on_close(void *owner, enum tcp_close_reason reason)
{
	(void)owner;
	(void)reason;
	peer.tcb = NULL;
	peer.is_connected = false;
}

static void on_hold(void *ctx, void *buffer)
{
	(void)ctx;
	nic_packet_hold(peer.nic, buffer);
}

static void on_release(void *ctx, void *buffer)
{
	(void)ctx;
	nic_packet_free(peer.nic, 0, buffer);
}

static const struct tcp_ops ops = {
	.emit = on_emit,
	.on_accept = on_accept,
	.on_connect = on_connect,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_acked = on_acked,
	.on_close = on_close,
	.hold = on_hold,
	.release = on_release,
};

void gate_peer_open(struct nic *nic, const uint8_t mac[6], uint16_t tso_size, int64_t now_ns)
{
	const struct tcp_config config = { .connections_max = 4,
					   .held_pieces_max = 64,
					   .mss = 1460,
					   .tso_size = tso_size,
					   .window_max = 1U << 20,
					   .rto_min_ms = 200,
					   .time_wait_ms = 100,
					   .syn_backlog_max = 4 };
	const struct tcp_tuple tuple = {
		.local_address = PEER, .peer_address = BOX, .local_port = FROM, .peer_port = PORT
	};

	memset(&peer, 0, sizeof(peer));
	peer.nic = nic;
	peer.now_ns = now_ns;
	memcpy(peer.box_mac, mac, sizeof(peer.box_mac));
	peer.in = malloc(GATE_PEER_ANSWER_MAX);
	peer.tcp = tcp_stack_new(&config, &ops, NULL, &peer.counters, now_ns);
	CHECK(peer.in != NULL && peer.tcp != NULL);
	CHECK(tcp_connect(peer.tcp, &tuple, &peer, now_ns, &peer.tcb) == 0);
}

void gate_peer_close(void)
{
	struct nic_packet packet;

	while (nic_rx_burst(peer.nic, 0, &packet, 1) == 1)
		nic_packet_free(peer.nic, 0, packet.handle);
	tcp_stack_free(peer.tcp);
	free(peer.in);
}

static void answer_arp(const struct eth_frame *frame)
{
	struct nic_packet packet;
	struct arp_packet arp;

	if (!arp_parse(frame->bytes, frame->size, &arp) || !arp.is_request || arp.target != PEER)
		return;
	CHECK(far_end_answer(peer.nic, PEER, &arp, &packet));
	CHECK(nic_tx_burst(peer.nic, 0, &packet, 1) == 1);
}

static void receive(const struct nic_packet *packet)
{
	struct tcp_segment_in in;
	struct eth_frame frame;
	struct ip4_packet ip;

	CHECK(eth_parse(packet->data, packet->size, &frame));
	if (frame.type == ETH_ARP) {
		answer_arp(&frame);
		return;
	}
	CHECK(ip4_parse(frame.bytes, frame.size, false, &ip) == IP4_OK);
	in = far_end_segment(packet, &ip);
	tcp_input(peer.tcp, &in, peer.now_ns);
}

void gate_peer_poll(int64_t now_ns)
{
	struct nic_packet packets[BURST];
	uint16_t count;

	peer.now_ns = now_ns;
	while ((count = nic_rx_burst(peer.nic, 0, packets, BURST)) > 0) {
		for (uint16_t i = 0; i < count; i++) {
			receive(&packets[i]);
			nic_packet_free(peer.nic, 0, packets[i].handle);
		}
		tcp_burst_end(peer.tcp, now_ns);
	}
	tcp_burst_end(peer.tcp, now_ns);
	(void)tcp_poll(peer.tcp, now_ns);
}

bool gate_peer_is_connected(void)
{
	return peer.is_connected;
}

void gate_peer_send(const uint8_t *frame, size_t size)
{
	CHECK(peer.is_connected);
	peer.out = frame;
	peer.out_size = size;
	peer.out_acked = 0;
	peer.in_size = 0;
	tcp_send(peer.tcb, (uint32_t)size, peer.now_ns);
}

size_t gate_peer_answer(void)
{
	if (peer.in_size < 4 || peer.out_acked < peer.out_size)
		return 0;
	return peer.in_size >= 4 + (size_t)bytes_load_u32(peer.in) ? peer.in_size : 0;
}
