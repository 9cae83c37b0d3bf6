/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "storage/seglog.h"

#include "dataplane/core/startup.h"

#define RING_PREFIX "millrace-"
#define RING_SUFFIX ".ring"

#define HUGEPAGE_SIZE   (2 * 1024 * 1024)
#define HUGEPAGES_SPARE 64 /* for packet buffers and the rings' heads */

/* @return whether a writable hugetlbfs is mounted; the first one is as good as any */
static bool find_hugetlbfs(char *ret_path, size_t size)
{
	FILE *mounts = setmntent("/proc/mounts", "re");
	struct mntent *mount;
	bool is_found = false;

	while (mounts != NULL && !is_found && (mount = getmntent(mounts)) != NULL) {
		/* Pages of another size than 2 MiB say so, and are for others. */
		if (strcmp(mount->mnt_type, "hugetlbfs") != 0 ||
		    (strstr(mount->mnt_opts, "pagesize=") != NULL &&
		     strstr(mount->mnt_opts, "pagesize=2M") == NULL) ||
		    access(mount->mnt_dir, W_OK) < 0 || strlen(mount->mnt_dir) >= size)
			continue;
		(void)snprintf(ret_path, size, "%s", mount->mnt_dir);
		is_found = true;
	}
	if (mounts != NULL)
		endmntent(mounts);
	return is_found;
}

void startup_rings_find(const struct config *config, struct startup_rings *ret_rings)
{
	char(*dirs)[STARTUP_PATH_MAX] = ret_rings->dirs;

	dirs[1][0] = '\0';
	if (config->ring_dir[0] != '\0') {
		(void)snprintf(dirs[0], STARTUP_PATH_MAX, "%s", config->ring_dir);
		return;
	}
	if (!find_hugetlbfs(dirs[0], STARTUP_PATH_MAX)) {
		(void)snprintf(dirs[0], STARTUP_PATH_MAX, "%s", config->run_dir);
		log_warn("no huge pages: no hugetlbfs that this user may write to is mounted, so "
			 "the rings lie in %s (as root: sysctl vm.nr_hugepages=%lld; "
			 "mount -t hugetlbfs -o uid=%d none /dev/hugepages)",
			 config->run_dir,
			 (long long)(config->cores * config->ring_size / HUGEPAGE_SIZE +
				     HUGEPAGES_SPARE),
			 (int)geteuid());
		return;
	}
	(void)snprintf(dirs[1], STARTUP_PATH_MAX, "%s", config->run_dir);
}

/* ---- ring files of this data directory, whatever their core ---- */

static bool is_ours(const struct startup_rings *rings, const char *name)
{
	size_t size = strlen(name);
	char prefix[80];

	(void)snprintf(prefix, sizeof(prefix), RING_PREFIX "%s-core-", rings->directory_id);
	return strncmp(name, prefix, strlen(prefix)) == 0 && size > strlen(RING_SUFFIX) &&
	       strcmp(name + size - strlen(RING_SUFFIX), RING_SUFFIX) == 0;
}

static int each_ring(const struct startup_rings *rings, const char *dir,
		     int (*visit)(void *ctx, const char *path), void *ctx)
{
	DIR *folder = dir[0] != '\0' ? opendir(dir) : NULL;
	struct dirent *entry;
	int error = 0;

	while (folder != NULL && error == 0 && (entry = readdir(folder)) != NULL) {
		char path[STARTUP_PATH_MAX + sizeof(entry->d_name) + 1];

		if (!is_ours(rings, entry->d_name))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		error = visit(ctx, path);
	}
	if (folder != NULL)
		closedir(folder);
	return error;
}

struct salvage {
	const struct startup_rings *rings;
	int log_dir_fd;
	const struct snapshot *snapshot;
	uint64_t size;
	uint32_t chunks;
	uint32_t orphans;
};

static int write_remains(void *ctx, const struct chunk_remains *remains)
{
	struct salvage *salvage = ctx;
	const struct snapshot *snapshot = salvage->snapshot;
	int error;

	if (snapshot == NULL) {
		log_error("a ring holds records, but %s, which names their topics, is not there: "
			  "restore it, or remove the ring files to give those records up",
			  SNAPSHOT_FILE);
		return -ENOENT;
	}
	for (uint32_t i = 0; i < snapshot->topic_count; i++) {
		const struct snapshot_topic *topic = &snapshot->topics[i];

		if (!uuid_equal(&topic->id, &remains->topic_id))
			continue;
		error = seglog_salvage_write(salvage->log_dir_fd, topic->name, remains);
		if (error < 0 && error != -ENOENT)
			return error;
		salvage->size += remains->size;
		salvage->chunks++;
		return 0;
	}
	salvage->orphans++;
	return 0;
}

