/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: only Ethernet II frames of single stations are taken, and what is written is read back. */
#include <string.h>

#include "dataplane/net/eth.h"

#include "cm.h"

static const uint8_t here[6] = { 2, 0, 0, 0, 0, 1 }, there[6] = { 2, 0, 0, 0, 0, 2 };

static void test_eth_writes_what_it_parses(void **state)
{
	uint8_t bytes[20] = { 0 };
	struct eth_frame frame;

	(void)state;
	eth_write(bytes, here, there, ETH_IP4);
	assert_true(eth_parse(bytes, sizeof(bytes), &frame));
	assert_memory_equal(frame.destination, here, 6);
	assert_memory_equal(frame.source, there, 6);
	assert_int_equal(frame.type, ETH_IP4);
	assert_int_equal(frame.size, 6);
	assert_ptr_equal(frame.bytes, bytes + 14);
	assert_true(eth_is_for(&frame, here));
	assert_false(eth_is_for(&frame, there));
	memcpy(bytes, eth_broadcast, 6);
	assert_true(eth_is_for(&frame, there));
}

static void test_eth_refuses_others(void **state)
{
	uint8_t bytes[20] = { 0 };
	struct eth_frame frame;

	(void)state;
	eth_write(bytes, here, there, ETH_IP4);
	assert_false(eth_parse(bytes, 13, &frame));
	assert_true(eth_parse(bytes, 14, &frame));
	eth_write(bytes, here, eth_broadcast, ETH_IP4);
	assert_false(eth_parse(bytes, sizeof(bytes), &frame));
	eth_write(bytes, here, there, 0x8100);
	assert_false(eth_parse(bytes, sizeof(bytes), &frame));
	eth_write(bytes, here, there, 0x05ff);
	assert_false(eth_parse(bytes, sizeof(bytes), &frame));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eth_writes_what_it_parses),
		cmocka_unit_test(test_eth_refuses_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
