/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/sqlshell.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/err.h"

#include "compute/worker/background.h"
#include "compute/worker/sqlprint.h"
#include "compute/worker/taskjob.h"

#define ROWS_MAX       100000 /* of a table for people's eyes */
#define PIPE_BYTES     65536
#define EXIT_NOT_FOUND 4
#define EXIT_STOPPED   130

static const char help[] =
	"SQL ends with a semicolon. Tables are schema.table, topics are topic('name').\n"
	"  .tables           the Delta tables\n"
	"  .format FORMAT    table, csv or json\n"
	"  .quit             the end (also Ctrl-D); Ctrl-C ends the query that runs\n";

struct shell {
	const struct config *config;
	enum sqlshell_format format;
	bool is_interactive;
	struct taskjob job;
	struct attemptlog log;
	atomic_int stop;
	atomic_bool is_running; /* a statement is */
	char spill[PATH_MAX];
};

/* ---- Ctrl-C ---- */

static void *wait_for_signals(void *context)
{
	struct shell *shell = context;
	sigset_t wanted;
	int number;

	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGINT);
	for (;;) {
		if (sigwait(&wanted, &number) != 0)
			return NULL;
		if (atomic_load(&shell->is_running)) {
			duck_interrupt(shell->job.duck);
			if (!shell->is_interactive)
				atomic_store(&shell->stop, TASKJOB_CANCELLED);
		} else if (shell->is_interactive) {
			(void)!write(STDOUT_FILENO, "\nmillrace> ", 11);
		} else {
			(void)rmdir(shell->spill);
			_exit(EXIT_STOPPED);
		}
	}
}

static int catch_signals(struct shell *shell)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t wanted;
	pthread_t thread;

	/* Without a reader the spill folder has to be removed all the same. */
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &wanted, NULL);
	return -pthread_create(&thread, NULL, wait_for_signals, shell);
}

/* ---- rows to standard output, as they come ---- */

static void *copy_out(void *context)
{
	char bytes[PIPE_BYTES];
	ssize_t count;
	const int from = *(const int *)context;

	while ((count = read(from, bytes, sizeof(bytes))) > 0) {
		if (fwrite(bytes, 1, (size_t)count, stdout) < (size_t)count)
			break;
	}
	(void)close(from); /* whoever writes on hears it */
	return NULL;
}

/** The engine writes into a pipe: given the file itself it would cut off what is there. */
static int stream(struct shell *shell, const char *query, size_t size)
{
	static const char *const options[] = { "", "FORMAT csv, HEADER",
					       "FORMAT json, ARRAY true" };
	int ends[2], result;
	pthread_t thread;
	char *sql = NULL;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return taskjob_fail(&shell->job, "io", "pipe: %s", strerror(errno));
	if (asprintf(&sql, "COPY (SELECT * FROM (%.*s\n)) TO '/dev/fd/%d' (%s, USE_TMP_FILE false)",
		     (int)size, query, ends[1], options[shell->format]) < 0)
		sql = NULL;
	if (sql == NULL || pthread_create(&thread, NULL, copy_out, &ends[0]) != 0) {
		(void)close(ends[0]);
		(void)close(ends[1]);
		free(sql);
		return taskjob_fail(&shell->job, "memory", "no memory for the result");
	}
	result = taskjob_sql(&shell->job, sql, NULL);
	(void)close(ends[1]);
	(void)pthread_join(thread, NULL);
	(void)fflush(stdout);
	free(sql);
	return result;
}

/* ---- statements ---- */

static bool begins_with(const char *sql, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const size_t size = strlen(words[i]);

		if (strncasecmp(sql, words[i], size) == 0 &&
		    (words[i][0] == '(' || !isalnum((unsigned char)sql[size])))
			return true;
	}
	return false;
}

/** One statement. @return 0; -1 */
static int run_statement(struct shell *shell, const char *sql, size_t size)
{
	static const char *const queries[] = { "select", "with",     "from", "values",   "table",
					       "(",      "describe", "show", "summarize" };
	static const char *const plans[] = { "explain" };
	/* What has no rows of its own tells a count at most. */
	static const char *const silent[] = { "create", "drop", "set", "use", "load", "begin" };
	CLEANUP(duck_result_freep) struct duck_result *result = NULL;
	char *text = strndup(sql, size), *limited = NULL;
	int error = text == NULL ? -1 : 0;

	if (error == 0)
		error = taskjob_views(&shell->job, text);
	if (error == 0 && shell->format != SQLSHELL_TABLE &&
	    begins_with(text, queries, ARRAY_COUNT(queries))) {
		error = stream(shell, text, size);
	} else if (error == 0) {
		limited = taskjob_limited(text, ROWS_MAX + 1);
		error = limited == NULL ? -1 : taskjob_sql(&shell->job, limited, &result);
		free(limited);
		if (error == 0 && begins_with(text, plans, 1))
			sqlprint_plan(stdout, result);
		else if (error == 0 && shell->format == SQLSHELL_TABLE &&
			 !begins_with(text, silent, ARRAY_COUNT(silent)))
			(void)sqlprint_result(stdout, result, ROWS_MAX);
	}
	free(text);
	(void)fflush(stdout);
	return error;
}

