/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of wire_client: wire_client.c has connections and the loop, wire_client_frame.c frames.
 *
 * Context: one thread.
 */
#pragma once

#include "base/list.h"

#include "dataplane/net/arp.h"
#include "dataplane/net/icmp.h"
#include "dataplane/net/ip4.h"

#include "perf/load/wire_client.h"

#define WIRE_CLIENT_BURST   64
#define WIRE_CLIENT_SEND    64   /* frames gathered before they go to the port */
#define WIRE_CLIENT_KEPT    2048 /* frames gathered at most, while the port has no room */
#define WIRE_CLIENT_WAITING 32   /* packets that wait for ARP */

struct wire_conn {
	struct wire_client *client;
	struct tcb *tcb; /* NULL: free */
	void *owner;
	uint8_t *out;       /* [client->out_size] ring of what is not acknowledged */
	uint64_t head, end; /* positions of the oldest byte and behind the newest */
	struct list listed; /* on client->idle when free */
};

struct wire_waiting {
	struct nic_packet packet; /* handle NULL: free */
	uint32_t neighbour;
	int64_t since_ns;
};

struct wire_client {
	struct nic *nic;
	struct tcp_stack *tcp;
	const struct wire_client_ops *ops;
	void *ctx;
	int64_t now_ns;
	uint32_t address, mask, gateway;
	uint32_t out_size;
	uint16_t ip_id, next_port;
	bool is_announced;
	struct arp_table arp;
	struct icmp_limit icmp_limit;
	struct nic_packet send[WIRE_CLIENT_KEPT];
	uint16_t send_first, send_count; /* frames from send[send_first] on wait for the port */
	uint32_t waiting_count;
	struct wire_waiting waiting[WIRE_CLIENT_WAITING];
	struct list idle; /* struct wire_conn */
	struct wire_conn *conns;
	uint8_t *out;
	struct counters counters;
};

/** One received frame; its buffer stays the caller's. */
void wire_client_frame_in(struct wire_client *client, const struct nic_packet *packet);
/** tcp_ops.emit */
bool wire_client_frame_out(void *ctx, const struct tcp_segment_out *segment);
/** Tell the link our address. */
void wire_client_frame_announce(struct wire_client *client);
/** Send what waited for neighbours known now; drop what waited too long. */
void wire_client_frame_waiting(struct wire_client *client);
/** Hand the gathered frames to the port; those that it has no room for are kept. @return frames sent */
uint32_t wire_client_frame_flush(struct wire_client *client);
