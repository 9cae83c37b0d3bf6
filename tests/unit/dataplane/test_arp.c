/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: packets written are read back, malformed ones refused; the table asks with a pause, gives up
 * and tries again later, keeps a stale neighbour while it asks about it, follows one that moves, learns
 * only what it may, and stays bounded, also in a flood; our address is announced and defended, not too
 * often. Shown with a clock in the test's hand.
 */
#include <string.h>

#include "dataplane/net/arp.h"

#include "cm.h"

#define PEER 0x0a4d0001U

static struct arp_table table;
static uint8_t mac[6];

static struct arp_packet packet_from(uint32_t sender, bool is_request, uint8_t last)
{
	return (struct arp_packet){ .is_request = is_request,
				    .sender_mac = { 2, 0, 0, 0, 0, last },
				    .sender = sender,
				    .target = 0x0a4d0002 };
}

static enum arp_answer ask(int64_t now_ns)
{
	return arp_table_look_up(&table, PEER, now_ns, mac);
}

static void test_arp_writes_what_it_parses(void **state)
{
	static const uint8_t target[6] = { 2, 9, 9, 9, 9, 9 };
	struct arp_packet in = packet_from(PEER, false, 7), out;
	uint8_t bytes[ARP_PACKET_SIZE];

	(void)state;
	arp_write(bytes, &in, target);
	assert_true(arp_parse(bytes, sizeof(bytes), &out));
	assert_false(out.is_request);
	assert_int_equal(out.sender, in.sender);
	assert_int_equal(out.target, in.target);
	assert_memory_equal(out.sender_mac, in.sender_mac, 6);
	assert_memory_equal(bytes + 18, target, 6);
	assert_false(arp_parse(bytes, sizeof(bytes) - 1, &out));
	for (int i = 0; i < 8; i++) {
		bytes[i] ^= 0x40;
		assert_false(arp_parse(bytes, sizeof(bytes), &out));
		bytes[i] ^= 0x40;
	}
	bytes[8] |= 1; /* a group has no address to send to */
	assert_false(arp_parse(bytes, sizeof(bytes), &out));
}

static void test_arp_asks_and_gives_up(void **state)
{
	int64_t now_ns = NS_PER_S;

	(void)state;
	arp_table_init(&table);
	for (int i = 0; i < ARP_TRIES_MAX; i++) {
		assert_int_equal(ask(now_ns), ARP_ASK);
		assert_int_equal(ask(now_ns + ARP_RETRY_NS - 1),
				 i + 1 < ARP_TRIES_MAX ? ARP_WAIT : ARP_DEAD);
		now_ns += ARP_RETRY_NS;
	}
	assert_int_equal(ask(now_ns), ARP_DEAD);
	now_ns += ARP_DEAD_NS;
	assert_int_equal(ask(now_ns), ARP_ASK);
}

static void test_arp_learns_and_refreshes(void **state)
{
	struct arp_packet reply = packet_from(PEER, false, 7);
	int64_t now_ns = NS_PER_S;

	(void)state;
	arp_table_init(&table);
	assert_int_equal(ask(now_ns), ARP_ASK);
	assert_true(arp_table_learn(&table, &reply, true, now_ns));
	assert_false(arp_table_learn(&table, &reply, true, now_ns));
	assert_int_equal(ask(now_ns), ARP_KNOWN);
	assert_int_equal(mac[5], 7);
	now_ns += ARP_FRESH_NS;
	memset(mac, 0, 6);
	assert_int_equal(ask(now_ns), ARP_KNOWN_ASK);
	assert_int_equal(mac[5], 7);
	assert_int_equal(ask(now_ns), ARP_KNOWN);
	reply.sender_mac[5] = 8; /* it moved */
	assert_true(arp_table_learn(&table, &reply, true, now_ns));
	assert_int_equal(ask(now_ns), ARP_KNOWN);
	assert_int_equal(mac[5], 8);
	now_ns += ARP_FRESH_NS;
	for (int i = 0; i < ARP_TRIES_MAX; i++, now_ns += ARP_RETRY_NS)
		assert_int_equal(ask(now_ns), ARP_KNOWN_ASK);
	assert_int_equal(ask(now_ns), ARP_ASK); /* gone: from the start */
}

static void test_arp_learns_only_what_it_may(void **state)
{
	struct arp_packet request = packet_from(PEER, true, 7), reply = packet_from(PEER, false, 9);
	struct arp_packet probe = packet_from(0, true, 9);

	(void)state;
	arp_table_init(&table);
	assert_false(arp_table_learn(&table, &reply, true, 1));
	assert_false(arp_table_learn(&table, &request, false, 1));
	assert_false(arp_table_learn(&table, &probe, true, 1));
	assert_true(arp_table_learn(&table, &request, true, 1));
	assert_int_equal(ask(2), ARP_KNOWN);
	for (uint32_t i = 1; i < 5000; i++) {
		request.sender = PEER + i;
		(void)arp_table_learn(&table, &request, true, 2 + i);
	}
	request.sender = PEER + 4999;
	assert_int_equal(arp_table_look_up(&table, request.sender, 6000, mac), ARP_KNOWN);
}

