/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/shmcounters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"

#define MAGIC   0x4352494dU /* "MIRC" */
#define VERSION 2

struct header {
	uint32_t magic;
	uint32_t version;
	uint32_t cores;
	uint32_t counter_count; /* both say that reader and writer are of one build */
	uint32_t hist_size;
	uint32_t pid;
	uint32_t is_retired;
	uint32_t port_count; /* atomic */
	uint32_t port_size;
};

struct shmcounters {
	struct header *header;
	size_t size;
	bool is_writer;
};

_Static_assert(sizeof(struct header) <= SHMCOUNTERS_HEADER_SIZE, "it has a page");
_Static_assert(sizeof(struct counters) % CACHELINE_SIZE == 0 && sizeof(struct hist) % 8 == 0,
	       "the arrays stay aligned");

const struct shmcounters_port_info shmcounters_port_infos[SHMCOUNTERS_PORT_VALUES] = {
	[SHMCOUNTERS_PORT_UP] = { "up", true, "1: the port has a link" },
	[SHMCOUNTERS_PORT_RX_PACKETS] = { "rx_packets", false, "frames received" },
	[SHMCOUNTERS_PORT_RX_BYTES] = { "rx_bytes", false, "bytes received" },
	[SHMCOUNTERS_PORT_RX_MISSED] = { "rx_missed", false, "frames lost: the core was late" },
	[SHMCOUNTERS_PORT_RX_ERRORS] = { "rx_errors", false, "frames received broken" },
	[SHMCOUNTERS_PORT_RX_NO_BUFFER] = { "rx_no_buffer", false, "frames lost for a buffer" },
	[SHMCOUNTERS_PORT_TX_PACKETS] = { "tx_packets", false, "frames sent" },
	[SHMCOUNTERS_PORT_TX_BYTES] = { "tx_bytes", false, "bytes sent" },
	[SHMCOUNTERS_PORT_TX_ERRORS] = { "tx_errors", false, "frames not sent" },
	[SHMCOUNTERS_PORT_LINK_CHANGES] = { "link_changes", false, "link went up or down" },
	[SHMCOUNTERS_PORT_RESETS] = { "resets", false, "resets that the port came back from" },
};

static size_t file_size(uint32_t cores)
{
	return SHMCOUNTERS_HEADER_SIZE +
	       (size_t)cores * (sizeof(struct counters) + sizeof(struct hist)) +
	       PORTLIST_MAX * sizeof(struct shmcounters_port);
}

static int map(int fd, size_t size, bool is_writer, struct shmcounters **ret_shared)
{
	struct shmcounters *shared = calloc(1, sizeof(*shared));
	void *at;

	if (shared == NULL)
		return -ENOMEM;
	at = mmap(NULL, size, is_writer ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		int error = -errno;

		free(shared);
		return error;
	}
	shared->header = at;
	shared->size = size;
	shared->is_writer = is_writer;
	*ret_shared = shared;
	return 0;
}

/* Tell the readers of an older file, if there is one, that it is not written any more. */
static void retire(const char *path)
{
	uint32_t one = 1;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return;
	/* A file that is too short has no readers that could be told. */
	if (pwrite(fd, &one, sizeof(one), offsetof(struct header, is_retired)) < 0)
		(void)one;
	close(fd);
}

int shmcounters_create(const char *path, uint32_t cores, struct shmcounters **ret_shared)
{
	struct shmcounters *shared = NULL;
	size_t size = file_size(cores);
	int fd, error = 0;

	CHECK(cores > 0 && cores <= COUNTERS_CORES_MAX);
	retire(path);
	(void)unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0644) < 0 || ftruncate(fd, (off_t)size) < 0)
		error = -errno;
	/* Committed now: tmpfs that is full must not end a core by SIGBUS later. */
	if (error == 0)
		error = -posix_fallocate(fd, 0, (off_t)size);
	if (error == 0)
		error = map(fd, size, true, &shared);
	close(fd);
	if (error < 0)
		return error;
	shared->header->version = VERSION;
	shared->header->cores = cores;
	shared->header->counter_count = COUNTER_COUNT;
	shared->header->hist_size = sizeof(struct hist);
	shared->header->port_size = sizeof(struct shmcounters_port);
	shared->header->pid = (uint32_t)getpid();
	for (uint32_t i = 0; i < cores; i++)
		hist_init(shmcounters_flush_ns(shared, i));
	__atomic_store_n(&shared->header->magic, MAGIC, __ATOMIC_RELEASE);
	*ret_shared = shared;
	return 0;
}

