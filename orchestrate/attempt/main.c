/* SPDX-License-Identifier: Apache-2.0 */
/* millrace-attempt DIR: run one command attempt as orchestrate/commands.h has it. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/defs.h"

#include "orchestrate/commands.h"
#include "orchestrate/tasklog.h"

#define LINE_MAX_SIZE (256U << 10) /* longer lines are split */
#define KILL_AFTER_NS (5 * NS_PER_S)
#define EXIT_SKIPPED  99 /* Airflow's BashOperator */
#define TEXT_MAX      512

struct lines {
	size_t size;
	char line[LINE_MAX_SIZE];
	char last[LINE_MAX_SIZE + 1]; /* newest line that was not empty */
};

struct stream {
	int fd; /* -1: ended */
	const char *level;
	struct redact_stream *redact;
	struct lines said;  /* as it came, for the result */
	struct lines shown; /* secrets hidden before it is cut into lines: they may have several */
};

struct job {
	json_t *spec;
	struct tasklog *log;
	struct stream out, err;
	int signals;
	pid_t pid; /* of the command, and its process group */
	int status;
	bool has_ended, is_cancelled, is_timed_out;
	int64_t timeout_ns, kill_ns; /* monotonic; INT64_MAX: not */
};

static struct job job = { .timeout_ns = INT64_MAX, .kill_ns = INT64_MAX };

/* ---- its end ---- */

static json_t *text_result(void)
{
	char *clean = tasklog_mask(job.out.said.last, strlen(job.out.said.last), NULL);
	json_t *text = clean != NULL ? json_string(clean) : NULL;

	free(clean);
	return text != NULL ? text : json_null();
}

/** @return outcome; message [TEXT_MAX] and result are set */
static const char *judge(char *message, json_t **ret_result)
{
	const char *output = json_string_value(json_object_get(job.spec, "output"));
	const char *last = job.err.shown.last[0] != '\0' ? job.err.shown.last : job.out.shown.last;
	int code = WIFEXITED(job.status) ? WEXITSTATUS(job.status) : -1;

	if (job.is_cancelled)
		return "cancelled";
	if (job.is_timed_out) {
		(void)snprintf(message, TEXT_MAX, "it took longer than its timeout");
		return "failed";
	}
	if (code < 0) {
		(void)snprintf(message, TEXT_MAX, "ended by signal %d (%s)", WTERMSIG(job.status),
			       strsignal(WTERMSIG(job.status)));
		return "failed";
	}
	if (code == EXIT_SKIPPED) {
		(void)snprintf(message, TEXT_MAX, "it asked to be skipped (exit code 99)");
		return "skipped";
	}
	if (code != 0) {
		(void)snprintf(message, TEXT_MAX, "exit code %d%s%.400s", code,
			       last[0] != '\0' ? ": " : "", last);
		return "failed";
	}
	if (output != NULL && strcmp(output, "text") == 0)
		*ret_result = text_result();
	if (output == NULL || strcmp(output, "json") != 0)
		return "success";
	*ret_result = json_loads(job.out.said.last, JSON_DECODE_ANY, NULL);
	if (*ret_result != NULL)
		return "success";
	(void)snprintf(message, TEXT_MAX,
		       "output: json is wanted, but the last line of its output is no JSON: %.300s",
		       job.out.shown.last);
	return "failed";
}

static int write_exit(const char *outcome, const char *message, json_t *result)
{
	char *clean = tasklog_mask(message, strlen(message), json_object_get(job.spec, "mask"));
	json_t *end = json_object();
	int error;

	(void)json_object_set_new(end, "outcome", json_string(outcome));
	if (clean != NULL && clean[0] != '\0') {
		json_t *text = json_string(clean);

		(void)json_object_set_new(end, "message",
					  text != NULL ? text : json_string("exit code not 0"));
	}
	if (result != NULL)
		(void)json_object_set_new(end, "result", result);
	error = json_dump_file(end, "exit.new", JSON_COMPACT) != 0 ||
		rename("exit.new", "exit") != 0;
	json_decref(end);
	free(clean);
	return error ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- output ---- */

/** @return whether it said something */
static bool end_line(struct lines *lines)
{
	if (lines->size == 0)
		return false;
	memcpy(lines->last, lines->line, lines->size);
	lines->last[lines->size] = '\0';
	lines->size = 0;
	return true;
}

static void end_shown(struct stream *stream)
{
	size_t size = stream->shown.size;

	if (end_line(&stream->shown))
		tasklog_line(job.log, stream->level, stream->shown.last, size);
}

static void take(struct stream *stream, const char *bytes, size_t size)
{
	struct lines *said = &stream->said;

	redact_stream_put(stream->redact, bytes, size);
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '\n' || said->size == LINE_MAX_SIZE)
			(void)end_line(said);
		if (bytes[i] != '\n')
			said->line[said->size++] = bytes[i];
	}
}

