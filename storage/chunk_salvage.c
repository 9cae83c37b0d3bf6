/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "storage/chunk_dir.h"

/*
 * Everything is read with pread(), never through a mapping: a file whose pages were not all there
 * when its process died would raise SIGBUS.
 */

struct salvage {
	int fd;
	struct chunk_dir_header header;
	struct chunk_dir_entry *entries; /* [entry_count] valid ones, sorted */
	uint32_t entry_count;
	bool has_damage;
	uint8_t *bytes; /* [CHUNK_SIZE_MAX] */
};

static void salvage_fini(struct salvage *salvage)
{
	if (salvage->fd >= 0)
		(void)close(salvage->fd); /* read only */
	free(salvage->entries);
	free(salvage->bytes);
}

/* @return bytes read, less than `size` at the end of the file; -errno */
static int64_t read_at(int fd, void *ret_bytes, size_t size, uint64_t pos)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n =
			pread(fd, (uint8_t *)ret_bytes + done, size - done, (off_t)(pos + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

/* @return 1 usable; 0 nothing of ours in it; ERR_CORRUPT, ERR_UNSUPPORTED, -errno */
static int read_header(struct salvage *salvage, const struct chunk_identity *identity)
{
	struct chunk_dir_header *header = &salvage->header;
	struct stat st;
	int64_t size;

	if (fstat(salvage->fd, &st) < 0)
		return -errno;
	size = read_at(salvage->fd, header, sizeof(*header), 0);
	if (size < 0)
		return (int)size;
	/* An unfinished header was never followed by a bind. */
	if (size < (int64_t)sizeof(*header) || header->magic == 0)
		return 0;
	if (header->magic != CHUNK_DIR_MAGIC || header->crc != chunk_dir_header_crc(header))
		return ERR_CORRUPT;
	if (memcmp(header->boot_id, identity->boot_id, sizeof(header->boot_id)) != 0 ||
	    !uuid_equal(&header->directory_id, &identity->directory_id))
		return 0;
	if (header->version != CHUNK_DIR_VERSION)
		return ERR_UNSUPPORTED;
	if (header->unit_count == 0 || header->unit_count > CHUNK_DIR_UNITS_MAX ||
	    header->area_pos != chunk_dir_area_pos(header->unit_count) ||
	    (uint64_t)st.st_size < header->area_pos + (uint64_t)header->unit_count * CHUNK_SIZE_MIN)
		return ERR_CORRUPT;
	return 1;
}

static bool is_entry_good(const struct chunk_dir_entry *entry, uint32_t unit, uint32_t unit_count)
{
	uint32_t units = entry->size / CHUNK_SIZE_MIN;

	return entry->crc == chunk_dir_entry_crc(entry) && entry->unit == unit &&
	       entry->size >= CHUNK_SIZE_MIN && entry->size <= CHUNK_SIZE_MAX &&
	       IS_POW2(entry->size) && units <= unit_count - unit && unit % units == 0;
}

static int compare_entries(const void *left, const void *right)
{
	const struct chunk_dir_entry *a = left;
	const struct chunk_dir_entry *b = right;
	int order = memcmp(a->topic_id.bytes, b->topic_id.bytes, UUID_SIZE);

	if (order != 0)
		return order;
	if (a->partition != b->partition)
		return a->partition < b->partition ? -1 : 1;
	if (a->segment_base != b->segment_base)
		return a->segment_base < b->segment_base ? -1 : 1;
	if (a->pos != b->pos)
		return a->pos < b->pos ? -1 : 1;
	return a->bound < b->bound ? -1 : a->bound > b->bound;
}

/* Read the directory and keep its valid entries, in the order of the visit. */
static int read_entries(struct salvage *salvage)
{
	uint32_t unit_count = salvage->header.unit_count;
	size_t size = unit_count * sizeof(struct chunk_dir_entry);
	int64_t got;

	salvage->entries = malloc(size);
	if (salvage->entries == NULL)
		return -ENOMEM;
	got = read_at(salvage->fd, salvage->entries, size, CHUNK_DIR_ENTRIES_AT);
	if (got < 0)
		return (int)got;
	if ((size_t)got != size)
		return ERR_CORRUPT;
	for (uint32_t unit = 0; unit < unit_count; unit++) {
		const struct chunk_dir_entry *entry = &salvage->entries[unit];

		if (entry->state == 0)
			continue;
		if (entry->state != CHUNK_DIR_BOUND || !is_entry_good(entry, unit, unit_count)) {
			salvage->has_damage = true;
			continue;
		}
		salvage->entries[salvage->entry_count++] = *entry;
	}
	qsort(salvage->entries, salvage->entry_count, sizeof(*salvage->entries), compare_entries);
	return 0;
}

static int visit_entry(struct salvage *salvage, const struct chunk_dir_entry *entry,
		       int (*visit)(void *ctx, const struct chunk_remains *remains), void *ctx)
{
	uint64_t at = salvage->header.area_pos + (uint64_t)entry->unit * CHUNK_SIZE_MIN;
	struct chunk_remains remains = {
		.topic_id = entry->topic_id,
		.partition = entry->partition,
		.segment_base = entry->segment_base,
		.pos = entry->pos,
		.size = entry->size,
		.bytes = salvage->bytes,
	};
	int64_t got = read_at(salvage->fd, salvage->bytes, entry->size, at);

	if (got < 0)
		return (int)got;
	if ((uint64_t)got != entry->size)
		return ERR_CORRUPT;
	return visit(ctx, &remains);
}

static int salvage_run(struct salvage *salvage, const struct chunk_identity *identity,
		       int (*visit)(void *ctx, const struct chunk_remains *remains), void *ctx)
{
	int error = read_header(salvage, identity);

	if (error <= 0)
		return error;
	error = read_entries(salvage);
	if (error != 0)
		return error;
	/* Aligned, so that the visitor may hand it to an O_DIRECT write. */
	salvage->bytes = aligned_alloc(CHUNK_DIR_ENTRIES_AT, CHUNK_SIZE_MAX);
	if (salvage->bytes == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < salvage->entry_count; i++) {
		error = visit_entry(salvage, &salvage->entries[i], visit, ctx);
		if (error != 0)
			return error;
	}
	return salvage->has_damage ? ERR_CORRUPT : 0;
}

int chunk_salvage(const char *path, const struct chunk_identity *identity,
		  int (*visit)(void *ctx, const struct chunk_remains *remains), void *ctx)
{
	struct salvage salvage = { .fd = open(path, O_RDONLY | O_CLOEXEC) };
	int error;

	if (salvage.fd < 0)
		return errno == ENOENT ? 0 : -errno;
	error = salvage_run(&salvage, identity, visit, ctx);
	salvage_fini(&salvage);
	return error;
}
