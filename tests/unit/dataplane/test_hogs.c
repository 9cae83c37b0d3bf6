/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: who holds ring memory or unread answers and moves too little is closed when it is asked for,
 * with a counted reason; who moves on, waits for us, or holds no more than its own share is not; unread
 * answers of a crowd leave room; while room is short large answers wait and producers are served. Shown
 * by feeding sessions by hand and asking at chosen times.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/hogs.h"
#include "dataplane/core/session.h"

#include "cm.h"
#include "corebox.h"

static const struct corebox_batch plain = { .producer_id = -1, .records = 1, .value_size = 100 };
static const struct corebox_batch large = { .producer_id = -1, .records = 1, .value_size = 500000 };

static void ask(struct client *client, int32_t correlation)
{
	struct wire_api_versions_request request = { .client_software_name = WIRE_STRING("box"),
						     .client_software_version = WIRE_STRING("1") };
	struct writer writer = client_begin(WIRE_API_API_VERSIONS, 0, correlation);

	wire_encode_api_versions_request(&writer, 0, &request);
	client_end(client, &writer, 64);
}

/* Ask until so many bytes of answers lie unread. */
static void pile_up(struct client *client, uint64_t size)
{
	for (int32_t i = 0; client->link.out.size <= size; i++) {
		assert_true(i < 1000);
		ask(client, i);
	}
}

static uint64_t closed(const struct corebox *box)
{
	return counters_get(box->cores[0]->counters, COUNTER_SESSION_CLOSE_HOG);
}

static void test_hogs_a_stalled_batch_is_given_up(void **state)
{
	struct corebox *box = corebox_new(1);
	struct core *core = box->cores[0];
	struct client *stalled = client_new(box, 0), *idle = client_new(box, 0);
	size_t at;

	(void)state;
	client_produce_part(stalled, 9, 1, corebox_batch(&large), 5000, &at);
	assert_int_equal(hogs_visit(core, 1000), 0);
	assert_int_equal(hogs_visit(core, 1000 + HOGS_STRANGER_NS - 1), 0);
	assert_false(stalled->is_closed);
	assert_int_equal(hogs_visit(core, 1000 + HOGS_STRANGER_NS), 1);
	assert_true(stalled->is_closed);
	assert_false(idle->is_closed);
	assert_int_equal(closed(box), 1);
	client_free(stalled);
	client_free(idle);
	corebox_free(box);
}

/* No memory to move a stalled batch to, and another one behind it: the stalled one goes in the end. */
static void test_hogs_a_stalled_reservation_without_memory(void **state)
{
	struct corebox *box = corebox_new(1);
	struct core *core = box->cores[0];
	struct client *stalled = client_new(box, 0), *other = client_new(box, 0);
	struct chunk *chunks[256];
	struct reader reader;
	uint32_t count = 0;
	size_t at;

	(void)state;
	client_produce_part(stalled, 9, 1, corebox_batch(&large), 5000, &at);
	client_produce(other, 9, 2, -1, 0, corebox_batch(&plain), 64);
	while (count < ARRAY_COUNT(chunks) &&
	       (chunks[count] = chunk_borrow(core->chunks, 1, CHUNK_FOR_BATCHES)) != NULL)
		count++;
	corebox_sleep(box, HOGS_STRANGER_NS / NS_PER_MS / 2);
	corebox_settle(box);
	assert_false(stalled->is_closed);
	corebox_sleep(box, HOGS_STRANGER_NS / NS_PER_MS);
	corebox_settle(box);
	assert_true(stalled->is_closed);
	assert_true(client_response(other, WIRE_API_PRODUCE, 9, 2, &reader));
	while (count > 0)
		chunk_unref(chunks[--count]);
	client_free(stalled);
	client_free(other);
	corebox_free(box);
}

static void test_hogs_a_batch_that_moves_is_waited_for(void **state)
{
	struct corebox *box = corebox_new(1);
	struct core *core = box->cores[0];
	struct client *client = client_new(box, 0);
	struct reader reader;
	size_t at;

	(void)state;
	client_produce_part(client, 9, 1, corebox_batch(&large), 5000, &at);
	assert_int_equal(hogs_visit(core, 1000), 0);
	client_produce_rest(client, at);
	assert_int_equal(hogs_visit(core, 1000 + HOGS_PATIENCE_NS), 0);
	corebox_settle(box);
	assert_true(client_response(client, WIRE_API_PRODUCE, 9, 1, &reader));
	client_produce_part(client, 9, 2, corebox_batch(&large), 5000, &at);
	assert_int_equal(hogs_visit(core, 1000 + 2 * HOGS_PATIENCE_NS), 0); /* a new time begins */
	assert_int_equal(hogs_visit(core, 2000 + 2 * HOGS_PATIENCE_NS + HOGS_STRANGER_NS), 0);
	assert_false(client->is_closed); /* it is no stranger */
	assert_int_equal(hogs_visit(core, 1000 + 2 * HOGS_PATIENCE_NS + HOGS_FRIEND_NS), 1);
	client_free(client);
	corebox_free(box);
}

