/* SPDX-License-Identifier: Apache-2.0 */
/* millrace-dataplane: parse, open, serve until a signal, close in reverse. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "base/config.h"
#include "base/counters.h"
#include "base/cpulist.h"
#include "base/log.h"

#include "dataplane/core/startup.h"

#define PROGRAM "millrace-dataplane"

static volatile sig_atomic_t is_stopped;

static void on_signal(int number)
{
	(void)number;
	is_stopped = 1;
}

/* Cores inherit the blocked signals, so that only the main thread is interrupted. */
static void block_signals(bool is_blocked)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)pthread_sigmask(is_blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	action.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &action, NULL);
	block_signals(true);
}

static void print_help(void)
{
	struct config config;

	config_init(&config);
	printf("usage: " PROGRAM " [--config FILE] [--set NAME=VALUE]...\n"
	       "\n"
	       "Serves Kafka's protocol: one thread per poll core, records into hugepage rings and\n"
	       "from there into segment files. `millrace up` starts it together with the rest.\n"
	       "\n"
	       "exit codes: 0 clean stop, 1 failure, 2 command line or configuration,\n"
	       "            3 another process owns the data directory\n"
	       "\n"
	       "settings and their defaults:\n");
	config_print(&config, stdout);
}

/* @return -1 go on; else an exit code */
static int parse(int argc, char **argv, struct config *config)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
						 { "set", required_argument, NULL, 's' },
						 { "help", no_argument, NULL, 'h' },
						 { "version", no_argument, NULL, 'v' },
						 { 0 } };
	uint32_t cpus[COUNTERS_CORES_MAX];
	char reason[512] = "";
	int option;

	config_init(config);
	while ((option = getopt_long(argc, argv, "c:s:h", options, NULL)) != -1) {
		if (option == 'h') {
			print_help();
			return STARTUP_OK;
		}
		if (option == 'v') {
			printf(PROGRAM " " MILLRACE_VERSION "\n");
			return STARTUP_OK;
		}
		if (option == 'c' && config_load(config, optarg, reason, sizeof(reason)) == 0)
			continue;
		if (option == 's' && config_assign(config, optarg, reason, sizeof(reason)) == 0)
			continue;
		if (reason[0] != '\0')
			(void)fprintf(stderr, PROGRAM ": %s\n", reason);
		return STARTUP_USAGE;
	}
	if (optind < argc || cpulist_parse(config->core_cpus, cpus, ARRAY_COUNT(cpus)) < 0) {
		(void)fprintf(stderr, PROGRAM ": %s\n",
			      optind < argc ? "takes no arguments; see --help"
					    : "core.cpus wants a list like 0,2-3");
		return STARTUP_USAGE;
	}
	config_finish(config);
	return -1;
}

int main(int argc, char **argv)
{
	static struct config config;
	struct box *box;
	int code = parse(argc, argv, &config);

	if (code >= 0)
		return code;
	log_init(PROGRAM, LOG_INFO);
	catch_signals();
	code = (int)startup_open(&config, &box);
	if (code != STARTUP_OK)
		return code;
	block_signals(false);
	printf("ready\n");
	(void)fflush(stdout);
	startup_serve(box, &is_stopped);
	log_info("stopping");
	return (int)startup_close(box);
}
