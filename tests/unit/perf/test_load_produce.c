/* SPDX-License-Identifier: Apache-2.0 */
/* Claims: against a server that acknowledges, every request sent is answered and counted once, in a closed
   and in an open loop, and the topic's partitions all get some; against one that is silent, all that was
   due is said to be unanswered, sent or not; a refusal is an error. Shown over loopback in one thread,
   the sink being the server. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#include "cm.h"
#include "perf/load/load_produce.h"
#include "perf/load/load_sink.h"
#include "perf/load/load_sock.h"

#define PARTITIONS 4
#define WINDOW_NS  (200 * NS_PER_MS)

struct world {
	struct load_net *net;
	struct load_sink *sink;
	struct load_call_target target;
	struct load_call_cluster cluster;
	uint32_t acks[PARTITIONS];
};

static uint16_t free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	assert_int_equal(close(fd), 0);
	return ntohs(at.sin_port);
}

static void world_init(struct world *world)
{
	struct load_sink_options options = { .address = INADDR_LOOPBACK,
					     .port = free_port(),
					     .partitions = PARTITIONS };

	memset(world, 0, sizeof(*world));
	world->net = load_sock_new();
	assert_non_null(world->net);
	assert_int_equal(load_sink_new(world->net, &options, &world->sink), 0);
	world->target = (struct load_call_target){ options.address, options.port };
	assert_int_equal(load_call_find(world->net, &world->target, "t", false, &world->cluster),
			 0);
	assert_int_equal(world->cluster.partition_count, PARTITIONS);
	assert_int_equal(world->cluster.broker_count, 1);
}

static void world_free(struct world *world)
{
	load_call_cluster_free(&world->cluster);
	load_sink_free(world->sink);
	load_net_free(world->net);
}

static void on_ack(void *ctx, int32_t partition, int64_t base_offset, int64_t due_ns,
		   int64_t now_ns)
{
	struct world *world = ctx;

	assert_true(partition >= 0 && partition < PARTITIONS && base_offset >= 0);
	assert_true(now_ns >= due_ns);
	world->acks[partition]++;
}

static struct load_produce *make(struct world *world, double rate, uint32_t in_flight)
{
	struct load_produce_options options = { .topic = "t",
						.record_size = 100,
						.batch_size = 1000,
						.connections = 2,
						.in_flight = in_flight,
						.rate = rate,
						.acks = -1,
						.on_ack = on_ack,
						.ctx = world };
	struct load_produce *produce = NULL;
	int64_t end_ns = clock_now_ns() + 10 * NS_PER_S;

	assert_int_equal(load_produce_new(world->net, &world->cluster, &options, &produce), 0);
	while (!load_produce_start(produce, clock_now_ns()) && clock_now_ns() < end_ns)
		load_net_poll(world->net, NS_PER_MS);
	return produce;
}

static void run(struct world *world, double rate)
{
	struct load_produce *produce = make(world, rate, 3);
	const struct load_produce_result *result;
	int64_t begin_ns = clock_now_ns(), end_ns = begin_ns + WINDOW_NS, late_ns;
	uint64_t acks = 0;

	load_produce_begin(produce, begin_ns);
	while (clock_now_ns() < end_ns) {
		(void)load_produce_run(produce, clock_now_ns());
		load_net_poll(world->net, 0);
	}
	load_produce_end(produce, end_ns);
	late_ns = clock_now_ns() + 10 * NS_PER_S;
	while (load_produce_is_waiting(produce) && clock_now_ns() < late_ns) {
		(void)load_produce_run(produce, clock_now_ns());
		load_net_poll(world->net, NS_PER_MS);
	}
	result = load_produce_result(produce);
	assert_int_equal(result->errors, 0);
	assert_int_equal(result->unanswered, 0);
	for (uint32_t i = 0; i < PARTITIONS; i++) {
		assert_true(world->acks[i] > 0);
		acks += world->acks[i];
	}
	assert_int_equal(result->acked, acks);
	/* Each that was due in the window has a latency, however late it was. */
	assert_int_equal(result->latency.count, result->sent);
	if (rate > 0) {
		double wanted = rate * (double)WINDOW_NS / (double)NS_PER_S;

		assert_true((double)result->sent > wanted - 3 && (double)result->sent < wanted + 3);
	}
	load_produce_free(produce);
}

