/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/recycle.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "storage/seglog_impl.h"

static void kept_name(int64_t base, char *ret_name)
{
	segfile_name(base, ".log" RECYCLE_SUFFIX, ret_name);
}

void recycle_offer(struct seglog *log, struct segment *segment, int64_t now_ms)
{
	static const _Alignas(SEGFILE_ALIGN) uint8_t zeros[SEGFILE_ALIGN];
	char name[SEGFILE_NAME_MAX], kept[SEGFILE_NAME_MAX];

	if (segment->fd < 0 || segment->size < SEGFILE_ALIGN || log->is_discarded)
		return;
	recycle_drop(log);
	segfile_name(segment->base, ".log", name);
	kept_name(segment->base, kept);
	if (renameat(log->dir_fd, name, log->dir_fd, kept) != 0)
		return;
	log->recycled = (struct seglog_recycled){
		.fd = segment->fd,
		.base = segment->base,
		.size = segment->size,
		.since_ms = now_ms,
	};
	segment->fd = -1;
	/* From here on no crash brings it back under the old name, and nobody can begin to read it. Zeroes now, so
	   that the segment that gets it does not wait for them. */
	if (fsync(log->dir_fd) != 0 ||
	    (log->readers != NULL && !partitions_is_unread(log->readers)) ||
	    segfile_write(log->recycled.fd, zeros, sizeof(zeros), 0) != 0 ||
	    fdatasync(log->recycled.fd) != 0)
		recycle_drop(log);
}

int recycle_take(struct seglog *log, const struct segment *segment, uint32_t *ret_prepared)
{
	const struct seglog_recycled *recycled = &log->recycled;
	char name[SEGFILE_NAME_MAX], kept[SEGFILE_NAME_MAX];
	int fd = recycled->fd;

	if (fd < 0)
		return -ENOENT;
	kept_name(recycled->base, kept);
	segfile_name(segment->base, ".log", name);
	if (recycled->size > segment->prepare_max ||
	    renameat(log->dir_fd, kept, log->dir_fd, name) != 0) {
		/* Nothing is lost: a new file tells what is wrong with the disk. */
		recycle_drop(log);
		return -ENOENT;
	}
	log->recycled.fd = -1;
	*ret_prepared = ALIGN_DOWN(recycled->size, SEGFILE_ALIGN);
	return fd;
}

void recycle_tend(struct seglog *log, int64_t now_ms)
{
	if (now_ms - log->recycled.since_ms >= RECYCLE_KEEP_MS)
		recycle_drop(log);
}

void recycle_drop(struct seglog *log)
{
	char kept[SEGFILE_NAME_MAX];

	if (log->recycled.fd < 0)
		return;
	kept_name(log->recycled.base, kept);
	(void)unlinkat(log->dir_fd, kept, 0); /* the next start tries again */
	(void)close(log->recycled.fd);        /* every write was answered by its own fsync */
	log->recycled.fd = -1;
}