static void take_shown(void *context, const char *text, size_t size)
{
	struct stream *stream = context;
	struct lines *shown = &stream->shown;

	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\n' || shown->size == LINE_MAX_SIZE)
			end_shown(stream);
		if (text[i] != '\n')
			shown->line[shown->size++] = text[i];
	}
}

/** Killed, it may have been in the middle of a word. */
static void end_stream(struct stream *stream)
{
	redact_stream_end(stream->redact, WIFSIGNALED(job.status));
	end_shown(stream);
	(void)end_line(&stream->said);
	redact_stream_free(stream->redact);
}

/** Read what is there. */
static void drain(struct stream *stream)
{
	char bytes[16384];
	ssize_t size;

	while (stream->fd >= 0) {
		size = read(stream->fd, bytes, sizeof(bytes));
		if (size > 0) {
			take(stream, bytes, (size_t)size);
			if (!job.has_ended)
				return; /* let the others have their turn */
			continue;
		}
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		(void)close(stream->fd);
		stream->fd = -1;
	}
}

/* ---- running ---- */

static void stop(int64_t now_ns)
{
	if (job.has_ended)
		return;
	if (job.kill_ns == INT64_MAX) {
		job.kill_ns = now_ns + KILL_AFTER_NS;
		(void)kill(-job.pid, SIGTERM);
	} else if (now_ns >= job.kill_ns) {
		(void)kill(-job.pid, SIGKILL);
		job.kill_ns = now_ns + KILL_AFTER_NS;
	}
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != job.pid)
			continue;
		job.status = status;
		job.has_ended = true;
	}
}

static void take_signals(int64_t now_ns)
{
	struct signalfd_siginfo info;

	while (read(job.signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			reap();
		} else if (!job.is_timed_out) {
			job.is_cancelled = true;
			stop(now_ns);
		}
	}
}

static void run(void)
{
	while (!job.has_ended) {
		struct pollfd fds[] = { { .fd = job.signals, .events = POLLIN },
					{ .fd = job.out.fd, .events = POLLIN },
					{ .fd = job.err.fd, .events = POLLIN } };
		int64_t now_ns = clock_now_ns(), due_ns = MIN(job.timeout_ns, job.kill_ns);
		int64_t left_ms =
			due_ns == INT64_MAX ? -1 : MAX(due_ns - now_ns, 0) / NS_PER_MS + 1;

		(void)poll(fds, ARRAY_COUNT(fds), (int)MIN(left_ms, (int64_t)INT32_MAX));
		now_ns = clock_now_ns();
		take_signals(now_ns);
		drain(&job.out);
		drain(&job.err);
		if (now_ns >= job.timeout_ns && !job.is_cancelled) {
			job.is_timed_out = true;
			job.timeout_ns = INT64_MAX;
			stop(now_ns);
		}
		if (now_ns >= job.kill_ns)
			stop(now_ns);
	}
	/* What it left behind in its group ends with it. */
	(void)kill(-job.pid, SIGKILL);
	drain(&job.out);
	drain(&job.err);
	end_stream(&job.err);
	end_stream(&job.out);
}

/* ---- starting ---- */

/** What a command sees of control's environment, then the task's own. */
static char **environment(void)
{
	static const char *const kept[] = { "PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER" };
	const json_t *env = json_object_get(job.spec, "env");
	char **list = calloc(ARRAY_COUNT(kept) + json_object_size(env) + 1, sizeof(*list));
	size_t count = 0;
	const char *name;
	json_t *value;

	if (list == NULL)
		return NULL;
	for (size_t i = 0; i < ARRAY_COUNT(kept); i++) {
		const char *text = getenv(kept[i]); // NOLINT: one thread

		if (json_object_get(env, kept[i]) == NULL && text != NULL &&
		    asprintf(&list[count], "%s=%s", kept[i], text) > 0)
			count++;
	}
	json_object_foreach((json_t *)(uintptr_t)env, name, value)
	{
		if (asprintf(&list[count], "%s=%s", name, json_string_value(value)) > 0)
			count++;
	}
	return list;
}

