/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/partitions.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "storage/partitions_file.h"

#define READ_TRIES_MAX 20000 /* a writer is inside for well under a microsecond, unless it died */
#define READ_SPINS     64    /* tries before the reader lets another thread run */

/* Words of a view: those the owning core rewrites, and those that stay with the cell. */
#define WORD_PARTITION  (offsetof(struct partition_view, partition) / sizeof(uint64_t))
#define WORD_TOPIC      (offsetof(struct partition_view, topic) / sizeof(uint64_t))
#define VIEW_WORD_COUNT (sizeof(struct partition_view) / sizeof(uint64_t))

_Static_assert(sizeof(struct partition_view) % sizeof(uint64_t) == 0, "copied as words");
_Static_assert(offsetof(struct partition_view, partition) % sizeof(uint64_t) == 0, "word 2");
_Static_assert(offsetof(struct partition_view, topic) % sizeof(uint64_t) == 0, "whole words");
_Static_assert(sizeof(struct partition_view) == sizeof(((struct partition_cell *)0)->words),
	       "a cell holds a view");

/* ---- cells ---- */

/*
 * A sequence lock: odd while the writer is inside. The words are copied as atomics, so a reader that
 * races sees old and new words mixed, never an undefined value, and the sequence tells it to try
 * again. The words' own release and acquire order them against the sequence, in place of fences
 * (which thread sanitizers do not know; on x86 both are plain moves).
 */
static void write_words(struct partition_cell *cell, const uint64_t *words, size_t begin,
			size_t end, bool is_used)
{
	uint32_t sequence = cell->sequence;

	__atomic_store_n(&cell->sequence, sequence + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&cell->is_used, is_used, __ATOMIC_RELEASE);
	for (size_t i = begin; i < end; i++)
		__atomic_store_n(&cell->words[i], words[i], __ATOMIC_RELEASE);
	__atomic_store_n(&cell->sequence, sequence + 2, __ATOMIC_RELEASE);
}

void partition_cell_write(struct partition_cell *cell, const struct partition_view *view)
{
	uint64_t words[WORD_TOPIC];

	CHECK(cell->is_used);
	memcpy(words, view, sizeof(words));
	/* The partition number shares a word with the core and stays as it is. */
	memcpy(&words[WORD_PARTITION], &cell->words[WORD_PARTITION], sizeof(view->partition));
	write_words(cell, words, WORD_PARTITION, WORD_TOPIC, true);
}

static bool try_read(const struct partition_cell *cell, uint64_t *ret_words, bool *ret_is_used)
{
	uint32_t before = __atomic_load_n(&cell->sequence, __ATOMIC_ACQUIRE);

	if (before % 2 != 0)
		return false;
	*ret_is_used = __atomic_load_n(&cell->is_used, __ATOMIC_ACQUIRE);
	for (size_t i = 0; i < VIEW_WORD_COUNT; i++)
		ret_words[i] = __atomic_load_n(&cell->words[i], __ATOMIC_ACQUIRE);
	return __atomic_load_n(&cell->sequence, __ATOMIC_RELAXED) == before;
}

bool partition_cell_read(const struct partition_cell *cell, struct partition_view *ret_view)
{
	uint64_t words[VIEW_WORD_COUNT];
	bool is_used;

	for (uint32_t i = 1; !try_read(cell, words, &is_used); i++) {
		if (i == READ_TRIES_MAX)
			return false;
		if (i % READ_SPINS == 0)
			(void)sched_yield();
	}
	if (!is_used)
		return false;
	memcpy(ret_view, words, sizeof(*ret_view));
	ret_view->topic[PARTITIONS_TOPIC_MAX - 1] = '\0'; /* it comes from shared memory */
	return true;
}

/* ---- the file ---- */

static void *map_shared(int fd, size_t size, bool is_writable)
{
	void *map = mmap(NULL, size, is_writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
			 fd, 0);

	return map == MAP_FAILED ? NULL : map;
}

/* Make a sparse file of zeros that others may use as `mode` says, whatever the umask is. */
static int create_file(const char *path, size_t size, mode_t mode)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int error;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) == 0 && fchmod(fd, mode) == 0)
		return fd;
	error = -errno;
	(void)close(fd);
	(void)unlink(path);
	return error;
}

/* Tell those who still have the old file mapped that it will not change any more. */
static void retire_old(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct partitions_header *header;
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && (size_t)st.st_size == PARTITIONS_FILE_SIZE) {
		header = map_shared(fd, sizeof(*header), true);
		if (header != NULL) {
			__atomic_store_n(&header->is_retired, 1, __ATOMIC_RELEASE);
			(void)munmap(header, sizeof(*header));
		}
	}
	(void)close(fd);
}

