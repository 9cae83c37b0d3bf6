/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/netem/talk.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define PIECE      4096
#define WORD_SIZE  8
#define LIMIT_NS   (60 * NS_PER_S)
#define STALL_OVER INT64_MIN

/* The bytes of a stream from `pos` on: any mix-up of positions or streams shows. */
static void pattern(uint64_t stream, uint64_t pos, uint8_t *to, size_t size)
{
	while (size > 0) {
		uint64_t word = (pos / WORD_SIZE + 1) * UINT64_C(0x9e3779b97f4a7c15) + stream;
		size_t skip = pos % WORD_SIZE, n = MIN(size, WORD_SIZE - skip);

		word ^= word >> 29;
		word *= UINT64_C(0xbf58476d1ce4e5b9);
		if (likely(n == WORD_SIZE))
			memcpy(to, &word, WORD_SIZE);
		else
			memcpy(to, (const uint8_t *)&word + skip, n);
		to += n;
		pos += n;
		size -= n;
	}
}

void talk_init(struct talk *talk, const struct talk_plan *plan, uint32_t index, int64_t now_ns)
{
	bool connects = plan->address[0] != '\0';
	uint64_t of_connector = 1 + 2 * (uint64_t)index, of_listener = of_connector + 1;

	/* Accepted connections come in any order: all their streams are alike then. */
	if (plan->connections > 1) {
		of_connector = 1;
		of_listener = 2;
	}
	*talk = (struct talk){ .plan = plan,
			       .out_stream = connects ? of_connector : of_listener,
			       .in_stream = connects ? of_listener : of_connector,
			       .mismatch_at = -1,
			       .begin_ns = now_ns,
			       .end = "limit" };
	/* Both connect: one stream both ways. An echo speaks as its peer does. */
	if (plan->local_port != 0)
		talk->in_stream = talk->out_stream = 1;
	if (plan->is_echo)
		talk->out_stream = talk->in_stream;
	if (plan->is_from_echo)
		talk->in_stream = talk->out_stream;
}

void talk_open(struct talk *talk, int64_t now_ns)
{
	talk->is_open = true;
	talk->open_ns = now_ns;
}

size_t talk_room(struct talk *talk, int64_t now_ns)
{
	const struct talk_plan *plan = talk->plan;
	size_t room = plan->read_max;

	if (plan->stall_at > 0 && talk->stalled_ns != STALL_OVER) {
		if (talk->received < plan->stall_at)
			return MIN(room, (size_t)(plan->stall_at - talk->received));
		if (talk->stalled_ns == 0)
			talk->stalled_ns = now_ns + plan->stall_ns;
		if (now_ns < talk->stalled_ns)
			return 0;
		talk->stalled_ns = STALL_OVER;
	}
	if (plan->is_echo)
		room = MIN(room, (size_t)(talk->sent + TALK_ECHO_MAX - talk->received));
	return room;
}

void talk_take(struct talk *talk, const uint8_t *bytes, size_t size, int64_t now_ns)
{
	uint8_t wanted[PIECE];

	talk->last_ns = now_ns;
	while (size > 0) {
		size_t n = MIN(size, sizeof(wanted));

		pattern(talk->in_stream, talk->received, wanted, n);
		if (unlikely(talk->mismatch_at < 0 && memcmp(wanted, bytes, n) != 0)) {
			talk->mismatch_at = (int64_t)talk->received;
			for (size_t i = 0; wanted[i] == bytes[i]; i++)
				talk->mismatch_at++;
		}
		talk->received += n;
		bytes += n;
		size -= n;
	}
}

void talk_eof(struct talk *talk, int64_t now_ns)
{
	if (!talk->has_eof)
		talk->eof_ns = now_ns;
	talk->has_eof = true;
}

static bool is_time_over(const struct talk *talk, int64_t now_ns)
{
	return talk->plan->send_ns > 0 && now_ns - talk->open_ns >= talk->plan->send_ns;
}

/* Bytes it has to send, as far as it knows. */
static uint64_t left_to_send(const struct talk *talk, int64_t now_ns)
{
	const struct talk_plan *plan = talk->plan;

	if (plan->is_echo)
		return talk->received - talk->sent;
	if ((plan->sends_after_eof && !talk->has_eof) || is_time_over(talk, now_ns))
		return 0;
	return plan->send - talk->sent;
}

size_t talk_give(struct talk *talk, uint8_t *to, size_t room, int64_t now_ns)
{
	size_t size = MIN(room, (size_t)talk->plan->write_max);

	if (talk->is_shut)
		return 0;
	size = (size_t)MIN((uint64_t)size, left_to_send(talk, now_ns));
	pattern(talk->out_stream, talk->sent, to, size);
	return size;
}

