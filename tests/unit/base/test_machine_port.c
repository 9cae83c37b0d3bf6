/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: every misfit of a port is found by its own name and with a remedy that names the device, and
 * a port that fits is not refused. Shown on made-up machines: folders with the files that the kernel
 * shows of PCI devices and interfaces.
 */
#include "machine_rig.h"

/* ---- PCI ---- */

static void make_nic(struct rig *rig, const char *driver)
{
	rig_write(rig, "/sys/bus/pci/devices/0000:03:00.0/class", "0x020000");
	rig_write(rig, "/sys/bus/pci/devices/0000:03:00.0/numa_node", "-1");
	if (driver != NULL)
		rig_link(rig, "/sys/bus/pci/devices/0000:03:00.0/driver", "../../drivers/%s",
			 driver);
	(void)snprintf(rig->config.dpdk_port, sizeof(rig->config.dpdk_port), "0000:03:00.0");
}

static void make_group(struct rig *rig, const char *member)
{
	rig_write(rig, "/sys/kernel/iommu_groups/12/devices/0000:03:00.0", "");
	if (member != NULL)
		rig_write(rig, "/sys/kernel/iommu_groups/12/devices/0000:03:00.1", "");
	rig_link(rig, "/sys/bus/pci/devices/0000:03:00.0/iommu_group", "%s%s", rig->root,
		 "/sys/kernel/iommu_groups/12");
	if (member != NULL) {
		rig_write(rig, "/sys/bus/pci/devices/0000:03:00.1/class", "0x020000");
		rig_link(rig, "/sys/bus/pci/devices/0000:03:00.1/driver", "../../drivers/%s",
			 member);
	}
}

static void test_machine_port_pci_that_fits(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_nic(&rig, "vfio-pci");
	make_group(&rig, NULL);
	machine_check_ports(&rig.machine, &rig.config);
	assert_int_equal(rig.machine.bad_count, 0);
	assert_string_equal(rig_found(&rig, "port driver"), "0000:03:00.0 is bound to vfio-pci");
	assert_string_equal(rig_found(&rig, "port IOMMU"), "group 12");
	rig_close(&rig);
}

static void test_machine_port_pci_address_without_domain(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_nic(&rig, "vfio-pci");
	make_group(&rig, NULL);
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "03:00.0");
	machine_check_ports(&rig.machine, &rig.config);
	assert_int_equal(rig.machine.bad_count, 0);
	rig_close(&rig);
}

static void test_machine_port_pci_that_is_not_there(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "0000:09:00.0");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_BAD, "no PCI device 0000:09:00.0", "lspci");
	rig_close(&rig);
}

static void test_machine_port_pci_of_another_class(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_nic(&rig, "vfio-pci");
	rig_write(&rig, "/sys/bus/pci/devices/0000:03:00.0/class", "0x010802");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_BAD, "no network device", "lspci");
	rig_close(&rig);
}

static void test_machine_port_pci_drivers(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_nic(&rig, NULL);
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port driver", MACHINE_BAD, "no driver", "vfio-pci");
	rig_close(&rig);

	rig_open(&rig);
	make_nic(&rig, "ixgbe");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port driver", MACHINE_BAD, "kernel's ixgbe",
		   "0000:03:00.0/driver/unbind");
	rig_close(&rig);
}

static void test_machine_port_pci_without_iommu(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_nic(&rig, "vfio-pci");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port IOMMU", MACHINE_BAD, "no IOMMU", "intel_iommu=on");
	rig_close(&rig);

	rig_open(&rig);
	make_nic(&rig, "vfio-pci");
	rig_write(&rig, "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port IOMMU", MACHINE_WEAK, "unsafe mode", "intel_iommu=on");
	assert_int_equal(rig.machine.bad_count, 0);
	rig_close(&rig);
}

static void test_machine_port_pci_group_is_shared(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_nic(&rig, "vfio-pci");
	make_group(&rig, "ixgbe");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port IOMMU", MACHINE_BAD, "0000:03:00.1 (ixgbe)", "vfio-pci too");
	rig_close(&rig);

	rig_open(&rig);
	make_nic(&rig, "vfio-pci");
	make_group(&rig, "vfio-pci");
	machine_check_ports(&rig.machine, &rig.config);
	assert_int_equal(rig.machine.bad_count, 0);
	rig_close(&rig);
}

