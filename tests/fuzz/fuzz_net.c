/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sequence of frames, look-ups and pauses through Ethernet, ARP, IPv4 and ICMP. Nothing is read
 * outside a frame, and what is accepted lies inside it; a neighbour said to be known is where its last
 * packet came from; questions, announcements and answers stay within their rates. Frames are raw bytes
 * or well formed ones with some bytes changed, so that the fuzzer gets behind lengths and checksums.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#include "dataplane/net/arp.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/eth.h"
#include "dataplane/net/icmp.h"
#include "dataplane/net/ip4.h"

#define BOX        0x0a4d0002U
#define NEIGHBOURS 64U
#define FRAME_MAX  2048U
#define STEPS_MAX  4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct reader input;
	struct arp_table table;
	struct arp_self self;
	struct icmp_limit limit;
	int64_t now_ns;
	int64_t second_ns; /* begin of the current one */
	uint32_t asks, echoes;
	uint8_t macs[NEIGHBOURS][6]; /* of the last packet of each */
};

static void try_arp(struct fuzz *fuzz, const struct eth_frame *frame)
{
	uint8_t out[ARP_PACKET_SIZE];
	struct arp_packet packet, again;
	uint32_t index;

	if (!arp_parse(frame->bytes, frame->size, &packet))
		return;
	arp_write(out, &packet, packet.sender_mac);
	CHECK(arp_parse(out, sizeof(out), &again));
	CHECK(again.sender == packet.sender && again.target == packet.target);
	CHECK(again.is_request == packet.is_request);
	index = packet.sender - (BOX & ~(NEIGHBOURS - 1));
	if (index < NEIGHBOURS)
		memcpy(fuzz->macs[index], packet.sender_mac, 6);
	if (packet.sender == BOX)
		(void)arp_self_defend(&fuzz->self, fuzz->now_ns);
	else
		(void)arp_table_learn(&fuzz->table, &packet, packet.target == BOX, fuzz->now_ns);
}

static void try_ip(struct fuzz *fuzz, const struct eth_frame *frame, bool is_verified)
{
	static uint8_t reply[FRAME_MAX];
	struct ip4_packet ip;

	if (ip4_parse(frame->bytes, frame->size, is_verified, &ip) != IP4_OK)
		return;
	CHECK(ip.bytes >= frame->bytes + IP4_HEADER_SIZE);
	CHECK(ip.bytes + ip.size <= frame->bytes + frame->size);
	CHECK(ip.ecn < 4);
	if (ip.protocol != IP4_ICMP || icmp_parse(ip.bytes, ip.size) != ICMP_ECHO)
		return;
	icmp_write_reply(reply, ip.bytes, ip.size);
	CHECK(icmp_parse(reply, ip.size) == ICMP_OTHER);
	if (icmp_limit_take(&fuzz->limit, fuzz->now_ns))
		fuzz->echoes++;
	CHECK(fuzz->echoes <= ICMP_PER_SECOND + ICMP_BURST);
}

/** A frame in memory of its own size. */
static void receive(struct fuzz *fuzz, const uint8_t *bytes, uint32_t size, bool is_verified)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);
	struct eth_frame frame;

	CHECK(copy != NULL);
	memcpy(copy, bytes, size);
	if (eth_parse(copy, size, &frame)) {
		CHECK(frame.bytes + frame.size == copy + size);
		(void)eth_is_for(&frame, fuzz->macs[0]);
		if (frame.type == ETH_ARP)
			try_arp(fuzz, &frame);
		else if (frame.type == ETH_IP4)
			try_ip(fuzz, &frame, is_verified);
	}
	free(copy);
}

static void step_raw(struct fuzz *fuzz)
{
	uint32_t size = reader_u16(&fuzz->input) % FRAME_MAX;
	const uint8_t *bytes;

	size = MIN(size, (uint32_t)reader_left(&fuzz->input));
	bytes = reader_bytes(&fuzz->input, size);
	if (bytes != NULL)
		receive(fuzz, bytes, size, size % 2 == 0);
}

/** Change some bytes of a well formed frame. */
static void spoil(struct fuzz *fuzz, uint8_t *frame, uint32_t size)
{
	for (uint32_t count = reader_u8(&fuzz->input) % 8; count > 4; count--)
		frame[reader_u8(&fuzz->input) % size] ^= reader_u8(&fuzz->input);
}

