/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that press a box, for pressure.py: thousands of connections of several kinds, connections
 * that come and go, and raw packets of connections that do not exist. It knows no Kafka: what is said
 * comes as hexadecimal bytes. Prints "ready" once all that stay are open (or failed), and a line of
 * JSON when its input ends.
 *
 *   idle   says hello, reads the answer, is silent; must never be cut
 *   slow   asks for much all the time and reads 512 bytes ten times a second
 *   zero   asks for much, or for little again and again, until nothing more is taken; never reads
 *   stall  sends the beginning of something large, and is silent
 *   churn  per second: connect, hello, the answer, and FIN or RST in turns
 *   syn    per second: SYNs of --far addresses, which never answer
 *   rst    per second: RSTs in the name of this machine, at random ports and numbers
 *   ack    per second: segments of connections that do not exist, from --near addresses
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/defs.h"
#include "base/prng.h"

#define BYTES_MAX    4096
#define EVENTS_MAX   256
#define CONNECTING   128 /* at once: the far end's backlog is not what this is about */
#define TICK_NS      (5 * NS_PER_MS)
#define SIP_NS       (100 * NS_PER_MS)
#define SIP_SIZE     512
#define CLOSE_BURST  16
#define SMALL_BUFFER 4096
#define PACKETS_MAX  4000 /* of one kind in one tick */

enum kind { IDLE, SLOW, ZERO, STALL, CHURN, KIND_COUNT };
enum flood { FLOOD_SYN, FLOOD_RST, FLOOD_ACK, FLOOD_COUNT };

static const char *const kind_names[KIND_COUNT] = { "idle", "slow", "zero", "stall", "churn" };
static const char *const flood_names[FLOOD_COUNT] = { "syn", "rst", "ack" };

struct bytes {
	uint8_t mem[BYTES_MAX];
	size_t size;
};

struct peer {
	int fd; /* -1: none */
	enum kind kind;
	bool is_open;
	bool is_answered;
	size_t said; /* bytes of what it says */
	int64_t sip_ns;
};

static struct {
	struct sockaddr_in server;
	uint32_t source_first, source_count; /* host byte order */
	uint32_t far_first, far_bits, near_first, near_bits;
	uint32_t wanted[KIND_COUNT], flood_rate[FLOOD_COUNT];
	struct bytes hello, ask, chat, part[2];
	struct peer *peers;
	uint32_t peer_count, churn_first, next_peer, connecting, serial;
	int epoll_fd, raw_fd;
	int64_t now_ns, churn_due, flood_due[FLOOD_COUNT];
	uint64_t opened[KIND_COUNT], failed[KIND_COUNT], cut[KIND_COUNT], answered[KIND_COUNT];
	uint64_t sent[FLOOD_COUNT], received;
	struct prng prng;
} tool;

