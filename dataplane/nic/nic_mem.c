/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ports in memory. Each direction is a ring of frames; a frame is copied from the sender's buffer
 * to one of the receiver's, so that every buffer goes back to the port that owns it and a test can
 * ask at its end whether all did. One mutex for the pair: several threads may poll in a test.
 *
 * What hardware does for a frame is done here in the simplest form: pieces are put together, payload
 * is cut into packets, checksums are made.
 */
#include "dataplane/nic/nic_mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#define HEADROOM        64
#define ETH_SIZE        14
#define IP_SIZE         20
#define TCP_SEQ_AT      4
#define TCP_SIZE_AT     12
#define TCP_FLAGS_AT    13
#define TCP_CHECKSUM_AT 16
#define TCP_CWR         0x80
#define TCP_FIN_PSH     0x09
#define FRAME_MAX       (ETH_SIZE + UINT16_MAX) /* before it is cut */

struct mem_pair;

struct mem_buffer {
	struct mem_buffer *next;  /* free list, or frames that wait */
	struct mem_buffer *piece; /* the next of the frame */
	const uint8_t *lent_bytes;
	struct nic_lent *lent; /* NULL: the bytes are in here */
	uint32_t refs;
	uint32_t more; /* received: bytes in the pieces behind */
	uint16_t size;
	uint8_t bytes[];
};

struct mem_port {
	struct nic nic;
	struct mem_pair *pair;
	struct mem_port *peer;
	struct mem_buffer *idle;
	struct mem_buffer *first, **last; /* arrived, oldest first */
	struct mem_buffer *kept;          /* sent */
	bool keeps;
	uint32_t waiting, in_use;
	struct mem_buffer **all;
	uint8_t *frame; /* [FRAME_MAX] one to send, put together */
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
	buffer->next = buffer->piece = NULL;
	buffer->lent = NULL;
	buffer->more = 0;
	buffer->refs = 1;
	port->in_use++;
	return buffer;
}

/* books[0] counts frames, and one for the owner. */
static bool lent_drop(struct nic_lent *lent)
{
	CHECK(lent->books[0] > 0);
	return --lent->books[0] == 0;
}

static void buffer_drop(struct mem_port *port, struct mem_buffer *buffer)
{
	CHECK(buffer->refs > 0);
	if (--buffer->refs > 0)
		return;
	if (buffer->piece != NULL)
		buffer_drop(port, buffer->piece);
	if (buffer->lent != NULL && lent_drop(buffer->lent))
		buffer->lent->on_back(buffer->lent);
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
							.size = buffer->size,
							.checksum_good = buffer->piece != NULL,
							.more = buffer->more,
							.rest = buffer->piece };
		buffer->piece = NULL;
		port->stats.rx_packets++;
		port->stats.rx_bytes += buffer->size + buffer->more;
	}
	pthread_mutex_unlock(&port->pair->lock);
	return count;
}