static void test_hogs_unread_answers(void **state)
{
	struct corebox *box = corebox_new(1);
	struct core *core = box->cores[0];
	struct client *reads = client_new(box, 0), *does_not = client_new(box, 0);
	struct client *little = client_new(box, 0);

	(void)state;
	ask(little, 1);
	assert_true(little->link.out.size > 0);
	for (int i = 0; i < 3; i++) {
		pile_up(reads, 2 * HOGS_MOVE_SIZE);
		pile_up(does_not, OUTQ_BLOCK_SIZE);
		assert_int_equal(hogs_visit(core, 1000 + i * (HOGS_PATIENCE_NS / 2)), i == 2);
		client_receive(reads);
	}
	assert_true(does_not->is_closed);
	assert_false(reads->is_closed);
	assert_false(little->is_closed);
	client_free(reads);
	client_free(does_not);
	client_free(little);
	corebox_free(box);
}

static void test_hogs_all_are_visited(void **state)
{
	struct client *clients[256];
	struct corebox *box = corebox_new(1);
	uint32_t count = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(clients) && i < box->cores[0]->sessions->session_max;
	     i++) {
		clients[count++] = client_new(box, 0);
		pile_up(clients[i], OUTQ_BLOCK_SIZE);
	}
	for (uint32_t i = 0; i < count; i += MIN(HOGS_VISIT_MAX, 256U))
		assert_int_equal(hogs_visit(box->cores[0], 1000), 0);
	for (uint32_t i = 0; i < count; i += MIN(HOGS_VISIT_MAX, 256U))
		(void)hogs_visit(box->cores[0], 1000 + HOGS_PATIENCE_NS);
	assert_int_equal(closed(box), count);
	for (uint32_t i = 0; i < count; i++)
		client_free(clients[i]);
	corebox_free(box);
}

static void test_hogs_a_crowd_leaves_room(void **state)
{
	struct corebox *box = corebox_new(1);
	struct core *core = box->cores[0];
	struct client *client = client_new(box, 0);
	uint64_t limit = hogs_output_max(client->link.session);
	struct outq others;
	uint8_t *bytes = calloc(1, OUTQ_BLOCK_SIZE);

	(void)state;
	assert_int_equal(limit, SESSION_OUTPUT_SOFT);
	outq_init(&others, core->outq_pool);
	while (outq_pool_free_count(core->outq_pool) > 80)
		assert_int_equal(outq_push_copy(&others, bytes, OUTQ_BLOCK_SIZE), 0);
	limit = hogs_output_max(client->link.session);
	assert_int_equal(limit, 80 / 8 * OUTQ_BLOCK_SIZE);
	outq_clear(&others);
	pile_up(client, 100000);
	while (outq_pool_free_count(core->outq_pool) > 80)
		assert_int_equal(outq_push_copy(&others, bytes, OUTQ_BLOCK_SIZE), 0);
	limit = client->link.out.size;
	ask(client, 7); /* it waits: the client has more than its share unread */
	corebox_settle(box);
	assert_int_equal(client->link.out.size, limit);
	outq_clear(&others);
	client_free(client);
	free(bytes);
	corebox_free(box);
}

static void test_hogs_producers_are_served_while_answers_wait(void **state)
{
	struct corebox *box = corebox_new(1);
	struct core *core = box->cores[0];
	struct client *asks = client_new(box, 0), *sends = client_new(box, 0);
	uint8_t *bytes = calloc(1, OUTQ_BLOCK_SIZE);
	struct outq others;
	struct reader reader;

	(void)state;
	outq_init(&others, core->outq_pool);
	while (hogs_has_room(core))
		assert_int_equal(outq_push_copy(&others, bytes, OUTQ_BLOCK_SIZE), 0);
	ask(asks, 1);
	client_produce(sends, 9, 2, -1, 0, corebox_batch(&plain), 64);
	corebox_settle(box);
	assert_true(client_response(sends, WIRE_API_PRODUCE, 9, 2, &reader));
	assert_false(client_response(asks, WIRE_API_API_VERSIONS, 0, 1, &reader));
	assert_false(asks->is_closed);
	outq_clear(&others);
	corebox_sleep(box, 20);
	corebox_settle(box);
	assert_true(client_response(asks, WIRE_API_API_VERSIONS, 0, 1, &reader));
	client_free(asks);
	client_free(sends);
	free(bytes);
	corebox_free(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hogs_a_stalled_batch_is_given_up),
		cmocka_unit_test(test_hogs_a_stalled_reservation_without_memory),
		cmocka_unit_test(test_hogs_a_batch_that_moves_is_waited_for),
		cmocka_unit_test(test_hogs_unread_answers),
		cmocka_unit_test(test_hogs_all_are_visited),
		cmocka_unit_test(test_hogs_a_crowd_leaves_room),
		cmocka_unit_test(test_hogs_producers_are_served_while_answers_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
