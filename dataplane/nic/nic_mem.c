/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ports in memory. Each direction is a ring of frames; a frame is copied from the sender's buffer
 * to one of the receiver's, so that every buffer goes back to the port that owns it and a test can
 * ask at its end whether all did. One mutex for the pair: several threads may poll in a test.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#include "dataplane/nic/nic.h"

#define HEADROOM        64
#define ETH_SIZE        14
#define IP_SIZE         20
#define TCP_CHECKSUM_AT 16

struct mem_pair;

struct mem_buffer {
	struct mem_buffer *next; /* free list, or frames that wait */
	uint32_t refs;
	uint16_t size;
	uint8_t bytes[];
};

struct mem_port {
	struct nic nic;
	struct mem_pair *pair;
	struct mem_port *peer;
	struct mem_buffer *idle;
	struct mem_buffer *first, **last; /* arrived, oldest first */
	uint32_t waiting, in_use;
	struct mem_buffer **all;
	struct nic_stats stats;
};

struct mem_pair {
	pthread_mutex_t lock;
	struct mem_port ports[2];
	uint32_t depth, room, open;
};

static struct mem_port *port_of(struct nic *nic)
{
	return CONTAINER_OF(nic, struct mem_port, nic);
}

static struct mem_buffer *buffer_take(struct mem_port *port)
{
	struct mem_buffer *buffer = port->idle;

	if (buffer == NULL)
		return NULL;
	port->idle = buffer->next;
	buffer->next = NULL;
	buffer->refs = 1;
	port->in_use++;
	return buffer;
}

static void buffer_drop(struct mem_port *port, struct mem_buffer *buffer)
{
	CHECK(buffer->refs > 0);
	if (--buffer->refs > 0)
		return;
	/* What is used after this shall be seen in tests. */
	memset(buffer->bytes, 0xdb, port->pair->room);
	buffer->next = port->idle;
	port->idle = buffer;
	port->in_use--;
}

static uint16_t mem_rx_burst(struct nic *nic, uint16_t queue, struct nic_packet *packets,
			     uint16_t max)
{
	struct mem_port *port = port_of(nic);
	uint16_t count = 0;

	if (queue != 0)
		return 0;
	pthread_mutex_lock(&port->pair->lock);
	while (count < max && port->first != NULL) {
		struct mem_buffer *buffer = port->first;

		port->first = buffer->next;
		if (port->first == NULL)
			port->last = &port->first;
		buffer->next = NULL;
		port->waiting--;
		packets[count++] = (struct nic_packet){ .handle = buffer,
							.data = buffer->bytes + HEADROOM,
							.size = buffer->size };
		port->stats.rx_packets++;
		port->stats.rx_bytes += buffer->size;
	}
	pthread_mutex_unlock(&port->pair->lock);
	return count;
}

static void mem_packet_hold(struct nic *nic, void *handle)
{
	struct mem_buffer *buffer = handle;

	pthread_mutex_lock(&port_of(nic)->pair->lock);
	CHECK(buffer->refs > 0);
	buffer->refs++;
	pthread_mutex_unlock(&port_of(nic)->pair->lock);
}

static void mem_packet_free(struct nic *nic, uint16_t queue, void *handle)
{
	(void)queue;
	pthread_mutex_lock(&port_of(nic)->pair->lock);
	buffer_drop(port_of(nic), handle);
	pthread_mutex_unlock(&port_of(nic)->pair->lock);
}

static bool mem_tx_alloc(struct nic *nic, uint16_t queue, struct nic_packet *ret_packet)
{
	struct mem_port *port = port_of(nic);
	struct mem_buffer *buffer;

	CHECK(queue < nic->queues);
	pthread_mutex_lock(&port->pair->lock);
	buffer = buffer_take(port);
	pthread_mutex_unlock(&port->pair->lock);
	if (buffer == NULL)
		return false;
	*ret_packet = (struct nic_packet){ .handle = buffer,
					   .data = buffer->bytes + HEADROOM,
					   .size = (uint16_t)(nic->mtu + ETH_SIZE) };
	return true;
}

/* The sum of a TCP packet's words, as hardware adds them: checksum offload in the simplest form. */
static void put_checksum(uint8_t *frame, uint16_t size)
{
	uint32_t sum = 0;

	CHECK(size >= ETH_SIZE + IP_SIZE + TCP_CHECKSUM_AT + 2);
	for (uint32_t i = ETH_SIZE + IP_SIZE; i < size; i++)
		sum += (uint32_t)frame[i] << ((i - ETH_SIZE) % 2 == 0 ? 8 : 0);
	while (sum > UINT16_MAX)
		sum = (sum >> 16) + (sum & UINT16_MAX);
	frame[ETH_SIZE + IP_SIZE + TCP_CHECKSUM_AT] = (uint8_t)(~sum >> 8);
	frame[ETH_SIZE + IP_SIZE + TCP_CHECKSUM_AT + 1] = (uint8_t)~sum;
}

