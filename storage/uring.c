/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/uring.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#include "base/check.h"

/*
 * The user data of an operation is its event's address. Disk operations carry the lowest bit as
 * well, so that completions tell how many of them are in flight without a lookup.
 */
#define DISK_TAG      UINT64_C(1)
#define REAP_MAX      256 /* completions run by one call, so that a poll stays bounded */
#define CQ_PER_SQ     4
#define WORKERS_MIN   32
#define DISK_WAIT_S   1 /* granularity of waiting for disk operations at close */
#define CANCEL_WAIT_S 2

_Static_assert(_Alignof(struct uring_event) > DISK_TAG, "the tag needs a spare address bit");

struct uring {
	struct io_uring ring;
	uint32_t disk_in_flight;
	uint32_t files_max;
	uint32_t files_free_count;
	bool has_buffers;
	int files_free[]; /* [files_max] stack of free slots */
};

/*
 * DEFER_TASKRUN keeps completion work out of the poll loop until it asks for it, and TASKRUN_FLAG
 * tells by a load from shared memory whether asking is worth a system call. Kernels before 6.1 know
 * COOP_TASKRUN instead, still older ones none of these; the loop below works with all three.
 */
static int open_ring(struct io_uring *ring, uint32_t entries)
{
	static const uint32_t flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
		0,
	};
	int error = -EINVAL;

	for (size_t i = 0; i < ARRAY_COUNT(flags) && error == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = entries * CQ_PER_SQ,
		};

		error = io_uring_queue_init_params(entries, ring, &params);
	}
	return error;
}

/* What the kernel can't do at once, every fsync above all, is done by threads of its own: four a CPU unless told
   otherwise, which on a small machine has the commits of many logs wait for one another. */
static void have_workers(struct io_uring *ring)
{
	unsigned bounded[2] = { 0, 0 }; /* zeroes: tell what there are */

	if (io_uring_register_iowq_max_workers(ring, bounded) != 0 || bounded[0] >= WORKERS_MIN)
		return;
	bounded[0] = WORKERS_MIN;
	bounded[1] = 0;
	(void)io_uring_register_iowq_max_workers(ring, bounded); /* slower without */
}

int uring_open(const struct uring_config *config, struct uring **ret_uring)
{
	struct uring *uring;
	int error;

	CHECK(IS_POW2(config->entries));
	uring = calloc(1, sizeof(*uring) + config->files_max * sizeof(uring->files_free[0]));
	if (uring == NULL)
		return -ENOMEM;
	error = open_ring(&uring->ring, config->entries);
	if (error < 0) {
		free(uring);
		return error;
	}
	if (config->files_max > 0) {
		error = io_uring_register_files_sparse(&uring->ring, config->files_max);
		if (error < 0) {
			io_uring_queue_exit(&uring->ring);
			free(uring);
			return error;
		}
	}
	have_workers(&uring->ring);
	uring->files_max = uring->files_free_count = config->files_max;
	for (uint32_t i = 0; i < config->files_max; i++)
		uring->files_free[i] = (int)(config->files_max - 1 - i);
	*ret_uring = uring;
	return 0;
}

/* Take up to REAP_MAX completions; their functions run only when `is_running`. */
static uint32_t reap(struct uring *uring, bool is_running)
{
	uint32_t count = 0;
	struct io_uring_cqe *at;

	/* Each entry is copied out and given back before its function runs, which may queue more. */
	while (count < REAP_MAX && io_uring_cq_ready(&uring->ring) > 0 &&
	       io_uring_peek_cqe(&uring->ring, &at) == 0) {
		uint64_t data = at->user_data;
		int32_t result = at->res;
		uint32_t flags = at->flags;
		struct uring_event *event = (void *)(uintptr_t)(data & ~DISK_TAG);

		io_uring_cqe_seen(&uring->ring, at);
		count++;
		if ((data & DISK_TAG) != 0) {
			CHECK(uring->disk_in_flight > 0);
			uring->disk_in_flight--;
		}
		if (event != NULL && is_running)
			event->fn(event, result, flags);
	}
	return count;
}

static int enter_and_wait(struct uring *uring, int64_t timeout_ns)
{
	struct __kernel_timespec timeout = {
		.tv_sec = timeout_ns / NS_PER_S,
		.tv_nsec = timeout_ns % NS_PER_S,
	};
	struct io_uring_cqe *at = NULL;

	return io_uring_submit_and_wait_timeout(&uring->ring, &at, 1,
						timeout_ns < 0 ? NULL : &timeout, NULL);
}

static bool is_transient(int error)
{
	return error >= 0 || error == -EINTR || error == -ETIME || error == -EAGAIN ||
	       error == -EBUSY;
}

void uring_close(struct uring *uring)
{
	struct io_uring_sync_cancel_reg cancel = {
		.fd = -1,
		.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
		.timeout = { .tv_sec = CANCEL_WAIT_S },
	};

	if (uring == NULL)
		return;
	/* Disk operations cannot be cancelled once the device has them, and their memory is in use. */
	while (uring->disk_in_flight > 0) {
		if (!is_transient(enter_and_wait(uring, DISK_WAIT_S * NS_PER_S)))
			break;
		(void)reap(uring, false);
	}
	/* Polls hold their files: end them now, or a listener's port stays taken for a while. */
	(void)io_uring_submit(&uring->ring);
	(void)io_uring_register_sync_cancel(&uring->ring, &cancel);
	io_uring_queue_exit(&uring->ring);
	free(uring);
}

