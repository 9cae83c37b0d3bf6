/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Copying and CRC-32C in one pass: each byte is loaded once, stored, and folded into the checksum.
 *
 * The wide form folds 256 bytes a step by carry-less multiplication (AVX-512, VPCLMULQDQ), the narrow
 * one 128 (AVX2, PCLMULQDQ); a CPU with neither copies first and checks the copy. Which one runs is
 * decided once, before main().
 *
 * Stores past the caches are in no order with other stores, so whoever publishes such a copy has to
 * fence first. That cannot be forgotten: the checksum, without which nobody takes a batch, is told by
 * crc32c_copy_end() only, which fences.
 *
 * Context: any thread; a copy has one from begin to end. Memory: none. Source: RFC 3720 appendix B.4;
 * "Fast CRC computation for generic polynomials using PCLMULQDQ" (Intel 2009) for the folding.
 */
#pragma once

#include "base/defs.h"

struct crc32c_copy {
	uint32_t crc; /* told by crc32c_copy_end() */
};

void crc32c_copy_begin(struct crc32c_copy *copy);

/** Copy `from` [size] to `to` [size], which must not overlap, and extend the checksum over it. */
void crc32c_copy_put(struct crc32c_copy *copy, void *to, const void *from, size_t size);

/**
 * The same where the caches do not hold the target and nobody reads it soon: written past them, so
 * that no line is loaded only to be overwritten, twice as fast as crc32c_copy_put() then.
 */
void crc32c_copy_put_cold(struct crc32c_copy *copy, void *to, const void *from, size_t size);

/** Bytes that came to their place by another way: the checksum only. */
void crc32c_copy_filled(struct crc32c_copy *copy, const void *at, size_t size);

/** @return crc32c_extend() over all of it, which now comes before all that this thread writes from here on */
uint32_t crc32c_copy_end(const struct crc32c_copy *copy);

enum crc32c_copy_form { CRC32C_COPY_TWO_PASSES, CRC32C_COPY_NARROW, CRC32C_COPY_WIDE };

/**
 * Take another form than the CPU's best, for tests and measurements.
 *
 * @return false: this CPU has no such form, nothing was changed
 * @context no other thread copies
 */
bool crc32c_copy_choose(enum crc32c_copy_form form);
