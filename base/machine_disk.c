/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data directory's disk, by trying it: direct writes of one block, each made durable, into a file
 * that is removed again.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/machine.h"

#define BLOCK_SIZE   4096
#define PROBE_BLOCKS 64 /* written once before they are timed: what counts is writing over */
#define PROBES       32
#define SLOW_FLUSH   (5 * NS_PER_MS)
#define SPACE_WANTED INT64_C(10000000000)

static void check_space(struct machine *machine, const char *folder)
{
	struct statvfs info;
	int64_t free_size;

	if (statvfs(folder, &info) < 0)
		return;
	free_size = (int64_t)info.f_bavail * (int64_t)info.f_frsize;
	machine_say(machine, "disk space", free_size > SPACE_WANTED ? MACHINE_GOOD : MACHINE_WEAK,
		    "make room, or lower log.retention.bytes", "%.1f GB free",
		    (double)free_size / 1e9);
}

static void check_filesystem(struct machine *machine, const char *folder)
{
	static const struct {
		long magic;
		const char *name;
		bool is_good;
	} known[] = {
		{ EXT4_SUPER_MAGIC, "ext4", true },
		{ XFS_SUPER_MAGIC, "XFS", true },
		{ BTRFS_SUPER_MAGIC, "btrfs", false },
		{ TMPFS_MAGIC, "tmpfs", false },
		{ OVERLAYFS_SUPER_MAGIC, "overlayfs", false },
		{ NFS_SUPER_MAGIC, "NFS", false },
		{ FUSE_SUPER_MAGIC, "FUSE", false },
	};
	const char *name = "unknown to us";
	bool is_good = false;
	struct statfs info;

	if (statfs(folder, &info) < 0)
		return;
	for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
		if (known[i].magic == (long)info.f_type) {
			name = known[i].name;
			is_good = known[i].is_good;
		}
	}
	machine_say(
		machine, "file system", is_good ? MACHINE_GOOD : MACHINE_WEAK,
		"put data.dir on XFS or ext4: writes over prepared space wait for nothing there",
		"%s", name);
}

/* The disk below a file system; a partition's queue is its disk's. */
static void check_cache(struct machine *machine, const char *folder)
{
	char cache[32] = "", path[64];
	struct stat info;
	int64_t fua, is_rotating;
	const char *up = "";

	if (stat(folder, &info) < 0)
		return;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(info.st_dev),
		       minor(info.st_dev));
	if (!machine_exists(machine, "%s/queue", path))
		up = "/..";
	if (!machine_read(machine, cache, sizeof(cache), "%s%s/queue/write_cache", path, up))
		return;
	fua = machine_read_number(machine, 0, "%s%s/queue/fua", path, up);
	is_rotating = machine_read_number(machine, 0, "%s%s/queue/rotational", path, up);
	machine_say(machine, "write cache", is_rotating == 0 ? MACHINE_GOOD : MACHINE_WEAK,
		    "NVMe or another solid disk: every commit waits for the medium", "%s%s%s",
		    cache, fua != 0 ? ", FUA" : "",
		    is_rotating != 0 ? ", a rotating disk, or one that the host calls so" : "");
}

static int compare(const void *a, const void *b)
{
	const int64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* Overwrite a block and make it durable, again and again. @return 0; -errno */
static int time_flushes(int fd, int64_t ret_ns[PROBES])
{
	uint8_t *block = aligned_alloc(BLOCK_SIZE, BLOCK_SIZE);
	int error = block == NULL ? -ENOMEM : 0;

	if (block != NULL)
		memset(block, 0x4d, BLOCK_SIZE);
	for (int i = 0; i < PROBE_BLOCKS && error == 0; i++) {
		if (pwrite(fd, block, BLOCK_SIZE, (off_t)i * BLOCK_SIZE) != BLOCK_SIZE)
			error = errno != 0 ? -errno : -EIO;
	}
	if (error == 0 && fsync(fd) < 0)
		error = -errno;
	for (int i = 0; i < PROBES && error == 0; i++) {
		int64_t begin_ns = clock_now_ns();

		if (pwrite(fd, block, BLOCK_SIZE, (off_t)(i % PROBE_BLOCKS) * BLOCK_SIZE) !=
			    BLOCK_SIZE ||
		    fdatasync(fd) < 0)
			error = errno != 0 ? -errno : -EIO;
		ret_ns[i] = clock_now_ns() - begin_ns;
	}
	free(block);
	return error;
}

static void check_writes(struct machine *machine, const char *folder)
{
	static const char remedy[] =
		"put data.dir on XFS or ext4 (tmpfs and overlay have no O_DIRECT)";
	char path[CONFIG_TEXT_MAX + 32];
	int64_t ns[PROBES];
	int fd, error;

	(void)snprintf(path, sizeof(path), "%s/.doctor-%d", folder, (int)getpid());
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	if (fd < 0) {
		machine_say(machine, "O_DIRECT", MACHINE_BAD,
			    errno == EACCES ? "give data.dir to this user, or set another" : remedy,
			    "%s: %s", folder, err_str(-errno));
		(void)unlink(path);
		return;
	}
	error = time_flushes(fd, ns);
	(void)close(fd);
	(void)unlink(path);
	if (error < 0) {
		machine_say(machine, "O_DIRECT", MACHINE_BAD, remedy, "%s: %s", folder,
			    err_str(error));
		return;
	}
	machine_say(machine, "O_DIRECT", MACHINE_GOOD, "", "works on the data directory");
	qsort(ns, PROBES, sizeof(ns[0]), compare);
	machine_say(machine, "flush time",
		    ns[PROBES / 2] < SLOW_FLUSH ? MACHINE_GOOD : MACHINE_WEAK,
		    "a disk with a protected cache, or NVMe: acks=all waits for it",
		    "4 KiB and its flush: median %lld us, slowest of %d %lld us",
		    (long long)(ns[PROBES / 2] / 1000), PROBES, (long long)(ns[PROBES - 1] / 1000));
}

void machine_check_disk(struct machine *machine, const struct config *config)
{
	if (access(config->data_dir, F_OK) < 0) {
		machine_say(machine, "data.dir", MACHINE_WEAK, "it is made at the first start",
			    "%s does not exist yet", config->data_dir);
		return;
	}
	check_space(machine, config->data_dir);
	check_filesystem(machine, config->data_dir);
	check_cache(machine, config->data_dir);
	check_writes(machine, config->data_dir);
}
