/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/scan/codec.h"

#define ZLIB_CONST /* its input is const */

#include <errno.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define SIZE_FIRST       (64U * 1024)
#define CAPACITY_MAX     (CODEC_SIZE_MAX + 1) /* one more, to tell a full buffer from the end */
#define GZIP_WINDOW_BITS (15 + 16)            /* with gzip's header and trailer */
#define ZSTD_WINDOW_LOG  26                   /* of CODEC_SIZE_MAX */
#define SNAPPY_RATIO_MAX 64                   /* a copy of 64 bytes takes two at the least */
#define XERIAL_HEADER    16

static const uint8_t xerial_magic[8] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0 };

struct codec {
	uint8_t *out; /* [capacity], `size` of them used */
	size_t capacity;
	size_t size;
	z_stream zlib;
	bool has_zlib;
	LZ4F_dctx *lz4;
	ZSTD_DCtx *zstd;
};

int codec_new(struct codec **ret_codec)
{
	struct codec *codec = calloc(1, sizeof(*codec));

	if (codec == NULL)
		return -ENOMEM;
	*ret_codec = codec;
	return 0;
}

void codec_free(struct codec *codec)
{
	if (codec == NULL)
		return;
	if (codec->has_zlib)
		(void)inflateEnd(&codec->zlib);
	(void)LZ4F_freeDecompressionContext(codec->lz4);
	(void)ZSTD_freeDCtx(codec->zstd);
	free(codec->out);
	free(codec);
}

/* Room for `size` bytes in all. */
static int reserve(struct codec *codec, size_t size)
{
	size_t capacity = MAX(codec->capacity, (size_t)SIZE_FIRST);
	uint8_t *out;

	if (size > CAPACITY_MAX)
		return ERR_TOO_LARGE;
	while (capacity < size)
		capacity = MIN(2 * capacity, (size_t)CAPACITY_MAX);
	if (capacity == codec->capacity)
		return 0;
	out = realloc(codec->out, capacity);
	if (out == NULL)
		return -ENOMEM;
	codec->out = out;
	codec->capacity = capacity;
	return 0;
}

/* Room for at least one more byte. */
static int more(struct codec *codec)
{
	return codec->size < codec->capacity ? 0 : reserve(codec, codec->size + 1);
}

static int gzip_begin(struct codec *codec)
{
	int result = codec->has_zlib ? inflateReset(&codec->zlib)
				     : inflateInit2(&codec->zlib, GZIP_WINDOW_BITS);

	codec->has_zlib = codec->has_zlib || result == Z_OK;
	return result == Z_OK ? 0 : -ENOMEM;
}

/* Members may follow one another, as Java's GZIPInputStream has it. */
static int gzip(struct codec *codec, const uint8_t *bytes, uint32_t size)
{
	z_stream *zlib = &codec->zlib;
	int error = gzip_begin(codec);
	int result = Z_OK;

	if (error != 0)
		return error;
	zlib->next_in = bytes;
	zlib->avail_in = size;
	while (error == 0 && (result != Z_STREAM_END || zlib->avail_in > 0)) {
		if (result == Z_STREAM_END && inflateReset(zlib) != Z_OK)
			return ERR_CORRUPT;
		error = more(codec);
		if (error != 0)
			break;
		zlib->next_out = codec->out + codec->size;
		zlib->avail_out = (uInt)(codec->capacity - codec->size);
		result = inflate(zlib, Z_NO_FLUSH);
		codec->size = codec->capacity - zlib->avail_out;
		if (result == Z_MEM_ERROR)
			error = -ENOMEM;
		else if (result != Z_OK && result != Z_STREAM_END)
			error = ERR_CORRUPT;
	}
	return error;
}

static int snappy_block(struct codec *codec, const uint8_t *bytes, size_t size)
{
	const char *from = (const char *)bytes;
	size_t length;
	int error;

	/* The length is the producer's word: held against what so few bytes can become. */
	if (snappy_uncompressed_length(from, size, &length) != SNAPPY_OK ||
	    length > size * SNAPPY_RATIO_MAX)
		return ERR_CORRUPT;
	if (length > CODEC_SIZE_MAX)
		return ERR_TOO_LARGE;
	error = reserve(codec, codec->size + length);
	if (error != 0)
		return error;
	if (snappy_uncompress(from, size, (char *)codec->out + codec->size, &length) != SNAPPY_OK)
		return ERR_CORRUPT;
	codec->size += length;
	return 0;
}

