/* SPDX-License-Identifier: Apache-2.0 */
/* millrace-load: what the benchmarks put on a box or a peer, and how it is timed. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

#include "perf/load/load_args.h"
#include "perf/load/load_bare.h"
#include "perf/load/load_blast.h"
#include "perf/load/load_device.h"
#include "perf/load/load_fetch.h"
#include "perf/load/load_frames.h"
#include "perf/load/load_group.h"
#include "perf/load/load_ping.h"
#include "perf/load/load_produce.h"
#include "perf/load/load_sink.h"
#include "perf/load/load_sock.h"
#include "perf/load/load_stat.h"
#include "perf/load/load_tail.h"
#include "perf/load/load_wire.h"

#define OPEN_NS  (30 * NS_PER_S) /* for connections */
#define DRAIN_NS (20 * NS_PER_S) /* for answers that are missing at the end */
#define POLL_NS  (20 * NS_PER_MS)

#define SINK_CONNECTIONS 256

/* What runs, of producers and consumers, and its window. */
struct run {
	struct load_net *net;
	struct load_produce *produce; /* NULL: none */
	struct load_fetch *fetch;     /* NULL: none */
	struct load_tail *tail;       /* NULL: none */
	struct load_stat begin, end;
	int64_t begin_idle_ns, end_idle_ns; /* load_net.idle_ns then */
};

static int64_t ns_of(double seconds)
{
	return (int64_t)(seconds * (double)NS_PER_S);
}

static int fail(const char *what, int error)
{
	(void)fprintf(stderr, "millrace-load: %s: %s\n", what, err_str(error));
	return 1;
}

static void turn(struct run *run, int64_t until_ns)
{
	int64_t now_ns = clock_now_ns();
	int64_t next_ns = until_ns;

	if (run->produce != NULL) {
		int64_t due_ns = load_produce_run(run->produce, now_ns);

		next_ns = MIN(next_ns, due_ns);
		now_ns = clock_now_ns();
	}
	load_net_poll(run->net, MAX(next_ns - now_ns, INT64_C(0)));
}

static bool has_failed(const struct run *run)
{
	return (run->produce != NULL && load_produce_errors(run->produce) > 0) ||
	       (run->fetch != NULL && load_fetch_result(run->fetch)->errors > 0);
}

static bool is_open(struct run *run)
{
	return (run->fetch == NULL || load_fetch_is_ready(run->fetch)) &&
	       (run->produce == NULL || load_produce_start(run->produce, clock_now_ns()));
}

static int open_all(struct run *run)
{
	int64_t end_ns = clock_now_ns() + OPEN_NS;

	while (!is_open(run)) {
		if (clock_now_ns() > end_ns)
			return -ETIMEDOUT;
		if (has_failed(run))
			return -ECONNREFUSED;
		load_net_poll(run->net, POLL_NS);
	}
	if (run->fetch != NULL)
		load_fetch_start(run->fetch);
	return 0;
}

static void begin_window(struct run *run)
{
	int64_t now_ns = clock_now_ns();

	load_stat_read(&run->begin);
	run->begin_idle_ns = run->net->idle_ns;
	load_stat_say("begin");
	if (run->produce != NULL)
		load_produce_begin(run->produce, now_ns);
	if (run->fetch != NULL)
		load_fetch_begin(run->fetch);
	if (run->tail != NULL)
		run->tail->begin_ns = now_ns;
}

static void end_window(struct run *run)
{
	int64_t now_ns = clock_now_ns();

	load_stat_read(&run->end);
	run->end_idle_ns = run->net->idle_ns;
	load_stat_say("end");
	if (run->produce != NULL)
		load_produce_end(run->produce, now_ns);
	if (run->fetch != NULL)
		load_fetch_end(run->fetch);
	if (run->tail != NULL)
		run->tail->end_ns = now_ns;
}

/* Warm up, measure, and wait for what is missing. */
static int run_window(struct run *run, const struct load_args *args)
{
	int64_t end_ns;
	int r = open_all(run);

	if (r != 0)
		return r;
	end_ns = clock_now_ns() + ns_of(args->warm);
	while (clock_now_ns() < end_ns && !has_failed(run))
		turn(run, end_ns);
	begin_window(run);
	end_ns = clock_now_ns() + ns_of(args->seconds);
	while (clock_now_ns() < end_ns && !has_failed(run))
		turn(run, end_ns);
	end_window(run);
	end_ns = clock_now_ns() + DRAIN_NS;
	while (run->produce != NULL && load_produce_is_waiting(run->produce) && !has_failed(run) &&
	       clock_now_ns() < end_ns)
		turn(run, MIN(end_ns, clock_now_ns() + POLL_NS));
	end_ns = clock_now_ns() + 10 * POLL_NS; /* what was acknowledged is soon sent */
	while (run->tail != NULL && clock_now_ns() < end_ns)
		turn(run, end_ns);
	return 0;
}

