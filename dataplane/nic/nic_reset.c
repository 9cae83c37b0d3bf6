/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port that comes back. Events arrive on a thread of DPDK's and are noted; nic_reset_tend() then asks
 * the cores to stand off, and some calls later, when each was seen to, has the devices reset. A core
 * loses nothing but what was in the rings: TCP sends that again.
 */
#include <errno.h>
#include <rte_ethdev.h>
#include <sched.h>

#undef NS_PER_S /* DPDK has one of its own */

#include "base/log.h"

#include "dataplane/nic/nic_dpdk_impl.h"

#define EVENT_RESET 1U
#define EVENT_GONE  2U
#define RETRY_NS    NS_PER_S

static const enum rte_eth_event_type heard[] = {
	RTE_ETH_EVENT_INTR_LSC,
	RTE_ETH_EVENT_INTR_RESET,
	RTE_ETH_EVENT_INTR_RMV,
};

/* A virtio port's link goes down with the switch's socket: it has to be made anew. */
static bool is_gone(const struct nic_dpdk *dpdk, uint16_t port_id)
{
	struct rte_eth_link link;

	return dpdk->kind == NIC_PORT_VIRTIO && rte_eth_link_get_nowait(port_id, &link) == 0 &&
	       link.link_status == RTE_ETH_LINK_DOWN;
}

/* On a thread of DPDK's. */
static int on_event(uint16_t port_id, enum rte_eth_event_type event, void *ctx, void *result)
{
	struct nic_dpdk *dpdk = ctx;

	uint32_t what = 0;

	(void)result;
	if (event == RTE_ETH_EVENT_INTR_LSC)
		(void)__atomic_add_fetch(&dpdk->nic.link_changes, 1, __ATOMIC_RELAXED);
	if (event == RTE_ETH_EVENT_INTR_RESET)
		what = EVENT_RESET;
	else if (event == RTE_ETH_EVENT_INTR_RMV || is_gone(dpdk, port_id))
		what = EVENT_GONE;
	(void)__atomic_or_fetch(&dpdk->events, what, __ATOMIC_RELEASE);
	return 0;
}

void nic_reset_listen(struct nic_dpdk *dpdk, struct nic_dpdk_device *device)
{
	/* A driver that has no such event never calls; one that cannot take the callback neither. */
	for (size_t i = 0; i < ARRAY_COUNT(heard); i++)
		(void)rte_eth_dev_callback_register(device->id, heard[i], on_event, dpdk);
	device->is_heard = true;
}

void nic_reset_ignore(struct nic_dpdk *dpdk, struct nic_dpdk_device *device)
{
	if (!device->is_heard)
		return;
	for (size_t i = 0; i < ARRAY_COUNT(heard); i++) {
		/* -EAGAIN: it is being called right now. */
		while (rte_eth_dev_callback_unregister(device->id, heard[i], on_event, dpdk) ==
		       -EAGAIN)
			(void)sched_yield();
	}
	device->is_heard = false;
}

/* @return whether every core is out of the driver, and stays out */
static bool all_stand_off(const struct nic_dpdk *dpdk)
{
	for (uint16_t i = 0; i < dpdk->nic.queues; i++) {
		if (!__atomic_load_n(&dpdk->queues[i].has_left, __ATOMIC_ACQUIRE))
			return false;
	}
	return true;
}

static void let_cores_in(struct nic_dpdk *dpdk)
{
	for (uint16_t i = 0; i < dpdk->nic.queues; i++)
		__atomic_store_n(&dpdk->queues[i].has_left, false, __ATOMIC_RELAXED);
	(void)__atomic_add_fetch(&dpdk->nic.resets, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&dpdk->is_halted, false, __ATOMIC_RELEASE);
}

void nic_reset_tend(struct nic_dpdk *dpdk, int64_t now_ns)
{
	uint32_t events = __atomic_load_n(&dpdk->events, __ATOMIC_ACQUIRE);
	char error[256] = "";

	if (events == 0 || now_ns < dpdk->retry_ns)
		return;
	if (!__atomic_load_n(&dpdk->is_halted, __ATOMIC_RELAXED)) {
		log_warn("port %s %s", dpdk->name,
			 (events & EVENT_GONE) != 0 ? "was taken out" : "asks for a reset");
		__atomic_store_n(&dpdk->is_halted, true, __ATOMIC_RELEASE);
	}
	if (!all_stand_off(dpdk))
		return;
	events = __atomic_exchange_n(&dpdk->events, 0, __ATOMIC_ACQ_REL);
	if (nic_setup_again(dpdk, (events & EVENT_GONE) != 0, error, sizeof(error)) != 0) {
		if (dpdk->retry_ns == 0)
			log_error("port %s does not come back: %s; it is tried every second",
				  dpdk->name, error);
		(void)__atomic_or_fetch(&dpdk->events, EVENT_GONE, __ATOMIC_RELEASE);
		dpdk->retry_ns = now_ns + RETRY_NS;
		return;
	}
	dpdk->retry_ns = 0;
	let_cores_in(dpdk);
	log_info("port %s is back: %s", dpdk->name, dpdk->nic.describe);
}
