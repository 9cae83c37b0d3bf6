/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: control's hello over the real socket connects the rings of a core; commands of each kind
 * reach their handler after their sizes were checked; upcalls wake control; a record that breaks the
 * format, a closed socket and a newer connection each drop the rings once, and the core can be
 * connected again. Shown with a control made here, and the core's side driven by hand.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/core/channel_server.h"

#include "cm.h"
#include "core_stub.h"

struct control {
	int socket, control_fd, core_fd;
	struct bytering *commands, *upcalls;
	void *map;
	size_t size;
};

struct world {
	char path[64];
	struct config config;
	struct counters counters;
	struct mesh *mesh;
	struct core *core;
	struct channel_server *server;
};

static void turn(struct world *world)
{
	for (int i = 0; i < 4; i++) {
		channel_server_poll(world->server, 7);
		(void)mesh_poll(world->mesh, 1, 100);
		(void)mesh_poll(world->mesh, 0, 100);
		(void)channel_poll(world->core, 64);
		channel_flush(world->core);
	}
}

static void world_open(struct world *world)
{
	struct core_args args = {
		.count = 1, .config = &world->config, .counters = &world->counters, .lock_fd = -1
	};
	struct channel_server_args server = { .path = world->path, .cores = 1 };

	memset(&stub, 0, sizeof(stub));
	memset(world, 0, sizeof(*world));
	config_init(&world->config);
	(void)snprintf(world->path, sizeof(world->path), "/tmp/test_channel.%d", (int)getpid());
	args.mesh = server.mesh = world->mesh = mesh_new(1);
	world->core = core_new(&args);
	assert_non_null(world->core);
	assert_int_equal(channel_server_open(&server, &world->server), 0);
}

static void world_close(struct world *world)
{
	channel_server_close(world->server);
	core_free(world->core);
	mesh_free(world->mesh);
}

static size_t stride(void)
{
	return ALIGN_UP(bytering_memory_size(CHANNEL_RING_SIZE), CHANNEL_RING_ALIGN);
}

