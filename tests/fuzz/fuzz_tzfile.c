/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: any bytes are a TZif file or refused; offsets stay below 26 hours (RFC 8536), and a local
 * time becomes an instant that is at most that far away.
 * Input: the file.
 */
#include "base/check.h"

#include "orchestrate/tzfile.h"

#define OFFSET_MAX_S (26 * 3600)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tzfile *zone = NULL;

	if (tzfile_parse(bytes, size, &zone) != 0)
		return 0;
	for (int64_t at = INT64_C(-4000000000); at < INT64_C(8000000000); at += 86399999) {
		int32_t offset = tzfile_offset(zone, at);
		int64_t first = tzfile_to_utc(zone, at, false);
		int64_t second = tzfile_to_utc(zone, at, true);

		CHECK(offset < OFFSET_MAX_S && offset > -OFFSET_MAX_S);
		CHECK(first <= second);
		CHECK(first - at < OFFSET_MAX_S && at - second < OFFSET_MAX_S);
	}
	tzfile_free(zone);
	return 0;
}
