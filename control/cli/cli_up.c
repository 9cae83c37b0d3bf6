/* SPDX-License-Identifier: Apache-2.0 */
/* `millrace up`: the supervisor. Starts the dataplane, waits until it serves, starts control and the worker,
   restarts each when it dies, and stops them in order on SIGINT or SIGTERM. Processes of attempts outlive
   control on purpose: orphans become this process's, which ends them at its own end. */
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

#include "control/cli/cli_program.h"

#define RESTART_DELAY_MIN_NS (100 * NS_PER_MS)
#define RESTART_DELAY_MAX_NS (5 * NS_PER_S)
#define STEADY_TIMES         5 /* alive for so many delays: the next restart is quick again */
#define STOP_GRACE_NS        (60 * NS_PER_S) /* a clean stop flushes and trims every partition */
#define LEFTOVER_GRACE_NS    (5 * NS_PER_S)
#define LAB_INTERFACE        "mr0" /* near end of the lab's veth pair (deploy/lab) */

struct child {
	const char *name;   /* program, also its folder in a build tree without "millrace-" */
	const char *folder; /* where a build tree has it, seen from this program's folder */
	const char *ready;  /* file in run.dir that says it serves; NULL: none */
	char path[PATH_MAX];
	pid_t pid; /* 0 while it does not run */
	int64_t started_ns;
	int64_t restart_ns; /* when to start it again; 0: not waiting */
	int64_t delay_ns;   /* of the next restart */
	bool has_served;    /* it was ready once */
	bool is_optional;   /* what keeps it from running is a warning */
};

/* In the order of their starts. */
enum { DATAPLANE, CONTROL, WORKER, CHILD_COUNT };

static struct child children[CHILD_COUNT] = {
	{ .name = "millrace-dataplane", .folder = "../../dataplane", .ready = "ready.dataplane" },
	{ .name = "millrace-control", .folder = "../.." },
	{ .name = "millrace-worker",
	  .folder = "../../compute/worker",
	  .ready = "ready.worker",
	  .is_optional = true },
};

/** The child's side of fork(): clean signal state, die with the supervisor, exec. */
NORETURN static void exec_child(const struct child *child, const struct cli *cli, pid_t parent)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setpgid(0, 0); /* Ctrl-C is ours to handle: control stops before the dataplane */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	cli_program_exec(cli, child->path, NULL, 0);
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

/** Wrong settings, a locked directory and a library that is not there will not heal by themselves. */
static bool is_worth_another_try(int code)
{
	return code != 2 && code != 3 && code != 4 && code != 127;
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
			if (is_stopping) {
				if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
					log_warn("%s did not end cleanly (status %d)", child->name,
						 status);
				continue;
			}
			if (child->is_optional && WIFEXITED(status) &&
			    !is_worth_another_try(WEXITSTATUS(status))) {
				log_warn("going on without %s: no SQL task will run", child->name);
				continue;
			}
			if (WIFEXITED(status) && !is_worth_another_try(WEXITSTATUS(status)))
				return WEXITSTATUS(status) == 2 ? CLI_USAGE : CLI_FAILED;
			/* Nor will what keeps the first start from serving; it has said what. */
			if (WIFEXITED(status) && child == &children[DATAPLANE] &&
			    !child->has_served)
				return CLI_FAILED;
			if (now_ns - child->started_ns > STEADY_TIMES * child->delay_ns)
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

/** Children, and orphans that have become such. @param signal  0: only look. @return how many there are */
static int signal_leftovers(int signal)
{
	char path[64];
	FILE *file;
	int count = 0, pid;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	while (fscanf(file, "%d", &pid) == 1) {
		count++;
		if (signal != 0)
			(void)kill(pid, signal);
	}
	(void)fclose(file);
	return count;
}

/** What is left when the box has stopped: attempts of pipelines, whose own children come after them. */
static void end_leftovers(const sigset_t *wanted)
{
	const int64_t begin_ns = clock_now_ns();
	int told = 0, count;

	while ((count = signal_leftovers(0)) > 0) {
		const bool is_late = clock_now_ns() - begin_ns > LEFTOVER_GRACE_NS;

		if (count > told || is_late)
			(void)signal_leftovers(is_late ? SIGKILL : SIGTERM);
		told = count;
		(void)next_signal(wanted);
		(void)reap(true);
	}
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
			if (children[WORKER].path[0] != '\0')
				start_child(&children[WORKER], cli);
			log_info("kafka at port %lld, page at http://%s:%lld/",
				 (long long)cli->config.port, cli->config.http_address,
				 (long long)cli->config.http_port);
		}
	}
}

static int find_programs(const struct cli *cli)
{
	for (int i = 0; i < CHILD_COUNT; i++) {
		struct child *child = &children[i];
		int error;

		child->delay_ns = RESTART_DELAY_MIN_NS;
		if (child->is_optional && !cli->config.worker_enable)
			continue;
		error = cli_program_find(child->name, child->folder, child->path,
					 sizeof(child->path));
		if (error == 0)
			continue;
		child->path[0] = '\0';
		if (child->is_optional) {
			log_warn("%s is not beside this program: no SQL task will run",
				 child->name);
			continue;
		}
		(void)fprintf(stderr, "millrace: %s is not beside this program: %s\n", child->name,
			      err_str(error));
		return CLI_FAILED;
	}
	return CLI_OK;
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
	result = find_programs(cli);
	if (result != CLI_OK)
		return result;
	/* Attempts of pipelines outlive control; whatever becomes an orphan is ours. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	pick_transport(cli);
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGINT);
	(void)sigaddset(&wanted, SIGTERM);
	(void)sigaddset(&wanted, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &wanted, NULL);
	result = supervise(cli, &wanted);
	log_info("stopping");
	stop_child(&children[CONTROL], &wanted);
	stop_child(&children[WORKER], &wanted);
	stop_child(&children[DATAPLANE], &wanted);
	end_leftovers(&wanted);
	return result;
}
