/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/nic/nic_eal.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define ARGS_MAX       (16 + 2 * (int)PORTLIST_MAX)
#define ARG_SIZE       64
#define MIB            (UINT64_C(1024) * 1024)
#define HUGEPAGE_SIZE  (2 * MIB)
#define FREE_HUGEPAGES "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"

struct eal_args {
	char text[ARGS_MAX][ARG_SIZE];
	char *argv[ARGS_MAX + 1];
	int count;
};

/* EAL cannot be taken down and up again, so what it became stays for the life of the process. */
static enum { EAL_DOWN, EAL_UP_HUGE, EAL_UP_SMALL, EAL_FAILED } eal_state;

static void PRINTF_LIKE(2, 3) arg_add(struct eal_args *args, const char *fmt, ...)
{
	va_list ap;

	CHECK(args->count < ARGS_MAX);
	va_start(ap, fmt);
	(void)vsnprintf(args->text[args->count], ARG_SIZE, fmt, ap);
	va_end(ap);
	args->argv[args->count] = args->text[args->count];
	args->argv[++args->count] = NULL;
}

static uint64_t free_hugepages(void)
{
	FILE *file = fopen(FREE_HUGEPAGES, "re");
	unsigned long pages = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	(void)fclose(file);
	return pages;
}

/* Any CPU we may run on: EAL wants to know one, and the threads that poll are ours. */
static int first_cpu(const cpu_set_t *set)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, set))
			return cpu;
	}
	return 0;
}

/*
 * The af_xdp driver brings libbpf and libxdp, which tell standard error about things that are as they
 * should be (no bpffs, unknown ELF sections). What fails, the driver's caller says in its own words.
 */
static void silence(const char *library, const char *setter)
{
	void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
	void *(*set_print)(void *print) = NULL;

	if (handle == NULL)
		return;
	*(void **)&set_print = dlsym(handle, setter);
	if (set_print != NULL)
		(void)set_print(NULL);
	(void)dlclose(handle);
}

/* The virtio driver writes to sockets whose other end may be gone. */
static void ignore_broken_pipes(void)
{
	const struct sigaction action = { .sa_handler = SIG_IGN };

	(void)sigaction(SIGPIPE, &action, NULL);
}

int nic_eal_up(const struct nic_eal_needs *needs, char *reterr, size_t reterr_size)
{
	uint64_t need = needs->memory_size + NIC_EAL_SIZE;
	bool is_huge = free_hugepages() >= need / HUGEPAGE_SIZE + 1;
	struct eal_args args = { .count = 0 };
	cpu_set_t cpus;

	if (eal_state == EAL_UP_HUGE || eal_state == EAL_UP_SMALL)
		return 0;
	if (eal_state == EAL_FAILED) {
		(void)snprintf(reterr, reterr_size,
			       "DPDK failed to start before; restart the process");
		return -EAGAIN;
	}
	CPU_ZERO(&cpus);
	(void)pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	arg_add(&args, "millrace");
	arg_add(&args, "--no-telemetry");
	arg_add(&args, "--log-level=error");
	arg_add(&args, "-l");
	arg_add(&args, "%d", first_cpu(&cpus));
	for (uint32_t i = 0; i < needs->pci_count; i++) {
		arg_add(&args, "-a");
		arg_add(&args, "%s", needs->pci[i]);
	}
	if (needs->pci_count == 0)
		arg_add(&args, "--no-pci");
	/* Neither way leaves files: the partition rings on hugetlbfs are not EAL's to sweep. */
	if (is_huge) {
		arg_add(&args, "--in-memory");
		if (needs->is_shared) /* the other end maps a few files only */
			arg_add(&args, "--single-file-segments");
	} else {
		arg_add(&args, "--no-huge");
		arg_add(&args, "--no-shconf");
		arg_add(&args, "-m");
		arg_add(&args, "%lu", (unsigned long)(2 * need / MIB + 64));
	}
	if (rte_eal_init(args.count, args.argv) < 0) {
		eal_state = EAL_FAILED;
		(void)snprintf(reterr, reterr_size,
			       "DPDK did not start: %s; free 2 MiB hugepages help: sysctl "
			       "vm.nr_hugepages=%lu",
			       rte_strerror(rte_errno), (unsigned long)(need / HUGEPAGE_SIZE + 1));
		return rte_errno > 0 ? -rte_errno : -EIO;
	}
	if (needs->is_shared)
		ignore_broken_pipes();
	silence("libbpf.so.1", "libbpf_set_print");
	silence("libxdp.so.1", "libxdp_set_print");
	/* EAL pinned this thread to its one CPU; the caller decides where it runs. */
	(void)pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	eal_state = is_huge ? EAL_UP_HUGE : EAL_UP_SMALL;
	return 0;
}

bool nic_eal_on_hugepages(void)
{
	return eal_state == EAL_UP_HUGE;
}
