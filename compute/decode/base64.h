/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Base64 with padding (RFC 4648, section 4), as binary columns have it.
 *
 * Context: any thread. Memory: none.
 */
#pragma once

#include "base/defs.h"

/** @return bytes that `size` characters cannot exceed */
static inline uint32_t base64_bound(uint32_t size)
{
	return size / 4 * 3;
}

/**
 * @param out  [base64_bound(size)] undefined on failure
 * @return bytes; -1: the text is not base64 in its one canonical form
 */
int64_t base64_decode(const uint8_t *text, uint32_t size, uint8_t *out);
