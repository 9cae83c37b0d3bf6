/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame's way: Ethernet, then ARP, or IPv4 and then ICMP or TCP. A port's queue may bring packets of
 * any core's connections (many ports cannot steer): such a packet goes to its core through the mesh
 * with its buffer, and the item comes back to be used again. Every ARP answer goes to all cores, since
 * it arrives on any queue and each core has a table of its own.
 */
#include "dataplane/core/wireport.h"

#include <string.h>

#include "base/bytes.h"

#include "dataplane/core/wireport_impl.h"
#include "dataplane/core/wireport_merge.h"
#include "dataplane/net/checksum.h"

#include "dataplane/core/hot.h"

#define TCP_HEADER_SIZE 20
#define PREFETCH_AHEAD  4   /* frames of a burst */
#define MERGED_HEAD_MIN 134 /* the first buffer of a merged frame has all headers: 14, 60 and 60 */

static void count(struct wireport *port, enum counter which)
{
	counters_inc(port->counters, which);
}

static void receive(struct wireport *port, struct nic_packet *packet, bool is_handed);

/* A frame and what was not taken of its further buffers. */
static void free_frame(struct nic *nic, uint32_t queue, struct nic_packet *packet)
{
	struct nic_packet piece;

	nic_packet_free(nic, (uint16_t)queue, packet->handle);
	while (nic_rx_more(nic, packet, &piece))
		nic_packet_free(nic, (uint16_t)queue, piece.handle);
}

/* Back at its owner: free for the next packet. */
static void on_handed_back(void *member, struct mesh_item *item)
{
	struct wireport_handed *handed = CONTAINER_OF(item, struct wireport_handed, item);

	(void)member;
	handed->from->handed_count--;
	list_push_front(&handed->from->handed_idle, &handed->node);
}

static void on_handed(void *member, struct mesh_item *item)
{
	struct wireport_handed *handed = CONTAINER_OF(item, struct wireport_handed, item);
	struct core *core = member;
	struct wireport *port = wireport_find(core->wireport, handed->from->nic);

	if (port != NULL) {
		port->now_ns = core->now_ns;
		count(port, COUNTER_WIREPORT_TAKEN_OVER);
		receive(port, &handed->packet, true);
		port->is_burst_open = true;
	}
	free_frame(handed->from->nic, core->index, &handed->packet);
	item->run = on_handed_back;
	mesh_send(core->mesh, core->index, handed->from->core->index, item);
}

/* The frame's further buffers go along; its first one stays ours, too. */
static void hand_over(struct wireport *port, uint32_t to, struct nic_packet *packet)
{
	struct list *node = list_pop_front(&port->handed_idle);
	struct wireport_handed *handed;

	if (node == NULL) {
		count(port, COUNTER_WIREPORT_DROP_HAND_OVER);
		return;
	}
	handed = LIST_ENTRY(node, struct wireport_handed, node);
	handed->packet = *packet;
	packet->rest = NULL;
	handed->item.run = on_handed;
	port->handed_count++;
	nic_packet_hold(port->nic, packet->handle);
	mesh_send(port->core->mesh, port->core->index, to, &handed->item);
	count(port, COUNTER_WIREPORT_HANDED_OVER);
}

/* RFC 5227 section 2.4: tell all on the link again where our address is. */
static void meet_conflict(struct wireport *port, const struct arp_packet *arp)
{
	if (memcmp(arp->sender_mac, port->nic->mac, 6) == 0)
		return; /* our own words */
	count(port, COUNTER_WIREPORT_ARP_CONFLICTS);
	if (arp_self_defend(&port->self, port->now_ns))
		wireport_send_arp(port, true, port->address, eth_broadcast);
}

static void receive_arp(struct wireport *port, struct nic_packet *packet,
			const struct eth_frame *frame, bool is_handed)
{
	struct arp_packet arp;
	enum arp_news news;
	bool is_for_us;

	if (!arp_parse(frame->bytes, frame->size, &arp)) {
		count(port, COUNTER_WIREPORT_DROP_ARP);
		return;
	}
	count(port, COUNTER_WIREPORT_ARP_RECEIVED);
	is_for_us = arp.target == port->address;
	if (arp.sender == port->address) {
		meet_conflict(port, &arp);
		return;
	}
	if (arp.sender != 0 && ((arp.sender ^ port->address) & port->mask) != 0)
		return; /* no neighbour; without an address: one that probes whether ours is taken */
	news = arp_table_learn(&port->arp, &arp, is_for_us, port->now_ns);
	if (news != ARP_NO_NEWS)
		wireport_send_unresolved(port);
	if (news == ARP_MOVED)
		count(port, COUNTER_WIREPORT_ARP_MOVED);
	if (is_handed)
		return;
	if (is_for_us && arp.is_request)
		wireport_send_arp(port, false, arp.sender, arp.sender_mac);
	/* What concerns one core's table may concern all. */
	if (news == ARP_NO_NEWS && !arp_is_announcement(&arp) && (!is_for_us || arp.is_request))
		return;
	for (uint32_t i = 0; i < port->core->count; i++) {
		if (i != port->core->index)
			hand_over(port, i, packet);
	}
}

