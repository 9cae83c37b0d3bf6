/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include <isa-l/crc.h>
#include <limits.h>

uint32_t crc32c_extend(uint32_t crc, const void *bytes, size_t size)
{
	/* ISA-L takes a non-const buffer and an int length, and leaves both inversions to us. */
	unsigned char *at = (unsigned char *)(uintptr_t)bytes;
	uint32_t state = ~crc;

	while (size > 0) {
		int piece = (int)MIN(size, (size_t)INT_MAX);

		state = crc32_iscsi(at, piece, state);
		at += piece;
		size -= (size_t)piece;
	}
	return ~state;
}