static void *mem_rx_more(struct nic *nic, void *rest, struct nic_packet *ret_piece)
{
	struct mem_buffer *buffer = rest;

	(void)nic;
	rest = buffer->piece;
	buffer->piece = NULL;
	*ret_piece = (struct nic_packet){ .handle = buffer,
					  .data = buffer->bytes + HEADROOM,
					  .size = buffer->size };
	return rest;
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

/* The end of a frame, where one more piece goes. @return NULL: no buffer, or too many pieces */
static struct mem_buffer *add_piece(struct mem_port *port, struct nic_packet *packet, uint16_t size)
{
	struct mem_buffer *last = packet->handle, *buffer;
	uint32_t count = 1;

	CHECK((port->nic.offloads & NIC_TX_PIECES) != 0);
	for (; last->piece != NULL; last = last->piece)
		count++;
	buffer = count < (packet->split > 0 ? port->nic.split_pieces : port->nic.pieces)
			 ? buffer_take(port)
			 : NULL;
	if (buffer == NULL)
		return NULL;
	buffer->size = size;
	last->piece = buffer;
	packet->more += size;
	return buffer;
}

static uint8_t *mem_tx_extend(struct nic *nic, uint16_t queue, struct nic_packet *packet,
			      uint16_t size)
{
	struct mem_port *port = port_of(nic);
	struct mem_buffer *buffer;

	(void)queue;
	CHECK(size <= nic->mtu + ETH_SIZE);
	pthread_mutex_lock(&port->pair->lock);
	buffer = add_piece(port, packet, size);
	pthread_mutex_unlock(&port->pair->lock);
	return buffer != NULL ? buffer->bytes : NULL;
}

static bool mem_tx_lend(struct nic *nic, uint16_t queue, struct nic_packet *packet,
			const uint8_t *bytes, uint16_t size, struct nic_lent *lent)
{
	struct mem_port *port = port_of(nic);
	struct mem_buffer *buffer;

	(void)queue;
	CHECK((nic->offloads & NIC_TX_LENT) != 0);
	pthread_mutex_lock(&port->pair->lock);
	buffer = add_piece(port, packet, size);
	if (buffer != NULL) {
		if (lent->nic == NULL)
			lent->books[0] = 1;
		lent->nic = nic;
		lent->books[0]++;
		buffer->lent = lent;
		buffer->lent_bytes = bytes;
	}
	pthread_mutex_unlock(&port->pair->lock);
	return buffer != NULL;
}

static bool mem_lent_end(struct nic *nic, struct nic_lent *lent)
{
	bool is_back;

	pthread_mutex_lock(&port_of(nic)->pair->lock);
	is_back = lent_drop(lent);
	pthread_mutex_unlock(&port_of(nic)->pair->lock);
	return is_back;
}

static int mem_lendable(struct nic *nic, void *bytes, size_t size)
{
	(void)nic;
	(void)bytes;
	(void)size;
	return 0;
}

/* One's complement sum of big-endian words, folded. */
static uint16_t sum_of(uint32_t sum, const uint8_t *bytes, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++) {
		sum += (uint32_t)bytes[i] << (i % 2 == 0 ? 8 : 0);
		sum = (sum >> 16) + (sum & UINT16_MAX);
	}
	return (uint16_t)sum;
}

/* The sum of a TCP packet's words; the field holds that of the pseudo header. */
static void put_checksum(uint8_t *frame, uint32_t size)
{
	uint8_t *tcp = frame + ETH_SIZE + IP_SIZE;

	CHECK(size >= ETH_SIZE + IP_SIZE + TCP_CHECKSUM_AT + 2);
	bytes_store_u16(tcp + TCP_CHECKSUM_AT,
			(uint16_t)~sum_of(0, tcp, size - ETH_SIZE - IP_SIZE));
}

/* One frame over the wire, or lost because the far port has no buffer. */
static void carry(struct mem_port *port, const uint8_t *frame, uint16_t size)
{
	struct mem_port *peer = port->peer;
	struct mem_buffer *buffer = buffer_take(peer);

	CHECK(size <= port->nic.mtu + ETH_SIZE);
	if (buffer == NULL) {
		peer->stats.rx_missed++;
		port->stats.tx_errors++;
		return;
	}
	memcpy(buffer->bytes + HEADROOM, frame, size);
	buffer->size = size;
	*peer->last = buffer;
	peer->last = &buffer->next;
	peer->waiting++;
	port->stats.tx_packets++;
	port->stats.tx_bytes += size;
}

/* A frame that was not cut, to a port that merges: as if it had put it together from packets. */
static void carry_merged(struct mem_port *port, uint32_t size)
{
	struct mem_port *peer = port->peer;
	struct mem_buffer *first = NULL, **last = &first;
	uint32_t room = port->nic.mtu + ETH_SIZE;

	for (uint32_t at = 0; at < size; at += room) {
		struct mem_buffer *buffer = buffer_take(peer);

		if (buffer == NULL) {
			if (first != NULL)
				buffer_drop(peer, first);
			peer->stats.rx_missed++;
			port->stats.tx_errors++;
			return;
		}
		buffer->size = (uint16_t)MIN(size - at, room);
		memcpy(buffer->bytes + HEADROOM, port->frame + at, buffer->size);
		*last = buffer;
		last = &buffer->piece;
	}
	first->more = size - first->size;
	*peer->last = first;
	peer->last = &first->next;
	peer->waiting++;
	port->stats.tx_packets++;
	port->stats.tx_bytes += size;
}

