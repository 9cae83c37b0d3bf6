/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: any text is a cron expression or refused with a reason; what matches lies on the right side of
 * where the search began, and the way back finds it again.
 * Input: 8 bytes of an instant, the expression.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#include "orchestrate/cron.h"

#define TEXT_SIZE 300
#define RANGE_S   INT64_C(10000000000)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char text[TEXT_SIZE], reterr[128] = "";
	struct cron cron;
	int64_t from, found, back;

	if (size < 8 || size - 8 >= sizeof(text))
		return 0;
	from = (int64_t)bytes_load_u64(bytes) % RANGE_S;
	memcpy(text, bytes + 8, size - 8);
	text[size - 8] = '\0';
	if (cron_parse(text, &cron, reterr, sizeof(reterr)) != 0) {
		CHECK(reterr[0] != '\0');
		return 0;
	}
	if (cron_next(&cron, from, &found)) {
		CHECK(found > from);
		CHECK(cron_prev(&cron, found + 1, &back) && back == found);
		CHECK(!cron_prev(&cron, found, &back) || back <= from);
	}
	if (cron_prev(&cron, from, &found)) {
		CHECK(found < from);
		CHECK(cron_next(&cron, found - 1, &back) && back == found);
	}
	return 0;
}
