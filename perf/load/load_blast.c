/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_blast.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

#define OPEN_NS (10 * NS_PER_S)
#define POLL_NS (5 * NS_PER_MS)
#define PIECES  64 /* bodies queued at once */
#define TRIES   64

struct blaster {
	struct load_link link;
	struct load_blast *blast;
};

struct load_blast {
	struct blaster *blasters;
	uint32_t count, open_count, lost;
	uint8_t *body;
	uint32_t size;
};

/* As many bodies as the queue takes. @return whether it had room for one */
static bool refill(struct blaster *blaster)
{
	bool had_room = false;

	while (load_sendq_push(&blaster->link.out, "", 0, blaster->blast->body,
			       blaster->blast->size) == 0)
		had_room = true;
	return had_room;
}

static void on_open(struct load_link *link)
{
	struct blaster *blaster = link->owner;

	blaster->blast->open_count++;
	(void)refill(blaster);
}

static void on_frame(struct load_link *link, const uint8_t *bytes, size_t kept, size_t size)
{
	(void)link;
	(void)bytes;
	(void)kept;
	(void)size;
}

static void on_close(struct load_link *link, int error)
{
	struct blaster *blaster = link->owner;

	(void)error;
	blaster->blast->lost++;
}

static const struct load_link_ops blaster_ops = { on_open, on_frame, on_close };

int load_blast_new(struct load_net *net, const struct load_call_target *target,
		   uint32_t connections, uint32_t size, struct load_blast **ret_blast)
{
	struct load_blast *blast = calloc(1, sizeof(*blast));
	int64_t end_ns = clock_now_ns() + OPEN_NS;
	int r;

	if (blast == NULL)
		return -ENOMEM;
	blast->count = connections;
	blast->size = size;
	blast->blasters = calloc(connections, sizeof(*blast->blasters));
	blast->body = calloc(1, size);
	r = blast->blasters != NULL && blast->body != NULL ? 0 : -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < connections; i++) {
		struct blaster *blaster = &blast->blasters[i];

		blaster->blast = blast;
		blaster->link.owner = blaster;
		blaster->link.ops = &blaster_ops;
		load_frame_init(&blaster->link.in, 0);
		r = load_sendq_init(&blaster->link.out, PIECES);
		if (r == 0)
			r = load_link_connect(net, &blaster->link, target->address, target->port);
	}
	while (r == 0 && blast->open_count < connections) {
		load_net_poll(net, POLL_NS);
		if (blast->lost > 0 || clock_now_ns() > end_ns)
			r = blast->lost > 0 ? -ECONNREFUSED : -ETIMEDOUT;
	}
	if (r != 0) {
		load_blast_free(blast);
		return r;
	}
	*ret_blast = blast;
	return 0;
}

void load_blast_free(struct load_blast *blast)
{
	if (blast == NULL)
		return;
	for (uint32_t i = 0; blast->blasters != NULL && i < blast->count; i++) {
		load_link_close(&blast->blasters[i].link);
		load_frame_free(&blast->blasters[i].link.in);
		load_sendq_free(&blast->blasters[i].link.out);
	}
	free(blast->blasters);
	free(blast->body);
	free(blast);
}

void load_blast_run(struct load_blast *blast, struct load_net *net, int64_t timeout_ns)
{
	for (uint32_t i = 0; i < blast->count; i++) {
		struct blaster *blaster = &blast->blasters[i];

		/* A send buffer may take more than the queue has: nothing would be under way then, and
		   nothing wake us. */
		for (uint32_t tries = 0; tries < TRIES && refill(blaster); tries++)
			load_link_flush(&blaster->link);
	}
	load_net_poll(net, timeout_ns);
}

uint64_t load_blast_bytes(const struct load_blast *blast)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < blast->count; i++)
		bytes += blast->blasters[i].link.out.popped;
	return bytes;
}

uint32_t load_blast_lost(const struct load_blast *blast)
{
	return blast->lost;
}
