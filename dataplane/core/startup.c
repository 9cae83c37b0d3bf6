/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpulist.h"
#include "base/err.h"
#include "base/log.h"
#include "storage/datadir.h"
#include "storage/partitions.h"
#include "storage/shmcounters.h"
#include "storage/uring.h"

#include "dataplane/core/channel_server.h"
#include "dataplane/core/core.h"
#include "dataplane/core/housekeeper.h"
#include "dataplane/core/producerids.h"
#include "dataplane/core/sessions.h"
#include "dataplane/core/startup_box.h"

#define UNCLEAN_FILE "unclean-starts"
#define READY_FILE   "ready.dataplane"

#define LOCK_WAIT_NS  (3 * NS_PER_S)
#define LOCK_RETRY_MS 50

/* ---- small files ---- */

static void run_path(const struct box *box, const char *name, char *ret_path)
{
	(void)snprintf(ret_path, STARTUP_PATH_MAX, "%s/%s", box->config->run_dir, name);
}

/* Replace a small text file whole. @return 0; -errno */
static int write_text(int dir_fd, const char *name, const char *text, bool is_durable)
{
	char temporary[64];
	size_t size = strlen(text);
	int fd, error = 0;

	(void)snprintf(temporary, sizeof(temporary), "%s.tmp", name);
	fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, text, size) != (ssize_t)size)
		error = errno != 0 ? -errno : -EIO;
	if (error == 0 && is_durable && fsync(fd) < 0)
		error = -errno;
	if (close(fd) < 0 && error == 0)
		error = -errno;
	if (error == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
		error = -errno;
	if (error == 0 && is_durable && fsync(dir_fd) < 0)
		error = -errno;
	return error;
}

