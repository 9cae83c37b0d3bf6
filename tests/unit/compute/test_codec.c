/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: what producers compress comes out as it was, in each codec and framing they use; whatever else
   comes in is an error, and no more memory is taken than the limit says. Shown with the libraries' own
   encoders, with input cut short at each length, and with inputs that grow too far. */
#define ZLIB_CONST /* its input is const */

#include <errno.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/check.h"

#include "compute/scan/codec.h"

#include "cm.h"

#define PLAIN_SIZE (300U * 1024)
#define ROOM       (1024U * 1024)

static uint8_t plain[PLAIN_SIZE];
static uint8_t packed[ROOM];
static struct codec *codec;

static int setup(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (uint32_t i = 0; i < PLAIN_SIZE; i++) {
		seed = seed * 1664525 + 1013904223;
		plain[i] = (uint8_t)("flights "[seed >> 29]);
	}
	return codec_new(&codec);
}

static int teardown(void **state)
{
	(void)state;
	codec_free(codec);
	return 0;
}

static uint32_t pack_gzip(const void *bytes, size_t size, uint8_t *to, size_t room)
{
	z_stream zlib = { 0 };

	CHECK(deflateInit2(&zlib, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	zlib.next_in = bytes;
	zlib.avail_in = (uInt)size;
	zlib.next_out = to;
	zlib.avail_out = (uInt)room;
	CHECK(deflate(&zlib, Z_FINISH) == Z_STREAM_END);
	CHECK(deflateEnd(&zlib) == Z_OK);
	return (uint32_t)zlib.total_out;
}

static uint32_t pack_snappy(const void *bytes, size_t size, uint8_t *to, size_t room)
{
	CHECK(snappy_compress(bytes, size, (char *)to, &room) == SNAPPY_OK);
	return (uint32_t)room;
}

/* The Java client's blocks of 32 KiB. */
static uint32_t pack_xerial(const uint8_t *bytes, size_t size, uint8_t *to, size_t room)
{
	static const uint8_t header[] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,
					  0,    0,   0,   1,   0,   0,   0,   1 };
	struct writer writer;

	writer_init(&writer, to, room);
	writer_bytes(&writer, header, sizeof(header));
	for (size_t at = 0; at < size; at += 32768) {
		uint32_t n = pack_snappy(bytes + at, MIN(size - at, (size_t)32768), writer.at + 4,
					 writer_left(&writer) - 4);

		writer_u32(&writer, n);
		CHECK(writer_room(&writer, n) != NULL);
	}
	CHECK(writer.error == 0);
	return (uint32_t)writer_size(&writer);
}

static uint32_t pack_lz4(const void *bytes, size_t size, uint8_t *to, size_t room)
{
	const LZ4F_preferences_t how = { .frameInfo = { .blockSizeID = LZ4F_max64KB,
							.contentChecksumFlag = 1 } };
	size_t n = LZ4F_compressFrame(to, room, bytes, size, &how);

	CHECK(!LZ4F_isError(n));
	return (uint32_t)n;
}

/* As by a stream: the frame does not tell its size. */
static uint32_t pack_zstd(const void *bytes, size_t size, uint8_t *to, size_t room)
{
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	ZSTD_inBuffer in = { bytes, size, 0 };
	ZSTD_outBuffer out = { to, room, 0 };

	CHECK(ZSTD_compressStream2(zstd, &out, &in, ZSTD_e_flush) == 0);
	CHECK(ZSTD_compressStream2(zstd, &out, &in, ZSTD_e_end) == 0);
	(void)ZSTD_freeCCtx(zstd);
	return (uint32_t)out.pos;
}

static void assert_plain(enum batch_codec kind, uint32_t size, size_t times)
{
	const uint8_t *bytes = NULL;
	uint32_t got = 0;

	assert_int_equal(codec_decompress(codec, kind, packed, size, &bytes, &got), 0);
	assert_int_equal(got, times * PLAIN_SIZE);
	for (size_t i = 0; i < times; i++)
		assert_memory_equal(bytes + i * PLAIN_SIZE, plain, PLAIN_SIZE);
}

/* Every shorter input fails, or (between blocks or frames) gives less; the whole one still works after. */
static void assert_cut(enum batch_codec kind, uint32_t size)
{
	const uint8_t *bytes = NULL;
	uint32_t got = 0;

	for (uint32_t cut = 0; cut < size; cut += 1 + cut / 50) {
		uint8_t *copy = malloc(cut > 0 ? cut : 1); /* its end is watched */
		int result;

		memcpy(copy, packed, cut);
		result = codec_decompress(codec, kind, copy, cut, &bytes, &got);
		assert_true(result == ERR_CORRUPT || (result == 0 && got < PLAIN_SIZE));
		free(copy);
	}
	assert_plain(kind, size, 1);
}

static void test_codec_each(void **state)
{
	static const struct {
		enum batch_codec kind;
		uint32_t (*pack)(const void *bytes, size_t size, uint8_t *to, size_t room);
		bool has_frames;
	} kinds[] = {
		{ BATCH_CODEC_GZIP, pack_gzip, true },
		{ BATCH_CODEC_SNAPPY, pack_snappy, false },
		{ BATCH_CODEC_LZ4, pack_lz4, true },
		{ BATCH_CODEC_ZSTD, pack_zstd, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		uint32_t size = kinds[i].pack(plain, PLAIN_SIZE, packed, ROOM);

		assert_plain(kinds[i].kind, size, 1);
		assert_cut(kinds[i].kind, size);
		if (kinds[i].has_frames) {
			size += kinds[i].pack(plain, PLAIN_SIZE, packed + size, ROOM - size);
			assert_plain(kinds[i].kind, size, 2);
		}
	}
}

static void test_codec_snappy_of_the_java_client(void **state)
{
	uint32_t size = pack_xerial(plain, PLAIN_SIZE, packed, ROOM);

	(void)state;
	assert_plain(BATCH_CODEC_SNAPPY, size, 1);
	assert_cut(BATCH_CODEC_SNAPPY, size);
}

static void test_codec_zstd_that_tells_its_size(void **state)
{
	size_t size = ZSTD_compress(packed, ROOM, plain, PLAIN_SIZE, 3);

	(void)state;
	assert_false(ZSTD_isError(size));
	assert_plain(BATCH_CODEC_ZSTD, (uint32_t)size, 1);
	assert_cut(BATCH_CODEC_ZSTD, (uint32_t)size);
}

static void test_codec_limit(void **state)
{
	uint8_t *zeros = calloc(1, CODEC_SIZE_MAX + 1), *large;
	const uint8_t *bytes = NULL;
	uint32_t size, got = 0;
	size_t known;

	(void)state;
	CHECK(zeros != NULL);
	size = pack_gzip(zeros, CODEC_SIZE_MAX, packed, ROOM);
	assert_int_equal(codec_decompress(codec, BATCH_CODEC_GZIP, packed, size, &bytes, &got), 0);
	assert_int_equal(got, CODEC_SIZE_MAX);
	size = pack_gzip(zeros, CODEC_SIZE_MAX + 1, packed, ROOM);
	assert_int_equal(codec_decompress(codec, BATCH_CODEC_GZIP, packed, size, &bytes, &got),
			 ERR_TOO_LARGE);
	known = CODEC_SIZE_MAX + (4U << 20); /* its encoder wants all of it */
	large = malloc(known);
	CHECK(large != NULL);
	size = pack_lz4(zeros, CODEC_SIZE_MAX + 1, large, known);
	assert_int_equal(codec_decompress(codec, BATCH_CODEC_LZ4, large, size, &bytes, &got),
			 ERR_TOO_LARGE);
	free(large);
	size = pack_zstd(zeros, CODEC_SIZE_MAX + 1, packed, ROOM);
	assert_int_equal(codec_decompress(codec, BATCH_CODEC_ZSTD, packed, size, &bytes, &got),
			 ERR_TOO_LARGE);
	known = ZSTD_compress(packed, ROOM, zeros, CODEC_SIZE_MAX + 1, 1);
	assert_int_equal(
		codec_decompress(codec, BATCH_CODEC_ZSTD, packed, (uint32_t)known, &bytes, &got),
		ERR_TOO_LARGE);
	free(zeros);
}

static void test_codec_snappy_length_is_not_believed(void **state)
{
	static const uint8_t liar[] = { 0xff, 0xff, 0xff, 0x0f, 0x00, 'x' }; /* 32 MiB, it says */
	const uint8_t *bytes = NULL;
	uint32_t got = 0;

	(void)state;
	assert_int_equal(
		codec_decompress(codec, BATCH_CODEC_SNAPPY, liar, sizeof(liar), &bytes, &got),
		ERR_CORRUPT);
	assert_null(bytes);
}

static void test_codec_damage_and_unknown(void **state)
{
	const uint8_t *bytes = NULL;
	uint32_t size = pack_lz4(plain, PLAIN_SIZE, packed, ROOM), got = 0;

	(void)state;
	packed[size / 2] ^= 0x40;
	assert_int_equal(codec_decompress(codec, BATCH_CODEC_LZ4, packed, size, &bytes, &got),
			 ERR_CORRUPT);
	assert_int_equal(codec_decompress(codec, (enum batch_codec)5, packed, size, &bytes, &got),
			 ERR_UNSUPPORTED);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_codec_each),
		TEST(test_codec_snappy_of_the_java_client),
		TEST(test_codec_zstd_that_tells_its_size),
		TEST(test_codec_limit),
		TEST(test_codec_snappy_length_is_not_believed),
		TEST(test_codec_damage_and_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
