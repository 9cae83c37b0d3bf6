/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <rte_flow.h>

#undef NS_PER_S /* DPDK has one of its own */

#include "base/check.h"

#include "dataplane/nic/nic_steer.h"

static bool add(struct nic_steer *steer, uint16_t port_id, const struct rte_flow_item *pattern,
		uint16_t queue)
{
	const struct rte_flow_attr attr = { .ingress = 1 };
	const struct rte_flow_action_queue to = { .index = queue };
	const struct rte_flow_action actions[] = {
		{ .type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to },
		{ .type = RTE_FLOW_ACTION_TYPE_END },
	};
	struct rte_flow_error error;
	struct rte_flow *rule = NULL;

	if (rte_flow_validate(port_id, &attr, pattern, actions, &error) == 0)
		rule = rte_flow_create(port_id, &attr, pattern, actions, &error);
	if (rule == NULL)
		return false;
	CHECK(steer->count < ARRAY_COUNT(steer->rules));
	steer->rules[steer->count++] = rule;
	return true;
}

static bool add_tcp(struct nic_steer *steer, uint16_t port_id, uint16_t tcp_port, uint16_t queue)
{
	const struct rte_flow_item_tcp spec = { .hdr.dst_port = rte_cpu_to_be_16(tcp_port) };
	const struct rte_flow_item_tcp mask = { .hdr.dst_port = RTE_BE16(0xffff) };
	const struct rte_flow_item pattern[] = {
		{ .type = RTE_FLOW_ITEM_TYPE_ETH },
		{ .type = RTE_FLOW_ITEM_TYPE_IPV4 },
		{ .type = RTE_FLOW_ITEM_TYPE_TCP, .spec = &spec, .mask = &mask },
		{ .type = RTE_FLOW_ITEM_TYPE_END },
	};

	return add(steer, port_id, pattern, queue);
}

static bool add_arp(struct nic_steer *steer, uint16_t port_id)
{
	const struct rte_flow_item_eth spec = { .type = RTE_BE16(RTE_ETHER_TYPE_ARP) };
	const struct rte_flow_item_eth mask = { .type = RTE_BE16(0xffff) };
	const struct rte_flow_item pattern[] = {
		{ .type = RTE_FLOW_ITEM_TYPE_ETH, .spec = &spec, .mask = &mask },
		{ .type = RTE_FLOW_ITEM_TYPE_END },
	};

	return add(steer, port_id, pattern, 0);
}

static bool add_icmp(struct nic_steer *steer, uint16_t port_id)
{
	const struct rte_flow_item pattern[] = {
		{ .type = RTE_FLOW_ITEM_TYPE_ETH },
		{ .type = RTE_FLOW_ITEM_TYPE_IPV4 },
		{ .type = RTE_FLOW_ITEM_TYPE_ICMP },
		{ .type = RTE_FLOW_ITEM_TYPE_END },
	};

	return add(steer, port_id, pattern, 0);
}

int nic_steer_install(struct nic_steer *steer, uint16_t port_id, uint16_t queues, uint16_t tcp_port)
{
	CHECK(queues <= NIC_STEER_QUEUES_MAX);
	steer->count = 0;
	for (uint16_t i = 0; i < queues; i++) {
		if (!add_tcp(steer, port_id, (uint16_t)(tcp_port + i), i)) {
			nic_steer_remove(steer, port_id);
			return -ENOTSUP;
		}
	}
	(void)add_arp(steer, port_id);
	(void)add_icmp(steer, port_id);
	return 0;
}

void nic_steer_remove(struct nic_steer *steer, uint16_t port_id)
{
	struct rte_flow_error error;

	while (steer->count > 0)
		(void)rte_flow_destroy(port_id, steer->rules[--steer->count], &error);
}
