/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: bytes of any size come back through an echoing session in order; a session that takes
 * nothing stops the receiving and loses nothing, also when no buffer is free for what it leaves; a
 * close is done after the answer was sent; a peer that goes, and the stop, free every connection and
 * its buffer; connections over the limit are refused; an idle core sleeps and is woken by the socket
 * and by the mesh. Shown over real loopback sockets against the real loop in a thread.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/sock/sock_impl.h"

#include "cm.h"
#include "core_stub.h"

#define BIG (3U << 20)

struct world {
	char ring[64];
	struct config config;
	struct counters counters;
	struct mesh *mesh;
	struct core *core;
	pthread_t thread;
	uint32_t replies;
};

static void *run(void *argument)
{
	struct core *core = argument;

	if (core_ring_open(core) < 0)
		abort();
	core_run(core);
	core_ring_close(core);
	return NULL;
}

static void on_reply(void *context, struct mesh_item *item)
{
	struct world *world = context;

	(void)item;
	world->replies++;
}

static void ask(struct world *world, void (*what)(void *, struct mesh_item *))
{
	struct core_item item = { .item.run = what, .reply = on_reply };
	uint32_t before = world->replies;

	list_init(&item.item.node);
	list_init(&item.node);
	mesh_send(world->mesh, 1, 0, &item.item);
	while (world->replies == before) {
		struct pollfd fd = { .fd = mesh_wait_fd(world->mesh, 1), .events = POLLIN };

		if (mesh_poll(world->mesh, 1, 8) > 0 || !mesh_sleep_begin(world->mesh, 1))
			continue;
		assert_int_equal(poll(&fd, 1, 20000), 1);
		mesh_sleep_end(world->mesh, 1);
	}
}

static void world_open(struct world *world, uint32_t connections_max)
{
	const struct chunk_identity identity = { .boot_id = "test" };
	struct core_args args = {
		.count = 1, .config = &world->config, .counters = &world->counters, .lock_fd = -1
	};
	char reason[256];

	memset(&stub, 0, sizeof(stub));
	memset(world, 0, sizeof(*world));
	config_init(&world->config);
	(void)snprintf(world->ring, sizeof(world->ring), "/dev/shm/test_sock.%d", (int)getpid());
	assert_int_equal(chunk_pool_open(world->ring, 4 << 20, &identity, &args.chunks), 0);
	args.mesh = world->mesh = mesh_new(1);
	mesh_join(world->mesh, 1, world);
	world->core = core_new(&args);
	assert_non_null(world->core);
	assert_int_equal(sock_new(world->core, "127.0.0.1", 0, connections_max, &world->core->sock,
				  reason, sizeof(reason)),
			 0);
	assert_int_equal(pthread_create(&world->thread, NULL, run, world->core), 0);
	ask(world, core_on_topics);
}

static void world_close(struct world *world)
{
	struct mesh_item stop = { .run = core_on_stop };

	ask(world, core_on_stop_transports);
	assert_int_equal(stub.opened, stub.closed);
	list_init(&stop.node);
	mesh_send(world->mesh, 1, 0, &stop);
	assert_int_equal(pthread_join(world->thread, NULL), 0);
	sock_free(world->core->sock);
	chunk_pool_close(world->core->chunks);
	core_free(world->core);
	mesh_free(world->mesh);
}