static void print_produce(const struct run *run, const struct load_args *args)
{
	const struct load_produce_result *result = load_produce_result(run->produce);
	const struct load_batch *batch = load_produce_batch(run->produce);
	struct load_stat window = load_stat_between(&run->begin, &run->end);
	double records = (double)result->batches * batch->records;

	(void)printf("\"records\":%.0f,\"batches\":%llu,\"batch_bytes\":%u,\"batch_records\":%u,"
		     "\"records_per_s\":%.1f,\"mb_per_s\":%.3f,\"sent\":%llu,\"errors\":%llu,"
		     "\"first_error\":%d,\"unanswered\":%llu,\"acked\":%llu,",
		     records, (unsigned long long)result->batches, batch->size, batch->records,
		     records / window.wall, records * args->record_size / window.wall / 1e6,
		     (unsigned long long)result->sent, (unsigned long long)result->errors,
		     result->first_error, (unsigned long long)result->unanswered,
		     (unsigned long long)result->acked);
	load_stat_print_hist(stdout, "latency_us", &result->latency);
	(void)printf(",");
	load_stat_print_hist(stdout, "late_us", &result->late);
	(void)printf(",");
	load_stat_print_hist(stdout, "slip_us", &result->slip);
	(void)printf(",");
}

static void print_fetch(const struct run *run)
{
	const struct load_fetch_result *result = load_fetch_result(run->fetch);
	struct load_stat window = load_stat_between(&run->begin, &run->end);

	(void)printf("\"fetched_records\":%llu,\"fetched_mb_per_s\":%.3f,\"answers\":%llu,"
		     "\"fetch_errors\":%llu,\"first_fetch_error\":%d,",
		     (unsigned long long)result->records, (double)result->bytes / window.wall / 1e6,
		     (unsigned long long)result->answers, (unsigned long long)result->errors,
		     result->first_error);
}

static void print_result(const struct run *run, const struct load_args *args)
{
	struct load_stat window = load_stat_between(&run->begin, &run->end);

	(void)printf("{");
	if (run->produce != NULL)
		print_produce(run, args);
	if (run->fetch != NULL)
		print_fetch(run);
	if (run->tail != NULL) {
		load_stat_print_hist(stdout, "after_ack_us", &run->tail->after_ack);
		(void)printf(",");
		load_stat_print_hist(stdout, "end_to_end_us", &run->tail->end_to_end);
		(void)printf(",\"lost\":%llu,", (unsigned long long)run->tail->lost);
	}
	(void)printf("\"idle_s\":%.4f,",
		     (double)(run->end_idle_ns - run->begin_idle_ns) / (double)NS_PER_S);
	load_stat_print(stdout, &window);
	(void)printf("}\n");
}

static int make_produce(struct run *run, const struct load_args *args,
			const struct load_call_cluster *cluster)
{
	struct load_produce_options options = { .topic = args->topic,
						.record_size = args->record_size,
						.batch_size = args->batch_size,
						.connections = args->connections,
						.in_flight = args->in_flight,
						.rate = args->rate,
						.acks = args->acks };
	struct load_batch sample;
	int r = load_batch_new(&sample, args->batch_size, args->record_size, 0);

	if (r != 0)
		return r;
	options.rate = args->rate / sample.records; /* batches */
	load_batch_free(&sample);
	if (run->tail != NULL) {
		options.on_ack = load_tail_on_ack;
		options.ctx = run->tail;
	}
	return load_produce_new(run->net, cluster, &options, &run->produce);
}

static int make_fetch(struct run *run, const struct load_args *args,
		      const struct load_call_cluster *cluster)
{
	struct load_fetch_options options = { .topic = args->topic,
					      .connections = args->connections,
					      .max_bytes = (int32_t)args->batch_size,
					      .max_wait_ms = 500,
					      .from_end = run->tail != NULL,
					      .is_loop = run->tail == NULL };

	if (run->tail != NULL) {
		options.on_batch = load_tail_on_batch;
		options.ctx = run->tail;
		options.max_bytes = 1 << 20;
	}
	return load_fetch_new(run->net, cluster, &options, &run->fetch);
}

