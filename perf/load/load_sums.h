/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Internet checksums of parts of bytes that are sent again and again, looked up instead of counted: the
 * driver's share of a segment is then one copy.
 *
 * Context: any thread. Memory: 8 bytes for each LOAD_SUMS_BLOCK, at load_sums_new(). Source: RFC 1071
 * section 2 (sums may be made in any order, and of bytes in swapped order).
 */
#pragma once

#include "base/defs.h"

#define LOAD_SUMS_BLOCK 128U

struct load_sums {
	const uint8_t *bytes;
	uint64_t *before; /* [size / LOAD_SUMS_BLOCK + 1] of all whole blocks before one */
};

/** @param bytes  [size], borrowed and not changed until load_sums_free(). @return 0; -ENOMEM */
NODISCARD int load_sums_new(struct load_sums *sums, const uint8_t *bytes, size_t size);
void load_sums_free(struct load_sums *sums);

/** @return sum, to be added to others, of [size] bytes from `begin` as they stand at an even place */
uint64_t load_sums_of(const struct load_sums *sums, size_t begin, size_t size);

/** @return a sum of bytes at an even place, as of the same bytes at an odd one */
uint64_t load_sums_swap(uint64_t sum);