static int parse_hex(const char *text, struct bytes *ret_bytes)
{
	size_t size = strlen(text) / 2;

	if (size > BYTES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < size; i++) {
		char digits[3] = { text[2 * i], text[2 * i + 1], '\0' };

		ret_bytes->mem[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	ret_bytes->size = size;
	return 0;
}

/* "10.0.0.1:8" into a first address and a number. */
static int parse_range(const char *text, uint32_t *ret_first, uint32_t *ret_count)
{
	char address[32];
	struct in_addr parsed;
	const char *colon = strchr(text, ':');

	if (colon == NULL || (size_t)(colon - text) >= sizeof(address))
		return -EINVAL;
	(void)snprintf(address, sizeof(address), "%.*s", (int)(colon - text), text);
	if (inet_pton(AF_INET, address, &parsed) != 1)
		return -EINVAL;
	*ret_first = ntohl(parsed.s_addr);
	*ret_count = (uint32_t)strtoul(colon + 1, NULL, 10);
	return 0;
}

static int name_of(const char *text, const char *const *names, int count)
{
	for (int i = 0; i < count; i++) {
		if (strcmp(text, names[i]) == 0)
			return i;
	}
	return -1;
}

static int parse_option(const char *name, const char *value)
{
	uint32_t number = (uint32_t)strtoul(value, NULL, 10), port;
	int at = name_of(name, kind_names, KIND_COUNT);

	if (at >= 0) {
		tool.wanted[at] = number;
		return 0;
	}
	at = name_of(name, flood_names, FLOOD_COUNT);
	if (at >= 0) {
		tool.flood_rate[at] = number;
		return 0;
	}
	if (strcmp(name, "server") == 0) {
		uint32_t address;
		int error = parse_range(value, &address, &port);

		tool.server = (struct sockaddr_in){ .sin_family = AF_INET,
						    .sin_port = htons((uint16_t)port),
						    .sin_addr.s_addr = htonl(address) };
		return error;
	}
	if (strcmp(name, "sources") == 0)
		return parse_range(value, &tool.source_first, &tool.source_count);
	if (strcmp(name, "far") == 0)
		return parse_range(value, &tool.far_first, &tool.far_bits);
	if (strcmp(name, "near") == 0)
		return parse_range(value, &tool.near_first, &tool.near_bits);
	if (strcmp(name, "hello") == 0)
		return parse_hex(value, &tool.hello);
	if (strcmp(name, "ask") == 0)
		return parse_hex(value, &tool.ask);
	if (strcmp(name, "chat") == 0)
		return parse_hex(value, &tool.chat);
	if (strcmp(name, "part") == 0)
		return parse_hex(value, &tool.part[tool.part[0].size > 0]);
	if (strcmp(name, "seed") == 0) {
		tool.prng.state = number;
		return 0;
	}
	return -EINVAL;
}

/* ---- connections ---- */

static const struct bytes *words_of(const struct peer *peer)
{
	ptrdiff_t number = peer - tool.peers;

	if (peer->kind == SLOW || (peer->kind == ZERO && number % 2 == 0))
		return &tool.ask;
	return peer->kind == ZERO    ? &tool.chat
	       : peer->kind == STALL ? &tool.part[number % 2]
				     : &tool.hello;
}

static void peer_close(struct peer *peer, bool is_reset)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (is_reset)
		(void)setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	(void)close(peer->fd);
	peer->fd = -1;
}

/* Ended by the far end, or never opened. */
static void peer_lost(struct peer *peer)
{
	if (peer->is_open) {
		tool.cut[peer->kind]++;
	} else {
		tool.failed[peer->kind]++;
		tool.connecting--;
	}
	peer_close(peer, false);
}

static int peer_connect(struct peer *peer)
{
	struct sockaddr_in source = { .sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(tool.source_first +
							       tool.serial++ % tool.source_count) };
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = peer };
	int one = 1, small = SMALL_BUFFER;

	peer->is_open = peer->is_answered = false;
	peer->said = 0;
	peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (peer->fd < 0)
		return -errno;
	(void)setsockopt(peer->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (peer->kind == SLOW || peer->kind == ZERO) {
		(void)setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		(void)setsockopt(peer->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	}
	if (bind(peer->fd, (struct sockaddr *)&source, sizeof(source)) < 0 ||
	    (connect(peer->fd, (struct sockaddr *)&tool.server, sizeof(tool.server)) < 0 &&
	     errno != EINPROGRESS) ||
	    epoll_ctl(tool.epoll_fd, EPOLL_CTL_ADD, peer->fd, &event) < 0) {
		int error = -errno;

		(void)close(peer->fd);
		peer->fd = -1;
		return error;
	}
	tool.connecting++;
	return 0;
}

/* Say what is left to say; those who ask for much say it again and again. */
static void peer_say(struct peer *peer)
{
	const struct bytes *words = words_of(peer);
	bool is_asking = peer->kind == SLOW || peer->kind == ZERO;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = peer };

	while (peer->said < words->size) {
		ssize_t n = send(peer->fd, words->mem + peer->said, words->size - peer->said,
				 MSG_NOSIGNAL);

		if (n < 0) {
			if (errno != EAGAIN)
				peer_lost(peer);
			return;
		}
		peer->said += (size_t)n;
		if (is_asking && peer->said == words->size)
			peer->said = 0;
	}
	(void)epoll_ctl(tool.epoll_fd, EPOLL_CTL_MOD, peer->fd, &event);
}

static void peer_read(struct peer *peer, size_t limit)
{
	uint8_t bytes[SIP_SIZE];
	ssize_t n = recv(peer->fd, bytes, MIN(limit, sizeof(bytes)), 0);

	if (n > 0) {
		tool.received += (uint64_t)n;
		tool.answered[peer->kind] += !peer->is_answered;
		peer->is_answered = true;
	} else if (n == 0 || errno != EAGAIN) {
		peer_lost(peer);
	}
}

static void peer_event(struct peer *peer, uint32_t events)
{
	if (peer->fd < 0)
		return;
	if (!peer->is_open && (events & EPOLLOUT) != 0 && (events & (EPOLLERR | EPOLLHUP)) == 0) {
		peer->is_open = true;
		tool.connecting--;
		tool.opened[peer->kind]++;
	}
	if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
		peer_lost(peer);
		return;
	}
	if ((events & EPOLLOUT) != 0)
		peer_say(peer);
	if (peer->fd >= 0 && (events & EPOLLIN) != 0 && peer->kind != ZERO && peer->kind != SLOW)
		peer_read(peer, SIP_SIZE);
	if (peer->fd >= 0 && peer->kind == CHURN && peer->is_answered)
		peer_close(peer, prng_next(&tool.prng) % 2 == 0);
}

