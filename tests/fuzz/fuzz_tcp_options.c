/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a TCP segment: nothing is read outside it, what is accepted keeps its limits, and what
 * was understood of it is built and understood again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#include "dataplane/tcp/tcp_cookie.h"
#include "dataplane/tcp/tcp_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct tcp_options *a, const struct tcp_options *b)
{
	CHECK(a->has_mss == b->has_mss && a->mss == b->mss);
	CHECK(a->has_wscale == b->has_wscale && a->wscale == b->wscale);
	CHECK(a->has_ts == b->has_ts && a->ts_value == b->ts_value && a->ts_echo == b->ts_echo);
	CHECK(a->sack_permitted == b->sack_permitted);
	/* Blocks that do not fit beside the others are left off the end. */
	CHECK(b->sack_count <= a->sack_count);
	CHECK(memcmp(a->sack, b->sack, b->sack_count * sizeof(a->sack[0])) == 0);
}

static void try_cookie(const struct tcp_packet *packet)
{
	static const struct siphash_key key = { 3, 4 };
	int64_t now_ns = packet->ack * NS_PER_MS;
	uint32_t number =
		tcp_cookie_make(&key, &packet->tuple, packet->seq, packet->options.mss, now_ns);
	uint32_t ts = tcp_cookie_ts(&packet->options, packet->flags & 1, packet->ack);
	struct tcp_options read = { 0 };
	struct tcp_cookie cookie;
	bool has_ecn;

	CHECK(tcp_cookie_check(&key, &packet->tuple, packet->seq, number, now_ns, &cookie) ==
	      TCP_COOKIE_GOOD);
	CHECK(cookie.mss <= MAX(packet->options.mss, 88));
	CHECK(tcp_cookie_check(&key, &packet->tuple, packet->seq + 1, number, now_ns, &cookie) !=
	      TCP_COOKIE_NONE);
	tcp_cookie_read_ts(ts, &read, &has_ecn);
	CHECK(packet->ack - ts < 128);
	CHECK(read.has_wscale == packet->options.has_wscale);
	CHECK(!read.has_wscale || read.wscale == packet->options.wscale);
	CHECK(read.sack_permitted == packet->options.sack_permitted);
	CHECK(has_ecn == ((packet->flags & 1) != 0));
	if (tcp_cookie_check(&key, &packet->tuple, packet->seq, packet->ack, 0, &cookie) ==
	    TCP_COOKIE_GOOD)
		CHECK(cookie.mss >= 88);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcp_segment_in in = { .source_address = 1, .destination_address = 2 };
	uint8_t *copy = malloc(size > 0 ? size : 1);
	struct tcp_segment_out out = { 0 };
	struct tcp_packet packet, again;

	CHECK(copy != NULL);
	memcpy(copy, data, size);
	in.bytes = copy;
	in.size = (uint32_t)MIN(size, (size_t)UINT16_MAX);
	if (tcp_packet_parse(&in, &packet) == 0) {
		CHECK(packet.options.sack_count <= TCP_OPTIONS_SACK_MAX);
		CHECK(packet.options.wscale <= TCP_WSCALE_MAX);
		CHECK(packet.bytes >= copy + TCP_HEADER_SIZE);
		CHECK(packet.bytes + packet.size == copy + in.size);
		tcp_packet_build(&packet, &out);
		CHECK(out.header_size <= sizeof(out.header));
		in.bytes = out.header;
		in.size = out.header_size;
		CHECK(tcp_packet_parse(&in, &again) == 0);
		CHECK(again.seq == packet.seq && again.ack == packet.ack);
		CHECK(again.flags == packet.flags && again.window == packet.window);
		check_same(&packet.options, &again.options);
		try_cookie(&packet);
	}
	free(copy);
	return 0;
}