static int dial(const struct world *world)
{
	struct sockaddr_in name = { .sin_family = AF_INET,
				    .sin_port = htons(sock_port(world->core->sock)),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

struct flood {
	int fd;
	const uint8_t *bytes;
};

static void *send_all(void *argument)
{
	const struct flood *flood = argument;

	for (size_t sent = 0; sent < BIG;) {
		ssize_t size = send(flood->fd, flood->bytes + sent, BIG - sent, 0);

		if (size <= 0)
			abort();
		sent += (size_t)size;
	}
	return NULL;
}

static void expect(int fd, const uint8_t *bytes, size_t size)
{
	uint8_t back[65536];
	size_t got = 0;

	while (got < size) {
		ssize_t part = recv(fd, back, MIN(sizeof(back), size - got), 0);

		assert_true(part > 0);
		assert_memory_equal(back, bytes + got, part);
		got += (size_t)part;
	}
}

static void test_sock_echoes_in_order(void **state)
{
	struct world world;
	struct flood flood;
	pthread_t thread;
	uint8_t *bytes = malloc(BIG);

	(void)state;
	for (uint32_t i = 0; i < BIG; i++)
		bytes[i] = (uint8_t)(i * 31 + (i >> 11));
	world_open(&world, 16);
	flood = (struct flood){ .fd = dial(&world), .bytes = bytes };
	assert_int_equal(pthread_create(&thread, NULL, send_all, &flood), 0);
	expect(flood.fd, bytes, BIG);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(flood.fd);
	world_close(&world);
	free(bytes);
}

static void resume(void *context, struct mesh_item *item)
{
	(void)context;
	(void)item;
	stub.last->ops->resume(stub.last);
}

static void test_sock_keeps_what_a_session_does_not_take(void **state)
{
	struct mesh_item item = { .run = resume };
	struct world world;
	int fd;

	(void)state;
	world_open(&world, 16);
	__atomic_store_n(&stub.hold, true, __ATOMIC_RELEASE);
	fd = dial(&world);
	assert_int_equal(send(fd, "first ", 6, 0), 6);
	while (counters_get(&world.counters, COUNTER_SOCK_PAUSES) == 0)
		(void)sched_yield();
	assert_int_equal(send(fd, "second", 6, 0), 6);
	__atomic_store_n(&stub.hold, false, __ATOMIC_RELEASE);
	list_init(&item.node);
	mesh_send(world.mesh, 1, 0, &item);
	expect(fd, (const uint8_t *)"first second", 12);
	assert_int_equal(counters_get(&world.counters, COUNTER_SOCK_PAUSES), 1);
	close(fd);
	world_close(&world);
}

static void answer_item(struct core *core, struct core_item *item)
{
	item->item.run = item->reply;
	mesh_send(core->mesh, core->index, core->count, &item->item);
}

static void resume_all(void *context, struct mesh_item *item)
{
	struct core *core = context;

	LIST_EACH_SAFE(&core->sock->open, node)
	{
		struct link *link = &LIST_ENTRY(node, struct sock_conn, node)->link;

		link->ops->resume(link);
	}
	answer_item(core, CONTAINER_OF(item, struct core_item, item));
}

static void abort_all(void *context, struct mesh_item *item)
{
	struct core *core = context;

	LIST_EACH_SAFE(&core->sock->open, node)
	{
		struct link *link = &LIST_ENTRY(node, struct sock_conn, node)->link;

		link->ops->close(link, true);
	}
	answer_item(core, CONTAINER_OF(item, struct core_item, item));
}

#define LETTERS "abcdefghijklmnopqrstuvwxyz"

/* Letters in order, so that a piece lost or twice is seen; returns when the session has paused. */
static int dial_and_recite(const struct world *world)
{
	uint64_t pauses = counters_get(&world->counters, COUNTER_SOCK_PAUSES);
	int fd = dial(world);

	assert_int_equal(send(fd, LETTERS, 26, 0), 26);
	while (counters_get(&world->counters, COUNTER_SOCK_PAUSES) == pauses)
		(void)sched_yield();
	return fd;
}

static void await_closed(uint32_t count)
{
	while (__atomic_load_n(&stub.closed, __ATOMIC_ACQUIRE) < count)
		(void)sched_yield();
}

/* All blocks are held for sessions that take nothing: others are served nevertheless. */
static void test_sock_serves_without_a_free_block(void **state)
{
	int fds[SOCK_KEPT_MAX + 2];
	struct world world;

	(void)state;
	world_open(&world, ARRAY_COUNT(fds));
	__atomic_store_n(&stub.hold, true, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < SOCK_KEPT_MAX; i++)
		fds[i] = dial_and_recite(&world);
	assert_int_equal(counters_get(&world.counters, COUNTER_SOCK_LOOKS), 0);
	/* One whose session takes nothing, and one whose session takes some at a time. */
	fds[SOCK_KEPT_MAX] = dial_and_recite(&world);
	__atomic_store_n(&stub.bite, 4, __ATOMIC_RELEASE);
	__atomic_store_n(&stub.hold, false, __ATOMIC_RELEASE);
	fds[SOCK_KEPT_MAX + 1] = dial_and_recite(&world);
	expect(fds[SOCK_KEPT_MAX + 1], (const uint8_t *)"abcd", 4);
	assert_true(counters_get(&world.counters, COUNTER_SOCK_LOOKS) >= 2);
	for (int i = 0; i < 3; i++)
		ask(&world, resume_all);
	__atomic_store_n(&stub.bite, 0, __ATOMIC_RELEASE);
	ask(&world, resume_all);
	expect(fds[SOCK_KEPT_MAX + 1], (const uint8_t *)"efghijklmnopqrstuvwxyz", 22);
	for (uint32_t i = 0; i <= SOCK_KEPT_MAX; i++)
		expect(fds[i], (const uint8_t *)LETTERS, 26);
	for (uint32_t i = 0; i < ARRAY_COUNT(fds); i++)
		close(fds[i]);
	await_closed(ARRAY_COUNT(fds));
	world_close(&world);
}

/* Connections that end while their bytes are kept leave their blocks to others. */
static void test_sock_takes_blocks_back_from_the_dead(void **state)
{
	int fds[SOCK_KEPT_MAX];
	struct world world;

	(void)state;
	world_open(&world, 2 * ARRAY_COUNT(fds));
	__atomic_store_n(&stub.hold, true, __ATOMIC_RELEASE);
	for (uint32_t round = 1; round <= 2; round++) {
		for (uint32_t i = 0; i < ARRAY_COUNT(fds); i++)
			fds[i] = dial_and_recite(&world);
		ask(&world, abort_all);
		await_closed(round * (uint32_t)ARRAY_COUNT(fds));
		for (uint32_t i = 0; i < ARRAY_COUNT(fds); i++)
			close(fds[i]);
	}
	assert_int_equal(counters_get(&world.counters, COUNTER_SOCK_LOOKS), 0);
	world_close(&world);
}

static void test_sock_closes_after_the_answer(void **state)
{
	struct world world;
	char byte;
	int fd;

	(void)state;
	world_open(&world, 16);
	stub.close_after = true;
	fd = dial(&world);
	assert_int_equal(send(fd, "bye", 3, 0), 3);
	expect(fd, (const uint8_t *)"bye", 3);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
	world_close(&world);
}

/* The last answer of a session whose peer has ended: it came late. */
static void answer_late(void *context, struct mesh_item *item)
{
	(void)context;
	(void)item;
	assert_int_equal(outq_push_copy(&stub.last->out, "late", 4), 0);
	stub.last->ops->send(stub.last);
	stub.last->ops->close(stub.last, false);
}

static void test_sock_half_close_gets_its_answers(void **state)
{
	struct mesh_item item = { .run = answer_late };
	struct world world;
	uint64_t cycles;
	char byte;
	int fd;

	(void)state;
	world_open(&world, 16);
	stub.owes = true;
	fd = dial(&world);
	assert_int_equal(send(fd, "early ", 6, 0), 6);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	while (!__atomic_load_n(&stub.ended, __ATOMIC_ACQUIRE))
		(void)sched_yield();
	cycles = counters_get(&world.counters, COUNTER_CORE_CYCLES);
	(void)poll(NULL, 0, 50);
	assert_int_equal(__atomic_load_n(&stub.closed, __ATOMIC_ACQUIRE), 0);
	/* Waiting for the answer is not polling for input that cannot come. */
	assert_true(counters_get(&world.counters, COUNTER_CORE_CYCLES) - cycles < 1000000);
	list_init(&item.node);
	mesh_send(world.mesh, 1, 0, &item);
	expect(fd, (const uint8_t *)"early late", 10);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
	world_close(&world);
}

/* Nobody is left to read: no wait for what is owed. */
static void test_sock_reset_after_half_close_frees_at_once(void **state)
{
	struct linger hard = { .l_onoff = 1 };
	struct world world;
	int fd;

	(void)state;
	world_open(&world, 16);
	stub.owes = true;
	fd = dial(&world);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	while (!__atomic_load_n(&stub.ended, __ATOMIC_ACQUIRE))
		(void)sched_yield();
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	close(fd);
	for (int i = 0; i < 1000 && __atomic_load_n(&stub.closed, __ATOMIC_ACQUIRE) == 0; i++)
		(void)poll(NULL, 0, 5);
	assert_int_equal(__atomic_load_n(&stub.closed, __ATOMIC_ACQUIRE), 1);
	world_close(&world);
}

static void test_sock_refuses_over_the_limit(void **state)
{
	struct world world;
	int fds[3];
	char byte;

	(void)state;
	world_open(&world, 2);
	for (size_t i = 0; i < 2; i++) {
		fds[i] = dial(&world);
		assert_int_equal(send(fds[i], "x", 1, 0), 1);
		expect(fds[i], (const uint8_t *)"x", 1);
	}
	fds[2] = dial(&world);
	assert_int_equal(recv(fds[2], &byte, 1, 0), 0);
	assert_int_equal(counters_get(&world.counters, COUNTER_SOCK_REFUSED), 1);
	close(fds[0]); /* its slot is free again */
	while (__atomic_load_n(&stub.closed, __ATOMIC_ACQUIRE) == 0)
		(void)sched_yield();
	/* The slot is free a moment after the session is: when the last operation came back. */
	for (ssize_t size = 0; size != 1;) {
		fds[0] = dial(&world);
		assert_int_equal(send(fds[0], "y", 1, MSG_NOSIGNAL), 1);
		size = recv(fds[0], &byte, 1, 0);
		if (size != 1)
			close(fds[0]);
	}
	assert_int_equal(byte, 'y');
	for (size_t i = 0; i < 3; i++)
		close(fds[i]);
	world_close(&world);
}

static void test_sock_lets_an_idle_core_sleep(void **state)
{
	struct world world;
	uint64_t slept, cycles;
	int fd;

	(void)state;
	world_open(&world, 4);
	fd = dial(&world);
	for (int i = 0; i < 20; i++) {
		(void)poll(NULL, 0, 10);
		assert_int_equal(send(fd, "z", 1, 0), 1);
		expect(fd, (const uint8_t *)"z", 1);
	}
	slept = counters_get(&world.counters, COUNTER_CORE_SLEEP_NS);
	cycles = counters_get(&world.counters, COUNTER_CORE_CYCLES);
	assert_true(slept > 20 * NS_PER_MS);
	assert_true(cycles > 20);
	close(fd);
	world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sock_echoes_in_order),
		cmocka_unit_test(test_sock_keeps_what_a_session_does_not_take),
		cmocka_unit_test(test_sock_serves_without_a_free_block),
		cmocka_unit_test(test_sock_takes_blocks_back_from_the_dead),
		cmocka_unit_test(test_sock_closes_after_the_answer),
		cmocka_unit_test(test_sock_half_close_gets_its_answers),
		cmocka_unit_test(test_sock_reset_after_half_close_frees_at_once),
		cmocka_unit_test(test_sock_refuses_over_the_limit),
		cmocka_unit_test(test_sock_lets_an_idle_core_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