/** All statements, until one fails. @return exit status */
static int run_text(struct shell *shell, const char *sql)
{
	int error = 0;

	taskjob_forget_views(&shell->job); /* tables have newer versions by now */
	atomic_store(&shell->is_running, true);
	while (error == 0) {
		size_t size;
		const char *statement = duck_first_statement(sql, &size);

		if (size == 0)
			break;
		error = run_statement(shell, statement, size);
		sql = statement + size;
	}
	atomic_store(&shell->is_running, false);
	if (error == 0)
		return 0;
	if (atomic_load(&shell->stop) == TASKJOB_CANCELLED) {
		(void)fprintf(stderr, "millrace: interrupted\n");
		return EXIT_STOPPED;
	}
	if (ferror(stdout)) /* nobody reads it any more: `| head` */
		return 1;
	(void)fprintf(stderr, "millrace: %s\n", shell->job.message);
	return 1;
}

/* ---- tables ---- */

static int show_tables(struct shell *shell, const struct sqlshell_request *request)
{
	static const char *const lists[] = { "name",  "version",    "rows", "bytes",
					     "files", "updated_at", "error" };
	static const char *const columns[] = { "name", "type", "nullable" };
	static const char *const commits[] = { "version", "timestamp", "operation", "parameters",
					       "metrics" };
	const bool is_list = strcmp(request->show, "list") == 0;
	const bool is_history = strcmp(request->show, "history") == 0;
	const json_t *shown;

	if (tasktables_run(&shell->job) != 0) {
		(void)fprintf(stderr, "millrace: %s\n", shell->job.message);
		return strcmp(shell->job.reason, "user") == 0 ? EXIT_NOT_FOUND : 1;
	}
	shown = json_object_get(shell->job.result, is_list      ? "tables"
						   : is_history ? "history"
								: "schema");
	if (shell->format == SQLSHELL_JSON) {
		(void)json_dumpf(shown, stdout, JSON_INDENT(2));
		(void)fputc('\n', stdout);
	} else if (is_list) {
		sqlprint_objects(stdout, shown, lists, ARRAY_COUNT(lists));
	} else if (is_history) {
		sqlprint_objects(stdout, shown, commits, ARRAY_COUNT(commits));
	} else {
		sqlprint_objects(stdout, shown, columns, ARRAY_COUNT(columns));
	}
	json_decref(shell->job.result);
	shell->job.result = NULL;
	return 0;
}

/* ---- lines of a person ---- */

/** @return false: the end is wanted */
static bool run_command(struct shell *shell, const char *line)
{
	static const struct sqlshell_request list = { .show = "list" };

	if (strncmp(line, ".quit", 5) == 0 || strncmp(line, ".exit", 5) == 0)
		return false;
	if (strncmp(line, ".tables", 7) == 0) {
		(void)show_tables(shell, &list);
	} else if (strncmp(line, ".format ", 8) == 0) {
		char name[16];
		int format;

		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(line + 8, " \n"), line + 8);
		format = sqlshell_format(name);
		if (format >= 0)
			shell->format = (enum sqlshell_format)format;
		else
			(void)fprintf(stderr, "table, csv or json\n");
	} else {
		(void)fputs(help, stdout);
	}
	return true;
}

/** @return whether the last thing in the text is a semicolon */
static bool is_complete(const char *text)
{
	size_t size = strlen(text);

	while (size > 0 && isspace((unsigned char)text[size - 1]))
		size--;
	return size > 0 && text[size - 1] == ';';
}

static void converse(struct shell *shell)
{
	char *line = NULL, *text = NULL;
	size_t room = 0;

	(void)printf("millrace sql: DuckDB %s on %s; .help helps\n", duck_version(),
		     shell->config->data_dir);
	for (;;) {
		char *longer = NULL;

		(void)fputs(text == NULL ? "millrace> " : "     ...> ", stdout);
		(void)fflush(stdout);
		if (getline(&line, &room, stdin) < 0)
			break;
		if (text == NULL && line[0] == '.') {
			if (!run_command(shell, line))
				break;
			continue;
		}
		if (asprintf(&longer, "%s%s", text != NULL ? text : "", line) < 0)
			break;
		free(text);
		text = longer;
		if (strspn(text, " \t\n") == strlen(text) || is_complete(text)) {
			(void)run_text(shell, text);
			free(text);
			text = NULL;
		}
	}
	(void)fputc('\n', stdout);
	free(line);
	free(text);
}

