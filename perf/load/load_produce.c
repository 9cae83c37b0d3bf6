/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_produce.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#include "perf/load/load_plan.h"

/* A request under way; answers come in order. */
struct sent {
	int64_t due_ns;
	int32_t correlation_id;
	int32_t partition;
};

struct producer {
	struct load_link link;
	struct load_produce *produce;
	struct load_plan plan;
	struct sent *sent; /* [in_flight], a ring */
	uint32_t sent_first, sent_count;
	int64_t free_ns; /* since when another request would have been allowed */
	int32_t *partitions;
	uint32_t partition_count, turn;
	int32_t next_id;
	bool is_dead;
};

struct load_produce {
	struct load_produce_options options;
	struct load_batch batch;
	uint8_t (*heads)[LOAD_BATCH_HEAD_MAX]; /* by partition */
	uint32_t *head_sizes;
	struct producer *producers;
	uint32_t open_count;
	int64_t begin_ns, end_ns; /* window; INT64_MAX: not yet */
	bool is_started;
	struct load_produce_result result;
};

static void note_error(struct load_produce *produce, int16_t error)
{
	if (produce->result.errors++ == 0)
		produce->result.first_error = error;
}

static bool is_inside(const struct load_produce *produce, int64_t at_ns)
{
	return at_ns >= produce->begin_ns && at_ns < produce->end_ns;
}

static void on_open(struct load_link *link)
{
	struct producer *producer = link->owner;

	producer->produce->open_count++;
}

static void on_close(struct load_link *link, int error)
{
	struct producer *producer = link->owner;

	(void)error;
	producer->is_dead = true;
	note_error(producer->produce, -1);
}

static void on_frame(struct load_link *link, const uint8_t *bytes, size_t kept, size_t size)
{
	struct producer *producer = link->owner;
	struct load_produce *produce = producer->produce;
	struct sent *sent = &producer->sent[producer->sent_first];
	int64_t now_ns = clock_now_ns();
	struct load_batch_ack ack;

	(void)kept;
	if (producer->sent_count == 0 || load_batch_answer(bytes, size, &ack) != 0 ||
	    ack.correlation_id != sent->correlation_id || ack.partition != sent->partition) {
		note_error(produce, -1);
		producer->is_dead = true;
		load_link_close(link);
		return;
	}
	if (producer->sent_count == produce->options.in_flight)
		producer->free_ns = now_ns;
	producer->sent_first = (producer->sent_first + 1) % produce->options.in_flight;
	producer->sent_count--;
	if (ack.error != 0) {
		note_error(produce, ack.error);
		return;
	}
	produce->result.acked++;
	if (is_inside(produce, now_ns))
		produce->result.batches++;
	if (is_inside(produce, sent->due_ns))
		hist_add(&produce->result.latency,
			 (uint64_t)MAX(now_ns - sent->due_ns, INT64_C(0)));
	if (produce->options.on_ack != NULL)
		produce->options.on_ack(produce->options.ctx, ack.partition, ack.base_offset,
					sent->due_ns, now_ns);
}

static const struct load_link_ops producer_ops = { on_open, on_frame, on_close };

static void send_one(struct producer *producer, int64_t due_ns, int64_t now_ns)
{
	struct load_produce *produce = producer->produce;
	int32_t partition = producer->partitions[producer->turn++ % producer->partition_count];
	uint32_t at = (producer->sent_first + producer->sent_count) % produce->options.in_flight;
	uint8_t *head = produce->heads[partition];

	load_batch_number(head, producer->next_id);
	if (load_sendq_push(&producer->link.out, head, produce->head_sizes[partition],
			    produce->batch.bytes, produce->batch.size) != 0) {
		WRONG("the queue has room for all requests in flight");
	}
	load_sendq_set_sums(&producer->link.out, &produce->batch.sums);
	producer->sent[at] = (struct sent){ due_ns, producer->next_id++, partition };
	producer->sent_count++;
	if (is_inside(produce, due_ns)) {
		produce->result.sent++;
		hist_add(&produce->result.late, (uint64_t)(now_ns - due_ns));
		hist_add(&produce->result.slip,
			 (uint64_t)(now_ns - MAX(due_ns, producer->free_ns)));
	}
	load_plan_take(&producer->plan);
}

static int64_t run_producer(struct producer *producer, int64_t now_ns)
{
	struct load_produce *produce = producer->produce;
	int64_t due_ns = INT64_MAX;
	bool is_new = false;

	if (producer->is_dead)
		return INT64_MAX;
	while (producer->sent_count < produce->options.in_flight) {
		/* A closed loop's due time is that of the sending. */
		due_ns = load_plan_due_ns(&producer->plan, now_ns);
		if (due_ns > now_ns || due_ns >= produce->end_ns)
			break;
		send_one(producer, due_ns, now_ns);
		is_new = true;
		due_ns = INT64_MAX;
	}
	if (is_new)
		load_link_flush(&producer->link);
	return due_ns >= produce->end_ns ? INT64_MAX : due_ns;
}

int64_t load_produce_run(struct load_produce *produce, int64_t now_ns)
{
	int64_t next_ns = INT64_MAX;

	if (!produce->is_started)
		return next_ns;
	for (uint32_t i = 0; i < produce->options.connections; i++) {
		int64_t due_ns = run_producer(&produce->producers[i], now_ns);

		next_ns = MIN(next_ns, due_ns);
	}
	return next_ns;
}

bool load_produce_start(struct load_produce *produce, int64_t now_ns)
{
	const struct load_produce_options *options = &produce->options;

	if (produce->is_started)
		return true;
	if (produce->open_count < options->connections)
		return false;
	for (uint32_t i = 0; i < options->connections; i++)
		load_plan_init(&produce->producers[i].plan, options->rate, i, options->connections,
			       now_ns);
	produce->is_started = true;
	return true;
}

