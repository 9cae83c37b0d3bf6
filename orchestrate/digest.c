/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/digest.h"

#include <openssl/sha.h>

void digest_hex(const void *bytes, size_t size, char *ret)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[SHA256_DIGEST_LENGTH];

	(void)SHA256(bytes, size, digest);
	for (size_t i = 0; i < sizeof(digest); i++) {
		ret[2 * i] = digits[digest[i] >> 4];
		ret[2 * i + 1] = digits[digest[i] & 15];
	}
	ret[2 * sizeof(digest)] = '\0';
}
