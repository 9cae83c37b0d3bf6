/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/segindex.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "storage/segfile.h"

#define PAGE 4096U

static void *reserve(size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
}

int segindex_init(struct segindex *index, uint32_t segment_size)
{
	*index = (struct segindex){ .max_timestamp = -1 };
	index->entries_max = segment_size / SEGINDEX_INTERVAL + 2;
	index->offsets_mapped = ALIGN_UP((size_t)index->entries_max * SEGINDEX_OFFSET_SIZE, PAGE);
	index->times_mapped = ALIGN_UP((size_t)index->entries_max * SEGINDEX_TIME_SIZE, PAGE);
	index->offsets = reserve(index->offsets_mapped);
	if (index->offsets == MAP_FAILED) {
		index->offsets = NULL;
		return -ENOMEM;
	}
	index->times = reserve(index->times_mapped);
	if (index->times == MAP_FAILED) {
		index->times = NULL;
		segindex_fini(index);
		return -ENOMEM;
	}
	return 0;
}

void segindex_fini(struct segindex *index)
{
	if (index->offsets != NULL)
		(void)munmap(index->offsets, index->offsets_mapped);
	if (index->times != NULL)
		(void)munmap(index->times, index->times_mapped);
	*index = (struct segindex){ .max_timestamp = -1 };
}

void segindex_begin(struct segindex *index, int64_t base)
{
	index->base = base;
	index->offset_count = index->time_count = 0;
	index->since = 0;
	index->max_timestamp = -1;
	index->max_timestamp_offset = base;
}

static int64_t offset_at(const struct segindex *index, uint32_t i)
{
	return index->base + bytes_load_u32(index->offsets + (size_t)i * SEGINDEX_OFFSET_SIZE);
}

static uint32_t pos_at(const struct segindex *index, uint32_t i)
{
	return bytes_load_u32(index->offsets + (size_t)i * SEGINDEX_OFFSET_SIZE + 4);
}

static int64_t timestamp_at(const struct segindex *index, uint32_t i)
{
	return (int64_t)bytes_load_u64(index->times + (size_t)i * SEGINDEX_TIME_SIZE);
}

/* Kafka's maybeAppend(): only a later timestamp makes an entry. */
static void add_time(struct segindex *index)
{
	uint32_t count = index->time_count;
	uint8_t *entry = index->times + (size_t)count * SEGINDEX_TIME_SIZE;

	if (count == index->entries_max ||
	    index->max_timestamp <= (count > 0 ? timestamp_at(index, count - 1) : -1))
		return;
	bytes_store_u64(entry, (uint64_t)index->max_timestamp);
	bytes_store_u32(entry + 8, (uint32_t)(index->max_timestamp_offset - index->base));
	__atomic_store_n(&index->time_count, count + 1, __ATOMIC_RELEASE);
}

void segindex_add(struct segindex *index, uint32_t pos, uint32_t size, int64_t last_offset,
		  int64_t max_timestamp)
{
	uint32_t count = index->offset_count;

	if (max_timestamp > index->max_timestamp) {
		index->max_timestamp_offset = last_offset;
		__atomic_store_n(&index->max_timestamp, max_timestamp, __ATOMIC_RELAXED);
	}
	/* One entry is kept free in the time index for segindex_end(). */
	if (index->since > SEGINDEX_INTERVAL && count + 1 < index->entries_max) {
		uint8_t *entry = index->offsets + (size_t)count * SEGINDEX_OFFSET_SIZE;

		bytes_store_u32(entry, (uint32_t)(last_offset - index->base));
		bytes_store_u32(entry + 4, pos);
		__atomic_store_n(&index->offset_count, count + 1, __ATOMIC_RELEASE);
		add_time(index);
		index->since = 0;
	}
	index->since += size;
}

void segindex_end(struct segindex *index)
{
	add_time(index);
}

/* Number of leading entries for which `is_before` holds, by bisection. */
#define COUNT_BEFORE(count, i, is_before)                                                          \
	({                                                                                         \
		uint32_t low_ = 0, high_ = (count);                                                \
		while (low_ < high_) {                                                             \
			uint32_t i = low_ + (high_ - low_) / 2;                                    \
			if (is_before)                                                             \
				low_ = i + 1;                                                      \
			else                                                                       \
				high_ = i;                                                         \
		}                                                                                  \
		low_;                                                                              \
	})

uint32_t segindex_find(const struct segindex *index, int64_t offset)
{
	uint32_t n = COUNT_BEFORE(index->offset_count, i, offset_at(index, i) <= offset);

	return n > 0 ? pos_at(index, n - 1) : 0;
}

uint32_t segindex_skip(const struct segindex *index, uint32_t pos_max, int64_t limit)
{
	uint32_t n = COUNT_BEFORE(index->offset_count, i,
				  pos_at(index, i) <= pos_max && offset_at(index, i) < limit);

	return n > 0 ? pos_at(index, n - 1) : 0;
}

