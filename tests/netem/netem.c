/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link between two interfaces that loses, doubles, damages, delays and reorders IPv4 packets as a
 * seed has it, for kernels without netem. Everything else (ARP) passes at once, unharmed.
 *
 * It prints "ready", runs until SIGTERM and then prints what it did as one JSON object. What it drops
 * beyond its orders (its own ring or the kernel's queues full) is counted apart.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"

#include "dataplane/net/checksum.h"
#include "dataplane/net/eth.h"
#include "dataplane/net/ip4.h"

#include "tests/netem/netem_fate.h"
#include "tests/netem/netem_pcap.h"
#include "tests/netem/netem_port.h"

#define PACKETS_MAX    32768
#define HELD_MAX       64
#define HELD_NS        (2 * NS_PER_MS) /* who is to be overtaken waits no longer */
#define TAKE_MAX       64
#define TCP_PROTOCOL   6
#define ECN_BITS       3 /* both set: congestion experienced; none: cannot be marked */
#define CAPTURE_LIMIT  (64U << 20)
#define CAPTURE_SNAP   128
#define TIMER_SLACK_NS 1000

struct packet {
	uint8_t bytes[NETEM_FRAME_MAX];
	uint32_t size;
	uint32_t direction; /* 0: from a to b */
	uint32_t overtaken_by;
	int64_t due_ns;
	uint64_t order; /* breaks ties */
};

struct direction {
	struct netem_settings settings;
	struct packet *held[HELD_MAX]; /* to be overtaken */
	uint32_t held_count;
	int64_t free_ns; /* when the rate allows the next one */
	uint64_t frames, ip, bytes, lost, duplicated, corrupted, reordered, queue_drops, sent;
	uint64_t marked, bad_checksums, partial_checksums;
};

struct bridge {
	struct netem_port ports[2];
	struct direction directions[2]; /* [n] is read from ports[n] */
	struct netem_pcap pcap;
	int capture_side;
	uint64_t seed, order;
	struct packet *packets, **idle, **heap;
	uint32_t idle_count, heap_count;
};

static volatile sig_atomic_t is_over;

static void on_signal(int number)
{
	(void)number;
	is_over = 1;
}

static bool is_before(const struct packet *a, const struct packet *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void heap_push(struct bridge *bridge, struct packet *packet)
{
	uint32_t at = bridge->heap_count++;

	packet->order = bridge->order++;
	while (at > 0 && is_before(packet, bridge->heap[(at - 1) / 2])) {
		bridge->heap[at] = bridge->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	bridge->heap[at] = packet;
}

static struct packet *heap_pop(struct bridge *bridge)
{
	struct packet *first = bridge->heap[0], *last = bridge->heap[--bridge->heap_count];
	uint32_t at = 0;

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= bridge->heap_count)
			break;
		if (child + 1 < bridge->heap_count &&
		    is_before(bridge->heap[child + 1], bridge->heap[child]))
			child++;
		if (!is_before(bridge->heap[child], last))
			break;
		bridge->heap[at] = bridge->heap[child];
		at = child;
	}
	if (bridge->heap_count > 0)
		bridge->heap[at] = last;
	return first;
}

static struct packet *packet_new(struct bridge *bridge, const struct netem_frame *frame,
				 uint32_t direction)
{
	struct packet *packet;

	CHECK(bridge->idle_count > 0);
	packet = bridge->idle[--bridge->idle_count];
	memcpy(packet->bytes, frame->bytes, frame->size);
	packet->size = frame->size;
	packet->direction = direction;
	packet->overtaken_by = 0;
	return packet;
}

static void packet_free(struct bridge *bridge, struct packet *packet)
{
	bridge->idle[bridge->idle_count++] = packet;
}

/* Checksums of what an end sent: right before we touch it, or its stack is wrong. */
static bool is_sound(const struct netem_frame *frame)
{
	struct ip4_packet ip;
	enum ip4_result result = ip4_parse(frame->bytes + ETH_HEADER_SIZE,
					   frame->size - ETH_HEADER_SIZE, false, &ip);

	if (result == IP4_MALFORMED || result == IP4_CHECKSUM)
		return false;
	if (result != IP4_OK || ip.protocol != TCP_PROTOCOL)
		return true;
	return checksum_fold(checksum_add(
		       checksum_pseudo(ip.source, ip.destination, TCP_PROTOCOL, (uint16_t)ip.size),
		       ip.bytes, ip.size)) == 0;
}

/* When the rate lets a packet out. @return false: the queue in front of it is full */
static bool pass_rate(struct direction *direction, uint32_t size, int64_t now_ns, int64_t *ret_ns)
{
	const struct netem_settings *settings = &direction->settings;
	int64_t begin_ns = MAX(direction->free_ns, now_ns);

	*ret_ns = now_ns;
	if (settings->rate_mbit == 0)
		return true;
	if ((uint64_t)(begin_ns - now_ns) * settings->rate_mbit / 8000 > settings->queue_size)
		return false;
	direction->free_ns = begin_ns + (int64_t)((uint64_t)size * 8000 / settings->rate_mbit);
	*ret_ns = direction->free_ns;
	return true;
}

/* @return whether it could be marked */
static bool mark(uint8_t *ip)
{
	if ((ip[1] & ECN_BITS) == 0)
		return false;
	ip4_set_ecn(ip, ECN_BITS);
	return true;
}

static void put(struct bridge *bridge, struct direction *direction, struct packet *packet)
{
	if (packet->overtaken_by > 0 && direction->held_count < HELD_MAX) {
		direction->held[direction->held_count++] = packet;
		return;
	}
	heap_push(bridge, packet);
	/* It overtook those that are held. */
	for (uint32_t i = 0; i < direction->held_count;) {
		struct packet *held = direction->held[i];

		if (--held->overtaken_by > 0) {
			i++;
			continue;
		}
		held->due_ns = MAX(held->due_ns, packet->due_ns);
		heap_push(bridge, held);
		memmove(&direction->held[i], &direction->held[i + 1],
			(--direction->held_count - i) * sizeof(held));
	}
}

static void impair(struct bridge *bridge, uint32_t index, const struct netem_frame *frame,
		   int64_t now_ns)
{
	struct direction *direction = &bridge->directions[index];
	struct netem_fate fate;
	int64_t due_ns;

	netem_fate(&direction->settings, bridge->seed, index, direction->ip++, &fate);
	direction->bytes += frame->size;
	if (!is_sound(frame))
		direction->bad_checksums++;
	if (fate.is_lost) {
		direction->lost++;
		return;
	}
	if (!pass_rate(direction, frame->size, now_ns, &due_ns)) {
		direction->queue_drops++;
		return;
	}
	due_ns += direction->settings.delay_ns + fate.jitter_ns;
	direction->duplicated += fate.is_duplicated;
	direction->corrupted += fate.is_corrupted;
	direction->reordered += fate.overtaken_by > 0;
	for (int copies = 1 + fate.is_duplicated; copies > 0; copies--) {
		struct packet *packet = packet_new(bridge, frame, index);
		uint32_t bits = (packet->size - ETH_HEADER_SIZE) * 8, bit = fate.corrupt_at % bits;

		if (fate.is_marked && mark(packet->bytes + ETH_HEADER_SIZE))
			direction->marked++;
		packet->due_ns = due_ns;
		packet->overtaken_by = fate.overtaken_by;
		if (fate.is_corrupted)
			packet->bytes[ETH_HEADER_SIZE + bit / 8] ^= (uint8_t)(1 << bit % 8);
		put(bridge, direction, packet);
	}
}

static uint32_t take(struct bridge *bridge, uint32_t index, int64_t now_ns)
{
	struct direction *direction = &bridge->directions[index];
	struct netem_frame frame;
	uint32_t count = 0;

	for (; count < TAKE_MAX && bridge->idle_count >= 2; count++) {
		if (!netem_port_peek(&bridge->ports[index], &frame))
			break;
		direction->frames++;
		direction->partial_checksums += frame.is_partial;
		if (bridge->capture_side == (int)index)
			netem_pcap_write(&bridge->pcap, now_ns, frame.bytes, frame.size);
		if (frame.size > ETH_HEADER_SIZE && bytes_load_u16(frame.bytes + 12) == ETH_IP4) {
			impair(bridge, index, &frame, now_ns);
		} else {
			struct packet *packet = packet_new(bridge, &frame, index);

			packet->due_ns = now_ns;
			heap_push(bridge, packet);
		}
		netem_port_done(&bridge->ports[index]);
	}
	return count;
}

static void release_held(struct bridge *bridge, struct direction *direction, int64_t now_ns)
{
	while (direction->held_count > 0 && now_ns >= direction->held[0]->due_ns + HELD_NS) {
		heap_push(bridge, direction->held[0]);
		memmove(&direction->held[0], &direction->held[1],
			--direction->held_count * sizeof(direction->held[0]));
	}
}

static void send_batch(struct bridge *bridge, struct packet **batch, uint32_t count)
{
	struct netem_frame frames[NETEM_BATCH] = { 0 };
	uint32_t index;
	int to;

	if (count == 0)
		return;
	index = batch[0]->direction;
	to = index == 0 ? 1 : 0;
	for (uint32_t i = 0; i < count; i++) {
		frames[i] =
			(struct netem_frame){ .bytes = batch[i]->bytes, .size = batch[i]->size };
		/* Before it goes: its answer may come while we still send. */
		if (bridge->capture_side == to)
			netem_pcap_write(&bridge->pcap, clock_now_ns(), batch[i]->bytes,
					 batch[i]->size);
	}
	bridge->directions[index].sent += netem_port_send(&bridge->ports[to], frames, count);
	for (uint32_t i = 0; i < count; i++)
		packet_free(bridge, batch[i]);
}

static uint32_t send_due(struct bridge *bridge, int64_t now_ns)
{
	struct packet *batch[2][NETEM_BATCH];
	uint32_t counts[2] = { 0, 0 }, done = 0;

	for (; bridge->heap_count > 0 && bridge->heap[0]->due_ns <= now_ns; done++) {
		struct packet *packet = heap_pop(bridge);
		uint32_t index = packet->direction;

		batch[index][counts[index]++] = packet;
		if (counts[index] == NETEM_BATCH) {
			send_batch(bridge, batch[index], counts[index]);
			counts[index] = 0;
		}
	}
	send_batch(bridge, batch[0], counts[0]);
	send_batch(bridge, batch[1], counts[1]);
	return done;
}

static int64_t next_ns(const struct bridge *bridge)
{
	int64_t next = bridge->heap_count > 0 ? bridge->heap[0]->due_ns : INT64_MAX;

	for (int i = 0; i < 2; i++) {
		if (bridge->directions[i].held_count > 0)
			next = MIN(next, bridge->directions[i].held[0]->due_ns + HELD_NS);
	}
	return next;
}

static void wait_for_work(const struct bridge *bridge, int64_t now_ns)
{
	short wanted = bridge->idle_count >= 2 ? POLLIN : 0;
	struct pollfd fds[2] = { { bridge->ports[0].fd, wanted, 0 },
				 { bridge->ports[1].fd, wanted, 0 } };
	int64_t left_ns = MIN(next_ns(bridge) - now_ns, 100 * NS_PER_MS);
	struct timespec timeout = { left_ns / NS_PER_S, left_ns % NS_PER_S };

	if (left_ns > 0)
		(void)ppoll(fds, 2, &timeout, NULL); /* whatever woke it, all is looked at */
}

static void run(struct bridge *bridge)
{
	while (!is_over) {
		int64_t now_ns = clock_now_ns();
		uint32_t work = take(bridge, 0, now_ns) + take(bridge, 1, now_ns);

		release_held(bridge, &bridge->directions[0], now_ns);
		release_held(bridge, &bridge->directions[1], now_ns);
		work += send_due(bridge, now_ns);
		if (work == 0)
			wait_for_work(bridge, now_ns);
	}
}

static void print_direction(const char *name, const struct direction *at, struct netem_port *from,
			    const struct netem_port *to)
{
	printf("\"%s\":{\"frames\":%lu,\"ip\":%lu,\"bytes\":%lu,\"lost\":%lu,\"duplicated\":%lu,"
	       "\"corrupted\":%lu,\"reordered\":%lu,\"marked\":%lu,\"queue_drops\":%lu,\"sent\":%lu,"
	       "\"bad_checksums\":%lu,\"partial_checksums\":%lu,\"oversized\":%lu,"
	       "\"ring_drops\":%lu,\"send_failed\":%lu,\"send_retries\":%lu}",
	       name, at->frames, at->ip, at->bytes, at->lost, at->duplicated, at->corrupted,
	       at->reordered, at->marked, at->queue_drops, at->sent, at->bad_checksums,
	       at->partial_checksums, from->oversized, netem_port_drops(from), to->failed,
	       to->retries);
}

static int bridge_open(struct bridge *bridge, char *const interfaces[2])
{
	bridge->packets = calloc(PACKETS_MAX, sizeof(*bridge->packets));
	bridge->idle = calloc(PACKETS_MAX, sizeof(*bridge->idle));
	bridge->heap = calloc(PACKETS_MAX, sizeof(*bridge->heap));
	if (bridge->packets == NULL || bridge->idle == NULL || bridge->heap == NULL)
		return -ENOMEM;
	for (uint32_t i = PACKETS_MAX; i > 0; i--)
		bridge->idle[bridge->idle_count++] = &bridge->packets[i - 1];
	for (int i = 0; i < 2; i++) {
		int r = netem_port_open(&bridge->ports[i], interfaces[i]);

		if (r != 0) {
			fprintf(stderr, "netem: %s: %s\n", interfaces[i], strerror(-r));
			return r;
		}
	}
	return 0;
}

static void bridge_close(struct bridge *bridge)
{
	netem_port_close(&bridge->ports[0]);
	netem_port_close(&bridge->ports[1]);
	free(bridge->packets);
	free(bridge->idle);
	free(bridge->heap);
}

/* The fates of the first packets, one a line: what a seed means, without a network. */
static int print_fates(const struct bridge *bridge, const char *text)
{
	uint64_t count = strtoull(text, NULL, 10);

	for (uint64_t n = 0; n < count; n++) {
		struct netem_fate fate;

		netem_fate(&bridge->directions[0].settings, bridge->seed, 0, n, &fate);
		printf("%d %d %d %u %u %ld\n", fate.is_lost, fate.is_duplicated, fate.is_corrupted,
		       fate.overtaken_by, fate.corrupt_at, (long)fate.jitter_ns);
	}
	return 0;
}

static int usage(void)
{
	fputs("usage: netem --seed N [--a IFACE --b IFACE | --fates COUNT]\n"
	      "             [--both SETTINGS] [--a-to-b SETTINGS] [--b-to-a SETTINGS]\n"
	      "             [--pcap FILE [--pcap-at a|b] [--pcap-limit BYTES] [--pcap-snap BYTES]]\n"
	      "settings: loss=0.01,duplicate=,corrupt=,reorder=,reorder-by=,mark=,delay-us=,\n"
	      "          jitter-us=,rate-mbit=,queue-kib=\n",
	      stderr);
	return 2;
}

struct options {
	char *interfaces[2];
	const char *fates, *pcap;
	uint64_t pcap_limit, pcap_snap;
};

static bool take_option(struct bridge *bridge, struct options *options, int option)
{
	struct direction *directions = bridge->directions;

	switch (option) {
	case 'a':
	case 'b':
		options->interfaces[option - 'a'] = optarg;
		return true;
	case 's':
		bridge->seed = strtoull(optarg, NULL, 10);
		return true;
	case '2':
		return netem_settings_parse(&directions[0].settings, optarg) == 0 &&
		       netem_settings_parse(&directions[1].settings, optarg) == 0;
	case 'x':
		return netem_settings_parse(&directions[0].settings, optarg) == 0;
	case 'y':
		return netem_settings_parse(&directions[1].settings, optarg) == 0;
	case 'f':
		options->fates = optarg;
		return true;
	case 'p':
		options->pcap = optarg;
		return true;
	case 'c':
		bridge->capture_side = optarg[0] == 'b';
		return true;
	case 'l':
		options->pcap_limit = strtoull(optarg, NULL, 10);
		return true;
	case 'n':
		options->pcap_snap = strtoull(optarg, NULL, 10);
		return true;
	default:
		return false;
	}
}

static bool read_options(struct bridge *bridge, struct options *options, int argc, char **argv)
{
	static const struct option known[] = { { "a", required_argument, NULL, 'a' },
					       { "b", required_argument, NULL, 'b' },
					       { "seed", required_argument, NULL, 's' },
					       { "both", required_argument, NULL, '2' },
					       { "a-to-b", required_argument, NULL, 'x' },
					       { "b-to-a", required_argument, NULL, 'y' },
					       { "fates", required_argument, NULL, 'f' },
					       { "pcap", required_argument, NULL, 'p' },
					       { "pcap-at", required_argument, NULL, 'c' },
					       { "pcap-limit", required_argument, NULL, 'l' },
					       { "pcap-snap", required_argument, NULL, 'n' },
					       { NULL, 0, NULL, 0 } };
	int option;

	netem_settings_init(&bridge->directions[0].settings);
	netem_settings_init(&bridge->directions[1].settings);
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (!take_option(bridge, options, option))
			return false;
	}
	return options->fates != NULL ||
	       (options->interfaces[0] != NULL && options->interfaces[1] != NULL);
}