/* produce, fetch, tail */
static int run_load(struct load_net *net, const struct load_args *args)
{
	static struct load_tail tail;
	struct run run = { .net = net };
	struct load_call_cluster cluster;
	int r = load_call_find(net, &args->target, args->topic, args->is_direct, &cluster);

	if (r != 0)
		return fail("the topic's partitions", r);
	if (args->verb == LOAD_ARGS_TAIL) {
		r = load_tail_init(&tail, cluster.partition_count);
		run.tail = &tail;
	}
	if (r == 0 && args->verb != LOAD_ARGS_FETCH)
		r = make_produce(&run, args, &cluster);
	if (r == 0 && args->verb != LOAD_ARGS_PRODUCE)
		r = make_fetch(&run, args, &cluster);
	if (r == 0)
		r = run_window(&run, args);
	if (r == 0)
		print_result(&run, args);
	if (r != 0)
		r = fail("run", r);
	else if (has_failed(&run))
		r = fail("records were refused, or a connection was lost", -EIO);
	load_produce_free(run.produce);
	load_fetch_free(run.fetch);
	load_tail_free(&tail);
	load_call_cluster_free(&cluster);
	return r;
}

static bool has_input_ended(int wait_ms)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	return poll(&input, 1, wait_ms) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

/* ping: asks with pauses, so that each finds an idle box */
static int run_ping(struct load_net *net, const struct load_args *args)
{
	static struct hist latency;
	struct load_ping *ping = load_ping_new(net, &args->target, 1);
	struct load_stat begin, end, window;
	int64_t end_ns, took_ns = 0;

	if (ping == NULL || load_ping_open(ping, NULL) != 1) {
		load_ping_free(ping);
		return fail("connect", -ECONNREFUSED);
	}
	hist_init(&latency);
	load_stat_read(&begin);
	load_stat_say("begin");
	end_ns = clock_now_ns() + ns_of(args->seconds);
	while (took_ns >= 0 && clock_now_ns() < end_ns) {
		int64_t until_ns = clock_now_ns() + ns_of(args->pause);

		while (clock_now_ns() < until_ns)
			load_net_poll(net, until_ns - clock_now_ns());
		took_ns = load_ping_ask(ping);
		if (took_ns >= 0)
			hist_add(&latency, (uint64_t)took_ns);
	}
	load_stat_read(&end);
	load_stat_say("end");
	load_ping_free(ping);
	if (took_ns < 0)
		return fail("ping", (int)took_ns);
	window = load_stat_between(&begin, &end);
	(void)printf("{");
	load_stat_print_hist(stdout, "latency_us", &latency);
	(void)printf(",");
	load_stat_print(stdout, &window);
	(void)printf("}\n");
	return 0;
}

/* hold: says how many were answered, then waits */
static int run_hold(struct load_net *net, const struct load_args *args)
{
	static struct hist latency;
	struct load_ping *ping = load_ping_new(net, &args->target, args->connections);
	uint32_t answered;

	if (ping == NULL)
		return fail("connections", -ENOMEM);
	hist_init(&latency);
	answered = load_ping_open(ping, &latency);
	(void)printf("{\"opened\":%u,", answered);
	load_stat_print_hist(stdout, "latency_us", &latency);
	(void)printf("}\n");
	load_stat_say("begin");
	while (!has_input_ended(200))
		load_net_poll(net, 0);
	(void)printf("{\"lost\":%u}\n", load_ping_lost(ping));
	load_ping_free(ping);
	return answered == args->connections ? 0 : 1;
}

static int run_sink(struct load_net *net, const struct load_args *args)
{
	struct load_sink_options options = { .address = args->target.address,
					     .port = args->target.port,
					     .partitions = (int32_t)args->partitions,
					     .is_gathering = true };
	struct load_sink *sink = NULL;
	int r = load_sink_new(net, &options, &sink);

	if (r != 0)
		return fail("sink", r);
	load_stat_say("begin");
	while (!has_input_ended(0)) {
		/* Not every turn looks at the input: it is a system call. */
		for (uint32_t i = 0; i < 64; i++)
			load_sink_poll(sink, POLL_NS / 16);
	}
	(void)printf("{\"bytes\":%llu}\n", (unsigned long long)load_sink_bytes(sink));
	load_sink_free(sink);
	return 0;
}

static int fail_port(const struct load_args *args, const char *error)
{
	(void)fprintf(stderr, "millrace-load: %s: %s\n", args->port, error);
	return 1;
}

