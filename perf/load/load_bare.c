/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_bare.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"

#include "dataplane/net/arp.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/eth.h"
#include "dataplane/net/ip4.h"
#include "dataplane/nic/nic.h"

#define BURST        64
#define DESCRIPTORS  2048
#define BUFFERS      8192
#define COPY_SIZE    (1U << 24) /* as a ring would be: more than the caches hold of a core */
#define TCP_HEADER   20
#define SYN_OPTIONS  8 /* MSS, no-op, window scale */
#define WINDOW_SHIFT 3 /* 512 KiB: what four connections send at once fits the port's ring */
#define WINDOW       0xffff
#define SPIN_NS      (50 * NS_PER_US)
#define SLEEP_MS     1

enum { FLAG_FIN = 1, FLAG_SYN = 2, FLAG_RST = 4, FLAG_ACK = 16 };

struct flow {
	uint32_t address; /* 0: free */
	uint16_t port;
	uint8_t mac[6];
	uint32_t next; /* sequence number wanted */
	uint32_t sent; /* our own */
	bool owes;     /* an acknowledgement */
};

struct load_bare {
	struct nic *nic;
	uint32_t address;
	uint16_t tcp_port, mtu, ip_id;
	struct flow flows[LOAD_BARE_FLOWS];
	uint8_t *copy; /* [COPY_SIZE] */
	uint32_t copy_at;
	uint64_t bytes;
	int64_t idle_since_ns; /* 0: the last burst had frames */
	struct nic_packet out[BURST + LOAD_BARE_FLOWS];
	uint16_t out_count;
};

static void send_arp(struct load_bare *bare, const struct arp_packet *request)
{
	struct arp_packet reply = { .sender = bare->address, .target = request->sender };
	struct nic_packet packet;

	if (!nic_tx_alloc(bare->nic, 0, &packet))
		return;
	memcpy(reply.sender_mac, bare->nic->mac, 6);
	eth_write(packet.data, request->sender_mac, bare->nic->mac, ETH_ARP);
	arp_write(packet.data + ETH_HEADER_SIZE, &reply, request->sender_mac);
	packet.size = ETH_HEADER_SIZE + ARP_PACKET_SIZE;
	bare->out[bare->out_count++] = packet;
}

static void send_tcp(struct load_bare *bare, struct flow *flow, uint8_t flags)
{
	uint16_t size = (flags & FLAG_SYN) != 0 ? TCP_HEADER + SYN_OPTIONS : TCP_HEADER;
	struct nic_packet packet;
	uint16_t sum;
	uint8_t *tcp;

	flow->owes = false;
	if (!nic_tx_alloc(bare->nic, 0, &packet))
		return;
	eth_write(packet.data, flow->mac, bare->nic->mac, ETH_IP4);
	ip4_write(packet.data + ETH_HEADER_SIZE, bare->address, flow->address, IP4_TCP,
		  bare->ip_id++, size);
	tcp = packet.data + ETH_HEADER_SIZE + IP4_HEADER_SIZE;
	memset(tcp, 0, size);
	bytes_store_u16(tcp, bare->tcp_port);
	bytes_store_u16(tcp + 2, flow->port);
	bytes_store_u32(tcp + 4, flow->sent);
	bytes_store_u32(tcp + 8, flow->next);
	tcp[12] = (uint8_t)(size / 4 << 4);
	tcp[13] = flags | FLAG_ACK;
	bytes_store_u16(tcp + 14, WINDOW);
	if ((flags & FLAG_SYN) != 0) {
		const uint16_t mss = (uint16_t)(bare->mtu - IP4_HEADER_SIZE - TCP_HEADER);
		const uint8_t options[SYN_OPTIONS] = { 2, 4, (uint8_t)(mss >> 8), (uint8_t)mss, 1,
						       3, 3, WINDOW_SHIFT };

		memcpy(tcp + TCP_HEADER, options, sizeof(options));
	}
	sum = checksum_fold(checksum_add(
		checksum_pseudo(bare->address, flow->address, IP4_TCP, size), tcp, size));
	memcpy(tcp + 16, &sum, sizeof(sum));
	packet.size = (uint16_t)(ETH_HEADER_SIZE + IP4_HEADER_SIZE + size);
	bare->out[bare->out_count++] = packet;
	flow->sent += (flags & (FLAG_SYN | FLAG_FIN)) != 0;
}

static struct flow *find(struct load_bare *bare, uint32_t address, uint16_t port, bool is_new)
{
	struct flow *idle = NULL;

	for (uint32_t i = 0; i < LOAD_BARE_FLOWS; i++) {
		struct flow *flow = &bare->flows[i];

		if (flow->address == address && flow->port == port)
			return flow;
		if (flow->address == 0)
			idle = flow;
	}
	if (!is_new || idle == NULL)
		return NULL;
	*idle = (struct flow){ .address = address, .port = port, .sent = 1 };
	return idle;
}

static void take_payload(struct load_bare *bare, struct flow *flow, const uint8_t *bytes,
			 uint32_t size)
{
	if (bare->copy_at + size > COPY_SIZE)
		bare->copy_at = 0;
	memcpy(bare->copy + bare->copy_at, bytes, size);
	bare->copy_at += size;
	bare->bytes += size;
	flow->next += size;
}

