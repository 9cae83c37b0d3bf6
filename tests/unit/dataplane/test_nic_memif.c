/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: the first to open a memif socket serves it and the second connects; what a dead server left
 * is no hindrance, and other files are not touched. Shown with sockets of this test's own.
 *
 * Claim: two processes exchange frames of any size over a memif, one may be killed at any time, and
 * the next is served like the first. Frames in pieces, some of them lent memory, arrive whole, and what
 * was lent comes back once the driver has it. Shown with children that echo; skipped without DPDK.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/nic/nic.h"
#include "dataplane/nic/nic_memif.h"

#include "cm.h"

static char path[64];

static void leave_socket(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	memcpy(address.sun_path, path, sizeof(path));
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	(void)close(fd);
}

static void remove_lock(void)
{
	char lock[80];

	(void)snprintf(lock, sizeof(lock), "%s.lock", path);
	assert_int_equal(unlink(lock), 0);
}

static void test_nic_memif_first_serves_second_connects(void **state)
{
	enum nic_memif_role role;
	int lock, none;

	(void)state;
	leave_socket(); /* by a server that was killed */
	assert_int_equal(nic_memif_role(path, &role, &lock), 0);
	assert_int_equal(role, NIC_MEMIF_SERVER);
	assert_int_equal(access(path, F_OK), -1);
	leave_socket(); /* now it is served */
	assert_int_equal(nic_memif_role(path, &role, &none), 0);
	assert_int_equal(role, NIC_MEMIF_CLIENT);
	assert_int_equal(none, -1);
	assert_int_equal(access(path, F_OK), 0);
	(void)close(lock);
	assert_int_equal(nic_memif_role(path, &role, &lock), 0);
	assert_int_equal(role, NIC_MEMIF_SERVER);
	(void)close(lock);
	remove_lock();
}

static void test_nic_memif_spares_other_files(void **state)
{
	enum nic_memif_role role = NIC_MEMIF_CLIENT;
	char longest[200];
	int lock = -7, fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(nic_memif_role(path, &role, &lock), -EEXIST);
	assert_int_equal(unlink(path), 0);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(nic_memif_role(longest, &role, &lock), -ENAMETOOLONG);
	assert_int_equal(role, NIC_MEMIF_CLIENT);
	assert_int_equal(lock, -7);
	remove_lock();
}

#define FRAMES 200
#define MTU    9000

struct child {
	pid_t pid;
	int go; /* a byte written here makes it open the port */
};

static int open_port(struct nic **ret_nic)
{
	char port[80], error[256];
	const struct nic_config config = {
		.port = port, .queues = 1, .mtu = MTU, .descriptors = 256, .buffers = 1024
	};
	int r;

	(void)snprintf(port, sizeof(port), "memif:%s", path);
	r = nic_dpdk_open(&config, ret_nic, error, sizeof(error));
	if (r != 0 && r != -ENOTSUP)
		print_message("%s\n", error);
	return r;
}

/* Sends back what comes, until it is killed. */
static void echo(int go)
{
	struct nic_packet in, out;
	struct nic *nic;
	char byte;

	if (read(go, &byte, 1) != 1 || open_port(&nic) != 0)
		_exit(1);
	for (;;) {
		while (nic_rx_burst(nic, 0, &in, 1) == 0)
			(void)sched_yield();
		while (!nic_tx_alloc(nic, 0, &out))
			(void)sched_yield();
		memcpy(out.data, in.data, in.size);
		out.size = in.size;
		nic_packet_free(nic, 0, in.handle);
		(void)nic_tx_burst(nic, 0, &out, 1);
	}
}

/* Before this process has a port: DPDK's threads would not come along. */
static struct child spawn(void)
{
	struct child child;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child.go = ends[1];
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close(ends[1]);
		echo(ends[0]);
	}
	(void)close(ends[0]);
	return child;
}