static void test_machine_port_pci_on_another_node(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_nic(&rig, "vfio-pci");
	make_group(&rig, NULL);
	rig_write(&rig, "/sys/bus/pci/devices/0000:03:00.0/numa_node", "1");
	rig_write(&rig, "/sys/devices/system/node/node1/cpulist", "16-31");
	rig_write(&rig, "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages",
		  "0");
	rig_write(&rig, "/sys/devices/system/cpu/cpu0/node0/x", "");
	rig_write(&rig, "/sys/devices/system/cpu/cpu16/node1/x", "");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port NUMA", MACHINE_WEAK, "on node 1", "core.cpus= of 16-31");
	rig_expect(&rig, "port memory", MACHINE_WEAK, "0 free huge pages", "node1/hugepages");
	(void)snprintf(rig.config.core_cpus, sizeof(rig.config.core_cpus), "16");
	rig.count = 0;
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port NUMA", MACHINE_GOOD, "0 poll core(s)", "");
	rig_close(&rig);
}

static void test_machine_port_pci_shared_with_the_kernel(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_nic(&rig, "mlx5_core");
	rig_write(&rig, "/sys/bus/pci/devices/0000:03:00.0/net/eth7/mtu", "1500");
	(void)snprintf(rig.config.dpdk_mtu, sizeof(rig.config.dpdk_mtu), "9000");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port MTU", MACHINE_BAD, "eth7 has MTU 1500",
		   "ip link set dev eth7 mtu 9000");
	rig_expect(&rig, "port driver", MACHINE_GOOD, "mlx5_core", "");
	rig_close(&rig);
}

/* ---- af_xdp ---- */

static void make_interface(struct rig *rig)
{
	rig_write(rig, "/proc/self/status", "CapEff:\t000001ffffffffff\n");
	rig_write(rig, "/sys/class/net/mr0/type", "1");
	rig_write(rig, "/sys/class/net/mr0/mtu", "1500");
	rig_write(rig, "/sys/class/net/mr0/flags", "0x1003");
	rig_write(rig, "/sys/class/net/mr0/carrier", "1");
	rig_write(rig, "/sys/class/net/mr0/queues/rx-0/rps_cpus", "0");
	(void)snprintf(rig->config.dpdk_port, sizeof(rig->config.dpdk_port), "af_xdp:mr0");
	(void)snprintf(rig->link.driver, sizeof(rig->link.driver), "veth");
}

static void test_machine_port_interface_that_fits(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_interface(&rig);
	machine_check_ports(&rig.machine, &rig.config);
	for (uint32_t i = 0; i < rig.count; i++)
		assert_int_equal(rig.findings[i].verdict, MACHINE_GOOD);
	assert_int_equal(rig.count, 5);
	rig_close(&rig);
}

static void test_machine_port_interface_misfits(void **state)
{
	static const struct {
		const char *path, *text, *check, *found, *remedy;
		enum machine_verdict verdict;
	} cases[] = {
		{ "/sys/class/net/mr0/type", "772", "port", "not Ethernet", "dpdk.port",
		  MACHINE_BAD },
		{ "/sys/class/net/mr0/mtu", "1400", "port MTU", "MTU 1400", "mr0 mtu 1500",
		  MACHINE_WEAK },
		{ "/sys/class/net/mr0/flags", "0x1002", "port link", "is down", "mr0 up",
		  MACHINE_WEAK },
		{ "/sys/class/net/mr0/carrier", "0", "port link", "carrier", "cable",
		  MACHINE_WEAK },
		{ "/sys/class/net/mr0/queues/rx-1/rps_cpus", "0", "port queues", "has 2 queues",
		  "ethtool -L mr0 combined 1", MACHINE_BAD },
		{ "/proc/self/status", "CapEff:\t0000000000002000\n", "port rights",
		  "CAP_NET_ADMIN", "root", MACHINE_BAD },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct rig rig;

		rig_open(&rig);
		make_interface(&rig);
		rig_write(&rig, cases[i].path, cases[i].text);
		machine_check_ports(&rig.machine, &rig.config);
		rig_expect(&rig, cases[i].check, cases[i].verdict, cases[i].found, cases[i].remedy);
		rig_close(&rig);
	}
}

static void test_machine_port_interface_driver(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_interface(&rig);
	(void)snprintf(rig.link.driver, sizeof(rig.link.driver), "e1000");
	rig.link.is_lro_on = true;
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port XDP", MACHINE_WEAK, "e1000", "ixgbe");
	rig_expect(&rig, "port offloads", MACHINE_BAD, "LRO", "ethtool -K mr0 lro off");
	rig_close(&rig);
}

static void test_machine_port_mtu_beyond_a_page(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_interface(&rig);
	(void)snprintf(rig.config.dpdk_mtu, sizeof(rig.config.dpdk_mtu), "9000");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port MTU", MACHINE_BAD, "9000 does not fit", "lower dpdk.mtu");
	rig_close(&rig);
}

static void test_machine_port_no_interface(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	rig_write(&rig, "/proc/self/status", "CapEff:\t000001ffffffffff\n");
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "af_xdp:none0");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_BAD, "no interface none0", "deploy/lab up");
	rig_close(&rig);
}

/* ---- tap, memif, none ---- */

