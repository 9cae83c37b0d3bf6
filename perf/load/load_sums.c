/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/net/checksum.h"

int load_sums_new(struct load_sums *sums, const uint8_t *bytes, size_t size)
{
	size_t blocks = size / LOAD_SUMS_BLOCK;

	sums->bytes = bytes;
	sums->before = malloc((blocks + 1) * sizeof(*sums->before));
	if (sums->before == NULL)
		return -ENOMEM;
	sums->before[0] = 0;
	for (size_t i = 0; i < blocks; i++)
		sums->before[i + 1] =
			checksum_add(sums->before[i], bytes + i * LOAD_SUMS_BLOCK, LOAD_SUMS_BLOCK);
	return 0;
}

void load_sums_free(struct load_sums *sums)
{
	free(sums->before);
	sums->before = NULL;
}

uint64_t load_sums_swap(uint64_t sum)
{
	return __builtin_bswap16((uint16_t)~checksum_fold(sum));
}

uint64_t load_sums_of(const struct load_sums *sums, size_t begin, size_t size)
{
	size_t first = ALIGN_UP(begin, LOAD_SUMS_BLOCK), end = begin + size;
	size_t last = end / LOAD_SUMS_BLOCK * LOAD_SUMS_BLOCK;
	uint64_t sum;

	if (first >= last)
		return checksum_add(0, sums->bytes + begin, size);
	/* Before the first block an odd number of bytes makes all that follows stand at odd places. */
	sum = sums->before[last / LOAD_SUMS_BLOCK] - sums->before[first / LOAD_SUMS_BLOCK];
	sum = checksum_add(sum, sums->bytes + last, end - last);
	if ((first - begin) % 2 != 0)
		sum = load_sums_swap(sum);
	return checksum_add(sum, sums->bytes + begin, first - begin);
}