/* One frame over the wire, or lost because the far port has no buffer. */
static void carry(struct mem_port *port, const struct nic_packet *packet)
{
	struct mem_port *peer = port->peer;
	struct mem_buffer *buffer = buffer_take(peer);

	if (buffer == NULL) {
		peer->stats.rx_missed++;
		port->stats.tx_errors++;
		return;
	}
	memcpy(buffer->bytes + HEADROOM, packet->data, packet->size);
	if (packet->wants_checksum) {
		CHECK((port->nic.offloads & NIC_TX_CHECKSUM) != 0);
		put_checksum(buffer->bytes + HEADROOM, packet->size);
	}
	buffer->size = packet->size;
	*peer->last = buffer;
	peer->last = &buffer->next;
	peer->waiting++;
	port->stats.tx_packets++;
	port->stats.tx_bytes += packet->size;
}

static uint16_t mem_tx_burst(struct nic *nic, uint16_t queue, struct nic_packet *packets,
			     uint16_t count)
{
	struct mem_port *port = port_of(nic);
	uint16_t taken = 0;

	CHECK(queue < nic->queues);
	pthread_mutex_lock(&port->pair->lock);
	while (taken < count && port->peer->waiting < port->pair->depth) {
		CHECK(packets[taken].size <= nic->mtu + ETH_SIZE);
		carry(port, &packets[taken]);
		buffer_drop(port, packets[taken].handle);
		taken++;
	}
	pthread_mutex_unlock(&port->pair->lock);
	return taken;
}

static int mem_wait_fd(struct nic *nic, uint16_t queue)
{
	(void)nic;
	(void)queue;
	return -1;
}

static void mem_stats(struct nic *nic, struct nic_stats *ret_stats)
{
	*ret_stats = port_of(nic)->stats;
}

static bool mem_link_up(struct nic *nic)
{
	return (port_of(nic)->pair->open & 3U) == 3;
}

static int mem_thread_register(struct nic *nic)
{
	(void)nic;
	return 0;
}

static void pair_free(struct mem_pair *pair)
{
	for (int i = 0; i < 2; i++) {
		for (uint32_t j = 0; pair->ports[i].all != NULL && j < 2 * pair->depth; j++)
			free(pair->ports[i].all[j]);
		free(pair->ports[i].all);
	}
	pthread_mutex_destroy(&pair->lock);
	free(pair);
}

static void mem_close(struct nic *nic)
{
	struct mem_port *port = port_of(nic);
	struct mem_pair *pair = port->pair;

	pair->open &= port == &pair->ports[0] ? ~1U : ~2U;
	if (pair->open == 0)
		pair_free(pair);
}

static const struct nic_ops mem_ops = {
	.rx_burst = mem_rx_burst,
	.packet_hold = mem_packet_hold,
	.packet_free = mem_packet_free,
	.tx_alloc = mem_tx_alloc,
	.tx_burst = mem_tx_burst,
	.wait_fd = mem_wait_fd,
	.stats = mem_stats,
	.link_up = mem_link_up,
	.thread_register = mem_thread_register,
	.close = mem_close,
};

static int port_init(struct mem_pair *pair, uint32_t index, uint16_t mtu)
{
	struct mem_port *port = &pair->ports[index];

	port->nic = (struct nic){ .ops = &mem_ops,
				  .mac = { 2, 0, 0, 0, 0, (uint8_t)(index + 1) },
				  .mtu = mtu,
				  .queues = NIC_MEM_QUEUES };
	(void)snprintf(port->nic.describe, sizeof(port->nic.describe), "memory port %u, MTU %u",
		       index, mtu);
	port->pair = pair;
	port->peer = &pair->ports[1 - index];
	port->last = &port->first;
	port->all = calloc(2 * (size_t)pair->depth, sizeof(*port->all));
	for (uint32_t i = 0; port->all != NULL && i < 2 * pair->depth; i++) {
		struct mem_buffer *buffer = malloc(sizeof(*buffer) + pair->room);

		if (buffer == NULL)
			return -ENOMEM;
		port->all[i] = buffer;
		buffer->next = port->idle;
		port->idle = buffer;
	}
	return port->all != NULL ? 0 : -ENOMEM;
}

int nic_mem_open(uint16_t mtu, uint32_t depth, struct nic **ret_a, struct nic **ret_b)
{
	struct mem_pair *pair;

	CHECK(depth > 0);
	pair = calloc(1, sizeof(*pair));
	if (pair == NULL)
		return -ENOMEM;
	pthread_mutex_init(&pair->lock, NULL);
	pair->depth = depth;
	pair->room = HEADROOM + ETH_SIZE + mtu;
	pair->open = 3;
	if (port_init(pair, 0, mtu) != 0 || port_init(pair, 1, mtu) != 0) {
		pair_free(pair);
		return -ENOMEM;
	}
	*ret_a = &pair->ports[0].nic;
	*ret_b = &pair->ports[1].nic;
	return 0;
}

uint32_t nic_mem_in_use(struct nic *nic)
{
	return port_of(nic)->in_use;
}
