/* SPDX-License-Identifier: Apache-2.0 */
/* `millrace up`: the supervisor. Starts the dataplane, waits until it serves, starts control, restarts
   either when it dies, and stops both in order on SIGINT or SIGTERM. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include "control/cli/cli.h"

#define RESTART_DELAY_MIN_NS (100 * NS_PER_MS)
#define RESTART_DELAY_MAX_NS (5 * NS_PER_S)
#define STEADY_NS            (30 * NS_PER_S) /* alive for this long: the next restart is quick again */
#define STOP_GRACE_NS        (60 * NS_PER_S) /* a clean stop flushes and trims every partition */
#define LAB_INTERFACE        "mr0"           /* near end of the lab's veth pair (deploy/lab) */

struct child {
	const char *name;   /* program, also its folder in a build tree without "millrace-" */
	const char *folder; /* where a build tree has it, seen from this program's parent folder */
	const char *ready;  /* file in run.dir that says it serves; NULL: none */
	char path[PATH_MAX];
	pid_t pid; /* 0 while it does not run */
	int64_t started_ns;
	int64_t restart_ns; /* when to start it again; 0: not waiting */
	int64_t delay_ns;   /* of the next restart */
	bool has_served;    /* it was ready once */
};

enum { DATAPLANE, CONTROL, CHILD_COUNT };

static struct child children[CHILD_COUNT] = {
	{ .name = "millrace-dataplane", .folder = "../dataplane", .ready = "ready.dataplane" },
	{ .name = "millrace-control", .folder = ".." },
};

/** Find the program beside this one, or where a build tree has it. @return 0; -errno */
static int find_program(struct child *child)
{
	char self[PATH_MAX / 2];
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (size < 0)
		return -errno;
	self[size] = '\0';
	*strrchr(self, '/') = '\0';
	(void)snprintf(child->path, sizeof(child->path), "%s/%s", self, child->name);
	if (access(child->path, X_OK) == 0)
		return 0;
	(void)snprintf(child->path, sizeof(child->path), "%s/../%s/%s", self, child->folder,
		       child->name);
	return access(child->path, X_OK) == 0 ? 0 : -errno;
}

/** The child's side of fork(): clean signal state, die with the supervisor, exec. */
NORETURN static void exec_child(const struct child *child, const struct cli *cli, pid_t parent)
{
	const char *arguments[3 + 2 * ARRAY_COUNT(cli->sets) + 1];
	int count = 0;
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setpgid(0, 0); /* Ctrl-C is ours to handle: control stops before the dataplane */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	arguments[count++] = child->path;
	if (cli->config_path != NULL) {
		arguments[count++] = "--config";
		arguments[count++] = cli->config_path;
	}
	for (int i = 0; i < cli->set_count; i++) {
		arguments[count++] = "--set";
		arguments[count++] = cli->sets[i];
	}
	arguments[count] = NULL;
	(void)execv(child->path, (char *const *)(uintptr_t)arguments);
	(void)fprintf(stderr, "millrace: cannot run %s: %s\n", child->path, strerror(errno));
	_exit(127);
}

static void start_child(struct child *child, const struct cli *cli)
{
	pid_t parent = getpid(), pid;
	char ready[PATH_MAX];

	if (child->ready != NULL) {
		(void)snprintf(ready, sizeof(ready), "%s/%s", cli->config.run_dir, child->ready);
		(void)unlink(ready);
	}
	pid = fork();
	if (pid == 0)
		exec_child(child, cli, parent);
	child->started_ns = clock_now_ns();
	child->restart_ns = 0;
	if (pid < 0) {
		log_error("cannot start %s: %s", child->name, strerror(errno));
		child->restart_ns = child->started_ns + RESTART_DELAY_MAX_NS;
		return;
	}
	child->pid = pid;
}

static void describe_exit(const struct child *child, int status, int64_t delay_ns)
{
	if (WIFSIGNALED(status))
		log_warn("%s was ended by signal %d; starting it again in %lld ms", child->name,
			 WTERMSIG(status), (long long)(delay_ns / NS_PER_MS));
	else
		log_warn("%s ended with code %d; starting it again in %lld ms", child->name,
			 WEXITSTATUS(status), (long long)(delay_ns / NS_PER_MS));
}

