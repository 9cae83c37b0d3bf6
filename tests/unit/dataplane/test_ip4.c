/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: headers written are read back; each kind of bad header has its result; padding is cut and
 * options are skipped; addresses as text are strict. Shown field by field.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"

#include "dataplane/net/checksum.h"
#include "dataplane/net/ip4.h"

#include "cm.h"

static uint8_t bytes[64];

static void make(void)
{
	memset(bytes, 0, sizeof(bytes));
	ip4_write(bytes, 0x0a4d0001, 0x0a4d0002, IP4_TCP, 0x1234, 10);
}

static void seal(uint32_t header_size)
{
	uint16_t sum;

	bytes_store_u16(bytes + 10, 0);
	sum = checksum_fold(checksum_add(0, bytes, header_size));
	memcpy(bytes + 10, &sum, 2);
}

static enum ip4_result parse(uint32_t size)
{
	struct ip4_packet packet;

	return ip4_parse(bytes, size, false, &packet);
}

static void test_ip4_writes_what_it_parses(void **state)
{
	struct ip4_packet packet;

	(void)state;
	make();
	assert_int_equal(ip4_parse(bytes, sizeof(bytes), false, &packet), IP4_OK);
	assert_int_equal(packet.source, 0x0a4d0001);
	assert_int_equal(packet.destination, 0x0a4d0002);
	assert_int_equal(packet.protocol, IP4_TCP);
	assert_int_equal(packet.size, 10); /* the rest is padding */
	assert_ptr_equal(packet.bytes, bytes + 20);
}

static void test_ip4_ecn_of_a_written_header(void **state)
{
	struct ip4_packet packet;

	(void)state;
	for (uint8_t ecn = 0; ecn < 4; ecn++) {
		make();
		ip4_set_ecn(bytes, 3);
		ip4_set_ecn(bytes, ecn);
		assert_int_equal(ip4_parse(bytes, sizeof(bytes), false, &packet), IP4_OK);
		assert_int_equal(packet.ecn, ecn);
	}
}

static void test_ip4_skips_options(void **state)
{
	struct ip4_packet packet;

	(void)state;
	make();
	bytes[0] = 0x47;
	bytes[1] = 3; /* congestion experienced */
	seal(28);
	assert_int_equal(ip4_parse(bytes, 30, false, &packet), IP4_OK);
	assert_int_equal(packet.size, 2);
	assert_int_equal(packet.ecn, 3);
}

static void test_ip4_refuses_malformed(void **state)
{
	struct ip4_packet packet;

	(void)state;
	make();
	assert_int_equal(parse(30), IP4_OK);
	assert_int_equal(parse(29), IP4_MALFORMED);
	assert_int_equal(parse(19), IP4_MALFORMED);
	bytes[0] = 0x65;
	assert_int_equal(parse(30), IP4_MALFORMED);
	bytes[0] = 0x44;
	assert_int_equal(parse(30), IP4_MALFORMED);
	bytes[0] = 0x48; /* header of 32 bytes, packet of 30 */
	assert_int_equal(parse(64), IP4_MALFORMED);
	make();
	bytes[8]--;
	assert_int_equal(parse(30), IP4_CHECKSUM);
	assert_int_equal(ip4_parse(bytes, 30, true, &packet), IP4_OK);
}

static void test_ip4_refuses_fragments_and_sources(void **state)
{
	static const uint32_t sources[] = { 0, 0x7f000001, 0xe0000001, 0xffffffff };

	(void)state;
	make();
	bytes[6] = 0x20;
	seal(20);
	assert_int_equal(parse(30), IP4_FRAGMENT);
	bytes[6] = 0;
	bytes[7] = 1;
	seal(20);
	assert_int_equal(parse(30), IP4_FRAGMENT);
	bytes[6] = 0x40; /* "do not fragment" is none */
	bytes[7] = 0;
	seal(20);
	assert_int_equal(parse(30), IP4_OK);
	for (size_t i = 0; i < ARRAY_COUNT(sources); i++) {
		make();
		bytes_store_u32(bytes + 12, sources[i]);
		seal(20);
		assert_int_equal(parse(30), IP4_BAD_ADDRESS);
	}
}

static void test_ip4_text(void **state)
{
	static const char *const bad[] = { "",         "10.77.0",    "10.77.0.2.1", "10.77.0.256",
					   "10.77.0.", "10.77.0.2 ", "a.b.c.d",     ".1.2.3",
					   "1..2.3",   "1.2.3.0004" };
	uint32_t address = 5;

	(void)state;
	assert_int_equal(ip4_parse_text("10.77.0.2", &address), 0);
	assert_int_equal(address, 0x0a4d0002);
	assert_int_equal(ip4_parse_text("255.255.255.255", &address), 0);
	assert_int_equal(address, UINT32_MAX);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_int_equal(ip4_parse_text(bad[i], &address), -EINVAL);
	assert_int_equal(address, UINT32_MAX);
	assert_int_equal(ip4_mask(24), 0xffffff00);
	assert_int_equal(ip4_mask(0), 0);
	assert_int_equal(ip4_mask(32), UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ip4_writes_what_it_parses),
		cmocka_unit_test(test_ip4_ecn_of_a_written_header),
		cmocka_unit_test(test_ip4_skips_options),
		cmocka_unit_test(test_ip4_refuses_malformed),
		cmocka_unit_test(test_ip4_refuses_fragments_and_sources),
		cmocka_unit_test(test_ip4_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
