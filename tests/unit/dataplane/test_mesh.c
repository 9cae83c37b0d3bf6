/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: items reach the named member, in order per pair, run with its context; a full ring loses
 * nothing; an item to oneself runs at the next poll; a sleeper is woken and never sleeps over an
 * item. Shown with three members in one thread, and with two threads that send and sleep (the run
 * under TSan shows that they meet without races).
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "dataplane/core/mesh.h"

#include "cm.h"

#define ITEMS 5000

struct member {
	uint32_t received;
	uint32_t next;
	uint32_t disorder;
};

struct numbered {
	struct mesh_item item;
	uint32_t number;
};

static void receive(void *context, struct mesh_item *item)
{
	struct member *member = context;
	struct numbered *numbered = CONTAINER_OF(item, struct numbered, item);

	member->received++;
	if (numbered->number != member->next)
		member->disorder++;
	member->next = numbered->number + 1;
}

static struct numbered *items_new(uint32_t count)
{
	struct numbered *items = calloc(count, sizeof(*items));

	assert_non_null(items);
	for (uint32_t i = 0; i < count; i++) {
		items[i].item.run = receive;
		list_init(&items[i].item.node);
		items[i].number = i;
	}
	return items;
}

static void test_mesh_keeps_order_past_a_full_ring(void **state)
{
	struct member members[3] = { 0 };
	struct mesh *mesh = mesh_new(2);
	struct numbered *items = items_new(ITEMS);

	(void)state;
	assert_non_null(mesh);
	for (uint32_t i = 0; i < 3; i++)
		mesh_join(mesh, i, &members[i]);
	for (uint32_t i = 0; i < ITEMS; i++)
		mesh_send(mesh, 0, 2, &items[i].item);
	for (uint32_t turn = 0; turn < ITEMS; turn++) {
		assert_true(mesh_poll(mesh, 2, 100) <= 100);
		assert_int_equal(mesh_poll(mesh, 0, 100), 0);
	}
	assert_int_equal(members[2].received, ITEMS);
	assert_int_equal(members[2].disorder, 0);
	assert_int_equal(members[1].received, 0);
	mesh_free(mesh);
	free(items);
}

static void test_mesh_runs_an_item_to_oneself_at_the_next_poll(void **state)
{
	struct member member = { 0 };
	struct mesh *mesh = mesh_new(1);
	struct numbered *items = items_new(3);

	(void)state;
	mesh_join(mesh, 0, &member);
	for (uint32_t i = 0; i < 3; i++)
		mesh_send(mesh, 0, 0, &items[i].item);
	assert_int_equal(member.received, 0);
	assert_false(mesh_sleep_begin(mesh, 0));
	assert_int_equal(mesh_poll(mesh, 0, 2), 2);
	assert_int_equal(mesh_poll(mesh, 0, 2), 1);
	assert_int_equal(mesh_poll(mesh, 0, 2), 0);
	assert_int_equal(member.disorder, 0);
	mesh_free(mesh);
	free(items);
}

static bool is_readable(struct mesh *mesh, uint32_t member)
{
	struct pollfd fd = { .fd = mesh_wait_fd(mesh, member), .events = POLLIN };

	return poll(&fd, 1, 0) == 1;
}

static void test_mesh_wakes_a_sleeper_only(void **state)
{
	struct member member = { 0 };
	struct mesh *mesh = mesh_new(1);
	struct numbered *items = items_new(3);

	(void)state;
	mesh_join(mesh, 0, &member);
	mesh_send(mesh, 1, 0, &items[0].item);
	assert_false(is_readable(mesh, 0));
	assert_false(mesh_sleep_begin(mesh, 0)); /* something is there already */
	assert_int_equal(mesh_poll(mesh, 0, 8), 1);
	assert_true(mesh_sleep_begin(mesh, 0));
	mesh_send(mesh, 1, 0, &items[1].item);
	assert_true(is_readable(mesh, 0));
	mesh_sleep_end(mesh, 0);
	assert_false(is_readable(mesh, 0));
	assert_int_equal(mesh_poll(mesh, 0, 8), 1);
	mesh_send(mesh, 1, 0, &items[2].item);
	assert_false(is_readable(mesh, 0));
	mesh_free(mesh);
	free(items);
}

struct pair {
	struct mesh *mesh;
	struct numbered *items;
};

static void *send_all(void *argument)
{
	struct pair *pair = argument;

	for (uint32_t i = 0; i < ITEMS; i++) {
		mesh_send(pair->mesh, 1, 0, &pair->items[i].item);
		(void)mesh_poll(pair->mesh, 1, 1);
	}
	while (!mesh_sleep_begin(pair->mesh, 1)) /* what did not fit still has to go */
		(void)mesh_poll(pair->mesh, 1, 1);
	mesh_sleep_end(pair->mesh, 1);
	return NULL;
}

static void test_mesh_between_two_threads_misses_no_wake_up(void **state)
{
	struct member member = { 0 };
	struct pair pair = { .mesh = mesh_new(1), .items = items_new(ITEMS) };
	pthread_t thread;

	(void)state;
	mesh_join(pair.mesh, 0, &member);
	assert_int_equal(pthread_create(&thread, NULL, send_all, &pair), 0);
	while (member.received < ITEMS) {
		struct pollfd fd = { .fd = mesh_wait_fd(pair.mesh, 0), .events = POLLIN };

		(void)mesh_poll(pair.mesh, 0, 64);
		if (member.received == ITEMS || !mesh_sleep_begin(pair.mesh, 0))
			continue;
		/* A missed wake-up would end in this time limit. */
		assert_int_equal(poll(&fd, 1, 20000), 1);
		mesh_sleep_end(pair.mesh, 0);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(member.disorder, 0);
	mesh_free(pair.mesh);
	free(pair.items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mesh_keeps_order_past_a_full_ring),
		cmocka_unit_test(test_mesh_runs_an_item_to_oneself_at_the_next_poll),
		cmocka_unit_test(test_mesh_wakes_a_sleeper_only),
		cmocka_unit_test(test_mesh_between_two_threads_misses_no_wake_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