static void test_load_produce_closed_loop_is_answered(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	run(&world, 0);
	world_free(&world);
}

static void test_load_produce_open_loop_sends_what_is_due(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	run(&world, 500);
	world_free(&world);
}

static void test_load_produce_counts_what_a_silent_server_owes(void **state)
{
	struct load_produce *produce;
	struct world world;
	int64_t now_ns;

	(void)state;
	world_init(&world);
	produce = make(&world, 1000, 2);
	now_ns = clock_now_ns();
	load_produce_begin(produce, 0);
	/* A second later, and nobody looked at the answers: two requests of each connection are under way. */
	(void)load_produce_run(produce, now_ns + NS_PER_S);
	load_produce_end(produce, now_ns + NS_PER_S);
	assert_true(load_produce_is_waiting(produce));
	assert_int_equal(load_produce_result(produce)->sent, 4);
	assert_true(load_produce_result(produce)->unanswered >= 1000);
	assert_int_equal(load_produce_result(produce)->latency.count, 0);
	load_produce_free(produce);
	world_free(&world);
}

/* Answers each request with an error. */
static void refuse(struct load_link *link, const uint8_t *bytes, size_t kept, size_t size)
{
	static const struct load_sink_options options = { .partitions = PARTITIONS };
	uint8_t answer[1024];
	int64_t offset = 0;
	int r = load_sink_answer(&options, bytes, MIN(kept, (size_t)512), &offset, answer,
				 sizeof(answer));

	(void)size;
	assert_true(r > 0);
	/* Behind the frame size: correlation id, topics, "t", partitions, index, error. */
	answer[4 + 4 + 4 + 3 + 4 + 4 + 1] = 6;
	assert_int_equal(load_sendq_push(&link->out, answer, (uint32_t)r, NULL, 0), 0);
	load_link_flush(link);
}

static void on_open(struct load_link *link)
{
	(void)link;
}

static void on_close(struct load_link *link, int error)
{
	(void)link;
	(void)error;
}

static const struct load_link_ops refusing_ops = { on_open, refuse, on_close };
static struct load_link refusing[4];
static uint32_t refusing_count;

static struct load_link *on_accept(void *ctx)
{
	struct load_link *link = &refusing[refusing_count++];

	(void)ctx;
	link->ops = &refusing_ops;
	load_frame_init(&link->in, SIZE_MAX);
	return load_sendq_init(&link->out, 16) == 0 ? link : NULL;
}

static void test_load_produce_counts_refusals(void **state)
{
	struct load_produce *produce;
	struct load_net *server = load_sock_new();
	struct world world;
	uint16_t port = free_port();
	int64_t end_ns = clock_now_ns() + 10 * NS_PER_S;

	(void)state;
	world_init(&world);
	assert_int_equal(load_net_listen(server, INADDR_LOOPBACK, port, on_accept, NULL), 0);
	world.cluster.brokers[0] = (struct load_call_target){ INADDR_LOOPBACK, port };
	produce = make(&world, 0, 1);
	while (load_produce_errors(produce) == 0 && clock_now_ns() < end_ns) {
		(void)load_produce_run(produce, clock_now_ns());
		load_net_poll(world.net, 0);
		load_net_poll(server, NS_PER_MS);
	}
	assert_int_equal(load_produce_result(produce)->first_error, 6);
	assert_int_equal(load_produce_result(produce)->acked, 0);
	load_produce_free(produce);
	for (uint32_t i = 0; i < refusing_count; i++) {
		load_link_close(&refusing[i]);
		load_frame_free(&refusing[i].in);
		load_sendq_free(&refusing[i].out);
	}
	load_net_free(server);
	world_free(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_produce_closed_loop_is_answered),
		cmocka_unit_test(test_load_produce_open_loop_sends_what_is_due),
		cmocka_unit_test(test_load_produce_counts_what_a_silent_server_owes),
		cmocka_unit_test(test_load_produce_counts_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
