/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/segscan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "storage/segfile.h"

#define BUFFER_SIZE (256U * 1024)

void segscan_begin(struct segscan *scan, int fd, uint64_t pos, uint64_t limit)
{
	scan->fd = fd;
	scan->pos = pos;
	scan->limit = limit;
	scan->buffer_pos = ALIGN_DOWN(pos, SEGFILE_ALIGN);
	scan->filled = 0;
}

void segscan_fini(struct segscan *scan)
{
	free(scan->buffer);
	*scan = (struct segscan){ .fd = -1 };
}

static int reserve(struct segscan *scan, size_t size)
{
	size_t capacity = MAX(scan->capacity, (size_t)BUFFER_SIZE);
	void *buffer;

	while (capacity < size)
		capacity *= 2;
	if (capacity == scan->capacity)
		return 0;
	if (posix_memalign(&buffer, SEGFILE_ALIGN, capacity) != 0)
		return -ENOMEM;
	if (scan->filled > 0)
		memcpy(buffer, scan->buffer, scan->filled);
	free(scan->buffer);
	scan->buffer = buffer;
	scan->capacity = capacity;
	return 0;
}

/* Have `size` bytes from scan->pos on in the buffer, by direct reads of whole blocks: the page cache
   has no say in what another process's direct writes look like. Bytes past the limit are not kept,
   they may change. @return 0; ERR_TRUNCATED the file ends before; -errno */
static int fill(struct segscan *scan, size_t size)
{
	uint64_t base = ALIGN_DOWN(scan->pos, SEGFILE_ALIGN);
	size_t need = (size_t)(scan->pos - base) + size;
	size_t shift = (size_t)(base - scan->buffer_pos);
	int error;

	if (scan->buffer_pos + scan->filled >= scan->pos + size)
		return 0;
	shift = MIN(shift, scan->filled);
	if (shift > 0)
		memmove(scan->buffer, scan->buffer + shift, scan->filled - shift);
	scan->filled -= shift;
	scan->buffer_pos = base;
	error = reserve(scan, need);
	if (error != 0)
		return error;
	while (scan->filled < need) {
		size_t at = ALIGN_DOWN(scan->filled, SEGFILE_ALIGN);
		uint64_t left = ALIGN_UP(scan->limit - base - at, SEGFILE_ALIGN);
		ssize_t n = pread(scan->fd, scan->buffer + at,
				  (size_t)MIN((uint64_t)(scan->capacity - at), left),
				  (off_t)(base + at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (at + (size_t)n <= scan->filled)
			return ERR_TRUNCATED;
		scan->filled = (size_t)MIN((uint64_t)(at + (size_t)n), scan->limit - base);
	}
	return 0;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

int segscan_next(struct segscan *scan, struct batch *ret_batch, const uint8_t **ret_bytes)
{
	uint64_t left = scan->limit - scan->pos;
	size_t header_size = (size_t)MIN(left, (uint64_t)BATCH_HEADER_SIZE);
	struct batch batch;
	const uint8_t *bytes;
	int error;

	if (left == 0)
		return 0;
	error = fill(scan, header_size);
	if (error != 0)
		return error == ERR_TRUNCATED ? ERR_CORRUPT : error;
	bytes = scan->buffer + (scan->pos - scan->buffer_pos);
	if (is_zero(bytes, header_size))
		return 0;
	if (header_size < BATCH_HEADER_SIZE || batch_decode(bytes, &batch) != 0 ||
	    batch.magic != BATCH_MAGIC || batch.size > left || batch.size > SEGSCAN_BATCH_MAX ||
	    batch.base_offset < 0 || batch.last_offset_delta < 0)
		return ERR_CORRUPT;
	error = fill(scan, batch.size);
	if (error != 0)
		return error == ERR_TRUNCATED ? ERR_CORRUPT : error;
	bytes = scan->buffer + (scan->pos - scan->buffer_pos);
	if (crc32c_extend(CRC32C_INIT, bytes + BATCH_CRC_BEGIN, batch.size - BATCH_CRC_BEGIN) !=
	    batch.crc)
		return ERR_CORRUPT;
	scan->pos += batch.size;
	*ret_batch = batch;
	*ret_bytes = bytes;
	return 1;
}
