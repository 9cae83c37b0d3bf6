/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/netem/netem_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SLOT_SIZE   4096
#define SLOTS       8192
#define BLOCK_SIZE  (256 * 1024)
#define RETRIES_MAX 1000
#define RETRY_NS    20000

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

static int set_option(int fd, int name, int value)
{
	return setsockopt(fd, SOL_PACKET, name, &value, sizeof(value)) == 0 ? 0 : -errno;
}

static int make_ring(struct netem_port *port)
{
	struct tpacket_req ring = {
		.tp_block_size = BLOCK_SIZE,
		.tp_block_nr = SLOTS / (BLOCK_SIZE / SLOT_SIZE),
		.tp_frame_size = SLOT_SIZE,
		.tp_frame_nr = SLOTS,
	};
	void *map;
	int r = set_option(port->fd, PACKET_VERSION, TPACKET_V2);

	if (r == 0)
		r = set_option(port->fd, PACKET_IGNORE_OUTGOING, 1);
	/* Without it frames go through a queueing discipline, which may drop them. */
	if (r == 0)
		r = set_option(port->fd, PACKET_QDISC_BYPASS, 1);
	if (r == 0 && setsockopt(port->fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)) != 0)
		r = -errno;
	if (r != 0)
		return r;
	map = mmap(NULL, (size_t)SLOTS * SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, port->fd,
		   0);
	if (map == MAP_FAILED)
		return -errno;
	port->ring = map;
	return 0;
}

int netem_port_open(struct netem_port *port, const char *interface)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(interface) };
	int r;

	*port = (struct netem_port){ .fd = -1 };
	if (at.sll_ifindex == 0)
		return -ENODEV;
	port->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (port->fd < 0)
		return -errno;
	r = make_ring(port);
	if (r == 0 && bind(port->fd, (struct sockaddr *)&at, sizeof(at)) != 0)
		r = -errno;
	if (r != 0)
		netem_port_close(port);
	return r;
}

static struct tpacket2_hdr *slot_of(struct netem_port *port)
{
	return (struct tpacket2_hdr *)(void *)(port->ring + (size_t)port->next * SLOT_SIZE);
}

bool netem_port_peek(struct netem_port *port, struct netem_frame *ret_frame)
{
	for (;;) {
		struct tpacket2_hdr *slot = slot_of(port);
		uint32_t status = __atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE);

		if ((status & TP_STATUS_USER) == 0)
			return false;
		if (slot->tp_len == slot->tp_snaplen && slot->tp_len <= NETEM_FRAME_MAX) {
			*ret_frame = (struct netem_frame){
				.bytes = (const uint8_t *)slot + slot->tp_mac,
				.size = slot->tp_len,
				.is_partial = (status & TP_STATUS_CSUMNOTREADY) != 0,
			};
			return true;
		}
		port->oversized++;
		netem_port_done(port);
	}
}

void netem_port_done(struct netem_port *port)
{
	__atomic_store_n(&slot_of(port)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	port->next = (port->next + 1) % SLOTS;
}

uint32_t netem_port_send(struct netem_port *port, const struct netem_frame *frames, uint32_t count)
{
	struct iovec iov[NETEM_BATCH];
	struct mmsghdr messages[NETEM_BATCH];
	uint32_t done = 0, tries = 0, sent = 0;

	memset(messages, 0, sizeof(messages));
	for (uint32_t i = 0; i < count; i++) {
		iov[i] = (struct iovec){ (void *)(uintptr_t)frames[i].bytes, frames[i].size };
		messages[i].msg_hdr.msg_iov = &iov[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (done < count) {
		int n = sendmmsg(port->fd, messages + done, count - done, 0);

		if (n > 0) {
			done += (uint32_t)n;
			sent += (uint32_t)n;
			tries = 0;
		} else if ((errno == ENOBUFS || errno == EAGAIN) && tries < RETRIES_MAX) {
			const struct timespec pause = { 0, RETRY_NS };

			tries++;
			port->retries++;
			(void)nanosleep(&pause, NULL);
		} else if (errno != EINTR) {
			port->failed++;
			done++;
			tries = 0;
		}
	}
	return sent;
}

uint64_t netem_port_drops(struct netem_port *port)
{
	struct tpacket_stats stats = { 0 };
	socklen_t size = sizeof(stats);

	if (getsockopt(port->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) != 0)
		return 0;
	return stats.tp_drops;
}

void netem_port_close(struct netem_port *port)
{
	if (port->ring != NULL)
		(void)munmap(port->ring, (size_t)SLOTS * SLOT_SIZE);
	if (port->fd >= 0)
		(void)close(port->fd);
	*port = (struct netem_port){ .fd = -1 };
}