static void step_arp(struct fuzz *fuzz)
{
	uint8_t what = reader_u8(&fuzz->input), target = reader_u8(&fuzz->input);
	uint8_t sender = reader_u8(&fuzz->input);
	struct arp_packet packet = {
		.is_request = what & 1,
		.sender_mac = { 2, 0, 0, 0, 0, what },
		.sender = (BOX & ~(NEIGHBOURS - 1)) + sender % NEIGHBOURS,
		.target = (what & 2) != 0 ? BOX : (BOX & ~(NEIGHBOURS - 1)) + target % NEIGHBOURS,
	};
	uint8_t frame[ETH_HEADER_SIZE + ARP_PACKET_SIZE];

	if ((what & 4) != 0)
		packet.sender = 0;
	eth_write(frame, eth_broadcast, packet.sender_mac, ETH_ARP);
	arp_write(frame + ETH_HEADER_SIZE, &packet, packet.sender_mac);
	spoil(fuzz, frame, sizeof(frame));
	receive(fuzz, frame, sizeof(frame), false);
}

static void step_echo(struct fuzz *fuzz)
{
	static const uint8_t mac[6] = { 2 };
	uint8_t frame[ETH_HEADER_SIZE + IP4_HEADER_SIZE + 256] = { 0 };
	uint8_t *icmp = frame + ETH_HEADER_SIZE + IP4_HEADER_SIZE;
	uint8_t what = reader_u8(&fuzz->input);
	uint16_t size = reader_u8(&fuzz->input), sum;

	eth_write(frame, mac, mac, ETH_IP4);
	ip4_write(frame + ETH_HEADER_SIZE, BOX + 1, BOX, IP4_ICMP, 7, size);
	icmp[0] = (what & 1) != 0 ? 8 : what;
	if (size >= ICMP_HEADER_SIZE) {
		sum = checksum_fold(checksum_add(0, icmp, size));
		memcpy(icmp + 2, &sum, sizeof(sum));
	}
	spoil(fuzz, frame, ETH_HEADER_SIZE + IP4_HEADER_SIZE + size);
	receive(fuzz, frame, ETH_HEADER_SIZE + IP4_HEADER_SIZE + size, (what & 2) != 0);
}

static void step_look_up(struct fuzz *fuzz)
{
	uint32_t index = reader_u8(&fuzz->input);
	uint32_t address = (BOX & ~(NEIGHBOURS - 1)) + index % NEIGHBOURS;
	enum arp_answer answer;
	uint8_t mac[6];

	if (index >= 2 * NEIGHBOURS) /* somewhere else: strangers' addresses */
		address = 0xc0000000U + index * 0x01010101U;
	answer = arp_table_look_up(&fuzz->table, address, fuzz->now_ns, mac);
	CHECK(answer <= ARP_DEAD);
	if (answer == ARP_ASK)
		fuzz->asks++;
	CHECK(fuzz->asks <= 2 * ARP_ASKS_PER_S);
	if (index < 2 * NEIGHBOURS && answer <= ARP_KNOWN_ASK)
		CHECK(memcmp(mac, fuzz->macs[index % NEIGHBOURS], 6) == 0);
}

static void step_pause(struct fuzz *fuzz)
{
	static const int64_t units[] = { NS_PER_MS, 100 * NS_PER_MS, NS_PER_S, 60 * NS_PER_S };
	uint8_t what = reader_u8(&fuzz->input);

	fuzz->now_ns += (what >> 2) * units[what & 3];
	if (fuzz->now_ns - fuzz->second_ns >= NS_PER_S) {
		fuzz->second_ns = fuzz->now_ns;
		fuzz->asks = fuzz->echoes = 0;
	}
	if (what == 0xff)
		arp_self_announce(&fuzz->self, fuzz->now_ns);
	(void)arp_self_is_due(&fuzz->self, fuzz->now_ns);
	CHECK(fuzz->self.left <= ARP_ANNOUNCE_COUNT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const steps[])(struct fuzz *) = { step_raw, step_arp, step_look_up, step_echo,
							step_pause };
	struct fuzz *fuzz = calloc(1, sizeof(*fuzz));

	CHECK(fuzz != NULL);
	reader_init(&fuzz->input, data, size);
	fuzz->now_ns = fuzz->second_ns = NS_PER_S;
	arp_table_init(&fuzz->table);
	arp_self_announce(&fuzz->self, fuzz->now_ns);
	for (int i = 0; i < STEPS_MAX && reader_left(&fuzz->input) > 0; i++)
		steps[reader_u8(&fuzz->input) % ARRAY_COUNT(steps)](fuzz);
	free(fuzz);
	return 0;
}
