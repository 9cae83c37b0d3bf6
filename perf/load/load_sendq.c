/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_sendq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#include "dataplane/net/checksum.h"

int load_sendq_init(struct load_sendq *queue, uint32_t pieces)
{
	uint32_t count = 1;

	while (count < pieces)
		count <<= 1;
	*queue = (struct load_sendq){ .mask = count - 1 };
	queue->pieces = calloc(count, sizeof(*queue->pieces));
	return queue->pieces != NULL ? 0 : -ENOMEM;
}

void load_sendq_free(struct load_sendq *queue)
{
	free(queue->pieces);
	queue->pieces = NULL;
}

int load_sendq_push(struct load_sendq *queue, const void *head, uint32_t head_size,
		    const void *body, uint32_t body_size)
{
	struct load_sendq_piece *piece = &queue->pieces[queue->end & queue->mask];

	CHECK(head_size <= LOAD_SENDQ_HEAD_MAX);
	if (queue->end - queue->first > queue->mask)
		return -ENOBUFS;
	piece->begin = queue->queued;
	piece->body = body;
	piece->sums = NULL;
	piece->body_size = body_size;
	piece->head_size = head_size;
	memcpy(piece->head, head, head_size);
	queue->end++;
	queue->queued += head_size + body_size;
	return 0;
}

uint32_t load_sendq_peek(const struct load_sendq *queue, uint64_t pos, struct iovec *ret_iov,
			 uint32_t iov_max)
{
	uint64_t at = queue->popped + pos;
	uint32_t count = 0;

	for (uint32_t i = queue->first; i != queue->end && count < iov_max; i++) {
		const struct load_sendq_piece *piece = &queue->pieces[i & queue->mask];
		uint64_t size = (uint64_t)piece->head_size + piece->body_size;
		uint64_t skip = at > piece->begin ? at - piece->begin : 0;

		if (skip >= size)
			continue;
		if (skip < piece->head_size) {
			ret_iov[count++] = (struct iovec){ (void *)(uintptr_t)(piece->head + skip),
							   piece->head_size - skip };
			skip = piece->head_size;
		}
		skip -= piece->head_size;
		if (skip < piece->body_size && count < iov_max)
			ret_iov[count++] = (struct iovec){ (void *)(uintptr_t)(piece->body + skip),
							   piece->body_size - skip };
	}
	return count;
}

void load_sendq_copy(const struct load_sendq *queue, uint64_t pos, void *to, size_t size)
{
	uint8_t *at = to;

	while (size > 0) {
		struct iovec iov[4];
		uint32_t count = load_sendq_peek(queue, pos, iov, ARRAY_COUNT(iov));

		CHECK(count > 0);
		for (uint32_t i = 0; i < count && size > 0; i++) {
			size_t n = MIN(iov[i].iov_len, size);

			memcpy(at, iov[i].iov_base, n);
			at += n;
			pos += n;
			size -= n;
		}
	}
}

void load_sendq_set_sums(struct load_sendq *queue, const struct load_sums *sums)
{
	CHECK(queue->end != queue->first);
	queue->pieces[(queue->end - 1) & queue->mask].sums = sums;
}

/* Copy up to [size] bytes of a piece from `skip` on. @return bytes copied, their sum in `ret_sum` */
static size_t copy_piece(const struct load_sendq_piece *piece, uint64_t skip, uint8_t *to,
			 size_t size, uint64_t *ret_sum)
{
	const uint8_t *from = piece->head + skip;
	size_t n;

	if (skip < piece->head_size) {
		n = MIN(size, (size_t)(piece->head_size - skip));
		memcpy(to, from, n);
		*ret_sum = checksum_add(0, to, n);
		return n;
	}
	skip -= piece->head_size;
	n = MIN(size, (size_t)(piece->body_size - skip));
	memcpy(to, piece->body + skip, n);
	*ret_sum =
		piece->sums != NULL ? load_sums_of(piece->sums, skip, n) : checksum_add(0, to, n);
	return n;
}

uint64_t load_sendq_copy_sum(const struct load_sendq *queue, uint64_t pos, void *to, size_t size)
{
	uint64_t at = queue->popped + pos, sum = 0;
	size_t done = 0;

	CHECK(at + size <= queue->queued);
	for (uint32_t i = queue->first; done < size; i++) {
		const struct load_sendq_piece *piece = &queue->pieces[i & queue->mask];
		uint64_t end = piece->begin + piece->head_size + piece->body_size;

		while (done < size && at < end) {
			uint64_t part;
			size_t n = copy_piece(piece, at - piece->begin, (uint8_t *)to + done,
					      size - done, &part);

			sum += done % 2 != 0 ? load_sums_swap(part) : part;
			done += n;
			at += n;
		}
	}
	return sum;
}

void load_sendq_pop(struct load_sendq *queue, uint64_t size)
{
	CHECK(size <= load_sendq_size(queue));
	queue->popped += size;
	while (queue->first != queue->end) {
		const struct load_sendq_piece *piece = &queue->pieces[queue->first & queue->mask];

		if (piece->begin + piece->head_size + piece->body_size > queue->popped)
			break;
		queue->first++;
	}
}
