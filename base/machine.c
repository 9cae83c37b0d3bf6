/* SPDX-License-Identifier: Apache-2.0 */
#include "base/machine.h"

#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpulist.h"
#include "base/portlist.h"

#define PATH_SIZE     1024
#define CPUS_MAX      64
#define HUGEPAGE_SIZE (2 * 1024 * 1024)
#define PORT_PAGES    64 /* of each port: packet buffers and the rings' heads */
#define SPARE_FILES   1024

/* ---- readers ---- */

PRINTF_LIKE(3, 0)
static void make_path(const struct machine *machine, char *ret_path, const char *fmt, va_list ap)
{
	int n = snprintf(ret_path, PATH_SIZE, "%s", machine->root);

	(void)vsnprintf(ret_path + MIN(n, PATH_SIZE - 1),
			(size_t)(PATH_SIZE - MIN(n, PATH_SIZE - 1)), fmt, ap);
}

static bool read_line(const char *path, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");
	bool is_read;

	if (file == NULL)
		return false;
	is_read = fgets(ret, (int)size, file) != NULL;
	(void)fclose(file);
	if (is_read)
		ret[strcspn(ret, "\n")] = '\0';
	return is_read;
}

bool machine_read(const struct machine *machine, char *ret, size_t size, const char *fmt, ...)
{
	char path[PATH_SIZE];
	va_list ap;

	va_start(ap, fmt);
	make_path(machine, path, fmt, ap);
	va_end(ap);
	return read_line(path, ret, size);
}

int64_t machine_read_number(const struct machine *machine, int64_t otherwise, const char *fmt, ...)
{
	char path[PATH_SIZE], text[64], *end;
	int64_t number;
	va_list ap;

	va_start(ap, fmt);
	make_path(machine, path, fmt, ap);
	va_end(ap);
	if (!read_line(path, text, sizeof(text)))
		return otherwise;
	number = strtoll(text, &end, 0);
	return end != text ? number : otherwise;
}

bool machine_read_link(const struct machine *machine, char *ret, size_t size, const char *fmt, ...)
{
	char path[PATH_SIZE], target[PATH_SIZE];
	const char *last;
	va_list ap;
	ssize_t n;

	va_start(ap, fmt);
	make_path(machine, path, fmt, ap);
	va_end(ap);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = '\0';
	last = strrchr(target, '/');
	(void)snprintf(ret, size, "%s", last != NULL ? last + 1 : target);
	return true;
}

bool machine_exists(const struct machine *machine, const char *fmt, ...)
{
	char path[PATH_SIZE];
	struct stat info;
	va_list ap;

	va_start(ap, fmt);
	make_path(machine, path, fmt, ap);
	va_end(ap);
	return stat(path, &info) == 0;
}

bool machine_has_capabilities(const struct machine *machine, uint64_t mask)
{
	char path[PATH_SIZE], line[256];
	unsigned long long set = ~0ULL; /* unknown: let the kernel say */
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/proc/self/status", machine->root);
	file = fopen(path, "re");
	if (file == NULL)
		return true;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "CapEff: %llx", &set) == 1)
			break;
	}
	(void)fclose(file);
	return (set & mask) == mask;
}

void machine_say(struct machine *machine, const char *check, enum machine_verdict verdict,
		 const char *remedy, const char *fmt, ...)
{
	struct machine_finding finding = { .check = check, .verdict = verdict };
	size_t used;
	va_list ap;

	if (machine->subject != NULL)
		(void)snprintf(finding.found, sizeof(finding.found), "%.64s: ", machine->subject);
	used = strlen(finding.found);
	va_start(ap, fmt);
	(void)vsnprintf(finding.found + used, sizeof(finding.found) - used, fmt, ap);
	va_end(ap);
	if (verdict != MACHINE_GOOD)
		(void)snprintf(finding.remedy, sizeof(finding.remedy), "%s", remedy);
	machine->bad_count += verdict == MACHINE_BAD;
	machine->say(machine->ctx, &finding);
}

/* ---- live ---- */

static int ask_link(const char *name, struct machine_link *ret_link)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
	struct ifreq request = { .ifr_data = (void *)&info };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0)
		return -errno;
	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, SIOCETHTOOL, &request) < 0)
		error = -errno;
	if (error == 0) {
		(void)snprintf(ret_link->driver, sizeof(ret_link->driver), "%s", info.driver);
		request.ifr_data = (void *)&flags;
		ret_link->is_lro_on =
			ioctl(fd, SIOCETHTOOL, &request) == 0 && (flags.data & ETH_FLAG_LRO) != 0;
	}
	(void)close(fd);
	return error;
}

