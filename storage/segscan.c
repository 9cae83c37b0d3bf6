/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/segscan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"

#define BUFFER_SIZE (256U * 1024)

void segscan_begin(struct segscan *scan, int fd, uint64_t pos, uint64_t limit)
{
	scan->fd = fd;
	scan->pos = pos;
	scan->limit = limit;
	scan->buffer_pos = pos;
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
	uint8_t *buffer;

	while (capacity < size)
		capacity *= 2;
	if (capacity == scan->capacity)
		return 0;
	buffer = realloc(scan->buffer, capacity);
	if (buffer == NULL)
		return -ENOMEM;
	scan->buffer = buffer;
	scan->capacity = capacity;
	return 0;
}

/* Have `size` bytes from scan->pos on in the buffer; what lies before is dropped when room is short.
   @return 0; ERR_TRUNCATED the file ends before; -errno */
static int fill(struct segscan *scan, size_t size)
{
	size_t begin = (size_t)(scan->pos - scan->buffer_pos);
	int error;

	if (scan->filled >= begin + size)
		return 0;
	if (begin > scan->filled)
		begin = scan->filled; /* skipped past the buffer */
	if (begin > 0)
		memmove(scan->buffer, scan->buffer + begin, scan->filled - begin);
	scan->filled -= begin;
	scan->buffer_pos = scan->pos;
	error = reserve(scan, size);
	if (error != 0)
		return error;
	while (scan->filled < size) {
		uint64_t at = scan->buffer_pos + scan->filled;
		size_t room = MIN(scan->capacity - scan->filled, (size_t)(scan->limit - at));
		ssize_t n = pread(scan->fd, scan->buffer + scan->filled, room, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return ERR_TRUNCATED;
		scan->filled += (size_t)n;
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
