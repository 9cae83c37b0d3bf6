/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules are those that nic_steer.h promises: asked of a device made here, which keeps what it was
 * given and refuses what it is told to. All go when one of those for TCP is refused.
 */
#include <errno.h>
#include <rte_flow.h>

#undef NS_PER_S /* DPDK has one of its own */

#include "dataplane/nic/nic_steer.h"

#include "cm.h"

#define DEVICE    3
#define RULES_MAX 70

struct rte_flow {
	bool is_there;
	uint16_t tcp_port; /* 0: not by TCP port */
	bool is_arp, is_icmp;
	uint16_t queue;
};

static struct {
	struct rte_flow rules[RULES_MAX];
	uint32_t asked, there;
	uint32_t refuses_at;  /* the rule of this number, counted from 1; 0: none */
	bool refuses_on_test; /* in validate() already */
} device;

static void read_rule(const struct rte_flow_item *items, const struct rte_flow_action *actions,
		      struct rte_flow *ret_rule)
{
	*ret_rule = (struct rte_flow){ .is_there = true };
	assert_int_equal(items[0].type, RTE_FLOW_ITEM_TYPE_ETH);
	if (items[0].spec != NULL) {
		const struct rte_flow_item_eth *spec = items[0].spec, *mask = items[0].mask;

		assert_int_equal(spec->type, rte_cpu_to_be_16(0x0806));
		assert_int_equal(mask->type, 0xffff);
		assert_int_equal(items[1].type, RTE_FLOW_ITEM_TYPE_END);
		ret_rule->is_arp = true;
	} else {
		assert_int_equal(items[1].type, RTE_FLOW_ITEM_TYPE_IPV4);
		assert_null(items[1].spec);
		assert_int_equal(items[3].type, RTE_FLOW_ITEM_TYPE_END);
		ret_rule->is_icmp = items[2].type == RTE_FLOW_ITEM_TYPE_ICMP;
		if (!ret_rule->is_icmp) {
			const struct rte_flow_item_tcp *spec = items[2].spec, *mask = items[2].mask;

			assert_int_equal(items[2].type, RTE_FLOW_ITEM_TYPE_TCP);
			assert_int_equal(mask->hdr.dst_port, 0xffff);
			assert_int_equal(mask->hdr.src_port, 0);
			ret_rule->tcp_port = rte_be_to_cpu_16(spec->hdr.dst_port);
		}
	}
	assert_int_equal(actions[0].type, RTE_FLOW_ACTION_TYPE_QUEUE);
	ret_rule->queue = ((const struct rte_flow_action_queue *)actions[0].conf)->index;
	assert_int_equal(actions[1].type, RTE_FLOW_ACTION_TYPE_END);
}

int rte_flow_validate(uint16_t port_id, const struct rte_flow_attr *attr,
		      const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
		      struct rte_flow_error *error)
{
	(void)pattern;
	(void)actions;
	(void)error;
	assert_int_equal(port_id, DEVICE);
	assert_true(attr->ingress);
	device.asked++;
	return device.refuses_on_test && device.asked == device.refuses_at ? -ENOTSUP : 0;
}

struct rte_flow *rte_flow_create(uint16_t port_id, const struct rte_flow_attr *attr,
				 const struct rte_flow_item pattern[],
				 const struct rte_flow_action actions[],
				 struct rte_flow_error *error)
{
	(void)attr;
	(void)error;
	assert_int_equal(port_id, DEVICE);
	if (device.asked == device.refuses_at)
		return NULL;
	read_rule(pattern, actions, &device.rules[device.there]);
	return &device.rules[device.there++];
}

int rte_flow_destroy(uint16_t port_id, struct rte_flow *rule, struct rte_flow_error *error)
{
	(void)error;
	assert_int_equal(port_id, DEVICE);
	assert_true(rule->is_there);
	rule->is_there = false;
	device.there--;
	return 0;
}

static void begin(uint32_t refuses_at, bool refuses_on_test)
{
	memset(&device, 0, sizeof(device));
	device.refuses_at = refuses_at;
	device.refuses_on_test = refuses_on_test;
}

static void test_nic_steer_one_rule_for_each_core(void **state)
{
	struct nic_steer steer;

	(void)state;
	begin(0, false);
	assert_int_equal(nic_steer_install(&steer, DEVICE, 4, 9092), 0);
	assert_int_equal(device.there, 6);
	for (uint16_t i = 0; i < 4; i++) {
		assert_int_equal(device.rules[i].tcp_port, 9092 + i);
		assert_int_equal(device.rules[i].queue, i);
	}
	assert_true(device.rules[4].is_arp);
	assert_int_equal(device.rules[4].queue, 0);
	assert_true(device.rules[5].is_icmp);
	assert_int_equal(device.rules[5].queue, 0);
	nic_steer_remove(&steer, DEVICE);
	assert_int_equal(device.there, 0);
	nic_steer_remove(&steer, DEVICE); /* nothing is left to take away */
	begin(0, false);
	assert_int_equal(nic_steer_install(&steer, DEVICE, NIC_STEER_QUEUES_MAX, 9092), 0);
	assert_int_equal(device.there, NIC_STEER_QUEUES_MAX + 2);
}

static void test_nic_steer_all_or_none(void **state)
{
	struct nic_steer steer;

	(void)state;
	for (int on_test = 0; on_test < 2; on_test++) {
		for (uint32_t i = 1; i <= 4; i++) {
			begin(i, on_test != 0);
			assert_int_equal(nic_steer_install(&steer, DEVICE, 4, 9092), -ENOTSUP);
			assert_int_equal(device.there, 0);
		}
	}
}

static void test_nic_steer_does_without_rules_for_arp(void **state)
{
	struct nic_steer steer;

	(void)state;
	for (uint32_t i = 5; i <= 6; i++) {
		begin(i, true);
		assert_int_equal(nic_steer_install(&steer, DEVICE, 4, 9092), 0);
		assert_int_equal(device.there, 5);
		nic_steer_remove(&steer, DEVICE);
		assert_int_equal(device.there, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nic_steer_one_rule_for_each_core),
		cmocka_unit_test(test_nic_steer_all_or_none),
		cmocka_unit_test(test_nic_steer_does_without_rules_for_arp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