int main(int argc, char **argv)
{
	static struct bridge bridge;
	struct options options = { .pcap_limit = CAPTURE_LIMIT, .pcap_snap = CAPTURE_SNAP };
	const struct sigaction action = { .sa_handler = on_signal };
	int r;

	if (!read_options(&bridge, &options, argc, argv))
		return usage();
	if (options.fates != NULL)
		return print_fates(&bridge, options.fates);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	(void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
	r = bridge_open(&bridge, options.interfaces);
	if (r == 0 && options.pcap != NULL)
		r = netem_pcap_open(&bridge.pcap, options.pcap, options.pcap_limit,
				    (uint32_t)options.pcap_snap);
	if (r == 0) {
		printf("ready\n");
		(void)fflush(stdout);
		run(&bridge);
		printf("{\"seed\":%lu,", bridge.seed);
		print_direction("a_to_b", &bridge.directions[0], &bridge.ports[0],
				&bridge.ports[1]);
		printf(",");
		print_direction("b_to_a", &bridge.directions[1], &bridge.ports[1],
				&bridge.ports[0]);
		printf(",\"captured\":%lu,\"not_captured\":%lu}\n", bridge.pcap.written,
		       bridge.pcap.skipped);
		r = netem_pcap_close(&bridge.pcap);
	}
	if (r != 0)
		fprintf(stderr, "netem: %s\n", strerror(-r));
	bridge_close(&bridge);
	return r != 0;
}
