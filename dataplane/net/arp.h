/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * ARP for IPv4 over Ethernet: packets, a small table of neighbours, and our own address on the link.
 *
 * The table is asked before each packet is sent and says when a question is due; the caller sends it
 * and keeps what waits. An entry is used while it is asked about again (stale but known), and given up
 * when nobody answers; one that nobody used or confirmed for long is not trusted any more. Only
 * answers we wait for, and stations that ask for us, are learnt; what is known follows every packet of
 * its station, so a neighbour that moves is found at once.
 *
 * Context: one thread owns a table. Memory: the table is the caller's. Limits: ARP_ENTRIES neighbours,
 * ARP_ASKS_PER_S questions about new ones. Who never answered makes room first, then the longest
 * unused. Source: RFC 826, 1122 section 2.3.2, 5227 (announcement, defence).
 */
#pragma once

#include "base/defs.h"

#define ARP_PACKET_SIZE    28
#define ARP_ENTRIES        256
#define ARP_TRIES_MAX      3               /* questions without an answer */
#define ARP_RETRY_NS       (1 * NS_PER_S)  /* between questions */
#define ARP_FRESH_NS       (60 * NS_PER_S) /* an entry is not asked about again before */
#define ARP_DEAD_NS        (5 * NS_PER_S)  /* an address that did not answer is asked again after */
#define ARP_OLD_NS         (600 * NS_PER_S) /* an entry not confirmed for so long is not used */
#define ARP_ASKS_PER_S     256            /* about addresses that are not known: floods name many */
#define ARP_ANNOUNCE_NS    (2 * NS_PER_S) /* between announcements */
#define ARP_ANNOUNCE_COUNT 2
#define ARP_DEFEND_NS      (10 * NS_PER_S) /* between defences of our address */

struct arp_packet {
	bool is_request;
	uint8_t sender_mac[6];
	uint32_t sender; /* address, host byte order */
	uint32_t target; /* address, host byte order */
};

struct arp_entry {
	uint32_t address; /* 0: free */
	bool is_known;    /* mac is valid */
	uint8_t mac[6];
	uint8_t tries;        /* questions since the last answer */
	int64_t confirmed_ns; /* when the mac was learnt or confirmed */
	int64_t asked_ns;     /* last question; 0: none */
	int64_t used_ns;      /* last look-up */
};

struct arp_table {
	struct arp_entry entries[ARP_ENTRIES];
	int64_t asks_until_ns; /* end of the current second */
	uint32_t asks_left;    /* in it */
};

/** Our own address on the link; all zero: nothing to say. */
struct arp_self {
	int64_t due_ns;      /* of the next announcement */
	int64_t defended_ns; /* the last defence; 0: none */
	uint32_t left;       /* announcements to send */
};

enum arp_answer {
	ARP_KNOWN = 0,     /* ret_mac is set */
	ARP_KNOWN_ASK = 1, /* ret_mac is set; ask again, to the station alone */
	ARP_ASK = 2,       /* unknown: send a question now, and wait */
	ARP_WAIT = 3,      /* unknown: a question is under way */
	ARP_DEAD = 4       /* nobody answered lately */
};

enum arp_news {
	ARP_NO_NEWS = 0,
	ARP_NEW = 1,  /* a neighbour is known now */
	ARP_MOVED = 2 /* a known one is at another station */
};

/** @return false: not an Ethernet/IPv4 request or reply, or a group address as sender */
bool arp_parse(const uint8_t *bytes, uint32_t size, struct arp_packet *ret_packet);

/** Write ARP_PACKET_SIZE bytes. @param target_mac  all zero in a broadcast question */
void arp_write(uint8_t *bytes, const struct arp_packet *packet, const uint8_t target_mac[6]);

void arp_table_init(struct arp_table *table);

/** Where to send a packet for `address`, a neighbour on the link. Counts the question it asks for. */
enum arp_answer arp_table_look_up(struct arp_table *table, uint32_t address, int64_t now_ns,
				  uint8_t ret_mac[6]);

/**
 * Learn from a received packet.
 *
 * @param is_for_us  the packet's target is our address: the sender is learnt also when unknown so far
 */
enum arp_news arp_table_learn(struct arp_table *table, const struct arp_packet *packet,
			      bool is_for_us, int64_t now_ns);

/** @return whether it says where its sender is, to all on the link (RFC 5227 section 3) */
static inline bool arp_is_announcement(const struct arp_packet *packet)
{
	return packet->sender == packet->target && packet->sender != 0;
}

/** The port came up: our address is to be announced. */
void arp_self_announce(struct arp_self *self, int64_t now_ns);

/** @return whether to send an announcement now; each time it says so counts as sent */
bool arp_self_is_due(struct arp_self *self, int64_t now_ns);

/** Another station claims our address. @return whether to answer with an announcement now */
bool arp_self_defend(struct arp_self *self, int64_t now_ns);
