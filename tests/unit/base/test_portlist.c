/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: lists of ports and of what belongs to each are taken apart port by port; one value serves all
 * where that makes sense; lists that do not fit, and ports that share a device or an address, are named
 * with the setting at fault. Shown on settings as people write them.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/portlist.h"

#include "cm.h"

static struct config config;
static struct portlist list;
static char error[256];

static void set(const char *name, const char *value)
{
	assert_int_equal(config_set(&config, name, value, error, sizeof(error)), 0);
}

static void begin(const char *ports, const char *addresses)
{
	config_init(&config);
	set("dpdk.port", ports);
	set("dpdk.address", addresses);
}

static void takes(uint32_t count)
{
	int r = portlist_read(&config, &list, error, sizeof(error));

	if (r != 0)
		print_message("%s\n", error);
	assert_int_equal(r, 0);
	assert_int_equal(list.count, count);
}

/* `what` and `remedy` are in the sentence. */
static void refuses(const char *what, const char *remedy)
{
	list.count = 77;
	assert_int_equal(portlist_read(&config, &list, error, sizeof(error)), ERR_CONFIG);
	if (strstr(error, what) == NULL || strstr(error, remedy) == NULL)
		fail_msg("\"%s\" has no \"%s\" or \"%s\"", error, what, remedy);
	assert_int_equal(list.count, 77);
}

static void test_portlist_of_none(void **state)
{
	(void)state;
	begin("", "10.0.0.2,10.0.1.2");
	takes(0);
	begin("none", "nonsense");
	takes(0);
}

static void test_portlist_of_one(void **state)
{
	(void)state;
	begin("af_xdp:mr0", "10.77.0.2");
	set("dpdk.gateway", "10.77.0.1");
	set("dpdk.mtu", "3200");
	set("dpdk.prefix", "28");
	takes(1);
	assert_string_equal(list.ports[0].port, "af_xdp:mr0");
	assert_string_equal(list.ports[0].host, "10.77.0.2");
	assert_string_equal(list.ports[0].address_text, "10.77.0.2");
	assert_int_equal(list.ports[0].address, 0x0a4d0002);
	assert_int_equal(list.ports[0].gateway, 0x0a4d0001);
	assert_int_equal(list.ports[0].prefix, 28);
	assert_int_equal(list.ports[0].mtu, 3200);
	set("dpdk.gateway", "10.78.0.1");
	refuses("dpdk.gateway 10.78.0.1", "10.77.0.2/28");
	set("dpdk.gateway", "gate");
	refuses("dpdk.gateway: 'gate'", "IPv4");
	set("dpdk.gateway", "");
	set("dpdk.address", "10.77.0");
	refuses("dpdk.address: '10.77.0'", "IPv4");
}

static void test_portlist_one_value_for_all(void **state)
{
	(void)state;
	begin("0000:3b:00.0, 0000:3b:00.1", "10.0.0.2 ,10.0.1.2");
	set("dpdk.mtu", "9000");
	set("advertised.dpdk.address", "box.example");
	takes(2);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(list.ports[i].address, 0x0a000002 + (i << 8));
		assert_int_equal(list.ports[i].mtu, 9000);
		assert_int_equal(list.ports[i].prefix, 24);
		assert_int_equal(list.ports[i].gateway, 0);
		assert_string_equal(list.ports[i].host, "box.example");
	}
	assert_string_equal(list.ports[1].port, "0000:3b:00.1");
}

static void test_portlist_one_value_for_each(void **state)
{
	(void)state;
	begin("af_xdp:a,af_xdp:b,af_xdp:c", "10.0.0.2,10.0.1.2,10.0.2.2");
	set("dpdk.mtu", "1500,3200,1500");
	set("dpdk.prefix", "24,25,30");
	set("dpdk.gateway", "10.0.0.1,,10.0.2.1");
	set("advertised.dpdk.address", "a.example,,c.example");
	takes(3);
	assert_int_equal(list.ports[1].mtu, 3200);
	assert_int_equal(list.ports[2].prefix, 30);
	assert_int_equal(list.ports[0].gateway, 0x0a000001);
	assert_int_equal(list.ports[1].gateway, 0);
	assert_int_equal(list.ports[2].gateway, 0x0a000201);
	assert_string_equal(list.ports[0].host, "a.example");
	assert_string_equal(list.ports[1].host, "10.0.1.2");
}