/* Raw, or as the Java client frames it: magic 8, version 4, compatible 4, then blocks { size 4, raw }. */
static int snappy(struct codec *codec, const uint8_t *bytes, uint32_t size)
{
	struct reader reader;
	int error = 0;

	if (size < XERIAL_HEADER || memcmp(bytes, xerial_magic, sizeof(xerial_magic)) != 0)
		return snappy_block(codec, bytes, size);
	reader_init(&reader, bytes + XERIAL_HEADER, size - XERIAL_HEADER);
	while (error == 0 && reader_left(&reader) > 0) {
		uint32_t block_size = reader_u32(&reader);
		const uint8_t *block = reader_bytes(&reader, block_size);

		error = block != NULL ? snappy_block(codec, block, block_size) : ERR_CORRUPT;
	}
	return error;
}

static int lz4(struct codec *codec, const uint8_t *bytes, uint32_t size)
{
	uint32_t at = 0;
	size_t hint = 1; /* 0: a frame has ended */

	if (codec->lz4 == NULL &&
	    LZ4F_isError(LZ4F_createDecompressionContext(&codec->lz4, LZ4F_VERSION)))
		return -ENOMEM;
	LZ4F_resetDecompressionContext(codec->lz4);
	while (at < size || hint != 0) {
		size_t in = size - at, out;
		int error = more(codec);

		if (error != 0)
			return error;
		out = codec->capacity - codec->size;
		hint = LZ4F_decompress(codec->lz4, codec->out + codec->size, &out, bytes + at, &in,
				       NULL);
		if (LZ4F_isError(hint))
			return ERR_CORRUPT;
		if (in == 0 && out == 0 && hint != 0)
			return ERR_CORRUPT; /* it wants bytes that are not there */
		at += (uint32_t)in;
		codec->size += out;
	}
	return 0;
}

static int zstd_begin(struct codec *codec, const uint8_t *bytes, uint32_t size)
{
	unsigned long long known = ZSTD_getFrameContentSize(bytes, size);

	if (known == ZSTD_CONTENTSIZE_ERROR)
		return ERR_CORRUPT;
	if (known != ZSTD_CONTENTSIZE_UNKNOWN && known > CODEC_SIZE_MAX)
		return ERR_TOO_LARGE;
	if (codec->zstd == NULL)
		codec->zstd = ZSTD_createDCtx();
	if (codec->zstd == NULL)
		return -ENOMEM;
	if (ZSTD_isError(ZSTD_DCtx_reset(codec->zstd, ZSTD_reset_session_only)) ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(codec->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG)))
		return ERR_UNSUPPORTED;
	return 0;
}

static int zstd(struct codec *codec, const uint8_t *bytes, uint32_t size)
{
	ZSTD_inBuffer in = { bytes, size, 0 };
	int error = zstd_begin(codec, bytes, size);
	size_t hint = 1; /* 0: a frame has ended */

	while (error == 0 && (in.pos < in.size || hint != 0)) {
		ZSTD_outBuffer out;
		size_t in_before = in.pos;

		error = more(codec);
		if (error != 0)
			break;
		out = (ZSTD_outBuffer){ codec->out, codec->capacity, codec->size };
		hint = ZSTD_decompressStream(codec->zstd, &out, &in);
		if (ZSTD_isError(hint) ||
		    (in.pos == in_before && out.pos == codec->size && hint != 0))
			error = ERR_CORRUPT;
		codec->size = out.pos;
	}
	return error;
}

int codec_decompress(struct codec *codec, enum batch_codec kind, const uint8_t *bytes,
		     uint32_t size, const uint8_t **ret_bytes, uint32_t *ret_size)
{
	int error;

	codec->size = 0;
	switch (kind) {
	case BATCH_CODEC_GZIP:
		error = gzip(codec, bytes, size);
		break;
	case BATCH_CODEC_SNAPPY:
		error = snappy(codec, bytes, size);
		break;
	case BATCH_CODEC_LZ4:
		error = lz4(codec, bytes, size);
		break;
	case BATCH_CODEC_ZSTD:
		error = zstd(codec, bytes, size);
		break;
	case BATCH_CODEC_NONE:
	default:
		error = ERR_UNSUPPORTED;
	}
	if (error == 0 && codec->size > CODEC_SIZE_MAX)
		error = ERR_TOO_LARGE;
	if (error != 0)
		return error;
	*ret_bytes = codec->out;
	*ret_size = (uint32_t)codec->size;
	return 0;
}
