/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of connections over own TCP. Prints "ready", then a JSON object for each connection when it
 * ended; answers the wire until SIGTERM (a peer may not have heard our last word), then prints the
 * counters.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

#include "perf/load/wire_client.h"
#include "tests/netem/talk.h"

#define WINDOW_MAX (1U << 20) /* and bytes of the output queue */
#define PREFIX     24
#define WAIT_NS    (10 * NS_PER_MS)

/* The af_xdp driver never gives its kernel memory's handle back (80 bytes a queue). */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:xsk_umem__create";
}

struct end {
	struct talk talk;
	struct wire_conn *conn; /* NULL: not yet, or closed */
	bool wants_resume;
	bool is_printed;
};

struct own {
	struct talk_plan plan;
	struct wire_client *client;
	struct end ends[TALK_CONNECTIONS_MAX];
	uint32_t count; /* ends in use */
	int64_t now_ns;
};

static volatile sig_atomic_t is_over;

static void on_signal(int number)
{
	(void)number;
	is_over = 1;
}

static void *on_accept(void *ctx, struct wire_conn *conn)
{
	struct own *own = ctx;
	struct end *end;

	if (own->plan.address[0] != '\0' || own->count == own->plan.connections)
		return NULL;
	end = &own->ends[own->count];
	talk_init(&end->talk, &own->plan, own->count++, own->now_ns);
	talk_open(&end->talk, own->now_ns);
	end->conn = conn;
	return end;
}

static void on_open(void *owner, struct wire_conn *conn)
{
	struct end *end = owner;

	end->conn = conn;
	talk_open(&end->talk, clock_now_ns());
}

static size_t on_data(void *owner, struct wire_conn *conn, const uint8_t *bytes, size_t size)
{
	struct end *end = owner;
	int64_t now_ns = clock_now_ns();
	size_t taken = MIN(size, talk_room(&end->talk, now_ns));

	(void)conn;
	talk_take(&end->talk, bytes, taken, now_ns);
	end->wants_resume |= taken < size;
	return taken;
}

static void on_eof(void *owner, struct wire_conn *conn)
{
	struct end *end = owner;

	(void)conn;
	talk_eof(&end->talk, clock_now_ns());
}

static void on_acked(void *owner, struct wire_conn *conn, uint64_t size)
{
	(void)owner;
	(void)conn;
	(void)size;
}

static void on_close(void *owner, enum tcp_close_reason reason)
{
	static const char *const names[TCP_CLOSED_REASON_COUNT] = {
		[TCP_CLOSED_NORMAL] = "normal",
		[TCP_CLOSED_RESET] = "reset",
		[TCP_CLOSED_TIMEOUT] = "timeout",
		[TCP_CLOSED_ABORT] = "abort",
	};
	struct end *end = owner;
	bool is_refused = reason == TCP_CLOSED_RESET && !end->talk.is_open;

	end->conn = NULL;
	talk_end(&end->talk, is_refused ? "refused" : names[reason], clock_now_ns());
}

static const struct wire_client_ops ops = {
	.on_accept = on_accept,
	.on_open = on_open,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_acked = on_acked,
	.on_close = on_close,
};

/* @return whether something was done */
static bool serve(struct end *end, int64_t now_ns)
{
	struct talk *talk = &end->talk;
	bool is_done = false;
	size_t room, size;

	if (end->conn == NULL || !talk->is_open)
		return false;
	if (talk_wants_reset(talk)) {
		wire_client_abort(end->conn);
		return true;
	}
	if (end->wants_resume && talk_room(talk, now_ns) > 0) {
		end->wants_resume = false;
		is_done = true;
		wire_client_resume(end->conn);
		if (end->conn == NULL)
			return true;
	}
	do {
		uint8_t *to = wire_client_room(end->conn, &room);

		size = talk_give(talk, to, room, now_ns);
		talk_gave(talk, size);
		wire_client_commit(end->conn, size);
		is_done |= size > 0;
	} while (size > 0 && end->conn != NULL);
	if (end->conn != NULL && talk_wants_shutdown(talk, now_ns)) {
		talk->is_shut = true;
		wire_client_shutdown(end->conn);
		is_done = true;
	}
	return is_done;
}

