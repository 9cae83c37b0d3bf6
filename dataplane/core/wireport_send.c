/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames out. Payload from the ring is lent to a port that can take it where it lies (NIC_TX_LENT);
 * the port reads it when it sends, and the outq keeps it until then. What is small, was built for one
 * answer, or goes out by another port is copied into the frame.
 *
 * TCP hands over several segments as one where the port cuts them (NIC_TX_SPLIT). A frame of too many
 * pieces is cut here.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"

#include "dataplane/core/wireport_impl.h"
#include "dataplane/net/checksum.h"
#include "dataplane/tcp/tcp_packet.h"

#include "dataplane/core/hot.h"

#define TCP_SEQ_AT      4
#define TCP_FLAGS_AT    13
#define TCP_CHECKSUM_AT 16
#define TCP_AT          (ETH_HEADER_SIZE + IP4_HEADER_SIZE)
#define PIECES          8   /* of the queue, looked at together */
#define LEND_MIN        768 /* fewer bytes are copied sooner than pointed to: measured */

/* The port has taken nothing for so long that nobody waits for these frames any more. */
static void drop_stuck(struct wireport *port)
{
	for (uint16_t i = 0; i < port->send_count; i++)
		nic_packet_free(port->nic, port->queue, port->send[i].handle);
	counters_add(port->counters, COUNTER_WIREPORT_DROP_STUCK, port->send_count);
	port->send_count = port->send_waiting = 0;
	port->stuck_ns = 0;
	port->was_down = true;
}

/* It takes frames again: whoever is at the other end now has to learn where our address is. */
static void come_up(struct wireport *port)
{
	if (port->was_down)
		arp_self_announce(&port->self, port->now_ns);
	port->was_down = false;
	port->stuck_ns = 0;
}

/* What the port has no room for now waits here for the next turn: dropping it would only make TCP send
   it again. But a port whose link is down takes nothing. */
void wireport_send_flush(struct wireport *port)
{
	uint64_t size = 0;
	uint16_t sent, left;

	if (port->send_count == 0)
		return;
	sent = nic_tx_offer(port->nic, port->queue, port->send, port->send_count);
	for (uint16_t i = 0; i < sent; i++)
		size += port->send[i].size + port->send[i].more;
	counters_add(port->counters, COUNTER_WIREPORT_TX_PACKETS, sent);
	counters_add(port->counters, COUNTER_WIREPORT_TX_BYTES, size);
	left = (uint16_t)(port->send_count - sent);
	if (sent > 0)
		come_up(port);
	if (left > 0) {
		uint16_t waited = port->send_waiting > sent ? port->send_waiting - sent : 0;

		counters_add(port->counters, COUNTER_WIREPORT_TX_FULL, (uint64_t)left - waited);
		memmove(port->send, port->send + sent, left * sizeof(port->send[0]));
		if (port->stuck_ns == 0)
			port->stuck_ns = port->now_ns;
	}
	port->send_count = port->send_waiting = left;
	if (left > 0 && port->now_ns - port->stuck_ns >= WIREPORT_STUCK_NS)
		drop_stuck(port);
}

static void gather(struct wireport *port, const struct nic_packet *packet)
{
	CHECK(port->send_count < WIREPORT_SEND_MAX); /* take_buffer() saw to it */
	port->send[port->send_count++] = *packet;
	if (port->send_count % WIREPORT_SEND_BURST == 0)
		wireport_send_flush(port);
}

/* A buffer for a frame that gather() has room for. */
static bool take_buffer(struct wireport *port, struct nic_packet *ret_packet)
{
	if (port->send_count + 2U <= WIREPORT_SEND_MAX &&
	    likely(nic_tx_alloc(port->nic, port->queue, ret_packet)))
		return true;
	counters_inc(port->counters, COUNTER_WIREPORT_TX_NO_BUFFER);
	return false;
}

