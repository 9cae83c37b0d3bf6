/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dataplane/core/wireport_impl.h"
#include "dataplane/net/checksum.h"

#include "dataplane/core/hot.h"

#define TCP_CHECKSUM_AT 16
#define IOVECS          8

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
		size += port->send[i].size;
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

/* Copy [size] queued bytes from position `pos`. */
static void copy_payload(const struct outq *queue, uint64_t pos, uint8_t *to, uint32_t size)
{
	while (size > 0) {
		struct iovec iov[IOVECS];
		uint32_t count = outq_peek(queue, pos, iov, IOVECS);

		CHECK(count > 0); /* the stack names only bytes it was told of */
		for (uint32_t i = 0; i < count && size > 0; i++) {
			uint32_t n = (uint32_t)MIN(iov[i].iov_len, (size_t)size);

			memcpy(to, iov[i].iov_base, n);
			to += n;
			pos += n;
			size -= n;
		}
	}
}

/* The port's work where it can do it, else ours. */
static void put_checksum(const struct wireport *port, const struct tcp_tuple *tuple, uint8_t *tcp,
			 uint16_t size, struct nic_packet *packet)
{
	uint64_t pseudo = checksum_pseudo(tuple->local_address, tuple->peer_address, IP4_TCP, size);
	uint16_t sum;

	if ((port->nic->offloads & NIC_TX_CHECKSUM) != 0) {
		sum = (uint16_t)~checksum_fold(pseudo);
		packet->wants_checksum = true;
	} else {
		sum = checksum_fold(checksum_add(pseudo, tcp, size));
	}
	memcpy(tcp + TCP_CHECKSUM_AT, &sum, sizeof(sum));
}

bool wireport_send_segment(void *ctx, const struct tcp_segment_out *segment)
{
	struct wireport *port = ctx;
	uint16_t size = (uint16_t)(segment->header_size + segment->payload_size);
	const struct tcp_tuple *tuple = &segment->tuple;
	struct nic_packet packet;
	uint8_t *tcp;

	if (!take_buffer(port, &packet))
		return false;
	CHECK(ETH_HEADER_SIZE + IP4_HEADER_SIZE + size <= packet.size);
	packet.size = (uint16_t)(ETH_HEADER_SIZE + IP4_HEADER_SIZE + size);
	ip4_write(packet.data + ETH_HEADER_SIZE, tuple->local_address, tuple->peer_address, IP4_TCP,
		  port->ip_id++, size);
	if (segment->ecn != 0)
		ip4_set_ecn(packet.data + ETH_HEADER_SIZE, segment->ecn);
	tcp = packet.data + ETH_HEADER_SIZE + IP4_HEADER_SIZE;
	memcpy(tcp, segment->header, segment->header_size);
	if (segment->payload_size > 0) {
		const struct wireport_conn *conn = tcp_owner(segment->tcb);

		copy_payload(&conn->link.out, segment->payload_pos, tcp + segment->header_size,
			     segment->payload_size);
	}
	put_checksum(port, tuple, tcp, size, &packet);
	send_ip(port, tuple->peer_address, &packet);
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