static uint32_t print_ended(struct own *own)
{
	uint32_t open = own->plan.connections - own->count;

	for (uint32_t i = 0; i < own->count; i++) {
		struct end *end = &own->ends[i];

		if (end->talk.is_over && !end->is_printed) {
			end->is_printed = true;
			talk_print(&end->talk, "");
		}
		open += !end->is_printed;
	}
	return open;
}

static void print_counters(struct own *own)
{
	const struct counters *counters = wire_client_counters(own->client);
	struct nic_stats stats = { 0 };

	nic_stats(wire_client_nic(own->client), &stats);
	printf("{\"rx_missed\":%lu,\"rx_no_buffer\":%lu,\"tx_errors\":%lu", stats.rx_missed,
	       stats.rx_no_buffer, stats.tx_errors);
	for (uint32_t i = 0; i < COUNTER_COUNT; i++) {
		uint64_t value = counters_get(counters, (enum counter)i);

		if (value > 0)
			printf(",\"%s\":%lu", counters_info((enum counter)i)->name, value);
	}
	printf("}\n");
	(void)fflush(stdout);
}

static bool connect_all(struct own *own)
{
	for (; own->count < own->plan.connections; own->count++) {
		struct end *end = &own->ends[own->count];

		talk_init(&end->talk, &own->plan, own->count, clock_now_ns());
		if (wire_client_connect(own->client, own->plan.address, own->plan.port,
					own->plan.local_port, end) != 0)
			return false;
	}
	return true;
}

static void run(struct own *own)
{
	int64_t limit_ns = clock_now_ns() + own->plan.limit_ns;
	bool connects = own->plan.address[0] != '\0', is_told = false;

	while (!is_over) {
		uint32_t work = wire_client_poll(own->client), open;

		own->now_ns = clock_now_ns();
		if (connects && clock_wall_ms() >= own->plan.start_at_ms) {
			connects = false;
			if (!connect_all(own))
				return;
		}
		for (uint32_t i = 0; i < own->count; i++)
			work += serve(&own->ends[i], own->now_ns);
		open = print_ended(own);
		if (open > 0 && !is_told && own->now_ns >= limit_ns) {
			is_told = true;
			for (uint32_t i = 0; i < own->count; i++)
				talk_end(&own->ends[i].talk, "limit", own->now_ns);
		}
		if (work == 0)
			wire_client_wait(own->client, connects ? NS_PER_MS : WAIT_NS);
	}
}

int main(int argc, char **argv)
{
	static struct own own;
	const struct sigaction action = { .sa_handler = on_signal };
	struct wire_client_config config = { .prefix = PREFIX };
	char error[256];

	if (!talk_read_options(&own.plan, argc, argv) || own.plan.nic == NULL ||
	    own.plan.own_address == NULL)
		return 2;
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	config.port = own.plan.nic;
	config.address = own.plan.own_address;
	config.mtu = (uint16_t)own.plan.mtu;
	config.window_max = own.plan.window_max != 0 ? own.plan.window_max : WINDOW_MAX;
	config.output_size = config.window_max;
	config.ecn = own.plan.has_ecn ? TCP_ECN_REQUEST : TCP_ECN_ACCEPT;
	config.has_pacing = !own.plan.is_unpaced;
	if (own.plan.congestion != NULL && strcmp(own.plan.congestion, "newreno") == 0)
		config.congestion = TCP_CC_NEWRENO;
	config.connections_max = own.plan.connections + 1;
	if (wire_client_open(&config, &ops, &own, &own.client, error, sizeof(error)) != 0) {
		fprintf(stderr, "talk_own: %s\n", error);
		return 1;
	}
	own.now_ns = clock_now_ns();
	if (own.plan.address[0] == '\0')
		CHECK(wire_client_listen(own.client, own.plan.port) == 0);
	printf("ready\n");
	(void)fflush(stdout);
	run(&own);
	print_counters(&own);
	wire_client_close(own.client);
	return 0;
}
