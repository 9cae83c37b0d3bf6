/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_options.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#include "dataplane/core/hot.h"

enum option_kind {
	KIND_END = 0,
	KIND_NOP = 1,
	KIND_MSS = 2,
	KIND_WSCALE = 3,
	KIND_SACK_PERMITTED = 4,
	KIND_SACK = 5,
	KIND_TS = 8,
};

#define TS_SIZE 10 /* as its length byte says */

/** A known option with the wrong length is ignored like an unknown one. */
static void parse_one(uint8_t kind, const uint8_t *body, size_t size, struct tcp_options *options)
{
	if (kind == KIND_MSS && size == 2) {
		options->has_mss = true;
		options->mss = bytes_load_u16(body);
	} else if (kind == KIND_WSCALE && size == 1) {
		options->has_wscale = true;
		options->wscale = body[0] < TCP_WSCALE_MAX ? body[0] : TCP_WSCALE_MAX;
	} else if (kind == KIND_SACK_PERMITTED && size == 0) {
		options->sack_permitted = true;
	} else if (kind == KIND_TS && size == 8) {
		options->has_ts = true;
		options->ts_value = bytes_load_u32(body);
		options->ts_echo = bytes_load_u32(body + 4);
	} else if (kind == KIND_SACK && size % 8 == 0) {
		for (size_t at = 0; at < size && options->sack_count < TCP_OPTIONS_SACK_MAX;
		     at += 8)
			options->sack[options->sack_count++] = (struct tcp_range){
				.start = bytes_load_u32(body + at),
				.end = bytes_load_u32(body + at + 4),
			};
	}
}

/* What nearly every segment of an open connection has (RFC 7323 appendix A), and nothing else. */
static bool is_plain_ts(const uint8_t *bytes, size_t size)
{
	return size == TCP_OPTIONS_TS_SIZE && bytes[0] == KIND_NOP && bytes[1] == KIND_NOP &&
	       bytes[2] == KIND_TS && bytes[3] == TS_SIZE;
}

int tcp_options_parse(const uint8_t *bytes, size_t size, struct tcp_options *ret_options)
{
	CHECK(size <= TCP_OPTIONS_SIZE_MAX);
	memset(ret_options, 0, sizeof(*ret_options));
	if (likely(is_plain_ts(bytes, size))) {
		parse_one(KIND_TS, bytes + 4, 8, ret_options);
		return 0;
	}
	for (size_t at = 0; at < size && bytes[at] != KIND_END;) {
		uint8_t length;

		if (bytes[at] == KIND_NOP) {
			at++;
			continue;
		}
		if (size - at < 2)
			return ERR_MALFORMED;
		length = bytes[at + 1];
		if (length < 2 || length > size - at)
			return ERR_MALFORMED;
		parse_one(bytes[at], bytes + at + 2, length - 2U, ret_options);
		at += length;
	}
	return 0;
}

static void put_head(struct writer *w, uint8_t nops, uint8_t kind, uint8_t size)
{
	for (; nops > 0; nops--)
		writer_u8(w, KIND_NOP);
	writer_u8(w, kind);
	writer_u8(w, size);
}

size_t tcp_options_build(uint8_t *bytes, const struct tcp_options *options)
{
	struct writer w;
	size_t blocks;

	writer_init(&w, bytes, TCP_OPTIONS_SIZE_MAX);
	if (options->has_mss) {
		put_head(&w, 0, KIND_MSS, 4);
		writer_u16(&w, options->mss);
	}
	if (options->sack_permitted)
		put_head(&w, 2, KIND_SACK_PERMITTED, 2);
	if (options->has_ts) {
		put_head(&w, 2, KIND_TS, 10);
		writer_u32(&w, options->ts_value);
		writer_u32(&w, options->ts_echo);
	}
	if (options->has_wscale) {
		put_head(&w, 1, KIND_WSCALE, 3);
		writer_u8(&w, options->wscale);
	}
	blocks = writer_left(&w) < 12 ? 0 : (writer_left(&w) - 4) / 8;
	blocks = MIN(blocks, (size_t)options->sack_count);
	if (blocks > 0) {
		put_head(&w, 2, KIND_SACK, (uint8_t)(2 + blocks * 8));
		for (size_t i = 0; i < blocks; i++) {
			writer_u32(&w, options->sack[i].start);
			writer_u32(&w, options->sack[i].end);
		}
	}
	CHECK(w.error == 0);
	CHECK(writer_size(&w) % 4 == 0);
	return writer_size(&w);
}
