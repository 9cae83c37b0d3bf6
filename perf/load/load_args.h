/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The driver's command line.
 *
 * Context: start of the process. Memory: borrows argv.
 */
#pragma once

#include "perf/load/load_call.h"

#define LOAD_ARGS_CONFIGS_MAX 16

enum load_args_verb {
	LOAD_ARGS_PRODUCE,
	LOAD_ARGS_FETCH,
	LOAD_ARGS_TAIL,
	LOAD_ARGS_PING,
	LOAD_ARGS_HOLD,
	LOAD_ARGS_SINK,
	LOAD_ARGS_BARE,
	LOAD_ARGS_BLAST,
	LOAD_ARGS_FLOOD,
	LOAD_ARGS_DRAIN,
	LOAD_ARGS_DEVICE,
	LOAD_ARGS_CREATE,
	LOAD_ARGS_DELETE,
	LOAD_ARGS_VERB_COUNT
};

struct load_args {
	enum load_args_verb verb;
	struct load_call_target target;
	bool has_target;
	const char *topic;
	const char *folder;
	const char *port;    /* own TCP over it; NULL: kernel sockets */
	const char *address; /* of this end of the port */
	const char *gateway; /* NULL: none */
	uint32_t mtu;
	uint32_t partitions;
	uint32_t connections;
	uint32_t in_flight;
	uint32_t record_size;
	uint32_t batch_size;
	uint64_t span;
	double rate; /* records a second; 0: closed loop */
	double seconds;
	double warm;
	double pause;
	uint32_t files; /* of the device's group commit */
	int16_t acks;
	bool is_direct;
	bool is_read;
	char *configs[LOAD_ARGS_CONFIGS_MAX];
	uint32_t config_count;
};

/** @return 0; -EINVAL, the reason and the usage are printed; 1 help was asked for and printed */
NODISCARD int load_args_parse(int argc, char **argv, struct load_args *ret_args);