void wireport_send_arp(struct wireport *port, bool is_request, uint32_t target,
		       const uint8_t mac[6])
{
	static const uint8_t unknown[6];
	struct arp_packet arp = { .is_request = is_request,
				  .sender = port->address,
				  .target = target };
	struct nic_packet packet;

	if (!take_buffer(port, &packet))
		return;
	memcpy(arp.sender_mac, port->nic->mac, 6);
	eth_write(packet.data, mac, port->nic->mac, ETH_ARP);
	arp_write(packet.data + ETH_HEADER_SIZE, &arp,
		  memcmp(mac, eth_broadcast, 6) == 0 ? unknown : mac);
	packet.size = ETH_HEADER_SIZE + ARP_PACKET_SIZE;
	gather(port, &packet);
	if (is_request)
		counters_inc(port->counters, COUNTER_WIREPORT_ARP_ASKED);
}

/* The station address of a neighbour, asking for it when that is due. @return false: not known now */
static bool resolve(struct wireport *port, uint32_t neighbour, uint8_t ret_mac[6],
		    enum arp_answer *ret_answer)
{
	enum arp_answer answer = arp_table_look_up(&port->arp, neighbour, port->now_ns, ret_mac);

	if (answer == ARP_ASK)
		wireport_send_arp(port, true, neighbour, eth_broadcast);
	else if (answer == ARP_KNOWN_ASK)
		wireport_send_arp(port, true, neighbour, ret_mac);
	*ret_answer = answer;
	return answer == ARP_KNOWN || answer == ARP_KNOWN_ASK;
}

static void drop_unresolved(struct wireport *port, struct wireport_unresolved *waiting)
{
	nic_packet_free(port->nic, port->queue, waiting->packet.handle);
	waiting->packet.handle = NULL;
	port->unresolved_count--;
	counters_inc(port->counters, COUNTER_WIREPORT_DROP_UNRESOLVED);
}

static void wait_for_neighbour(struct wireport *port, uint32_t neighbour,
			       const struct nic_packet *packet)
{
	for (uint32_t i = 0; i < WIREPORT_UNRESOLVED; i++) {
		struct wireport_unresolved *at = &port->unresolved[i];

		if (at->packet.handle != NULL)
			continue;
		*at = (struct wireport_unresolved){ .packet = *packet,
						    .neighbour = neighbour,
						    .since_ns = port->now_ns };
		port->unresolved_count++;
		return;
	}
	nic_packet_free(port->nic, port->queue, packet->handle);
	counters_inc(port->counters, COUNTER_WIREPORT_DROP_UNRESOLVED);
}

/* The Ethernet header in front of an IP packet that is complete otherwise; takes the buffer. */
static void send_ip(struct wireport *port, uint32_t destination, struct nic_packet *packet)
{
	bool is_near = ((destination ^ port->address) & port->mask) == 0;
	uint32_t neighbour = is_near || port->gateway == 0 ? destination : port->gateway;
	enum arp_answer answer;
	uint8_t mac[6] = { 0 };

	if (likely(resolve(port, neighbour, mac, &answer))) {
		eth_write(packet->data, mac, port->nic->mac, ETH_IP4);
		gather(port, packet);
	} else if (answer == ARP_DEAD) {
		nic_packet_free(port->nic, port->queue, packet->handle);
		counters_inc(port->counters, COUNTER_WIREPORT_DROP_UNRESOLVED);
	} else {
		wait_for_neighbour(port, neighbour, packet);
	}
}

void wireport_send_unresolved(struct wireport *port)
{
	for (uint32_t i = 0; port->unresolved_count > 0 && i < WIREPORT_UNRESOLVED &&
			     port->send_count + 2U <= WIREPORT_SEND_MAX;
	     i++) {
		struct wireport_unresolved *at = &port->unresolved[i];
		enum arp_answer answer;
		uint8_t mac[6];

		if (at->packet.handle == NULL)
			continue;
		if (resolve(port, at->neighbour, mac, &answer)) {
			eth_write(at->packet.data, mac, port->nic->mac, ETH_IP4);
			gather(port, &at->packet);
			at->packet.handle = NULL;
			port->unresolved_count--;
		} else if (answer == ARP_DEAD ||
			   port->now_ns - at->since_ns >= WIREPORT_UNRESOLVED_NS) {
			drop_unresolved(port, at);
		}
	}
}

/* A segment on its way into a frame. */
struct frame {
	struct nic_packet packet;
	uint8_t *at;   /* where copied bytes go; size and room of the first buffer */
	uint32_t room; /* 0 behind a further piece */
	uint32_t size; /* of header and payload so far */
	uint64_t sum;  /* of further pieces, where the port makes no checksum */
};