/* Put the pieces of a frame together. @return its size */
static uint32_t gather(struct mem_port *port, const struct nic_packet *packet)
{
	const struct mem_buffer *piece = packet->handle;
	uint32_t size = packet->size;

	CHECK(size + packet->more <= FRAME_MAX);
	memcpy(port->frame, packet->data, size);
	for (piece = piece->piece; piece != NULL; piece = piece->piece) {
		memcpy(port->frame + size, piece->lent != NULL ? piece->lent_bytes : piece->bytes,
		       piece->size);
		size += piece->size;
	}
	CHECK(size == packet->size + packet->more);
	return size;
}

static uint32_t headers_of(const uint8_t *frame)
{
	return ETH_SIZE + IP_SIZE + (uint32_t)(frame[ETH_SIZE + IP_SIZE + TCP_SIZE_AT] >> 4) * 4;
}

/* @return packets that a frame of `size` bytes becomes */
static uint32_t packets_of(const struct nic_packet *packet)
{
	uint32_t payload;

	if (packet->split == 0)
		return 1;
	payload = packet->size + packet->more - headers_of(packet->data);
	return (payload + packet->split - 1) / packet->split;
}

/* Cut [size] gathered bytes: numbers and flags as hardware sets them. */
static void carry_split(struct mem_port *port, uint32_t size, uint16_t split)
{
	uint8_t headers[ETH_SIZE + IP_SIZE + 60], *ip = headers + ETH_SIZE, *tcp = ip + IP_SIZE;
	uint32_t header_size = headers_of(port->frame), at = header_size, part;
	uint32_t seq = bytes_load_u32(port->frame + ETH_SIZE + IP_SIZE + TCP_SEQ_AT);
	uint16_t id = bytes_load_u16(port->frame + ETH_SIZE + 4);

	for (; at < size; at += part, id++, seq += part) {
		uint8_t *frame = port->frame + at - header_size;
		uint16_t length, pseudo;

		part = MIN(size - at, (uint32_t)split);
		length = (uint16_t)(header_size - ETH_SIZE + part);
		if (at == header_size)
			memcpy(headers, port->frame, header_size);
		memcpy(frame, headers, header_size); /* over bytes that went */
		ip = frame + ETH_SIZE;
		tcp = ip + IP_SIZE;
		bytes_store_u16(ip + 2, length);
		bytes_store_u16(ip + 4, id);
		bytes_store_u16(ip + 10, 0);
		bytes_store_u16(ip + 10, (uint16_t)~sum_of(0, ip, IP_SIZE));
		bytes_store_u32(tcp + TCP_SEQ_AT, seq);
		if (at + part < size)
			tcp[TCP_FLAGS_AT] &= (uint8_t)~TCP_FIN_PSH;
		if (at > header_size)
			tcp[TCP_FLAGS_AT] &= (uint8_t)~TCP_CWR;
		pseudo = sum_of(length - IP_SIZE, tcp + TCP_CHECKSUM_AT, 2);
		bytes_store_u16(tcp + TCP_CHECKSUM_AT, pseudo);
		put_checksum(frame, header_size + part);
		carry(port, frame, (uint16_t)(header_size + part));
	}
}

static void send_frame(struct mem_port *port, const struct nic_packet *packet)
{
	uint32_t size = gather(port, packet);

	CHECK(!packet->wants_checksum || (port->nic.offloads & NIC_TX_CHECKSUM) != 0);
	if (packet->split > 0) {
		CHECK(packet->wants_checksum);
		CHECK((port->nic.offloads & NIC_TX_SPLIT) != 0);
		if ((port->peer->nic.offloads & NIC_RX_MERGE) != 0)
			carry_merged(port, size);
		else
			carry_split(port, size, packet->split);
		return;
	}
	if (packet->wants_checksum)
		put_checksum(port->frame, size);
	carry(port, port->frame, (uint16_t)size);
}

