/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_args.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const verbs[LOAD_ARGS_VERB_COUNT] = {
	[LOAD_ARGS_PRODUCE] = "produce", [LOAD_ARGS_FETCH] = "fetch",
	[LOAD_ARGS_TAIL] = "tail",       [LOAD_ARGS_PING] = "ping",
	[LOAD_ARGS_HOLD] = "hold",       [LOAD_ARGS_SINK] = "sink",
	[LOAD_ARGS_BARE] = "bare",       [LOAD_ARGS_BLAST] = "blast",
	[LOAD_ARGS_FLOOD] = "flood",     [LOAD_ARGS_DRAIN] = "drain",
	[LOAD_ARGS_DEVICE] = "device",   [LOAD_ARGS_CREATE] = "create",
	[LOAD_ARGS_DELETE] = "delete",
};

static const char usage[] =
	"usage: millrace-load VERB --server HOST:PORT [--topic NAME] [options]\n"
	"\n"
	"  produce  send batches; with --rate open loop: latency counts from when each was due\n"
	"  fetch    read a topic from its start, again and again\n"
	"  tail     produce at --rate, and fetch: time from an acknowledgement to the arrival\n"
	"  ping     ask one connection every --pause seconds: how soon is the answer\n"
	"  hold     open --connections, ask each once, hold them until standard input ends\n"
	"  sink     be a server that accepts and acknowledges, until standard input ends\n"
	"  bare     take bytes on --port by own TCP and forget them, until standard input ends\n"
	"  blast    send bytes to it\n"
	"  flood    send frames of --mtu on --port, with nothing in them, as fast as it takes them\n"
	"  drain    take them and forget them, until standard input ends\n"
	"  device   overwrite a file under --folder and make it durable, or --read it; with --rate records\n"
	"           that fall due are written to --files and made durable in groups\n"
	"  create   make a topic of --partitions, with --config NAME=VALUE\n"
	"  delete   delete a topic\n"
	"\n"
	"  --partitions N  (1)      --connections N  (1)     --in-flight N requests of each  (5)\n"
	"  --record-size BYTES  (1024)      --batch-size BYTES, of a write or answer too  (65536)\n"
	"  --rate RECORDS/S  (0: as fast as answers come)      --acks all|1  (all)\n"
	"  --seconds S  (5)      --warm S before what counts  (1)      --pause S  (0.1)\n"
	"  --span BYTES of the device's file  (64 MiB)      --files N  (1)\n"
	"  --port PORT --address A.B.C.D/N [--gateway A.B.C.D] [--mtu BYTES]  own TCP over a port, as\n"
	"      memif:SOCKET or a PCI address, instead of kernel sockets\n"
	"  --direct  all partitions are the server's, whatever addresses it tells\n"
	"\n"
	"Prints 'begin' and 'end' around what counts, then one line of JSON. Exit codes: 0 done, 1 failed\n"
	"or records were refused, 2 wrong use.\n";

enum option_name {
	OPT_SERVER = 256,
	OPT_TOPIC,
	OPT_PARTITIONS,
	OPT_CONNECTIONS,
	OPT_IN_FLIGHT,
	OPT_RECORD_SIZE,
	OPT_BATCH_SIZE,
	OPT_RATE,
	OPT_ACKS,
	OPT_SECONDS,
	OPT_WARM,
	OPT_PAUSE,
	OPT_FILES,
	OPT_SPAN,
	OPT_FOLDER,
	OPT_PORT,
	OPT_ADDRESS,
	OPT_GATEWAY,
	OPT_MTU,
	OPT_CONFIG,
	OPT_DIRECT,
	OPT_READ,
	OPT_HELP
};

static const struct option long_options[] = {
	{ "server", required_argument, NULL, OPT_SERVER },
	{ "topic", required_argument, NULL, OPT_TOPIC },
	{ "partitions", required_argument, NULL, OPT_PARTITIONS },
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "in-flight", required_argument, NULL, OPT_IN_FLIGHT },
	{ "record-size", required_argument, NULL, OPT_RECORD_SIZE },
	{ "batch-size", required_argument, NULL, OPT_BATCH_SIZE },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "acks", required_argument, NULL, OPT_ACKS },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "warm", required_argument, NULL, OPT_WARM },
	{ "pause", required_argument, NULL, OPT_PAUSE },
	{ "files", required_argument, NULL, OPT_FILES },
	{ "span", required_argument, NULL, OPT_SPAN },
	{ "folder", required_argument, NULL, OPT_FOLDER },
	{ "port", required_argument, NULL, OPT_PORT },
	{ "address", required_argument, NULL, OPT_ADDRESS },
	{ "gateway", required_argument, NULL, OPT_GATEWAY },
	{ "mtu", required_argument, NULL, OPT_MTU },
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "direct", no_argument, NULL, OPT_DIRECT },
	{ "read", no_argument, NULL, OPT_READ },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static int take_number(const char *text, double min, double max, double *ret_number)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end != '\0' || !(number >= min && number <= max)) {
		(void)fprintf(stderr, "millrace-load: %s is not a number from %g to %g\n", text,
			      min, max);
		return -EINVAL;
	}
	*ret_number = number;
	return 0;
}

static int take_count(const char *text, uint32_t max, uint32_t *ret_count)
{
	double number = 0;
	int r = take_number(text, 1, max, &number);

	if (r == 0)
		*ret_count = (uint32_t)number;
	return r;
}

