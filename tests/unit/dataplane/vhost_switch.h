/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * DPDK's vhost device as the switch behind a virtio port: one of these in a test.
 */
#pragma once

#include <poll.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <stdio.h>

#include "cm.h"

static char socket_path[64];
static struct rte_mempool *pool; /* for what it receives */
static uint16_t peer;            /* its port */

static inline void wait_ms(void)
{
	(void)poll(NULL, 0, 1);
}

/** @param options  more of them for the device: ",tso=1" @param conf  what it offers */
static inline void switch_up(const char *options, const struct rte_eth_conf *conf, uint16_t queues)
{
	char args[128];

	(void)snprintf(args, sizeof(args), "net_vhost0,iface=%s,queues=%d%s", socket_path, queues,
		       options);
	assert_int_equal(rte_dev_probe(args), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name("net_vhost0", &peer), 0);
	assert_int_equal(rte_eth_dev_configure(peer, queues, queues, conf), 0);
	for (uint16_t i = 0; i < queues; i++) {
		assert_int_equal(rte_eth_rx_queue_setup(peer, i, 256, SOCKET_ID_ANY, NULL, pool),
				 0);
		assert_int_equal(rte_eth_tx_queue_setup(peer, i, 256, SOCKET_ID_ANY, NULL), 0);
	}
	assert_int_equal(rte_eth_dev_start(peer), 0);
}

static inline void switch_down(void)
{
	struct rte_eth_dev_info info;

	assert_int_equal(rte_eth_dev_info_get(peer, &info), 0);
	assert_int_equal(rte_eth_dev_stop(peer), 0);
	assert_int_equal(rte_eth_dev_close(peer), 0);
	(void)rte_dev_remove(info.device);
}
