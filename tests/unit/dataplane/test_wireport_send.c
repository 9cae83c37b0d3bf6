/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: whatever a port can do for us, the peer gets the same bytes in segments that are in order,
 * also when some are lost; payload of the ring is lent, not copied, to a port that takes it so, and its
 * chunk stays taken until the port lets go, acknowledged or not; where the port refuses, bytes are
 * copied. Shown by a random mix of copies and references to a chunk of a real pool, over a memory port
 * with each set of abilities, to a client that judges every checksum.
 */
#include <unistd.h>

#include "base/prng.h"

#include "dataplane/tcp/tcp_tcb.h"

#include "wireport_rig_world.h"

#define LENT  (NIC_TX_PIECES | NIC_TX_LENT)
#define SPLIT (NIC_TX_PIECES | NIC_TX_CHECKSUM | NIC_TX_SPLIT)
#define RING  (4U * 1024 * 1024)

static struct {
	struct chunk_pool *pool;
	struct chunk *chunk; /* its bytes are those of w.sent */
	char path[64];
} ring;

static int up(void **state)
{
	struct chunk_identity identity = { .boot_id = "boot" };

	assert_int_equal(world_up(state), 0);
	(void)snprintf(ring.path, sizeof(ring.path), "/dev/shm/test_wireport_send.%d",
		       (int)getpid());
	assert_int_equal(chunk_pool_open(ring.path, RING, &identity, &ring.pool), 0);
	ring.chunk = chunk_take(ring.pool, STREAM);
	assert_non_null(ring.chunk);
	memcpy(ring.chunk->mem, w.sent, STREAM);
	return 0;
}

static int down(void **state)
{
	int r = world_down(state);

	chunk_unref(ring.chunk);
	assert_int_equal(chunk_pool_available(ring.pool), chunk_pool_size(ring.pool));
	chunk_pool_close(ring.pool);
	return r;
}

static int up_plain(void **state)
{
	near_offloads = 0;
	return up(state);
}

static int up_lent(void **state)
{
	near_offloads = LENT;
	return up(state);
}

static int up_lent_checksum(void **state)
{
	near_offloads = LENT | NIC_TX_CHECKSUM;
	return up(state);
}

static int up_split(void **state)
{
	near_offloads = SPLIT;
	return up(state);
}

static int up_split_lent(void **state)
{
	near_offloads = SPLIT | LENT;
	return up(state);
}

/* The stream in pieces of `most` bytes at most, some of them the ring's. */
static void push(uint32_t at, uint32_t size, bool is_ring)
{
	struct outq *out = &session_slot.link->out;

	if (is_ring)
		assert_int_equal(
			outq_push_chunk(out, ring.chunk->mem + at, size, chunk_ref(ring.chunk)), 0);
	else
		assert_int_equal(outq_push_copy(out, w.sent + at, size), 0);
}

static void receive_all(void)
{
	session_slot.link->ops->send(session_slot.link);
	for (int i = 0; i < 400000 && w.got_size < STREAM; i++)
		step();
	assert_int_equal(w.got_size, STREAM);
	assert_memory_equal(w.got, w.sent, STREAM);
	steps(5000);
	assert_int_equal(session_slot.link->out.size, 0);
}

static void send_mix(uint32_t most)
{
	struct prng prng = { most };
	uint32_t at = 0;

	open_connection(9092);
	while (at < STREAM) {
		uint32_t size = 1 + (uint32_t)prng_below(&prng, most);

		size = MIN(size, STREAM - at);
		push(at, size, prng_below(&prng, 4) > 0);
		at += size;
	}
	receive_all();
}

static void test_wireport_send_mix_arrives(void **state)
{
	(void)state;
	send_mix(20000);
}

static void test_wireport_send_small_pieces_arrive(void **state)
{
	(void)state;
	send_mix(2000);
}

static void test_wireport_send_lost_ones_arrive(void **state)
{
	(void)state;
	w.drop_each = 23;
	send_mix(50000);
	assert_true(counted(0, COUNTER_TCP_RETRANSMITS) > 0);
}

static void test_wireport_send_lends_what_the_ring_has(void **state)
{
	(void)state;
	open_connection(9092);
	push(0, 100, false);
	push(100, STREAM - 100, true);
	receive_all();
	/* But for the rest of the first segment, where it is short, nothing was copied. */
	assert_true(counted(0, COUNTER_WIREPORT_TX_LENT) >= STREAM - 100 - 768);
	assert_int_equal(counted(0, COUNTER_WIREPORT_TX_LENT_NOT), 0);
}