static int write_run_file(const struct box *box, const char *name, const char *text)
{
	int fd = open(box->config->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = write_text(fd, name, text, false);
	close(fd);
	return error;
}

/*
 * Each unclean start raises the leader epoch of every partition by one, for good: records that were
 * read back as lost may have been seen by producers, and a changed epoch is how clients notice.
 */
static int count_unclean_starts(const struct datadir *datadir, int32_t *ret_count)
{
	char text[32] = "";
	int fd = openat(datadir->log_fd, UNCLEAN_FILE, O_RDONLY | O_CLOEXEC);
	long count = 0;

	if (fd >= 0) {
		if (read(fd, text, sizeof(text) - 1) > 0)
			count = strtol(text, NULL, 10);
		close(fd);
	} else if (errno != ENOENT) {
		return -errno;
	}
	if (count < 0 || count > INT32_MAX / 2)
		return ERR_MALFORMED;
	if (!datadir->was_clean && !datadir->is_new) {
		int error;

		count++;
		(void)snprintf(text, sizeof(text), "%ld\n", count);
		error = write_text(datadir->log_fd, UNCLEAN_FILE, text, true);
		if (error < 0)
			return error;
	}
	*ret_count = (int32_t)count;
	return 0;
}

/* ---- steps ---- */

static int make_run_dir(const struct box *box)
{
	const char *path = box->config->run_dir;

	if (mkdir(path, 0755) < 0 && errno != EEXIST) {
		int error = -errno;

		log_error("run.dir %s cannot be made: %s: set run.dir to a folder on tmpfs that "
			  "this user may make",
			  path, err_str(error));
		return error;
	}
	if (access(path, W_OK | X_OK) < 0) {
		log_error("run.dir %s is another user's, who ran this box before: start it as "
			  "that user, remove that folder, or set run.dir to another",
			  path);
		return ERR_CONFIG;
	}
	return 0;
}

static int load_snapshot(const struct box *box, struct snapshot **ret_snapshot)
{
	char path[STARTUP_PATH_MAX];
	int error;

	(void)snprintf(path, sizeof(path), "%s/%s", box->config->data_dir, SNAPSHOT_FILE);
	*ret_snapshot = NULL;
	error = snapshot_load(path, ret_snapshot);
	if (error == -ENOENT)
		return 0;
	if (error < 0)
		log_error("%s: %s (control writes it anew from its metadata log: move it away)",
			  path, err_str(error));
	return error;
}

/*
 * The kernel keeps the lock of a killed process until its last writes are done and its rings are
 * taken apart. Whoever restarts it at once waits for that.
 */
static int open_datadir(struct box *box, char *reterr_reason)
{
	const struct config *config = box->config;
	int64_t begin_ns = clock_now_ns();
	bool is_said = false;
	int error;

	while ((error = datadir_open(config->data_dir, (int32_t)config->box_id, &box->datadir,
				     reterr_reason)) == ERR_LOCKED &&
	       clock_now_ns() - begin_ns < LOCK_WAIT_NS) {
		if (!is_said)
			log_info("%s is locked; waiting up to %d s for the last writes of a "
				 "process that ended",
				 config->data_dir, (int)(LOCK_WAIT_NS / NS_PER_S));
		is_said = true;
		(void)poll(NULL, 0, LOCK_RETRY_MS);
	}
	return error;
}

/* Lock, snapshot, remains of a killed process. */
static int open_data(struct box *box, struct snapshot **ret_snapshot)
{
	char reason[DATADIR_REASON_SIZE] = "";
	int error = make_run_dir(box);

	if (error < 0)
		return error;
	error = open_datadir(box, reason);
	if (error < 0)
		log_error("%s", reason);
	if (error == 0)
		error = load_snapshot(box, ret_snapshot);
	if (error == 0)
		error = count_unclean_starts(box->datadir, &box->unclean_starts);
	if (error == 0)
		error = datadir_boot_id(box->rings.identity.boot_id);
	if (error < 0)
		return error;
	box->rings.identity.directory_id = box->datadir->directory_id;
	uuid_format(&box->datadir->directory_id, box->rings.directory_id);
	startup_rings_find(box->config, &box->rings);
	if (box->config->discard)
		log_warn("log.discard: records are not written to the disk and are lost with the "
			 "ring; for measuring only");
	if (!box->datadir->was_clean && !box->datadir->is_new)
		log_info("the last run did not stop cleanly (%d so far): recovering",
			 box->unclean_starts);
	return startup_rings_salvage(&box->rings, box->datadir->log_fd, *ret_snapshot);
}

/* Control runs as its own user, which has to reach the socket. */
static void give_to_user(const struct box *box, const char *path)
{
	const struct passwd *user;

	if (chmod(path, 0660) < 0)
		log_warn("%s: mode cannot be set: %s", path, err_str(-errno));
	if (geteuid() != 0)
		return;
	user = getpwnam(box->config->user);
	if (user != NULL && chown(path, user->pw_uid, user->pw_gid) < 0)
		log_warn("%s: owner cannot be set: %s", path, err_str(-errno));
}

/* What other processes see in the run directory. */
static int open_shared(struct box *box, const struct snapshot *snapshot)
{
	char path[STARTUP_PATH_MAX], text[16];
	struct channel_server_args args = {
		.path = path,
		.cores = box->core_count,
		.mesh = box->mesh,
		.is_unclean_start = !box->datadir->was_clean && !box->datadir->is_new,
	};
	int error;

	run_path(box, "partitions", path);
	error = partitions_open(path, true, &box->partitions);
	if (error == 0) {
		run_path(box, "counters", path);
		error = shmcounters_create(path, box->core_count, &box->counters);
	}
	if (error == 0) {
		run_path(box, "producer-ids", path);
		error = producerids_open(path, snapshot);
	}
	if (error == 0) {
		(void)snprintf(text, sizeof(text), "%u\n", box->core_count);
		run_path(box, "cores", path);
		error = write_run_file(box, "cores", text);
	}
	if (error == 0) {
		run_path(box, "dataplane.sock", path);
		error = channel_server_open(&args, &box->server);
	}
	if (error < 0)
		log_error("%s: %s", path, err_str(error));
	else
		give_to_user(box, path);
	return error;
}

/* Open and recover the logs. The snapshot is taken. */
static int open_logs(struct box *box, struct snapshot *snapshot)
{
	const struct housekeeper_args args = {
		.config = box->config,
		.core_count = box->core_count,
		.mesh = box->mesh,
		.server = box->server,
		.partitions = box->partitions,
		.log_dir_fd = box->datadir->log_fd,
		.was_clean = box->datadir->was_clean,
		.epoch_raise = box->unclean_starts,
		.initial = snapshot,
	};
	int64_t begin_ns = clock_now_ns();
	uint32_t topics = snapshot != NULL ? snapshot->topic_count : 0;
	int error = housekeeper_new(&args, &box->housekeeper);

	if (error < 0)
		log_error("the logs cannot be opened: %s", err_str(error));
	else
		log_info("opened the logs of %u topics in %lld ms", topics,
			 (long long)((clock_now_ns() - begin_ns) / NS_PER_MS));
	return error;
}

static int open_cores(struct box *box)
{
	int error = startup_rings_open(&box->rings, (uint64_t)box->config->ring_size,
				       box->core_count, box->chunks);

	for (uint32_t i = 0; i < box->core_count && error == 0; i++) {
		const struct core_args args = {
			.index = i,
			.count = box->core_count,
			.config = box->config,
			.mesh = box->mesh,
			.chunks = box->chunks[i],
			.counters = shmcounters_core(box->counters, i),
			.flush_ns = shmcounters_flush_ns(box->counters, i),
			.lock_fd = box->datadir->lock_fd,
		};
		struct core *core = core_new(&args);

		box->threads[i].core = core;
		if (core != NULL)
			core->sessions = sessions_new(core);
		if (core == NULL || core->sessions == NULL) {
			log_error("no memory for core %u (see max.connections)", i);
			error = -ENOMEM;
		}
	}
	return error;
}

/* ---- threads ---- */

/* @return the CPU of a core; -1: none of its own. More cores than CPUs is for tests: then the kernel's
   scheduler knows best. */
static int cpu_of(const struct box *box, uint32_t index)
{
	uint32_t cpus[COUNTERS_CORES_MAX];
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	int count = cpulist_parse(box->config->core_cpus, cpus, ARRAY_COUNT(cpus));

	if (count < 0 || (count == 0 && (long)box->core_count > online))
		return -1;
	return (int)(count > 0 ? cpus[index % (uint32_t)count] : index);
}

static void pin(const struct box *box, uint32_t index)
{
	int cpu = cpu_of(box, index);
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
		log_warn("core %u cannot be pinned (see core.cpus)", index);
}

/* The housekeeper zeroes files and may block: it stays off the CPUs of threads that never do. The
   kernel's workers, which sync files, do not: woken on another CPU they are milliseconds late (measured
   with two), and a core yields to them. */
static void stay_off_cores(const struct box *box)
{
	cpu_set_t set;

	if (pthread_getaffinity_np(pthread_self(), sizeof(set), &set) != 0)
		return;
	for (uint32_t i = 0; i < box->core_count; i++) {
		int cpu = cpu_of(box, i);

		if (cpu < 0)
			return;
		CPU_CLR(cpu, &set);
	}
	if (CPU_COUNT(&set) > 0)
		(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *run_thread(void *argument)
{
	struct box_thread *thread = argument;
	struct core *core = thread->core;
	char name[16];

	(void)snprintf(name, sizeof(name), "core-%u", core->index);
	(void)pthread_setname_np(pthread_self(), name);
	pin(thread->box, core->index);
	thread->error = core_ring_open(core);
	if (thread->error == 0)
		thread->error = startup_transports_thread_begin(core);
	if (thread->error < 0 && core->uring != NULL)
		core_ring_close(core);
	(void)sem_post(&thread->box->started);
	if (thread->error < 0)
		return NULL;
	core_run(core);
	core_ring_close(core);
	return NULL;
}

static int start_threads(struct box *box)
{
	int error = 0;

	for (uint32_t i = 0; i < box->core_count && error == 0; i++) {
		struct box_thread *thread = &box->threads[i];

		thread->box = box;
		error = -pthread_create(&thread->id, NULL, run_thread, thread);
		thread->is_created = error == 0;
		if (error == 0) {
			while (sem_wait(&box->started) < 0)
				continue;
			error = thread->error;
		}
		if (error == -EPERM || error == -ENOSYS)
			log_error("io_uring is not allowed here: %s (see "
				  "kernel.io_uring_disabled and the container's seccomp profile)",
				  err_str(error));
		else if (error == -ENOMEM)
			log_error("no memory for the io_uring of core %u: raise the memlock limit "
				  "(ulimit -l; 8 MiB will do), or run with CAP_IPC_LOCK",
				  i);
		else if (error < 0)
			log_error("core %u cannot be started: %s", i, err_str(error));
	}
	stay_off_cores(box);
	if (error == 0 && !uring_has_buffers(box->threads[0].core->uring))
		log_warn("this user may not lock the rings in memory: disk writes cost a little "
			 "more (raise the memlock limit, as with ulimit -l, or run with "
			 "CAP_IPC_LOCK)");
	return error;
}

/* End the loops and wait for their threads. */
static void stop_threads(struct box *box)
{
	struct mesh_item items[COUNTERS_CORES_MAX] = { 0 };

	for (uint32_t i = 0; i < box->core_count; i++) {
		struct box_thread *thread = &box->threads[i];

		if (!thread->is_created)
			continue;
		items[i].run = core_on_stop;
		list_init(&items[i].node);
		if (thread->error == 0)
			mesh_send(box->mesh, box->core_count, i, &items[i]);
		(void)pthread_join(thread->id, NULL);
		thread->is_created = false;
	}
}

/* ---- life ---- */

static enum startup_code code_of(int error)
{
	return error == ERR_LOCKED   ? STARTUP_LOCKED
	       : error == ERR_CONFIG ? STARTUP_USAGE
				     : STARTUP_FAILED;
}

static int open_all(struct box *box)
{
	struct snapshot *snapshot = NULL;
	int error = open_data(box, &snapshot);

	if (error == 0) {
		box->mesh = mesh_new(box->core_count);
		error = box->mesh == NULL ? -ENOMEM : open_shared(box, snapshot);
	}
	if (error < 0) {
		snapshot_free(snapshot);
		return error;
	}
	error = open_logs(box, snapshot);
	if (error == 0)
		error = open_cores(box);
	if (error == 0)
		error = startup_transports_open(box);
	if (error == 0)
		error = start_threads(box);
	return error;
}

/* Connections over kernel sockets are descriptors: take all that this process may have. */
static void raise_files(const struct config *config)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	if (config->socket_address[0] != '\0' &&
	    limit.rlim_cur < (uint64_t)(config->cores * config->connections_max))
		log_warn(
			"only %llu open files are allowed, fewer than max.connections of the cores: "
			"kernel-socket connections beyond that are refused (raise LimitNOFILE, as "
			"with ulimit -Hn)",
			(unsigned long long)limit.rlim_cur);
}

enum startup_code startup_open(const struct config *config, struct box **ret_box)
{
	struct box *box = calloc(1, sizeof(*box));
	char text[64], reason[512];
	int error;

	if (box == NULL)
		return STARTUP_FAILED;
	if (portlist_read(config, &box->ports, reason, sizeof(reason)) < 0) {
		log_error("%s", reason);
		free(box);
		return STARTUP_USAGE;
	}
	box->config = config;
	box->core_count = (uint32_t)config->cores;
	(void)sem_init(&box->started, 0, 0);
	raise_files(config);
	error = open_all(box);
	if (error == 0) {
		housekeeper_begin(box->housekeeper);
		box->is_serving = true;
		(void)snprintf(text, sizeof(text), "%d\n", (int)getpid());
		error = write_run_file(box, READY_FILE, text);
	}
	if (error < 0) {
		enum startup_code code = code_of(error);

		(void)startup_close(box);
		return code;
	}
	*ret_box = box;
	return STARTUP_OK;
}

void startup_serve(struct box *box, const volatile sig_atomic_t *stop)
{
	for (uint32_t i = 0; i < box->ports.count; i++) {
		if (box->nics[i] != NULL)
			housekeeper_tend_port(
				box->housekeeper, box->nics[i],
				shmcounters_port_add(box->counters, box->ports.ports[i].port));
	}
	housekeeper_run(box->housekeeper, stop);
}

static void remove_run_files(const struct box *box)
{
	static const char *const names[] = { READY_FILE,   "cores",      "counters",
					     "partitions", "transports", "memory" };
	char path[STARTUP_PATH_MAX];

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		run_path(box, names[i], path);
		(void)unlink(path);
	}
}

/*
 * A start that failed has appended nothing: what was clean before it still is, so that a port in use
 * does not cost a recovery, nor raise the leader epochs.
 */
static void undo_start(struct box *box)
{
	const struct datadir *datadir = box->datadir;
	int error = box->housekeeper != NULL ? housekeeper_abandon(box->housekeeper) : 0;

	if (error == 0 && datadir != NULL && (datadir->was_clean || datadir->is_new))
		error = datadir_mark_clean(datadir);
	if (error < 0)
		log_warn("the next start recovers: %s", err_str(error));
}

enum startup_code startup_close(struct box *box)
{
	bool is_clean;

	if (box == NULL)
		return STARTUP_OK;
	is_clean = box->is_serving && housekeeper_close_logs(box->housekeeper) == 0;
	stop_threads(box);
	for (uint32_t i = 0; i < box->core_count; i++) {
		if (box->threads[i].core != NULL)
			sessions_free(box->threads[i].core->sessions);
	}
	startup_transports_close(box);
	for (uint32_t i = 0; i < box->core_count; i++) {
		core_free(box->threads[i].core);
		chunk_pool_close(box->chunks[i]);
	}
	if (is_clean && datadir_mark_clean(box->datadir) < 0)
		is_clean = false;
	if (!box->is_serving)
		undo_start(box);
	housekeeper_free(box->housekeeper);
	channel_server_close(box->server);
	producerids_close();
	shmcounters_close(box->counters);
	partitions_close(box->partitions);
	mesh_free(box->mesh);
	if (box->is_serving)
		remove_run_files(box);
	if (box->is_serving && !is_clean)
		log_error("the stop was not clean: the next start recovers");
	/* Every write has ended with its ring; the kernel lets go of a ring's files when it likes. */
	if (box->datadir != NULL)
		(void)flock(box->datadir->lock_fd, LOCK_UN);
	datadir_close(box->datadir);
	(void)sem_destroy(&box->started);
	free(box);
	return is_clean ? STARTUP_OK : STARTUP_FAILED;
}
