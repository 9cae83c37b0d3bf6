/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/bytes.h"

#include "dataplane/net/checksum.h"
#include "dataplane/net/eth.h"

#include "perf/load/wire_client_impl.h"

#define TCP_CHECKSUM_AT 16
#define TCP_HEADER_SIZE 20
#define IP_BEGIN        ETH_HEADER_SIZE
#define PAYLOAD_BEGIN   (ETH_HEADER_SIZE + IP4_HEADER_SIZE)
#define WAITING_NS      (3 * NS_PER_S)

static void count(struct wire_client *client, enum counter which)
{
	counters_inc(&client->counters, which);
}

uint32_t wire_client_frame_flush(struct wire_client *client)
{
	uint16_t sent;

	if (client->send_count == 0)
		return 0;
	sent = nic_tx_offer(client->nic, 0, client->send + client->send_first, client->send_count);
	counters_add(&client->counters, COUNTER_WIREPORT_TX_PACKETS, sent);
	client->send_count -= sent;
	client->send_first = client->send_count > 0 ? client->send_first + sent : 0;
	return sent;
}

static void gather(struct wire_client *client, const struct nic_packet *packet)
{
	CHECK(client->send_count < WIRE_CLIENT_KEPT); /* take_buffer() saw to it */
	if (client->send_first + client->send_count == WIRE_CLIENT_KEPT) {
		memmove(client->send, client->send + client->send_first,
			client->send_count * sizeof(client->send[0]));
		client->send_first = 0;
	}
	client->send[client->send_first + client->send_count++] = *packet;
	if (client->send_count >= WIRE_CLIENT_SEND && wire_client_frame_flush(client) == 0)
		counters_inc(&client->counters, COUNTER_WIREPORT_TX_FULL);
}

/* A buffer for a frame that gather() has room for, and an ARP request before it. */
static bool take_buffer(struct wire_client *client, struct nic_packet *ret_packet)
{
	if (likely(client->send_count + 2 <= WIRE_CLIENT_KEPT &&
		   nic_tx_alloc(client->nic, 0, ret_packet)))
		return true;
	count(client, COUNTER_WIREPORT_TX_NO_BUFFER);
	return false;
}

static void send_arp(struct wire_client *client, bool is_request, uint32_t target,
		     const uint8_t mac[6])
{
	static const uint8_t unknown[6];
	struct arp_packet arp = { .is_request = is_request,
				  .sender = client->address,
				  .target = target };
	struct nic_packet packet;

	if (!take_buffer(client, &packet))
		return;
	memcpy(arp.sender_mac, client->nic->mac, 6);
	eth_write(packet.data, mac, client->nic->mac, ETH_ARP);
	arp_write(packet.data + ETH_HEADER_SIZE, &arp,
		  memcmp(mac, eth_broadcast, 6) == 0 ? unknown : mac);
	packet.size = ETH_HEADER_SIZE + ARP_PACKET_SIZE;
	gather(client, &packet);
}

void wire_client_frame_announce(struct wire_client *client)
{
	send_arp(client, true, client->address, eth_broadcast);
}

static bool resolve(struct wire_client *client, uint32_t neighbour, uint8_t ret_mac[6],
		    enum arp_answer *ret_answer)
{
	enum arp_answer answer =
		arp_table_look_up(&client->arp, neighbour, client->now_ns, ret_mac);

	if (answer == ARP_ASK)
		send_arp(client, true, neighbour, eth_broadcast);
	else if (answer == ARP_KNOWN_ASK)
		send_arp(client, true, neighbour, ret_mac);
	*ret_answer = answer;
	return answer == ARP_KNOWN || answer == ARP_KNOWN_ASK;
}

static void drop(struct wire_client *client, struct nic_packet *packet)
{
	nic_packet_free(client->nic, 0, packet->handle);
	packet->handle = NULL;
	count(client, COUNTER_WIREPORT_DROP_UNRESOLVED);
}

