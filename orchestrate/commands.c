/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/commands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"

#define PATH_SIZE     512
#define PID_WAIT_NS   (20 * NS_PER_MS)
#define EXIT_SIZE_MAX (4U << 20)

struct attempt {
	struct list link;
	struct commands *commands;
	int64_t number;
	pid_t pid; /* of millrace-attempt; 0: not told yet */
	bool is_cancelled;
	struct event_source source; /* its pidfd */
};

struct commands {
	struct events *events;
	char folder[PATH_SIZE - 64];
	char program[PATH_SIZE];
	commands_ended *ended;
	void *context;
	struct list attempts; /* that run */
	struct list ends;     /* that have ended, to be reported */
	struct list unknown;  /* adopted, locked, their pid not written yet */
	uint32_t count;
};

static void path_of(const struct commands *commands, int64_t attempt, const char *file, char *ret)
{
	(void)snprintf(ret, PATH_SIZE, "%s/%" PRId64 "%s", commands->folder, attempt, file);
}

/* ---- ends ---- */

static json_t *read_exit(const struct attempt *attempt)
{
	char path[PATH_SIZE];

	path_of(attempt->commands, attempt->number, "/exit", path);
	return json_load_file(path, JSON_DECODE_ANY, NULL);
}

static enum engine_outcome outcome_of(const char *name)
{
	static const struct {
		const char *name;
		enum engine_outcome outcome;
	} known[] = {
		{ "success", ENGINE_SUCCESS },
		{ "failed", ENGINE_FAILED },
		{ "skipped", ENGINE_SKIPPED },
		{ "cancelled", ENGINE_CANCELLED },
	};

	for (size_t i = 0; name != NULL && i < ARRAY_COUNT(known); i++) {
		if (strcmp(known[i].name, name) == 0)
			return known[i].outcome;
	}
	return ENGINE_LOST;
}

/** Who an attempt's lock is of. @return the lock, for the caller to close; -errno */
static int read_lock(const struct attempt *attempt, pid_t *ret_pid, pid_t *ret_group)
{
	char path[PATH_SIZE], text[48] = "";
	char *rest = text;
	int file;

	path_of(attempt->commands, attempt->number, "/lock", path);
	file = open(path, O_RDWR | O_CLOEXEC);
	if (file < 0)
		return -errno;
	if (pread(file, text, sizeof(text) - 1, 0) > 0) {
		*ret_pid = (pid_t)strtol(text, &rest, 10);
		*ret_group = (pid_t)strtol(rest, NULL, 10);
	}
	return file;
}

/** Its process was killed: end the command, which may be started again. */
static void kill_left(const struct attempt *attempt)
{
	pid_t pid = 0, group = 0;
	int file = read_lock(attempt, &pid, &group);

	if (file < 0)
		return;
	/* The group's number is nobody else's while one of it holds the lock. */
	if (group > 1 && flock(file, LOCK_EX | LOCK_NB) != 0) {
		log_warn("attempt %ld is lost; what it left running is killed",
			 (long)attempt->number);
		(void)kill(-group, SIGKILL);
	}
	(void)close(file);
}

static void report(struct attempt *attempt)
{
	struct commands *commands = attempt->commands;
	json_t *end = read_exit(attempt);
	const char *message = json_string_value(json_object_get(end, "message"));
	enum engine_outcome outcome =
		outcome_of(json_string_value(json_object_get(end, "outcome")));

	if (outcome == ENGINE_LOST) {
		kill_left(attempt);
		message = "its process ended without a word: killed, or the machine stopped";
		if (attempt->is_cancelled)
			outcome = ENGINE_CANCELLED;
	}
	commands->ended(commands->context, attempt->number, outcome, message,
			json_object_get(end, "result"));
	json_decref(end);
}

static void drop(struct attempt *attempt)
{
	int pidfd = attempt->source.fd;

	events_forget(attempt->commands->events, &attempt->source);
	if (pidfd >= 0)
		(void)close(pidfd);
	list_remove(&attempt->link);
	attempt->commands->count--;
	free(attempt);
}

static void on_ended(struct event_source *source, uint32_t mask)
{
	struct attempt *attempt = CONTAINER_OF(source, struct attempt, source);
	int pidfd = source->fd;

	(void)mask;
	events_forget(attempt->commands->events, source);
	(void)close(pidfd);
	(void)waitpid(attempt->pid, NULL, WNOHANG); /* an adopted one is init's child */
	list_remove(&attempt->link);
	list_push_back(&attempt->commands->ends, &attempt->link);
}

