/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * One io_uring per poll core: disk operations, readiness polls and the sleep of an idle core.
 *
 * Every operation names a `struct uring_event` that its caller embeds in the object it belongs to;
 * the event's function runs inside uring_poll() or uring_wait() on the owning thread. An event may
 * be in flight once at a time (a multishot poll stays in flight).
 *
 * Tests link a fake of this interface (tests/unit/storage/uring_fake.c) that completes operations in
 * an order the test chooses; that is why storage uses nothing else of liburing.
 *
 * Context: the thread that opened it (SINGLE_ISSUER). Memory: fixed at open.
 * Limits: `entries` operations between two polls, `files_max` registered files.
 */
#pragma once

#include <sys/uio.h>

#include "base/defs.h"

struct uring;
struct io_uring;

struct uring_event {
	/**
	 * @param result  bytes or 0 on success, -errno
	 * @param flags   IORING_CQE_F_* of the completion
	 */
	void (*fn)(struct uring_event *event, int32_t result, uint32_t flags);
};

struct uring_config {
	uint32_t entries;   /* submission entries, a power of two */
	uint32_t files_max; /* registered file slots */
};

/** @return 0; -errno (-EPERM and -ENOSYS: io_uring is not allowed or not there) */
NODISCARD int uring_open(const struct uring_config *config, struct uring **ret_uring);

/**
 * Wait for the disk operations in flight, cancel everything else, close. No event's function runs
 * any more. NULL is accepted.
 */
void uring_close(struct uring *uring);

/**
 * Register the memory that uring_write() and uring_read() use; index in `buffers` names it. Where the
 * kernel does not let this user lock that much memory, the operations go without, a little slower.
 *
 * @return 0, also without (see uring_has_buffers()); -errno
 */
NODISCARD int uring_buffers_register(struct uring *uring, const struct iovec *buffers,
				     uint32_t count);

/** @return whether the buffers are registered */
bool uring_has_buffers(const struct uring *uring);

/**
 * Register an open file. The kernel holds a reference until uring_file_remove(), also past the death
 * of this process while an operation is in flight: that is how the data directory's lock is kept
 * until the last write of a killed process has ended.
 *
 * @return slot >= 0; -ENFILE no slot left; -errno
 */
NODISCARD int uring_file_add(struct uring *uring, int fd);
void uring_file_remove(struct uring *uring, int slot);

/** Write from registered buffer `buffer` (O_DIRECT: all three aligned). @return 0; -EAGAIN queue full */
NODISCARD int uring_write(struct uring *uring, int slot, uint16_t buffer, const void *bytes,
			  uint32_t size, uint64_t pos, struct uring_event *event);

/** Read into registered buffer `buffer` from an unregistered file. @return 0; -EAGAIN queue full */
NODISCARD int uring_read(struct uring *uring, int fd, uint16_t buffer, void *bytes, uint32_t size,
			 uint64_t pos, struct uring_event *event);

/** fdatasync. @return 0; -EAGAIN queue full */
NODISCARD int uring_fsync(struct uring *uring, int slot, struct uring_event *event);

/** Nothing but a completion, like every other one not before the next poll. @return 0; -EAGAIN */
NODISCARD int uring_nop(struct uring *uring, struct uring_event *event);

/** One-shot readiness poll. @param events POLLIN | POLLOUT. @return 0; -EAGAIN queue full */
NODISCARD int uring_poll_add(struct uring *uring, int fd, uint32_t events,
			     struct uring_event *event);

/** Ask to end the operation of `event`; its function still runs (-ECANCELED or its result). */
NODISCARD int uring_cancel(struct uring *uring, struct uring_event *event);

/** Submit what is queued and run the completions there are. Never blocks. @return completions run */
uint32_t uring_poll(struct uring *uring);

/**
 * Submit, then sleep until a completion or the timeout, then run completions. A signal ends the
 * sleep too.
 *
 * @param timeout_ns  0: like uring_poll(); negative: no limit
 * @return completions run
 */
uint32_t uring_wait(struct uring *uring, int64_t timeout_ns);

/** @return disk operations in flight: while > 0 a spinning core has to yield (facts: IRQ CPU) */
uint32_t uring_disk_in_flight(const struct uring *uring);

/**
 * The ring itself, for the kernel-socket transport alone. Its operations must carry a
 * `struct uring_event *` as user data and are completed by uring_poll() like all others; user data 0
 * drops the completion.
 */
struct io_uring *uring_raw(struct uring *uring);