/* Slow readers take a sip when it is time. */
static void sip(void)
{
	for (uint32_t i = tool.wanted[IDLE]; i < tool.wanted[IDLE] + tool.wanted[SLOW]; i++) {
		struct peer *peer = &tool.peers[i];

		if (peer->fd < 0 || !peer->is_open || tool.now_ns < peer->sip_ns)
			continue;
		peer->sip_ns = tool.now_ns + SIP_NS;
		peer_read(peer, SIP_SIZE);
	}
}

static void connect_some(void)
{
	while (tool.next_peer < tool.peer_count && tool.connecting < CONNECTING) {
		struct peer *peer = &tool.peers[tool.next_peer++];

		if (peer->kind != CHURN && peer_connect(peer) < 0)
			tool.failed[peer->kind]++;
	}
	tool.churn_due = MAX(tool.churn_due, tool.now_ns - SIP_NS);
	for (uint32_t i = tool.churn_first; i < tool.peer_count; i++) {
		struct peer *peer = &tool.peers[i];

		if (tool.next_peer < tool.peer_count || tool.now_ns < tool.churn_due)
			break;
		if (peer->fd >= 0)
			continue;
		tool.churn_due += NS_PER_S / tool.wanted[CHURN];
		if (peer_connect(peer) < 0)
			tool.failed[CHURN]++;
	}
}

/* ---- packets of connections that do not exist ---- */

static uint16_t checksum(const uint8_t *bytes, size_t size, uint32_t sum)
{
	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* SYNs come from beyond the gateway, stray segments from neighbours that are not there. */
static uint32_t flood_source(enum flood flood, uint64_t chance)
{
	if (flood == FLOOD_SYN)
		return tool.far_first + (uint32_t)(chance & ((UINT64_C(1) << tool.far_bits) - 1));
	if (flood == FLOOD_ACK)
		return tool.near_first + (uint32_t)(chance & ((UINT64_C(1) << tool.near_bits) - 1));
	return tool.source_first + (uint32_t)(chance % tool.source_count);
}

static void flood_one(enum flood flood)
{
	uint64_t chance = prng_next(&tool.prng), numbers = prng_next(&tool.prng);
	uint32_t source = flood_source(flood, chance);
	uint32_t target = ntohl(tool.server.sin_addr.s_addr), sum;
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} packet = {
		.ip = { .version = 4,
			.ihl = 5,
			.ttl = 64,
			.protocol = IPPROTO_TCP,
			.tot_len = htons(sizeof(packet)),
			.saddr = htonl(source),
			.daddr = tool.server.sin_addr.s_addr },
		.tcp = { .source = htons((uint16_t)(1024 + (chance >> 32) % 64000)),
			 .dest = tool.server.sin_port,
			 .seq = (uint32_t)numbers,
			 .ack_seq = (uint32_t)(numbers >> 32),
			 .doff = 5,
			 .window = htons(65535),
			 .syn = flood == FLOOD_SYN,
			 .rst = flood == FLOOD_RST,
			 .ack = flood == FLOOD_ACK },
	};

	if (flood == FLOOD_SYN)
		packet.tcp.ack_seq = 0;
	sum = (source >> 16) + (source & 0xffff) + (target >> 16) + (target & 0xffff) +
	      IPPROTO_TCP + (uint32_t)sizeof(packet.tcp);
	packet.tcp.check = htons(checksum((const uint8_t *)&packet.tcp, sizeof(packet.tcp), sum));
	if (sendto(tool.raw_fd, &packet, sizeof(packet), MSG_DONTWAIT,
		   (struct sockaddr *)&tool.server, sizeof(tool.server)) > 0)
		tool.sent[flood]++;
}