static void test_machine_port_tap(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	rig_write(&rig, "/proc/self/status", "CapEff:\t000001ffffffffff\n");
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "tap:mrt0");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_BAD, "/dev/net/tun", "modprobe tun");
	rig_write(&rig, "/dev/net/tun", "");
	rig.count = 0;
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_GOOD, "mrt0", "");
	rig_close(&rig);
}

static void test_machine_port_memif(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "memif:%s/no/such/sock",
		       rig.root);
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_BAD, "its folder is not there", "make that folder");
	rig_write(&rig, "/plain", "");
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "memif:%s/plain",
		       rig.root);
	rig.count = 0;
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_BAD, "another kind", "remove it");
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "memif:%s/sock",
		       rig.root);
	rig.count = 0;
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_GOOD, "first serves", "");
	rig_close(&rig);
}

static void test_machine_port_virtio(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "virtio:%s/no.sock",
		       rig.root);
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_BAD, "there is no vhost-user socket", "start the switch");
	rig_write(&rig, "/plain", "");
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "virtio:%s/plain",
		       rig.root);
	rig.count = 0;
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_BAD, "another kind", "another path");
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "virtio:/%0200d", 0);
	rig.count = 0;
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_BAD, "longer path", "shorter");
	rig_close(&rig);
}

static void test_machine_port_af_packet(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	rig_write(&rig, "/proc/self/status", "CapEff:\t000001ffffffffff\n");
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "af_packet:eth9");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_BAD, "no interface eth9", "dpdk.port");
	rig_write(&rig, "/sys/class/net/eth9/flags", "0x1003\n");
	rig_write(&rig, "/sys/class/net/eth9/carrier", "1\n");
	(void)snprintf(rig.config.dpdk_mtu, sizeof(rig.config.dpdk_mtu), "9000");
	rig.count = 0;
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_WEAK, "for tests", "af_xdp");
	rig_expect(&rig, "port MTU", MACHINE_BAD, "at most 1500", "lower dpdk.mtu");
	rig_close(&rig);
}

/* Each is looked at with what is its own, and named. */
static void test_machine_port_several(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_interface(&rig);
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "af_xdp:mr0,af_xdp:mr1");
	(void)snprintf(rig.config.dpdk_address, sizeof(rig.config.dpdk_address),
		       "10.0.0.2,10.0.1.2");
	(void)snprintf(rig.config.dpdk_mtu, sizeof(rig.config.dpdk_mtu), "9000,1500");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port MTU", MACHINE_BAD, "af_xdp:mr0: MTU 9000", "lower dpdk.mtu");
	rig_expect(&rig, "port", MACHINE_BAD, "af_xdp:mr1: there is no interface mr1", "dpdk.port");
	rig.count = 0;
	(void)snprintf(rig.config.dpdk_mtu, sizeof(rig.config.dpdk_mtu), "1500");
	(void)snprintf(rig.config.dpdk_address, sizeof(rig.config.dpdk_address), "10.0.0.2");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port settings", MACHINE_BAD, "dpdk.address has 1 value for 2 ports",
		   "millrace config");
	assert_int_equal(rig.count, 1);
	rig_close(&rig);
}

static void test_machine_port_of_no_kind(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "eth0");
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_BAD, "none of af_xdp", "dpdk.port");
	(void)snprintf(rig.config.dpdk_port, sizeof(rig.config.dpdk_port), "none");
	rig.count = 0;
	machine_check_ports(&rig.machine, &rig.config);
	rig_expect(&rig, "port", MACHINE_GOOD, "kernel sockets only", "");
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machine_port_pci_that_fits),
		cmocka_unit_test(test_machine_port_pci_address_without_domain),
		cmocka_unit_test(test_machine_port_pci_that_is_not_there),
		cmocka_unit_test(test_machine_port_pci_of_another_class),
		cmocka_unit_test(test_machine_port_pci_drivers),
		cmocka_unit_test(test_machine_port_pci_without_iommu),
		cmocka_unit_test(test_machine_port_pci_group_is_shared),
		cmocka_unit_test(test_machine_port_pci_on_another_node),
		cmocka_unit_test(test_machine_port_pci_shared_with_the_kernel),
		cmocka_unit_test(test_machine_port_interface_that_fits),
		cmocka_unit_test(test_machine_port_interface_misfits),
		cmocka_unit_test(test_machine_port_interface_driver),
		cmocka_unit_test(test_machine_port_mtu_beyond_a_page),
		cmocka_unit_test(test_machine_port_no_interface),
		cmocka_unit_test(test_machine_port_tap),
		cmocka_unit_test(test_machine_port_memif),
		cmocka_unit_test(test_machine_port_virtio),
		cmocka_unit_test(test_machine_port_af_packet),
		cmocka_unit_test(test_machine_port_several),
		cmocka_unit_test(test_machine_port_of_no_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
