/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The dataplane's end of the channel for tests of control: a real unix socket and the real rings, in
 * a temporary run directory.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "storage/bytering.h"

#include "dataplane/core/command.h"
#include "dataplane/core/upcall.h"

#define FAKEBOX_CORES 2

struct fakebox {
	char dir[64];
	int listen_fd;
	int fd; /* control's connection; -1: none */
	struct channel_hello hello;
	int fds[2 + FAKEBOX_CORES];
	uint8_t *memory;
	size_t stride;
	struct bytering *commands[FAKEBOX_CORES];
	struct bytering *upcalls[FAKEBOX_CORES];
};

static inline void fakebox_path(const struct fakebox *box, const char *name, char *ret_path)
{
	(void)snprintf(ret_path, 100, "%s/%s", box->dir, name);
}

static inline void fakebox_listen(struct fakebox *box)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	fakebox_path(box, "dataplane.sock", address.sun_path);
	(void)unlink(address.sun_path);
	box->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(box->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(box->listen_fd, 1), 0);
}

/** Make the run directory; nobody listens yet. */
static inline void fakebox_init(struct fakebox *box, uint32_t cores)
{
	char path[100];
	FILE *file;

	memset(box, 0, sizeof(*box));
	box->fd = box->listen_fd = -1;
	(void)snprintf(box->dir, sizeof(box->dir), "/tmp/test_fakebox.XXXXXX");
	assert_non_null(mkdtemp(box->dir));
	fakebox_path(box, "cores", path);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fprintf(file, "%u\n", cores) > 0);
	assert_int_equal(fclose(file), 0);
}

/** Take control's hello and answer it. @param error  0 or what the welcome says */
static inline void fakebox_welcome(struct fakebox *box, int error)
{
	struct channel_welcome welcome = { CHANNEL_VERSION, error, FAKEBOX_CORES, 0, 0 };
	struct iovec part = { &box->hello, sizeof(box->hello) };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(box->fds))];
	} control;
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	const struct cmsghdr *head;

	box->fd = accept(box->listen_fd, NULL, NULL);
	assert_true(box->fd >= 0);
	assert_int_equal(recvmsg(box->fd, &message, 0), sizeof(box->hello));
	head = CMSG_FIRSTHDR(&message);
	if (head == NULL) {
		fail_msg("no descriptors in the hello");
		return;
	}
	assert_int_equal(head->cmsg_len, CMSG_LEN(sizeof(box->fds)));
	memcpy(box->fds, CMSG_DATA(head), sizeof(box->fds));
	box->stride = ALIGN_UP(bytering_memory_size(CHANNEL_RING_SIZE), CHANNEL_RING_ALIGN);
	box->memory = mmap(NULL, box->stride * 2 * FAKEBOX_CORES, PROT_READ | PROT_WRITE,
			   MAP_SHARED, box->fds[0], 0);
	assert_true(box->memory != MAP_FAILED);
	for (uint32_t i = 0; i < FAKEBOX_CORES; i++) {
		box->commands[i] = bytering_attach(box->memory + 2 * i * box->stride, box->stride,
						   CHANNEL_RING_SIZE);
		box->upcalls[i] = bytering_attach(box->memory + (2 * i + 1) * box->stride,
						  box->stride, CHANNEL_RING_SIZE);
		assert_non_null(box->commands[i]);
		assert_non_null(box->upcalls[i]);
	}
	assert_int_equal(send(box->fd, &welcome, sizeof(welcome), MSG_NOSIGNAL), sizeof(welcome));
}

/** Die as a dataplane does: everything of the connection goes. */
static inline void fakebox_hang_up(struct fakebox *box)
{
	if (box->fd < 0)
		return;
	(void)close(box->fd);
	for (size_t i = 0; i < 2 + FAKEBOX_CORES; i++)
		(void)close(box->fds[i]);
	(void)munmap(box->memory, box->stride * 2 * FAKEBOX_CORES);
	box->fd = -1;
}

static inline void fakebox_fini(struct fakebox *box)
{
	char path[100];

	fakebox_hang_up(box);
	if (box->listen_fd >= 0)
		(void)close(box->listen_fd);
	fakebox_path(box, "dataplane.sock", path);
	(void)unlink(path);
	fakebox_path(box, "cores", path);
	(void)unlink(path);
	(void)rmdir(box->dir);
}

/** Send one upcall record and ring. */
static inline void fakebox_upcall(struct fakebox *box, uint32_t core, const void *record,
				  uint32_t size)
{
	uint64_t one = 1;
	void *room = bytering_claim(box->upcalls[core], size);

	assert_non_null(room);
	memcpy(room, record, size);
	bytering_publish(box->upcalls[core], size);
	assert_int_equal(write(box->fds[1], &one, sizeof(one)), sizeof(one));
}

/** Next command of a core, copied. @return its size; 0: none */
static inline uint32_t fakebox_command(struct fakebox *box, uint32_t core, void *ret_record,
				       uint32_t size_max)
{
	const void *record;
	uint32_t size;

	if (bytering_peek(box->commands[core], &record, &size) != 1)
		return 0;
	assert_true(size <= size_max);
	memcpy(ret_record, record, size);
	bytering_release(box->commands[core]);
	return size;
}