/* One gateway of several ports is of those that reach it. */
static void test_portlist_one_gateway(void **state)
{
	(void)state;
	begin("af_xdp:a,af_xdp:b", "10.0.0.2,10.0.1.2");
	set("dpdk.gateway", "10.0.1.1");
	takes(2);
	assert_int_equal(list.ports[0].gateway, 0);
	assert_int_equal(list.ports[1].gateway, 0x0a000101);
	set("dpdk.gateway", "10.0.9.1");
	refuses("dpdk.gateway 10.0.9.1", "dpdk.address");
	set("dpdk.gateway", "10.0.1.1,10.0.0.1");
	refuses("dpdk.gateway 10.0.1.1", "10.0.0.2/24");
}

static void test_portlist_lengths_that_differ(void **state)
{
	(void)state;
	begin("af_xdp:a,af_xdp:b", "10.0.0.2");
	refuses("dpdk.address has 1 value for 2 ports", "one for each");
	assert_null(strstr(error, "one for all"));
	begin("af_xdp:a", "10.0.0.2,10.0.0.3");
	refuses("dpdk.address has 2 values for 1 port", "one for each");
	begin("af_xdp:a,af_xdp:b,af_xdp:c", "10.0.0.2,10.0.0.3,10.0.0.4");
	set("dpdk.mtu", "1500,9000");
	refuses("dpdk.mtu has 2 values for 3 ports", "one for all");
	set("dpdk.mtu", "1500");
	set("dpdk.prefix", "24,24,24,24");
	refuses("dpdk.prefix has 4 values for 3 ports", "one for all");
	set("dpdk.prefix", "24");
	set("dpdk.gateway", "10.0.0.1,");
	refuses("dpdk.gateway has 2 values for 3 ports", "one for all");
	set("dpdk.gateway", "");
	set("advertised.dpdk.address", "a,b");
	refuses("advertised.dpdk.address has 2 values for 3 ports", "one for all");
	set("advertised.dpdk.address", "");
	takes(3);
}

static void test_portlist_what_ports_may_not_share(void **state)
{
	(void)state;
	begin("af_xdp:a,af_xdp:b", "10.0.0.2,10.0.0.2");
	refuses("10.0.0.2 to af_xdp:a and to af_xdp:b", "address of its own");
	begin("af_xdp:a,af_xdp:a", "10.0.0.2,10.0.0.3");
	refuses("names af_xdp:a twice", "leave one out");
	begin("3B:00.0,0000:3b:00.0", "10.0.0.2,10.0.0.3");
	refuses("twice", "leave one out");
	begin("af_xdp:interface_a,af_xdp:interface_b", "10.0.0.2,10.0.0.3");
	takes(2);
	begin("af_xdp:a,none", "10.0.0.2,10.0.0.3");
	refuses("dpdk.port: value 2 of 2 is none", "none");
	begin("af_xdp:a,,af_xdp:b", "10.0.0.2,10.0.0.3,10.0.0.4");
	refuses("dpdk.port: value 2 of 3 is empty", "empty");
	begin("a,b,c,d,e,f,g,h,i", "10.0.0.2");
	refuses("dpdk.port", "more than 8");
}

static void test_portlist_pci_names(void **state)
{
	char name[PORTLIST_PCI_SIZE];

	(void)state;
	portlist_pci("03:0A.0", name);
	assert_string_equal(name, "0000:03:0a.0");
	portlist_pci("0001:03:0a.1", name);
	assert_string_equal(name, "0001:03:0a.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_portlist_of_none),
		cmocka_unit_test(test_portlist_of_one),
		cmocka_unit_test(test_portlist_one_value_for_all),
		cmocka_unit_test(test_portlist_one_value_for_each),
		cmocka_unit_test(test_portlist_one_gateway),
		cmocka_unit_test(test_portlist_lengths_that_differ),
		cmocka_unit_test(test_portlist_what_ports_may_not_share),
		cmocka_unit_test(test_portlist_pci_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
