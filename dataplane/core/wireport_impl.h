/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of the kernel-bypass transport: wireport.c receives, wireport_send.c sends, wireport_conn.c
 * joins TCP's connections to sessions, wireport_new.c sets up, wireport_ports.c keeps the list of a
 * core's ports.
 *
 * Context: owning core, but for hand-over items under way. Memory: one block and the connections,
 * made at wireport_new().
 */
#pragma once

#include "base/list.h"

#include "dataplane/core/core.h"
#include "dataplane/core/wireport.h"
#include "dataplane/net/arp.h"
#include "dataplane/net/eth.h"
#include "dataplane/net/icmp.h"
#include "dataplane/net/ip4.h"
#include "dataplane/nic/nic.h"
#include "dataplane/tcp/tcp.h"

#define WIREPORT_BURST         32  /* frames received in one turn */
#define WIREPORT_SEND_BURST    64  /* frames gathered before they go to the port */
#define WIREPORT_SEND_MAX      256 /* frames that wait while the port takes none */
#define WIREPORT_UNRESOLVED    32  /* packets that wait for ARP */
#define WIREPORT_HANDED_MAX    512 /* packets under way to other cores */
#define WIREPORT_HELD_MAX      1024
#define WIREPORT_UNRESOLVED_NS (3 * NS_PER_S)
#define WIREPORT_STUCK_NS      (50 * NS_PER_MS)  /* frames wait for the port at most */
#define WIREPORT_OFFER_NS      (100 * NS_PER_US) /* how soon a sleeping core offers them again */

/*
 * What one turn does at most, so that a turn stays far below a millisecond and a connection that has
 * much to give leaves room for the others. Payload beyond it is kept by TCP and offered again in the
 * next turn. In the other direction TCP sends a number of segments of each connection in turn.
 */
#define WIREPORT_TURN_CONN_SIZE (256U * 1024)  /* payload of one connection handed to its session */
#define WIREPORT_TURN_SIZE      (1024U * 1024) /* of all connections, a share for each port */

/** One connection. */
struct wireport_conn {
	struct link link;
	struct wireport *port;
	struct tcb *tcb;    /* NULL: free */
	uint64_t told;      /* bytes of link.out that TCP knows of */
	uint64_t turn;      /* in which it was given payload last */
	uint32_t turn_size; /* and how much */
	struct list work;   /* on port->work while something below is wanted */
	struct list listed; /* on port->open, or on port->idle when free */
	bool wants_resume, wants_close, wants_abort;
	bool is_shut; /* nothing more may be queued */
};

/** A frame under way to another core. */
struct wireport_handed {
	struct mesh_item item;
	struct list node; /* on from->handed_idle when free */
	struct wireport *from;
	struct nic_packet packet;
};

/** A built frame that waits for its neighbour's station address. */
struct wireport_unresolved {
	struct nic_packet packet; /* handle NULL: free */
	uint32_t neighbour;
	int64_t since_ns;
};

struct wireport {
	struct wireport *next; /* of this core; NULL: the last one */
	struct core *core;
	struct nic *nic;
	struct tcp_stack *tcp;
	struct counters *counters;
	int64_t now_ns;
	uint16_t queue;
	uint16_t port_base;              /* core N has port_base + N */
	uint32_t address, mask, gateway; /* gateway 0: none */
	char host[CONFIG_TEXT_MAX];      /* told to clients */
	int epoll_fd; /* over the descriptors of all, in the first of several; else -1 */
	uint16_t ip_id;
	uint64_t turn;      /* counts wireport_poll() */
	uint32_t turn_size; /* payload handed to sessions in this turn */
	uint32_t turn_max;  /* this port's share of WIREPORT_TURN_SIZE */
	bool is_burst_open; /* handed packets were put in since the last poll */
	bool is_stopping;
	bool has_interrupts_on;        /* since before the last poll, or the one to come */
	bool was_down;                 /* the port took no frames for long, and none since */
	uint32_t link_changes, resets; /* of the port, as far as they were met */
	struct icmp_limit icmp_limit;
	struct arp_self self; /* on core 0 at the start, on each when its queue comes up again */
	struct arp_table arp;
	struct nic_packet send[WIREPORT_SEND_MAX];
	uint16_t send_count;
	uint16_t send_waiting; /* of these the port had no room for before */
	int64_t stuck_ns;      /* since when it has taken none; 0: it did */
	uint32_t unresolved_count;
	struct wireport_unresolved unresolved[WIREPORT_UNRESOLVED];
	struct list work, open, idle; /* struct wireport_conn */
	uint32_t open_count;
	struct wireport_conn *conns;
	struct list handed_idle; /* struct wireport_handed */
	uint32_t handed_count;   /* under way */
	struct wireport_handed handed[WIREPORT_HANDED_MAX];
};

extern const struct tcp_ops wireport_tcp_ops;

/** Put a port at the end of its core's list, or take it out of there. Shares are dealt anew. */
void wireport_join(struct wireport *port);
void wireport_leave(struct wireport *port);

/** Do what sessions asked for since the last turn. @return connections visited */
uint32_t wireport_conn_work(struct wireport *port);

/** tcp_ops.emit: build the frame of a segment and gather it. */
bool wireport_send_segment(void *ctx, const struct tcp_segment_out *segment);
/** Answer an echo request. */
void wireport_send_echo(struct wireport *port, const struct ip4_packet *request);
/** Send an ARP packet from us. @param mac  station, or eth_broadcast */
void wireport_send_arp(struct wireport *port, bool is_request, uint32_t target,
		       const uint8_t mac[6]);
/** Send what waited for neighbours that are known now; drop what waited too long. */
void wireport_send_unresolved(struct wireport *port);
/** Hand the gathered frames to the port. */
void wireport_send_flush(struct wireport *port);
