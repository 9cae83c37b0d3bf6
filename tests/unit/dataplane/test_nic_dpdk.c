/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: settings that cannot work are refused with a remedy before any port is touched; on a veth
 * end an af_xdp port receives and sends frames, and poll() on its wait_fd wakes when one arrives.
 * Shown on a lab of this test's own, with a packet socket at the far end in a child process. Where the
 * test may not make namespaces the second half is skipped.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"

#include "dataplane/nic/nic.h"

#include "cm.h"

#define FRAME_SIZE 1514
#define FRAME_TYPE 0x88b5 /* for local experiments */

/* The af_xdp driver never gives its kernel memory's handle back (80 bytes a queue). */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "fast_unwind_on_malloc=0";
}
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:xsk_umem__create";
}

static char lab_name[32], lab_near[16], lab_net[16];

extern char **environ;

/* @return exit code of deploy/lab; -1: not started */
static int lab(const char *verb)
{
	char *argv[] = { getenv("MILLRACE_LAB"),
			 (char[]){ "" },
			 (char[]){ "--name" },
			 lab_name,
			 (char[]){ "--near" },
			 lab_near,
			 (char[]){ "--net" },
			 lab_net,
			 (char[]){ "--queues" },
			 (char[]){ "2" },
			 NULL };
	char word[8];
	pid_t child;
	int status;

	(void)snprintf(word, sizeof(word), "%s", verb);
	argv[1] = word;
	if (posix_spawn(&child, argv[0], NULL, NULL, argv, environ) != 0 ||
	    waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int open_port(const char *port, uint16_t queues, uint16_t mtu, struct nic **ret_nic,
		     char *reterr)
{
	struct nic_config config = {
		.port = port, .queues = queues, .mtu = mtu, .descriptors = 512
	};

	return nic_dpdk_open(&config, ret_nic, reterr, 256);
}

static void fill_frame(uint8_t *frame, uint8_t seed)
{
	memset(frame, 0xff, 6);
	memset(frame + 6, 2, 6);
	bytes_store_u16(frame + 12, FRAME_TYPE);
	for (int i = 14; i < FRAME_SIZE; i++)
		frame[i] = (uint8_t)(seed + i * 7);
}

/* The far end: sends a frame when told to, then waits for the answer. Exit code 0: it was right. */
static void far_end(int go)
{
	uint8_t frame[FRAME_SIZE], answer[2048];
	struct timeval limit = { .tv_sec = 5 };
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(FRAME_TYPE) };
	char path[64], byte;
	int ns, fd;

	(void)snprintf(path, sizeof(path), "/run/netns/%s", lab_name);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0 || setns(ns, CLONE_NEWNET) != 0)
		_exit(2);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(FRAME_TYPE));
	(void)snprintf(path, sizeof(path), "%sp", lab_near);
	at.sll_ifindex = (int)if_nametoindex(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
		_exit(3);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (read(go, &byte, 1) != 1)
		_exit(4);
	fill_frame(frame, 1);
	if (send(fd, frame, sizeof(frame), 0) != FRAME_SIZE)
		_exit(5);
	fill_frame(frame, 2);
	_exit(recv(fd, answer, sizeof(answer), 0) == FRAME_SIZE &&
			      memcmp(frame, answer, FRAME_SIZE) == 0
		      ? 0
		      : 6);
}