int uring_buffers_register(struct uring *uring, const struct iovec *buffers, uint32_t count)
{
	int error = io_uring_register_buffers(&uring->ring, buffers, count);

	uring->has_buffers = error == 0;
	return error == -ENOMEM || error == -EPERM ? 0 : error;
}

bool uring_has_buffers(const struct uring *uring)
{
	return uring->has_buffers;
}

int uring_file_add(struct uring *uring, int fd)
{
	int slot;
	int count;

	CHECK(fd >= 0);
	if (uring->files_free_count == 0)
		return -ENFILE;
	slot = uring->files_free[uring->files_free_count - 1];
	count = io_uring_register_files_update(&uring->ring, (unsigned)slot, &fd, 1);
	if (count < 0)
		return count;
	uring->files_free_count--;
	return slot;
}

void uring_file_remove(struct uring *uring, int slot)
{
	int none = -1;

	CHECK(slot >= 0 && (uint32_t)slot < uring->files_max);
	CHECK(uring->files_free_count < uring->files_max);
	CHECK(io_uring_register_files_update(&uring->ring, (unsigned)slot, &none, 1) == 1);
	uring->files_free[uring->files_free_count++] = slot;
}

/* @return an entry; NULL when the queue is full and the kernel takes nothing now */
static struct io_uring_sqe *take_entry(struct uring *uring)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);

	if (likely(entry != NULL))
		return entry;
	(void)io_uring_submit(&uring->ring);
	return io_uring_get_sqe(&uring->ring);
}

static void set_disk_event(struct uring *uring, struct io_uring_sqe *entry,
			   struct uring_event *event)
{
	CHECK(event != NULL);
	entry->user_data = (uintptr_t)event | DISK_TAG;
	uring->disk_in_flight++;
}

int uring_write(struct uring *uring, int slot, uint16_t buffer, const void *bytes, uint32_t size,
		uint64_t pos, struct uring_event *event)
{
	struct io_uring_sqe *entry = take_entry(uring);

	if (unlikely(entry == NULL))
		return -EAGAIN;
	if (likely(uring->has_buffers))
		io_uring_prep_write_fixed(entry, slot, bytes, size, pos, buffer);
	else
		io_uring_prep_write(entry, slot, bytes, size, pos);
	entry->flags |= IOSQE_FIXED_FILE;
	set_disk_event(uring, entry, event);
	return 0;
}

int uring_read(struct uring *uring, int fd, uint16_t buffer, void *bytes, uint32_t size,
	       uint64_t pos, struct uring_event *event)
{
	struct io_uring_sqe *entry = take_entry(uring);

	if (unlikely(entry == NULL))
		return -EAGAIN;
	if (likely(uring->has_buffers))
		io_uring_prep_read_fixed(entry, fd, bytes, size, pos, buffer);
	else
		io_uring_prep_read(entry, fd, bytes, size, pos);
	set_disk_event(uring, entry, event);
	return 0;
}

int uring_fsync(struct uring *uring, int slot, struct uring_event *event)
{
	struct io_uring_sqe *entry = take_entry(uring);

	if (unlikely(entry == NULL))
		return -EAGAIN;
	io_uring_prep_fsync(entry, slot, IORING_FSYNC_DATASYNC);
	entry->flags |= IOSQE_FIXED_FILE;
	set_disk_event(uring, entry, event);
	return 0;
}

int uring_nop(struct uring *uring, struct uring_event *event)
{
	struct io_uring_sqe *entry = take_entry(uring);

	if (unlikely(entry == NULL))
		return -EAGAIN;
	CHECK(event != NULL);
	io_uring_prep_nop(entry);
	entry->user_data = (uintptr_t)event;
	return 0;
}

int uring_poll_add(struct uring *uring, int fd, uint32_t events, struct uring_event *event)
{
	struct io_uring_sqe *entry = take_entry(uring);

	if (unlikely(entry == NULL))
		return -EAGAIN;
	CHECK(event != NULL);
	io_uring_prep_poll_add(entry, fd, events);
	entry->user_data = (uintptr_t)event;
	return 0;
}

int uring_cancel(struct uring *uring, struct uring_event *event)
{
	/* Which tag the operation carries is not recorded: ask for both, one of them finds nothing. */
	for (uint64_t tag = 0; tag <= DISK_TAG; tag++) {
		struct io_uring_sqe *entry = take_entry(uring);

		if (unlikely(entry == NULL))
			return -EAGAIN;
		io_uring_prep_cancel64(entry, (uintptr_t)event | tag, 0);
		entry->user_data = 0;
	}
	return 0;
}

uint32_t uring_poll(struct uring *uring)
{
	struct io_uring *ring = &uring->ring;

	/* An error of either call leaves the entries queued; the next poll tries again. */
	if (io_uring_sq_ready(ring) > 0)
		(void)io_uring_submit_and_get_events(ring);
	else if ((__atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED) &
		  (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0)
		(void)io_uring_get_events(ring);
	else if (io_uring_cq_ready(ring) == 0)
		return 0;
	return reap(uring, true);
}

uint32_t uring_wait(struct uring *uring, int64_t timeout_ns)
{
	/* -ETIME, -EINTR and -EBUSY are as good as a wake-up: the caller looks around and returns. */
	if (timeout_ns != 0 && io_uring_cq_ready(&uring->ring) == 0)
		(void)enter_and_wait(uring, timeout_ns);
	return uring_poll(uring);
}

uint32_t uring_disk_in_flight(const struct uring *uring)
{
	return uring->disk_in_flight;
}

struct io_uring *uring_raw(struct uring *uring)
{
	return &uring->ring;
}