static int format_path(char *ret_path, const char *path, const char *suffix)
{
	int size = snprintf(ret_path, PARTITIONS_PATH_SIZE, "%s%s", path, suffix);

	return size < PARTITIONS_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

/*
 * The old file is replaced, not emptied: a process that has it mapped would die of SIGBUS. The new
 * one appears under its name only when its header is there.
 */
static int open_writer(struct partitions *table, const char *path)
{
	char temporary[PARTITIONS_PATH_SIZE];
	int error = format_path(temporary, path, ".tmp");
	int fd;

	if (error != 0)
		return error;
	fd = create_file(temporary, PARTITIONS_FILE_SIZE, 0644);
	if (fd < 0)
		return fd;
	table->file = map_shared(fd, PARTITIONS_FILE_SIZE, true);
	(void)close(fd);
	if (table->file == NULL) {
		(void)unlink(temporary);
		return -ENOMEM;
	}
	table->file->header.version = PARTITIONS_VERSION;
	table->file->header.cell_size = sizeof(struct partition_cell);
	table->file->header.cell_max = PARTITIONS_MAX;
	__atomic_store_n(&table->file->header.magic, PARTITIONS_MAGIC, __ATOMIC_RELEASE);
	retire_old(path);
	if (rename(temporary, path) == 0)
		return 0;
	error = -errno;
	(void)unlink(temporary);
	return error;
}

static int open_reader(struct partitions *table, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		error = -errno;
	else if ((size_t)st.st_size != PARTITIONS_FILE_SIZE)
		error = ERR_UNSUPPORTED;
	else if ((table->file = map_shared(fd, PARTITIONS_FILE_SIZE, false)) == NULL)
		error = -ENOMEM;
	(void)close(fd);
	if (error != 0)
		return error;
	if (__atomic_load_n(&table->file->header.magic, __ATOMIC_ACQUIRE) != PARTITIONS_MAGIC ||
	    table->file->header.version != PARTITIONS_VERSION ||
	    table->file->header.cell_size != sizeof(struct partition_cell) ||
	    table->file->header.cell_max != PARTITIONS_MAX)
		return ERR_UNSUPPORTED;
	return 0;
}

/* Leases outlive the dataplane's restart: readers that hold one are still reading. */
static int open_leases(struct partitions *table, const char *path)
{
	char leases[PARTITIONS_PATH_SIZE];
	int error = format_path(leases, path, ".leases");
	struct stat st;
	int fd;

	if (error != 0)
		return error;
	fd = open(leases, O_RDWR | O_CLOEXEC);
	if (fd >= 0 &&
	    (fstat(fd, &st) < 0 || (size_t)st.st_size != sizeof(struct partitions_leases))) {
		(void)close(fd);
		fd = -1;
		errno = ENOENT;
	}
	if (fd < 0 && table->is_writer)
		fd = create_file(leases, sizeof(struct partitions_leases), 0666);
	else if (fd < 0)
		fd = -errno;
	if (fd < 0)
		return fd;
	table->leases = map_shared(fd, sizeof(struct partitions_leases), true);
	(void)close(fd);
	return table->leases != NULL ? 0 : -ENOMEM;
}

int partitions_open(const char *path, bool is_writer, struct partitions **ret_table)
{
	struct partitions *table = calloc(1, sizeof(*table));
	int error;

	if (table == NULL)
		return -ENOMEM;
	table->is_writer = is_writer;
	error = open_leases(table, path);
	table->leases_error = error;
	/* A reader without leases can still look at positions; taking a lease says why it cannot. */
	if (error == 0 || !is_writer)
		error = is_writer ? open_writer(table, path) : open_reader(table, path);
	if (error != 0) {
		partitions_close(table);
		return error;
	}
	*ret_table = table;
	return 0;
}

void partitions_close(struct partitions *table)
{
	if (table == NULL)
		return;
	if (table->file != NULL) {
		if (table->is_writer)
			__atomic_store_n(&table->file->header.is_retired, 1, __ATOMIC_RELEASE);
		(void)munmap(table->file, PARTITIONS_FILE_SIZE);
	}
	if (table->leases != NULL)
		(void)munmap(table->leases, sizeof(*table->leases));
	free(table);
}

bool partitions_is_retired(const struct partitions *table)
{
	return __atomic_load_n(&table->file->header.is_retired, __ATOMIC_ACQUIRE) != 0;
}

/* ---- the table ---- */

struct partition_cell *partitions_add(struct partitions *table, const struct partition_view *view)
{
	struct partitions_file *file = table->file;
	uint32_t count = file->header.count;
	struct partition_cell *cell;
	uint64_t words[VIEW_WORD_COUNT];
	uint32_t index;

	CHECK(table->is_writer);
	CHECK(strnlen(view->topic, PARTITIONS_TOPIC_MAX) < PARTITIONS_TOPIC_MAX);
	for (index = table->first_free; index < count && file->cells[index].is_used; index++)
		continue;
	if (index == PARTITIONS_MAX)
		return NULL;
	table->first_free = index + 1;
	cell = &file->cells[index];
	memcpy(words, view, sizeof(words));
	write_words(cell, words, 0, VIEW_WORD_COUNT, true);
	if (index == count)
		__atomic_store_n(&file->header.count, count + 1, __ATOMIC_RELEASE);
	return cell;
}

void partitions_remove(struct partitions *table, struct partition_cell *cell)
{
	uint32_t index = (uint32_t)(cell - table->file->cells);

	CHECK(table->is_writer);
	CHECK(index < table->file->header.count);
	CHECK(cell->is_used);
	write_words(cell, NULL, 0, 0, false);
	table->first_free = MIN(table->first_free, index);
}

uint32_t partitions_count(const struct partitions *table)
{
	uint32_t count = __atomic_load_n(&table->file->header.count, __ATOMIC_ACQUIRE);

	return MIN(count, (uint32_t)PARTITIONS_MAX);
}

const struct partition_cell *partitions_at(const struct partitions *table, uint32_t index)
{
	CHECK(index < PARTITIONS_MAX);
	return &table->file->cells[index];
}

int partitions_find(const struct partitions *table, const struct uuid *topic_id, uint32_t partition,
		    struct partition_view *ret_view)
{
	uint32_t count = partitions_count(table);
	struct partition_view view;

	for (uint32_t i = 0; i < count; i++) {
		if (!partition_cell_read(&table->file->cells[i], &view))
			continue;
		if (view.partition == partition && uuid_equal(&view.topic_id, topic_id)) {
			*ret_view = view;
			return 0;
		}
	}
	return ERR_UNKNOWN;
}