static void exchange(struct nic *nic)
{
	struct pollfd fds[2] = { { .fd = nic_wait_fd(nic, 0), .events = POLLIN },
				 { .fd = nic_wait_fd(nic, 1), .events = POLLIN } };
	struct nic_packet packet;
	uint8_t frame[FRAME_SIZE];
	uint16_t queue;
	struct nic_stats stats;

	assert_true(fds[0].fd >= 0);
	assert_true(fds[1].fd >= 0);
	assert_int_not_equal(fds[0].fd, fds[1].fd);
	assert_int_equal(poll(fds, 2, 5000), 1);
	/* The descriptor that woke is the one of the queue that has the frame. */
	queue = (fds[0].revents & POLLIN) != 0 ? 0 : 1;
	assert_int_equal(nic_rx_burst(nic, queue, &packet, 1), 1);
	fill_frame(frame, 1);
	assert_int_equal(packet.size, FRAME_SIZE);
	assert_memory_equal(packet.data, frame, FRAME_SIZE);
	assert_false(packet.checksum_good);
	nic_packet_hold(nic, packet.handle);
	nic_packet_free(nic, queue, packet.handle);
	assert_memory_equal(packet.data, frame, FRAME_SIZE);
	nic_packet_free(nic, queue, packet.handle);
	assert_int_equal(poll(fds, 2, 0), 0);

	assert_true(nic_tx_alloc(nic, 1, &packet));
	assert_int_equal(packet.size, FRAME_SIZE);
	fill_frame(packet.data, 2);
	assert_int_equal(nic_tx_burst(nic, 1, &packet, 1), 1);
	nic_stats(nic, &stats);
	assert_int_equal(stats.rx_packets, 1);
	assert_int_equal(stats.tx_packets, 1);
	assert_true(nic_link_up(nic));
}

static void test_nic_dpdk_af_xdp_on_veth(void **state)
{
	char error[256] = "", port[32];
	struct nic *nic = NULL;
	int go[2], status = -1, r;
	pid_t child;

	(void)state;
	if (getenv("MILLRACE_LAB") == NULL || lab("up") != 0)
		skip();
	assert_int_equal(pipe(go), 0);
	child = fork();
	if (child == 0) {
		(void)close(go[1]); /* a failed parent ends the child's wait */
		far_end(go[0]);
	}
	(void)close(go[0]);
	(void)snprintf(port, sizeof(port), "af_xdp:%s", lab_near);
	assert_int_equal(open_port(port, 3, 1500, &nic, error), -EINVAL);
	assert_non_null(strstr(error, "--queues 3"));
	assert_int_equal(open_port(port, 1, 1500, &nic, error), -EINVAL);
	assert_non_null(strstr(error, "cores=2"));
	assert_int_equal(open_port(port, 2, 3600, &nic, error), -EINVAL);
	assert_non_null(strstr(error, "MTU"));
	r = open_port(port, 2, 1500, &nic, error);
	if (r != 0)
		print_message("%s\n", error);
	assert_int_equal(r, 0);
	assert_int_equal(nic_thread_register(nic), 0);
	assert_non_null(strstr(nic->describe, "af_xdp"));
	assert_int_equal(write(go[1], "g", 1), 1);
	exchange(nic);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	nic_close(nic);
}

static void test_nic_dpdk_refuses_with_remedy(void **state)
{
	static const struct {
		const char *port;
		uint16_t queues;
		int error;
		const char *text;
	} cases[] = {
		{ "", 1, -EINVAL, "PCI address" },
		{ "eth0", 1, -EINVAL, "af_xdp:IFACE" },
		{ "af_xdp:", 1, -EINVAL, "none of" },
		{ "af_xdp:a,b=c", 1, -EINVAL, "none of" },
		{ "af_xdp:no_such_dev", 0, -EINVAL, "queues" },
		{ "af_xdp:no_such_dev", 65, -EINVAL, "queues" },
		{ "af_xdp:name_longer_than_15_characters", 1, -EINVAL, "longer" },
		{ "af_xdp:no_such_dev", 1, -ENODEV, "deploy/lab up" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct nic *nic = NULL;
		char error[256] = "";
		int r = open_port(cases[i].port, cases[i].queues, 1500, &nic, error);

		if (r == -EPERM || r == -ENOTSUP)
			continue; /* said before the name is looked at */
		assert_int_equal(r, cases[i].error);
		assert_non_null(strstr(error, cases[i].text));
		assert_null(nic);
	}
}

static int lab_down(void **state)
{
	(void)state;
	return getenv("MILLRACE_LAB") != NULL && geteuid() == 0 ? lab("down") : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nic_dpdk_refuses_with_remedy),
		cmocka_unit_test_teardown(test_nic_dpdk_af_xdp_on_veth, lab_down),
	};
	unsigned int id = (unsigned int)getpid();

	(void)snprintf(lab_name, sizeof(lab_name), "mrtest-%u", id);
	(void)snprintf(lab_near, sizeof(lab_near), "mrt%u", id % 1000000);
	(void)snprintf(lab_net, sizeof(lab_net), "10.78.%u", id % 256);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
