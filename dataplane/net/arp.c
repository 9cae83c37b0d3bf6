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

/* Which of two makes room? Addresses that strangers make up must not push out those that answer. */
static bool goes_first(const struct arp_entry *a, const struct arp_entry *b)
{
	if (a->address == 0 || b->address == 0)
		return a->address == 0;
	if (a->is_known != b->is_known)
		return !a->is_known;
	return a->used_ns < b->used_ns;
}

/* A fresh entry, in a free slot or in place of another one. */
static struct arp_entry *make(struct arp_table *table, uint32_t address, int64_t now_ns)
{
	struct arp_entry *best = slot(table, address, 0);

	for (uint32_t way = 1; way < WAYS; way++) {
		if (goes_first(slot(table, address, way), best))
			best = slot(table, address, way);
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

/* One more question about an address that is not known? */
static bool may_ask(struct arp_table *table, int64_t now_ns)
{
	if (now_ns >= table->asks_until_ns) {
		table->asks_until_ns = now_ns + NS_PER_S;
		table->asks_left = ARP_ASKS_PER_S;
	}
	if (table->asks_left == 0)
		return false;
	table->asks_left--;
	return true;
}

static void forget(struct arp_entry *entry)
{
	entry->is_known = false;
	entry->tries = 0;
}

enum arp_answer arp_table_look_up(struct arp_table *table, uint32_t address, int64_t now_ns,
				  uint8_t ret_mac[6])
{
	struct arp_entry *entry = find(table, address);

	if (entry == NULL)
		entry = make(table, address, now_ns);
	entry->used_ns = now_ns;
	if (entry->is_known && now_ns - entry->confirmed_ns >= ARP_OLD_NS)
		forget(entry);
	if (entry->is_known) {
		memcpy(ret_mac, entry->mac, 6);
		if (now_ns - entry->confirmed_ns < ARP_FRESH_NS || !question_is_due(entry, now_ns))
			return ARP_KNOWN;
		if (entry->tries < ARP_TRIES_MAX) {
			note_question(entry, now_ns);
			return ARP_KNOWN_ASK;
		}
		forget(entry); /* the station is gone, or another one has its address */
	}
	if (entry->tries >= ARP_TRIES_MAX && now_ns - entry->asked_ns >= ARP_DEAD_NS)
		entry->tries = 0;
	if (!question_is_due(entry, now_ns))
		return entry->tries >= ARP_TRIES_MAX ? ARP_DEAD : ARP_WAIT;
	if (entry->tries >= ARP_TRIES_MAX)
		return ARP_DEAD;
	if (!may_ask(table, now_ns))
		return ARP_WAIT;
	note_question(entry, now_ns);
	return ARP_ASK;
}

enum arp_news arp_table_learn(struct arp_table *table, const struct arp_packet *packet,
			      bool is_for_us, int64_t now_ns)
{
	enum arp_news news = ARP_NO_NEWS;
	struct arp_entry *entry;

	if (packet->sender == 0) /* a probe: nobody has the address yet */
		return ARP_NO_NEWS;
	entry = find(table, packet->sender);
	if (entry == NULL) {
		/* A reply that nobody waits for may fill the table with anything. */
		if (!is_for_us || !packet->is_request)
			return ARP_NO_NEWS;
		entry = make(table, packet->sender, now_ns);
	}
	if (!entry->is_known)
		news = ARP_NEW;
	else if (memcmp(entry->mac, packet->sender_mac, 6) != 0)
		news = ARP_MOVED;
	memcpy(entry->mac, packet->sender_mac, 6);
	entry->is_known = true;
	entry->tries = 0;
	entry->asked_ns = 0;
	entry->confirmed_ns = now_ns;
	return news;
}

void arp_self_announce(struct arp_self *self, int64_t now_ns)
{
	self->left = ARP_ANNOUNCE_COUNT;
	self->due_ns = now_ns;
}

bool arp_self_is_due(struct arp_self *self, int64_t now_ns)
{
	if (self->left == 0 || now_ns < self->due_ns)
		return false;
	self->left--;
	self->due_ns = now_ns + ARP_ANNOUNCE_NS;
	return true;
}

bool arp_self_defend(struct arp_self *self, int64_t now_ns)
{
	if (self->defended_ns != 0 && now_ns - self->defended_ns < ARP_DEFEND_NS)
		return false; /* two that defend at once would never end (RFC 5227 section 2.4) */
	self->defended_ns = now_ns;
	return true;
}