static void test_arp_old_entry_is_asked_about_before_use(void **state)
{
	struct arp_packet reply = packet_from(PEER, false, 7);

	(void)state;
	arp_table_init(&table);
	assert_int_equal(ask(1), ARP_ASK);
	assert_int_equal(arp_table_learn(&table, &reply, true, 1), ARP_NEW);
	assert_int_equal(ask(ARP_OLD_NS), ARP_KNOWN_ASK);
	assert_int_equal(arp_table_learn(&table, &reply, true, ARP_OLD_NS), ARP_NO_NEWS);
	assert_int_equal(ask(ARP_OLD_NS + 1), ARP_KNOWN);
	assert_int_equal(ask(2 * ARP_OLD_NS), ARP_ASK);
	assert_int_equal(arp_table_learn(&table, &reply, true, 2 * ARP_OLD_NS), ARP_NEW);
}

static void test_arp_follows_a_neighbour_that_moves(void **state)
{
	struct arp_packet packet = packet_from(PEER, true, 7);

	(void)state;
	arp_table_init(&table);
	assert_int_equal(arp_table_learn(&table, &packet, true, 1), ARP_NEW);
	packet.sender_mac[5] = 8; /* it says so to all */
	packet.target = PEER;
	assert_true(arp_is_announcement(&packet));
	assert_int_equal(arp_table_learn(&table, &packet, false, 2), ARP_MOVED);
	assert_int_equal(ask(3), ARP_KNOWN);
	assert_int_equal(mac[5], 8);
	packet = packet_from(PEER, true, 9); /* it asks for somebody else */
	packet.target = PEER + 1;
	assert_false(arp_is_announcement(&packet));
	assert_int_equal(arp_table_learn(&table, &packet, false, 4), ARP_MOVED);
	assert_int_equal(ask(5), ARP_KNOWN);
	assert_int_equal(mac[5], 9);
	packet = packet_from(0, true, 9);
	packet.target = 0;
	assert_false(arp_is_announcement(&packet));
}

/** Strangers make up addresses: neighbours that answered stay, and few questions are asked. */
static void test_arp_flood_of_unknown_addresses(void **state)
{
	struct arp_packet packet = packet_from(PEER, true, 7);
	uint32_t asked = 0;

	(void)state;
	arp_table_init(&table);
	for (uint32_t i = 0; i < 16; i++) {
		packet.sender = PEER + i;
		assert_int_equal(arp_table_learn(&table, &packet, true, 1), ARP_NEW);
	}
	for (uint32_t i = 0; i < 100000; i++)
		asked += arp_table_look_up(&table, 0xc0000000 + i * 7919, 2 + i, mac) == ARP_ASK;
	assert_int_equal(asked, ARP_ASKS_PER_S);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(arp_table_look_up(&table, PEER + i, NS_PER_S, mac), ARP_KNOWN);
	/* The next second has questions again. */
	assert_int_equal(arp_table_look_up(&table, 0x0b000000, 2 * NS_PER_S, mac), ARP_ASK);
}

static void test_arp_rfc5227_announces_and_defends(void **state)
{
	struct arp_self self = { 0 };

	(void)state;
	assert_false(arp_self_is_due(&self, NS_PER_S));
	arp_self_announce(&self, NS_PER_S);
	assert_true(arp_self_is_due(&self, NS_PER_S));
	assert_false(arp_self_is_due(&self, NS_PER_S + ARP_ANNOUNCE_NS - 1));
	assert_true(arp_self_is_due(&self, NS_PER_S + ARP_ANNOUNCE_NS));
	assert_false(arp_self_is_due(&self, 1000 * NS_PER_S));
	assert_true(arp_self_defend(&self, 1000 * NS_PER_S));
	assert_false(arp_self_defend(&self, 1000 * NS_PER_S + ARP_DEFEND_NS - 1));
	assert_true(arp_self_defend(&self, 1000 * NS_PER_S + ARP_DEFEND_NS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arp_writes_what_it_parses),
		cmocka_unit_test(test_arp_asks_and_gives_up),
		cmocka_unit_test(test_arp_learns_and_refreshes),
		cmocka_unit_test(test_arp_learns_only_what_it_may),
		cmocka_unit_test(test_arp_old_entry_is_asked_about_before_use),
		cmocka_unit_test(test_arp_follows_a_neighbour_that_moves),
		cmocka_unit_test(test_arp_flood_of_unknown_addresses),
		cmocka_unit_test(test_arp_rfc5227_announces_and_defends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