void talk_gave(struct talk *talk, size_t size)
{
	talk->sent += size;
}

bool talk_wants_shutdown(const struct talk *talk, int64_t now_ns)
{
	const struct talk_plan *plan = talk->plan;

	if (talk->is_shut || now_ns - talk->open_ns < plan->shut_ns)
		return false;
	if ((plan->is_echo || plan->sends_after_eof || plan->shuts_after_eof) && !talk->has_eof)
		return false;
	return left_to_send(talk, now_ns) == 0;
}

bool talk_wants_reset(const struct talk *talk)
{
	return talk->plan->reset_after > 0 && talk->received >= talk->plan->reset_after;
}

void talk_end(struct talk *talk, const char *end, int64_t now_ns)
{
	if (talk->is_over)
		return;
	talk->is_over = true;
	talk->end = end;
	talk->end_ns = now_ns;
}

static double seconds(int64_t begin_ns, int64_t end_ns)
{
	return end_ns > begin_ns ? (double)(end_ns - begin_ns) / 1e9 : 0.0;
}

void talk_print(const struct talk *talk, const char *more)
{
	printf("{\"end\":\"%s\",\"is_open\":%s,\"eof\":%s,\"shut\":%s,\"sent\":%lu,"
	       "\"received\":%lu,\"mismatch_at\":%ld,\"open_s\":%.4f,\"receive_s\":%.4f,"
	       "\"eof_s\":%.4f,\"end_s\":%.4f%s}\n",
	       talk->end, talk->is_open ? "true" : "false", talk->has_eof ? "true" : "false",
	       talk->is_shut ? "true" : "false", talk->sent, talk->received,
	       (long)talk->mismatch_at, seconds(talk->begin_ns, talk->open_ns),
	       seconds(talk->open_ns, talk->last_ns), seconds(talk->open_ns, talk->eof_ns),
	       seconds(talk->open_ns, talk->end_ns), more);
	(void)fflush(stdout);
}

enum option_name {
	OPT_CONNECT,
	OPT_LISTEN,
	OPT_LOCAL_PORT,
	OPT_START,
	OPT_CONNECTIONS,
	OPT_SEND,
	OPT_SEND_MS,
	OPT_ECHO,
	OPT_FROM_ECHO,
	OPT_AFTER_EOF,
	OPT_SHUT_AFTER_EOF,
	OPT_SHUT_MS,
	OPT_RESET,
	OPT_STALL_AT,
	OPT_STALL_MS,
	OPT_WRITE,
	OPT_READ,
	OPT_WINDOW,
	OPT_MTU,
	OPT_NIC,
	OPT_ADDRESS,
	OPT_CONGESTION,
	OPT_ECN,
	OPT_NO_PACING,
	OPT_LIMIT_MS,
	OPT_COUNT
};

static const struct option known[OPT_COUNT + 1] = {
	[OPT_CONNECT] = { "connect", required_argument, NULL, OPT_CONNECT },
	[OPT_LISTEN] = { "listen", required_argument, NULL, OPT_LISTEN },
	[OPT_LOCAL_PORT] = { "local-port", required_argument, NULL, OPT_LOCAL_PORT },
	[OPT_START] = { "start-at-ms", required_argument, NULL, OPT_START },
	[OPT_CONNECTIONS] = { "connections", required_argument, NULL, OPT_CONNECTIONS },
	[OPT_SEND] = { "send", required_argument, NULL, OPT_SEND },
	[OPT_SEND_MS] = { "send-ms", required_argument, NULL, OPT_SEND_MS },
	[OPT_ECHO] = { "echo", no_argument, NULL, OPT_ECHO },
	[OPT_FROM_ECHO] = { "from-echo", no_argument, NULL, OPT_FROM_ECHO },
	[OPT_AFTER_EOF] = { "send-after-eof", no_argument, NULL, OPT_AFTER_EOF },
	[OPT_SHUT_AFTER_EOF] = { "shut-after-eof", no_argument, NULL, OPT_SHUT_AFTER_EOF },
	[OPT_SHUT_MS] = { "shut-ms", required_argument, NULL, OPT_SHUT_MS },
	[OPT_RESET] = { "reset-after", required_argument, NULL, OPT_RESET },
	[OPT_STALL_AT] = { "stall-at", required_argument, NULL, OPT_STALL_AT },
	[OPT_STALL_MS] = { "stall-ms", required_argument, NULL, OPT_STALL_MS },
	[OPT_WRITE] = { "write", required_argument, NULL, OPT_WRITE },
	[OPT_READ] = { "read", required_argument, NULL, OPT_READ },
	[OPT_WINDOW] = { "window", required_argument, NULL, OPT_WINDOW },
	[OPT_MTU] = { "mtu", required_argument, NULL, OPT_MTU },
	[OPT_NIC] = { "nic", required_argument, NULL, OPT_NIC },
	[OPT_ADDRESS] = { "address", required_argument, NULL, OPT_ADDRESS },
	[OPT_CONGESTION] = { "congestion", required_argument, NULL, OPT_CONGESTION },
	[OPT_ECN] = { "ecn", no_argument, NULL, OPT_ECN },
	[OPT_NO_PACING] = { "no-pacing", no_argument, NULL, OPT_NO_PACING },
	[OPT_LIMIT_MS] = { "limit-ms", required_argument, NULL, OPT_LIMIT_MS },
};

