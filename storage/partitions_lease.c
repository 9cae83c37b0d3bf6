/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "storage/partitions_file.h"

#define STAT_FIELD_START 22 /* of /proc/<pid>/stat, counted from 1 */

/*
 * A process is named by its id and its start time, in one word that a compare-and-swap sets: a
 * holder killed at any instruction has the slot or has it not, and a later process with the same id
 * is not mistaken for it.
 */

/* @return start time of a process in clock ticks since boot; 0 there is no such process */
static uint64_t start_time(uint64_t pid)
{
	char path[64];
	char text[1024];
	const char *at;
	ssize_t size;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	size = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (size <= 0)
		return 0;
	text[size] = '\0';
	/* The second field is the program's name in parentheses, with any character in it. */
	at = strrchr(text, ')');
	for (int field = 2; at != NULL && field < STAT_FIELD_START; field++)
		at = strchr(at + 1, ' ');
	return at != NULL ? strtoull(at + 1, NULL, 10) : 0;
}

static uint64_t holder_of(uint64_t pid)
{
	uint64_t start = start_time(pid);

	return start == 0 ? 0 : start << PARTITIONS_LEASE_PID_BITS | pid;
}

static bool is_alive(uint64_t holder)
{
	return holder_of(holder & ((UINT64_C(1) << PARTITIONS_LEASE_PID_BITS) - 1)) == holder;
}

int partitions_lease_take(const struct partitions *table)
{
	uint64_t holder = holder_of((uint64_t)getpid());

	if (table->leases == NULL)
		return table->leases_error;
	CHECK(holder != 0);
	for (int slot = 0; slot < PARTITIONS_LEASES_MAX; slot++) {
		uint64_t *at = &table->leases->holder[slot];
		uint64_t seen = __atomic_load_n(at, __ATOMIC_RELAXED);

		if (seen != 0 && is_alive(seen))
			continue;
		if (__atomic_compare_exchange_n(at, &seen, holder, false, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED))
			return slot;
	}
	return -ENFILE;
}

void partitions_lease_release(const struct partitions *table, int slot)
{
	uint64_t holder = holder_of((uint64_t)getpid());

	CHECK(table->leases != NULL);
	CHECK(slot >= 0 && slot < PARTITIONS_LEASES_MAX);
	/* The slot is in a file that others write: release what is ours, nothing else. */
	(void)__atomic_compare_exchange_n(&table->leases->holder[slot], &holder, 0, false,
					  __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

uint32_t partitions_lease_count(const struct partitions *table)
{
	uint32_t count = 0;

	if (table->leases == NULL)
		return 0;
	for (int slot = 0; slot < PARTITIONS_LEASES_MAX; slot++) {
		uint64_t *at = &table->leases->holder[slot];
		uint64_t seen = __atomic_load_n(at, __ATOMIC_SEQ_CST);

		if (seen == 0)
			continue;
		if (is_alive(seen))
			count++;
		else
			(void)__atomic_compare_exchange_n(at, &seen, 0, false, __ATOMIC_RELAXED,
							  __ATOMIC_RELAXED);
	}
	return count;
}

bool partitions_is_unread(const struct partitions *table)
{
	return table->leases != NULL && partitions_lease_count(table) == 0;
}