/** Collect ended children and set their restart time. @return exit code that ends us too, else -1 */
static int reap(bool is_stopping)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int i = 0; i < CHILD_COUNT; i++) {
			struct child *child = &children[i];
			int64_t now_ns = clock_now_ns();

			if (child->pid != pid)
				continue;
			child->pid = 0;
			if (is_stopping)
				continue;
			/* Wrong settings and a locked directory will not heal by themselves. */
			if (WIFEXITED(status) &&
			    (WEXITSTATUS(status) == 2 || WEXITSTATUS(status) == 3))
				return WEXITSTATUS(status) == 2 ? CLI_USAGE : CLI_FAILED;
			/* Nor will what keeps the first start from serving; it has said what. */
			if (WIFEXITED(status) && child->ready != NULL && !child->has_served)
				return CLI_FAILED;
			if (now_ns - child->started_ns > STEADY_NS)
				child->delay_ns = RESTART_DELAY_MIN_NS;
			describe_exit(child, status, child->delay_ns);
			child->restart_ns = now_ns + child->delay_ns;
			child->delay_ns = MIN(2 * child->delay_ns, RESTART_DELAY_MAX_NS);
		}
	}
	return -1;
}

static bool is_ready(const struct child *child, const struct cli *cli)
{
	char path[PATH_MAX];
	struct stat info;

	(void)snprintf(path, sizeof(path), "%s/%s", cli->config.run_dir, child->ready);
	return stat(path, &info) == 0;
}

/** Wait up to 100 ms for one of our signals. @return its number; 0 none */
static int next_signal(const sigset_t *wanted)
{
	struct timespec wait = { .tv_nsec = 100 * NS_PER_MS };
	int number = sigtimedwait(wanted, NULL, &wait);

	return number > 0 ? number : 0;
}

static void stop_child(struct child *child, const sigset_t *wanted)
{
	int64_t begin_ns = clock_now_ns();

	if (child->pid == 0)
		return;
	(void)kill(child->pid, SIGTERM);
	while (child->pid != 0 && clock_now_ns() - begin_ns < STOP_GRACE_NS) {
		(void)next_signal(wanted);
		(void)reap(true);
	}
	if (child->pid != 0) {
		log_error("%s did not stop in time; it is killed, the next start will recover",
			  child->name);
		(void)kill(child->pid, SIGKILL);
		(void)waitpid(child->pid, NULL, 0);
		child->pid = 0;
	}
}

/** With no port configured, serve the lab when it stands. */
static void pick_transport(struct cli *cli)
{
	static char port[] = "dpdk.port=af_xdp:" LAB_INTERFACE;
	static char mtu_set[64];
	FILE *file;
	int mtu = 0;

	if (cli->config.dpdk_port[0] != '\0' || cli->set_count + 2 > (int)ARRAY_COUNT(cli->sets))
		return;
	file = fopen("/sys/class/net/" LAB_INTERFACE "/mtu", "re");
	if (file == NULL)
		return;
	if (fscanf(file, "%d", &mtu) == 1) {
		(void)snprintf(mtu_set, sizeof(mtu_set), "dpdk.mtu=%d", mtu);
		cli->sets[cli->set_count++] = strdup(port);
		cli->sets[cli->set_count++] = strdup(mtu_set);
		log_info("the lab stands: kernel bypass on " LAB_INTERFACE
			 " (set dpdk.port to choose)");
	}
	(void)fclose(file);
}

static int supervise(struct cli *cli, const sigset_t *wanted)
{
	bool said_ready = false;
	int ended;

	start_child(&children[DATAPLANE], cli);
	for (;;) {
		int number = next_signal(wanted);

		if (number == SIGINT || number == SIGTERM)
			return CLI_OK;
		ended = reap(false);
		if (ended >= 0)
			return ended;
		for (int i = 0; i < CHILD_COUNT; i++) {
			if (children[i].restart_ns != 0 && clock_now_ns() >= children[i].restart_ns)
				start_child(&children[i], cli);
		}
		if (!said_ready && is_ready(&children[DATAPLANE], cli)) {
			said_ready = children[DATAPLANE].has_served = true;
			start_child(&children[CONTROL], cli);
			log_info("kafka at port %lld, page at http://%s:%lld/",
				 (long long)cli->config.port, cli->config.http_address,
				 (long long)cli->config.http_port);
		}
	}
}

int cli_up(struct cli *cli)
{
	sigset_t wanted;
	int result;

	log_init("millrace", LOG_INFO);
	if (cli->argument_count != 0) {
		(void)fprintf(stderr, "millrace: up takes no argument '%s'\n", cli->arguments[0]);
		return CLI_USAGE;
	}
	for (int i = 0; i < CHILD_COUNT; i++) {
		result = find_program(&children[i]);
		if (result != 0) {
			(void)fprintf(stderr, "millrace: %s is not beside this program: %s\n",
				      children[i].name, err_str(result));
			return CLI_FAILED;
		}
		children[i].delay_ns = RESTART_DELAY_MIN_NS;
	}
	pick_transport(cli);
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGINT);
	(void)sigaddset(&wanted, SIGTERM);
	(void)sigaddset(&wanted, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &wanted, NULL);
	result = supervise(cli, &wanted);
	log_info("stopping");
	stop_child(&children[CONTROL], &wanted);
	stop_child(&children[DATAPLANE], &wanted);
	return result;
}
