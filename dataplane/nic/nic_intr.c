/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's descriptor is not slept on itself: some count, some do not, some are read through another
 * library. DPDK's epoll knows how each is read, and reports an event once.
 */
#include "dataplane/nic/nic_intr.h"

#include <rte_epoll.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <sys/epoll.h>
#include <unistd.h>

static void open_queue(struct nic_dpdk_queue *queue)
{
	bool is_new = queue->wait_fd < 0, is_added;

	if (is_new)
		queue->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	is_added = queue->wait_fd >= 0 &&
		   rte_eth_dev_rx_intr_ctl_q(queue->port_id, queue->index, queue->wait_fd,
					     RTE_INTR_EVENT_ADD, NULL) == 0;
	/* Only trying shows whether the driver can. */
	queue->has_interrupt = is_added && nic_intr_begin(queue);
	if (queue->has_interrupt) {
		nic_intr_end(queue);
		return;
	}
	if (is_added)
		(void)rte_eth_dev_rx_intr_ctl_q(queue->port_id, queue->index, queue->wait_fd,
						RTE_INTR_EVENT_DEL, NULL);
	if (is_new && queue->wait_fd >= 0) {
		(void)close(queue->wait_fd);
		queue->wait_fd = -1;
	}
}

void nic_intr_open(struct nic_dpdk *dpdk, uint16_t first, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++)
		open_queue(&dpdk->queues[first + i]);
}

void nic_intr_close(struct nic_dpdk *dpdk, uint16_t first, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++) {
		struct nic_dpdk_queue *queue = &dpdk->queues[first + i];

		if (queue->has_interrupt)
			(void)rte_eth_dev_rx_intr_ctl_q(queue->port_id, queue->index,
							queue->wait_fd, RTE_INTR_EVENT_DEL, NULL);
		queue->has_interrupt = false;
	}
}

void nic_intr_free(struct nic_dpdk *dpdk)
{
	for (uint16_t i = 0; i < dpdk->nic.queues; i++) {
		if (dpdk->has_interrupts && dpdk->queues[i].wait_fd >= 0)
			(void)close(dpdk->queues[i].wait_fd);
	}
}

bool nic_intr_begin(const struct nic_dpdk_queue *queue)
{
	return rte_eth_dev_rx_intr_enable(queue->port_id, queue->index) == 0;
}

void nic_intr_end(const struct nic_dpdk_queue *queue)
{
	struct rte_epoll_event event;

	(void)rte_eth_dev_rx_intr_disable(queue->port_id, queue->index);
	/* What was reported is taken, or it would wake the next sleep at once. */
	(void)rte_epoll_wait(queue->wait_fd, &event, 1, 0);
}