static void receive_icmp(struct wireport *port, const struct ip4_packet *ip)
{
	if (icmp_parse(ip->bytes, ip->size) != ICMP_ECHO)
		count(port, COUNTER_WIREPORT_DROP_ICMP);
	else if (!icmp_limit_take(&port->icmp_limit, port->now_ns))
		count(port, COUNTER_WIREPORT_DROP_ICMP_LIMIT);
	else
		wireport_send_echo(port, ip);
}

/* Segments that the port put together; not in receive_tcp(), whose stack frame is that of most. */
static __attribute__((noinline)) void
receive_merged(struct wireport *port, struct nic_packet *packet, const struct ip4_packet *ip)
{
	struct tcp_segment_piece pieces[NIC_PIECES_MAX];
	struct tcp_segment_in segment = { .source_address = ip->source,
					  .destination_address = ip->destination,
					  .bytes = ip->bytes,
					  .size = ip->size - packet->more,
					  .buffer = packet->handle,
					  .ecn = ip->ecn };

	count(port, COUNTER_WIREPORT_RX_MERGED);
	if (!wireport_merge_take(port->nic, packet, pieces, &segment))
		count(port, COUNTER_WIREPORT_DROP_IP);
	else if (!packet->checksum_good && !wireport_merge_verify(&segment))
		count(port, COUNTER_WIREPORT_DROP_TCP_CHECKSUM);
	else
		tcp_input(port->tcp, &segment, port->now_ns);
	wireport_merge_free(port->nic, port->queue, &segment);
}

static void receive_tcp(struct wireport *port, struct nic_packet *packet,
			const struct ip4_packet *ip, bool is_handed)
{
	struct tcp_segment_in segment = { .source_address = ip->source,
					  .destination_address = ip->destination,
					  .bytes = ip->bytes,
					  .size = ip->size,
					  .buffer = packet->handle,
					  .ecn = ip->ecn };
	uint32_t to;

	if (ip->size < TCP_HEADER_SIZE) {
		count(port, COUNTER_WIREPORT_DROP_TCP_SHORT);
		return;
	}
	/* Unsigned: a port below the first core's is far above the last one's. */
	to = (uint32_t)bytes_load_u16(ip->bytes + 2) - port->port_base;
	if (to != port->core->index && to < port->core->count && !is_handed) {
		hand_over(port, to, packet);
		return;
	}
	if (unlikely(packet->more > 0)) {
		receive_merged(port, packet, ip);
		return;
	}
	if (!packet->checksum_good &&
	    checksum_fold(checksum_add(
		    checksum_pseudo(ip->source, ip->destination, IP4_TCP, (uint16_t)ip->size),
		    ip->bytes, ip->size)) != 0) {
		count(port, COUNTER_WIREPORT_DROP_TCP_CHECKSUM);
		return;
	}
	tcp_input(port->tcp, &segment, port->now_ns);
}

static void receive_ip(struct wireport *port, struct nic_packet *packet,
		       const struct eth_frame *frame, bool is_handed)
{
	static const enum counter drops[IP4_RESULT_COUNT] = {
		[IP4_MALFORMED] = COUNTER_WIREPORT_DROP_IP,
		[IP4_CHECKSUM] = COUNTER_WIREPORT_DROP_IP_CHECKSUM,
		[IP4_FRAGMENT] = COUNTER_WIREPORT_DROP_FRAGMENT,
		[IP4_BAD_ADDRESS] = COUNTER_WIREPORT_DROP_SOURCE,
	};
	struct ip4_packet ip;
	enum ip4_result result =
		ip4_parse(frame->bytes, frame->size + packet->more, packet->checksum_good, &ip);

	if (unlikely(packet->more > 0) && result == IP4_OK &&
	    (ip.protocol != IP4_TCP || packet->size < MERGED_HEAD_MIN ||
	     ip.bytes + ip.size != packet->data + packet->size + packet->more))
		result = IP4_MALFORMED; /* what is merged is TCP, and all of it */
	if (result != IP4_OK)
		count(port, drops[result]);
	else if (ip.destination != port->address)
		count(port, COUNTER_WIREPORT_DROP_DESTINATION);
	else if (ip.protocol == IP4_TCP)
		receive_tcp(port, packet, &ip, is_handed);
	else if (ip.protocol == IP4_ICMP)
		receive_icmp(port, &ip);
	else
		count(port, COUNTER_WIREPORT_DROP_PROTOCOL);
}