void load_produce_begin(struct load_produce *produce, int64_t now_ns)
{
	produce->begin_ns = now_ns;
}

void load_produce_end(struct load_produce *produce, int64_t now_ns)
{
	produce->end_ns = now_ns;
}

uint64_t load_produce_errors(const struct load_produce *produce)
{
	return produce->result.errors;
}

bool load_produce_is_waiting(const struct load_produce *produce)
{
	for (uint32_t i = 0; i < produce->options.connections; i++) {
		const struct producer *producer = &produce->producers[i];

		/* Due before the end, and not sent yet, is missing too. */
		if (!producer->is_dead &&
		    (producer->sent_count > 0 ||
		     (producer->plan.interval_ns > 0 &&
		      load_plan_due_ns(&producer->plan, 0) < produce->end_ns)))
			return true;
	}
	return false;
}

const struct load_batch *load_produce_batch(const struct load_produce *produce)
{
	return &produce->batch;
}

const struct load_produce_result *load_produce_result(struct load_produce *produce)
{
	produce->result.unanswered = 0;
	for (uint32_t i = 0; i < produce->options.connections; i++) {
		struct load_plan plan = produce->producers[i].plan;

		produce->result.unanswered += produce->producers[i].sent_count;
		if (plan.interval_ns <= 0 || produce->end_ns == INT64_MAX)
			continue;
		for (; load_plan_due_ns(&plan, 0) < produce->end_ns; load_plan_take(&plan))
			produce->result.unanswered++;
	}
	return &produce->result;
}

/* Connection `index` serves one broker, and of its partitions each n-th of n connections there. */
static int assign(struct load_produce *produce, const struct load_call_cluster *cluster,
		  uint32_t index, uint32_t *ret_broker)
{
	struct producer *producer = &produce->producers[index];
	uint32_t broker = index % cluster->broker_count;
	uint32_t sharers = (produce->options.connections - broker + cluster->broker_count - 1) /
			   cluster->broker_count;
	uint32_t at = 0, led = 0;

	producer->partitions = calloc(cluster->partition_count, sizeof(*producer->partitions));
	if (producer->partitions == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < cluster->partition_count; i++)
		led += cluster->leaders[i] == broker;
	for (uint32_t i = 0; i < cluster->partition_count; i++) {
		uint32_t mine = index / cluster->broker_count;

		if (cluster->leaders[i] != broker)
			continue;
		if (led >= sharers ? at % sharers == mine : at == mine % led)
			producer->partitions[producer->partition_count++] = (int32_t)i;
		at++;
	}
	*ret_broker = broker;
	return producer->partition_count > 0 ? 0 : -EINVAL;
}

static int make_producer(struct load_produce *produce, struct load_net *net,
			 const struct load_call_cluster *cluster, uint32_t index)
{
	struct producer *producer = &produce->producers[index];
	uint32_t broker = 0;
	int r;

	producer->produce = produce;
	producer->link.owner = producer;
	producer->link.ops = &producer_ops;
	load_frame_init(&producer->link.in, SIZE_MAX);
	producer->sent = calloc(produce->options.in_flight, sizeof(*producer->sent));
	r = producer->sent != NULL ? 0 : -ENOMEM;
	if (r == 0)
		r = load_sendq_init(&producer->link.out, produce->options.in_flight);
	if (r == 0)
		r = assign(produce, cluster, index, &broker);
	if (r == 0)
		r = load_link_connect(net, &producer->link, cluster->brokers[broker].address,
				      cluster->brokers[broker].port);
	return r;
}

static int make_heads(struct load_produce *produce, uint32_t partitions)
{
	produce->heads = calloc(partitions, sizeof(*produce->heads));
	produce->head_sizes = calloc(partitions, sizeof(*produce->head_sizes));
	if (produce->heads == NULL || produce->head_sizes == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < partitions; i++) {
		int size = load_batch_head(&produce->batch, produce->options.topic, (int32_t)i,
					   produce->options.acks, produce->heads[i]);

		if (size < 0)
			return size;
		produce->head_sizes[i] = (uint32_t)size;
	}
	return 0;
}

int load_produce_new(struct load_net *net, const struct load_call_cluster *cluster,
		     const struct load_produce_options *options, struct load_produce **ret_produce)
{
	struct load_produce *produce = calloc(1, sizeof(*produce));
	int r;

	if (produce == NULL)
		return -ENOMEM;
	produce->options = *options;
	produce->begin_ns = produce->end_ns = INT64_MAX;
	produce->producers = calloc(options->connections, sizeof(*produce->producers));
	r = produce->producers != NULL ? 0 : -ENOMEM;
	if (r == 0)
		r = load_batch_new(&produce->batch, options->batch_size, options->record_size,
				   clock_wall_ms());
	if (r == 0)
		r = make_heads(produce, cluster->partition_count);
	for (uint32_t i = 0; r == 0 && i < options->connections; i++)
		r = make_producer(produce, net, cluster, i);
	if (r != 0) {
		load_produce_free(produce);
		return r;
	}
	*ret_produce = produce;
	return 0;
}

void load_produce_free(struct load_produce *produce)
{
	if (produce == NULL)
		return;
	for (uint32_t i = 0; produce->producers != NULL && i < produce->options.connections; i++) {
		struct producer *producer = &produce->producers[i];

		load_link_close(&producer->link);
		load_frame_free(&producer->link.in);
		load_sendq_free(&producer->link.out);
		free(producer->sent);
		free(producer->partitions);
	}
	free(produce->producers);
	free(produce->heads);
	free(produce->head_sizes);
	load_batch_free(&produce->batch);
	free(produce);
}
