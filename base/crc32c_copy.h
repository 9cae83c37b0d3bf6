/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Copying and CRC-32C in one pass: each byte is loaded once, stored, and folded into the checksum.
 *
 * The wide form folds 256 bytes a step by carry-less multiplication (AVX-512, VPCLMULQDQ); a CPU
 * without it copies first and checks the copy. Which one runs is decided once, before main().
 *
 * Context: any thread. Memory: none. Source: RFC 3720 appendix B.4; "Fast CRC computation for generic
 * polynomials using PCLMULQDQ" (Intel 2009) for the folding.
 */
#pragma once

#include "base/defs.h"

/**
 * Copy `from` [size] to `to` [size], which must not overlap, and extend a checksum over it.
 *
 * @param crc  as in crc32c_extend()
 * @return as crc32c_extend()
 */
uint32_t crc32c_copy(uint32_t crc, void *to, const void *from, size_t size);

/**
 * The same where the caches do not hold the target and nobody reads it soon: the wide form writes past
 * them, so that no line is loaded only to be overwritten, twice as fast as crc32c_copy() then.
 * Whoever lets another thread or a device see the copy calls crc32c_copy_fence() first.
 */
uint32_t crc32c_copy_cold(uint32_t crc, void *to, const void *from, size_t size);

/** What crc32c_copy_cold() wrote comes before all that this thread writes from here on. */
void crc32c_copy_fence(void);

enum crc32c_copy_form { CRC32C_COPY_TWO_PASSES, CRC32C_COPY_WIDE };

/**
 * Take another form than the CPU's best, for tests and measurements.
 *
 * @return false: this CPU has no such form, nothing was changed
 * @context no other thread copies
 */
bool crc32c_copy_choose(enum crc32c_copy_form form);
