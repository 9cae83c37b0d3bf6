/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"

#include "compute/scan/codec.h"
#include "compute/scan/topicscan_impl.h"

#define ERROR_SIZE 512

struct topicscan_reader {
	struct topicscan *scan;
	struct codec *codec;
	struct topicscan_extent extent;
	struct batch batch;    /* the one whose records are next */
	struct reader records; /* what is left of its records section */
	int32_t record_left;
	int32_t delta; /* offset delta of the record before; -1 */
	bool is_mapped;
	int error; /* sticky */
	char text[ERROR_SIZE];
};

int topicscan_reader_new(struct topicscan *scan, struct topicscan_reader **ret_reader)
{
	struct topicscan_reader *reader = calloc(1, sizeof(*reader));

	if (reader == NULL || codec_new(&reader->codec) != 0) {
		free(reader);
		return -ENOMEM;
	}
	reader->scan = scan;
	*ret_reader = reader;
	return 0;
}

void topicscan_reader_free(struct topicscan_reader *reader)
{
	if (reader == NULL)
		return;
	codec_free(reader->codec);
	free(reader);
}

static int fail(struct topicscan_reader *reader, int error, const char *what)
{
	const struct topicscan_segment *segment = reader->extent.segment;

	reader->error = error;
	(void)snprintf(reader->text, sizeof(reader->text),
		       "%s/%u: %s in the batch at offset %" PRId64 " (%020" PRId64
		       ".log, byte %" PRIu64 "); read the ranges before and behind it",
		       reader->scan->topic, segment->partition, what, reader->extent.expected,
		       segment->base, reader->extent.pos);
	return error;
}

static int fail_take(struct topicscan_reader *reader, int error)
{
	reader->error = error;
	(void)snprintf(reader->text, sizeof(reader->text), "%s: a segment cannot be read: %s",
		       reader->scan->topic, err_str(error));
	return error;
}

/* Whether none of a batch's records are wanted. A first timestamp says nothing about the later ones,
   the largest one does. */
static bool is_passed_over(const struct topicscan_reader *reader, const struct batch *batch)
{
	const struct topicscan_segment *segment = reader->extent.segment;

	return (batch->attributes & BATCH_ATTRIBUTE_CONTROL) != 0 ||
	       batch_last_offset(batch) < segment->begin || batch->base_offset >= segment->end ||
	       batch->max_timestamp < reader->scan->since_ms ||
	       ((batch->attributes & BATCH_ATTRIBUTE_APPEND_TIME) != 0 &&
		batch->max_timestamp >= reader->scan->until_ms);
}

/* Have the records of the batch at `bytes` read next. */
static int begin_batch(struct topicscan_reader *reader, const struct batch *batch,
		       const uint8_t *bytes)
{
	enum batch_codec kind = (enum batch_codec)(batch->attributes & BATCH_ATTRIBUTE_CODEC);
	const uint8_t *records = bytes + BATCH_HEADER_SIZE;
	uint32_t size = batch->size - BATCH_HEADER_SIZE;
	int error;

	if (crc32c_extend(CRC32C_INIT, bytes + BATCH_CRC_BEGIN, batch->size - BATCH_CRC_BEGIN) !=
	    batch->crc)
		return fail(reader, ERR_CORRUPT, "the checksum does not match");
	reader->is_mapped = kind == BATCH_CODEC_NONE;
	if (!reader->is_mapped) {
		error = codec_decompress(reader->codec, kind, records, size, &records, &size);
		if (error == -ENOMEM)
			return fail(reader, error, "no memory to decompress");
		if (error != 0)
			return fail(reader, ERR_CORRUPT,
				    error == ERR_TOO_LARGE     ? "too much when decompressed"
				    : error == ERR_UNSUPPORTED ? "an unknown codec"
							       : "compression is damaged");
	}
	reader_init(&reader->records, records, size);
	reader->batch = *batch;
	reader->record_left = batch->record_count;
	reader->delta = -1;
	return 0;
}

/* Go to the next batch with records that may be wanted. @return 1; 0 no extents are left; error */
static int next_batch(struct topicscan_reader *reader)
{
	struct topicscan_extent *extent = &reader->extent;
	struct batch batch;
	int result;

	for (;;) {
		if (extent->segment == NULL || extent->pos == extent->end) {
			if (extent->segment != NULL && extent->is_damaged)
				return fail(reader, ERR_CORRUPT, "no good header");
			result = topicscan_take(reader->scan, extent);
			if (result == 0)
				return 0;
			if (result < 0)
				return fail_take(reader, result);
			continue;
		}
		if (topicscan_judge(extent->segment, extent->pos, extent->end, extent->expected,
				    &batch) != 0)
			return fail(reader, ERR_CORRUPT, "a bad header");
		if (!is_passed_over(reader, &batch)) {
			result = begin_batch(reader, &batch, extent->segment->map + extent->pos);
			if (result != 0)
				return result;
		}
		extent->pos += batch.size;
		extent->expected = batch_last_offset(&batch) + 1;
		if (reader->record_left > 0)
			return 1;
	}
}

/* Read a record of the batch. @return 1; 0 it is not wanted; ERR_CORRUPT */
static int next_record(struct topicscan_reader *reader, struct topicscan_record *ret_record)
{
	const struct topicscan_segment *segment = reader->extent.segment;
	const struct topicscan *scan = reader->scan;
	const struct batch *batch = &reader->batch;
	struct batch_record record;
	int64_t offset, timestamp;

	if (batch_record_next(&reader->records, &record) != 0 ||
	    record.offset_delta <= reader->delta || record.offset_delta > batch->last_offset_delta)
		return ERR_CORRUPT;
	reader->delta = record.offset_delta;
	if (--reader->record_left == 0 && reader_left(&reader->records) != 0)
		return ERR_CORRUPT;
	offset = batch->base_offset + record.offset_delta;
	timestamp = batch->max_timestamp;
	if ((batch->attributes & BATCH_ATTRIBUTE_APPEND_TIME) == 0 &&
	    __builtin_add_overflow(batch->base_timestamp, record.timestamp_delta, &timestamp))
		return ERR_CORRUPT;
	if (offset < segment->begin || offset >= segment->end || timestamp < scan->since_ms ||
	    (timestamp >= scan->until_ms && scan->until_ms != INT64_MAX))
		return 0;
	*ret_record = (struct topicscan_record){
		.offset = offset,
		.timestamp_ms = timestamp,
		.key = record.key,
		.value = record.value,
		.headers = record.headers,
		.key_size = record.key_size,
		.value_size = record.value_size,
		.header_count = record.header_count,
		.headers_size = record.headers_size,
		.partition = segment->partition,
		.is_mapped = reader->is_mapped,
	};
	return 1;
}

static int read_on(struct topicscan_reader *reader, struct topicscan_record *ret_record)
{
	int result;

	if (reader->error != 0)
		return reader->error;
	for (;;) {
		if (reader->record_left == 0) {
			result = next_batch(reader);
			if (result != 1)
				return result;
		}
		result = next_record(reader, ret_record);
		if (unlikely(result < 0)) {
			/* Name the batch that it is in. */
			reader->extent.pos -= reader->batch.size;
			reader->extent.expected = reader->batch.base_offset;
			return fail(reader, ERR_CORRUPT, "a malformed record");
		}
		if (result == 1)
			return 1;
	}
}

int topicscan_next(struct topicscan_reader *reader, struct topicscan_record *ret_record,
		   char *reterr, size_t reterr_size)
{
	int result = read_on(reader, ret_record);

	if (unlikely(result < 0))
		(void)snprintf(reterr, reterr_size, "%s", reader->text);
	return result;
}