static struct attempt *add(struct commands *commands, int64_t number)
{
	struct attempt *attempt = calloc(1, sizeof(*attempt));

	if (attempt == NULL)
		return NULL;
	list_init(&attempt->link);
	attempt->commands = commands;
	attempt->number = number;
	attempt->source = (struct event_source){ .fd = -1, .ready = on_ended };
	commands->count++;
	return attempt;
}

/** Notice its end. @return 0; -errno */
static int watch(struct attempt *attempt)
{
	int pidfd = (int)syscall(SYS_pidfd_open, attempt->pid, 0);
	int error;

	if (pidfd < 0)
		return -errno;
	error = events_watch(attempt->commands->events, &attempt->source, pidfd, EPOLLIN);
	if (error != 0)
		(void)close(pidfd);
	else
		list_push_back(&attempt->commands->attempts, &attempt->link);
	return error;
}

/* ---- starting ---- */

/** @return the lock, held; -errno */
static int make_directory(const struct commands *commands, int64_t number, const json_t *spec)
{
	char path[PATH_SIZE];
	int lock;

	path_of(commands, number, "", path);
	if (mkdir(path, 0700) != 0)
		return -errno;
	path_of(commands, number, "/work", path);
	if (mkdir(path, 0700) != 0)
		return -errno;
	path_of(commands, number, "/spec", path);
	if (json_dump_file(spec, path, JSON_COMPACT) != 0)
		return -EIO;
	path_of(commands, number, "/lock", path);
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock < 0)
		return -errno;
	if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
		(void)close(lock);
		return -EBUSY;
	}
	return lock;
}

/** The child holds the lock by the descriptor it inherits. */
static int spawn(const struct commands *commands, int64_t number, int lock, pid_t *ret_pid)
{
	char directory[PATH_SIZE], name[] = "millrace-attempt";
	char *argv[] = { name, directory, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int error;

	path_of(commands, number, "", directory);
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
							    POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	(void)posix_spawnattr_setsigdefault(&attributes, &all);
	error = posix_spawn_file_actions_adddup2(&actions, lock, COMMANDS_LOCK_FD);
	if (error == 0)
		error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (error == 0)
		error = posix_spawn(ret_pid, commands->program, &actions, &attributes, argv,
				    environ);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -error;
}

int commands_start(struct commands *commands, int64_t number, const json_t *spec)
{
	struct attempt *attempt = add(commands, number);
	int lock, error;

	if (attempt == NULL)
		return -ENOMEM;
	lock = make_directory(commands, number, spec);
	error = lock < 0 ? lock : spawn(commands, number, lock, &attempt->pid);
	if (lock >= 0)
		(void)close(lock);
	if (error == 0)
		error = watch(attempt);
	if (error != 0) {
		if (attempt->pid > 0)
			(void)kill(attempt->pid, SIGTERM);
		drop(attempt);
	}
	return error;
}

/* ---- restart ---- */

/** A process of this number may be another's when only the command is left. */
static bool is_attempt(pid_t pid)
{
	char path[32], name[16] = "";
	int file;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	if (read(file, name, sizeof(name) - 1) < 0)
		name[0] = '\0';
	(void)close(file);
	return strncmp(name, "millrace-attemp", 15) == 0;
}

/** @return 1 it runs; 0 it does not; -EAGAIN it runs, but who it is cannot be read yet */
static int find_process(struct attempt *attempt)
{
	pid_t group = 0;
	int file = read_lock(attempt, &attempt->pid, &group);
	int result;

	if (file < 0)
		return 0;
	if (flock(file, LOCK_EX | LOCK_NB) == 0) {
		(void)close(file); /* nobody holds it */
		return 0;
	}
	if (attempt->pid <= 0) {
		(void)close(file);
		return -EAGAIN;
	}
	result = watch(attempt) == 0;
	if (result == 1 && !is_attempt(attempt->pid))
		on_ended(&attempt->source, 0);
	(void)close(file);
	return result;
}

static void adopt(struct attempt *attempt)
{
	int result = find_process(attempt);

	if (result == 0)
		list_push_back(&attempt->commands->ends, &attempt->link);
	else if (result == -EAGAIN)
		list_push_back(&attempt->commands->unknown, &attempt->link);
}

int commands_adopt(struct commands *commands)
{
	DIR *folder = opendir(commands->folder);
	const struct dirent *entry;

	if (folder == NULL)
		return -errno;
	while ((entry = readdir(folder)) != NULL) { // NOLINT: one thread
		char *end;
		int64_t number = strtoll(entry->d_name, &end, 10);
		struct attempt *attempt;

		if (number <= 0 || *end != '\0' || commands_has(commands, number))
			continue;
		attempt = add(commands, number);
		if (attempt == NULL)
			break;
		adopt(attempt);
	}
	(void)closedir(folder);
	return 0;
}

/* ---- the rest ---- */

static struct attempt *find_in(const struct list *list, int64_t number)
{
	LIST_EACH(list, node)
	{
		struct attempt *attempt = LIST_ENTRY(node, struct attempt, link);

		if (attempt->number == number)
			return attempt;
	}
	return NULL;
}

static struct attempt *find(const struct commands *commands, int64_t number)
{
	struct attempt *attempt = find_in(&commands->attempts, number);

	if (attempt == NULL)
		attempt = find_in(&commands->unknown, number);
	return attempt != NULL ? attempt : find_in(&commands->ends, number);
}

bool commands_has(const struct commands *commands, int64_t number)
{
	return find(commands, number) != NULL;
}

static void send_term(const struct attempt *attempt)
{
	if (attempt->source.fd >= 0)
		(void)syscall(SYS_pidfd_send_signal, attempt->source.fd, SIGTERM, NULL, 0);
}

bool commands_cancel(struct commands *commands, int64_t number)
{
	struct attempt *attempt = find(commands, number);

	if (attempt == NULL)
		return false;
	attempt->is_cancelled = true;
	send_term(attempt);
	return true;
}

static void remove_directory(const char *path)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;

	if (folder == NULL)
		return;
	while ((entry = readdir(folder)) != NULL) { // NOLINT: one thread
		char name[PATH_SIZE * 2];

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if ((size_t)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >=
		    sizeof(name))
			continue;
		if (unlink(name) != 0 && errno == EISDIR)
			remove_directory(name);
	}
	(void)closedir(folder);
	if (rmdir(path) != 0)
		log_warn("%s cannot be removed: errno %d", path, errno);
}