static int open_pipe(struct stream *stream, const char *level, int *ret_write)
{
	int ends[2];
	int error = redact_stream_new(tasklog_redact(job.log), take_shown, stream, &stream->redact);

	if (error != 0)
		return error;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	stream->fd = ends[0];
	stream->level = level;
	*ret_write = ends[1];
	return 0;
}

static int spawn_command(char **argv, char **env, int out, int err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int error;

	(void)sigemptyset(&none);
	if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attributes) != 0)
		return -ENOMEM;
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	(void)posix_spawnattr_setpgroup(&attributes, 0);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	error = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (error == 0)
		error = posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
	if (error == 0)
		error = posix_spawn_file_actions_addchdir_np(&actions, "work");
	if (error == 0)
		error = posix_spawnp(&job.pid, argv[0], &actions, &attributes, argv, env);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -error;
}

/** Who this is, and the command's process group, 0 before there is one. */
static int write_lock(void)
{
	char text[48];
	int size = snprintf(text, sizeof(text), "%d %d\n", (int)getpid(), (int)job.pid);

	return pwrite(COMMANDS_LOCK_FD, text, (size_t)size, 0) == size ? 0 : -EIO;
}

static int start(void)
{
	const json_t *words = json_object_get(job.spec, "argv");
	char **argv = calloc(json_array_size(words) + 1, sizeof(*argv));
	char **env = environment();
	int out = -1, err = -1, error;

	for (size_t i = 0; argv != NULL && i < json_array_size(words); i++)
		argv[i] = (char *)(uintptr_t)json_string_value(json_array_get(words, i));
	error = argv != NULL && argv[0] != NULL && env != NULL ? 0 : -EINVAL;
	if (error == 0)
		error = open_pipe(&job.out, "info", &out);
	if (error == 0)
		error = open_pipe(&job.err, "error", &err);
	if (error == 0)
		error = spawn_command(argv, env, out, err);
	/* The command inherits the lock: should this process be killed, control finds who is left. */
	if (error == 0)
		error = write_lock();
	if (out >= 0)
		(void)close(out);
	if (err >= 0)
		(void)close(err);
	for (size_t i = 0; env != NULL && env[i] != NULL; i++)
		free(env[i]);
	free(env);
	free(argv);
	return error;
}

/** @return 0; -errno before there is anything to tell it to */
static int prepare(const char *folder)
{
	sigset_t mine;
	int64_t timeout_ms;

	if (chdir(folder) != 0)
		return -errno;
	if (write_lock() != 0)
		return -EIO;
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	(void)sigemptyset(&mine);
	(void)sigaddset(&mine, SIGTERM);
	(void)sigaddset(&mine, SIGINT);
	(void)sigaddset(&mine, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &mine, NULL);
	job.signals = signalfd(-1, &mine, SFD_CLOEXEC | SFD_NONBLOCK);
	if (job.signals < 0)
		return -errno;
	job.spec = json_load_file("spec", 0, NULL);
	if (job.spec == NULL)
		return -EINVAL;
	timeout_ms = json_integer_value(json_object_get(job.spec, "timeout_ms"));
	if (timeout_ms > 0)
		job.timeout_ns = clock_now_ns() + timeout_ms * NS_PER_MS;
	return tasklog_open(json_string_value(json_object_get(job.spec, "log")),
			    (size_t)json_integer_value(json_object_get(job.spec, "log_max")),
			    json_object_get(job.spec, "mask"), &job.log);
}

int main(int argc, char **argv)
{
	char message[TEXT_MAX] = "";
	json_t *result = NULL;
	const char *outcome;
	int error;

	if (argc != 2) {
		(void)fprintf(stderr, "millrace-attempt is started by millrace-control\n");
		return 2;
	}
	/* It is run by a descriptor, whose number would be its name. */
	(void)prctl(PR_SET_NAME, "millrace-attempt", 0, 0, 0);
	error = prepare(argv[1]);
	if (error == 0)
		error = start();
	if (error != 0) {
		(void)snprintf(message, sizeof(message), "it cannot be started: %s",
			       strerror(-error)); // NOLINT: one thread
		if (job.log != NULL)
			tasklog_line(job.log, "error", message, strlen(message));
		tasklog_close(job.log);
		return write_exit("failed", message, NULL);
	}
	run();
	outcome = judge(message, &result);
	tasklog_close(job.log);
	error = write_exit(outcome, message, result);
	json_decref(job.spec);
	return error;
}