static void flood_some(void)
{
	for (int flood = 0; flood < FLOOD_COUNT; flood++) {
		if (tool.flood_rate[flood] == 0)
			continue;
		for (int i = 0; i < PACKETS_MAX && tool.flood_due[flood] < tool.now_ns; i++) {
			flood_one((enum flood)flood);
			tool.flood_due[flood] += NS_PER_S / tool.flood_rate[flood];
		}
		tool.flood_due[flood] = MAX(tool.flood_due[flood], tool.now_ns - TICK_NS);
	}
}

/* ---- life ---- */

static int make_peers(void)
{
	struct rlimit limit;
	uint32_t at = 0;

	/* Those that come and go need places for what is under way at once. */
	for (int kind = 0; kind < KIND_COUNT; kind++)
		tool.peer_count += tool.wanted[kind];
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	tool.churn_first = tool.peer_count - tool.wanted[CHURN];
	limit.rlim_cur = tool.peer_count + 64;
	limit.rlim_max = MAX(limit.rlim_max, limit.rlim_cur);
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	tool.peers = calloc(tool.peer_count + 1, sizeof(*tool.peers));
	if (tool.peers == NULL)
		return -ENOMEM;
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		for (uint32_t i = 0; i < tool.wanted[kind]; i++, at++)
			tool.peers[at] = (struct peer){ .fd = -1, .kind = (enum kind)kind };
	}
	return 0;
}

static void print_counts(const char *name, const uint64_t *counts)
{
	printf("\"%s\": {", name);
	for (int kind = 0; kind < KIND_COUNT; kind++)
		printf("%s\"%s\": %llu", kind > 0 ? ", " : "", kind_names[kind],
		       (unsigned long long)counts[kind]);
	printf("}, ");
}

static void print_end(void)
{
	printf("{");
	print_counts("opened", tool.opened);
	print_counts("failed", tool.failed);
	print_counts("cut", tool.cut);
	print_counts("answered", tool.answered);
	for (int flood = 0; flood < FLOOD_COUNT; flood++)
		printf("\"%s\": %llu, ", flood_names[flood], (unsigned long long)tool.sent[flood]);
	printf("\"received\": %llu}\n", (unsigned long long)tool.received);
}

static bool is_input_open(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&input, 1, 0) == 0;
}

static void serve(void)
{
	struct epoll_event events[EVENTS_MAX];
	int64_t tick_ns = 0;
	bool is_ready = false;

	while (is_input_open()) {
		int count = epoll_wait(tool.epoll_fd, events, EVENTS_MAX, 2);

		tool.now_ns = clock_now_ns();
		for (int i = 0; i < count; i++)
			peer_event(events[i].data.ptr, events[i].events);
		connect_some();
		flood_some();
		if (tool.now_ns < tick_ns)
			continue;
		tick_ns = tool.now_ns + TICK_NS;
		sip();
		if (!is_ready && tool.next_peer == tool.peer_count &&
		    (tool.connecting == 0 || tool.wanted[CHURN] > 0)) {
			is_ready = true;
			printf("ready\n");
			fflush(stdout);
		}
	}
}

/* Not all at once: a reset that a full queue loses is not sent again. */
static void close_all(void)
{
	for (uint32_t i = 0; i < tool.peer_count; i++) {
		if (tool.peers[i].fd >= 0)
			peer_close(&tool.peers[i], false);
		if (i % CLOSE_BURST == 0)
			(void)poll(NULL, 0, 1);
	}
}

int main(int argc, char **argv)
{
	tool.source_count = 1;
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strncmp(argv[i], "--", 2) != 0 || parse_option(argv[i] + 2, argv[i + 1]) != 0) {
			fprintf(stderr, "pressure_tool: %s %.40s\n", argv[i], argv[i + 1]);
			return 2;
		}
	}
	tool.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	tool.raw_fd = -1;
	for (int flood = 0; flood < FLOOD_COUNT; flood++) {
		tool.flood_due[flood] = clock_now_ns();
		if (tool.flood_rate[flood] > 0 && tool.raw_fd < 0)
			tool.raw_fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	}
	if (make_peers() != 0 || tool.epoll_fd < 0) {
		perror("pressure_tool");
		return 1;
	}
	tool.now_ns = clock_now_ns();
	serve();
	print_end();
	close_all();
	return 0;
}
