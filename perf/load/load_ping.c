/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_ping.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

#include "dataplane/wire/frame.h"

#define AT_ONCE 64 /* connections being opened */
#define WAIT_NS (10 * NS_PER_S)
#define POLL_NS (20 * NS_PER_MS)
#define REQUEST 64
#define VERSION 0 /* of ApiVersions */

struct pinger {
	struct load_link link;
	struct load_ping *ping;
	int64_t since_ns; /* of the request under way; 0: none */
	bool is_answered, is_lost;
};

struct load_ping {
	struct load_net *net;
	struct load_call_target target;
	struct pinger *pingers;
	uint32_t count, answered, lost, opening;
	struct hist *latency; /* NULL: not asked for */
	int64_t last_ns;      /* time that the last answer took */
	uint8_t request[REQUEST];
	uint32_t request_size;
};

static void ask(struct pinger *pinger)
{
	if (load_sendq_push(&pinger->link.out, pinger->ping->request, pinger->ping->request_size,
			    NULL, 0) != 0)
		WRONG("one request at a time");
	load_link_flush(&pinger->link);
}

static void on_open(struct load_link *link)
{
	ask(link->owner);
}

static void on_frame(struct load_link *link, const uint8_t *bytes, size_t kept, size_t size)
{
	struct pinger *pinger = link->owner;
	struct load_ping *ping = pinger->ping;

	(void)bytes;
	(void)kept;
	(void)size;
	ping->last_ns = clock_now_ns() - pinger->since_ns;
	pinger->since_ns = 0;
	if (!pinger->is_answered) {
		pinger->is_answered = true;
		ping->answered++;
		ping->opening--;
		if (ping->latency != NULL)
			hist_add(ping->latency, (uint64_t)ping->last_ns);
	}
}

static void on_close(struct load_link *link, int error)
{
	struct pinger *pinger = link->owner;

	(void)error;
	if (!pinger->is_answered)
		pinger->ping->opening--;
	pinger->is_lost = true;
	pinger->ping->lost++;
}

static const struct load_link_ops pinger_ops = { on_open, on_frame, on_close };

struct load_ping *load_ping_new(struct load_net *net, const struct load_call_target *target,
				uint32_t connections)
{
	struct wire_request_header header = { .api_key = WIRE_API_API_VERSIONS,
					      .api_version = VERSION,
					      .client_id = WIRE_STRING("millrace-load") };
	struct load_ping *ping = calloc(1, sizeof(*ping));
	struct writer writer;
	size_t mark;

	if (ping == NULL)
		return NULL;
	ping->net = net;
	ping->target = *target;
	ping->count = connections;
	ping->pingers = calloc(connections, sizeof(*ping->pingers));
	writer_init(&writer, ping->request, sizeof(ping->request));
	mark = wire_frame_open(&writer);
	wire_encode_request_header(&writer, &header);
	wire_frame_close(&writer, mark);
	CHECK(writer.error == 0);
	ping->request_size = (uint32_t)writer_size(&writer);
	if (ping->pingers == NULL) {
		load_ping_free(ping);
		return NULL;
	}
	return ping;
}

void load_ping_free(struct load_ping *ping)
{
	if (ping == NULL)
		return;
	for (uint32_t i = 0; ping->pingers != NULL && i < ping->count; i++) {
		load_link_close(&ping->pingers[i].link);
		load_frame_free(&ping->pingers[i].link.in);
		load_sendq_free(&ping->pingers[i].link.out);
	}
	free(ping->pingers);
	free(ping);
}

static bool open_one(struct load_ping *ping, struct pinger *pinger)
{
	pinger->ping = ping;
	pinger->link.owner = pinger;
	pinger->link.ops = &pinger_ops;
	pinger->since_ns = clock_now_ns();
	load_frame_init(&pinger->link.in, 0);
	return load_sendq_init(&pinger->link.out, 1) == 0 &&
	       load_link_connect(ping->net, &pinger->link, ping->target.address,
				 ping->target.port) == 0;
}

uint32_t load_ping_open(struct load_ping *ping, struct hist *latency)
{
	int64_t last_ns = clock_now_ns();
	uint32_t next = 0, settled = 0;

	ping->latency = latency;
	while (settled < ping->count && clock_now_ns() - last_ns < WAIT_NS) {
		while (next < ping->count && ping->opening < AT_ONCE) {
			ping->opening++;
			if (!open_one(ping, &ping->pingers[next]))
				on_close(&ping->pingers[next].link, 0);
			next++;
		}
		load_net_poll(ping->net, POLL_NS);
		if (settled != next - ping->opening)
			last_ns = clock_now_ns();
		settled = next - ping->opening;
	}
	return ping->answered;
}

int64_t load_ping_ask(struct load_ping *ping)
{
	struct pinger *pinger = &ping->pingers[0];
	int64_t end_ns;

	if (pinger->is_lost || !pinger->is_answered)
		return -ENOTCONN;
	pinger->since_ns = clock_now_ns();
	end_ns = pinger->since_ns + WAIT_NS;
	ask(pinger);
	while (pinger->since_ns != 0) {
		if (pinger->is_lost)
			return -ECONNRESET;
		if (clock_now_ns() > end_ns)
			return -ETIMEDOUT;
		load_net_poll(ping->net, POLL_NS);
	}
	return ping->last_ns;
}

uint32_t load_ping_lost(const struct load_ping *ping)
{
	return ping->lost;
}
