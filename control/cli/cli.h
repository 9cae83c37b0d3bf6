/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What the commands of `millrace` share: exit codes, options, the client of the HTTP API.
 *
 * Context: a short-lived single-threaded process. Memory: heap, freed at exit.
 */
#pragma once

#define CONTROL_LAYER

#include <jansson.h>

#include "base/config.h"
#include "base/defs.h"

/** Exit codes of every command; documented in --help. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,      /* the box refused, or a check did not hold */
	CLI_USAGE = 2,       /* wrong arguments or settings */
	CLI_UNREACHABLE = 3, /* no box answers */
	CLI_NOT_FOUND = 4,   /* no such topic or group */
};

struct cli {
	struct config config;
	const char *config_path; /* NULL: none given */
	bool is_json;
	int argument_count; /* after the options */
	char **arguments;
	int set_count; /* --set NAME=VALUE pairs, passed on to children */
	char *sets[64];
};

struct cli_command {
	const char *name;
	const char *synopsis; /* arguments, "create NAME [--partitions N]" */
	const char *sentence;
	int (*run)(struct cli *cli); /* returns enum cli_exit */
};

int cli_up(struct cli *cli);
int cli_topic(struct cli *cli);
int cli_group(struct cli *cli);
int cli_status(struct cli *cli);
int cli_doctor(struct cli *cli);
int cli_sql(struct cli *cli);
int cli_table(struct cli *cli);
int cli_dag(struct cli *cli);

/**
 * Take `--name VALUE` out of the arguments.
 *
 * @return the value; NULL when the option is not there
 */
const char *cli_option(struct cli *cli, const char *name);

/** Take the flag `--name` out of the arguments. @return whether it was there */
bool cli_flag(struct cli *cli, const char *name);

/**
 * One call of the HTTP API.
 *
 * @param method          "GET", "POST", "PATCH", "DELETE"
 * @param path            "/api/v1/topics"
 * @param body            JSON to send; NULL: none; borrowed
 * @param[out] ret_reply  caller frees with json_decref(); NULL when the answer has no body
 * @return enum cli_exit; anything but CLI_OK was reported on stderr
 */
NODISCARD int cli_call(const struct cli *cli, const char *method, const char *path,
		       const json_t *body, json_t **ret_reply);

/** Percent-encode a name for a path, into ret [size]; cut where it does not fit. @return ret */
const char *cli_escape(const char *name, char *ret, size_t size);

/** Print JSON for scripts: sorted keys, one document. */
void cli_print_json(const json_t *value);

/** @return integer field of an object, 0 when absent */
int64_t cli_integer(const json_t *object, const char *name);
/** @return text field of an object, "" when absent; borrowed */
const char *cli_text(const json_t *object, const char *name);
/** 1234567 as "1.2 MB", into `ret` [size]. @return ret */
const char *cli_bytes(int64_t bytes, char *ret, size_t size);
