/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: huge pages, io_uring, clock source, isolation and governors are read from where the kernel
 * shows them, and what does not fit has its remedy; the data directory is judged by writing to it, and
 * nothing is left there. Shown on made-up machines, and on this one's file system.
 */
#include <dirent.h>

#include "machine_rig.h"

static void make_machine(struct rig *rig)
{
	rig_write(rig, "/proc/sys/kernel/io_uring_disabled", "0");
	rig_write(rig, "/proc/sys/vm/nr_hugepages", "512");
	rig_write(rig, "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512");
	rig_write(rig, "/dev/hugepages/x", "");
	rig_write(rig, "/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sse avx avx2 bmi\n");
	rig_write(rig, "/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
	rig_write(rig, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n");
	rig_write(rig, "/sys/devices/system/cpu/isolated", "0\n");
}

static void test_machine_that_fits(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_machine(&rig);
	machine_check_cpus(&rig.machine, &rig.config);
	for (uint32_t i = 0; i < rig.count; i++)
		assert_int_equal(rig.findings[i].verdict, MACHINE_GOOD);
	machine_check_kernel(&rig.machine, &rig.config);
	rig_expect(&rig, "hugepages", MACHINE_GOOD, "512 free", "");
	rig_expect(&rig, "io_uring", MACHINE_GOOD, "allowed", "");
	rig_close(&rig);
}

static void test_machine_misfits(void **state)
{
	static const struct {
		const char *path, *text, *check, *found, *remedy;
		enum machine_verdict verdict;
	} cases[] = {
		{ "/proc/sys/kernel/io_uring_disabled", "2", "io_uring", "is set", "sysctl",
		  MACHINE_BAD },
		{ "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "7", "hugepages",
		  "7 free", "vm.nr_hugepages=633", MACHINE_WEAK },
		{ "/proc/cpuinfo", "flags\t\t: fpu sse avx\n", "CPU", "no AVX2", "virtual machine",
		  MACHINE_WEAK },
		{ "/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n",
		  "clocksource", "hpet", "tsc", MACHINE_WEAK },
		{ "/sys/devices/system/cpu/isolated", "2-3\n", "isolation", "CPU 0", "isolcpus",
		  MACHINE_WEAK },
		{ "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n",
		  "governor", "0", "cpupower", MACHINE_WEAK },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct rig rig;

		rig_open(&rig);
		make_machine(&rig);
		rig_write(&rig, cases[i].path, cases[i].text);
		machine_check_kernel(&rig.machine, &rig.config);
		machine_check_cpus(&rig.machine, &rig.config);
		rig_expect(&rig, cases[i].check, cases[i].verdict, cases[i].found, cases[i].remedy);
		rig_close(&rig);
	}
}

static void test_machine_cores_without_a_cpu(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_machine(&rig);
	rig.config.cores = 3;
	machine_check_cpus(&rig.machine, &rig.config);
	rig_expect(&rig, "poll cores", MACHINE_WEAK, "no CPU 1,2", "core.cpus");
	rig_close(&rig);
}

static void test_machine_files_for_connections(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	make_machine(&rig);
	rig.config.connections_max = 1 << 20;
	rig.config.cores = 64;
	machine_check_kernel(&rig.machine, &rig.config);
	rig_expect(&rig, "nofile", MACHINE_WEAK, "max.connections=1048576", "LimitNOFILE=67109888");
	rig_close(&rig);
}

static uint32_t entries_of(const char *folder)
{
	uint32_t count = 0;
	DIR *dir = opendir(folder);

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	(void)closedir(dir);
	return count;
}

static void test_machine_disk_is_tried(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	(void)snprintf(rig.config.data_dir, sizeof(rig.config.data_dir), "%s/no/such", rig.root);
	machine_check_disk(&rig.machine, &rig.config);
	rig_expect(&rig, "data.dir", MACHINE_WEAK, "does not exist", "first start");
	(void)snprintf(rig.config.data_dir, sizeof(rig.config.data_dir), "%s", rig.root);
	machine_check_disk(&rig.machine, &rig.config);
	(void)rig_finding(&rig, "file system");
	if (rig_finding(&rig, "O_DIRECT")->verdict == MACHINE_GOOD)
		(void)rig_finding(&rig, "flush time");
	assert_int_equal(entries_of(rig.root), 2);
	rig_close(&rig);
}

static void test_machine_disk_of_memory(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	(void)snprintf(rig.config.data_dir, sizeof(rig.config.data_dir), "/dev/shm");
	machine_check_disk(&rig.machine, &rig.config);
	rig_expect(&rig, "file system", MACHINE_WEAK, "tmpfs", "XFS or ext4");
	rig_close(&rig);
}

static void test_machine_this_one(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	machine_init(&rig.machine, rig_say, &rig);
	machine_check(&rig.machine, &rig.config);
	assert_true(rig.count > 10);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machine_that_fits),
		cmocka_unit_test(test_machine_misfits),
		cmocka_unit_test(test_machine_cores_without_a_cpu),
		cmocka_unit_test(test_machine_files_for_connections),
		cmocka_unit_test(test_machine_disk_is_tried),
		cmocka_unit_test(test_machine_disk_of_memory),
		cmocka_unit_test(test_machine_this_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