void commands_forget(struct commands *commands, int64_t number)
{
	char path[PATH_SIZE];

	path_of(commands, number, "", path);
	remove_directory(path);
}

int64_t commands_run(struct commands *commands, int64_t now_ns)
{
	struct list *last = commands->unknown.prev, *node = NULL;

	while (node != last && (node = list_pop_front(&commands->unknown)) != NULL) {
		struct attempt *attempt = LIST_ENTRY(node, struct attempt, link);

		adopt(attempt);
		if (attempt->is_cancelled)
			send_term(attempt);
	}
	while ((node = list_pop_front(&commands->ends)) != NULL) {
		struct attempt *attempt = LIST_ENTRY(node, struct attempt, link);

		report(attempt);
		drop(attempt);
	}
	return list_is_empty(&commands->unknown) ? INT64_MAX : now_ns + PID_WAIT_NS;
}

uint32_t commands_count(const struct commands *commands)
{
	return commands->count;
}

int commands_new(struct events *events, const char *folder, const char *program,
		 commands_ended *ended, void *context, struct commands **ret_commands)
{
	struct commands *commands = calloc(1, sizeof(*commands));

	if (commands == NULL)
		return -ENOMEM;
	commands->events = events;
	commands->ended = ended;
	commands->context = context;
	(void)snprintf(commands->folder, sizeof(commands->folder), "%s", folder);
	(void)snprintf(commands->program, sizeof(commands->program), "%s", program);
	list_init(&commands->attempts);
	list_init(&commands->ends);
	list_init(&commands->unknown);
	if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
		int error = -errno;

		free(commands);
		return error;
	}
	*ret_commands = commands;
	return 0;
}

static void drop_all(struct list *list)
{
	while (!list_is_empty(list))
		drop(LIST_ENTRY(list->next, struct attempt, link));
}

void commands_free(struct commands *commands)
{
	if (commands == NULL)
		return;
	drop_all(&commands->attempts);
	drop_all(&commands->ends);
	drop_all(&commands->unknown);
	free(commands);
}