static struct channel_welcome hello(struct world *world, struct control *control, uint32_t version,
				    int seals)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct channel_hello message = { .version = version, .cores = 1, .epoch = 1 };
	struct channel_welcome welcome = { .error = 1 };
	struct iovec iov = { .iov_base = &message, .iov_len = sizeof(message) };
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(3 * sizeof(int))];
	} space = { 0 };
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &space,
				 .msg_controllen = sizeof(space) };
	int memfd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	int fds[3];

	control->size = 2 * stride();
	assert_int_equal(ftruncate(memfd, (off_t)control->size), 0);
	assert_int_equal(fcntl(memfd, F_ADD_SEALS, seals), 0);
	control->map = mmap(NULL, control->size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	control->commands = bytering_init(control->map, CHANNEL_RING_SIZE);
	control->upcalls = bytering_init((uint8_t *)control->map + stride(), CHANNEL_RING_SIZE);
	control->control_fd = eventfd(0, EFD_NONBLOCK);
	control->core_fd = eventfd(0, EFD_NONBLOCK);
	fds[0] = memfd;
	fds[1] = control->control_fd;
	fds[2] = control->core_fd;
	header.msg_controllen = CMSG_SPACE(sizeof(fds));
	space.header.cmsg_level = SOL_SOCKET;
	space.header.cmsg_type = SCM_RIGHTS;
	space.header.cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(&space.header), fds, sizeof(fds));
	memcpy(address.sun_path, world->path, strlen(world->path));
	control->socket = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(connect(control->socket, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(sendmsg(control->socket, &header, 0), sizeof(message));
	close(memfd);
	turn(world);
	assert_int_equal(recv(control->socket, &welcome, sizeof(welcome), MSG_DONTWAIT),
			 sizeof(welcome));
	return welcome;
}

static void hang_up(struct control *control)
{
	close(control->socket);
	close(control->control_fd);
	close(control->core_fd);
	munmap(control->map, control->size);
}

static void command(struct control *control, uint16_t kind, uint32_t size, uint32_t declared)
{
	struct command_reply *reply = bytering_claim(control->commands, size);

	assert_non_null(reply);
	memset(reply, 0, size);
	reply->header.kind = kind;
	reply->header.size = declared;
	reply->cookie = 99;
	reply->body_size = size - (uint32_t)sizeof(*reply);
	bytering_publish(control->commands, size);
}

static void test_channel_carries_both_ways(void **state)
{
	struct world world;
	struct control control;
	struct channel_welcome welcome;
	const void *record;
	uint32_t size;
	struct upcall_header *upcall;
	uint64_t count = 0;

	(void)state;
	world_open(&world);
	assert_false(channel_is_connected(world.core));
	assert_null(channel_claim(world.core, 64));
	welcome = hello(&world, &control, CHANNEL_VERSION, F_SEAL_SHRINK);
	assert_int_equal(welcome.error, 0);
	assert_int_equal(welcome.snapshot_generation, 7);
	assert_true(channel_is_connected(world.core));
	command(&control, COMMAND_REPLY, 40, 40);
	command(&control, COMMAND_SNAPSHOT, 24, 24);
	turn(&world);
	assert_int_equal(stub.replies, 1);
	assert_int_equal(stub.reply_cookie, 99);
	assert_int_equal(stub.snapshots, 1);
	upcall = channel_claim(world.core, 64);
	assert_non_null(upcall);
	upcall->kind = UPCALL_GONE;
	channel_publish(world.core, 64);
	assert_int_equal(read(control.control_fd, &count, sizeof(count)), -1);
	turn(&world);
	assert_int_equal(read(control.control_fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(bytering_peek(control.upcalls, &record, &size), 1);
	assert_int_equal(size, 64);
	assert_int_equal(((const struct upcall_header *)record)->size, 64);
	bytering_release(control.upcalls);
	stub.snapshot->run = channel_on_snapshot_done;
	mesh_send(world.mesh, 1, 0, stub.snapshot);
	turn(&world);
	assert_int_equal(bytering_peek(control.upcalls, &record, &size), 1);
	assert_int_equal(((const struct upcall_header *)record)->kind, UPCALL_SNAPSHOT);
	hang_up(&control);
	turn(&world);
	assert_false(channel_is_connected(world.core));
	assert_int_equal(stub.lost, 1);
	world_close(&world);
}

static void test_channel_drops_a_control_that_breaks_the_format(void **state)
{
	static const struct {
		uint16_t kind;
		uint32_t size, declared;
	} bad[] = { { COMMAND_REPLY, 40, 48 },
		    { COMMAND_KIND_COUNT, 40, 40 },
		    { COMMAND_SNAPSHOT, 32, 32 },
		    { COMMAND_APPEND, 32, 32 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		struct world world;
		struct control control;
		char byte;

		world_open(&world);
		assert_int_equal(hello(&world, &control, CHANNEL_VERSION, F_SEAL_SHRINK).error, 0);
		command(&control, bad[i].kind, bad[i].size, bad[i].declared);
		turn(&world);
		assert_false(channel_is_connected(world.core));
		assert_int_equal(stub.lost, 1);
		assert_int_equal(counters_get(&world.counters, COUNTER_CHANNEL_BROKEN), 1);
		assert_int_equal(recv(control.socket, &byte, 1, MSG_DONTWAIT), 0);
		hang_up(&control);
		assert_int_equal(hello(&world, &control, CHANNEL_VERSION, F_SEAL_SHRINK).error, 0);
		assert_true(channel_is_connected(world.core));
		hang_up(&control);
		world_close(&world);
	}
}

static void test_channel_refuses_a_hello_that_is_wrong(void **state)
{
	struct world world;
	struct control control;

	(void)state;
	world_open(&world);
	assert_int_not_equal(hello(&world, &control, CHANNEL_VERSION + 1, F_SEAL_SHRINK).error, 0);
	hang_up(&control);
	assert_int_not_equal(hello(&world, &control, CHANNEL_VERSION, F_SEAL_GROW).error, 0);
	hang_up(&control);
	assert_false(channel_is_connected(world.core));
	world_close(&world);
}

static void test_channel_a_newer_connection_replaces_the_old(void **state)
{
	struct world world;
	struct control old, new;
	char byte;

	(void)state;
	world_open(&world);
	assert_int_equal(hello(&world, &old, CHANNEL_VERSION, F_SEAL_SHRINK).error, 0);
	assert_int_equal(hello(&world, &new, CHANNEL_VERSION, F_SEAL_SHRINK).error, 0);
	assert_int_equal(stub.lost, 1);
	assert_int_equal(recv(old.socket, &byte, 1, MSG_DONTWAIT), 0);
	command(&new, COMMAND_REPLY, 40, 40);
	turn(&world);
	assert_int_equal(stub.replies, 1);
	hang_up(&old);
	hang_up(&new);
	world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_channel_carries_both_ways),
		cmocka_unit_test(test_channel_drops_a_control_that_breaks_the_format),
		cmocka_unit_test(test_channel_refuses_a_hello_that_is_wrong),
		cmocka_unit_test(test_channel_a_newer_connection_replaces_the_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