int64_t segindex_find_time(const struct segindex *index, int64_t timestamp)
{
	uint32_t n = COUNT_BEFORE(index->time_count, i, timestamp_at(index, i) < timestamp);

	/* All batches up to the one of an older entry are older: entries hold the largest so far. */
	return n == 0 ? index->base
		      : index->base +
				bytes_load_u32(index->times + (size_t)(n - 1) * SEGINDEX_TIME_SIZE +
					       8) +
				1;
}

/* Put the file's bytes where the memory is. The kernel swaps the mapping under its own lock, so a
   reader on another core sees the same bytes before and after. */
static int map_in_place(int fd, uint8_t *memory, size_t *mapped, size_t size)
{
	size_t used = ALIGN_UP(size, PAGE);

	if (used == 0 || used > *mapped)
		return 0;
	if (mmap(memory, used, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return -errno;
	if (used < *mapped)
		(void)munmap(memory + used, *mapped - used);
	*mapped = used;
	return 0;
}

static int save_one(int dir_fd, int64_t base, const char *suffix, uint8_t *memory, size_t *mapped,
		    size_t size, bool is_final)
{
	char name[SEGFILE_NAME_MAX];
	int fd, error;

	segfile_name(base, suffix, name);
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	error = segfile_write(fd, memory, size, 0);
	if (error == 0 && ftruncate(fd, (off_t)size) != 0)
		error = -errno;
	if (error == 0 && is_final && fsync(fd) != 0)
		error = -errno;
	if (error == 0 && is_final)
		error = map_in_place(fd, memory, mapped, size);
	(void)close(fd); /* fsync() has reported what matters */
	return error;
}

int segindex_save(struct segindex *index, int dir_fd, bool is_final)
{
	uint32_t offsets = __atomic_load_n(&index->offset_count, __ATOMIC_ACQUIRE);
	uint32_t times = __atomic_load_n(&index->time_count, __ATOMIC_ACQUIRE);
	int error = save_one(dir_fd, index->base, ".index", index->offsets, &index->offsets_mapped,
			     (size_t)offsets * SEGINDEX_OFFSET_SIZE, is_final);

	if (error == 0)
		error = save_one(dir_fd, index->base, ".timeindex", index->times,
				 &index->times_mapped, (size_t)times * SEGINDEX_TIME_SIZE,
				 is_final);
	return error;
}

/* Where the entries of one file go. */
struct load {
	const char *suffix;
	uint32_t entry_size;
	uint8_t *memory;
	size_t *mapped;
};

/* @return number of entries; ERR_CORRUPT; -errno */
static int64_t load_one(const struct segindex *index, int dir_fd, const struct load *load,
			bool is_active)
{
	char name[SEGFILE_NAME_MAX];
	struct stat stat;
	int64_t result;
	int fd;

	segfile_name(index->base, load->suffix, name);
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? ERR_CORRUPT : -errno;
	if (fstat(fd, &stat) != 0)
		result = -errno;
	else if (stat.st_size % load->entry_size != 0 ||
		 stat.st_size / load->entry_size > index->entries_max)
		result = ERR_CORRUPT;
	else if (is_active)
		result = segfile_read(fd, load->memory, (size_t)stat.st_size, 0);
	else
		result = map_in_place(fd, load->memory, load->mapped, (size_t)stat.st_size);
	if (result == 0)
		result = stat.st_size / load->entry_size;
	(void)close(fd); /* nothing was written */
	return result;
}

/* Entries must grow and lie within the log; anything else is rebuilt rather than trusted. Of a rolled
   segment, whose files were made durable whole, only the ends are read, as Kafka does. */
static bool is_sane(const struct segindex *index, uint32_t log_size, bool is_active)
{
	uint32_t first = is_active || index->offset_count == 0 ? 0 : index->offset_count - 1;

	for (uint32_t i = first; i < index->offset_count; i++) {
		if (pos_at(index, i) >= log_size || offset_at(index, i) < index->base ||
		    (i > 0 && (pos_at(index, i) <= pos_at(index, i - 1) ||
			       offset_at(index, i) <= offset_at(index, i - 1))))
			return false;
	}
	first = is_active || index->time_count < 2 ? 1 : index->time_count - 1;
	for (uint32_t i = first; i < index->time_count; i++) {
		if (timestamp_at(index, i) <= timestamp_at(index, i - 1))
			return false;
	}
	return true;
}

int segindex_load(struct segindex *index, int dir_fd, int64_t base, uint32_t log_size,
		  bool is_active)
{
	const struct load offsets = { ".index", SEGINDEX_OFFSET_SIZE, index->offsets,
				      &index->offsets_mapped };
	const struct load times = { ".timeindex", SEGINDEX_TIME_SIZE, index->times,
				    &index->times_mapped };
	int64_t count;

	segindex_begin(index, base);
	count = load_one(index, dir_fd, &offsets, is_active);
	if (count < 0)
		return (int)count;
	index->offset_count = (uint32_t)count;
	count = load_one(index, dir_fd, &times, is_active);
	if (count < 0)
		return (int)count;
	index->time_count = (uint32_t)count;
	if (!is_sane(index, log_size, is_active))
		return ERR_CORRUPT;
	if (count > 0) {
		const uint8_t *last = index->times + (size_t)(count - 1) * SEGINDEX_TIME_SIZE;

		index->max_timestamp = (int64_t)bytes_load_u64(last);
		index->max_timestamp_offset = base + bytes_load_u32(last + 8);
	}
	return 0;
}

void segindex_unlink(const struct segindex *index, int dir_fd)
{
	char name[SEGFILE_NAME_MAX];

	segfile_name(index->base, ".index", name);
	(void)unlinkat(dir_fd, name, 0); /* may not be there */
	segfile_name(index->base, ".timeindex", name);
	(void)unlinkat(dir_fd, name, 0);
}

uint32_t segindex_find_file(int dir_fd, int64_t base, int64_t offset)
{
	char name[SEGFILE_NAME_MAX];
	uint8_t entry[SEGINDEX_OFFSET_SIZE];
	uint32_t pos = 0;
	struct stat stat;
	int fd;

	segfile_name(base, ".index", name);
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (fstat(fd, &stat) == 0 && stat.st_size <= INT32_MAX) {
		uint32_t count = (uint32_t)stat.st_size / SEGINDEX_OFFSET_SIZE;

		/* A failed read ends the search further to the left: longer to read, not wrong. */
		for (uint32_t low = 0; low < count;) {
			uint32_t i = low + (count - low) / 2;

			if (segfile_read(fd, entry, sizeof(entry),
					 (uint64_t)i * SEGINDEX_OFFSET_SIZE) == 0 &&
			    base + bytes_load_u32(entry) <= offset) {
				pos = bytes_load_u32(entry + 4);
				low = i + 1;
			} else {
				count = i;
			}
		}
	}
	(void)close(fd); /* nothing was written */
	return pos;
}

struct time_entry {
	int64_t timestamp;
	int64_t offset;
};

static int read_time(int fd, int64_t base, uint32_t i, struct time_entry *ret_entry)
{
	uint8_t bytes[SEGINDEX_TIME_SIZE];
	int error = segfile_read(fd, bytes, sizeof(bytes), (uint64_t)i * SEGINDEX_TIME_SIZE);

	if (error != 0)
		return error;
	ret_entry->timestamp = (int64_t)bytes_load_u64(bytes);
	ret_entry->offset = base + bytes_load_u32(bytes + 8);
	return 0;
}

/* Open a time index and judge it by its size and its ends. @return descriptor; error */
static int open_times(int dir_fd, int64_t base, int64_t next, uint32_t *ret_count,
		      struct time_entry *ret_last)
{
	char name[SEGFILE_NAME_MAX];
	struct time_entry first, last;
	struct stat stat;
	uint32_t count;
	int fd;

	segfile_name(base, ".timeindex", name);
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) != 0 || stat.st_size <= 0 || stat.st_size > INT32_MAX ||
	    stat.st_size % SEGINDEX_TIME_SIZE != 0)
		goto fail;
	count = (uint32_t)stat.st_size / SEGINDEX_TIME_SIZE;
	if (read_time(fd, base, 0, &first) != 0 || read_time(fd, base, count - 1, &last) != 0 ||
	    last.offset >= next)
		goto fail;
	if (count > 1 && (first.timestamp >= last.timestamp || first.offset >= last.offset))
		goto fail;
	*ret_count = count;
	*ret_last = last;
	return fd;
fail:
	(void)close(fd); /* nothing was written */
	return ERR_CORRUPT;
}

int64_t segindex_find_time_file(int dir_fd, int64_t base, int64_t next, int64_t timestamp)
{
	struct time_entry last, entry;
	int64_t offset = base;
	uint32_t count;
	int fd = open_times(dir_fd, base, next, &count, &last);

	if (fd < 0)
		return base;
	for (uint32_t low = 0; low < count;) {
		uint32_t i = low + (count - low) / 2;

		/* A failed read ends the search further to the left: longer to read, not wrong. */
		if (read_time(fd, base, i, &entry) == 0 && entry.timestamp < timestamp &&
		    entry.offset <= last.offset) {
			offset = entry.offset + 1;
			low = i + 1;
		} else {
			count = i;
		}
	}
	(void)close(fd); /* nothing was written */
	return offset;
}

int64_t segindex_newest_file(int dir_fd, int64_t base, int64_t next)
{
	struct time_entry last;
	uint32_t count;
	int fd = open_times(dir_fd, base, next, &count, &last);

	if (fd < 0)
		return -1;
	(void)close(fd); /* nothing was written */
	return last.timestamp;
}