static void fill(uint8_t *bytes, uint16_t size, uint32_t number)
{
	for (uint32_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(number * 13 + i * 7 + (i >> 8));
}

/* One frame there and back; a link that is not up yet swallows it, so it is sent again. */
static void exchange(struct nic *nic, uint16_t size, uint32_t number)
{
	static uint8_t want[MTU + 14];

	fill(want, size, number);
	for (int tries = 0; tries < 1000; tries++) {
		struct nic_packet packet;

		assert_true(nic_tx_alloc(nic, 0, &packet));
		assert_true(packet.size >= size);
		memcpy(packet.data, want, size);
		packet.size = size;
		(void)nic_tx_burst(nic, 0, &packet, 1);
		for (int i = 0; i < 20000; i++) {
			bool is_it;

			if (nic_rx_burst(nic, 0, &packet, 1) == 0) {
				(void)sched_yield();
				continue;
			}
			is_it = packet.size == size && memcmp(packet.data, want, size) == 0;
			nic_packet_free(nic, 0, packet.handle);
			if (is_it)
				return;
		}
		(void)poll(NULL, 0, 10);
	}
	fail_msg("frame %u did not come back", number);
}

static uint32_t came_back;

static void on_back(struct nic_lent *lent)
{
	assert_non_null(lent->nic);
	came_back++;
}

/* A frame of headers, lent bytes, copied ones and lent ones again. */
static void send_pieces(struct nic *nic, const uint8_t *bytes, struct nic_lent *lent)
{
	struct nic_packet packet;
	uint8_t *more;

	assert_true(nic_tx_alloc(nic, 0, &packet));
	memcpy(packet.data, bytes, 54);
	packet.size = 54;
	assert_true(nic_tx_lend(nic, 0, &packet, bytes + 54, 1001, lent));
	more = nic_tx_extend(nic, 0, &packet, 77);
	assert_non_null(more);
	memcpy(more, bytes + 54 + 1001, 77);
	assert_true(nic_tx_lend(nic, 0, &packet, bytes + 54 + 1001 + 77, 6000, lent));
	assert_int_equal(packet.more, 1001 + 77 + 6000);
	(void)nic_tx_burst(nic, 0, &packet, 1);
}

static bool comes_whole(struct nic *nic, const uint8_t *bytes, uint16_t size)
{
	struct nic_packet packet;

	for (int i = 0; i < 20000; i++) {
		bool is_it;

		if (nic_rx_burst(nic, 0, &packet, 1) == 0) {
			(void)sched_yield();
			continue;
		}
		is_it = packet.size == size && memcmp(packet.data, bytes, size) == 0;
		nic_packet_free(nic, 0, packet.handle);
		if (is_it)
			return true;
	}
	return false;
}

static void exchange_pieces(struct nic *nic)
{
	static uint8_t bytes[54 + 1001 + 77 + 6000];
	struct nic_lent lent = { .on_back = on_back };
	struct nic_packet packet;
	int tries = 0;

	assert_true((nic->offloads & NIC_TX_LENT) != 0);
	fill(bytes, sizeof(bytes), 99);
	do
		send_pieces(nic, bytes, &lent);
	while (!comes_whole(nic, bytes, sizeof(bytes)) && ++tries < 100);
	assert_true(tries < 100);
	/* One that is not sent yet keeps what it points to. */
	assert_true(nic_tx_alloc(nic, 0, &packet));
	assert_true(nic_tx_lend(nic, 0, &packet, bytes, 100, &lent));
	came_back = 0;
	assert_false(nic_lent_end(&lent));
	assert_int_equal(came_back, 0);
	nic_packet_free(nic, 0, packet.handle);
	assert_int_equal(came_back, 1);
	/* Where all were sent, the owner is the last. */
	lent = (struct nic_lent){ .on_back = on_back };
	send_pieces(nic, bytes, &lent);
	assert_true(nic_lent_end(&lent));
	assert_int_equal(came_back, 1);
}

static void serve_child(struct nic *nic, struct child *child)
{
	static const uint16_t sizes[] = { 60, 1514, 2034, 4096, MTU + 14 };
	struct nic_packet packet;
	int status;

	assert_int_equal(write(child->go, "g", 1), 1);
	for (uint32_t i = 0; i < FRAMES; i++)
		exchange(nic, sizes[i % ARRAY_COUNT(sizes)], i);
	exchange_pieces(nic);
	assert_true(nic_link_up(nic));
	assert_int_equal(kill(child->pid, SIGKILL), 0);
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	for (int i = 0; i < 500 && nic_link_up(nic); i++)
		(void)poll(NULL, 0, 10);
	assert_false(nic_link_up(nic));
	assert_int_equal(nic_rx_burst(nic, 0, &packet, 1), 0);
	(void)close(child->go);
}

static void test_nic_memif_carries_frames_between_processes(void **state)
{
	struct child children[2] = { spawn(), spawn() };
	struct nic *nic;
	int r = open_port(&nic);

	(void)state;
	for (int i = 0; i < 2 && r != 0; i++)
		(void)kill(children[i].pid, SIGKILL);
	if (r == -ENOTSUP)
		skip();
	assert_int_equal(r, 0);
	serve_child(nic, &children[0]);
	serve_child(nic, &children[1]);
	nic_close(nic);
	(void)unlink(path);
	remove_lock();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nic_memif_first_serves_second_connects),
		cmocka_unit_test(test_nic_memif_spares_other_files),
		cmocka_unit_test(test_nic_memif_carries_frames_between_processes),
	};

	(void)snprintf(path, sizeof(path), "/tmp/test_nic_memif.%d", (int)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