static int salvage_ring(void *ctx, const char *path)
{
	struct salvage *salvage = ctx;
	int error = chunk_salvage(path, &salvage->rings->identity, write_remains, salvage);

	if (error == ERR_CORRUPT) {
		log_error("%s: damaged; what was intact in it is kept", path);
		return 0;
	}
	if (error < 0)
		log_error("%s: what is in it cannot be saved: %s", path, err_str(error));
	return error;
}

int startup_rings_salvage(const struct startup_rings *rings, int log_dir_fd,
			  const struct snapshot *snapshot)
{
	struct salvage salvage = { .rings = rings, .log_dir_fd = log_dir_fd, .snapshot = snapshot };
	int error = 0;

	for (size_t i = 0; i < ARRAY_COUNT(rings->dirs) && error == 0; i++)
		error = each_ring(rings, rings->dirs[i], salvage_ring, &salvage);
	if (salvage.chunks > 0)
		log_info("saved %u ring chunks, %llu KiB, of a process that was killed",
			 salvage.chunks, (unsigned long long)(salvage.size / 1024));
	if (salvage.orphans > 0)
		log_info("dropped %u ring chunks of deleted topics", salvage.orphans);
	return error;
}

/* ---- opening ---- */

static int remove_ring(void *ctx, const char *path)
{
	(void)ctx;
	/* It may belong to a core that is no more, or lie in a place that is not used. */
	if (unlink(path) < 0)
		log_warn("%s cannot be removed: %s", path, err_str(-errno));
	return 0;
}

static int open_in(const struct startup_rings *rings, const char *dir, uint64_t size,
		   uint32_t count, struct chunk_pool **ret_pools)
{
	for (uint32_t i = 0; i < count; i++) {
		char path[STARTUP_PATH_MAX + 96];
		int error;

		(void)snprintf(path, sizeof(path), "%s/" RING_PREFIX "%s-core-%u" RING_SUFFIX, dir,
			       rings->directory_id, i);
		error = chunk_pool_open(path, size, &rings->identity, &ret_pools[i]);
		if (error < 0) {
			while (i-- > 0) {
				chunk_pool_close(ret_pools[i]);
				ret_pools[i] = NULL;
			}
			return error;
		}
	}
	return 0;
}

/* The kernel cannot pin a disk's page cache for io_uring, and says "Bad address" for it. */
static bool is_memory(const char *dir)
{
	struct statfs fs;

	if (statfs(dir, &fs) < 0) {
		log_error("ring.dir %s: %s", dir, err_str(-errno));
		return false;
	}
	if (fs.f_type == HUGETLBFS_MAGIC || fs.f_type == TMPFS_MAGIC)
		return true;
	log_error("%s is a folder on a disk, and rings have to lie in memory: set ring.dir to a "
		  "mounted hugetlbfs, or to a tmpfs like /dev/shm",
		  dir);
	return false;
}

int startup_rings_open(const struct startup_rings *rings, uint64_t size, uint32_t count,
		       struct chunk_pool **ret_pools)
{
	int error = -ENOMEM;

	/* All that was in them is in the segment files now; their pages are needed. */
	for (size_t i = 0; i < ARRAY_COUNT(rings->dirs); i++)
		(void)each_ring(rings, rings->dirs[i], remove_ring, NULL);
	for (size_t i = 0; i < ARRAY_COUNT(rings->dirs) && rings->dirs[i][0] != '\0'; i++) {
		if (!is_memory(rings->dirs[i])) {
			error = ERR_CONFIG;
			continue;
		}
		error = open_in(rings, rings->dirs[i], size, count, ret_pools);
		if (error == 0) {
			log_info("rings: %u of %llu MiB in %s", count,
				 (unsigned long long)(size >> 20), rings->dirs[i]);
			return 0;
		}
		log_warn("%u ring(s) of %llu MiB cannot be made in %s: %s "
			 "(reserve huge pages with sysctl vm.nr_hugepages, or set ring.dir, "
			 "ring.size)",
			 count, (unsigned long long)(size >> 20), rings->dirs[i], err_str(error));
	}
	return error;
}
