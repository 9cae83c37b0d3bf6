/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port is reset only while no core is in its driver, and comes back for all of them. The driver and
 * nic_setup.c are made here; the cores are calls that do what nic_dpdk.c does, in each order that
 * matters. A real device that goes and comes back is test_nic_virtio.c's.
 */
#include <errno.h>
#include <rte_ethdev.h>

#undef NS_PER_S /* DPDK has one of its own */

#include "dataplane/nic/nic_dpdk_impl.h"

#include "cm.h"

#define DEVICE 5
#define QUEUES 2

static struct {
	struct nic_dpdk dpdk;
	rte_eth_dev_cb_fn on[RTE_ETH_EVENT_MAX];
	void *ctx;
	int busy;   /* calls of unregister that find the callback running */
	int result; /* of nic_setup_again() */
	uint32_t resets;
	bool was_gone;
	bool is_up;             /* its link */
	bool is_event_in_reset; /* the driver asks again meanwhile */
} at;

int rte_eth_dev_callback_register(uint16_t port_id, enum rte_eth_event_type event,
				  rte_eth_dev_cb_fn on, void *ctx)
{
	assert_int_equal(port_id, DEVICE);
	at.on[event] = on;
	at.ctx = ctx;
	return 0;
}

int rte_eth_dev_callback_unregister(uint16_t port_id, enum rte_eth_event_type event,
				    rte_eth_dev_cb_fn on, void *ctx)
{
	assert_int_equal(port_id, DEVICE);
	assert_ptr_equal(ctx, at.ctx);
	if (at.busy > 0) {
		at.busy--;
		return -EAGAIN;
	}
	assert_ptr_equal(on, at.on[event]);
	at.on[event] = NULL;
	return 0;
}

int rte_eth_link_get_nowait(uint16_t port_id, struct rte_eth_link *ret_link)
{
	assert_int_equal(port_id, DEVICE);
	*ret_link = (struct rte_eth_link){ .link_status =
						   at.is_up ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN };
	return 0;
}

static void happens(enum rte_eth_event_type event)
{
	assert_non_null(at.on[event]);
	assert_int_equal(at.on[event](DEVICE, event, at.ctx, NULL), 0);
}

int nic_setup_again(struct nic_dpdk *dpdk, bool is_gone, char *reterr, size_t reterr_size)
{
	assert_ptr_equal(dpdk, &at.dpdk);
	assert_true(dpdk->is_halted);
	for (int i = 0; i < QUEUES; i++)
		assert_true(dpdk->queues[i].has_left);
	(void)snprintf(reterr, reterr_size, "nothing is there");
	at.resets++;
	at.was_gone = is_gone;
	if (at.is_event_in_reset)
		happens(RTE_ETH_EVENT_INTR_RESET);
	at.is_event_in_reset = false;
	return at.result;
}

/* A core asks for packets. @return whether it entered the driver */
static bool polls(int queue)
{
	if (!at.dpdk.is_halted)
		return true;
	at.dpdk.queues[queue].has_left = true;
	return false;
}

static void begin(void)
{
	memset(&at, 0, sizeof(at));
	at.dpdk.nic.queues = QUEUES;
	at.dpdk.devices[0].id = DEVICE;
	nic_reset_listen(&at.dpdk, &at.dpdk.devices[0]);
}

static void test_nic_reset_waits_for_every_core(void **state)
{
	(void)state;
	begin();
	nic_reset_tend(&at.dpdk, 1);
	assert_true(polls(0));
	happens(RTE_ETH_EVENT_INTR_RESET);
	assert_true(polls(0)); /* nobody asked the cores yet */
	nic_reset_tend(&at.dpdk, 2);
	nic_reset_tend(&at.dpdk, 3);
	assert_int_equal(at.resets, 0);
	assert_false(polls(0));
	nic_reset_tend(&at.dpdk, 4);
	assert_int_equal(at.resets, 0); /* the other one may still be inside */
	assert_false(polls(1));
	nic_reset_tend(&at.dpdk, 5);
	assert_int_equal(at.resets, 1);
	assert_false(at.was_gone);
	assert_true(polls(0));
	assert_true(polls(1));
	assert_int_equal(nic_resets(&at.dpdk.nic), 1);
	/* The next one asks each core anew. */
	happens(RTE_ETH_EVENT_INTR_RESET);
	nic_reset_tend(&at.dpdk, 6);
	nic_reset_tend(&at.dpdk, 7);
	assert_int_equal(at.resets, 1);
	assert_false(polls(0));
	assert_false(polls(1));
	nic_reset_tend(&at.dpdk, 8);
	assert_int_equal(at.resets, 2);
}

