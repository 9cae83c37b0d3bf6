/* SPDX-License-Identifier: Apache-2.0 */
/* millrace-worker: settings, the SQL engine, privileges, then the loop. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpulist.h"
#include "base/err.h"
#include "base/log.h"
#include "base/privileges.h"

#include "compute/duck/duck.h"
#include "compute/task.h"
#include "compute/worker/sqlshell.h"
#include "compute/worker/worker.h"
#include "compute/worker/workermem.h"

#define PROGRAM  "millrace-worker"
#define CPUS_MAX 1024

enum { EXIT_USAGE = 2, EXIT_NO_ENGINE = 4 };

static const char usage[] =
	"usage: millrace-worker [--config FILE] [--set NAME=VALUE]...\n"
	"       millrace-worker --sql [--query SQL | --file FILE] [--format table|csv|json] ...\n"
	"       millrace-worker --tables list|history|schema [--table NAME] [--format json] ...\n"
	"\n"
	"Runs the SQL of pipelines: DuckDB over topics and Delta tables. Control starts attempts over\n"
	"the socket worker.sock in run.dir; `millrace up` starts the worker together with the rest.\n"
	"\n"
	"  --config FILE      read settings, as Java properties\n"
	"  --set NAME=VALUE   one setting, over the file; may be repeated\n"
	"  --sql, --tables    what `millrace sql` and `millrace table` run\n"
	"  --print-config     print every setting with its value and sentence, and end\n"
	"  --help             this text\n"
	"\n"
	"exit status: 0 stopped by a signal, 1 failed, 2 wrong usage or settings, 4 no SQL engine\n";

/** What the command line asks for. */
struct request {
	struct config config;
	struct sqlshell_request shell;
	bool is_shell; /* not a worker: SQL, or a look at tables */
	bool is_print;
	bool is_help;
};

/** @return 0; ERR_CONFIG with reterr */
static int take_option(struct request *request, int option, char *reterr, size_t size)
{
	int format;

	switch (option) {
	case 'c':
		return config_load(&request->config, optarg, reterr, size) == 0 ? 0 : ERR_CONFIG;
	case 's':
		return config_assign(&request->config, optarg, reterr, size);
	case 'p':
		request->is_print = true;
		return 0;
	case 'S':
		request->is_shell = true;
		return 0;
	case 'T':
		request->is_shell = true;
		request->shell.show = optarg;
		return 0;
	case 't':
		request->shell.table = optarg;
		return 0;
	case 'q':
		request->shell.sql = optarg;
		return 0;
	case 'f':
		request->shell.file = optarg;
		return 0;
	case 'F':
		format = sqlshell_format(optarg);
		request->shell.format = (enum sqlshell_format)MAX(format, 0);
		(void)snprintf(reterr, size, "--format is table, csv or json");
		return format < 0 ? ERR_CONFIG : 0;
	case 'h':
		request->is_help = true;
		return 0;
	default:
		return ERR_CONFIG;
	}
}

/** @return 0 go on; 1 done (help was printed); ERR_CONFIG, told on stderr */
static int read_settings(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "set", required_argument, NULL, 's' },
		{ "print-config", no_argument, NULL, 'p' },
		{ "sql", no_argument, NULL, 'S' },
		{ "tables", required_argument, NULL, 'T' },
		{ "table", required_argument, NULL, 't' },
		{ "query", required_argument, NULL, 'q' },
		{ "file", required_argument, NULL, 'f' },
		{ "format", required_argument, NULL, 'F' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	char reterr[512] = "";
	int error = 0;
	int option;

	config_init(&request->config);
	while (error == 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1)
		error = take_option(request, option, reterr, sizeof(reterr));
	if (error == 0 && optind < argc) {
		(void)snprintf(reterr, sizeof(reterr), "%s: not understood", argv[optind]);
		error = ERR_CONFIG;
	}
	if (error != 0) {
		(void)fprintf(stderr, PROGRAM ": %s\nTry --help.\n", reterr);
		return ERR_CONFIG;
	}
	config_finish(&request->config);
	if (request->is_help)
		return printf("%s", usage) < 0 ? ERR_CONFIG : 1;
	if (request->is_print)
		config_print(&request->config, stdout);
	return request->is_print ? 1 : 0;
}

/** Threads that are made later inherit it. @return CPUs; 0: anywhere; ERR_CONFIG; -errno */
static int pin(const struct config *config, uint32_t *cpus)
{
	int count = cpulist_parse(config->worker_cpus, cpus, CPUS_MAX);
	cpu_set_t set;

	if (count < 0) {
		log_error("worker.cpus wants a list like 0,2-3, not \"%s\"", config->worker_cpus);
		return count;
	}
	if (count == 0)
		return 0;
	CPU_ZERO(&set);
	for (int i = 0; i < count; i++)
		CPU_SET(cpus[i], &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0) {
		log_error("worker.cpus=%s: %s", config->worker_cpus, strerror(errno));
		return -errno;
	}
	return count;
}

/** The socket is control's to connect to, whoever made it; the file says that it is there. */
static int announce(const struct config *config)
{
	const struct passwd *owner = geteuid() == 0 ? getpwnam(config->user) : NULL;
	char path[PATH_MAX];
	FILE *file;
	int error = task_socket_path(config->run_dir, path, sizeof(path));

	if (error != 0)
		return error;
	if (chmod(path, 0660) != 0 ||
	    (owner != NULL && chown(path, owner->pw_uid, owner->pw_gid) != 0))
		return -errno;
	(void)snprintf(path, sizeof(path), "%s/ready.worker", config->run_dir);
	file = fopen(path, "we");
	if (file == NULL)
		return -errno;
	(void)fprintf(file, "%d\n", getpid());
	return fclose(file) == 0 ? 0 : -errno;
}

static int drop_privileges(const struct config *config)
{
	const char *const folders[] = { config->tables_dir, config->worker_spill_dir };

	return privileges_drop(config, folders, ARRAY_COUNT(folders));
}

static int serve(const struct config *config)
{
	static uint32_t cpus[CPUS_MAX];
	CLEANUP(worker_closep) struct worker *worker = NULL;
	const pid_t parent = getppid();
	int error, cpu_count = pin(config, cpus);

	if (cpu_count < 0)
		return EXIT_USAGE;
	(void)umask(0027);
	error = worker_open(config, &worker);
	if (error == 0)
		error = announce(config);
	if (error != 0) {
		log_error("socket in %s: %s", config->run_dir, err_str(error));
		return EXIT_FAILURE;
	}
	workermem_enclose(config);
	error = drop_privileges(config);
	if (error != 0) {
		log_error("cannot become user %s: %s", config->user, err_str(error));
		return EXIT_FAILURE;
	}
	if (getppid() != parent)
		return EXIT_FAILURE;
	log_info("DuckDB %s, %lld attempts at once, tables in %s", duck_version(),
		 (long long)config->worker_slots, config->tables_dir);
	error = worker_run(worker, cpus, (uint32_t)cpu_count);
	if (error != 0)
		log_error("%s", err_str(error));
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static struct request request;
	char message[1024];
	int error = read_settings(argc, argv, &request);

	if (error != 0)
		return error == 1 ? EXIT_SUCCESS : EXIT_USAGE;
	log_init("worker", request.is_shell ? LOG_WARN : LOG_INFO);
	error = duck_load(message, sizeof(message));
	if (error != 0) {
		log_error("%s", message);
		return EXIT_NO_ENGINE;
	}
	return request.is_shell ? sqlshell_run(&request.config, &request.shell)
				: serve(&request.config);
}