static int take_acks(const char *text, int16_t *ret_acks)
{
	if (strcmp(text, "all") != 0 && strcmp(text, "1") != 0) {
		(void)fprintf(stderr, "millrace-load: --acks all or 1\n");
		return -EINVAL;
	}
	*ret_acks = strcmp(text, "all") == 0 ? -1 : 1;
	return 0;
}

/* @return 0; -EINVAL; -ENOENT: it is another option */
static int take_size(struct load_args *args, int option)
{
	double number = 0;
	int r;

	switch (option) {
	case OPT_PARTITIONS:
		return take_count(optarg, 100000, &args->partitions);
	case OPT_CONNECTIONS:
		return take_count(optarg, 1000000, &args->connections);
	case OPT_IN_FLIGHT:
		return take_count(optarg, 10000, &args->in_flight);
	case OPT_RECORD_SIZE:
		return take_count(optarg, 1U << 20, &args->record_size);
	case OPT_BATCH_SIZE:
		return take_count(optarg, 1U << 28, &args->batch_size);
	case OPT_MTU:
		return take_count(optarg, 9000, &args->mtu);
	case OPT_SPAN:
		r = take_number(optarg, 4096, 1e13, &number);
		args->span = (uint64_t)number;
		return r;
	case OPT_RATE:
		return take_number(optarg, 0, 1e12, &args->rate);
	case OPT_SECONDS:
		return take_number(optarg, 0.01, 1e6, &args->seconds);
	case OPT_WARM:
		return take_number(optarg, 0, 1e6, &args->warm);
	case OPT_PAUSE:
		return take_number(optarg, 0, 3600, &args->pause);
	case OPT_FILES:
		return take_count(optarg, 64, &args->files);
	default:
		return -ENOENT;
	}
}

/* @return 0; -EINVAL; 1: help */
static int take_option(struct load_args *args, int option)
{
	int r = take_size(args, option);

	if (r != -ENOENT)
		return r;
	switch (option) {
	case OPT_SERVER:
		args->has_target = true;
		if (load_call_parse(optarg, &args->target) == 0)
			return 0;
		(void)fprintf(stderr, "millrace-load: %s is not HOST:PORT\n", optarg);
		return -EINVAL;
	case OPT_TOPIC:
		args->topic = optarg;
		return 0;
	case OPT_FOLDER:
		args->folder = optarg;
		return 0;
	case OPT_PORT:
		args->port = optarg;
		return 0;
	case OPT_ADDRESS:
		args->address = optarg;
		return 0;
	case OPT_GATEWAY:
		args->gateway = optarg;
		return 0;
	case OPT_ACKS:
		return take_acks(optarg, &args->acks);
	case OPT_CONFIG:
		if (args->config_count == LOAD_ARGS_CONFIGS_MAX)
			return -EINVAL;
		args->configs[args->config_count++] = optarg;
		return 0;
	case OPT_DIRECT:
		args->is_direct = true;
		return 0;
	case OPT_READ:
		args->is_read = true;
		return 0;
	case OPT_HELP:
		(void)fputs(usage, stdout);
		return 1;
	default:
		return -EINVAL;
	}
}

static bool wants_topic(enum load_args_verb verb)
{
	return verb == LOAD_ARGS_PRODUCE || verb == LOAD_ARGS_FETCH || verb == LOAD_ARGS_TAIL ||
	       verb == LOAD_ARGS_CREATE || verb == LOAD_ARGS_DELETE;
}

static int judge(const struct load_args *args)
{
	bool is_frames = args->verb == LOAD_ARGS_FLOOD || args->verb == LOAD_ARGS_DRAIN;
	const char *missing = NULL;

	if (args->verb == LOAD_ARGS_DEVICE && args->folder == NULL)
		missing = "--folder";
	else if (args->verb != LOAD_ARGS_DEVICE && !is_frames && !args->has_target)
		missing = "--server";
	else if (wants_topic(args->verb) && args->topic == NULL)
		missing = "--topic";
	else if ((args->verb == LOAD_ARGS_BARE || is_frames) && args->port == NULL)
		missing = "--port";
	else if (args->port != NULL && !is_frames && args->address == NULL)
		missing = "--address, with --port";
	else if (args->verb == LOAD_ARGS_TAIL && args->rate <= 0)
		missing = "--rate";
	if (missing == NULL)
		return 0;
	(void)fprintf(stderr, "millrace-load: %s needs %s\n", verbs[args->verb], missing);
	return -EINVAL;
}

int load_args_parse(int argc, char **argv, struct load_args *ret_args)
{
	struct load_args args = { .verb = LOAD_ARGS_VERB_COUNT,
				  .partitions = 1,
				  .connections = 1,
				  .files = 1,
				  .in_flight = 5,
				  .record_size = 1024,
				  .batch_size = 65536,
				  .span = 64U << 20,
				  .mtu = 1500,
				  .seconds = 5,
				  .warm = 1,
				  .pause = 0.1,
				  .acks = -1 };
	int option, r = 0;

	while (r == 0 && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		r = take_option(&args, option);
	if (r == 0 && optind == argc - 1) {
		for (uint32_t i = 0; i < LOAD_ARGS_VERB_COUNT; i++) {
			if (strcmp(argv[optind], verbs[i]) == 0)
				args.verb = (enum load_args_verb)i;
		}
	}
	if (r == 0 && args.verb == LOAD_ARGS_VERB_COUNT)
		r = -EINVAL;
	if (r == 0)
		r = judge(&args);
	if (r < 0)
		(void)fputs(usage, stderr);
	if (r == 0)
		*ret_args = args;
	return r;
}
