/* SPDX-License-Identifier: Apache-2.0 */
#include "uring_fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

#define FAKE_BUFFERS_MAX 64

struct settled {
	struct uring_fake_op op;
	int32_t result;
};

struct uring {
	struct uring_fake_op ops[URING_FAKE_OPS_MAX]; /* waiting, oldest first */
	uint32_t op_count;
	struct settled settled[URING_FAKE_OPS_MAX]; /* to be delivered, oldest first */
	uint32_t settled_count;
	uint32_t disk_in_flight;
	uint64_t sequence;
	bool is_auto;
	uint32_t fail_count[URING_FAKE_KIND_COUNT];
	int32_t fail_result[URING_FAKE_KIND_COUNT];
	uint64_t settled_total[URING_FAKE_KIND_COUNT];
	struct iovec buffers[FAKE_BUFFERS_MAX];
	uint32_t buffer_count;
	uint32_t files_max;
	int files[]; /* [files_max] our duplicates; -1 free */
};

int uring_open(const struct uring_config *config, struct uring **ret_uring)
{
	struct uring *uring;

	CHECK(IS_POW2(config->entries));
	uring = calloc(1, sizeof(*uring) + config->files_max * sizeof(uring->files[0]));
	if (uring == NULL)
		return -ENOMEM;
	uring->files_max = config->files_max;
	for (uint32_t i = 0; i < config->files_max; i++)
		uring->files[i] = -1;
	*ret_uring = uring;
	return 0;
}

void uring_close(struct uring *uring)
{
	if (uring == NULL)
		return;
	(void)uring_fake_perform_all(uring);
	for (uint32_t i = 0; i < uring->files_max; i++) {
		if (uring->files[i] >= 0)
			(void)close(uring->files[i]);
	}
	free(uring);
}

int uring_buffers_register(struct uring *uring, const struct iovec *buffers, uint32_t count)
{
	CHECK(count <= FAKE_BUFFERS_MAX);
	memcpy(uring->buffers, buffers, count * sizeof(*buffers));
	uring->buffer_count = count;
	return 0;
}

bool uring_has_buffers(const struct uring *uring)
{
	(void)uring;
	return true;
}

int uring_file_add(struct uring *uring, int fd)
{
	for (uint32_t i = 0; i < uring->files_max; i++) {
		if (uring->files[i] >= 0)
			continue;
		uring->files[i] = dup(fd);
		return uring->files[i] < 0 ? -errno : (int)i;
	}
	return -ENFILE;
}

void uring_file_remove(struct uring *uring, int slot)
{
	CHECK(slot >= 0 && (uint32_t)slot < uring->files_max);
	CHECK(uring->files[slot] >= 0);
	(void)close(uring->files[slot]);
	uring->files[slot] = -1;
}

static int queue(struct uring *uring, const struct uring_fake_op *op)
{
	CHECK(op->event != NULL);
	if (uring->op_count + uring->settled_count == URING_FAKE_OPS_MAX)
		return -EAGAIN;
	for (uint32_t i = 0; i < uring->op_count; i++)
		CHECK(uring->ops[i].event != op->event); /* an event is in flight once */
	uring->ops[uring->op_count] = *op;
	/* As in the kernel, an operation keeps its file, also when the slot is emptied meanwhile. */
	if (op->slot >= 0) {
		uring->ops[uring->op_count].fd = dup(op->fd);
		CHECK(uring->ops[uring->op_count].fd >= 0);
	}
	uring->ops[uring->op_count].sequence = uring->sequence++;
	uring->op_count++;
	if (op->kind != URING_FAKE_POLL)
		uring->disk_in_flight++;
	return 0;
}

/* The kernel would refuse memory outside the registered buffer; so does the fake. */
static void check_buffer(const struct uring *uring, uint16_t buffer, const void *bytes,
			 uint32_t size)
{
	const struct iovec *at = &uring->buffers[buffer];
	uintptr_t begin = (uintptr_t)at->iov_base;

	if (uring->buffer_count == 0)
		return; /* a test without registered memory */
	CHECK(buffer < uring->buffer_count);
	CHECK((uintptr_t)bytes >= begin);
	CHECK((uintptr_t)bytes + size <= begin + at->iov_len);
}

static int file_of(const struct uring *uring, int slot)
{
	CHECK(slot >= 0 && (uint32_t)slot < uring->files_max);
	CHECK(uring->files[slot] >= 0);
	return uring->files[slot];
}

int uring_write(struct uring *uring, int slot, uint16_t buffer, const void *bytes, uint32_t size,
		uint64_t pos, struct uring_event *event)
{
	struct uring_fake_op op = { .kind = URING_FAKE_WRITE,
				    .fd = file_of(uring, slot),
				    .slot = slot,
				    .buffer = buffer,
				    .bytes = (void *)(uintptr_t)bytes,
				    .size = size,
				    .pos = pos,
				    .event = event };

	check_buffer(uring, buffer, bytes, size);
	return queue(uring, &op);
}

int uring_read(struct uring *uring, int fd, uint16_t buffer, void *bytes, uint32_t size,
	       uint64_t pos, struct uring_event *event)
{
	struct uring_fake_op op = { .kind = URING_FAKE_READ,
				    .fd = fd,
				    .slot = -1,
				    .buffer = buffer,
				    .bytes = bytes,
				    .size = size,
				    .pos = pos,
				    .event = event };

	check_buffer(uring, buffer, bytes, size);
	return queue(uring, &op);
}

