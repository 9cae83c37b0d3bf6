/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The Internet checksum.
 *
 * Sums are kept in memory's own byte order: a one's complement sum is the same in either, so the
 * folded result is stored and compared without swapping. The widest form that the CPU has is chosen
 * once, before main().
 *
 * Context: any thread. Memory: none. Limits: 64 KiB a sum. Source: RFC 1071.
 */
#pragma once

#include "base/defs.h"

/** @return `sum` and the 16-bit words of `bytes` [size]; an odd last byte is padded with zero */
uint64_t checksum_add(uint64_t sum, const void *bytes, size_t size);

/** @return the checksum, to be stored by memcpy(); 0 when a sum that includes a right one is given */
uint16_t checksum_fold(uint64_t sum);

/** @return sum of the pseudo header of TCP or UDP; addresses in host byte order */
uint64_t checksum_pseudo(uint32_t source, uint32_t destination, uint8_t protocol, uint16_t size);

enum checksum_form { CHECKSUM_WORDS, CHECKSUM_AVX2, CHECKSUM_AVX512 };

/**
 * Take another form than the CPU's best, for tests and measurements.
 *
 * @return false: this CPU has no such form, nothing was changed
 */
bool checksum_choose(enum checksum_form form);
