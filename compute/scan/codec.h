/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Decompression of a batch's records section: gzip, snappy (raw, and the Java client's framing), lz4
 * frames, zstd.
 *
 * Context: one thread per codec. Memory: heap, contexts kept between calls.
 * Limits: CODEC_SIZE_MAX bytes out, checked before memory is taken.
 */
#pragma once

#include "base/defs.h"
#include "storage/batch.h"

#define CODEC_SIZE_MAX (64U << 20)

struct codec;

NODISCARD int codec_new(struct codec **ret_codec);
void codec_free(struct codec *codec);
DEFINE_CLEANUP(struct codec, codec_free);

/**
 * @param bytes           [size]
 * @param[out] ret_bytes  [*ret_size] borrowed until the next call
 * @return 0; ERR_CORRUPT the bytes do not decompress; ERR_TOO_LARGE; ERR_UNSUPPORTED; -ENOMEM
 */
NODISCARD int codec_decompress(struct codec *codec, enum batch_codec kind, const uint8_t *bytes,
			       uint32_t size, const uint8_t **ret_bytes, uint32_t *ret_size);