/** @return caller frees; NULL: told on stderr */
static char *read_file(const char *path)
{
	FILE *in = path != NULL ? fopen(path, "re") : stdin;
	char *text = NULL;
	size_t room = 0;

	/* A file holds no zero byte before its end: one "line" is all of it. */
	if (in == NULL || (getdelim(&text, &room, '\0', in) < 0 && ferror(in))) {
		(void)fprintf(stderr, "millrace: %s: %s\n", path != NULL ? path : "standard input",
			      strerror(errno));
		free(text);
		text = NULL;
	} else if (text == NULL || feof(in)) {
		text = text != NULL ? text : strdup("");
	}
	if (in != NULL && in != stdin)
		(void)fclose(in);
	return text;
}

/* ---- the process ---- */

static int open_engine(struct shell *shell, char *reterr, size_t reterr_size)
{
	const struct config *config = shell->config;
	const bool has_spill = access(config->worker_spill_dir, W_OK) == 0;
	const struct duck_config duck = {
		.memory_limit = config->worker_memory,
		.threads = (uint32_t)config->worker_threads,
		.spill_dir = shell->spill,
		.spill_max = config->worker_spill_max,
	};

	background_enter(config);
	(void)snprintf(shell->spill, sizeof(shell->spill), "%s/millrace-sql-%d",
		       has_spill ? config->worker_spill_dir : "/var/tmp", getpid());
	return duck_open(&duck, &shell->job.duck, reterr, reterr_size);
}

static struct taskspec *make_spec(const struct sqlshell_request *request)
{
	const bool is_table = request->table != NULL;
	const char *kind = request->show == NULL ? "query" : is_table ? "table" : "tables";
	json_t *message = json_pack("{si ss ss ss*}", "attempt", -1, "kind", kind, "sql", "-",
				    "table", request->table);
	struct taskspec *spec = NULL;
	char reason[256] = "no memory";

	if (taskspec_parse(message, &spec, reason, sizeof(reason)) != 0)
		(void)fprintf(stderr, "millrace: %s\n", reason);
	json_decref(message);
	return spec;
}

static int run_request(struct shell *shell, const struct sqlshell_request *request)
{
	char *sql = NULL;
	int status;

	if (request->show != NULL)
		return show_tables(shell, request);
	if (taskjob_topics(&shell->job) != 0) {
		(void)fprintf(stderr, "millrace: %s\n", shell->job.message);
		return 1;
	}
	if (shell->is_interactive) {
		converse(shell);
		return 0;
	}
	if (request->sql != NULL)
		return run_text(shell, request->sql);
	sql = read_file(request->file);
	status = sql != NULL ? run_text(shell, sql) : 1;
	free(sql);
	return status;
}

int sqlshell_format(const char *name)
{
	static const char *const names[] = { "table", "csv", "json" };

	for (int i = 0; i < (int)ARRAY_COUNT(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return i;
	}
	return -1;
}

int sqlshell_run(const struct config *config, const struct sqlshell_request *request)
{
	struct shell shell = {
		.config = config,
		.format = request->format,
		.is_interactive = request->show == NULL && request->sql == NULL &&
				  request->file == NULL && isatty(STDIN_FILENO) != 0,
	};
	CLEANUP(taskspec_freep) struct taskspec *spec = make_spec(request);
	char path[CONFIG_TEXT_MAX + 16], reason[512] = "";
	struct partitions *table = NULL;
	int status;

	if (spec == NULL)
		return 1;
	(void)attemptlog_open(&shell.log, NULL, 0, NULL);
	(void)snprintf(path, sizeof(path), "%s/partitions", config->run_dir);
	if (partitions_open(path, false, &table) == 0 && partitions_is_retired(table)) {
		partitions_close(table);
		table = NULL;
	}
	shell.job.config = config;
	shell.job.spec = spec;
	shell.job.table = table;
	shell.job.log = &shell.log;
	shell.job.stop = &shell.stop;
	if (catch_signals(&shell) != 0 || open_engine(&shell, reason, sizeof(reason)) != 0) {
		(void)fprintf(stderr, "millrace: no SQL engine: %s\n", reason);
		partitions_close(table);
		return 1;
	}
	status = run_request(&shell, request);
	taskjob_forget_views(&shell.job);
	duck_close(shell.job.duck);
	(void)rmdir(shell.spill);
	partitions_close(table);
	return status;
}
