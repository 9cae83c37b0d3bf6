/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/arp.h"

#include <string.h>

#include "base/bytes.h"

#include "dataplane/core/hot.h"

#define HARDWARE_ETHERNET 1
#define PROTOCOL_IP4      0x0800
#define OP_REQUEST        1
#define OP_REPLY          2
#define WAYS              4 /* slots an address may be in, from its hash on */

_Static_assert(IS_POW2(ARP_ENTRIES), "the hash is masked");

bool arp_parse(const uint8_t *bytes, uint32_t size, struct arp_packet *ret_packet)
{
	uint16_t op;

	if (size < ARP_PACKET_SIZE || bytes_load_u16(bytes) != HARDWARE_ETHERNET ||
	    bytes_load_u16(bytes + 2) != PROTOCOL_IP4 || bytes[4] != 6 || bytes[5] != 4)
		return false;
	op = bytes_load_u16(bytes + 6);
	if ((op != OP_REQUEST && op != OP_REPLY) || (bytes[8] & 1) != 0)
		return false;
	ret_packet->is_request = op == OP_REQUEST;
	memcpy(ret_packet->sender_mac, bytes + 8, 6);
	ret_packet->sender = bytes_load_u32(bytes + 14);
	ret_packet->target = bytes_load_u32(bytes + 24);
	return true;
}

void arp_write(uint8_t *bytes, const struct arp_packet *packet, const uint8_t target_mac[6])
{
	bytes_store_u16(bytes, HARDWARE_ETHERNET);
	bytes_store_u16(bytes + 2, PROTOCOL_IP4);
	bytes[4] = 6;
	bytes[5] = 4;
	bytes_store_u16(bytes + 6, packet->is_request ? OP_REQUEST : OP_REPLY);
	memcpy(bytes + 8, packet->sender_mac, 6);
	bytes_store_u32(bytes + 14, packet->sender);
	memcpy(bytes + 18, target_mac, 6);
	bytes_store_u32(bytes + 24, packet->target);
}

void arp_table_init(struct arp_table *table)
{
	memset(table, 0, sizeof(*table));
}

static struct arp_entry *slot(struct arp_table *table, uint32_t address, uint32_t way)
{
	return &table->entries[((address * 0x9e3779b1U >> 16) + way) & (ARP_ENTRIES - 1)];
}

static struct arp_entry *find(struct arp_table *table, uint32_t address)
{
	for (uint32_t way = 0; way < WAYS; way++) {
		if (slot(table, address, way)->address == address)
			return slot(table, address, way);
	}
	return NULL;
}

/* A fresh entry, in a free slot or in place of the longest unused. */
static struct arp_entry *make(struct arp_table *table, uint32_t address, int64_t now_ns)
{
	struct arp_entry *best = slot(table, address, 0);

	for (uint32_t way = 0; way < WAYS && best->address != 0; way++) {
		struct arp_entry *entry = slot(table, address, way);

		if (entry->address == 0 || entry->used_ns < best->used_ns)
			best = entry;
	}
	*best = (struct arp_entry){ .address = address, .used_ns = now_ns };
	return best;
}

static bool question_is_due(const struct arp_entry *entry, int64_t now_ns)
{
	return entry->asked_ns == 0 || now_ns - entry->asked_ns >= ARP_RETRY_NS;
}

static void note_question(struct arp_entry *entry, int64_t now_ns)
{
	entry->asked_ns = now_ns;
	entry->tries++;
}

enum arp_answer arp_table_look_up(struct arp_table *table, uint32_t address, int64_t now_ns,
				  uint8_t ret_mac[6])
{
	struct arp_entry *entry = find(table, address);

	if (entry == NULL)
		entry = make(table, address, now_ns);
	entry->used_ns = now_ns;
	if (entry->is_known) {
		memcpy(ret_mac, entry->mac, 6);
		if (now_ns - entry->confirmed_ns < ARP_FRESH_NS || !question_is_due(entry, now_ns))
			return ARP_KNOWN;
		if (entry->tries < ARP_TRIES_MAX) {
			note_question(entry, now_ns);
			return ARP_KNOWN_ASK;
		}
		/* The station is gone, or another one has its address. */
		entry->is_known = false;
		entry->tries = 0;
	}
	if (entry->tries >= ARP_TRIES_MAX && now_ns - entry->asked_ns >= ARP_DEAD_NS)
		entry->tries = 0;
	if (!question_is_due(entry, now_ns))
		return entry->tries >= ARP_TRIES_MAX ? ARP_DEAD : ARP_WAIT;
	if (entry->tries >= ARP_TRIES_MAX)
		return ARP_DEAD;
	note_question(entry, now_ns);
	return ARP_ASK;
}

bool arp_table_learn(struct arp_table *table, const struct arp_packet *packet, bool is_for_us,
		     int64_t now_ns)
{
	struct arp_entry *entry;
	bool is_change;

	if (packet->sender == 0) /* a probe: nobody has the address yet */
		return false;
	entry = find(table, packet->sender);
	if (entry == NULL) {
		/* A reply that nobody waits for may fill the table with anything. */
		if (!is_for_us || !packet->is_request)
			return false;
		entry = make(table, packet->sender, now_ns);
	}
	is_change = !entry->is_known || memcmp(entry->mac, packet->sender_mac, 6) != 0;
	memcpy(entry->mac, packet->sender_mac, 6);
	entry->is_known = true;
	entry->tries = 0;
	entry->asked_ns = 0;
	entry->confirmed_ns = now_ns;
	return is_change;
}
