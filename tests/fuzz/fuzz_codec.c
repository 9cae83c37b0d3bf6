/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: any bytes decompress within the limit, or fail with a defined error, without a read past
 * their end; what an input leaves behind does not disturb the next one.
 * Input: one byte that names the codec, then what a batch's records section holds.
 */
#include <errno.h>

#include "base/check.h"

#include "compute/scan/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct codec *codec;
	const uint8_t *out = NULL;
	uint32_t out_size = 0;
	int error;

	if (codec == NULL)
		CHECK(codec_new(&codec) == 0);
	if (size < 1 || size > INT32_MAX)
		return 0;
	error = codec_decompress(codec, (enum batch_codec)(bytes[0] % 6), bytes + 1,
				 (uint32_t)size - 1, &out, &out_size);
	CHECK(error == 0 || error == ERR_CORRUPT || error == ERR_TOO_LARGE ||
	      error == ERR_UNSUPPORTED || error == -ENOMEM);
	CHECK(out_size <= CODEC_SIZE_MAX);
	CHECK((error == 0) == (out != NULL));
	return 0;
}