void machine_init(struct machine *machine,
		  void (*say)(void *ctx, const struct machine_finding *finding), void *ctx)
{
	*machine = (struct machine){ .root = "", .link = ask_link, .say = say, .ctx = ctx };
}

/* ---- kernel and limits ---- */

/* Ports that need packet buffers; settings that do not fit are named elsewhere. */
static uint32_t port_count(const struct config *config)
{
	struct portlist list;
	char reason[MACHINE_TEXT_MAX];

	return portlist_read(config, &list, reason, sizeof(reason)) == 0 ? MAX(list.count, 1U) : 1;
}

static void check_hugepages(struct machine *machine, const struct config *config)
{
	int64_t free_count = machine_read_number(
		machine, 0, "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
	int64_t all_count = machine_read_number(machine, 0, "/proc/sys/vm/nr_hugepages");
	int64_t wanted =
		config->cores * config->ring_size / HUGEPAGE_SIZE + PORT_PAGES * port_count(config);
	char folder[PATH_SIZE], remedy[MACHINE_TEXT_MAX];
	bool is_writable;

	(void)snprintf(folder, sizeof(folder), "%s/dev/hugepages", machine->root);
	is_writable = access(folder, W_OK) == 0;
	(void)snprintf(remedy, sizeof(remedy),
		       "as root: sysctl vm.nr_hugepages=%lld; mount -t hugetlbfs -o uid=%d none "
		       "/dev/hugepages; without them the rings lie on tmpfs",
		       (long long)(all_count + MAX(wanted - free_count, 0)), (int)geteuid());
	machine_say(machine, "hugepages",
		    free_count >= wanted && is_writable ? MACHINE_GOOD : MACHINE_WEAK, remedy,
		    "%lld free pages of 2 MiB, %lld wanted for %lld core(s)%s",
		    (long long)free_count, (long long)wanted, (long long)config->cores,
		    is_writable ? "" : "; /dev/hugepages is not this user's to write");
}

static void check_xdp_sockets(struct machine *machine)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		(void)close(fd);
		machine_say(machine, "AF_XDP", MACHINE_GOOD, "", "sockets can be made");
		return;
	}
	machine_say(machine, "AF_XDP", MACHINE_WEAK,
		    "run as root, or give CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF; "
		    "without it the socket transport serves",
		    "%s", errno == EPERM ? "not permitted (CAP_NET_RAW)" : "the kernel has none");
}

static void check_memlock(struct machine *machine)
{
	struct rlimit limit = { 0, 0 };
	bool is_good;

	(void)getrlimit(RLIMIT_MEMLOCK, &limit);
	is_good = limit.rlim_cur == RLIM_INFINITY ||
		  machine_has_capabilities(machine, MACHINE_CAP_IPC_LOCK);
	if (is_good)
		machine_say(machine, "memlock", MACHINE_GOOD, "", "enough");
	else
		machine_say(machine, "memlock", MACHINE_WEAK,
			    "LimitMEMLOCK=infinity, or CAP_IPC_LOCK; 8 MiB will do, and more let "
			    "the rings be registered",
			    "%llu bytes", (unsigned long long)limit.rlim_cur);
}

static void check_nofile(struct machine *machine, const struct config *config)
{
	int64_t wanted = config->cores * config->connections_max + SPARE_FILES;
	struct rlimit limit = { 0, 0 };
	char remedy[MACHINE_TEXT_MAX];

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	(void)snprintf(remedy, sizeof(remedy),
		       "LimitNOFILE=%lld (ulimit -Hn), or a lower max.connections: connections "
		       "over kernel sockets are descriptors",
		       (long long)wanted);
	machine_say(machine, "nofile",
		    limit.rlim_max >= (uint64_t)wanted ? MACHINE_GOOD : MACHINE_WEAK, remedy,
		    "%llu open files allowed, %lld wanted for max.connections=%lld",
		    (unsigned long long)limit.rlim_max, (long long)wanted,
		    (long long)config->connections_max);
}

void machine_check_kernel(struct machine *machine, const struct config *config)
{
	int64_t disabled = machine_read_number(machine, 0, "/proc/sys/kernel/io_uring_disabled");

	machine_say(machine, "io_uring", disabled == 0 ? MACHINE_GOOD : MACHINE_BAD,
		    "sysctl kernel.io_uring_disabled=0", "%s",
		    disabled == 0 ? "allowed" : "kernel.io_uring_disabled is set");
	check_hugepages(machine, config);
	check_xdp_sockets(machine);
	check_memlock(machine);
	check_nofile(machine, config);
}