static void test_nic_reset_tries_again_until_it_is_back(void **state)
{
	(void)state;
	begin();
	happens(RTE_ETH_EVENT_INTR_RMV);
	nic_reset_tend(&at.dpdk, 1);
	(void)polls(0);
	(void)polls(1);
	at.result = -ENODEV;
	nic_reset_tend(&at.dpdk, 2);
	assert_int_equal(at.resets, 1);
	assert_true(at.was_gone);
	assert_false(polls(0));
	nic_reset_tend(&at.dpdk, 3); /* too soon */
	assert_int_equal(at.resets, 1);
	nic_reset_tend(&at.dpdk, 2 + NS_PER_S);
	assert_int_equal(at.resets, 2);
	assert_true(at.was_gone);
	assert_int_equal(nic_resets(&at.dpdk.nic), 0);
	at.result = 0;
	nic_reset_tend(&at.dpdk, 2 + 2 * NS_PER_S);
	assert_int_equal(at.resets, 3);
	assert_int_equal(nic_resets(&at.dpdk.nic), 1);
	assert_true(polls(0));
	nic_reset_tend(&at.dpdk, 2 + 4 * NS_PER_S);
	assert_int_equal(at.resets, 3); /* it is back: nothing is left to do */
}

/* An event that comes while the port is being reset was seen by nobody: it asks for another one. */
static void test_nic_reset_keeps_an_event_of_meanwhile(void **state)
{
	(void)state;
	begin();
	happens(RTE_ETH_EVENT_INTR_RESET);
	nic_reset_tend(&at.dpdk, 1);
	(void)polls(0);
	(void)polls(1);
	at.is_event_in_reset = true;
	nic_reset_tend(&at.dpdk, 2);
	assert_int_equal(at.resets, 1);
	nic_reset_tend(&at.dpdk, 3);
	(void)polls(0);
	(void)polls(1);
	nic_reset_tend(&at.dpdk, 4);
	assert_int_equal(at.resets, 2);
}

static void test_nic_reset_counts_link_changes(void **state)
{
	(void)state;
	begin();
	happens(RTE_ETH_EVENT_INTR_LSC);
	happens(RTE_ETH_EVENT_INTR_LSC);
	assert_int_equal(nic_link_changes(&at.dpdk.nic), 2);
	nic_reset_tend(&at.dpdk, 1);
	assert_true(polls(0));
	assert_int_equal(at.resets, 0);
}

/* A switch that closed its socket is gone for good: its next one is found by a new device. */
static void test_nic_reset_makes_a_virtio_port_anew(void **state)
{
	(void)state;
	begin();
	at.dpdk.kind = NIC_PORT_VIRTIO;
	at.is_up = true;
	happens(RTE_ETH_EVENT_INTR_LSC);
	nic_reset_tend(&at.dpdk, 1);
	assert_true(polls(0));
	at.is_up = false;
	happens(RTE_ETH_EVENT_INTR_LSC);
	nic_reset_tend(&at.dpdk, 2);
	assert_false(polls(0));
	assert_false(polls(1));
	nic_reset_tend(&at.dpdk, 3);
	assert_int_equal(at.resets, 1);
	assert_true(at.was_gone);
}

static void test_nic_reset_hears_no_more(void **state)
{
	(void)state;
	begin();
	at.busy = 3;
	nic_reset_ignore(&at.dpdk, &at.dpdk.devices[0]);
	for (int i = 0; i < RTE_ETH_EVENT_MAX; i++)
		assert_null(at.on[i]);
	nic_reset_ignore(&at.dpdk, &at.dpdk.devices[0]); /* was done */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nic_reset_waits_for_every_core),
		cmocka_unit_test(test_nic_reset_tries_again_until_it_is_back),
		cmocka_unit_test(test_nic_reset_keeps_an_event_of_meanwhile),
		cmocka_unit_test(test_nic_reset_counts_link_changes),
		cmocka_unit_test(test_nic_reset_makes_a_virtio_port_anew),
		cmocka_unit_test(test_nic_reset_hears_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
