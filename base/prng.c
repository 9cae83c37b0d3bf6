/* SPDX-License-Identifier: Apache-2.0 */
#include "base/prng.h"

#include <sys/random.h>

#include "base/check.h"

void prng_secure(void *bytes, size_t size)
{
	uint8_t *at = bytes;

	while (size > 0) {
		ssize_t got = getrandom(at, size, 0);

		CHECK(got > 0);
		at += got;
		size -= (size_t)got;
	}
}
