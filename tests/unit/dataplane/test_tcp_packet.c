/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: a header is parsed field by field, and a short or lying one is refused. Shown by round trip and
 * by cutting one.
 */
#include <string.h>

#include "base/err.h"

#include "dataplane/tcp/tcp_packet.h"

#include "cm.h"

static void test_tcp_packet_round_trip_and_cuts(void **state)
{
	struct tcp_packet in = { .tuple = { 1, 2, 3, 4 },
				 .seq = 5,
				 .ack = 6,
				 .window = 7,
				 .flags = TCP_ACK | TCP_PSH,
				 .options = { .has_mss = true, .mss = 9 } };
	struct tcp_segment_out out = { 0 };
	struct tcp_segment_in segment = { .source_address = 1, .destination_address = 2 };
	struct tcp_packet parsed;

	(void)state;
	tcp_packet_build(&in, &out);
	segment.bytes = out.header;
	segment.size = 30;
	assert_int_equal(tcp_packet_parse(&segment, &parsed), 0);
	assert_int_equal(parsed.tuple.local_port, 4); /* seen from the other side */
	assert_int_equal(parsed.tuple.peer_port, 3);
	assert_int_equal(parsed.seq, 5);
	assert_int_equal(parsed.ack, 6);
	assert_int_equal(parsed.window, 7);
	assert_int_equal(parsed.flags, TCP_ACK | TCP_PSH);
	assert_int_equal(parsed.size, 6);
	assert_int_equal(tcp_packet_length(&parsed), 6);
	for (segment.size = 0; segment.size < 24; segment.size++)
		assert_int_equal(tcp_packet_parse(&segment, &parsed), ERR_TRUNCATED);
	out.header[12] = 0x40;
	assert_int_equal(tcp_packet_parse(&segment, &parsed), ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_packet_round_trip_and_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
