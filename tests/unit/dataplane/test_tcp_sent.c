/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: the ranges say of each byte that is out when it was last sent and what became of it, and each
 * byte is told to have arrived once; when there are too few nodes they err on the side of doubt and
 * never fail. Shown against an array of bytes over random operations, across the wrap of sequence
 * numbers, with many nodes and with few.
 */
#include <string.h>

#include "base/prng.h"

#include "dataplane/tcp/tcp_sent.h"

#include "cm.h"

#define BASE  0xffffff00U
#define BYTES 600U
#define NODES 400U

struct byte {
	int64_t xmit_ns;
	bool is_sacked, is_lost, is_resent;
};

struct model {
	struct byte bytes[BYTES];
	uint32_t una, nxt;
	struct tcp_sent sent;
	struct tcp_sent_pool pool;
	struct tcp_sent_range nodes[NODES];
	struct prng prng;
	int64_t now_ns;
	bool is_short; /* nodes run out */
};

static struct tcp_range pick(struct model *model)
{
	uint32_t start = model->una + (uint32_t)prng_below(&model->prng, model->nxt - model->una);
	uint32_t size = 1 + (uint32_t)prng_below(&model->prng, 12);

	return (struct tcp_range){ BASE + start, BASE + MIN(start + size, model->nxt) };
}

/** The ranges follow each other from una to nxt, agree with the bytes, and are summed up. */
static void check_ranges(const struct model *model)
{
	uint32_t at = BASE + model->una, sacked = 0, lost = 0, count = 0;
	const struct tcp_sent_range *missing = NULL;

	LIST_EACH(&model->sent.ranges, link)
	{
		const struct tcp_sent_range *range = LIST_ENTRY(link, struct tcp_sent_range, node);

		assert_int_equal(range->start, at);
		assert_true(tcp_seq_lt(range->start, range->end));
		assert_false(range->is_lost && range->is_sacked);
		missing = range->is_sacked ? missing : range;
		for (; at != range->end; at++) {
			const struct byte *byte = &model->bytes[at - BASE];

			sacked += range->is_sacked;
			lost += range->is_lost;
			if (range->is_sacked)
				assert_true(byte->is_sacked);
			else if (!range->is_lost)
				assert_true(range->xmit_ns >= byte->xmit_ns);
			if (model->is_short)
				continue;
			assert_int_equal(range->is_sacked, byte->is_sacked);
			assert_int_equal(range->is_lost, byte->is_lost);
			if (!byte->is_sacked) {
				assert_int_equal(range->is_resent, byte->is_resent);
				assert_true(range->xmit_ns == byte->xmit_ns);
			}
		}
		count++;
	}
	assert_int_equal(at, BASE + model->nxt);
	assert_int_equal(model->sent.size, model->nxt - model->una);
	assert_int_equal(model->sent.sacked, sacked);
	assert_int_equal(model->sent.lost, lost);
	assert_int_equal(model->sent.count, count);
	assert_ptr_equal(tcp_sent_last_missing(&model->sent), missing);
}

static void push(struct model *model)
{
	uint32_t size = MIN(1 + (uint32_t)prng_below(&model->prng, 20), BYTES - model->nxt);
	struct tcp_range range = { BASE + model->nxt, BASE + model->nxt + size };
	bool is_resent = prng_chance(&model->prng, 50);

	if (size == 0)
		return;
	tcp_sent_push(&model->sent, &model->pool, range, is_resent, model->now_ns, 0);
	for (; size > 0; size--)
		model->bytes[model->nxt++] =
			(struct byte){ .xmit_ns = model->now_ns, .is_resent = is_resent };
}

static void report(struct model *model, struct tcp_range range, bool is_ack)
{
	struct tcp_sent_news news = { 0 };
	uint32_t delivered = 0;

	if (is_ack) {
		range.start = BASE + model->una;
		tcp_sent_acked(&model->sent, &model->pool, range.end, &news);
		model->una = range.end - BASE;
	} else {
		tcp_sent_sacked(&model->sent, &model->pool, range, &news);
	}
	for (uint32_t i = range.start - BASE; i != range.end - BASE; i++) {
		delivered += !model->bytes[i].is_sacked;
		model->bytes[i].is_sacked = true;
		model->bytes[i].is_lost = false;
	}
	if (!model->is_short)
		assert_int_equal(news.delivered, delivered);
}

static void again(struct model *model, struct tcp_range range)
{
	tcp_sent_again(&model->sent, &model->pool, range, model->now_ns);
	for (uint32_t i = range.start - BASE; i != range.end - BASE; i++)
		if (!model->bytes[i].is_sacked)
			model->bytes[i] =
				(struct byte){ .xmit_ns = model->now_ns, .is_resent = true };
}

static void lose(struct model *model, struct tcp_range range)
{
	(void)tcp_sent_lose_part(&model->sent, &model->pool, range);
	for (uint32_t i = range.start - BASE; i != range.end - BASE; i++)
		model->bytes[i].is_lost = !model->bytes[i].is_sacked;
}

static void forget(struct model *model, bool is_renege)
{
	if (is_renege)
		tcp_sent_renege(&model->sent);
	else
		tcp_sent_unlose(&model->sent);
	for (uint32_t i = 0; i < BYTES; i++) {
		/* What its time was while it was reported is not known any more. */
		if (is_renege && model->bytes[i].is_sacked) {
			model->bytes[i].is_sacked = false;
			model->is_short = true;
		}
		if (!is_renege)
			model->bytes[i].is_lost = false;
	}
}

