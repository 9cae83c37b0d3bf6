/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * A storage/uring.h without a kernel ring: operations wait until the test performs or fails them, in
 * any order it likes.
 *
 * Use: add `uring_fake` (tests/unit/storage/meson.build) to the sources of the test; as it defines
 * every symbol of uring.h, the linker never takes the real uring.o from the storage library.
 *
 *     uring_open(&config, &uring);              as usual, everything of uring.h works
 *     seglog_flush(log);                        the code under test queues operations
 *     uring_fake_count(uring)                   -> how many wait, oldest first
 *     uring_fake_at(uring, 0)->kind             -> look at one
 *     uring_fake_perform(uring, 0);             really do it (pwrite, pread, fdatasync)
 *     uring_fake_complete(uring, 0, -EIO);      or: do nothing, pretend this result
 *     uring_poll(uring);                        now the event's function runs
 *
 * Both calls only settle the operation; completions are delivered by uring_poll() or uring_wait() in
 * the order in which they were settled, as the real ring would. uring_wait() never sleeps.
 * With uring_fake_set_auto() every poll performs all that waits at its start, oldest first.
 *
 * Polls (uring_poll_add) wait like the others and are settled by uring_fake_complete() with the
 * ready events as result; auto mode leaves them alone. uring_cancel() settles a waiting poll with
 * -ECANCELED; disk operations cannot be cancelled, as with a real disk. uring_raw() is NULL.
 *
 * Context: one thread. Memory: heap. Limits: URING_FAKE_OPS_MAX operations at a time, then the
 * calls answer -EAGAIN.
 */
#pragma once

#include "storage/uring.h"

#define URING_FAKE_OPS_MAX 4096

enum uring_fake_kind {
	URING_FAKE_WRITE,
	URING_FAKE_READ,
	URING_FAKE_FSYNC,
	URING_FAKE_NOP,
	URING_FAKE_POLL,
	URING_FAKE_KIND_COUNT
};

struct uring_fake_op {
	enum uring_fake_kind kind;
	int fd;   /* for slots: the fake's duplicate of the registered file */
	int slot; /* -1: not a registered file */
	uint16_t buffer;
	uint32_t events; /* polls */
	void *bytes;
	uint32_t size;
	uint64_t pos;
	struct uring_event *event;
	uint64_t sequence; /* 0, 1, 2 ... in the order of the calls */
};

/** @return operations that wait */
uint32_t uring_fake_count(const struct uring *uring);

/** @return the `index`-th oldest that waits; borrowed until the next call */
const struct uring_fake_op *uring_fake_at(const struct uring *uring, uint32_t index);

/** @return index of the oldest waiting operation of that kind; -1 none */
int uring_fake_find(const struct uring *uring, enum uring_fake_kind kind);

/** Settle with `result`; nothing is read or written. */
void uring_fake_complete(struct uring *uring, uint32_t index, int32_t result);

/** Really do it, settle with what the kernel said. */
void uring_fake_perform(struct uring *uring, uint32_t index);

/** A short write or read: only the first `size` bytes are done, and `size` is the result. */
void uring_fake_perform_part(struct uring *uring, uint32_t index, uint32_t size);

/** Perform all disk operations that wait, oldest first. @return their number */
uint32_t uring_fake_perform_all(struct uring *uring);

/** Perform everything at each poll, so that code under test just runs. */
void uring_fake_set_auto(struct uring *uring, bool is_auto);

/** The next `count` performed operations of `kind` do nothing and end with `result` instead. */
void uring_fake_fail_next(struct uring *uring, enum uring_fake_kind kind, uint32_t count,
			  int32_t result);

/** @return operations of `kind` settled since uring_open() */
uint64_t uring_fake_settled(const struct uring *uring, enum uring_fake_kind kind);