/* Further pieces count from where they begin in the segment: at an odd place words are swapped. */
static void sum_piece(const struct wireport *port, struct frame *frame, const uint8_t *bytes,
		      uint32_t size)
{
	if ((port->nic->offloads & NIC_TX_CHECKSUM) == 0) {
		uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, bytes, size));

		frame->sum += frame->size % 2 == 0 ? sum : __builtin_bswap16(sum);
	}
}

static bool add_copy(struct wireport *port, struct frame *frame, const uint8_t *bytes,
		     uint32_t size)
{
	while (size > 0) {
		uint32_t n = MIN(size, frame->room);
		uint8_t *to = frame->at;

		if (n > 0) {
			frame->at += n;
			frame->room -= n;
			frame->packet.size = (uint16_t)(frame->packet.size + n);
		} else {
			n = MIN(size, (uint32_t)port->nic->mtu);
			to = nic_tx_extend(port->nic, port->queue, &frame->packet, (uint16_t)n);
			if (to == NULL)
				return false;
			sum_piece(port, frame, bytes, n);
		}
		memcpy(to, bytes, n);
		frame->size += n;
		bytes += n;
		size -= n;
	}
	return true;
}

static bool add_lent(struct wireport *port, struct frame *frame, const struct outq_piece *piece)
{
	uint16_t size = (uint16_t)piece->size; /* at most a segment's payload */

	if (!nic_tx_lend(port->nic, port->queue, &frame->packet, piece->bytes, size, piece->lent)) {
		counters_inc(port->counters, COUNTER_WIREPORT_TX_LENT_NOT);
		return add_copy(port, frame, piece->bytes, piece->size);
	}
	sum_piece(port, frame, piece->bytes, piece->size);
	frame->room = 0;
	frame->size += piece->size;
	counters_add(port->counters, COUNTER_WIREPORT_TX_LENT, piece->size);
	return true;
}

/* @return false: no buffer for a further piece, or too many pieces */
static bool add_payload(struct wireport *port, struct frame *frame,
			const struct tcp_segment_out *segment, bool may_lend)
{
	const struct wireport_conn *conn = tcp_owner(segment->tcb);
	uint32_t done = 0;

	while (done < segment->payload_size) {
		struct outq_piece pieces[PIECES];
		uint32_t count = outq_pieces(&conn->link.out, segment->payload_pos + done,
					     segment->payload_size - done, pieces, PIECES);

		CHECK(count > 0); /* the stack names only bytes it was told of */
		for (uint32_t i = 0; i < count; i++) {
			const struct outq_piece *piece = &pieces[i];
			bool is_lent = may_lend && piece->lent != NULL && piece->size >= LEND_MIN;

			if (!(is_lent ? add_lent(port, frame, piece)
				      : add_copy(port, frame, piece->bytes, piece->size)))
				return false;
			done += piece->size;
		}
	}
	return true;
}

/* The port's work where it can do it, else ours. */
static void put_checksum(const struct wireport *port, const struct tcp_tuple *tuple, uint8_t *tcp,
			 struct frame *frame)
{
	struct nic_packet *packet = &frame->packet;
	/* The port knows how long each packet becomes that it makes. */
	uint16_t size = packet->split > 0 ? 0 : (uint16_t)frame->size, sum;
	uint64_t pseudo = checksum_pseudo(tuple->local_address, tuple->peer_address, IP4_TCP, size);

	if ((port->nic->offloads & NIC_TX_CHECKSUM) != 0) {
		sum = (uint16_t)~checksum_fold(pseudo);
		packet->wants_checksum = true;
	} else {
		sum = checksum_fold(
			checksum_add(pseudo + frame->sum, tcp, (size_t)packet->size - TCP_AT));
	}
	memcpy(tcp + TCP_CHECKSUM_AT, &sum, sizeof(sum));
}

/* One frame, which the port cuts when `split` is not 0.
   @return 0; -ENOBUFS no buffer; -EMSGSIZE none for a further piece, or too many pieces */
