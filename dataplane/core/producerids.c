/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/producerids.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"

#define FILE_SIZE  4096
#define FILE_MAGIC UINT64_C(0x3144495045434f4c)

/* Machine byte order; the file never leaves the machine. All ids below `next` may be in use. */
struct ids {
	uint64_t magic;
	_Atomic int64_t next;
};

static struct ids *ids; /* shared by all cores; set before they start */

int producerids_open(const char *path, const struct snapshot *loaded)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *map;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, FILE_SIZE) != 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	map = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return -errno;
	ids = map;
	if (ids->magic != FILE_MAGIC) {
		atomic_store(&ids->next, loaded != NULL ? loaded->producer_id_end : 0);
		ids->magic = FILE_MAGIC;
	}
	return 0;
}

void producerids_close(void)
{
	if (ids != NULL)
		(void)munmap(ids, FILE_SIZE); /* fails only for an impossible range */
	ids = NULL;
}

int64_t producerids_take(const struct snapshot *snapshot, bool *ret_is_low)
{
	int64_t size = snapshot->producer_id_end - snapshot->producer_id_first;
	int64_t next;
	int64_t id;

	if (ids == NULL) {
		*ret_is_low = false;
		return -1;
	}
	next = atomic_load(&ids->next);
	do {
		id = MAX(next, snapshot->producer_id_first);
		if (id >= snapshot->producer_id_end) {
			*ret_is_low = true;
			return -1;
		}
	} while (!atomic_compare_exchange_weak(&ids->next, &next, id + 1));
	*ret_is_low = snapshot->producer_id_end - id <= size / 4;
	return id;
}