/* One frame; its buffer stays the caller's. */
static void receive(struct wireport *port, struct nic_packet *packet, bool is_handed)
{
	struct eth_frame frame;

	if (!eth_parse(packet->data, packet->size, &frame))
		count(port, COUNTER_WIREPORT_DROP_ETHERNET);
	else if (!eth_is_for(&frame, port->nic->mac))
		count(port, COUNTER_WIREPORT_DROP_STATION);
	else if (frame.type == ETH_IP4)
		receive_ip(port, packet, &frame, is_handed);
	else if (frame.type == ETH_ARP)
		receive_arp(port, packet, &frame, is_handed);
	else
		count(port, COUNTER_WIREPORT_DROP_TYPE);
}

/* Another core, or the port, wrote them: the first look at each would wait for its cache. */
static void prefetch_headers(const struct nic_packet *packet)
{
	__builtin_prefetch(packet->data);
	__builtin_prefetch(packet->data + CACHELINE_SIZE);
}

static uint32_t receive_burst(struct wireport *port)
{
	struct nic_packet packets[WIREPORT_BURST];
	uint16_t n = nic_rx_burst(port->nic, port->queue, packets, WIREPORT_BURST);
	uint64_t size = 0;

	for (uint16_t i = 0; i < MIN(n, (uint16_t)PREFETCH_AHEAD); i++)
		prefetch_headers(&packets[i]);
	for (uint16_t i = 0; i < n; i++) {
		if (i + PREFETCH_AHEAD < n)
			prefetch_headers(&packets[i + PREFETCH_AHEAD]);
		size += packets[i].size + packets[i].more;
		receive(port, &packets[i], false);
		free_frame(port->nic, port->queue, &packets[i]);
	}
	if (n > 0) {
		counters_add(port->counters, COUNTER_WIREPORT_RX_PACKETS, n);
		counters_add(port->counters, COUNTER_WIREPORT_RX_BYTES, size);
	}
	return n;
}

/* A port whose link or device came back may be somewhere else: whoever knew it has to learn. */
static void meet_changes(struct wireport *port)
{
	uint32_t link_changes = nic_link_changes(port->nic), resets = nic_resets(port->nic);

	if (likely(link_changes == port->link_changes && resets == port->resets))
		return;
	if (port->core->index == 0) {
		counters_add(port->counters, COUNTER_WIREPORT_LINK_CHANGES,
			     link_changes - port->link_changes);
		counters_add(port->counters, COUNTER_WIREPORT_RESETS, resets - port->resets);
		arp_self_announce(&port->self, port->now_ns);
	}
	port->link_changes = link_changes;
	port->resets = resets;
	port->has_interrupts_on = false; /* a device that was reset has them off */
}

static uint32_t poll_one(struct wireport *port, int64_t now_ns)
{
	uint32_t work;

	port->now_ns = now_ns;
	port->turn++;
	port->turn_size = 0;
	meet_changes(port);
	/* Neighbours that knew the address at another station learn of the new one. */
	if (arp_self_is_due(&port->self, now_ns))
		wireport_send_arp(port, true, port->address, eth_broadcast);
	work = receive_burst(port);
	work += wireport_conn_work(port);
	if (work > 0 || port->is_burst_open)
		tcp_burst_end(port->tcp, now_ns);
	work += port->is_burst_open;
	port->is_burst_open = false;
	if (tcp_next_timer_ns(port->tcp) <= now_ns)
		work += tcp_poll(port->tcp, now_ns);
	if (port->unresolved_count > 0)
		wireport_send_unresolved(port);
	wireport_send_flush(port);
	return work;
}

uint32_t wireport_poll(struct wireport *port, int64_t now_ns)
{
	uint32_t work = 0;

	outq_pool_collect(port->core->outq_pool);
	do {
		work += poll_one(port, now_ns);
		port = port->next;
	} while (unlikely(port != NULL));
	return work;
}

static int64_t next_ns_of(const struct wireport *port)
{
	int64_t next_ns = tcp_next_timer_ns(port->tcp);

	if (!list_is_empty(&port->work) || port->is_burst_open)
		return 0;
	if (port->self.left > 0)
		next_ns = MIN(next_ns, port->self.due_ns);
	if (port->send_count > 0)
		next_ns = MIN(next_ns, port->now_ns + WIREPORT_OFFER_NS);
	if (port->unresolved_count > 0)
		next_ns = MIN(next_ns, port->now_ns + ARP_RETRY_NS / 10);
	return next_ns;
}

int64_t wireport_next_ns(const struct wireport *port)
{
	int64_t next_ns = INT64_MAX;

	for (; port != NULL; port = port->next)
		next_ns = MIN(next_ns, next_ns_of(port));
	return next_ns;
}

bool wireport_stop(struct wireport *port, int64_t now_ns)
{
	bool is_done = true;

	for (; port != NULL; port = port->next) {
		port->is_stopping = true;
		port->now_ns = now_ns;
		LIST_EACH_SAFE(&port->open, node)
		tcp_abort(LIST_ENTRY(node, struct wireport_conn, listed)->tcb, now_ns);
		wireport_send_flush(port);
		is_done = is_done && port->open_count == 0 && port->handed_count == 0;
	}
	return is_done;
}
