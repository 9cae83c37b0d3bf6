/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of ports are what nic_port.h says, and each that does not fit this machine is refused with a
 * word of what to do. Opening them is test_nic_dpdk.c's and test_nic_virtio.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/nic/nic_port.h"

#include "cm.h"

static void test_nic_port_parses_names(void **state)
{
	static const struct {
		const char *port;
		enum nic_port_kind kind;
		const char *name; /* NULL: refused */
	} cases[] = {
		{ "af_xdp:eth0", NIC_PORT_AF_XDP, "eth0" },
		{ "af_packet:eth0", NIC_PORT_AF_PACKET, "eth0" },
		{ "memif:/run/a.sock", NIC_PORT_MEMIF, "/run/a.sock" },
		{ "tap:mr0", NIC_PORT_TAP, "mr0" },
		{ "virtio:/run/vhost.sock", NIC_PORT_VIRTIO, "/run/vhost.sock" },
		{ "0000:03:00.0", NIC_PORT_PCI, "0000:03:00.0" },
		{ "3b:00.1", NIC_PORT_PCI, "3b:00.1" },
		{ "", NIC_PORT_PCI, NULL },
		{ "eth0", NIC_PORT_PCI, NULL },
		{ "tap:", NIC_PORT_PCI, NULL },
		{ "virtio:a,b", NIC_PORT_PCI, NULL }, /* arguments of the driver */
		{ "0000:03:00.0 ", NIC_PORT_PCI, NULL },
		{ "0000:0000:03:00.0", NIC_PORT_PCI, NULL },
		{ "10.77.0.2", NIC_PORT_PCI, NULL },
	};
	char longest[NIC_PORT_SIZE + 16];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		enum nic_port_kind kind = NIC_PORT_MEMIF;
		const char *name = NULL;
		int r = nic_port_parse(cases[i].port, &kind, &name);

		if (cases[i].name == NULL) {
			assert_int_equal(r, -EINVAL);
			assert_null(name);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(kind, cases[i].kind);
		assert_string_equal(name, cases[i].name);
	}
	(void)snprintf(longest, sizeof(longest), "memif:%0*d", NIC_PORT_SIZE, 0);
	assert_int_equal(nic_port_parse(longest, &(enum nic_port_kind){ 0 }, &(const char *){ 0 }),
			 -EINVAL);
}

/* The driver's list of devices knows full addresses only. */
static void test_nic_port_tells_whether_an_interface_runs(void **state)
{
	(void)state;
	assert_true(nic_port_is_running("lo"));
	assert_false(nic_port_is_running("none0"));
}

static void test_nic_port_refuses_misfits(void **state)
{
	static const struct {
		enum nic_port_kind kind;
		const char *name;
		uint16_t mtu;
		int error;
		const char *text;
	} cases[] = {
		{ NIC_PORT_AF_XDP, "no_such_dev", 1500, -ENODEV, "deploy/lab up" },
		{ NIC_PORT_AF_PACKET, "no_such_dev", 1500, -ENODEV, "no_such_dev" },
		{ NIC_PORT_AF_PACKET, "lo", 1501, -EINVAL, "at most 1500" },
		{ NIC_PORT_TAP, "name_longer_than_15", 1500, -EINVAL, "longer than 15" },
		{ NIC_PORT_AF_PACKET, "lo", 1500, 0, "" },
		{ NIC_PORT_MEMIF, "/run/name_longer_than_15", 9000, 0, "" },
		{ NIC_PORT_VIRTIO, "/run/name_longer_than_15", 9000, 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct nic_config config = { .port = "x", .queues = 1, .mtu = cases[i].mtu };
		char error[256] = "";
		int r = nic_port_check(&config, cases[i].kind, cases[i].name, error, sizeof(error));

		if (r == -EPERM) {
			assert_non_null(strstr(error, "CAP_NET_ADMIN"));
			continue; /* said before the name is looked at */
		}
		assert_int_equal(r, cases[i].error);
		assert_non_null(strstr(error, cases[i].text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nic_port_parses_names),
		cmocka_unit_test(test_nic_port_tells_whether_an_interface_runs),
		cmocka_unit_test(test_nic_port_refuses_misfits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