static void run(uint64_t seed, uint32_t nodes)
{
	static struct model model;

	memset(&model, 0, sizeof(model));
	model.prng.state = seed;
	model.is_short = nodes < NODES;
	tcp_sent_pool_init(&model.pool, model.nodes, nodes, 2);
	tcp_sent_init(&model.sent);
	for (int i = 0; i < 120; i++) {
		uint64_t what = prng_below(&model.prng, 100);

		model.now_ns += 1 + (int64_t)prng_below(&model.prng, 2);
		if (what < 35 || model.una == model.nxt)
			push(&model);
		else if (what < 60)
			report(&model, pick(&model), false);
		else if (what < 70)
			report(&model, pick(&model), true);
		else if (what < 83)
			lose(&model, pick(&model));
		else if (what < 96)
			again(&model, pick(&model));
		else
			forget(&model, what > 98);
		check_ranges(&model);
	}
	tcp_sent_clear(&model.sent, &model.pool);
	assert_int_equal(model.pool.spare_count, nodes);
	assert_int_equal(model.pool.reserved, 2);
}

static void test_tcp_sent_matches_bytes(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 1500; seed++)
		run(seed, NODES);
}

static void test_tcp_sent_few_nodes_only_cost_knowledge(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 1500; seed++)
		run(seed, 2 + (uint32_t)(seed % 9));
}

/** Another connection's node is there when it needs its first. */
static void test_tcp_sent_each_connection_has_a_node(void **state)
{
	struct tcp_sent_range nodes[4];
	struct tcp_sent_pool pool;
	struct tcp_sent greedy, modest;

	(void)state;
	tcp_sent_pool_init(&pool, nodes, ARRAY_COUNT(nodes), 2);
	tcp_sent_init(&greedy);
	tcp_sent_init(&modest);
	for (uint32_t i = 0; i < 10; i++)
		tcp_sent_push(&greedy, &pool, (struct tcp_range){ i, i + 1 }, false, 10 + i, 0);
	assert_true(greedy.count <= 3);
	assert_int_equal(greedy.size, 10);
	tcp_sent_push(&modest, &pool, (struct tcp_range){ 0, 5 }, false, 30, 0);
	assert_int_equal(modest.count, 1);
	tcp_sent_clear(&greedy, &pool);
	tcp_sent_clear(&modest, &pool);
	assert_int_equal(pool.spare_count, ARRAY_COUNT(nodes));
}

static void test_tcp_sent_news(void **state)
{
	struct tcp_sent_range nodes[16];
	struct tcp_sent_news news = { 0 };
	struct tcp_sent_pool pool;
	struct tcp_sent sent;

	(void)state;
	tcp_sent_pool_init(&pool, nodes, ARRAY_COUNT(nodes), 1);
	tcp_sent_init(&sent);
	tcp_sent_push(&sent, &pool, (struct tcp_range){ 0, 100 }, false, 10, 0);
	tcp_sent_push(&sent, &pool, (struct tcp_range){ 100, 200 }, false, 13, 3);
	assert_int_equal(sent.count, 1); /* near enough */
	tcp_sent_push(&sent, &pool, (struct tcp_range){ 200, 300 }, false, 14, 3);
	assert_int_equal(sent.count, 2); /* not near enough to the first */
	tcp_sent_again(&sent, &pool, (struct tcp_range){ 0, 50 }, 20);
	tcp_sent_sacked(&sent, &pool, (struct tcp_range){ 150, 250 }, &news);
	assert_int_equal(news.delivered, 100);
	assert_true(news.first.xmit_ns == 14 && news.first.end == 250);
	assert_true(news.again.xmit_ns == 0);
	assert_true(news.oldest_ns == 10);
	assert_int_equal(news.lowest, 150);
	assert_int_equal(news.highest, 250);
	memset(&news, 0, sizeof(news));
	tcp_sent_acked(&sent, &pool, 260, &news);
	assert_int_equal(news.delivered, 160); /* not those that were reported before */
	assert_true(news.first.xmit_ns == 14 && news.first.end == 260);
	assert_true(news.again.xmit_ns == 20 && news.again.end == 50);
	assert_int_equal(news.lowest, 50);
	assert_int_equal(tcp_sent_flight(&sent), 40);
}

/** What follows a retransmission was sent after it, however soon: else what arrives of that would
    prove it lost. */
static void test_tcp_sent_order_of_new_and_again(void **state)
{
	struct tcp_sent_range nodes[16];
	struct tcp_sent_news news = { 0 };
	struct tcp_sent_pool pool;
	struct tcp_sent sent;

	(void)state;
	tcp_sent_pool_init(&pool, nodes, ARRAY_COUNT(nodes), 1);
	tcp_sent_init(&sent);
	tcp_sent_push(&sent, &pool, (struct tcp_range){ 0, 100 }, false, 10, 0);
	tcp_sent_push(&sent, &pool, (struct tcp_range){ 100, 200 }, false, 20, 5);
	tcp_sent_again(&sent, &pool, (struct tcp_range){ 0, 100 }, 21);
	tcp_sent_push(&sent, &pool, (struct tcp_range){ 200, 300 }, false, 22, 5);
	tcp_sent_push(&sent, &pool, (struct tcp_range){ 300, 400 }, false, 23, 5);
	assert_int_equal(sent.count, 3);
	tcp_sent_sacked(&sent, &pool, (struct tcp_range){ 300, 400 }, &news);
	assert_true(news.first.xmit_ns == 22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_sent_matches_bytes),
		cmocka_unit_test(test_tcp_sent_few_nodes_only_cost_knowledge),
		cmocka_unit_test(test_tcp_sent_each_connection_has_a_node),
		cmocka_unit_test(test_tcp_sent_news),
		cmocka_unit_test(test_tcp_sent_order_of_new_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
