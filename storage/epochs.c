/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/epochs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "storage/segfile.h"

#define FILE_NAME "leader-epoch-checkpoint"
/* A line holds an epoch of at most 11 and an offset of at most 20 characters. */
#define TEXT_MAX (EPOCHS_MAX * 40 + 32)

void epochs_truncate(struct epochs *epochs, int64_t end)
{
	while (epochs->count > 0 && epochs->entries[epochs->count - 1].start >= end)
		epochs->count--;
}

void epochs_assign(struct epochs *epochs, int32_t epoch, int64_t start)
{
	if (epochs->count > 0 && epochs->entries[epochs->count - 1].epoch >= epoch)
		return;
	epochs_truncate(epochs, start);
	if (epochs->count == EPOCHS_MAX) {
		memmove(epochs->entries, epochs->entries + 1,
			(EPOCHS_MAX - 1) * sizeof(epochs->entries[0]));
		epochs->count--;
	}
	epochs->entries[epochs->count++] = (struct epoch){ .epoch = epoch, .start = start };
}

int64_t epochs_end(const struct epochs *epochs, int32_t epoch, int64_t high_watermark,
		   int32_t *ret_epoch)
{
	uint32_t n = epochs->count;

	*ret_epoch = -1;
	/* An epoch we never had is not ours to answer for. */
	if (epoch < 0 || n == 0 || epoch > epochs->entries[n - 1].epoch)
		return -1;
	while (n > 0 && epochs->entries[n - 1].epoch > epoch)
		n--;
	/* Older than all that is known: it ended where the first known one began. */
	*ret_epoch = n > 0 ? epochs->entries[n - 1].epoch : epoch;
	return n < epochs->count ? epochs->entries[n].start : high_watermark;
}

uint32_t epochs_first(const struct epochs *epochs, int64_t log_start)
{
	uint32_t first = 0;

	while (first + 1 < epochs->count && epochs->entries[first + 1].start <= log_start)
		first++;
	return first;
}

int epochs_save(const struct epochs *epochs, int dir_fd, int64_t log_start)
{
	uint32_t first = epochs_first(epochs, log_start);
	char text[TEXT_MAX];
	size_t size;

	size = (size_t)snprintf(text, sizeof(text), "0\n%" PRIu32 "\n", epochs->count - first);
	for (uint32_t i = first; i < epochs->count; i++) {
		int64_t start = MAX(epochs->entries[i].start, i == first ? log_start : 0);

		size += (size_t)snprintf(text + size, sizeof(text) - size,
					 "%" PRId32 " %" PRId64 "\n", epochs->entries[i].epoch,
					 start);
	}
	return segfile_replace(dir_fd, FILE_NAME, text, size);
}

int epochs_load(struct epochs *epochs, int dir_fd)
{
	char text[TEXT_MAX];
	const char *at = text;
	int64_t size = segfile_load(dir_fd, FILE_NAME, text, sizeof(text));
	uint32_t count;
	int used;

	epochs->count = 0;
	if (size == -ENOENT)
		return 0;
	if (size == -EFBIG)
		return ERR_CORRUPT;
	if (size < 0)
		return (int)size;
	if (sscanf(at, "0 %" SCNu32 "%n", &count, &used) != 1)
		return ERR_CORRUPT;
	at += used;
	for (uint32_t i = 0; i < count; i++) {
		int32_t epoch;
		int64_t start;

		if (sscanf(at, "%" SCNd32 " %" SCNd64 "%n", &epoch, &start, &used) != 2)
			return ERR_CORRUPT;
		at += used;
		epochs_assign(epochs, epoch, start);
	}
	return 0;
}
