/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * CRC-32C (Castagnoli), the checksum of Kafka's record batches; ISA-L does the work.
 *
 * Context: any thread. Memory: none. Source: RFC 3720 appendix B.4 for the test vectors.
 */
#pragma once

#include "base/defs.h"

/** Start value of an incremental computation. */
#define CRC32C_INIT UINT32_C(0)

/**
 * Extend a checksum.
 *
 * @param crc    CRC32C_INIT or the value returned for the bytes before
 * @param bytes  [size] input
 * @param size   bytes; any, 0 included
 * @return checksum of everything so far, final form (no further inversion needed)
 */
uint32_t crc32c_extend(uint32_t crc, const void *bytes, size_t size);
