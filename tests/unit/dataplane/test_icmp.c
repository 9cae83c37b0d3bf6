/* SPDX-License-Identifier: Apache-2.0 */
/* Claims: echo requests are told from the rest and answered with their bytes; answers are limited. */
#include <string.h>

#include "dataplane/net/checksum.h"
#include "dataplane/net/icmp.h"

#include "cm.h"

static void test_icmp_answers_echo(void **state)
{
	uint8_t request[33] = { 8, 0, 0, 0, 0x12, 0x34, 0, 1, 'd', 'a', 't', 'a' }, reply[33];
	uint16_t sum = checksum_fold(checksum_add(0, request, sizeof(request)));

	(void)state;
	assert_int_equal(icmp_parse(request, sizeof(request)), ICMP_CHECKSUM);
	memcpy(request + 2, &sum, 2);
	assert_int_equal(icmp_parse(request, sizeof(request)), ICMP_ECHO);
	assert_int_equal(icmp_parse(request, 7), ICMP_MALFORMED);
	icmp_write_reply(reply, request, sizeof(request));
	assert_int_equal(reply[0], 0);
	assert_memory_equal(reply + 4, request + 4, sizeof(request) - 4);
	assert_int_equal(icmp_parse(reply, sizeof(reply)), ICMP_OTHER);
}

static void test_icmp_limit_fills_with_time(void **state)
{
	struct icmp_limit limit = { 0 };
	int64_t now_ns = 5 * NS_PER_S;

	(void)state;
	for (int i = 0; i < ICMP_BURST; i++)
		assert_true(icmp_limit_take(&limit, now_ns));
	assert_false(icmp_limit_take(&limit, now_ns));
	now_ns += 3 * NS_PER_S / ICMP_PER_SECOND;
	for (int i = 0; i < 3; i++)
		assert_true(icmp_limit_take(&limit, now_ns));
	assert_false(icmp_limit_take(&limit, now_ns));
	now_ns += 100 * NS_PER_S;
	for (int i = 0; i < ICMP_BURST; i++)
		assert_true(icmp_limit_take(&limit, now_ns));
	assert_false(icmp_limit_take(&limit, now_ns));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_icmp_answers_echo),
		cmocka_unit_test(test_icmp_limit_fills_with_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
