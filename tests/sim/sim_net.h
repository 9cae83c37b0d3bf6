/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * A network of two directions in virtual time. Each direction has a bottleneck with a queue, a delay,
 * and ways to lose, repeat, overtake, damage or mark packets; all of them are drawn from the
 * direction's own seed, so one seed makes one history.
 *
 * A damaged packet carries bits that the Internet checksum is sure to see (one bit, or a run of fewer
 * than 16): the receiver drops and counts it. Damage that no checksum sees is not simulated.
 *
 * Context: tests. Memory: one pool, made once, used by one seed after the other.
 * Source: Gilbert 1960 (the loss that comes in bursts); RFC 3168 section 5 (marking).
 */
#pragma once

#include "base/prng.h"

#define SIM_NET_PACKET_MAX  9100U
#define SIM_NET_PACKETS     8192U
#define SIM_NET_OUTAGES_MAX 4U
#define SIM_NET_PLANNED_MAX 8U
#define SIM_NET_MILLION     1000000U /* chances below are of a million */

enum sim_net_ecn { SIM_NET_NOT_ECT = 0, SIM_NET_ECT_1 = 1, SIM_NET_ECT_0 = 2, SIM_NET_CE = 3 };

/** What became of a packet; only SENT ones arrive, some of them damaged. */
enum sim_net_fate {
	SIM_NET_SENT,
	SIM_NET_LOST,
	SIM_NET_DOWN,       /* an outage */
	SIM_NET_QUEUE_FULL, /* of the bottleneck */
	SIM_NET_TOO_LARGE,  /* for the path */
	SIM_NET_DAMAGED,    /* told at arrival */
	SIM_NET_DEAF,       /* the receiver was not there and its ring was full; told at arrival */
	SIM_NET_FATE_COUNT
};

struct sim_net_packet {
	struct sim_net_packet *next; /* free list */
	int64_t due_ns;
	uint64_t order; /* of sending; breaks ties */
	uint32_t source, destination;
	uint32_t size, payload; /* bytes of all, and of payload among them */
	uint32_t refs;
	uint32_t owner; /* the caller's: which connection */
	uint8_t to;     /* 0 or 1 */
	uint8_t ecn;    /* enum sim_net_ecn */
	bool is_copy;   /* the network made it */
	bool is_late;   /* others overtake it */
	uint8_t bytes[SIM_NET_PACKET_MAX];
};

struct sim_net_span {
	int64_t from_ns, until_ns;
};

/** One direction. */
struct sim_net_link {
	uint32_t loss, ack_loss, duplication, reordering, corruption, mark; /* of a million */
	uint32_t bad_loss;           /* while the link is bad */
	int64_t bad_ns, good_ns;     /* mean length of bad and good times; bad 0: never bad */
	int64_t delay_ns, jitter_ns; /* jitter keeps the order */
	int64_t late_ns;    /* what is reordered or repeated comes this much later at most */
	uint64_t rate;      /* bytes a second of the bottleneck; 0: endless */
	uint32_t queue_max; /* bytes that wait for it */
	uint32_t mark_at;   /* bytes waiting from which packets are marked; 0: never */
	uint32_t size_max;  /* of a packet; 0: any */
	struct sim_net_span outages[SIM_NET_OUTAGES_MAX];
	uint32_t planned[SIM_NET_PLANNED_MAX]; /* the n-th packet with payload is lost; 0: none */
	struct prng prng;
	bool is_bad;
	int64_t turn_ns;              /* good turns bad then, or bad good */
	int64_t free_ns, last_due_ns; /* the bottleneck is free; the last arrival in order */
	uint32_t payload_count;
	uint64_t fates[SIM_NET_FATE_COUNT], repeated, overtaken, marked;
};

struct sim_net {
	struct sim_net_link links[2]; /* by the side that sends */
	struct sim_net_packet *pool, *spare;
	struct sim_net_packet *heap[SIM_NET_PACKETS]; /* on their way, the next one first */
	uint32_t count;
	uint64_t order;
	bool has_checksums; /* set when a link damages packets */
	/** Told of every packet that will not arrive. */
	void (*on_drop)(void *ctx, const struct sim_net_packet *packet, enum sim_net_fate fate);
	void *ctx;
};

/** Make the pool. @return false: out of memory */
bool sim_net_new(struct sim_net *net);
void sim_net_free(struct sim_net *net);
/** Nothing on the way and blank links; the pool stays. */
void sim_net_reset(struct sim_net *net);

/** @return a packet with one reference; NULL: the pool is empty */
struct sim_net_packet *sim_net_packet(struct sim_net *net);
/** Poisons the bytes when it was the last reference: who reads on sees it. */
void sim_net_unref(struct sim_net *net, struct sim_net_packet *packet);

/** Send: the caller's reference goes to the network. */
void sim_net_send(struct sim_net *net, struct sim_net_packet *packet, int64_t now_ns);
/** Let a packet arrive at a time, past all links. */
void sim_net_inject(struct sim_net *net, struct sim_net_packet *packet, int64_t due_ns);

/** Put back what was taken: it arrives once more, later, as it is. */
void sim_net_postpone(struct sim_net *net, struct sim_net_packet *packet, int64_t due_ns);

/** @return the next to arrive; NULL: nothing is on its way */
const struct sim_net_packet *sim_net_first(const struct sim_net *net);
/** Take the next to arrive. The reference goes to the caller. */
struct sim_net_packet *sim_net_take(struct sim_net *net);
/** Verify the TCP checksum as a NIC would. @return false: it was damaged; it is counted */
bool sim_net_is_intact(struct sim_net *net, struct sim_net_packet *packet);
/** Count and tell a packet that arrived where nobody could take it. */
void sim_net_deaf(struct sim_net *net, const struct sim_net_packet *packet);

const char *sim_net_fate_name(enum sim_net_fate fate);

/** @return true: no later packet can overtake an earlier one, and none arrives twice */
static inline bool sim_net_keeps_order(const struct sim_net *net)
{
	return net->links[0].reordering == 0 && net->links[1].reordering == 0 &&
	       net->links[0].duplication == 0 && net->links[1].duplication == 0;
}