static int send_frame(struct wireport *port, const struct tcp_segment_out *segment, uint16_t split,
		      bool may_lend)
{
	uint16_t size = (uint16_t)(segment->header_size + segment->payload_size);
	const struct tcp_tuple *tuple = &segment->tuple;
	struct frame frame = { .size = segment->header_size };
	struct nic_packet *packet = &frame.packet;
	uint8_t *tcp;

	if (!take_buffer(port, packet))
		return -ENOBUFS;
	tcp = packet->data + TCP_AT;
	frame.at = tcp + segment->header_size;
	CHECK(TCP_AT + segment->header_size <= packet->size);
	frame.room = packet->size - TCP_AT - segment->header_size;
	packet->size = (uint16_t)(TCP_AT + segment->header_size);
	packet->split = split;
	if (segment->payload_size > 0 && !add_payload(port, &frame, segment, may_lend)) {
		nic_packet_free(port->nic, port->queue, packet->handle);
		return -EMSGSIZE;
	}
	ip4_write(packet->data + ETH_HEADER_SIZE, tuple->local_address, tuple->peer_address,
		  IP4_TCP, port->ip_id++, size);
	if (split > 0)
		port->ip_id = (uint16_t)(port->ip_id + (segment->payload_size - 1) / split);
	if (segment->ecn != 0)
		ip4_set_ecn(packet->data + ETH_HEADER_SIZE, segment->ecn);
	memcpy(tcp, segment->header, segment->header_size);
	put_checksum(port, tuple, tcp, &frame);
	send_ip(port, tuple->peer_address, packet);
	return 0;
}

static bool may_lend(const struct wireport *port)
{
	return (port->nic->offloads & NIC_TX_LENT) != 0;
}

/* One segment. All of it fits the first buffer, when nothing is lent. */
static bool send_one(struct wireport *port, const struct tcp_segment_out *segment)
{
	int r = send_frame(port, segment, 0, may_lend(port));

	if (r == -EMSGSIZE) {
		counters_inc(port->counters, COUNTER_WIREPORT_TX_LENT_NOT);
		r = send_frame(port, segment, 0, false);
		CHECK(r != -EMSGSIZE);
	}
	return r == 0;
}

/* What the port would do with a frame that it does not take. What finds no buffer behind the first is
   lost on the way, as far as TCP knows. */
static bool send_parts(struct wireport *port, const struct tcp_segment_out *segment)
{
	struct tcp_segment_out part = *segment;
	uint32_t seq = bytes_load_u32(segment->header + TCP_SEQ_AT), done = 0;

	for (; done < segment->payload_size; done += part.payload_size) {
		uint32_t left = segment->payload_size - done;

		part.payload_size = (uint16_t)MIN(left, (uint32_t)segment->mss);
		part.payload_pos = segment->payload_pos + done;
		bytes_store_u32(part.header + TCP_SEQ_AT, seq + done);
		part.header[TCP_FLAGS_AT] = segment->header[TCP_FLAGS_AT];
		if (part.payload_size < left)
			part.header[TCP_FLAGS_AT] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		if (!send_one(port, &part))
			break;
	}
	return done > 0;
}

bool wireport_send_segment(void *ctx, const struct tcp_segment_out *segment)
{
	struct wireport *port = ctx;

	if (segment->mss == 0)
		return send_one(port, segment);
	if (send_frame(port, segment, segment->mss, may_lend(port)) != 0)
		return send_parts(port, segment);
	counters_inc(port->counters, COUNTER_WIREPORT_TX_SPLIT);
	return true;
}

void wireport_send_echo(struct wireport *port, const struct ip4_packet *request)
{
	struct nic_packet packet;

	if (!take_buffer(port, &packet))
		return;
	if (ETH_HEADER_SIZE + IP4_HEADER_SIZE + request->size > packet.size) {
		nic_packet_free(port->nic, port->queue, packet.handle);
		return;
	}
	packet.size = (uint16_t)(ETH_HEADER_SIZE + IP4_HEADER_SIZE + request->size);
	ip4_write(packet.data + ETH_HEADER_SIZE, port->address, request->source, IP4_ICMP,
		  port->ip_id++, (uint16_t)request->size);
	icmp_write_reply(packet.data + ETH_HEADER_SIZE + IP4_HEADER_SIZE, request->bytes,
			 request->size);
	send_ip(port, request->source, &packet);
	counters_inc(port->counters, COUNTER_WIREPORT_ECHO_ANSWERED);
}
