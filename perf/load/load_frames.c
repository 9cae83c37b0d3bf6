/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_frames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/net/eth.h"
#include "dataplane/nic/nic.h"

#define BURST       64
#define DESCRIPTORS 2048
#define BUFFERS     8192
#define ETHERTYPE   0x88b5 /* IEEE 802, local experimental: nobody answers */

struct load_frames {
	struct nic *nic;
	struct nic_packet out[BURST]; /* made, not sent yet */
	uint16_t out_count;
	uint16_t size; /* of a frame */
};

int load_frames_new(const char *port, uint16_t mtu, struct load_frames **ret_frames, char *reterr,
		    size_t reterr_size)
{
	const struct nic_config config = { .port = port,
					   .queues = 1,
					   .mtu = mtu,
					   .descriptors = DESCRIPTORS,
					   .buffers = BUFFERS };
	struct load_frames *frames = calloc(1, sizeof(*frames));
	int r;

	if (frames == NULL)
		return -ENOMEM;
	frames->size = (uint16_t)(mtu + ETH_HEADER_SIZE);
	r = nic_dpdk_open(&config, &frames->nic, reterr, reterr_size);
	if (r == 0) {
		r = nic_thread_register(frames->nic);
		(void)snprintf(reterr, reterr_size, "%s", strerror(-r));
	}
	if (r != 0) {
		load_frames_free(frames);
		return r;
	}
	*ret_frames = frames;
	return 0;
}

void load_frames_free(struct load_frames *frames)
{
	if (frames == NULL)
		return;
	for (uint16_t i = 0; i < frames->out_count; i++)
		nic_packet_free(frames->nic, 0, frames->out[i].handle);
	nic_close(frames->nic);
	free(frames);
}

bool load_frames_is_up(const struct load_frames *frames)
{
	return nic_link_up(frames->nic);
}

uint32_t load_frames_send(struct load_frames *frames)
{
	uint16_t sent;

	while (frames->out_count < BURST &&
	       nic_tx_alloc(frames->nic, 0, &frames->out[frames->out_count])) {
		struct nic_packet *packet = &frames->out[frames->out_count++];

		packet->size = (uint16_t)MIN(packet->size, frames->size);
		eth_write(packet->data, eth_broadcast, frames->nic->mac, ETHERTYPE);
	}
	sent = nic_tx_offer(frames->nic, 0, frames->out, frames->out_count);
	frames->out_count -= sent;
	memmove(frames->out, frames->out + sent, frames->out_count * sizeof(frames->out[0]));
	return sent;
}

uint32_t load_frames_take(struct load_frames *frames)
{
	struct nic_packet packets[BURST];
	uint16_t count = nic_rx_burst(frames->nic, 0, packets, BURST);

	for (uint16_t i = 0; i < count; i++)
		nic_packet_free(frames->nic, 0, packets[i].handle);
	return count;
}