static void receive_tcp(struct load_bare *bare, const struct eth_frame *frame,
			const struct ip4_packet *ip, bool is_verified)
{
	const uint8_t *tcp = ip->bytes;
	uint32_t header = ip->size >= TCP_HEADER ? 4U * (tcp[12] >> 4) : 0;
	struct flow *flow;

	if (header < TCP_HEADER || header > ip->size || bytes_load_u16(tcp + 2) != bare->tcp_port ||
	    (!is_verified &&
	     checksum_fold(checksum_add(
		     checksum_pseudo(ip->source, ip->destination, IP4_TCP, (uint16_t)ip->size), tcp,
		     ip->size)) != 0))
		return;
	flow = find(bare, ip->source, bytes_load_u16(tcp), (tcp[13] & FLAG_SYN) != 0);
	if (flow == NULL)
		return;
	if ((tcp[13] & FLAG_RST) != 0) {
		flow->address = 0;
		return;
	}
	if ((tcp[13] & FLAG_SYN) != 0) {
		memcpy(flow->mac, frame->source, 6);
		flow->next = bytes_load_u32(tcp + 4) + 1;
		flow->sent = 1;
		send_tcp(bare, flow, FLAG_SYN);
		return;
	}
	flow->owes = flow->owes || ip->size > header;
	if (bytes_load_u32(tcp + 4) != flow->next)
		return;
	take_payload(bare, flow, tcp + header, ip->size - header);
	if ((tcp[13] & FLAG_FIN) != 0) {
		flow->next++;
		send_tcp(bare, flow, FLAG_FIN);
		flow->address = 0;
	}
}

static void receive(struct load_bare *bare, const struct nic_packet *packet)
{
	struct eth_frame frame;
	struct arp_packet arp;
	struct ip4_packet ip;

	if (!eth_parse(packet->data, packet->size, &frame))
		return;
	if (frame.type == ETH_ARP && arp_parse(frame.bytes, frame.size, &arp) && arp.is_request &&
	    arp.target == bare->address)
		send_arp(bare, &arp);
	else if (frame.type == ETH_IP4 &&
		 ip4_parse(frame.bytes, frame.size, packet->checksum_good, &ip) == IP4_OK &&
		 ip.destination == bare->address && ip.protocol == IP4_TCP)
		receive_tcp(bare, &frame, &ip, packet->checksum_good);
}

static void rest(struct load_bare *bare)
{
	int64_t now_ns = clock_now_ns();
	struct pollfd fd = { nic_wait_fd(bare->nic, 0), POLLIN, 0 };

	if (bare->idle_since_ns == 0)
		bare->idle_since_ns = now_ns;
	if (now_ns - bare->idle_since_ns > SPIN_NS)
		(void)poll(&fd, fd.fd >= 0, SLEEP_MS);
}

void load_bare_poll(struct load_bare *bare)
{
	struct nic_packet packets[BURST];
	uint16_t count = nic_rx_burst(bare->nic, 0, packets, BURST);

	for (uint16_t i = 0; i < count; i++) {
		receive(bare, &packets[i]);
		nic_packet_free(bare->nic, 0, packets[i].handle);
	}
	if (count == 0) {
		rest(bare);
		return;
	}
	bare->idle_since_ns = 0;
	for (uint32_t i = 0; i < LOAD_BARE_FLOWS; i++) {
		if (bare->flows[i].address != 0 && bare->flows[i].owes)
			send_tcp(bare, &bare->flows[i], 0);
	}
	if (bare->out_count > 0)
		(void)nic_tx_burst(bare->nic, 0, bare->out, bare->out_count);
	bare->out_count = 0;
}

uint64_t load_bare_bytes(const struct load_bare *bare)
{
	return bare->bytes;
}

int load_bare_new(const struct load_bare_options *options, struct load_bare **ret_bare,
		  char *reterr, size_t reterr_size)
{
	const struct nic_config nic = { .port = options->port,
					.queues = 1,
					.mtu = options->mtu,
					.descriptors = DESCRIPTORS,
					.buffers = BUFFERS };
	struct load_bare *bare = calloc(1, sizeof(*bare));
	char address[INET_ADDRSTRLEN];
	int r = -ENOMEM;

	(void)snprintf(address, sizeof(address), "%.*s", (int)strcspn(options->address, "/"),
		       options->address);
	if (bare != NULL)
		bare->copy = calloc(1, COPY_SIZE);
	if (bare != NULL && bare->copy != NULL) {
		bare->tcp_port = options->tcp_port;
		bare->mtu = options->mtu;
		(void)snprintf(reterr, reterr_size, "%s is not an address", address);
		r = ip4_parse_text(address, &bare->address);
	}
	if (r == 0)
		r = nic_dpdk_open(&nic, &bare->nic, reterr, reterr_size);
	if (r == 0)
		r = nic_thread_register(bare->nic);
	if (r != 0) {
		load_bare_free(bare);
		return r;
	}
	*ret_bare = bare;
	return 0;
}

void load_bare_free(struct load_bare *bare)
{
	if (bare == NULL)
		return;
	nic_close(bare->nic);
	free(bare->copy);
	free(bare);
}