/* ---- CPUs ---- */

static void check_instructions(struct machine *machine)
{
	char path[PATH_SIZE], line[8192];
	bool has_avx2 = false;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/proc/cpuinfo", machine->root);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL && !has_avx2)
		has_avx2 = strncmp(line, "flags", 5) == 0 && strstr(line, " avx2") != NULL;
	if (file != NULL)
		(void)fclose(file);
	machine_say(machine, "CPU", has_avx2 ? MACHINE_GOOD : MACHINE_WEAK,
		    "a CPU of the last ten years, or a virtual machine that shows the host's: "
		    "checksums run several times slower without",
		    "%s", has_avx2 ? "has AVX2" : "has no AVX2");
}

static void check_clock(struct machine *machine)
{
	char source[64] = "unknown";

	(void)machine_read(machine, source, sizeof(source),
			   "/sys/devices/system/clocksource/clocksource0/current_clocksource");
	machine_say(
		machine, "clocksource", strcmp(source, "tsc") == 0 ? MACHINE_GOOD : MACHINE_WEAK,
		"boot with tsc=reliable clocksource=tsc: each turn of a poll core reads the clock, "
		"and others than tsc may cost a system call",
		"%s", source);
}

static bool is_isolated(const struct machine *machine, uint32_t cpu)
{
	char text[256] = "";
	uint32_t cpus[CPUS_MAX];
	int count;

	(void)machine_read(machine, text, sizeof(text), "/sys/devices/system/cpu/isolated");
	count = cpulist_parse(text, cpus, ARRAY_COUNT(cpus));
	for (int i = 0; i < count; i++) {
		if (cpus[i] == cpu)
			return true;
	}
	return false;
}

/* Numbers of the CPUs that fail a check, as "0,3" in `ret` [size]. */
static void note_cpu(char *ret, size_t size, uint32_t cpu)
{
	size_t used = strlen(ret);

	(void)snprintf(ret + used, size - used, "%s%u", used > 0 ? "," : "", cpu);
}

void machine_check_cpus(struct machine *machine, const struct config *config)
{
	char shared[128] = "", slow[128] = "", missing[128] = "", governor[32];
	uint32_t cpus[CPUS_MAX];
	int count = cpulist_parse(config->core_cpus, cpus, ARRAY_COUNT(cpus));

	for (int i = count; count <= 0 && i < CPUS_MAX && i < config->cores; i++)
		cpus[i] = (uint32_t)i;
	if (count <= 0)
		count = (int)MIN(config->cores, (int64_t)CPUS_MAX);
	check_instructions(machine);
	check_clock(machine);
	for (int i = 0; i < count; i++) {
		if (!machine_exists(machine, "/sys/devices/system/cpu/cpu%u", cpus[i]))
			note_cpu(missing, sizeof(missing), cpus[i]);
		else if (!is_isolated(machine, cpus[i]))
			note_cpu(shared, sizeof(shared), cpus[i]);
		if (machine_read(machine, governor, sizeof(governor),
				 "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor",
				 cpus[i]) &&
		    strcmp(governor, "performance") != 0)
			note_cpu(slow, sizeof(slow), cpus[i]);
	}
	if (missing[0] != '\0')
		machine_say(machine, "poll cores", MACHINE_WEAK,
			    "lower cores, or name others in core.cpus", "there is no CPU %s",
			    missing);
	else
		machine_say(machine, "poll cores", MACHINE_GOOD, "", "%d, each has a CPU", count);
	machine_say(machine, "isolation", shared[0] == '\0' ? MACHINE_GOOD : MACHINE_WEAK,
		    "boot with isolcpus=, nohz_full= and rcu_nocbs= of these CPUs and name them in "
		    "core.cpus: what else runs there makes the box wait",
		    "CPU%s%s %s", shared[0] == '\0' ? "s of the poll cores" : " ", shared,
		    shared[0] == '\0' ? "are isolated" : "also run other work");
	machine_say(machine, "governor", slow[0] == '\0' ? MACHINE_GOOD : MACHINE_WEAK,
		    "cpupower frequency-set -g performance", "%s%s",
		    slow[0] == '\0' ? "performance, or none" : "these change it: CPU ", slow);
}

void machine_check(struct machine *machine, const struct config *config)
{
	machine_check_kernel(machine, config);
	machine_check_cpus(machine, config);
	machine_check_ports(machine, config);
	machine_check_disk(machine, config);
}