static void wait_for_neighbour(struct wire_client *client, uint32_t neighbour,
			       struct nic_packet *packet)
{
	for (uint32_t i = 0; i < WIRE_CLIENT_WAITING; i++) {
		struct wire_waiting *at = &client->waiting[i];

		if (at->packet.handle != NULL)
			continue;
		*at = (struct wire_waiting){ .packet = *packet,
					     .neighbour = neighbour,
					     .since_ns = client->now_ns };
		client->waiting_count++;
		return;
	}
	drop(client, packet);
}

/* The Ethernet header in front of an IP packet that is complete otherwise; takes the buffer. */
static void send_ip(struct wire_client *client, uint32_t destination, struct nic_packet *packet)
{
	bool is_near = ((destination ^ client->address) & client->mask) == 0;
	uint32_t neighbour = is_near || client->gateway == 0 ? destination : client->gateway;
	enum arp_answer answer;
	uint8_t mac[6] = { 0 };

	if (likely(resolve(client, neighbour, mac, &answer))) {
		eth_write(packet->data, mac, client->nic->mac, ETH_IP4);
		gather(client, packet);
	} else if (answer == ARP_DEAD) {
		drop(client, packet);
	} else {
		wait_for_neighbour(client, neighbour, packet);
	}
}

void wire_client_frame_waiting(struct wire_client *client)
{
	for (uint32_t i = 0; client->waiting_count > 0 && i < WIRE_CLIENT_WAITING &&
			     client->send_count + 2 <= WIRE_CLIENT_KEPT;
	     i++) {
		struct wire_waiting *at = &client->waiting[i];
		enum arp_answer answer;
		uint8_t mac[6];

		if (at->packet.handle == NULL)
			continue;
		if (resolve(client, at->neighbour, mac, &answer)) {
			eth_write(at->packet.data, mac, client->nic->mac, ETH_IP4);
			gather(client, &at->packet);
			at->packet.handle = NULL;
			client->waiting_count--;
		} else if (answer == ARP_DEAD || client->now_ns - at->since_ns >= WAITING_NS) {
			drop(client, &at->packet);
			client->waiting_count--;
		}
	}
}

/* Copy [size] bytes of the output queue, `pos` behind its oldest one. @return their sum */
static uint64_t copy_payload(const struct wire_conn *conn, uint64_t pos, uint8_t *to, uint32_t size)
{
	uint32_t ring = conn->client->out_size, begin, first;

	CHECK(conn->head + pos + size <= conn->end);
	if (conn->client->ops->on_payload != NULL)
		return conn->client->ops->on_payload(conn->owner, pos, to, size);
	begin = (uint32_t)((conn->head + pos) & (ring - 1));
	first = MIN(size, ring - begin);
	memcpy(to, conn->out + begin, first);
	memcpy(to + first, conn->out, size - first);
	return checksum_add(0, to, size);
}

bool wire_client_frame_out(void *ctx, const struct tcp_segment_out *segment)
{
	struct wire_client *client = ctx;
	uint16_t size = (uint16_t)(segment->header_size + segment->payload_size), sum;
	const struct tcp_tuple *tuple = &segment->tuple;
	struct nic_packet packet;
	uint64_t total;
	uint8_t *tcp;

	if (!take_buffer(client, &packet))
		return false;
	CHECK(PAYLOAD_BEGIN + size <= packet.size);
	packet.size = (uint16_t)(PAYLOAD_BEGIN + size);
	ip4_write(packet.data + IP_BEGIN, tuple->local_address, tuple->peer_address, IP4_TCP,
		  client->ip_id++, size);
	if (segment->ecn != 0)
		ip4_set_ecn(packet.data + IP_BEGIN, segment->ecn);
	tcp = packet.data + PAYLOAD_BEGIN;
	memcpy(tcp, segment->header, segment->header_size);
	total = checksum_add(
		checksum_pseudo(tuple->local_address, tuple->peer_address, IP4_TCP, size), tcp,
		segment->header_size);
	if (segment->payload_size > 0)
		total += copy_payload(tcp_owner(segment->tcb), segment->payload_pos,
				      tcp + segment->header_size, segment->payload_size);
	sum = checksum_fold(total);
	memcpy(tcp + TCP_CHECKSUM_AT, &sum, sizeof(sum));
	send_ip(client, tuple->peer_address, &packet);
	return true;
}