static bool is_valid(const struct shmcounters *shared)
{
	const struct header *header = shared->header;

	return __atomic_load_n(&header->magic, __ATOMIC_ACQUIRE) == MAGIC &&
	       header->version == VERSION && header->counter_count == COUNTER_COUNT &&
	       header->hist_size == sizeof(struct hist) &&
	       header->port_size == sizeof(struct shmcounters_port) && header->cores > 0 &&
	       header->cores <= COUNTERS_CORES_MAX && shared->size >= file_size(header->cores);
}

int shmcounters_open(const char *path, struct shmcounters **ret_shared)
{
	struct shmcounters *shared = NULL;
	struct stat info;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &info) < 0)
		error = -errno;
	else if (info.st_size < SHMCOUNTERS_HEADER_SIZE)
		error = ERR_UNSUPPORTED;
	if (error == 0)
		error = map(fd, (size_t)info.st_size, false, &shared);
	close(fd);
	if (error < 0)
		return error;
	if (!is_valid(shared)) {
		shmcounters_close(shared);
		return ERR_UNSUPPORTED;
	}
	*ret_shared = shared;
	return 0;
}

void shmcounters_close(struct shmcounters *shared)
{
	if (shared == NULL)
		return;
	if (shared->is_writer)
		__atomic_store_n(&shared->header->is_retired, 1, __ATOMIC_RELEASE);
	munmap(shared->header, shared->size);
	free(shared);
}

bool shmcounters_is_retired(const struct shmcounters *shared)
{
	return __atomic_load_n(&shared->header->is_retired, __ATOMIC_ACQUIRE) != 0;
}

uint32_t shmcounters_cores(const struct shmcounters *shared)
{
	return shared->header->cores;
}

uint32_t shmcounters_pid(const struct shmcounters *shared)
{
	return shared->header->pid;
}

struct counters *shmcounters_core(const struct shmcounters *shared, uint32_t core)
{
	CHECK(core < shared->header->cores);
	return (struct counters *)(void *)((uint8_t *)shared->header + SHMCOUNTERS_HEADER_SIZE +
					   core * sizeof(struct counters));
}

struct hist *shmcounters_flush_ns(const struct shmcounters *shared, uint32_t core)
{
	CHECK(core < shared->header->cores);
	return (struct hist *)(void *)((uint8_t *)shared->header + SHMCOUNTERS_HEADER_SIZE +
				       shared->header->cores * sizeof(struct counters) +
				       core * sizeof(struct hist));
}

static struct shmcounters_port *port_at(const struct shmcounters *shared, uint32_t index)
{
	return (struct shmcounters_port *)(void *)((uint8_t *)shared->header +
						   file_size(shared->header->cores) -
						   (PORTLIST_MAX - index) *
							   sizeof(struct shmcounters_port));
}

struct shmcounters_port *shmcounters_port_add(struct shmcounters *shared, const char *name)
{
	uint32_t count = shared->header->port_count;
	struct shmcounters_port *port = port_at(shared, count);

	CHECK(count < PORTLIST_MAX);
	(void)snprintf(port->name, sizeof(port->name), "%s", name);
	__atomic_store_n(&shared->header->port_count, count + 1, __ATOMIC_RELEASE);
	return port;
}

uint32_t shmcounters_ports(const struct shmcounters *shared)
{
	return MIN(__atomic_load_n(&shared->header->port_count, __ATOMIC_ACQUIRE), PORTLIST_MAX);
}

const struct shmcounters_port *shmcounters_port(const struct shmcounters *shared, uint32_t index)
{
	CHECK(index < PORTLIST_MAX);
	return port_at(shared, index);
}