int uring_fsync(struct uring *uring, int slot, struct uring_event *event)
{
	struct uring_fake_op op = {
		.kind = URING_FAKE_FSYNC, .fd = file_of(uring, slot), .slot = slot, .event = event
	};

	return queue(uring, &op);
}

int uring_nop(struct uring *uring, struct uring_event *event)
{
	struct uring_fake_op op = { .kind = URING_FAKE_NOP, .fd = -1, .slot = -1, .event = event };

	return queue(uring, &op);
}

int uring_poll_add(struct uring *uring, int fd, uint32_t events, struct uring_event *event)
{
	struct uring_fake_op op = {
		.kind = URING_FAKE_POLL, .fd = fd, .slot = -1, .events = events, .event = event
	};

	return queue(uring, &op);
}

int uring_cancel(struct uring *uring, struct uring_event *event)
{
	for (uint32_t i = 0; i < uring->op_count; i++) {
		if (uring->ops[i].event == event && uring->ops[i].kind == URING_FAKE_POLL) {
			uring_fake_complete(uring, i, -ECANCELED);
			return 0;
		}
	}
	return 0;
}

uint32_t uring_poll(struct uring *uring)
{
	uint32_t count;

	if (uring->is_auto)
		(void)uring_fake_perform_all(uring);
	count = uring->settled_count;
	for (uint32_t i = 0; i < count; i++) {
		struct settled settled = uring->settled[0];

		uring->settled_count--;
		memmove(uring->settled, uring->settled + 1,
			uring->settled_count * sizeof(uring->settled[0]));
		if (settled.op.kind != URING_FAKE_POLL)
			uring->disk_in_flight--;
		settled.op.event->fn(settled.op.event, settled.result, 0);
	}
	return count;
}

uint32_t uring_wait(struct uring *uring, int64_t timeout_ns)
{
	(void)timeout_ns; /* time does not pass in the fake */
	return uring_poll(uring);
}

uint32_t uring_disk_in_flight(const struct uring *uring)
{
	return uring->disk_in_flight;
}

struct io_uring *uring_raw(struct uring *uring)
{
	(void)uring; /* there is none */
	return NULL;
}

/* ---- what the test does ---- */

uint32_t uring_fake_count(const struct uring *uring)
{
	return uring->op_count;
}

const struct uring_fake_op *uring_fake_at(const struct uring *uring, uint32_t index)
{
	CHECK(index < uring->op_count);
	return &uring->ops[index];
}

int uring_fake_find(const struct uring *uring, enum uring_fake_kind kind)
{
	for (uint32_t i = 0; i < uring->op_count; i++) {
		if (uring->ops[i].kind == kind)
			return (int)i;
	}
	return -1;
}

void uring_fake_complete(struct uring *uring, uint32_t index, int32_t result)
{
	struct settled *settled = &uring->settled[uring->settled_count];

	CHECK(index < uring->op_count);
	settled->op = uring->ops[index];
	settled->result = result;
	if (settled->op.slot >= 0)
		(void)close(settled->op.fd);
	uring->settled_count++;
	uring->settled_total[settled->op.kind]++;
	uring->op_count--;
	memmove(&uring->ops[index], &uring->ops[index + 1],
		(uring->op_count - index) * sizeof(uring->ops[0]));
}

static int32_t perform(const struct uring_fake_op *op, uint32_t size)
{
	ssize_t n = -1;

	switch (op->kind) {
	case URING_FAKE_WRITE:
		n = pwrite(op->fd, op->bytes, size, (off_t)op->pos);
		break;
	case URING_FAKE_READ:
		n = pread(op->fd, op->bytes, size, (off_t)op->pos);
		break;
	case URING_FAKE_FSYNC:
		n = fdatasync(op->fd);
		break;
	case URING_FAKE_NOP:
		return 0;
	case URING_FAKE_POLL:
	case URING_FAKE_KIND_COUNT:
		WRONG("a poll is settled by uring_fake_complete()");
	}
	return n < 0 ? -errno : (int32_t)n;
}

void uring_fake_perform_part(struct uring *uring, uint32_t index, uint32_t size)
{
	const struct uring_fake_op *op = uring_fake_at(uring, index);

	CHECK(size <= op->size);
	uring_fake_complete(uring, index, perform(op, size));
}

void uring_fake_perform(struct uring *uring, uint32_t index)
{
	const struct uring_fake_op *op = uring_fake_at(uring, index);

	if (uring->fail_count[op->kind] > 0) {
		uring->fail_count[op->kind]--;
		uring_fake_complete(uring, index, uring->fail_result[op->kind]);
		return;
	}
	uring_fake_complete(uring, index, perform(op, op->size));
}

uint32_t uring_fake_perform_all(struct uring *uring)
{
	uint32_t index = 0;
	uint32_t count = 0;

	while (index < uring->op_count) {
		if (uring->ops[index].kind == URING_FAKE_POLL) {
			index++;
			continue;
		}
		uring_fake_perform(uring, index);
		count++;
	}
	return count;
}

void uring_fake_set_auto(struct uring *uring, bool is_auto)
{
	uring->is_auto = is_auto;
}

void uring_fake_fail_next(struct uring *uring, enum uring_fake_kind kind, uint32_t count,
			  int32_t result)
{
	CHECK(kind < URING_FAKE_KIND_COUNT);
	uring->fail_count[kind] = count;
	uring->fail_result[kind] = result;
}

uint64_t uring_fake_settled(const struct uring *uring, enum uring_fake_kind kind)
{
	CHECK(kind < URING_FAKE_KIND_COUNT);
	return uring->settled_total[kind];
}