static void receive_arp(struct wire_client *client, const struct eth_frame *frame)
{
	struct arp_packet arp;
	bool is_for_us;

	if (!arp_parse(frame->bytes, frame->size, &arp)) {
		count(client, COUNTER_WIREPORT_DROP_ARP);
		return;
	}
	if (arp.sender == client->address || ((arp.sender ^ client->address) & client->mask) != 0)
		return;
	is_for_us = arp.target == client->address;
	if (arp_table_learn(&client->arp, &arp, is_for_us, client->now_ns))
		wire_client_frame_waiting(client);
	if (is_for_us && arp.is_request)
		send_arp(client, false, arp.sender, arp.sender_mac);
}

static void receive_icmp(struct wire_client *client, const struct ip4_packet *ip)
{
	struct nic_packet packet;

	if (icmp_parse(ip->bytes, ip->size) != ICMP_ECHO ||
	    !icmp_limit_take(&client->icmp_limit, client->now_ns) ||
	    PAYLOAD_BEGIN + ip->size > client->nic->mtu + (uint32_t)ETH_HEADER_SIZE ||
	    !take_buffer(client, &packet)) {
		count(client, COUNTER_WIREPORT_DROP_ICMP);
		return;
	}
	packet.size = (uint16_t)(PAYLOAD_BEGIN + ip->size);
	ip4_write(packet.data + IP_BEGIN, client->address, ip->source, IP4_ICMP, client->ip_id++,
		  (uint16_t)ip->size);
	icmp_write_reply(packet.data + PAYLOAD_BEGIN, ip->bytes, ip->size);
	send_ip(client, ip->source, &packet);
}

static void receive_tcp(struct wire_client *client, const struct nic_packet *packet,
			const struct ip4_packet *ip)
{
	struct tcp_segment_in segment = { .source_address = ip->source,
					  .destination_address = ip->destination,
					  .bytes = ip->bytes,
					  .size = ip->size,
					  .buffer = packet->handle,
					  .ecn = ip->ecn };

	if (ip->size < TCP_HEADER_SIZE)
		count(client, COUNTER_WIREPORT_DROP_TCP_SHORT);
	else if (!packet->checksum_good &&
		 checksum_fold(checksum_add(
			 checksum_pseudo(ip->source, ip->destination, IP4_TCP, (uint16_t)ip->size),
			 ip->bytes, ip->size)) != 0)
		count(client, COUNTER_WIREPORT_DROP_TCP_CHECKSUM);
	else
		tcp_input(client->tcp, &segment, client->now_ns);
}

static void receive_ip(struct wire_client *client, const struct nic_packet *packet,
		       const struct eth_frame *frame)
{
	struct ip4_packet ip;
	enum ip4_result result = ip4_parse(frame->bytes, frame->size, packet->checksum_good, &ip);

	if (result == IP4_CHECKSUM)
		count(client, COUNTER_WIREPORT_DROP_IP_CHECKSUM);
	else if (result != IP4_OK)
		count(client, COUNTER_WIREPORT_DROP_IP);
	else if (ip.destination != client->address)
		count(client, COUNTER_WIREPORT_DROP_DESTINATION);
	else if (ip.protocol == IP4_TCP)
		receive_tcp(client, packet, &ip);
	else if (ip.protocol == IP4_ICMP)
		receive_icmp(client, &ip);
	else
		count(client, COUNTER_WIREPORT_DROP_PROTOCOL);
}

void wire_client_frame_in(struct wire_client *client, const struct nic_packet *packet)
{
	struct eth_frame frame;

	if (!eth_parse(packet->data, packet->size, &frame))
		count(client, COUNTER_WIREPORT_DROP_ETHERNET);
	else if (!eth_is_for(&frame, client->nic->mac))
		count(client, COUNTER_WIREPORT_DROP_STATION);
	else if (frame.type == ETH_IP4)
		receive_ip(client, packet, &frame);
	else if (frame.type == ETH_ARP)
		receive_arp(client, &frame);
	else
		count(client, COUNTER_WIREPORT_DROP_TYPE);
}