/* bare: takes bytes from `blast` */
static int run_bare(struct load_net *net, const struct load_args *args)
{
	char address[INET_ADDRSTRLEN];
	struct load_bare_options options = { .port = args->port,
					     .address = address,
					     .tcp_port = args->target.port,
					     .mtu = (uint16_t)args->mtu };
	struct load_bare *bare = NULL;
	char error[512];

	(void)net;
	if (load_wire_parse(args->address, address, &options.prefix) != 0)
		return fail_port(args, "--address is no address with a prefix");
	if (load_bare_new(&options, &bare, error, sizeof(error)) != 0)
		return fail_port(args, error);
	load_stat_say("begin");
	while (!has_input_ended(0)) {
		for (uint32_t i = 0; i < 256; i++)
			load_bare_poll(bare);
	}
	(void)printf("{\"bytes\":%llu}\n", (unsigned long long)load_bare_bytes(bare));
	load_bare_free(bare);
	return 0;
}

static int open_frames(const struct load_args *args, struct load_frames **ret_frames)
{
	char error[512];

	if (load_frames_new(args->port, (uint16_t)args->mtu, ret_frames, error, sizeof(error)) != 0)
		return fail_port(args, error);
	return 0;
}

static int run_drain(struct load_net *net, const struct load_args *args)
{
	struct load_frames *frames = NULL;
	uint64_t taken = 0;
	int64_t busy_ns = 0;

	(void)net;
	if (open_frames(args, &frames) != 0)
		return 1;
	load_stat_say("begin");
	while (!has_input_ended(0)) {
		for (uint32_t i = 0; i < 65536; i++) {
			int64_t begin_ns = clock_now_ns();
			uint32_t count = load_frames_take(frames);

			taken += count;
			busy_ns += count > 0 ? clock_now_ns() - begin_ns : 0;
		}
	}
	(void)printf("{\"frames\":%llu,\"gbit_per_busy_s\":%.3f}\n", (unsigned long long)taken,
		     (double)taken * args->mtu * 8 / (double)MAX(busy_ns, INT64_C(1)));
	load_frames_free(frames);
	return 0;
}

static uint64_t flood_for(struct load_frames *frames, double seconds)
{
	int64_t end_ns = clock_now_ns() + ns_of(seconds);
	uint64_t sent = 0;

	while (clock_now_ns() < end_ns)
		sent += load_frames_send(frames);
	return sent;
}

static int run_flood(struct load_net *net, const struct load_args *args)
{
	int64_t end_ns = clock_now_ns() + OPEN_NS;
	struct load_frames *frames = NULL;
	struct load_stat begin, end, window;
	double sent;

	(void)net;
	if (open_frames(args, &frames) != 0)
		return 1;
	while (!load_frames_is_up(frames) && clock_now_ns() < end_ns)
		(void)poll(NULL, 0, 10);
	(void)flood_for(frames, args->warm);
	load_stat_read(&begin);
	load_stat_say("begin");
	sent = (double)flood_for(frames, args->seconds);
	load_stat_read(&end);
	load_stat_say("end");
	load_frames_free(frames);
	window = load_stat_between(&begin, &end);
	(void)printf("{\"frames_per_s\":%.0f,\"gbit_per_s\":%.3f,", sent / window.wall,
		     sent * args->mtu * 8 / window.wall / 1e9);
	load_stat_print(stdout, &window);
	(void)printf("}\n");
	return sent > 0 ? 0 : fail("nobody takes frames", -ETIMEDOUT);
}

static int run_blast(struct load_net *net, const struct load_args *args)
{
	struct load_stat begin, end, window;
	struct load_blast *blast = NULL;
	int64_t end_ns;
	uint64_t bytes;
	int r = load_blast_new(net, &args->target, args->connections, args->batch_size, &blast);

	if (r != 0)
		return fail("connect", r);
	end_ns = clock_now_ns() + ns_of(args->warm);
	while (clock_now_ns() < end_ns)
		load_blast_run(blast, net, POLL_NS);
	load_stat_read(&begin);
	load_stat_say("begin");
	bytes = load_blast_bytes(blast);
	end_ns = clock_now_ns() + ns_of(args->seconds);
	while (clock_now_ns() < end_ns)
		load_blast_run(blast, net, POLL_NS);
	load_stat_read(&end);
	load_stat_say("end");
	window = load_stat_between(&begin, &end);
	(void)printf("{\"mb_per_s\":%.3f,",
		     (double)(load_blast_bytes(blast) - bytes) / window.wall / 1e6);
	load_stat_print(stdout, &window);
	(void)printf("}\n");
	r = load_blast_lost(blast) > 0 ? fail("a connection was lost", -ECONNRESET) : 0;
	load_blast_free(blast);
	return r;
}