/* Acknowledged is not enough: the port may still read what was sent twice, or say late that it did. */
static void test_wireport_send_chunk_stays_while_the_port_has_it(void **state)
{
	uint64_t available = chunk_pool_available(ring.pool);
	struct chunk *other;

	(void)state;
	nic_mem_keep(w.near, true);
	open_connection(9092);
	push(0, STREAM, true);
	chunk_unref(ring.chunk); /* the answer's is the only reference now */
	receive_all();
	assert_int_equal(outq_pool_lent_count(w.core[0].outq_pool), 1);
	assert_int_equal(chunk_pool_available(ring.pool), available);
	assert_memory_equal(ring.chunk->mem, w.sent, STREAM);
	nic_mem_keep(w.near, false);
	assert_int_equal(chunk_pool_available(ring.pool), available); /* the core takes it back */
	step();
	assert_int_equal(outq_pool_lent_count(w.core[0].outq_pool), 0);
	assert_int_equal(chunk_pool_available(ring.pool), chunk_pool_size(ring.pool));
	other = chunk_take(ring.pool, STREAM); /* for down() */
	assert_ptr_equal(other, ring.chunk);
}

/* A port that has no buffer for one more piece gets copies. */
static void test_wireport_send_refused_pieces_are_copied(void **state)
{
	(void)state;
	w.near->pieces = 1;
	send_mix(20000);
	assert_int_equal(counted(0, COUNTER_WIREPORT_TX_LENT), 0);
	assert_true(counted(0, COUNTER_WIREPORT_TX_LENT_NOT) > STREAM / 1460 / 2);
}

static void test_wireport_send_port_cuts(void **state)
{
	uint64_t frames;

	(void)state;
	send_mix(20000);
	frames = counted(0, COUNTER_WIREPORT_TX_PACKETS);
	assert_true(counted(0, COUNTER_WIREPORT_TX_SPLIT) > 4);
	assert_true(counted(0, COUNTER_TCP_SEGMENTS_OUT) > STREAM / 1460);
	assert_true(frames < STREAM / 1460 / 2);
}

/* What has too many pieces for the port is cut here; what has too many still is copied. */
static void test_wireport_send_too_many_pieces_are_cut_here(void **state)
{
	(void)state;
	w.near->pieces = w.near->split_pieces = 2;
	send_mix(1800);
	assert_int_equal(w.got_size, STREAM);
	assert_true(counted(0, COUNTER_WIREPORT_TX_PACKETS) > STREAM / 1460);
	assert_true(counted(0, COUNTER_WIREPORT_TX_LENT) > STREAM / 4);
}

/* The end of the stream is in the last packet of the last frame, and only there. */
static void test_wireport_send_end_follows_the_last_part(void **state)
{
	(void)state;
	open_connection(9092);
	push(0, STREAM, true);
	session_slot.link->ops->send(session_slot.link);
	session_slot.link->ops->close(session_slot.link, false);
	for (int i = 0; i < 400000 && !w.is_eof; i++)
		step();
	assert_true(w.is_eof);
	assert_int_equal(w.got_size, STREAM);
	assert_memory_equal(w.got, w.sent, STREAM);
	tcp_shutdown(w.tcb, w.now_ns);
	steps(200);
	assert_int_equal(sessions_open, 0);
}

/* The same for what ends with a full segment, so that the end is in a frame of several, cut here. */
static void test_wireport_send_end_is_in_the_last_part(void **state)
{
	uint32_t size;

	(void)state;
	w.near->split_pieces = 1;
	open_connection(9092);
	size = 100 * tcp_tcb_payload_max(w.tcb);
	push(0, size, true);
	session_slot.link->ops->send(session_slot.link);
	session_slot.link->ops->close(session_slot.link, false);
	for (int i = 0; i < 400000 && !w.is_eof; i++)
		step();
	assert_true(w.is_eof);
	assert_int_equal(w.got_size, size);
	assert_memory_equal(w.got, w.sent, size);
	assert_int_equal(counted(0, COUNTER_WIREPORT_TX_SPLIT), 0);
	assert_in_range(counted(0, COUNTER_WIREPORT_TX_PACKETS), 100, 120);
	tcp_shutdown(w.tcb, w.now_ns);
	steps(200);
	assert_int_equal(sessions_open, 0);
}

#define TEST(what, set) cmocka_unit_test_setup_teardown(test_wireport_send_##what, set, down)
#define FOR_EACH_SET(what)                                                                         \
	TEST(what, up_plain), TEST(what, up_lent), TEST(what, up_lent_checksum),                   \
		TEST(what, up_split), TEST(what, up_split_lent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_EACH_SET(mix_arrives),
		FOR_EACH_SET(small_pieces_arrive),
		FOR_EACH_SET(lost_ones_arrive),
		FOR_EACH_SET(end_follows_the_last_part),
		TEST(lends_what_the_ring_has, up_lent),
		TEST(lends_what_the_ring_has, up_split_lent),
		TEST(chunk_stays_while_the_port_has_it, up_lent),
		TEST(chunk_stays_while_the_port_has_it, up_split_lent),
		TEST(refused_pieces_are_copied, up_lent),
		TEST(refused_pieces_are_copied, up_lent_checksum),
		TEST(port_cuts, up_split),
		TEST(port_cuts, up_split_lent),
		TEST(too_many_pieces_are_cut_here, up_split_lent),
		TEST(end_is_in_the_last_part, up_split_lent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
