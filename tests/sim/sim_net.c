/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_net.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#include "dataplane/net/checksum.h"

#define TCP_PROTOCOL    6
#define CHECKSUM_OFFSET 16
#define WIRE_BYTES_NS   1   /* a byte takes at least so long: nothing arrives at the same time */
#define IP_OVERHEAD     40U /* Ethernet and IP headers take their share of the bottleneck */

bool sim_net_new(struct sim_net *net)
{
	net->pool = calloc(SIM_NET_PACKETS, sizeof(*net->pool));
	if (net->pool == NULL)
		return false;
	for (uint32_t i = 0; i < SIM_NET_PACKETS; i++) {
		net->pool[i].next = net->spare;
		net->spare = &net->pool[i];
	}
	return true;
}

void sim_net_free(struct sim_net *net)
{
	free(net->pool);
	net->pool = NULL;
}

void sim_net_reset(struct sim_net *net)
{
	while (net->count > 0)
		sim_net_unref(net, net->heap[--net->count]);
	memset(net->links, 0, sizeof(net->links));
	net->order = 0;
	net->has_checksums = false;
}

struct sim_net_packet *sim_net_packet(struct sim_net *net)
{
	struct sim_net_packet *packet = net->spare;

	if (packet == NULL)
		return NULL;
	net->spare = packet->next;
	packet->refs = 1;
	packet->ecn = 0;
	packet->is_copy = packet->is_late = false;
	packet->owner = 0;
	packet->payload = 0;
	return packet;
}

void sim_net_unref(struct sim_net *net, struct sim_net_packet *packet)
{
	CHECK(packet->refs > 0);
	if (--packet->refs > 0)
		return;
	memset(packet->bytes, 0xdd, packet->size);
	packet->next = net->spare;
	net->spare = packet;
}