/* device --rate */
static int run_group(const struct load_args *args)
{
	const struct load_group_options options = { .folder = args->folder,
						    .files = args->files,
						    .record_size = args->record_size,
						    .rate = args->rate,
						    .seconds = args->seconds };
	static struct load_group_result result;
	int r = load_group_run(&options, &result);

	if (r != 0)
		return fail(args->folder, r);
	(void)printf("{");
	load_stat_print_hist(stdout, "latency_us", &result.latency);
	(void)printf(",");
	load_stat_print_hist(stdout, "commit_us", &result.commit);
	(void)printf("}\n");
	return 0;
}

static int run_device(struct load_net *net, const struct load_args *args)
{
	static struct load_device_result result;
	int r;

	if (args->rate > 0)
		return run_group(args);
	r = load_device_run(args->folder, args->batch_size, args->span, args->seconds,
			    args->is_read, &result);

	(void)net;
	if (r != 0)
		return fail(args->folder, r);
	(void)printf("{\"mb_per_s\":%.3f,", (double)result.bytes / result.seconds / 1e6);
	load_stat_print_hist(stdout, "commit_us", &result.commit);
	(void)printf("}\n");
	return 0;
}

static int run_topic(struct load_net *net, const struct load_args *args)
{
	struct load_call_cluster cluster;
	int r;

	if (args->verb == LOAD_ARGS_DELETE) {
		r = load_call_delete(net, &args->target, args->topic);
		return r == 0 || r == -ENOENT ? 0 : fail(args->topic, r);
	}
	r = load_call_create(net, &args->target, args->topic, (int32_t)args->partitions,
			     (char **)(uintptr_t)args->configs, args->config_count);
	if (r == 0)
		r = load_call_find(net, &args->target, args->topic, args->is_direct, &cluster);
	if (r != 0)
		return fail(args->topic, r);
	r = load_call_wait(net, &cluster, args->topic);
	load_call_cluster_free(&cluster);
	return r == 0 ? 0 : fail(args->topic, r);
}

/* As many descriptors as we may, and wake-ups when they are due. */
static void prepare_process(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct rlimit files;

	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int (*const runs[LOAD_ARGS_VERB_COUNT])(struct load_net *net,
					       const struct load_args *args) = {
	[LOAD_ARGS_PRODUCE] = run_load,  [LOAD_ARGS_FETCH] = run_load,
	[LOAD_ARGS_TAIL] = run_load,     [LOAD_ARGS_PING] = run_ping,
	[LOAD_ARGS_HOLD] = run_hold,     [LOAD_ARGS_SINK] = run_sink,
	[LOAD_ARGS_BARE] = run_bare,     [LOAD_ARGS_BLAST] = run_blast,
	[LOAD_ARGS_FLOOD] = run_flood,   [LOAD_ARGS_DRAIN] = run_drain,
	[LOAD_ARGS_DEVICE] = run_device, [LOAD_ARGS_CREATE] = run_topic,
	[LOAD_ARGS_DELETE] = run_topic,
};

static struct load_net *open_net(const struct load_args *args)
{
	struct load_wire_options options = { .port = args->port,
					     .address = args->address,
					     .gateway = args->gateway,
					     .mtu = (uint16_t)args->mtu,
					     .connections = args->verb == LOAD_ARGS_SINK
								    ? SINK_CONNECTIONS
								    : 2 * args->connections };
	bool has_own = args->verb == LOAD_ARGS_BARE || args->verb == LOAD_ARGS_FLOOD ||
		       args->verb == LOAD_ARGS_DRAIN;
	struct load_net *net = NULL;
	char error[512];

	if (args->port == NULL || has_own) {
		net = load_sock_new();
		if (net == NULL)
			(void)fail("sockets", -ENOMEM);
	} else if (load_wire_new(&options, &net, error, sizeof(error)) != 0) {
		(void)fail_port(args, error);
	}
	return net;
}

int main(int argc, char **argv)
{
	struct load_args args;
	struct load_net *net;
	int r = load_args_parse(argc, argv, &args);

	if (r != 0)
		return r > 0 ? 0 : 2;
	prepare_process();
	net = open_net(&args);
	if (net == NULL)
		return 1;
	r = runs[args.verb](net, &args);
	load_net_free(net);
	return r;
}
