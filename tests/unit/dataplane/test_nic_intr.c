/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue's interrupt is on while its core sleeps and no longer, what it reported is taken, and a driver
 * without interrupts, or one that refuses them when they are tried, leaves no descriptor behind. The
 * descriptor outlives a reset. Asked of a device made here, which keeps account.
 */
#include <errno.h>
#include <fcntl.h>
#include <rte_epoll.h>
#include <rte_ethdev.h>

#undef NS_PER_S /* DPDK has one of its own */

#include "dataplane/nic/nic_intr.h"

#include "cm.h"

#define QUEUES 3

static struct {
	bool has_none, refuses;
	int epfds[QUEUES]; /* that a queue's interrupt reports to; -1: none */
	bool is_on[QUEUES];
	uint32_t enabled, taken;
} device;

int rte_eth_dev_rx_intr_ctl_q(uint16_t port_id, uint16_t queue, int epfd, int op, void *data)
{
	assert_int_equal(port_id, 7);
	assert_null(data);
	assert_true(fcntl(epfd, F_GETFD) >= 0);
	if (device.has_none)
		return -ENOTSUP;
	if (op == RTE_INTR_EVENT_ADD) {
		assert_int_equal(device.epfds[queue], -1);
		device.epfds[queue] = epfd;
	} else {
		assert_int_equal(device.epfds[queue], epfd);
		device.epfds[queue] = -1;
	}
	return 0;
}

int rte_eth_dev_rx_intr_enable(uint16_t port_id, uint16_t queue)
{
	assert_int_equal(port_id, 7);
	if (device.refuses)
		return -ENOTSUP;
	device.is_on[queue] = true;
	device.enabled++;
	return 0;
}

int rte_eth_dev_rx_intr_disable(uint16_t port_id, uint16_t queue)
{
	assert_int_equal(port_id, 7);
	device.is_on[queue] = false;
	return 0;
}

int rte_epoll_wait(int epfd, struct rte_epoll_event *events, int max, int timeout)
{
	assert_true(max >= 1);
	assert_non_null(events);
	assert_int_equal(timeout, 0);
	for (uint16_t i = 0; i < QUEUES; i++) {
		if (device.epfds[i] != epfd)
			continue;
		assert_false(device.is_on[i]); /* or what comes next is not reported */
		device.taken++;
	}
	return 0;
}

static void begin(struct nic_dpdk *dpdk)
{
	*dpdk = (struct nic_dpdk){ .nic.queues = QUEUES, .has_interrupts = true };
	memset(&device, 0, sizeof(device));
	for (uint16_t i = 0; i < QUEUES; i++) {
		dpdk->queues[i] =
			(struct nic_dpdk_queue){ .port_id = 7, .index = i, .wait_fd = -1 };
		device.epfds[i] = -1;
	}
}

static void test_nic_intr_is_on_for_who_sleeps(void **state)
{
	struct nic_dpdk dpdk;

	(void)state;
	begin(&dpdk);
	nic_intr_open(&dpdk, 0, QUEUES);
	for (uint16_t i = 0; i < QUEUES; i++) {
		const struct nic_dpdk_queue *queue = &dpdk.queues[i];

		assert_true(queue->has_interrupt);
		assert_int_equal(device.epfds[i], queue->wait_fd);
		assert_false(device.is_on[i]);
		device.taken = 0;
		assert_true(nic_intr_begin(queue));
		assert_true(device.is_on[i]);
		assert_int_equal(device.taken, 0);
		nic_intr_end(queue);
		assert_false(device.is_on[i]);
		assert_int_equal(device.taken, 1);
	}
	nic_intr_close(&dpdk, 0, QUEUES);
	nic_intr_free(&dpdk);
}

static void test_nic_intr_outlives_a_reset(void **state)
{
	struct nic_dpdk dpdk;
	int fd;

	(void)state;
	begin(&dpdk);
	nic_intr_open(&dpdk, 0, QUEUES);
	fd = dpdk.queues[1].wait_fd;
	nic_intr_close(&dpdk, 0, QUEUES);
	assert_int_equal(device.epfds[1], -1);
	assert_false(dpdk.queues[1].has_interrupt);
	assert_true(fcntl(fd, F_GETFD) >= 0); /* a core may be waiting for it */
	nic_intr_open(&dpdk, 0, QUEUES);
	assert_int_equal(device.epfds[1], fd);
	assert_int_equal(dpdk.queues[1].wait_fd, fd);
	nic_intr_close(&dpdk, 0, QUEUES);
	/* The next driver has none: the core must look, at the same descriptor. */
	device.has_none = true;
	nic_intr_open(&dpdk, 0, QUEUES);
	assert_false(dpdk.queues[1].has_interrupt);
	assert_int_equal(dpdk.queues[1].wait_fd, fd);
	nic_intr_close(&dpdk, 0, QUEUES);
	nic_intr_free(&dpdk);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_nic_intr_of_a_driver_without(void **state)
{
	struct nic_dpdk dpdk;

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin(&dpdk);
		device.has_none = i == 0;
		device.refuses = i == 1;
		nic_intr_open(&dpdk, 0, QUEUES);
		for (uint16_t j = 0; j < QUEUES; j++) {
			assert_false(dpdk.queues[j].has_interrupt);
			assert_int_equal(dpdk.queues[j].wait_fd, -1);
			assert_int_equal(device.epfds[j], -1);
		}
		nic_intr_close(&dpdk, 0, QUEUES);
		nic_intr_free(&dpdk);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nic_intr_is_on_for_who_sleeps),
		cmocka_unit_test(test_nic_intr_outlives_a_reset),
		cmocka_unit_test(test_nic_intr_of_a_driver_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
