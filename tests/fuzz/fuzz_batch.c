/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: any bytes decode as a batch and its records, or fail with a defined error, without a read
 * past their end; what is judged good has the size it says.
 * Input: a records field as in a Produce request.
 */
#include "base/check.h"
#include "storage/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct batch_record record;
	struct reader reader;
	struct batch batch;
	int error;

	if (size < BATCH_HEADER_SIZE || size > INT32_MAX)
		return 0;
	error = batch_decode(bytes, &batch);
	CHECK(error == 0 || error == ERR_MALFORMED);
	if (error == 0 && batch_check(&batch, (uint32_t)size, UINT32_MAX) == BATCH_OK) {
		CHECK(batch.size == size);
		CHECK(batch.record_count > 0);
		CHECK(batch_last_offset(&batch) == batch.record_count - 1);
	}
	reader_init(&reader, bytes + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE);
	do {
		const uint8_t *before = reader.at;

		error = batch_record_next(&reader, &record);
		CHECK(error == 0 || error == ERR_TRUNCATED || error == ERR_MALFORMED);
		CHECK(reader.at > before || error != 0);
		if (error == 0) {
			CHECK(record.key == NULL || record.key + record.key_size <= reader.at);
			CHECK(record.value == NULL ||
			      record.value + record.value_size <= reader.at);
			CHECK(record.headers + record.headers_size == reader.at);
		}
	} while (error == 0);
	return 0;
}