static uint16_t mem_tx_burst(struct nic *nic, uint16_t queue, struct nic_packet *packets,
			     uint16_t count)
{
	struct mem_port *port = port_of(nic);
	uint16_t taken = 0;

	CHECK(queue < nic->queues);
	pthread_mutex_lock(&port->pair->lock);
	for (; taken < count; taken++) {
		struct mem_buffer *buffer = packets[taken].handle;
		uint32_t frames = packets_of(&packets[taken]);

		CHECK(frames <= port->pair->depth);
		if (port->peer->waiting + frames > port->pair->depth)
			break;
		send_frame(port, &packets[taken]);
		if (port->keeps) {
			buffer->next = port->kept;
			port->kept = buffer;
		} else {
			buffer_drop(port, buffer);
		}
	}
	pthread_mutex_unlock(&port->pair->lock);
	return taken;
}

void nic_mem_keep(struct nic *nic, bool keeps)
{
	struct mem_port *port = port_of(nic);

	pthread_mutex_lock(&port->pair->lock);
	port->keeps = keeps;
	while (!keeps && port->kept != NULL) {
		struct mem_buffer *buffer = port->kept;

		port->kept = buffer->next;
		buffer_drop(port, buffer);
	}
	pthread_mutex_unlock(&port->pair->lock);
}

static int mem_wait_fd(struct nic *nic, uint16_t queue)
{
	(void)nic;
	(void)queue;
	return -1;
}

static enum nic_wait mem_wait_begin(struct nic *nic, uint16_t queue)
{
	(void)nic;
	(void)queue;
	return NIC_WAIT_NOT;
}

static void mem_wait_end(struct nic *nic, uint16_t queue)
{
	(void)nic;
	(void)queue;
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

static void mem_tend(struct nic *nic, int64_t now_ns)
{
	(void)nic;
	(void)now_ns;
}

static void pair_free(struct mem_pair *pair)
{
	for (int i = 0; i < 2; i++) {
		for (uint32_t j = 0; pair->ports[i].all != NULL && j < 2 * pair->depth; j++)
			free(pair->ports[i].all[j]);
		free(pair->ports[i].all);
		free(pair->ports[i].frame);
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
	.rx_more = mem_rx_more,
	.packet_hold = mem_packet_hold,
	.packet_free = mem_packet_free,
	.tx_alloc = mem_tx_alloc,
	.tx_burst = mem_tx_burst,
	.tx_extend = mem_tx_extend,
	.tx_lend = mem_tx_lend,
	.lent_end = mem_lent_end,
	.lendable = mem_lendable,
	.wait_fd = mem_wait_fd,
	.wait_begin = mem_wait_begin,
	.wait_end = mem_wait_end,
	.stats = mem_stats,
	.link_up = mem_link_up,
	.thread_register = mem_thread_register,
	.tend = mem_tend,
	.close = mem_close,
};

static int port_init(struct mem_pair *pair, uint32_t index, uint16_t mtu)
{
	struct mem_port *port = &pair->ports[index];

	port->nic = (struct nic){ .ops = &mem_ops,
				  .mac = { 2, 0, 0, 0, 0, (uint8_t)(index + 1) },
				  .mtu = mtu,
				  .queues = NIC_MEM_QUEUES,
				  .pieces = NIC_PIECES_MAX,
				  .split_pieces = NIC_PIECES_MAX };
	(void)snprintf(port->nic.describe, sizeof(port->nic.describe), "memory port %u, MTU %u",
		       index, mtu);
	port->pair = pair;
	port->peer = &pair->ports[1 - index];
	port->last = &port->first;
	port->all = calloc(2 * (size_t)pair->depth, sizeof(*port->all));
	port->frame = malloc(FRAME_MAX);
	for (uint32_t i = 0; port->all != NULL && i < 2 * pair->depth; i++) {
		struct mem_buffer *buffer = malloc(sizeof(*buffer) + pair->room);

		if (buffer == NULL)
			return -ENOMEM;
		port->all[i] = buffer;
		buffer->next = port->idle;
		port->idle = buffer;
	}
	return port->all != NULL && port->frame != NULL ? 0 : -ENOMEM;
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