static bool take_number(struct talk_plan *plan, enum option_name option, uint64_t number)
{
	switch ((int)option) {
	case OPT_LISTEN:
		plan->port = (uint16_t)number;
		return number > 0 && number <= UINT16_MAX;
	case OPT_LOCAL_PORT:
		plan->local_port = (uint16_t)number;
		return number <= UINT16_MAX;
	case OPT_START:
		plan->start_at_ms = (int64_t)number;
		return true;
	case OPT_CONNECTIONS:
		plan->connections = (uint32_t)number;
		return number > 0 && number <= TALK_CONNECTIONS_MAX;
	case OPT_SEND:
		plan->send = number;
		return true;
	case OPT_SEND_MS:
		plan->send_ns = (int64_t)number * NS_PER_MS;
		return true;
	case OPT_RESET:
		plan->reset_after = number;
		return true;
	case OPT_SHUT_MS:
		plan->shut_ns = (int64_t)number * NS_PER_MS;
		return true;
	case OPT_STALL_AT:
		plan->stall_at = number;
		return true;
	case OPT_STALL_MS:
		plan->stall_ns = (int64_t)number * NS_PER_MS;
		return true;
	case OPT_WRITE:
		plan->write_max = (uint32_t)number;
		return number > 0;
	case OPT_READ:
		plan->read_max = (uint32_t)number;
		return number > 0;
	case OPT_WINDOW:
		plan->window_max = (uint32_t)number;
		return true;
	case OPT_MTU:
		plan->mtu = (uint32_t)number;
		return number > 0 && number <= UINT16_MAX;
	case OPT_LIMIT_MS:
		plan->limit_ns = (int64_t)number * NS_PER_MS;
		return true;
	default:
		return false;
	}
}

/* "10.0.0.1:9092" */
static bool take_address(struct talk_plan *plan, const char *text)
{
	const char *colon = strchr(text, ':');

	if (colon == NULL || (size_t)(colon - text) >= sizeof(plan->address))
		return false;
	memcpy(plan->address, text, (size_t)(colon - text));
	plan->address[colon - text] = '\0';
	plan->port = (uint16_t)strtoul(colon + 1, NULL, 10);
	return plan->port != 0;
}

static bool take_option(struct talk_plan *plan, int option)
{
	switch (option) {
	case OPT_CONNECT:
		return take_address(plan, optarg);
	case OPT_ECHO:
		return plan->is_echo = true;
	case OPT_FROM_ECHO:
		return plan->is_from_echo = true;
	case OPT_AFTER_EOF:
		return plan->sends_after_eof = true;
	case OPT_SHUT_AFTER_EOF:
		return plan->shuts_after_eof = true;
	case OPT_NIC:
		plan->nic = optarg;
		return true;
	case OPT_ADDRESS:
		plan->own_address = optarg;
		return true;
	case OPT_ECN:
		return plan->has_ecn = true;
	case OPT_NO_PACING:
		return plan->is_unpaced = true;
	case OPT_CONGESTION:
		plan->congestion = optarg;
		return true;
	default:
		return option >= 0 && option < OPT_COUNT &&
		       take_number(plan, (enum option_name)option, strtoull(optarg, NULL, 10));
	}
}

bool talk_read_options(struct talk_plan *plan, int argc, char **argv)
{
	int option;

	*plan = (struct talk_plan){ .connections = 1,
				    .write_max = 1U << 20,
				    .read_max = 1U << 20,
				    .mtu = 1500,
				    .limit_ns = LIMIT_NS };
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (!take_option(plan, option)) {
			fprintf(stderr, "%s: options are those of tests/netem/talk.c\n", argv[0]);
			return false;
		}
	}
	if (plan->port == 0)
		fprintf(stderr, "%s: --connect ADDRESS:PORT or --listen PORT\n", argv[0]);
	return plan->port != 0;
}