static bool is_before(const struct sim_net_packet *a, const struct sim_net_packet *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void push(struct sim_net *net, struct sim_net_packet *packet)
{
	uint32_t at = net->count++;

	CHECK(at < SIM_NET_PACKETS);
	packet->order = net->order++;
	while (at > 0 && is_before(packet, net->heap[(at - 1) / 2])) {
		net->heap[at] = net->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	net->heap[at] = packet;
}

const struct sim_net_packet *sim_net_first(const struct sim_net *net)
{
	return net->count > 0 ? net->heap[0] : NULL;
}

struct sim_net_packet *sim_net_take(struct sim_net *net)
{
	struct sim_net_packet *first = net->heap[0], *last;
	uint32_t at = 0, child;

	CHECK(net->count > 0);
	last = net->heap[--net->count];
	while ((child = 2 * at + 1) < net->count) {
		if (child + 1 < net->count && is_before(net->heap[child + 1], net->heap[child]))
			child++;
		if (!is_before(net->heap[child], last))
			break;
		net->heap[at] = net->heap[child];
		at = child;
	}
	net->heap[at] = last;
	return first;
}

static bool chance(struct sim_net_link *link, uint32_t of_a_million)
{
	return of_a_million > 0 && prng_below(&link->prng, SIM_NET_MILLION) < of_a_million;
}

static int64_t up_to(struct sim_net_link *link, int64_t limit_ns)
{
	return limit_ns > 0 ? (int64_t)prng_below(&link->prng, (uint64_t)limit_ns + 1) : 0;
}

/** Good and bad times take turns; each is between nothing and twice its mean. */
static bool is_bad(struct sim_net_link *link, int64_t now_ns)
{
	if (link->bad_ns == 0)
		return false;
	if (link->turn_ns == 0 || now_ns - link->turn_ns > 100 * (link->good_ns + link->bad_ns)) {
		link->is_bad = false;
		link->turn_ns = now_ns + up_to(link, 2 * link->good_ns);
	}
	while (link->turn_ns <= now_ns) {
		link->is_bad = !link->is_bad;
		link->turn_ns += 1 + up_to(link, 2 * (link->is_bad ? link->bad_ns : link->good_ns));
	}
	return link->is_bad;
}

static bool is_planned(struct sim_net_link *link, const struct sim_net_packet *packet)
{
	if (packet->payload == 0)
		return false;
	link->payload_count++;
	for (uint32_t i = 0; i < SIM_NET_PLANNED_MAX; i++)
		if (link->planned[i] == link->payload_count)
			return true;
	return false;
}

/** Mark an ECN-capable packet; what is not capable is lost instead. */
static bool mark(struct sim_net_link *link, struct sim_net_packet *packet)
{
	if (packet->ecn == SIM_NET_NOT_ECT)
		return false;
	link->marked += packet->ecn != SIM_NET_CE;
	packet->ecn = SIM_NET_CE;
	return true;
}

/** Does it get past the bottleneck? @param[out] ret_free_ns  when its last bit left that */
static enum sim_net_fate queue(struct sim_net_link *link, struct sim_net_packet *packet,
			       int64_t now_ns, int64_t *ret_free_ns)
{
	int64_t from_ns = MAX(link->free_ns, now_ns);
	uint64_t waiting;

	*ret_free_ns = now_ns;
	if (link->rate == 0)
		return SIM_NET_SENT;
	waiting = (uint64_t)(from_ns - now_ns) * link->rate / NS_PER_S;
	if (waiting + packet->size > link->queue_max)
		return SIM_NET_QUEUE_FULL;
	if (link->mark_at > 0 && waiting > link->mark_at && !mark(link, packet))
		return SIM_NET_QUEUE_FULL;
	link->free_ns =
		from_ns + (int64_t)((packet->size + IP_OVERHEAD) * (uint64_t)NS_PER_S / link->rate);
	*ret_free_ns = link->free_ns;
	return SIM_NET_SENT;
}

static enum sim_net_fate fate_of(struct sim_net_link *link, struct sim_net_packet *packet,
				 int64_t now_ns, int64_t *ret_free_ns)
{
	bool is_ack = packet->payload == 0;

	for (uint32_t i = 0; i < SIM_NET_OUTAGES_MAX; i++)
		if (link->outages[i].from_ns <= now_ns && now_ns < link->outages[i].until_ns)
			return SIM_NET_DOWN;
	if (link->size_max > 0 && packet->size > link->size_max)
		return SIM_NET_TOO_LARGE;
	if (is_planned(link, packet) || chance(link, link->loss) ||
	    (is_ack && chance(link, link->ack_loss)) ||
	    (is_bad(link, now_ns) && chance(link, link->bad_loss)))
		return SIM_NET_LOST;
	if (chance(link, link->mark) && !mark(link, packet))
		return SIM_NET_LOST;
	return queue(link, packet, now_ns, ret_free_ns);
}

/** Flip one bit, or a run of fewer than 16: a one's complement sum always shows it. */
static void damage(struct sim_net_link *link, struct sim_net_packet *packet)
{
	uint64_t bits = chance(link, SIM_NET_MILLION / 2) ? 1 : 2 + prng_below(&link->prng, 14);
	uint64_t at;

	bits = MIN(bits, (uint64_t)packet->size * 8);
	at = prng_below(&link->prng, (uint64_t)packet->size * 8 - bits + 1);
	for (uint64_t i = at; i < at + bits; i++)
		if (i == at || i == at + bits - 1 || chance(link, SIM_NET_MILLION / 2))
			packet->bytes[i / 8] ^= (uint8_t)(0x80 >> i % 8);
}

/** TCP over IPv4, with the pseudo header. */
static uint64_t sum_of(const struct sim_net_packet *packet)
{
	return checksum_add(checksum_pseudo(packet->source, packet->destination, TCP_PROTOCOL,
					    (uint16_t)packet->size),
			    packet->bytes, packet->size);
}

static void seal(struct sim_net_packet *packet)
{
	uint16_t sum;

	memset(packet->bytes + CHECKSUM_OFFSET, 0, 2);
	sum = checksum_fold(sum_of(packet));
	memcpy(packet->bytes + CHECKSUM_OFFSET, &sum, sizeof(sum));
}

static void repeat(struct sim_net *net, struct sim_net_link *link,
		   const struct sim_net_packet *packet, int64_t due_ns)
{
	struct sim_net_packet *copy = sim_net_packet(net);

	if (copy == NULL)
		return;
	memcpy(copy->bytes, packet->bytes, packet->size);
	copy->source = packet->source;
	copy->destination = packet->destination;
	copy->size = packet->size;
	copy->payload = packet->payload;
	copy->owner = packet->owner;
	copy->to = packet->to;
	copy->ecn = packet->ecn;
	copy->is_copy = true;
	copy->due_ns = due_ns + up_to(link, link->late_ns);
	link->repeated++;
	push(net, copy);
}

static void drop(struct sim_net *net, struct sim_net_link *link,
		 const struct sim_net_packet *packet, enum sim_net_fate fate)
{
	link->fates[fate]++;
	if (net->on_drop != NULL)
		net->on_drop(net->ctx, packet, fate);
}

void sim_net_send(struct sim_net *net, struct sim_net_packet *packet, int64_t now_ns)
{
	struct sim_net_link *link = &net->links[!packet->to];
	int64_t due_ns;
	enum sim_net_fate fate = fate_of(link, packet, now_ns, &due_ns);

	if (fate != SIM_NET_SENT) {
		drop(net, link, packet, fate);
		sim_net_unref(net, packet);
		return;
	}
	link->fates[SIM_NET_SENT]++;
	if (net->has_checksums)
		seal(packet);
	due_ns += link->delay_ns + up_to(link, link->jitter_ns);
	if (chance(link, link->reordering)) {
		packet->is_late = true;
		link->overtaken++;
		due_ns += up_to(link, link->late_ns);
	} else {
		due_ns = MAX(due_ns, link->last_due_ns + packet->size * WIRE_BYTES_NS);
		link->last_due_ns = due_ns;
	}
	if (chance(link, link->duplication))
		repeat(net, link, packet, due_ns);
	if (chance(link, link->corruption))
		damage(link, packet);
	packet->due_ns = due_ns;
	push(net, packet);
}

void sim_net_inject(struct sim_net *net, struct sim_net_packet *packet, int64_t due_ns)
{
	if (net->has_checksums)
		seal(packet);
	packet->due_ns = due_ns;
	push(net, packet);
}

void sim_net_postpone(struct sim_net *net, struct sim_net_packet *packet, int64_t due_ns)
{
	packet->due_ns = due_ns;
	push(net, packet);
}

bool sim_net_is_intact(struct sim_net *net, struct sim_net_packet *packet)
{
	if (!net->has_checksums || checksum_fold(sum_of(packet)) == 0)
		return true;
	drop(net, &net->links[!packet->to], packet, SIM_NET_DAMAGED);
	return false;
}

void sim_net_deaf(struct sim_net *net, const struct sim_net_packet *packet)
{
	drop(net, &net->links[!packet->to], packet, SIM_NET_DEAF);
}

const char *sim_net_fate_name(enum sim_net_fate fate)
{
	static const char *const names[SIM_NET_FATE_COUNT] = {
		"", "lost", "link down", "queue full", "too large", "damaged", "ring full",
	};

	return names[fate];
}
