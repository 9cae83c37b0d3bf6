/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: the housekeeper comes first to who asked last, and to everybody in the end, whatever the busy ones
   ask for. Shown by the order in which nodes leave the queue. */
#include "dataplane/core/housekeeper_queue.h"

#include "cm.h"

#define COUNT 100

struct bench {
	struct housekeeper_queue queue;
	struct list nodes[COUNT];
};

static int setup(void **state)
{
	static struct bench bench;

	housekeeper_queue_init(&bench.queue);
	for (int i = 0; i < COUNT; i++)
		list_init(&bench.nodes[i]);
	*state = &bench;
	return 0;
}

static void test_housekeeper_queue_newest_asked_first(void **state)
{
	struct bench *bench = *state;

	assert_null(housekeeper_queue_next(&bench->queue)); /* a turn like others */
	for (int i = 0; i < 4; i++)
		housekeeper_queue_add(&bench->queue, &bench->nodes[i]);
	housekeeper_queue_ask(&bench->queue, &bench->nodes[5]);
	housekeeper_queue_ask(&bench->queue, &bench->nodes[2]);
	housekeeper_queue_ask(&bench->queue, &bench->nodes[6]);
	housekeeper_queue_ask(&bench->queue, &bench->nodes[5]);
	housekeeper_queue_add(&bench->queue, &bench->nodes[5]);
	for (int i = 0; i < 6; i++) {
		static const int order[] = { 5, 6, 2, 0, 1, 3 };

		assert_false(housekeeper_queue_is_empty(&bench->queue));
		assert_ptr_equal(housekeeper_queue_next(&bench->queue), &bench->nodes[order[i]]);
		assert_false(list_is_linked(&bench->nodes[order[i]]));
	}
	assert_true(housekeeper_queue_is_empty(&bench->queue));
	assert_null(housekeeper_queue_next(&bench->queue));
}

/* One log asks before each turn. */
static void test_housekeeper_queue_nobody_waits_for_ever(void **state)
{
	struct bench *bench = *state;
	uint32_t busy = 0, turns = 0;

	for (int i = 1; i < COUNT / 2; i++)
		housekeeper_queue_ask(&bench->queue, &bench->nodes[i]);
	for (int i = COUNT / 2; i < COUNT; i++)
		housekeeper_queue_add(&bench->queue, &bench->nodes[i]);
	do {
		housekeeper_queue_ask(&bench->queue, &bench->nodes[0]);
		busy += housekeeper_queue_next(&bench->queue) == &bench->nodes[0];
		turns++;
		assert_true(turns <= COUNT / 2 * HOUSEKEEPER_QUEUE_TURNS);
		list_remove(&bench->nodes[0]);
	} while (!housekeeper_queue_is_empty(&bench->queue));
	assert_int_equal(turns - busy, COUNT - 1);
	assert_true(busy >= turns / HOUSEKEEPER_QUEUE_TURNS * (HOUSEKEEPER_QUEUE_TURNS - 2));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		TEST(test_housekeeper_queue_newest_asked_first),
		TEST(test_housekeeper_queue_nobody_waits_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
